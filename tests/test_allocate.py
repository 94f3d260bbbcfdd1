"""Compute-optimal allocation: against the closed form, published numbers, scipy, and what it refuses."""

import re

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from bayescale import models, noise, parallel
from bayescale.check.published import published
from bayescale.decide.allocate import compute_optimal, split
from bayescale.decide.flops import non_embedding_of, six_without_embeddings
from bayescale.law import irrelevant
from bayescale.model import Model
from bayescale.pooling import Pooling
from bayescale.runs import Runs
from tests.made import BESIROGLU, PRINTED, RUNS, TEX, closed_form, fit_of, some


@pytest.mark.parametrize("compute", [1e18, 5.76e23, 1e27])
def test_the_closed_form(compute):
    natural = some(BESIROGLU)
    found, tokens = split(fit_of("chinchilla", natural), compute, bounds=(1e3, 1e17))
    assert found.shape == tokens.shape == (200,)
    np.testing.assert_allclose(np.log(found), np.log(closed_form(compute, **natural)[0]), rtol=1e-10)
    np.testing.assert_allclose(6 * found * tokens, compute, rtol=1e-12)


@pytest.mark.parametrize(
    ("parameters", "compute", "parameters_at", "ratio", "loss"),
    [
        (BESIROGLU, 5.76e23, 7.225e10, 18.39, 1.9744),
        (BESIROGLU, 1e21, 2.778e9, 21.59, 2.3055),
        (BESIROGLU, 3.8e25, 6.187e11, 16.55, 1.8917),
        (PRINTED, 1e21, 1.824e9, 50.1, 2.3289),
        (PRINTED, 5.76e23, 3.219e10, 92.65, 1.9307),
        (TEX, 5.76e23, 4.036e10, 58.93, 1.9184),
        (TEX, 1e22, 6.343e9, 41.4, 2.1149),
    ],
)
def test_published_parameters(parameters, compute, parameters_at, ratio, loss):
    found = compute_optimal(published(models.load("chinchilla"), parameters), compute)
    # Half a unit of the last digit that is given.
    assert found["N"][0] == pytest.approx(parameters_at, rel=3e-4)
    assert found["D/N"][0] == pytest.approx(ratio, rel=1e-3)
    assert found["loss"][0] == pytest.approx(loss, abs=6e-5)
    beta, alpha = (float(parameters[p]) for p in ("beta", "alpha"))
    assert found["a"][0] == pytest.approx(beta / (alpha + beta), rel=1e-6)
    assert found["a"][0] + found["b"][0] == 1
    assert {f.code for f in found.findings} == ({"ROUND"} if parameters is PRINTED else set())
    assert np.isnan(found.beyond["C"])  # nothing is known of the runs
    assert found.choice["N"] == found["N"][0]


# Hoffmann et al. 2022, table A3, approach 3: parameters, FLOP, tokens. The fifth row prints 1.26e24 FLOP, a misprint
# of 1.26e25, which is six times the product of its parameters and tokens.
TABLE_A3 = [
    (400e6, 2.21e19, 9.2e9),
    (1e9, 1.62e20, 27.1e9),
    (10e9, 2.46e22, 410.1e9),
    (67e9, 1.71e24, 4.1e12),
    (175e9, 1.26e25, 12.0e12),
    (280e9, 3.52e25, 20.1e12),
    (520e9, 1.36e26, 43.5e12),
    (1e12, 5.65e26, 94.1e12),
    (10e12, 8.55e28, 1425.5e12),
]


def test_the_token_column_of_table_a3_is_that_of_no_printed_parameters():
    """Its tokens differ from the optimum of the TeX parameters by 6 to 19%, and of the rounded ones by 57 to 122%."""
    N, C, D = np.array(TABLE_A3).T
    np.testing.assert_allclose(6 * N * D, C, rtol=0.05)  # all but the misprint, to the digits of N and D
    for parameters, least, most in ((TEX, 0.06, 0.19), (PRINTED, 0.57, 1.22)):
        fit = published(models.load("chinchilla"), parameters)
        computes = np.geomspace(1e18, 1e31, 40)
        best = np.array([split(fit, float(c), bounds=(1e3, 1e17)) for c in computes])[:, :, 0]
        tokens = np.exp(np.interp(np.log(N), np.log(best[:, 0]), np.log(best[:, 1])))
        off = np.abs(tokens / D - 1)
        assert off.min() == pytest.approx(least, abs=0.01)
        assert off.max() == pytest.approx(most, abs=0.01)
    slope = np.polyfit(np.log(C), np.log(N), 1)[0]
    assert slope == pytest.approx(0.459, abs=1e-3)


