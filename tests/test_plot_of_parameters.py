"""Figures of parameters: prior and posterior, by level, in pairs and beside a bootstrap, are of the draws."""

from types import SimpleNamespace

import jax
import numpy as np
import numpyro.distributions as dist
import pytest
from matplotlib.figure import Figure
from scipy.stats import gaussian_kde, norm

from bayescale import models, noise, parallel, plot
from bayescale.fit import Fit
from bayescale.infer.replicates import CONVERGED
from bayescale.infer.study import Study
from bayescale.law import Law
from bayescale.model import Model
from bayescale.plot_of_parameters import density
from bayescale.pooling import Effect, Pooling
from bayescale.runs import Runs

GOOD = {"at_bound": [], "mode_converged": True, "pareto_k": 0.1, "mode_agreed": 9, "mode_starts": 9}
C = np.geomspace(1e18, 1e22, 12)
LEVELS = ("c4", "web", "books")
RUNS = Runs.make({"C": C, "loss": 1.5 + 300 * C**-0.12, "corpus": list(LEVELS) * 4}, factors=["corpus"])
LAW = models.load("power_floor").along("C")
DRAWS = 2000


def fit_of(*, draws=DRAWS, scatter=noise.log_normal, pooling=(), effects=(), **sites):
    random = np.random.default_rng(1)
    found = {
        "E": 0.8 * np.exp(0.02 * random.standard_normal((1, draws))),
        "A": 0.3 * np.exp(0.1 * random.standard_normal((1, draws))),
        "alpha": 0.12 * np.exp(0.05 * random.standard_normal((1, draws))),
        "sigma": np.full((1, draws), 0.01),
    }
    shifts = np.array([-0.1, 0.3, 0.0]) + 0.01 * random.standard_normal((1, draws, 3))
    for p in pooling:
        for name in p.vary:
            found[f"{name}_by_{p.by}"] = shifts
            found[f"{name}_by_{p.by}_scale"] = np.full((1, draws), 0.2)
    for effect in effects:
        found[f"{effect.by}_effect"] = shifts / 10
        found[f"{effect.by}_effect_scale"] = np.full((1, draws), 0.02)
    return Fit(Model(LAW, scatter, pooling, effects=effects), RUNS, found | sites, "laplace", GOOD)


def lines(axes, label):
    return [line for line in axes.get_lines() if line.get_label() == label]


def xs(line):
    return np.asarray(line.get_xdata(), float)


# ---- Prior and posterior


def test_prior_and_posterior_of_a_fit_that_learned_nothing_are_the_same():
    model, draws = Model(LAW, noise.log_normal, effects=()), 4000
    with parallel.workbench():
        found = {
            name: np.asarray(of.sample(jax.random.fold_in(jax.random.key(1), i), (1, draws)))
            for i, (name, of) in enumerate(model.priors.items())
        }
    panels = plot.parameters(Fit(model, RUNS, found, "laplace", GOOD), names=["E", "alpha", "sigma"])
    assert [panel.get_title().split()[0] for panel in panels] == ["E", "α", "σ"]
    for panel in panels:
        prior, posterior = panel.get_lines()[:2]
        assert prior.get_linestyle() == "--"
        top = np.max(prior.get_ydata())
        # 4000 draws and a kernel: the density is good to some 10% of its top.
        np.testing.assert_allclose(posterior.get_ydata(), prior.get_ydata(), atol=0.15 * top)
    assert panels[0].get_xlim()[1] < 1.2 * np.asarray(RUNS.unit).item()  # E in nats, at most the least loss


def test_the_interval_and_the_contraction_are_those_of_the_summary():
    fit = fit_of()
    (panel,) = plot.parameters(fit, names=["alpha"])
    row = fit.summary()["alpha"]
    (bar,) = lines(panel, "90%")
    np.testing.assert_allclose(xs(bar), [row.q5, row.q95])
    assert panel.get_title() == f"α   contraction {row.contraction:.2f}"
    assert panel.get_xlabel() == f"{row.q50:.3g}  (90%: {row.q5:.3g} to {row.q95:.3g})"


def test_a_point_is_a_line_and_says_no_interval():
    fit = fit_of(draws=1)
    for panel, name in zip(plot.parameters(fit), ("E", "alpha"), strict=True):
        (line,) = lines(panel, "estimate")
        np.testing.assert_allclose(xs(line), float(fit.centre()[name][0]))
        assert "90%" not in panel.get_xlabel()
        low, high = panel.get_xlim()
        assert low < xs(line)[0] < high


