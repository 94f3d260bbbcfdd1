"""What a target loss takes: against closed forms, for laws with and without a floor, and out of reach."""

import re

import numpy as np
import pytest

from bayescale import models
from bayescale.check.published import published
from bayescale.decide.allocate import compute_optimal
from bayescale.decide.better import better
from bayescale.decide.inference import inference_optimal
from bayescale.decide.invert import compute_for, data_for, params_for
from bayescale.decide.surface import surface
from tests.made import BESIROGLU, fit_of, some
from tests.test_surface import MUENNIGHOFF


def by_hand(loss, *, A, B, E, alpha, beta):
    """C = 6 (K / (L - E))^(1 / gamma); infinite where L is not above E."""
    G, gamma = (alpha * A / (beta * B)) ** (1 / (alpha + beta)), alpha * beta / (alpha + beta)
    K = A * G**-alpha + B * G**beta
    above = np.maximum(loss - E, 0)
    with np.errstate(divide="ignore"):
        return 6 * (K / above) ** (1 / gamma)


@pytest.mark.parametrize("loss", [1.8, 1.95, 2.5, 4.0])
def test_the_compute_of_a_loss(loss):
    natural = some(BESIROGLU)
    found = compute_for(fit_of("chinchilla", natural), loss)
    expected = by_hand(loss, **natural)
    np.testing.assert_array_equal(np.isinf(found["C"]), np.isinf(expected))
    reached = np.isfinite(expected)
    np.testing.assert_allclose(found["C"][reached], expected[reached], rtol=1e-8)
    assert found.defined("C") == found.probability("C", below=np.inf) == reached.mean()
    np.testing.assert_allclose(6 * found["N"] * found["D"], found["C"], rtol=1e-9)
    assert np.isnan(found["D/N"][~reached]).all()
    if loss == 1.8:
        assert 0.3 < reached.mean() < 0.6  # draws of E lie about it


def test_the_split_is_that_of_the_compute():
    fit = published(models.load("chinchilla"), BESIROGLU)
    found = compute_for(fit, 1.95)
    best = compute_optimal(fit, found["C"][0])
    assert found["N"] == pytest.approx(best["N"], rel=1e-7)
    assert best["loss"][0] == pytest.approx(1.95, abs=1e-12)


@pytest.mark.parametrize("law", ["kaplan", "coupled", "kaplan_floor"])
def test_laws_without_a_closed_form_here(law):
    parameters = {
        "kaplan": {"A": 6.4e13**0.076, "B": 1.8e13**0.103, "alpha": 0.076, "beta": 0.103},
        "kaplan_floor": {"A": 482.0, "B": 2085.0, "E": 1.8, "alpha": 0.35, "beta": 0.37},
        "coupled": BESIROGLU | {"k": 0.8},
    }[law]
    fit = published(models.load(law), parameters)
    best = compute_optimal(fit, 1e22, bounds=(1, 1e20))
    back = compute_for(fit, best["loss"][0])
    assert back["C"][0] == pytest.approx(1e22, rel=1e-9)
    assert back["N"][0] == pytest.approx(best["N"][0], rel=1e-6)


def test_a_tenth_of_the_loss_is_out_of_reach_of_a_law_with_a_floor_and_not_of_one_without():
    floored = compute_for(published(models.load("chinchilla"), BESIROGLU), 0.1974)
    assert floored["C"][0] == np.inf
    assert floored["N"][0] == np.inf
    assert floored.defined("C") == 0
    # L ~ C^-.05: ten times less takes 10^20 times the compute.
    power = published(models.load("power").along("C"), {"A": "26.58", "alpha": "0.050"})
    loss = surface(power).loss(C=1e22)[0, 0]
    assert compute_for(power, loss / 10)["C"][0] / 1e22 == pytest.approx(1e20, rel=1e-9)
    assert compute_for(power, loss * 0.9)["C"][0] / 1e22 == pytest.approx(8.23, abs=0.01)


def test_tokens_and_parameters_of_a_loss():
    natural = some(BESIROGLU)
    A, B, E, alpha, beta = (natural[p] for p in ("A", "B", "E", "alpha", "beta"))
    fit = fit_of("chinchilla", natural)
    for ask, covariate, at in ((data_for, "D", {"N": 1e11}), (params_for, "N", {"D": 1e13})):
        found = ask(fit, 1.95, at=at)
        left = 1.95 - E - (A * 1e11**-alpha if covariate == "D" else B * 1e13**-beta)
        power, amplitude = (beta, B) if covariate == "D" else (alpha, A)
        with np.errstate(invalid="ignore"):
            expected = np.where(left > 0, (amplitude / left) ** (1 / power), np.inf)
        np.testing.assert_allclose(found[covariate], expected, rtol=1e-9)
        held = 1e11 if covariate == "D" else 1e13
        np.testing.assert_allclose(found["C"], 6 * expected * held, rtol=1e-9)


