"""The law of a fit for each draw: shapes, slopes, covariates that are held; how far a decision lies from the runs."""

import re

import numpy as np
import pytest

from bayescale import models, noise
from bayescale.check.published import published
from bayescale.decide.allocate import compute_optimal
from bayescale.decide.support import beyond
from bayescale.decide.surface import surface
from bayescale.model import Model
from bayescale.pooling import Pooling
from bayescale.runs import Runs
from tests.made import BESIROGLU, RUNS, fit_of, some

# Muennighoff et al. 2023, arXiv:2305.16264, from their code, with all digits.
MUENNIGHOFF = {
    "E": np.exp(0.6254804),
    "A": np.exp(6.255414),
    "B": np.exp(7.3049974),
    "alpha": 0.3526596,
    "beta": 0.3526596,
    "R_D": 15.387756,
    "R_N": 5.309743,
}


def law_of(N, D, *, A, B, E, alpha, beta):
    return E + A * N**-alpha + B * D**-beta


def test_a_surface_is_the_law_at_every_draw_and_point():
    natural = some(BESIROGLU)
    own = surface(fit_of("chinchilla", natural))
    N, D = np.geomspace(1e8, 1e11, 7), 1e11
    rows = {p: v[:, None] for p, v in natural.items()}
    np.testing.assert_allclose(own.loss(N=N, D=D), law_of(N, D, **rows), rtol=1e-12)
    assert own.loss(N=1e9, D=1e11).shape == (200, 1)
    each = np.geomspace(1e8, 1e11, 200)
    np.testing.assert_allclose(own.loss(N=each[:, None], D=D)[:, 0], law_of(each, D, **natural), rtol=1e-12)
    np.testing.assert_allclose(own.each(N=each, D=D), law_of(each, D, **natural), rtol=1e-12)
    assert own.each(N=1e9, D=1e11).shape == (200,)
    assert len(own.thinned(50)) == 50


def test_elasticities_are_minus_the_slopes_in_logarithms():
    natural = some(BESIROGLU)
    found = surface(fit_of("chinchilla", natural)).elasticities(N=7e10, D=1.4e12)
    A, B, alpha, beta = (natural[p] for p in ("A", "B", "alpha", "beta"))
    np.testing.assert_allclose(found["N"], alpha * A * 7e10**-alpha, rtol=1e-10)
    np.testing.assert_allclose(found["D"], beta * B * 1.4e12**-beta, rtol=1e-10)


def test_no_more_tokens_are_unique_than_are_seen():
    own = surface(published(models.load("data_constrained"), MUENNIGHOFF), at={"U": 25e9})
    # The two losses are those of the authors' README, computed with their code.
    two = own.loss(N=[6.34e9, 8.67e9], D=[242e9, 178e9])[0]
    np.testing.assert_allclose(two, [2.2256440889984477, 2.2269634075087867], rtol=0, atol=1e-10)
    once = own.loss(N=1e9, D=1e10)
    np.testing.assert_allclose(once, own.holding(U=1e10).loss(N=1e9, D=1e10), rtol=0)
    assert own.asked == {"U": 25e9}


@pytest.mark.parametrize(("epochs", "share"), [(4, 0.931), (16, 0.661), (40, 0.379)])
def test_repeated_tokens_are_worth_less_and_less(epochs, share):
    """D' / D of Muennighoff et al., from the loss: with N below N_U the rest of the law is as for new tokens."""
    own = surface(published(models.load("data_constrained"), MUENNIGHOFF))
    U, N, p = 1e10, 1e6, MUENNIGHOFF
    loss = own.loss(N=N, D=epochs * U, U=U)[0, 0]
    worth = ((loss - p["E"] - p["A"] * N ** -p["alpha"]) / p["B"]) ** (-1 / p["beta"])
    assert worth / (epochs * U) == pytest.approx(share, abs=5e-4)


