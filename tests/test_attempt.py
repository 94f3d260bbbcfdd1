"""The one run to do for a target: against a closed form for log-normal needs, and against every run of a grid."""

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import norm

from bayescale import models
from bayescale.check.published import published
from bayescale.decide.attempt import amount, stake
from bayescale.decide.inference import Price, inference_optimal
from bayescale.decide.invert import compute_for, data_for, params_for
from tests.made import BESIROGLU, closed_form, fit_of, some

LAW = models.load("chinchilla")
LOSS = 1.95


def by_hand(natural, needed, N, D, served=0.0, loss=LOSS):
    """What a run wastes in each draw of the law, from the formula of its loss alone."""
    A, B, E, alpha, beta = (natural[p] for p in ("A", "B", "E", "alpha", "beta"))
    reached = E + A * N**-alpha + B * D**-beta <= loss * (1 + 1e-12)
    return np.where(reached, 1 - needed / (6 * N * (D + served)), 1.0)


def best_of_a_grid(natural, needed, run, served=0.0):
    """The least mean waste of 151 x 151 runs, to a factor of two and a half of one that is said to be best."""
    steps = np.exp(np.linspace(-0.9, 0.9, 151))
    return min(
        by_hand(natural, needed, run["N"] * n, run["D"] * d, served).mean() for n in steps for d in steps
    )


@pytest.mark.parametrize(("sd", "reached"), [(0.1, 0.96), (0.5, 0.85), (1.0, 0.76), (2.0, 0.66)])
def test_log_normal_needs(sd, reached):
    """phi(z - s) = s Phi(z - s), and what is wasted is 1 - exp(s^2 / 2 - z s) Phi(z - s)."""
    z = brentq(lambda z: norm.pdf(z - sd) - sd * norm.cdf(z - sd), -5, 10)
    needed = np.exp(sd * norm.ppf((np.arange(20_000) + 0.5) / 20_000))  # quantiles: no Monte-Carlo error
    spent, regret = amount(np.random.default_rng(0).permutation(needed))
    assert regret.mean() == pytest.approx(1 - np.exp(sd**2 / 2 - z * sd) * norm.cdf(z - sd), abs=1e-3)
    assert np.log(spent) == pytest.approx(z * sd, abs=0.05)  # it is flat there
    assert np.mean(regret < 1) == pytest.approx(norm.cdf(z), abs=0.02)
    assert np.mean(regret < 1) == pytest.approx(reached, abs=0.02)


def test_several_plans_at_once():
    needed = np.array([1.0, 2.0, np.inf])
    takes = np.array([[1.0, 4.0], [2.0, 2.0], [np.inf, np.inf]])
    spent, regret = stake(needed, takes)
    # By the first plan 2 reaches both: 1 - (1/2 + 1) / 3. By the second 2 is wasted but for the second draw.
    np.testing.assert_allclose(spent, [2.0, 2.0])
    np.testing.assert_allclose(regret, [0.5, 1 - 1 / 3])


@pytest.mark.parametrize("sd", [0.002, 0.02])
def test_no_run_of_a_grid_wastes_less(sd):
    natural = some(BESIROGLU, sd=sd)
    fit = fit_of("chinchilla", natural)
    found = compute_for(fit, LOSS)
    expected = by_hand(natural, found["C"], found.choice["N"], found.choice["D"])
    np.testing.assert_allclose(found.regret, expected, atol=1e-7)
    assert found.regret.mean() < best_of_a_grid(natural, found["C"], found.choice) + 1e-4
    assert found.choice["C"] == pytest.approx(6 * found.choice["N"] * found.choice["D"])
    middle = {q: np.median(found[q]) for q in "ND"}
    assert found.regret.mean() < by_hand(natural, found["C"], **middle).mean()
    assert f"all of it in {np.mean(found.regret == 1):.1%} of the draws" in found.advice
    assert found.to_dict()["regret"]["all"] == np.mean(found.regret == 1)


