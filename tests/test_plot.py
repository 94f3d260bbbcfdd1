"""Figures: what is on them, and that each kind of fit can be drawn."""

import io

import jax
import numpy as np
import pytest
from matplotlib.figure import Figure

from bayescale import models, noise, parallel, plot
from bayescale.fit import Fit
from bayescale.law import Law
from bayescale.model import Model
from bayescale.pooling import Pooling
from bayescale.runs import Runs

GOOD = {"at_bound": [], "mode_converged": True, "pareto_k": 0.1, "mode_agreed": 9, "mode_starts": 9}
RUNS = Runs.make(
    {
        "N": np.tile(np.geomspace(1e8, 1e10, 6), 2),
        "D": np.repeat([20, 200], 6) * np.tile(np.geomspace(1e8, 1e10, 6), 2),
        "loss": np.concatenate([np.linspace(3.3, 2.3, 6), np.linspace(3.1, 2.2, 6)]),
        "family": ["one"] * 6 + ["two"] * 6,
    }
)
BY_FAMILY = (Pooling(("A",), by="family"),)


def fit_of(law: str | Law = "chinchilla", *, draws=200, pooling=(), method="laplace", **stats):
    law = models.load(law) if isinstance(law, str) else law
    model = Model(law, noise.log_normal, pooling, effects=())
    with parallel.workbench():
        found = {
            name: np.asarray(of.sample(jax.random.fold_in(jax.random.key(1), i), (1, draws)))
            for i, (name, of) in enumerate(model.priors.items())
        }
    for p in pooling:
        found[f"{p.vary[0]}_by_{p.by}"] = np.tile([0.1, -0.1], (1, draws, 1))
        found[f"{p.vary[0]}_by_{p.by}_scale"] = np.linspace(0.05, 0.2, draws)[None]
    return Fit(model, RUNS, found, method, GOOD | stats)


def xs(line):
    return np.asarray(line.get_xdata(), float)


def names(axes):
    return axes.get_legend_handles_labels()[1]


def drawn(figure):
    figure.savefig(io.BytesIO(), format="png", dpi=40)  # what is drawn lazily is drawn
    return figure


def test_levels_differ_by_colour_and_by_marker_and_the_frontier_goes_a_decade_on():
    axes = plot.loss_curves(fit_of(pooling=BY_FAMILY))
    assert names(axes) == ["one", "two", "compute-optimal, typical family", "extrapolated"]
    points = [line for line in axes.get_lines() if line.get_label() in ("one", "two")]
    assert len({line.get_color() for line in points}) == len({str(line.get_marker()) for line in points}) == 2
    np.testing.assert_array_equal(points[0].get_ydata(), np.asarray(RUNS.response)[:6])
    (beyond,) = [line for line in axes.get_lines() if line.get_label() == "extrapolated"]
    last = np.max(RUNS.columns["C"])
    assert beyond.get_linestyle() == "--"
    assert (xs(beyond).min(), xs(beyond).max()) == pytest.approx((last, 10 * last))
    assert axes.get_xscale() == "log"
    assert axes.get_xlabel() == "training compute in FLOP"


def test_the_frontier_lies_under_the_runs_fitted():
    fit = fit_of(draws=1, method="map")
    axes = plot.loss_curves(fit)
    (frontier,) = [line for line in axes.get_lines() if line.get_label() == "compute-optimal"]
    C, fitted = np.asarray(RUNS.columns["C"]), fit.predict(RUNS.columns)[0]
    least = np.interp(np.log(C), np.log(xs(frontier)), np.asarray(frontier.get_ydata(), float))
    assert (fitted >= least - 1e-3).all()  # 25 points joined by lines


def test_against_parameters_there_is_no_frontier():
    axes = plot.loss_curves(fit_of(pooling=BY_FAMILY), covariate="N")
    assert names(axes) == ["one", "two"]
    assert axes.get_xlabel() == "parameters"
    with pytest.raises(ValueError, match="the runs have no column U; they have N, D, C"):
        plot.loss_curves(fit_of(), covariate="U")


def test_a_law_in_one_covariate_is_a_curve():
    axes = plot.loss_curves(fit_of(models.load("power_floor").along("C")))
    assert names(axes) == ["runs", "power_floor", "extrapolated"]


def test_an_optimum_that_is_nowhere_is_said():
    fit = fit_of(draws=4)
    flat = fit.draws | {"A": np.full((1, 4), 1e-30), "B": np.full((1, 4), 1.0)}
    axes = plot.loss_curves(fit.replace(draws=flat))
    assert "no compute-optimal frontier" in names(axes)


def test_prior_and_posterior_of_a_fit_that_learned_nothing_are_the_same():
    fit = fit_of(draws=4000)
    panels = plot.parameters(fit)
    assert [panel.get_title().split()[0] for panel in panels] == ["E", "α", "β"]
    for panel in panels:
        prior, posterior = panel.get_lines()[:2]
        assert prior.get_linestyle() == "--"
        top = np.max(prior.get_ydata())
        # 4000 draws and a kernel: the density is good to some 10% of its top.
        np.testing.assert_allclose(posterior.get_ydata(), prior.get_ydata(), atol=0.15 * top)
    assert panels[0].get_xlim()[1] < 1.2 * np.asarray(RUNS.unit).item()  # E in nats, at most the least loss


def test_axes_given_are_the_axes_drawn_on():
    axes = Figure().subplots()
    assert plot.loss_curves(fit_of(), axes) is axes
    panels = Figure().subplots(1, 3)
    assert list(plot.parameters(fit_of(), panels)) == list(panels)
    with pytest.raises(ValueError, match="1 axes for E, alpha, beta; give 3"):
        plot.parameters(fit_of(), [axes])


@pytest.mark.parametrize("law", ["chinchilla", "kaplan", "constant"])
def test_a_figure_says_its_verdict(law):
    figure = drawn(plot.figure(fit_of(law)))
    assert tuple(figure.get_size_inches()) == (10, 7)
    assert "converged (laplace)" in figure.get_suptitle()
    bad = drawn(plot.figure(fit_of(law, pareto_k=0.9)))
    assert bad.get_suptitle() == "NOT CONVERGED"
    assert "Pareto-k 0.90" in bad.axes[0].get_title()


def test_a_point_fit_and_a_pooled_one_can_be_drawn():
    for fit in (fit_of(draws=1, method="map"), fit_of(pooling=BY_FAMILY)):
        figure = drawn(plot.figure(fit))
        # Every run has its mark, and every panel has something in it.
        marked = [line for line in figure.axes[0].lines if line.get_marker() not in ("None", "", None)]
        assert sum(len(line.get_xdata()) for line in marked) == len(fit.runs)
        assert all(axes.lines or axes.patches or axes.collections for axes in figure.axes)