def test_the_scale_of_gaussian_noise_is_in_nats():
    fit = fit_of(scatter=noise.gaussian)
    (panel,) = plot.parameters(fit, names=["sigma"])
    assert panel.get_xlabel().startswith(f"{0.01 * float(np.min(RUNS.response)):.3g}  ")


def test_a_density_is_that_of_scipy():
    draws = np.random.default_rng(0).normal(3.0, 0.5, 2000)
    grid = np.linspace(1.5, 4.5, 50)
    # Of a normal the quartiles and the standard deviation give one width, up to what 2000 draws leave open.
    kde = gaussian_kde(draws, bw_method=0.9 * 2000**-0.2)
    np.testing.assert_allclose(density(draws, grid), kde(grid), atol=0.01)
    np.testing.assert_allclose(density(draws, grid), norm(3, 0.5).pdf(grid), atol=0.06)


def test_parameters_are_named_and_axes_counted():
    axes = Figure().subplots(1, 2)
    assert list(plot.parameters(fit_of(), axes)) == list(axes)
    with pytest.raises(ValueError, match="2 axes for E, A, alpha; give 3"):
        plot.parameters(fit_of(), axes, names=LAW.parameters)
    with pytest.raises(ValueError, match="there is no parameter beta; there are E, A, alpha, sigma"):
        plot.parameters(fit_of(), names=["beta"])


# ---- Pairs


def test_pairs_are_draws_their_densities_and_their_correlations():
    fit = fit_of()
    both = {"A": fit.draws["E"] ** 3, "alpha": fit.draws["alpha"]}
    fit = fit.replace(draws=fit.draws | both)
    axes = plot.pairs(fit)
    own = fit.centre()
    cloud = axes[2, 0].get_lines()[0]
    shown = set(zip(xs(cloud).tolist(), np.asarray(cloud.get_ydata()).tolist(), strict=True))
    assert shown <= set(zip(own["E"].tolist(), own["alpha"].tolist(), strict=True))
    assert len(shown) > 500
    (text,) = axes[0, 2].texts
    assert float(text.get_text()) == pytest.approx(np.corrcoef(own["E"], own["alpha"])[0, 1], abs=0.006)
    assert not axes[0, 2].axison
    assert [a.get_xlabel() for a in axes[-1]] == ["E", "A", "α"]
    assert [a.get_ylabel() for a in axes[:, 0]] == ["", "A", "α"]


def test_what_spans_a_decade_is_on_a_log_axis_with_its_correlation():
    fit = fit_of()
    wide = np.exp(1.5 * np.random.default_rng(2).standard_normal((1, DRAWS)))
    axes = plot.pairs(
        fit.replace(draws=fit.draws | {"sigma": wide, "E": 0.5 + 0.01 * np.log(wide)}), names=["E", "sigma"]
    )
    assert axes[1, 0].get_yscale() == axes[1, 1].get_xscale() == "log"
    assert axes[1, 0].get_xscale() == "linear"
    assert axes[0, 1].texts[0].get_text() == "1.00"  # of the logarithm, as is shown


def test_pairs_need_draws_and_as_many_axes():
    with pytest.raises(ValueError, match="a laplace fit is one point; pairs are of draws"):
        plot.pairs(fit_of(draws=1))
    with pytest.raises(ValueError, match=r"axes are \(2, 2\) for E, A, alpha; give \(3, 3\)"):
        plot.pairs(fit_of(), Figure().subplots(2, 2))


# ---- Forests

BY_CORPUS = (Pooling(("E", "A"), by="corpus"),)


def test_a_forest_has_the_levels_their_centre_and_one_not_seen_yet():
    fit = fit_of(pooling=BY_CORPUS)
    axes = plot.forest(fit)
    assert [a.get_title() for a in axes] == ["E", "A"]
    rows = [tick.get_text() for tick in axes[0].get_yticklabels()]
    assert rows == ["web", "books", "c4", "not seen yet"]  # the greatest first
    for panel, name in zip(axes, ("E", "A"), strict=True):
        intervals = [line for line in panel.get_lines() if len(xs(line)) == 2 and line.get_linewidth() == 1.2]
        for row, level in enumerate(rows[:3]):
            expected = np.quantile(fit.parameters(corpus=level)[name], (0.05, 0.95))
            np.testing.assert_allclose(xs(intervals[row]), expected)
        (centre,) = [line for line in panel.get_lines() if line.get_linestyle() == "--"]
        np.testing.assert_allclose(xs(centre), np.median(fit.centre()[name]))
        # A level not seen yet is normal about the centre on the log, of a scale of 0.2.
        spread = np.diff(np.log(xs(intervals[3])))[0]
        assert spread == pytest.approx(2 * 1.645 * np.hypot(0.2, np.std(np.log(fit.centre()[name]))), rel=0.1)