def test_repeated_tokens_reach_less():
    fit = published(models.load("data_constrained"), MUENNIGHOFF)
    loss = surface(fit).loss(N=7e9, D=2e11, U=25e9)[0, 0]
    found = data_for(fit, loss, at={"N": 7e9, "U": 25e9})
    assert found["D"][0] == pytest.approx(2e11, rel=1e-9)
    # 25e9 tokens repeated for ever are worth 16.4 times as many and no more.
    ceiling = surface(fit).loss(N=7e9, D=1e30, U=25e9)[0, 0]
    assert data_for(fit, ceiling - 1e-3, at={"N": 7e9, "U": 25e9})["D"][0] == np.inf
    assert data_for(fit, ceiling - 1e-3, at={"N": 7e9, "U": 1e30})["D"][0] < np.inf


def test_a_loss_for_each_draw_and_one_that_costs_nothing():
    fit = fit_of("chinchilla", some(BESIROGLU))
    best = compute_optimal(fit, 1e22, bounds=(1, 1e20))
    np.testing.assert_allclose(compute_for(fit, best["loss"])["C"], 1e22, rtol=1e-8)
    point = published(
        models.load("m4").along("C"), {"E": "1.7", "L0": "10", "A": "1e4", "alpha": "0.2", "a": "1"}
    )
    assert compute_for(point, 11.0)["C"][0] == 0  # above the loss at chance


def test_what_is_refused():
    fit = fit_of("chinchilla", some(BESIROGLU))
    with pytest.raises(ValueError, match=r"loss is -1\.0; it is a positive number"):
        compute_for(fit, -1.0)
    with pytest.raises(
        ValueError, match=re.escape("loss is (3,); it is a number, or one for each of the 200 draws")
    ):
        compute_for(fit, [1.9, 2.0, 2.1])
    with pytest.raises(ValueError, match=re.escape("hold N, as at={'N': 7e9}")):
        data_for(fit, 1.95)
    with pytest.raises(ValueError, match="law power_floor is of loss in C; this needs a law of loss in D"):
        data_for(
            published(models.load("power_floor").along("C"), {"E": 1.6, "A": 95.18, "alpha": 0.0941}), 2.0
        )


def test_what_is_asked_cannot_be_held():
    fit = fit_of("chinchilla", some(BESIROGLU))
    said = "N is what is asked; it cannot be held at 1B"
    for ask in (
        lambda: compute_optimal(fit, 1e22, at={"N": 1e9}),
        lambda: compute_for(fit, 1.95, at={"N": 1e9}),
        lambda: params_for(fit, 1.95, at={"N": 1e9, "D": 1e12}),
        lambda: inference_optimal(fit, 1e12, loss=1.95, at={"N": 1e9}),
        lambda: better(surface(fit, at={"N": 1e9}), {"N": 1e9, "D": 1e10}, {"N": 1e9, "D": 1e11}),
    ):
        with pytest.raises(ValueError, match=said):
            ask()
    with pytest.raises(ValueError, match="D is what is asked; it cannot be held at 1B"):
        data_for(fit, 1.95, at={"N": 1e9, "D": 1e9})


def test_a_target_out_of_reach_is_said_and_lies_beyond_everything():
    """The probability is that of E < L, by the draws of E themselves."""
    natural = some(BESIROGLU)
    fit = fit_of("chinchilla", natural)
    for loss, severity in ((1.75, "severe"), (1.95, "warning")):
        found = compute_for(fit, loss)
        (one,) = [finding for finding in found.findings if finding.code == "UNREACHABLE"]
        assert one.severity == severity
        assert one.number == np.mean(natural["E"] < loss)
        assert np.isinf(found.beyond["C"]) == (severity == "severe")
        assert any(f.code == "EXTRAP" and "beyond any C" in f.message for f in found.findings) == (
            severity == "severe"
        )
    assert "UNREACHABLE" not in {f.code for f in compute_for(fit, 3.0).findings}
    for found in (
        data_for(fit, 1.75, at={"N": 1e9}),
        params_for(fit, 1.75, at={"D": 1e11}),
        inference_optimal(fit, 1e12, loss=1.75),
    ):
        assert "UNREACHABLE" in {f.code for f in found.findings}
