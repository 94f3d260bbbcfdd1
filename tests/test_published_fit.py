"""Printed parameters as a fit: their values, digits and rounding, files, and what is refused."""

import numpy as np
import pytest

from bayescale import models
from bayescale.check.published import published, rounded
from bayescale.decide.allocate import compute_optimal
from bayescale.storage import load, save
from tests.made import BESIROGLU, PRINTED, RUNS, TEX

LAW = models.load("chinchilla")


@pytest.mark.parametrize("law", ["chinchilla", "coupled", "data_constrained", "routed", "power_floor"])
def test_parameters_come_back(law):
    one = models.load(law)
    one = one.along("C") if law == "power_floor" else one
    parameters = {p: 0.1 * (i + 2) for i, p in enumerate(one.parameters)}
    found = published(one, parameters).parameters()
    for name, value in parameters.items():
        assert found[name][0] == pytest.approx(value, rel=1e-10)


def test_digits_are_those_that_are_printed():
    texts = {"A": "406.4", "B": "4.107e2", "E": "1.690", "alpha": "0.34", "beta": 0.28}
    assert published(LAW, texts).stats["digits"] == {"E": 4, "A": 4, "B": 4, "alpha": 2, "beta": 2}
    (one,) = rounded(published(LAW, texts))
    assert (one.code, one.severity, one.number) == ("ROUND", "warning", 2.0)
    assert "alpha (2), beta (2)" in one.message
    assert list(rounded(published(LAW, BESIROGLU))) == list(rounded(published(LAW, TEX))) == []


def test_what_rounding_leaves_open():
    """Draws round to what is printed, and the digits that were not printed are among what they allow."""
    fit = published(LAW, PRINTED, draws=2000)
    own = fit.parameters()
    for name, printed in PRINTED.items():
        digits = len(printed.split(".")[1])
        assert {round(v, digits) for v in own[name]} == {float(printed)}
    split = compute_optimal(fit, 5.76e23)
    low, _, high = split.interval("D/N", 0.98)
    assert low < 58.93 < 92.65 < high
    assert split.findings[0].code == "ROUND"


def test_with_the_table_at_hand_it_is_known_how_far_a_decision_lies_beyond_it():
    found = compute_optimal(published(LAW, BESIROGLU, runs=RUNS), 1e26)
    assert [f.code for f in found.findings] == ["EXTRAP"]
    assert found.beyond["C"] == pytest.approx(np.log10(1e26 / 1.2e22))


def test_it_is_a_fit_like_any_other(tmp_path):
    fit = published(LAW, BESIROGLU, source="Besiroglu et al. 2024")
    assert fit.verdict == "not fitted: Besiroglu et al. 2024"
    assert fit.converged
    assert "alpha" in str(fit.summary())
    save(fit, tmp_path / "fit.nc")
    back = load(tmp_path / "fit.nc")
    assert back.stats["digits"] == fit.stats["digits"]
    assert compute_optimal(back, 1e22)["N"] == compute_optimal(fit, 1e22)["N"]


def test_what_is_refused():
    with pytest.raises(
        ValueError, match="law chinchilla has the parameters E, A, B, alpha, beta; beta is missing"
    ):
        published(LAW, {p: v for p, v in BESIROGLU.items() if p != "beta"})
    with pytest.raises(ValueError, match="there is no gamma"):
        published(LAW, BESIROGLU | {"gamma": 1.0})
    for bad in ("a third", float("nan"), None):
        with pytest.raises(ValueError, match=r"alpha is .*; it is a number as it is printed"):
            published(LAW, BESIROGLU | {"alpha": bad})
    with pytest.raises(ValueError, match="draws is 0"):
        published(LAW, BESIROGLU, draws=0)
