"""Compute-optimal allocation: against the closed form, published numbers, scipy, and what it refuses."""

import re

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from bayescale import models, noise, parallel
from bayescale.decide.allocate import compute_optimal, split
from bayescale.fit import Fit
from bayescale.model import Model
from bayescale.pooling import Pooling
from bayescale.runs import Runs

N = np.geomspace(1e8, 1e10, 12)
RUNS = Runs.make(
    {"N": N, "D": np.tile([2e9, 3e10, 2e11], 4), "loss": np.linspace(3.3, 2.1, 12), "corpus": list("xy") * 6},
    factors=["corpus"],
)
# Besiroglu et al. 2024, arXiv:2404.10102, as printed.
BESIROGLU = {"A": 482.01, "B": 2085.43, "E": 1.8172, "alpha": 0.3478, "beta": 0.3658}


def fit_of(law, natural, *, pooling=(), deviations=None):
    """A fit whose draws are these natural parameters."""
    law = models.load(law) if isinstance(law, str) else law
    with parallel.workbench():
        relative = law.to_reference(natural, RUNS.reference, RUNS.unit)
        draws = {p: np.asarray(v, float).reshape(1, -1) for p, v in relative.items()}
    draws["sigma"] = np.full_like(draws[law.parameters[0]], 0.01)
    model = Model(law, noise.log_normal, pooling, effects=())
    stats = {"at_bound": [], "mode_converged": True, "pareto_k": 0.1}
    return Fit(model, RUNS, draws | (deviations or {}), "laplace", stats)


def some(parameters, draws=200):
    random = np.random.default_rng(0)
    return {p: v * np.exp(0.1 * random.standard_normal(draws)) for p, v in parameters.items()}


def closed_form(compute, *, A, B, alpha, beta, **_):
    G = (alpha * A / (beta * B)) ** (1 / (alpha + beta))
    return G * (compute / 6) ** (beta / (alpha + beta))


@pytest.mark.parametrize("compute", [1e18, 5.76e23, 1e27])
def test_the_closed_form(compute):
    natural = some(BESIROGLU)
    found, tokens = split(fit_of("chinchilla", natural), compute, bounds=(1e3, 1e17))
    assert found.shape == tokens.shape == (200,)
    np.testing.assert_allclose(np.log(found), np.log(closed_form(compute, **natural)), rtol=1e-10)
    np.testing.assert_allclose(6 * found * tokens, compute, rtol=1e-12)


@pytest.mark.parametrize(
    ("parameters", "compute", "parameters_at", "ratio"),
    [
        (BESIROGLU, 5.76e23, 7.225e10, 18.39),
        (BESIROGLU, 1e21, 2.778e9, 21.59),
        ({"A": 406.4, "B": 410.7, "E": 1.69, "alpha": 0.34, "beta": 0.28}, 1e21, 1.824e9, 50.1),  # Hoffmann
    ],
)
def test_published_parameters(parameters, compute, parameters_at, ratio):
    one = {p: np.array([v]) for p, v in parameters.items()}
    found, tokens = split(fit_of("chinchilla", one), compute)
    # Half a unit of the last digit that is printed.
    assert found[0] == pytest.approx(parameters_at, rel=3e-4)
    assert tokens[0] / found[0] == pytest.approx(ratio, rel=1e-3)


FORMS = {
    "kaplan": {"A": 6.4e13**0.076, "B": 1.8e13**0.103, "alpha": 0.076, "beta": 0.103},
    "coupled": BESIROGLU | {"k": 0.8},
}


@pytest.mark.parametrize("law", FORMS)
def test_laws_without_a_closed_form_here(law):
    natural = some(FORMS[law], draws=20)
    compute, fit = 1e22, fit_of(law, natural)
    found, _ = split(fit, compute, bounds=(1e4, 1e16))
    mean = models.load(law).mean
    for i in range(20):
        one = {p: v[i] for p, v in natural.items()}
        with parallel.workbench():
            by_scipy = minimize_scalar(
                lambda x, one=one: np.asarray(mean(np.exp(x), compute / (6 * np.exp(x)), **one)).item(),
                bounds=(np.log(found[i]) - 5, np.log(found[i]) + 4),
                method="bounded",
                options={"xatol": 1e-10},
            ).x
        # A minimum by values alone is known to about the root of the precision of a double.
        assert np.log(found[i]) == pytest.approx(by_scipy, abs=1e-5)


def test_each_level_has_its_own_optimum_and_none_is_assumed():
    natural = some(BESIROGLU, draws=50)
    shift = np.stack([np.full(50, -0.3), np.full(50, 0.4)], axis=1)[None]
    pooling = (Pooling(("A",), by="corpus"),)
    fit = fit_of("chinchilla", natural, pooling=pooling, deviations={"A_by_corpus": shift})
    for level, moved in (("x", -0.3), ("y", 0.4)):
        expected = closed_form(1e22, **natural | {"A": natural["A"] * np.exp(moved)})
        np.testing.assert_allclose(split(fit, 1e22, corpus=level)[0], expected, rtol=1e-8)
    centre = split(fit, 1e22, centre=True)[0]
    np.testing.assert_allclose(centre, closed_form(1e22, **natural), rtol=1e-8)
    with pytest.raises(ValueError, match=re.escape("A differ by corpus; say which corpus: one of x, y")):
        compute_optimal(fit, 1e22)
    with pytest.raises(ValueError, match="corpus has no level 'z'"):
        compute_optimal(fit, 1e22, corpus="z")
    with pytest.raises(ValueError, match="contradict each other"):
        compute_optimal(fit, 1e22, centre=True, corpus="x")


def test_an_optimum_at_a_bound_in_any_draw_is_an_error():
    natural = {p: np.repeat(v, 4) for p, v in BESIROGLU.items()}
    natural["A"] = natural["A"] * np.array([1, 1, 1, 50])
    fit = fit_of("chinchilla", natural)
    N = closed_form(1e22, **natural)
    with pytest.raises(
        ValueError, match="in 1 of 4 draws the best N for 1e22 FLOP is at or beyond the bound"
    ):
        compute_optimal(fit, 1e22, bounds=(1e6, N[3] / 2))
    with pytest.raises(ValueError, match=r"in 3 of 4 draws .* widen bounds"):
        compute_optimal(fit, 1e22, bounds=(2 * N[0], 1e14))
    np.testing.assert_allclose(split(fit, 1e22, bounds=(N[0] * 0.999, N[3] * 1.001))[0], N, rtol=1e-8)
    some = compute_optimal(fit, 1e22, bounds=(1e6, N[3] / 2), strict=False)
    assert np.isnan(some["N"]).tolist() == np.isnan(some.regret).tolist() == [False, False, False, True]
    assert some.defined("N") == 0.75
    assert some.choice["N"] == pytest.approx(N[0], rel=1e-8)


def test_what_is_refused():
    fit = fit_of("chinchilla", some(BESIROGLU, draws=2))
    with pytest.raises(ValueError, match=r"compute is -1\.0; it is a positive number of FLOP"):
        compute_optimal(fit, -1.0)
    with pytest.raises(ValueError, match="the least and the most N"):
        compute_optimal(fit, 1e21, bounds=(1e9, 1e6))
    power = models.load("power_floor").along("C")
    other = fit.replace(model=Model(power, noise.log_normal, effects=()))
    with pytest.raises(ValueError, match="law power_floor is of loss in C; this needs a law of loss in N, D"):
        compute_optimal(other, 1e21)
