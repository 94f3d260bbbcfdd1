"""Figures of decisions and designs: what is on them is what the decision says, and the closed forms."""

import jax
import numpy as np
import pytest
from matplotlib.figure import Figure

from bayescale import models, noise, parallel, plot
from bayescale.decide.allocate import compute_optimal
from bayescale.decide.decision import Curve, Decision
from bayescale.decide.design import design
from bayescale.decide.parabola import parabola
from bayescale.fit import Fit
from bayescale.model import Model
from bayescale.runs import Runs
from tests.figures import band, names, xs, ys

GOOD = {"at_bound": [], "mode_converged": True, "pareto_k": 0.1, "mode_agreed": 9, "mode_starts": 9}
TRUTH = {"E": 1.69, "A": 406.4, "B": 1600.0, "alpha": 0.34, "beta": 0.30}
# Five budgets of seven sizes each.
BUDGETS = np.array([1e19, 3e19, 1e20, 3e20, 1e21])
SIZES = np.geomspace(1 / 3, 3, 7)
N = (np.sqrt(BUDGETS / 6 / 50)[:, None] * SIZES).ravel()
D = np.repeat(BUDGETS, 7) / (6 * N)
WOBBLE = 1 + 0.002 * np.random.default_rng(0).standard_normal(35)
RUNS = Runs.make({"N": N, "D": D, "loss": (1.69 + 406.4 * N**-0.34 + 1600.0 * D**-0.30) * WOBBLE})


def fit_of(draws=300, *, spread=0.02, **stats):
    """A fit whose draws are about TRUTH, and those draws."""
    law, random = models.load("chinchilla"), np.random.default_rng(0)
    own = {p: v * np.exp(spread * random.standard_normal(draws)) for p, v in TRUTH.items()}
    with parallel.workbench():
        relative = law.to_reference(own, RUNS.reference, RUNS.unit)
    sites = {p: np.asarray(v)[None] for p, v in relative.items()} | {"sigma": np.full((1, draws), 0.01)}
    return Fit(Model(law, noise.log_normal, effects=()), RUNS, sites, "laplace", GOOD | stats), own


def best_n(own, C):
    a, b = own["alpha"], own["beta"]
    return (a * own["A"] / (b * own["B"])) ** (1 / (a + b)) * (C / 6) ** (b / (a + b))


def loss_of(own, N, D):
    return own["E"] + own["A"] * N ** -own["alpha"] + own["B"] * D ** -own["beta"]


def decision(values, *, beyond=0.0, choice=None, unit="parameters", quantity="N"):
    draws = {quantity: np.asarray(values, float)}
    return Decision("asked", {}, draws, {quantity: unit}, {"C": beyond}, choice or {}, None, (), ())


def lines(axes, label):
    return [line for line in axes.get_lines() if line.get_label() == label]


# ---- One answer


def test_an_answer_is_its_median_its_interval_and_the_choice():
    values = np.random.default_rng(0).normal(7e10, 5e9, 1000)
    axes = plot.answer(decision(values, choice={"N": 6.9e10}), "N")
    low, middle, high = np.quantile(values, (0.05, 0.5, 0.95))
    np.testing.assert_allclose(xs(lines(axes, "90%")[0]), [low, high])
    np.testing.assert_allclose(xs(lines(axes, "median")[0]), middle)
    np.testing.assert_allclose(xs(lines(axes, "choice")[0]), 6.9e10)
    assert axes.get_title() == "N 69.6B  (90%: 62.2B to 77.6B)"
    assert axes.get_xlabel() == "N (parameters)"


def test_an_answer_says_in_which_share_of_the_draws_it_exists():
    values = np.r_[np.full(30, np.inf), np.geomspace(1e20, 1e24, 70)]
    axes = plot.answer(decision(values, quantity="C", unit="FLOP"), "C")
    assert "defined in 70.0% of the draws" in names(axes)
    assert axes.get_xscale() == "log"
    assert "inf" in axes.get_title()


def test_an_answer_of_one_draw_is_an_estimate():
    axes = plot.answer(decision([7e10]), "N")
    assert names(axes) == ["estimate"]
    assert axes.get_title() == "N 70B"


def test_what_an_answer_is_not():
    with pytest.raises(KeyError, match="asked has no quantity 'D'; it has N"):
        plot.answer(decision([1.0]), "D")
    with pytest.raises(ValueError, match="N of asked is a finite number in none of the draws"):
        plot.answer(decision([np.inf, np.nan]), "N")


# ---- Answers along a curve


def curve_of(rows, beyond, along="C", **options):
    points = np.geomspace(1e20, 1e23, len(rows))
    return Curve(
        along, points, tuple(decision(r, beyond=b, **options) for r, b in zip(rows, beyond, strict=True))
    )


