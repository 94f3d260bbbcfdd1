"""Gains of recipes and of runs: closed forms where floors are shared, curves where not, joint draws, and OOMs."""

import re

import jax
import numpy as np
import pytest

from bayescale import models
from bayescale.check.published import published
from bayescale.decide.decision import curve
from bayescale.decide.effective import effective_compute
from bayescale.decide.gain import compute_equivalent_gain, relative_efficiency, speedup
from bayescale.decide.pairs import paired
from bayescale.decide.predict import predict_loss
from bayescale.decide.surface import surface
from bayescale.pooling import Pooling
from tests.made import BESIROGLU, PRINTED, TEX, closed_form, fit_of, some

LAW = models.load("chinchilla")
LADDER = published(models.load("power_floor").along("C"), {"E": "1.6", "A": "95.18", "alpha": "0.0941"})


def pooled(shifts, parameter="A", natural=None, draws=200):
    """A fit whose corpora x and y have a parameter exp(shift) times that of the centre."""
    natural = some(BESIROGLU, draws=draws) if natural is None else natural
    moved = np.stack([np.broadcast_to(s, draws) for s in shifts], axis=1)[None]
    deviations = {f"{parameter}_by_corpus": moved, f"{parameter}_by_corpus_scale": np.full((1, draws), 0.3)}
    return fit_of("chinchilla", natural, pooling=(Pooling((parameter,), by="corpus"),), deviations=deviations)


def K_of(A, B, alpha, beta):
    G = (alpha * A / (beta * B)) ** (1 / (alpha + beta))
    return A * G**-alpha + B * G**beta


@pytest.mark.parametrize("compute", [1e20, 1e24])
def test_with_a_shared_floor_and_exponents_the_gain_is_the_same_at_every_compute(compute):
    """(K_over / K_of)^(1 / gamma)."""
    natural = some(BESIROGLU)
    fit = pooled((-0.1, 0.2), natural=natural)
    found = compute_equivalent_gain(surface(fit, corpus="x"), surface(fit, corpus="y"), compute)
    A, B, alpha, beta = (natural[p] for p in ("A", "B", "alpha", "beta"))
    K = {c: K_of(A * np.exp(s), B, alpha, beta) for c, s in (("x", -0.1), ("y", 0.2))}
    gamma = alpha * beta / (alpha + beta)
    np.testing.assert_allclose(found["gain"], (K["y"] / K["x"]) ** (1 / gamma), rtol=1e-8)
    assert found.probability("gain", above=1) == 1
    assert found.asked == {"C": compute, "corpus": "x", "over corpus": "y"}


@pytest.mark.parametrize(("shift", "recipe"), [(-0.01, "corpus=x"), (0.01, "corpus=y")])
def test_the_recipe_that_wastes_less(shift, recipe):
    """With a shared floor and exponents the other recipe needs 1 / gain times the compute, the other way round."""
    natural = some(BESIROGLU)
    shifts = shift + 0.05 * np.random.default_rng(1).standard_normal(200)
    fit = pooled((shifts, np.zeros(200)), natural=natural)
    found = compute_equivalent_gain(surface(fit, corpus="x"), surface(fit, corpus="y"), 1e22)
    A, B, alpha, beta = (natural[p] for p in ("A", "B", "alpha", "beta"))
    ratio = K_of(A, B, alpha, beta) / K_of(A * np.exp(shifts), B, alpha, beta)
    gain = ratio ** ((alpha + beta) / (alpha * beta))
    wasted = {
        "corpus=x": np.maximum(1 - gain, 0),
        "corpus=y": np.maximum(1 - 1 / gain, 0),
    }
    assert found.choice == {"recipe": recipe}
    assert wasted[recipe].mean() == min(one.mean() for one in wasted.values())
    np.testing.assert_allclose(found.regret, wasted[recipe], atol=1e-7)
    assert found.advice.startswith(f"choose recipe = {recipe}, which wastes ")


def test_with_floors_of_their_own_the_gain_grows_with_compute_without_end():
    fit = pooled((-0.05, 0.0), parameter="E", natural={p: np.full(200, v) for p, v in BESIROGLU.items()})
    recipes = surface(fit, corpus="x"), surface(fit, corpus="y")
    found = curve(lambda C: compute_equivalent_gain(*recipes, C), C=[1e18, 1e21, 1e24, 1e27])
    gains = found["gain"][0]
    assert (np.diff(gains) > 0).all()
    assert np.isinf(gains[-1])  # the other recipe never does as well
    np.testing.assert_array_equal(found.probability("gain", above=1), 1)
    for one in found.decisions:
        assert one.choice == {"recipe": "corpus=x"}
        assert (one.regret == 0).all()