def test_the_choice_is_of_the_least_expected_loss_and_the_regret_is_exact():
    natural = some(BESIROGLU, draws=200, sd=0.02)
    fit = fit_of("chinchilla", natural)
    found = compute_optimal(fit, 5.76e23)

    def expected(log_n):
        N = np.exp(log_n)
        A, B, E, alpha, beta = (natural[p] for p in ("A", "B", "E", "alpha", "beta"))
        return np.mean(E + A * N**-alpha + B * (5.76e23 / 6 / N) ** -beta)

    by_scipy = minimize_scalar(expected, bounds=(20, 30), method="bounded", options={"xatol": 1e-10})
    assert np.log(found.choice["N"]) == pytest.approx(by_scipy.x, abs=1e-5)
    assert found.choice["loss"] == pytest.approx(by_scipy.fun, rel=1e-12)
    assert 6 * found.choice["N"] * found.choice["D"] == pytest.approx(5.76e23)
    # Where the loss is E + K (C/6)^-gamma, the compute of a loss is known.
    A, B, E, alpha, beta = (natural[p] for p in ("A", "B", "E", "alpha", "beta"))
    G, gamma = (alpha * A / (beta * B)) ** (1 / (alpha + beta)), alpha * beta / (alpha + beta)
    K = A * G**-alpha + B * G**beta
    loss = E + A * found.choice["N"] ** -alpha + B * found.choice["D"] ** -beta
    np.testing.assert_allclose(found.regret, 1 - 6 * (K / (loss - E)) ** (1 / gamma) / 5.76e23, atol=1e-9)
    assert (found.regret >= 0).all()


def test_choosing_the_median_wastes_more_than_the_choice_where_draws_disagree():
    fit = fit_of("chinchilla", some(BESIROGLU, draws=200))
    found = compute_optimal(fit, 1e22, bounds=(1, 1e20))
    loss = {"choice": found.choice["N"], "median": np.median(found["N"])}
    mean = {k: fit.mean(fit.centre(), N=N, D=1e22 / 6 / N).mean() for k, N in loss.items()}
    assert mean["choice"] < mean["median"]


def test_further_covariates_are_held():
    law = irrelevant(models.load("chinchilla"), "gpus")
    fit = fit_of(law, BESIROGLU | {"gamma_gpus": 0.02}, runs=with_gpus())
    plain, held = (
        compute_optimal(f, 1e22, at=at)
        for f, at in ((fit_of("chinchilla", BESIROGLU), None), (fit, {"gpus": 64.0}))
    )
    assert held["N"] == pytest.approx(plain["N"], rel=1e-9)
    assert held["loss"] == pytest.approx(plain["loss"] * 64**0.02, rel=1e-9)
    assert held.asked == {"C": 1e22, "gpus": 64.0}
    with pytest.raises(
        ValueError, match=re.escape("law chinchilla is in N, D, gpus; hold gpus, as at={'gpus': 8}")
    ):
        compute_optimal(fit, 1e22)
    with pytest.raises(ValueError, match="law chinchilla is in N, D; U cannot be held"):
        compute_optimal(fit_of("chinchilla", BESIROGLU), 1e22, at={"U": 1e11})
    with pytest.raises(ValueError, match=r"gpus is held at 0\.0; it is a positive number"):
        compute_optimal(fit, 1e22, at={"gpus": 0})