def test_compute_follows_from_parameters_and_tokens():
    power = models.load("power_floor").along("C")
    ladder = surface(published(power, {"E": "1.6", "A": "95.18", "alpha": "0.0941"}))
    # Marin's ladder; 2.606 at 1e21 and 2.252 at 1e23.
    np.testing.assert_allclose(ladder.loss(C=[1e21, 1e23])[0], [2.606, 2.252], atol=6e-4)
    np.testing.assert_allclose(ladder.loss(N=1e9, D=1e21 / 6e9), ladder.loss(C=1e21), rtol=1e-12)


def test_how_far_a_point_lies_from_the_runs():
    fit = fit_of("chinchilla", BESIROGLU)
    far = beyond(fit, {"N": 1e12, "D": 2e10})
    least, most = 6 * 2e9 * 1e8, 6 * 2e11 * 1e10
    assert far["N"] == pytest.approx(2)
    assert far["D"] == 0
    assert far["C"] == pytest.approx(np.log10(6 * 2e22 / most))
    ratios = np.asarray(RUNS.columns["D"]) / np.asarray(RUNS.columns["N"])
    assert far["D/N"] == pytest.approx(np.log10(ratios.min() / 0.02))
    assert beyond(fit, {"N": 1e7, "D": 2e9})["C"] == pytest.approx(np.log10(least / 1.2e17))
    assert np.isnan(beyond(fit, {"N": np.nan, "D": np.inf})["C"])


def test_a_decision_far_outside_the_runs_says_so():
    fit = fit_of("chinchilla", some(BESIROGLU, sd=0.01))
    near, far, farther = (compute_optimal(fit, C) for C in (1e22, 2e23, 5e24))  # the runs end at 1.2e22
    assert near.findings == ()
    assert [(f.code, f.severity) for f in far.findings] == [("EXTRAP", "warning")]
    assert [(f.code, f.severity) for f in farther.findings] == [("EXTRAP", "severe")]
    assert "1.2 decades of C outside the runs" in far.findings[0].message
    assert far.findings[0].number == pytest.approx(np.log10(2e23 / 1.2e22))


def test_the_leverage_is_said_where_the_posterior_widens():
    natural = some(BESIROGLU, sd=0.0)
    # Floors that differ, and the same loss at either end of the runs: it is known there, and not beyond.
    floor = 0.05 * np.random.default_rng(1).standard_normal(200)
    first, last = (482.01 * N**-0.3478 - floor for N in (1e8, 1e10))
    natural["alpha"] = np.log(first / last) / np.log(100)
    natural["A"] = first * 1e8 ** natural["alpha"]
    natural["E"] = 1.8172 + floor
    (one,) = compute_optimal(fit_of("chinchilla", natural), 5e24).findings
    times = float(re.search(r"sd of the loss there is ([\d.]+) times", one.message)[1])
    assert times > 1


def test_tokens_for_each_parameter_far_outside_the_runs_are_said():
    N = np.geomspace(1e8, 1e10, 12)
    runs = Runs.make({"N": N, "D": 300 * N * np.tile([1, 2], 6), "loss": np.linspace(3.3, 2.1, 12)})
    found = compute_optimal(fit_of("chinchilla", BESIROGLU, runs=runs), 1e22)
    (one,) = [f for f in found.findings if f.code == "OVERTRAIN"]
    assert one.number == pytest.approx(300 / found["D/N"][0], rel=1e-6)
    assert "15 times outside those of the runs, 300 to 600" in one.message


def test_what_is_refused():
    fit = fit_of("chinchilla", BESIROGLU)
    own = surface(fit)
    with pytest.raises(ValueError, match="law chinchilla needs N, D; D is missing"):
        own.loss(N=1e9)
    with pytest.raises(ValueError, match="a surface has its levels already"):
        surface(own, centre=True)
    assert surface(own) is own
    with pytest.raises(
        ValueError, match="law chinchilla is of loss in N, D; this needs a law of loss in N, U"
    ):
        own.holds("N", "U")
    pooled = Model(models.load("chinchilla"), noise.log_normal, (Pooling(("A",), by="corpus"),), effects=())
    with pytest.raises(ValueError, match="A differ by corpus; say which corpus: one of x, y"):
        surface(fit.replace(model=pooled))