def test_draws_of_one_fit_belong_together():
    """The two corpora share a floor that is poorly known, and a difference that is well known."""
    natural = some(BESIROGLU, sd=0.0)
    natural["E"] = natural["E"] * np.exp(0.05 * np.random.default_rng(0).standard_normal(200))
    fit = pooled((-0.05, 0.05), natural=natural)
    x, y = surface(fit, corpus="x"), surface(fit, corpus="y")
    together = compute_equivalent_gain(x, y, 1e22)
    apart = compute_equivalent_gain(x, y, 1e22, joint=False)
    assert together["gain"].std() < 1e-6
    assert apart["gain"].std() > 0.1


def test_draws_of_two_fits_are_shuffled_cut_and_repeated():
    first, second = (surface(fit_of("chinchilla", some(BESIROGLU, draws=d))) for d in (200, 50))
    point = surface(published(LAW, BESIROGLU))
    one, other = paired(first, second)
    assert (len(one), len(other)) == (50, 50)
    assert set(other.own["A"]) == set(second.own["A"])
    assert not np.array_equal(other.own["A"], second.own["A"])
    assert [len(s) for s in paired(first, point)] == [200, 200]
    assert [len(s) for s in paired(point, first)] == [200, 200]
    same = surface(first.fit)
    np.testing.assert_array_equal(paired(first, same)[1].own["A"], same.own["A"])
    with pytest.raises(ValueError, match="200 and 50 draws cannot belong together"):
        paired(first, second, joint=True)


def test_two_fits_of_different_laws():
    """What the law of one loses to that of the other at the optimum of either, by the closed forms."""
    first, second = published(LAW, TEX), published(LAW, BESIROGLU)
    found = compute_equivalent_gain(first, second, 1e22)
    loss = closed_form(1e22, **TEX)[2]
    assert found["loss"][0] == pytest.approx(loss, rel=1e-12)
    assert found.choice == {"recipe": "the first" if found["gain"][0] > 1 else "the second"}
    A, B, E, alpha, beta = (BESIROGLU[p] for p in ("A", "B", "E", "alpha", "beta"))
    gamma = alpha * beta / (alpha + beta)
    assert found["C needed"][0] == pytest.approx(
        6 * (K_of(A, B, alpha, beta) / (loss - E)) ** (1 / gamma), rel=1e-8
    )


@pytest.mark.parametrize(("parameters", "gain"), [(BESIROGLU, 2.0), (TEX, 2.8), (PRINTED, 3.3)])
def test_chinchilla_over_gopher(parameters, gain):
    fit = published(LAW, parameters)
    chinchilla, gopher = {"N": 70e9, "D": 1.4e12}, {"N": 280e9, "D": 300e9}
    found = relative_efficiency(fit, chinchilla, gopher)
    assert found["gain"][0] == pytest.approx(gain, abs=0.05)
    back = relative_efficiency(fit, gopher, chinchilla)
    assert back["gain"][0] == pytest.approx(1 / found["gain"][0])
    assert found.asked == {"N of": 70e9, "D of": 1.4e12, "N over": 280e9, "D over": 300e9}
    assert found.choice == back.choice == chinchilla
    assert found.regret[0] == back.regret[0] == 0


def test_the_run_that_wastes_less():
    """Efficiencies from the closed form of the compute of a loss."""
    natural = some(BESIROGLU, sd=0.02)
    A, B, alpha, beta = (natural[p] for p in ("A", "B", "alpha", "beta"))
    runs, found = ({"N": 10e9, "D": 1.7e12}, {"N": 100e9, "D": 170e9}), []
    for run in runs:
        above = A * run["N"] ** -alpha + B * run["D"] ** -beta
        C = 6 * (K_of(A, B, alpha, beta) / above) ** ((alpha + beta) / (alpha * beta))
        found.append(C / (6 * run["N"] * run["D"]))
    wasted = [np.maximum(1 - found[0] / found[1], 0), np.maximum(1 - found[1] / found[0], 0)]
    best = int(wasted[1].mean() < wasted[0].mean())
    decided = relative_efficiency(fit_of("chinchilla", natural), *runs)
    assert decided.choice == runs[best]
    np.testing.assert_allclose(decided.regret, wasted[best], atol=1e-7)
    assert 0 < decided.regret.mean() < 0.5