@pytest.mark.parametrize(
    ("parameters", "slope", "asymptote"), [(BESIROGLU, 0.7813, 0.5126), (TEX, 0.7401, 0.4565)]
)
def test_kaplans_way_of_counting_gives_kaplans_exponent(parameters, slope, asymptote):
    """Pearce and Song 2024, arXiv:2406.12907: without embeddings, and over Kaplan's range of sizes, .78 and .74."""
    fit = published(models.load("chinchilla"), parameters)
    computes = np.geomspace(10**11.5, 10**21.0, 60)
    N = np.array(
        [split(fit, float(c), bounds=(1, 1e14), flop=six_without_embeddings)[0][0] for c in computes]
    )
    sizes = np.geomspace(768, 1.5e9, 10)  # Kaplan et al. 2020, section 3
    C = np.interp(np.log(sizes), np.log(non_embedding_of(N)), np.log(computes))
    assert np.polyfit(C, np.log(sizes), 1)[0] == pytest.approx(slope, abs=0.004)
    far = compute_optimal(fit, 1e40, bounds=(1e6, 1e25), flop=six_without_embeddings)
    assert far["a"][0] == pytest.approx(asymptote, abs=1e-4)


def with_gpus():
    columns = {c: np.asarray(RUNS.columns[c]) for c in ("N", "D")}
    return Runs.make({**columns, "gpus": np.tile([8.0, 64.0], 6), "loss": RUNS.response})


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
        expected = closed_form(1e22, **natural | {"A": natural["A"] * np.exp(moved)})[0]
        np.testing.assert_allclose(split(fit, 1e22, corpus=level)[0], expected, rtol=1e-8)
    centre = split(fit, 1e22, centre=True)[0]
    np.testing.assert_allclose(centre, closed_form(1e22, **natural)[0], rtol=1e-8)
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
    N = closed_form(1e22, **natural)[0]
    with pytest.raises(
        ValueError, match="in 1 of 4 draws the best N for 1e22 FLOP is at or beyond the bound"
    ):
        compute_optimal(fit, 1e22, bounds=(1e6, N[3] / 2))
    with pytest.raises(ValueError, match=r"in 3 of 4 draws .* widen bounds"):
        compute_optimal(fit, 1e22, bounds=(2 * N[0], 1e14))
    said = "widen bounds, as bounds=(1e+08, 1e+17) or bayescale allocate --bounds 1e+08,1e+17, or"
    with pytest.raises(ValueError, match=re.escape(said)):
        compute_optimal(fit, 1e22, bounds=(1e11, 1e14))
    np.testing.assert_allclose(split(fit, 1e22, bounds=(N[0] * 0.999, N[3] * 1.001))[0], N, rtol=1e-8)
    some = compute_optimal(fit, 1e22, bounds=(1e6, N[3] / 2), strict=False)
    assert np.isnan(some["N"]).tolist() == np.isnan(some.regret).tolist() == [False, False, False, True]
    assert some.defined("N") == 0.75
    assert some.choice["N"] == pytest.approx(N[0], rel=1e-8)
    none = compute_optimal(fit, 1e22, bounds=(1e3, 1e4), strict=False)
    assert none.choice == {}
    assert none.verdict.startswith("compute_optimal(C = 1e22): N not known; D not known; D/N not known")


def test_what_is_refused():
    fit = fit_of("chinchilla", some(BESIROGLU, draws=2))
    with pytest.raises(ValueError, match=r"compute is -1\.0; it is a positive number of FLOP"):
        compute_optimal(fit, -1.0)
    # 6 N D of Gopher, in integers: it wraps around to a negative number, and could to a positive one.
    wrapped = np.int64(6) * np.array([280 * 10**9]) * np.array([300 * 10**9])
    with pytest.raises(ValueError, match="compute is of type int64, in which 6ND wraps around beyond"):
        compute_optimal(fit, wrapped[0])
    with pytest.raises(ValueError, match="the least and the most N"):
        compute_optimal(fit, 1e21, bounds=(1e9, 1e6))
    power = models.load("power_floor").along("C")
    other = fit.replace(model=Model(power, noise.log_normal, effects=()))
    with pytest.raises(ValueError, match="law power_floor is of loss in C; this needs a law of loss in N, D"):
        compute_optimal(other, 1e21)