def test_answers_are_medians_with_bands_dashed_beyond_the_runs():
    rows = [np.random.default_rng(i).lognormal(i, 0.1, 400) for i in range(5)]
    axes = plot.answers(curve_of(rows, [0, 0, 0, 0.5, 1.5]), "N", reference=3.0)
    x, low, high = band(axes, "90% of the draws")
    np.testing.assert_allclose([low, high], np.quantile(rows, (0.05, 0.95), axis=1))
    (solid,), (beyond,) = lines(axes, "median"), lines(axes, "extrapolated")
    np.testing.assert_allclose(ys(solid), np.median(rows[:3], axis=1))
    np.testing.assert_allclose(ys(beyond), np.median(rows[2:], axis=1))
    assert beyond.get_linestyle() == "--"
    np.testing.assert_allclose(ys(lines(axes, "N = 3")[0]), 3.0)
    assert axes.get_xlabel() == "training compute in FLOP"
    assert axes.get_ylabel() == "N (parameters)"
    np.testing.assert_allclose(x, np.geomspace(1e20, 1e23, 5))


def test_where_an_answer_is_out_of_reach_the_line_ends_and_the_band_leaves_the_axes():
    rows = [np.r_[np.full(k, np.inf), np.linspace(1, 2, 100 - k)] for k in (60, 20, 0)]
    axes = plot.answers(curve_of(rows, [0, 0, 0], quantity="C", unit=""), "C")
    _, _, high = band(axes, "90% of the draws")
    assert (high[:2] > 10 * axes.get_ylim()[1]).all()
    assert high[2] < axes.get_ylim()[1]
    (line,) = lines(axes, "median")
    assert np.isnan(ys(line)[0])
    assert "defined in 40% of the draws or more" in names(axes)


def test_one_draw_has_no_band():
    axes = plot.answers(curve_of([[1.0], [2.0]], [0, 0]), "N")
    assert names(axes) == ["median"]
    assert not axes.collections


def test_several_curves_have_their_names_and_colours():
    rows = [np.linspace(1, 2, 50)] * 3
    axes = plot.answers({"c4": curve_of(rows, [0] * 3), "web": curve_of(rows, [0] * 3)}, "N")
    assert lines(axes, "c4")[0].get_color() != lines(axes, "web")[0].get_color()


def test_shares_are_in_percent():
    rows = [np.linspace(0.4, 0.6, 50)] * 3
    axes = plot.answers(curve_of(rows, [0] * 3, quantity="efficiency", unit=""), "efficiency")
    axes.figure.canvas.draw()
    assert any(text.get_text().endswith("%") for text in axes.get_yticklabels())


def test_what_answers_are_not():
    rows = [np.ones(3)] * 2
    with pytest.raises(ValueError, match="curves are along C, loss; give some along one thing"):
        plot.answers({"a": curve_of(rows, [0, 0]), "b": curve_of(rows, [0, 0], along="loss")}, "N")
    with pytest.raises(ValueError, match="curves are along nothing; give some along one thing"):
        plot.answers({}, "N")
    with pytest.raises(ValueError, match="N is a finite number nowhere along C"):
        plot.answers(curve_of([np.full(3, np.inf)] * 2, [0, 0]), "N")


# ---- The best split and what another wastes


def test_the_best_split_is_the_closed_form():
    fit, own = fit_of()
    axes = plot.optimum(fit, compute=[1e19, 1e23])
    x, low, high = band(axes, "90% of the draws")
    ratio = np.stack([C / (6 * best_n(own, C) ** 2) for C in x], axis=1)
    np.testing.assert_allclose([low, high], np.quantile(ratio, (0.05, 0.95), axis=0), rtol=1e-6)
    assert (x[0], x[-1]) == pytest.approx((1e19, 1e23))
    np.testing.assert_allclose(ys(lines(axes, "D/N = 20")[0]), 20)
    assert "best split" in names(axes)
    with pytest.raises(ValueError, match="give the least and the greatest budget"):
        plot.optimum(fit, compute=[1e21])
    with pytest.raises(KeyError, match="no quantity 'x'"):
        plot.optimum(fit_of(3)[0], quantity="x", compute=[1e19, 1e21])


def test_regret_is_the_compute_that_another_split_wastes():
    fit, own = fit_of()
    C = 1e22
    axes = plot.regret(fit, compute=C)
    (line,) = lines(axes, "mean")
    power = own["alpha"] * own["beta"] / (own["alpha"] + own["beta"])  # L* - E ~ C^-power
    best = best_n(own, C)
    least = loss_of(own, best, C / (6 * best)) - own["E"]
    waste = [1 - ((loss_of(own, n, C / (6 * n)) - own["E"]) / least) ** (-1 / power) for n in xs(line)]
    np.testing.assert_allclose(ys(line), np.mean(waste, axis=1), atol=2e-5)
    _, low, high = band(axes, "90% of the draws")
    np.testing.assert_allclose([low, high], np.quantile(waste, (0.05, 0.95), axis=1), atol=2e-5)
    assert axes.get_title() == "1e22 FLOP"
    (chosen,) = [line for line in axes.get_lines() if str(line.get_label()).startswith("least on average")]
    step = xs(line)[1] / xs(line)[0]
    assert np.abs(np.log(xs(chosen)[0] / compute_optimal(fit, C).choice["N"])) < np.log(step)