def test_the_speedup_of_a_ladder_does_not_depend_on_the_budget():
    """Marin's gate: ((L_worse - E) / (L_better - E))^(1 / alpha)."""
    for better, worse in ((2.5, 2.6), (2.252, 2.606)):
        found = speedup(LADDER, better, worse)
        assert found["speedup"][0] == pytest.approx(
            ((worse - 1.6) / (better - 1.6)) ** (1 / 0.0941), rel=1e-9
        )
    # Two recipes along the ladder, one of which needs half the compute, wherever they are trained.
    for compute in (1e19, 1e23):
        losses = surface(LADDER).loss(C=[2 * compute, compute])[0]
        assert speedup(LADDER, *losses)["speedup"][0] == pytest.approx(2, rel=1e-9)
    assert np.isinf(speedup(LADDER, 1.5, 2.0)["speedup"][0])
    assert np.isnan(speedup(LADDER, 1.4, 1.5)["speedup"][0])


def test_a_gain_along_a_law_of_compute():
    half = published(
        models.load("power_floor").along("C"), {"E": "1.6", "A": str(95.18 * 2**-0.0941), "alpha": "0.0941"}
    )
    found = compute_equivalent_gain(half, LADDER, 1e21)
    assert found["gain"][0] == pytest.approx(2, rel=1e-9)


def test_orders_of_magnitude_add_up_draw_by_draw():
    gains = {"data": np.array([2.0, 4.0, 8.0]), "schedule": np.array([5.0, 2.5, 1.25]), "kernel": 10.0}
    found = effective_compute(1e24, gains, years=2.0)
    np.testing.assert_allclose(found["OOM"], 2)  # what one draw has more of data, it has less of the schedule
    np.testing.assert_allclose(found["effective C"], 1e26)
    np.testing.assert_allclose(found["OOM of data"], np.log10(gains["data"]))
    np.testing.assert_allclose(found["doubling time"], 24 * np.log10(2) / 2)
    # Ho et al. 2024: a doubling in 8.4 months is 4.3 orders of magnitude in ten years.
    one = effective_compute(1.0, {"algorithms": 2 ** (120 / 8.4)}, years=10)
    assert one["doubling time"][0] == pytest.approx(8.4)


def test_what_comes_to_nothing_never_doubles():
    found = effective_compute(1e24, {"data": np.array([0.5, 1.0, 2.0, np.nan])}, years=2.0)
    np.testing.assert_array_equal(found["doubling time"], [np.inf, np.inf, 24, np.nan])


def test_the_better_loss_is_the_lower_one():
    with pytest.raises(ValueError, match=r"better is 2 and worse is 1\.5; better is the lower loss"):
        speedup(LADDER, 2.0, 1.5)


def test_what_is_said_of_a_gain_is_said_of_what_is_made_of_it():
    fit = pooled((-0.1, 0.2)).replace(stats={"at_bound": ["A"], "mode_converged": True})
    found = compute_equivalent_gain(surface(fit, corpus="x"), surface(fit, corpus="y"), 1e25)
    assert [f.code for f in found.findings] == ["EXTRAP"]
    total = effective_compute(1e25, {"corpus": found})
    assert total.findings == found.findings
    assert total.trouble == found.trouble == ("A ran to the bound",)
    assert total.verdict.startswith("NOT CONVERGED (A ran to the bound)")


def test_a_prediction_is_that_of_the_fit():
    fit = pooled((-0.1, 0.2))
    point = {"N": 7e10, "D": 1.4e12}
    found = predict_loss(fit, point, corpus="x")
    np.testing.assert_array_equal(
        found["loss"], fit.predict({c: [v] for c, v in point.items()}, corpus="x")[:, 0]
    )
    assert [f.code for f in found.findings] == ["EXTRAP"]
    assert found.asked == {"N": 7e10, "D": 1.4e12, "kind": "mean", "corpus": "x"}
    new = predict_loss(fit, point, kind="new_level", key=jax.random.key(0))
    assert new["loss"].std() > found["loss"].std()
    with pytest.raises(ValueError, match="kind 'new_run' is drawn at random: give a key"):
        predict_loss(fit, point, kind="new_run", corpus="x")


def test_what_is_refused():
    with pytest.raises(ValueError, match="there are no gains to count"):
        effective_compute(1e24, {})
    with pytest.raises(ValueError, match="gains have different numbers of draws: a 2, b 3"):
        effective_compute(1e24, {"a": np.ones(2), "b": np.ones(3)})
    along = published(models.load("power").along("D"), {"A": "26.58", "alpha": "0.050"})
    with pytest.raises(
        ValueError, match=re.escape("law power is of loss in D; this needs a law of loss in N, D")
    ):
        compute_equivalent_gain(along, LADDER, 1e21)


@pytest.mark.parametrize("wrong", [-2.0, np.zeros(0)])
def test_gains_that_are_no_factors_are_refused(wrong):
    with pytest.raises(ValueError, match="the gain data has"):
        effective_compute(1e24, {"data": wrong})
