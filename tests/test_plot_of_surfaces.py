"""Figures of surfaces: curves of equal compute, contours and the frontier are what the fit says."""

import numpy as np
import pytest

from bayescale import models, plot
from bayescale.plot_style import written
from tests.figures import RUNS, best_n, fit_of, known, lines, loss_of, xs, ys


@pytest.mark.parametrize("against", ["N", "D", "D/N"])
def test_curves_of_equal_compute_and_the_band_of_their_best(against):
    fit, own = known()
    budgets = [1e20, 1e21]
    axes = plot.isoflop(fit, compute=budgets, against=against)
    of = {"N": lambda N, C: N, "D": lambda N, C: C / (6 * N), "D/N": lambda N, C: C / (6 * N**2)}[against]
    back = {"N": lambda x, C: x, "D": lambda x, C: C / (6 * x), "D/N": lambda x, C: np.sqrt(C / (6 * x))}[
        against
    ]
    ends = {text.get_text(): text.xy for text in axes.texts}
    for C in budgets:
        x, loss = ends[f"{written('C', C)} FLOP"]
        N = back(x, C)
        assert loss == pytest.approx(np.median(loss_of(own, N, C / (6 * N))), rel=1e-9)
    (best,) = lines(axes, "best split")
    for C, place in ((budgets[0], 0), (budgets[1], -1)):
        assert xs(best)[place] == pytest.approx(np.median(of(best_n(own, C), C)), rel=1e-6)
    (found,) = [c for c in axes.collections if c.get_label() == "90% of the best split"]
    x = found.get_paths()[0].vertices[:, 0]
    low, high = np.quantile(of(best_n(own, 1e20), 1e20), (0.05, 0.95))
    assert np.min(np.abs(x / low - 1)) < 1e-6
    assert np.min(np.abs(x / high - 1)) < 1e-6


def test_runs_are_drawn_with_the_curve_that_they_are_near():
    fit, _ = known()
    C = float(np.asarray(RUNS.columns["C"])[3])
    axes = plot.isoflop(fit, compute=[C])
    shown = np.concatenate([c.get_offsets() for c in axes.collections if len(c.get_offsets())])
    near = np.abs(np.log(np.asarray(RUNS.columns["C"]) / C)) < np.log(1.25)
    assert {tuple(p) for p in np.asarray(shown)} >= set(
        zip(np.asarray(RUNS.columns["N"])[near], np.asarray(RUNS.response)[near], strict=True)
    )


def test_budgets_are_in_the_range_of_the_runs_where_none_is_given():
    axes = plot.isoflop(known()[0])
    budgets = sorted(float(text.get_text().removesuffix(" FLOP")) for text in axes.texts)
    C = np.asarray(RUNS.columns["C"])
    assert len(budgets) == 5
    assert C.min() / 2 < budgets[0] < budgets[-1] < 2 * C.max()


def test_contours_are_of_the_median_loss_and_the_frontier_is_the_closed_form():
    fit, own = known()
    axes = plot.contours(fit)
    (frontier,) = lines(axes, "efficient frontier")
    C = 6 * xs(frontier) * ys(frontier)
    np.testing.assert_allclose(xs(frontier), [np.median(best_n(own, c)) for c in C], rtol=1e-6)
    checked = 0
    for drawn_at in axes.collections:
        if not hasattr(drawn_at, "levels"):
            continue
        for level, path in zip(drawn_at.levels, drawn_at.get_paths(), strict=True):
            for N, D in path.vertices[:: max(1, len(path.vertices) // 5)]:
                # Between 121 points of the axis the loss is taken as straight.
                assert np.median(loss_of(own, N, D)) == pytest.approx(level, abs=2e-3)
                checked += 1
    assert checked > 20
    ratio = lines(axes, "20 tokens per parameter")[0]
    np.testing.assert_allclose(ys(ratio) / xs(ratio), 20)


@pytest.mark.parametrize("draw", [plot.isoflop, plot.contours, plot.optimum])
def test_surfaces_are_of_laws_of_loss_in_parameters_and_tokens(draw):
    with pytest.raises(ValueError, match="law power_floor is of loss in C; this needs a law of loss in N, D"):
        draw(fit_of(models.load("power_floor").along("C")))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"against": "C"}, "against is 'C'; it is one of N, D, D/N"),
        ({"compute": [1e21, -1]}, "give positive numbers of FLOP"),
        ({"compute": []}, "give positive numbers of FLOP"),
    ],
)
def test_what_curves_of_equal_compute_cannot_be_drawn_of(options, message):
    with pytest.raises(ValueError, match=message):
        plot.isoflop(known(draws=2)[0], **options)


def test_a_budget_without_a_best_split_has_no_curve():
    fit = fit_of(draws=4)
    flat = fit.replace(draws=fit.draws | {"A": np.full((1, 4), 1e-30), "B": np.full((1, 4), 1.0)})
    with pytest.raises(ValueError, match="1e21 FLOP have no best split"):
        plot.isoflop(flat, compute=[1e21])
    assert len(xs(lines(plot.contours(flat), "efficient frontier")[0])) == 0  # and its contours no frontier