def test_regret_of_a_point_is_nothing_at_its_best():
    fit, own = fit_of(1, spread=0.0)
    axes = plot.regret(fit, compute=1e22)
    (line,) = lines(axes, "chinchilla")
    assert ys(line).min() == pytest.approx(0, abs=1e-6)
    assert xs(line)[ys(line).argmin()] == pytest.approx(best_n(own, 1e22)[0], rel=1e-6)
    assert not axes.collections


def test_a_budget_without_a_best_split_has_no_regret():
    fit, _ = fit_of(4)
    flat = fit.replace(draws=fit.draws | {"A": np.full((1, 4), 1e-30), "B": np.full((1, 4), 1.0)})
    with pytest.raises(ValueError, match="1e22 FLOP have no best split"):
        plot.regret(flat, compute=1e22)


# ---- Designs and approaches


@pytest.fixture(scope="module")
def designed():
    fit, rival = fit_of()[0], fit_of(spread=0.04)[0]
    rival = rival.replace(model=rival.model.replace(noise=noise.log_normal.scaled("D/N")))
    rival = rival.replace(draws=rival.draws | {"slope_D_per_N": np.zeros((1, 300))})
    return design(fit, "N@1e23", 1e21, batch=2, rivals=[rival])


def test_candidates_are_where_they_are_and_coloured_by_what_they_tell_for_each_flop(designed):
    axes = plot.design(designed)
    (shown,) = [c for c in axes.collections if len(c.get_offsets()) == len(designed)]
    np.testing.assert_allclose(
        shown.get_offsets(), np.stack([designed.points["N"], designed.points["D/N"]], axis=1)
    )
    rate = designed.own / designed.cost
    np.testing.assert_allclose(shown.get_array(), np.clip(rate / rate.max(), 1e-3, 1))
    rings = [line for line in axes.get_lines() if str(line.get_label()).startswith("run next")]
    places = {(float(xs(line)[0]), float(ys(line)[0])) for line in rings}
    assert places == {
        (float(designed.points["N"][i]), float(designed.points["D/N"][i])) for i in designed.batch
    }
    assert axes.get_title() == "the variance of ln N* at 1e23 FLOP"
    (runs,) = lines(axes, "runs there are")
    np.testing.assert_allclose(xs(runs), N)


def test_a_rival_has_its_own_picture(designed):
    _, name = designed.removed
    axes = plot.design(designed, under=name)
    (shown,) = [c for c in axes.collections if len(c.get_offsets()) == len(designed)]
    rate = designed.removed[name] / designed.cost
    np.testing.assert_allclose(shown.get_array(), np.clip(rate / rate.max(), 1e-3, 1))
    assert axes.get_title().endswith(f", if it is {name}")
    with pytest.raises(ValueError, match="there is no rival 'kaplan'"):
        plot.design(designed, under="kaplan")


def test_candidates_without_parameters_and_tokens_have_no_picture(designed):
    from dataclasses import replace

    with pytest.raises(ValueError, match="the candidates are in C; to draw them they need N and D"):
        plot.design(replace(designed, points={"C": designed.cost}))


@pytest.mark.parametrize("quantity", ["N", "D/N"])
def test_approaches_stand_beside_the_law(quantity):
    fit, own = fit_of()
    found = parabola(jax.random.key(0), RUNS, replicates=100)
    axes = plot.optima(fit, [found], quantity=quantity)
    (markers,) = [line for line in axes.get_lines() if line.get_marker() == "s"]
    expected = {"N": found.N, "D/N": found.D / found.N}[quantity]
    np.testing.assert_allclose(xs(markers), found.budgets)
    np.testing.assert_allclose(ys(markers), expected)
    (line,) = lines(axes, "parabola")
    np.testing.assert_allclose(ys(line), [found.estimate(C)[quantity] for C in xs(line)])
    (solid,) = lines(axes, "best split")
    of = {"N": lambda n, C: n, "D/N": lambda n, C: C / (6 * n**2)}[quantity]
    np.testing.assert_allclose(ys(solid), [np.median(of(best_n(own, C), C)) for C in xs(solid)], rtol=1e-6)


def test_approaches_have_three_quantities():
    with pytest.raises(ValueError, match="quantity is 'loss'; it is one of N, D, D/N"):
        plot.optima(fit_of(2)[0], [], quantity="loss")


def test_axes_given_are_the_axes_drawn_on(designed):
    axes = Figure().subplots(1, 3)
    assert plot.answer(decision([1.0, 2.0]), "N", axes[0]) is axes[0]
    assert plot.design(designed, axes[1]) is axes[1]
    assert plot.regret(fit_of(3)[0], axes[2], compute=1e21) is axes[2]