def test_a_forest_may_show_what_levels_differ_in_alone():
    fit = fit_of(pooling=BY_CORPUS)
    axes = plot.forest(fit, relative=True)
    assert [a.get_title() for a in axes] == ["E / typical E", "A / typical A"]
    (middle,) = [
        xs(line) for line in axes[0].get_lines() if line.get_marker() == "o" and line.get_ydata()[0] == 0
    ]
    assert middle[0] == pytest.approx(np.exp(0.3), rel=0.01)


def test_shocks_are_in_percent_of_the_loss():
    fit = fit_of(effects=(Effect("corpus"),))
    (panel,) = plot.forest(fit)
    assert panel.get_title() == "shock, % of the loss"
    (middle,) = [
        xs(line) for line in panel.get_lines() if line.get_marker() == "o" and line.get_ydata()[0] == 0
    ]
    assert middle[0] == pytest.approx(3.0, abs=0.1)


def test_shocks_of_success_are_on_the_logit():
    law = Law("rate", lambda C, *, p: p + 0 * C, {"p": dist.Uniform(0.0, 1.0)}, "a test", response="success")
    runs = Runs.make(
        {"C": C, "success": np.full(12, 5), "trials": np.full(12, 10), "corpus": list(LEVELS) * 4}
    )
    sites = {
        "p": np.full((1, 50), 0.5),
        "corpus_effect": np.ones((1, 50, 3)),
        "corpus_effect_scale": np.ones((1, 50)),
    }
    fit = Fit(Model(law, noise.binomial, effects=(Effect("corpus"),)), runs, sites, "laplace", GOOD)
    (panel,) = plot.forest(fit)
    assert panel.get_title() == "shock, logit"


def test_what_a_forest_cannot_be_drawn_of():
    with pytest.raises(ValueError, match="nothing differs by any factor; the model has no factor"):
        plot.forest(fit_of())
    with pytest.raises(ValueError, match="nothing differs by recipe; the model has corpus"):
        plot.forest(fit_of(pooling=BY_CORPUS), by="recipe")
    with pytest.raises(ValueError, match="1 axes for E, A; give 2"):
        plot.forest(fit_of(pooling=BY_CORPUS), [Figure().subplots()])


# ---- Bootstrap


def study_of(fit):
    """A study of the runs of a fit whose 300 replicates scatter about its first draw."""
    names = ("E", "A", "alpha", "sigma")
    records = np.zeros(300, [("state", int), *((name, float) for name in names)])
    records["state"] = CONVERGED
    for name in names:
        noise_of = np.random.default_rng(len(name)).standard_normal(300)
        records[name] = fit.draws[name][0, 0] * np.exp(0.05 * noise_of)
    point = fit.replace(draws={name: fit.draws[name][:, :1] for name in names}, method="map")
    return Study(point, None, SimpleNamespace(read=lambda number: records), 300)


def test_a_bootstrap_stands_beside_the_posterior():
    fit = fit_of()
    study = study_of(fit)
    panels = plot.bootstrap(fit, study, names=LAW.parameters)
    for panel, name in zip(panels, LAW.parameters, strict=True):
        ratio = float(panel.get_title().rsplit(" ", 1)[1])
        expected = study.describe(name).sd.value / np.std(fit.centre()[name], ddof=1)
        assert ratio == pytest.approx(expected, abs=0.006)
        (line,) = lines(panel, "bootstrap")
        height = np.asarray(line.get_ydata(), float)
        middle = np.trapezoid(xs(line) * height, xs(line)) / np.trapezoid(height, xs(line))
        assert middle == pytest.approx(study.describe(name).mean.value, rel=0.05)
        np.testing.assert_allclose(xs(lines(panel, "estimate")[0]), study.estimate(name))


def test_a_bootstrap_of_other_runs_is_refused():
    other = fit_of().replace(runs=RUNS.subset(np.arange(12) > 0))
    with pytest.raises(ValueError, match="compared with a bootstrap of the same law and the same runs"):
        plot.bootstrap(other, study_of(fit_of()))