def test_serving_is_paid_for_too():
    natural, T = some(BESIROGLU, sd=0.005), 2e12
    fit = fit_of("chinchilla", natural)
    found = inference_optimal(fit, T, loss=LOSS)
    run = found.choice
    np.testing.assert_allclose(
        found.regret, by_hand(natural, found["total"], run["N"], run["D"], T / 3), atol=1e-7
    )
    assert found.regret.mean() < best_of_a_grid(natural, found["total"], run, T / 3) + 1e-4
    assert run["total"] == pytest.approx(6 * run["N"] * run["D"] + 2 * run["N"] * T)
    price = Price(2.0, 1e15, 0.4)
    bought = inference_optimal(fit, T, loss=LOSS, training=price, serving=price)
    assert bought.choice["total"] == pytest.approx(run["total"] * price.flop)
    np.testing.assert_allclose(bought.regret, found.regret, atol=1e-9)


def test_tokens_or_parameters_alone():
    natural = some(BESIROGLU, sd=0.005)
    fit = fit_of("chinchilla", natural)
    for found, covariate, run in (
        (data_for(fit, LOSS, at={"N": 1e11}), "D", {"N": 1e11}),
        (params_for(fit, LOSS, at={"D": 1e13}), "N", {"D": 1e13}),
    ):
        run = run | {covariate: found.choice[covariate]}
        np.testing.assert_allclose(found.regret, by_hand(natural, found["C"], **run), atol=1e-7)
        others = [
            by_hand(natural, found["C"], **run | {covariate: x}).mean() for x in np.sort(found[covariate])
        ]
        assert found.regret.mean() == pytest.approx(min(others), abs=1e-7)
        assert found.choice["C"] == pytest.approx(6 * run["N"] * run["D"])


def test_one_draw_wastes_nothing():
    fit = published(LAW, BESIROGLU)
    for found in (compute_for(fit, LOSS), inference_optimal(fit, 1e12, loss=LOSS)):
        assert found.regret[0] == pytest.approx(0, abs=1e-8)
        for quantity in found.choice:
            assert found.choice[quantity] == pytest.approx(found[quantity][0], rel=1e-6)


def test_what_is_out_of_reach_wastes_every_run():
    natural = some(BESIROGLU, sd=0.02)
    fit = fit_of("chinchilla", natural)
    found = compute_for(fit, 1.83)
    out = natural["E"] >= 1.83
    assert 0.1 < out.mean() < 0.9
    assert (found.regret[out] == 1).all()
    none = compute_for(fit, 1.2)
    assert none.choice == {}
    assert none.regret is None
    assert none.advice == ""
    assert data_for(fit, 1.2, at={"N": 1e11}).regret is None
    assert inference_optimal(fit, 1e12, loss=1.2).choice == {}


def test_a_loss_for_each_draw():
    """The loss that each draw's own best split of 1e22 FLOP has: more is needed because one N has to serve all."""
    natural = some(BESIROGLU, sd=0.02)
    fit = fit_of("chinchilla", natural)
    loss = closed_form(1e22, **natural)[2]
    found = compute_for(fit, loss)
    expected = by_hand(natural, 1e22, found.choice["N"], found.choice["D"], loss=loss)
    np.testing.assert_allclose(found.regret, expected, atol=1e-6)
    assert 1e22 < found.choice["C"] < 1.3e22


def test_what_costs_nothing_calls_for_no_run():
    m4 = {"E": "1.7", "L0": "10", "A": "1e4", "alpha": "0.2", "a": "1"}
    found = compute_for(published(models.load("m4").along("C"), m4), 11.0)  # above the loss at chance
    assert found.choice == {}
    along = published(models.load("power").along("C"), {"A": "26.58", "alpha": "0.050"})
    assert compute_for(along, 2.0).choice["C"] == pytest.approx(compute_for(along, 2.0)["C"][0])
