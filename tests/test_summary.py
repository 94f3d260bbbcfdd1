"""The summary: what the data taught, the digits, and text from the data in HTML."""

import json

import numpy as np
import pytest
from scipy import stats

from bayescale import models, noise
from bayescale.fit import Fit
from bayescale.model import Model
from bayescale.pooling import Effect, Pooling
from bayescale.runs import Runs
from bayescale.summary import HEADINGS, Row, Summary, summarise

LAW = models.load("power_floor").along("N")
SHAPE = (4, 2000)
EVIL = "<script>alert('&')</script>"


def runs(third="web"):
    columns = {
        "N": np.logspace(7, 10, 6),
        "loss": np.linspace(4, 3, 6),
        "corpus": ["books", "code", third] * 2,
    }
    return Runs.make({**columns, "size": ["a", "a", "b", "b", "c", "c"]}, factors=["corpus", "size"])


def fitted(third="web", method="nuts", shape=SHAPE, **changes):
    """Draws from the prior, but for A, of which the data taught everything."""
    rng = np.random.default_rng(0)
    model = Model(LAW, noise.log_normal, (Pooling(("E",), by="corpus"),), (Effect("size"),))
    normal = lambda *more: rng.normal(size=(*shape, *more))  # noqa: E731
    draws = {
        "E": 1 / (1 + np.exp(-(1.0 + 1.5 * normal()))),
        "A": 0.5 * np.exp(0.01 * normal()),
        "alpha": np.exp(-1.2 + 0.5 * normal()),
        "sigma": np.exp(np.log(0.01) + normal()),
        "E_by_corpus_scale": np.abs(0.1 * normal()),
        "E_by_corpus": 0.01 * normal(3),
        "size_effect_scale": np.abs(0.01 * normal()),
        "size_effect": 0.01 * normal(3),
    } | changes
    return Fit(model, runs(third), draws, method, {"diverging": np.zeros(shape, bool)})


def test_contraction_is_none_where_nothing_was_learned_and_whole_where_everything_was():
    found = summarise(fitted())
    # With 8,000 draws and 20,000 of the prior a variance ratio is good to 2%, and heavy-tailed logs of scales to 4%.
    for name in ("E", "alpha", "sigma", "sd of E by corpus", "sd of shocks by size"):
        assert found[name].contraction == pytest.approx(0, abs=0.1), name
    assert found["A"].contraction == pytest.approx(1 - 0.01**2, abs=1e-5)
    assert found["E[corpus=web]"].contraction is None


def test_rows_are_in_natural_units_with_the_quantiles_of_the_draws():
    fit = fitted()
    found = summarise(fit)
    names = [row.name for row in found.rows]
    assert names == [
        *("E", "A", "alpha", "E[corpus=books]", "E[corpus=code]", "E[corpus=web]", "sigma"),
        *("sd of E by corpus", "sd of shocks by size"),
    ]
    for name, values in fit.centre().items():
        row = found[name]
        assert (row.mean, row.sd) == pytest.approx((values.mean(), values.std(ddof=1)))
        assert (row.q5, row.q50, row.q95) == pytest.approx(tuple(np.quantile(values, [0.05, 0.5, 0.95])))
    web = fit.parameters(corpus="web")["E"]
    assert found["E[corpus=web]"].mean == pytest.approx(web.mean())
    # The posterior of alpha is its prior here.
    assert found["alpha"].q50 == pytest.approx(stats.lognorm(0.5, scale=np.exp(-1.2)).median(), rel=0.03)
    assert 0.99 < found["E"].r_hat < 1.01
    assert found["E"].ess_bulk > 4000
    with pytest.raises(KeyError, match="there is no row 'beta'; there are E, A, alpha, "):
        found["beta"]


@pytest.mark.parametrize(
    ("mean", "sd", "shown"),
    [
        (1.80712, 0.01487, ("1.807", "0.015")),
        (477.826, 124.58, ("478", "125")),
        (0.34731, 0.00921, ("0.3473", "0.0092")),
        (2143.417, 0.5, ("2143.42", "0.50")),
        (1e12, 3e11, ("1e+12", "3e+11")),
        (2.5e-9, 1e-10, ("2.5e-09", "1e-10")),
        (0.0, 0.0, ("0", "0")),
        (2.5, 0.0, ("2.500", "0.000")),
    ],
)
def test_two_digits_of_the_sd_are_shown(mean, sd, shown):
    cells = Summary((Row("x", mean, sd, mean, mean, mean),), "", "").cells()[0]
    assert cells[1:3] == shown


def test_text_has_every_row_under_the_headings():
    found = summarise(fitted())
    lines = str(found).splitlines()
    assert lines[0] == "power_floor, log_normal noise, 6 runs of table"
    assert lines[1].split() == " ".join(HEADINGS).split()
    assert [line.split("  ")[0] for line in lines[2:-1]] == [row.name for row in found.rows]
    assert lines[-1] == found.verdict
    assert not any(line.endswith(" ") for line in lines)


def test_names_from_the_data_are_escaped():
    page = fitted(EVIL)._repr_html_()
    assert EVIL not in page
    assert "<script" not in page
    assert "E[corpus=&lt;script&gt;alert(&#x27;&amp;&#x27;)&lt;/script&gt;]" in page
    verdict = Summary((), "<b>", "<i>").to_html()
    assert "<b>" not in verdict
    assert "<i>" not in verdict


def test_a_summary_is_plain_numbers_for_json():
    found = json.loads(json.dumps(summarise(fitted()).to_dict(), allow_nan=False))
    assert found["rows"][0]["name"] == "E"
    assert isinstance(found["rows"][0]["ess_bulk"], float)


def test_a_point_fit_has_no_interval():
    at = {
        "E": 0.5,
        "A": 0.5,
        "alpha": 0.3,
        "sigma": 0.01,
        "E_by_corpus_scale": 0.1,
        "size_effect_scale": 0.01,
    }
    draws = {k: np.full((1, 1), v) for k, v in at.items()}
    draws |= {k: np.zeros((1, 1, 3)) for k in ("E_by_corpus", "size_effect")}
    fit = fitted(method="map", shape=(1, 1), **draws).replace(
        stats={"at_bound": [], "mode_converged": True, "mode_agreed": 16, "mode_starts": 16}
    )
    found = summarise(fit)
    assert found["E"].mean == found["E"].q50 == pytest.approx(1.5)
    assert np.isnan(found["E"].sd)
    assert np.isnan(found["E"].q5)
    assert found["E"].r_hat is None
    assert found["E"].contraction is None
    assert found.verdict == "converged (map): 16 of 16 starts agree"
    assert "16 of 16 starts agree" in str(found)


def test_a_law_without_natural_units_says_what_its_parameters_count_in():
    fit = fitted()
    relative = fit.replace(model=fit.model.replace(law=LAW.replace(natural=None)))
    assert str(relative.summary()).splitlines()[0].endswith(", relative to the reference run")
    assert relative.summary()["A"].mean == pytest.approx(0.5, rel=1e-3)
