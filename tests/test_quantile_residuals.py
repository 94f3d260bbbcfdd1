"""Residuals: against what is known of normal noise, counted, simulated; and the figures of them."""

import numpy as np
import numpyro.distributions as dist
import pytest
from matplotlib.figure import Figure
from scipy.integrate import quad
from scipy.special import ndtri
from scipy.stats import betabinom, binom, norm, t

from bayescale import models, noise, parallel, plot
from bayescale.check.quantile_residuals import alike, quantile_residuals
from bayescale.densities import HuberDistribution
from bayescale.fit import Fit
from bayescale.law import Law
from bayescale.logit_normal import BinomialLogitNormal
from bayescale.model import Model
from bayescale.noise import Noise
from bayescale.pooling import Effect
from bayescale.runs import Runs

GOOD = {"at_bound": [], "mode_converged": True, "pareto_k": 0.1, "mode_agreed": 9, "mode_starts": 9}
N = np.geomspace(1e7, 1e10, 40)
D = 20 * np.tile([0.3, 1.0, 3.0, 30.0], 10) * N
LOSS = 1.7 + 400 * N**-0.34 + 1100 * D**-0.34
SIGMA = 0.02


def fit_of(response, scatter=noise.log_normal, *, draws=1, effects=(), **sites):
    """A fit of the law that gave LOSS, with the response measured."""
    runs = Runs.make({"N": N, "D": D, "loss": response, "model": [f"m{i // 4}" for i in range(40)]})
    law = models.load("chinchilla")
    own = {"E": 1.7, "A": 400.0, "B": 1100.0, "alpha": 0.34, "beta": 0.34}
    with parallel.workbench():
        relative = law.to_reference({p: np.full(draws, v) for p, v in own.items()}, runs.reference, runs.unit)
    found = {p: np.asarray(v)[None] for p, v in relative.items()}
    found |= {p: np.broadcast_to(np.asarray(v, float), (1, draws, *np.shape(v))) for p, v in sites.items()}
    return Fit(Model(law, scatter, effects=effects), runs, found, "laplace", GOOD)


def wandering(seed=0, scale=SIGMA):
    return LOSS * np.exp(scale * np.random.default_rng(seed).standard_normal(40))


def test_of_normal_noise_they_are_the_distance_over_the_scale():
    response = wandering()
    found = quantile_residuals(fit_of(response, sigma=SIGMA))
    np.testing.assert_allclose(found, np.log(response / LOSS) / SIGMA, rtol=1e-6)


def test_of_heavy_tails_they_are_as_rare_as_of_a_normal():
    response = wandering(scale=3 * SIGMA)
    found = quantile_residuals(fit_of(response, noise.student_t, sigma=SIGMA, nu=3.0))
    np.testing.assert_allclose(found, ndtri(t(3).cdf(np.log(response / LOSS) / SIGMA)), rtol=1e-5)


def test_over_draws_probabilities_are_averaged_and_not_residuals():
    response, scales = wandering(), np.linspace(0.01, 0.05, 100)
    fit = fit_of(response, draws=100)
    found = quantile_residuals(fit.replace(draws=fit.draws | {"sigma": scales[None]}))
    expected = ndtri(norm.cdf(np.log(response / LOSS)[:, None] / scales).mean(axis=1))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("delta", [1e-3, 0.02, 0.1])
def test_hubers_distribution_function_is_the_integral_of_its_density(delta):
    with parallel.workbench():
        huber = HuberDistribution(0.3, 0.02, delta)
        for value in (0.2, 0.28, 0.3, 0.31, 0.45):
            kinks = [x for x in (-1.0, 0.0, 0.15, 0.3 - delta, 0.3 + delta) if x < value]
            density = lambda x: float(np.exp(huber.log_prob(x)))  # noqa: E731
            integral = quad(density, -12, value, points=kinks, limit=400)[0]
            assert float(huber.cdf(value)) == pytest.approx(integral, abs=1e-7)


def _rate(C, *, p):
    return p + 0 * C


COUNTS = Runs.make(
    {"C": np.geomspace(1e18, 1e22, 12), "success": np.arange(12) * 9, "trials": np.full(12, 100)}
)


def counted(kind, **sites):
    law = Law("rate", _rate, {"p": dist.Uniform(0.0, 1.0)}, "a test", response="success")
    found = {name: np.asarray(v, float)[None] for name, v in sites.items()}
    return Fit(Model(law, kind, effects=()), COUNTS, found, "laplace", GOOD)


def test_of_counts_half_of_the_step_is_taken():
    found = quantile_residuals(counted(noise.binomial, p=[0.5]))
    k = np.asarray(COUNTS.response)
    middle = binom.cdf(k, 100, 0.5) - binom.pmf(k, 100, 0.5) / 2
    np.testing.assert_allclose(found, np.clip(ndtri(middle), -8, 8), rtol=1e-5, atol=1e-6)
    k = np.asarray([100.0])
    full = COUNTS.subset(np.arange(12) == 11).replace(response=k)
    assert quantile_residuals(counted(noise.binomial, p=[0.5]).replace(runs=full)) == pytest.approx(
        8.0
    )  # all of them right


def test_of_counts_that_scatter_more_too():
    draws = 1000
    found = quantile_residuals(counted(noise.beta_binomial, p=[0.5] * draws, concentration=[10.0] * draws))
    k = np.asarray(COUNTS.response)
    middle = betabinom.cdf(k, 100, 5, 5) - betabinom.pmf(k, 100, 5, 5) / 2
    # 1000 draws of the rate: a probability is good to sqrt(p (1 - p) / 1000); five of those do not fail by chance.
    error = 5 * np.sqrt(middle * (1 - middle) / draws) + 1e-3
    assert (np.abs(norm.cdf(found) - middle) < error).all()


def test_of_counts_whose_logit_scatters():
    draws = 1000
    found = quantile_residuals(counted(noise.logit_normal, p=[0.5] * draws, scatter=[0.6] * draws))
    k = np.asarray(COUNTS.response)
    pmf = np.exp(np.asarray(BinomialLogitNormal(0.5, 0.6, 100).log_prob(np.arange(101.0))))
    middle = np.clip(np.cumsum(pmf)[k.astype(int)] - pmf[k.astype(int)] / 2, 0, 1)
    # As of those above.
    error = 5 * np.sqrt(middle * (1 - middle) / draws) + 1e-3
    assert (np.abs(norm.cdf(found) - middle) < error).all()


def test_shocks_are_new_ones():
    response = wandering()
    fit = fit_of(
        response,
        draws=1000,
        effects=(Effect("model"),),
        sigma=SIGMA,
        model_effect=np.full(10, 5.0),  # what the fit says of the shocks has no say
        model_effect_scale=0.03,
    )
    expected = np.log(response / LOSS) / np.hypot(SIGMA, 0.03)
    # The average over 1000 shocks moves a residual by some 1 / sqrt(1000).
    np.testing.assert_allclose(quantile_residuals(fit), expected, atol=0.2)


def test_runs_that_share_a_shock_have_alike_residuals():
    fit = fit_of(
        wandering(),
        draws=500,
        effects=(Effect("model"),),
        sigma=SIGMA,
        model_effect=np.zeros(10),
        model_effect_scale=0.03,
    )
    found, index = alike(fit), np.asarray(fit.runs.factors["model"])
    share = 0.03**2 / (0.03**2 + SIGMA**2)
    same = (index[:, None] == index) & ~np.eye(40, dtype=bool)
    # The quartiles of 250 draws tell a scale to some 7%.
    np.testing.assert_allclose(found[same], share, atol=0.08)
    assert (found[index[:, None] != index] == 0).all()
    np.testing.assert_allclose(np.diag(found), 1.0)
    np.testing.assert_array_equal(alike(fit_of(wandering(), sigma=SIGMA)), np.eye(40))


def test_a_noise_without_a_distribution_function_is_refused():
    class Unknown(dist.Normal):
        def cdf(self, value):
            raise NotImplementedError

    def likelihood(mean, runs, *, sigma):
        return Unknown(mean, sigma)

    odd = Noise("odd", likelihood, {"sigma": dist.HalfNormal(1.0)})
    with pytest.raises(ValueError, match="odd noise does not know its distribution function"):
        quantile_residuals(fit_of(wandering(), odd, sigma=SIGMA))


# ---- Figures


def line(axes, name):
    (found,) = [one for one in axes.get_lines() if one.get_label() == name]
    return np.asarray(found.get_xdata(), float), np.asarray(found.get_ydata(), float)


def band(axes, name):
    (found,) = [c for c in axes.collections if c.get_label() == name]
    path = found.get_paths()[0].vertices
    x = np.unique(path[:, 0])
    return x, np.array([path[path[:, 0] == at, 1].max() for at in x])


def test_runs_and_the_band_of_the_noise_are_where_they_belong():
    fit = fit_of(wandering(), sigma=SIGMA)
    axes = plot.residuals(fit, covariate="D/N")
    x, y = line(axes, "runs")
    np.testing.assert_allclose(x, D / N)
    np.testing.assert_allclose(y, quantile_residuals(fit))
    (noise_band,) = [p for p in axes.patches if p.get_label() == "90% of the noise"]
    low = noise_band.get_y() if hasattr(noise_band, "get_y") else noise_band.get_extents().y0
    assert low == pytest.approx(-1.6449, abs=1e-3)
    assert axes.get_xlabel() == "training tokens per parameter"


def test_smooths_of_noise_lie_within_their_band_and_those_of_a_wrong_law_do_not():
    inside = []
    for seed in range(40):
        axes = plot.residuals(fit_of(wandering(seed), sigma=SIGMA), Figure().subplots(), covariate="N")
        x, ends = band(axes, "90% of smooths of noise")
        points, smooth = line(axes, "smooth")
        np.testing.assert_allclose(points, x)
        inside.append(np.abs(smooth) <= ends)
    # At a point 90% are inside. Points of one smooth hang together, so that 40 smooths are some 40 * 4 independent
    # looks: their share has a standard deviation of 2.4%, and beyond 82% or 97% it is by chance in under 1 in 300.
    assert 0.82 < np.mean(inside) < 0.97
    off = wandering() * np.exp(0.03 * np.log10(N / 1e8) ** 2)
    axes = plot.residuals(fit_of(off, sigma=SIGMA), covariate="N")
    assert (np.abs(line(axes, "smooth")[1]) > band(axes, "90% of smooths of noise")[1]).any()


def test_shared_shocks_make_the_band_of_smooths_wider():
    sites = {"sigma": SIGMA, "model_effect": np.zeros(10), "model_effect_scale": 0.03}
    shared = plot.residuals(
        fit_of(wandering(), draws=250, effects=(Effect("model"),), **sites), covariate="N"
    )
    alone = plot.residuals(fit_of(wandering(), sigma=SIGMA), covariate="N")
    name = "90% of smooths of noise"
    assert (band(shared, name)[1] > 1.2 * band(alone, name)[1]).all()


def test_runs_far_off_are_in_the_picture_and_said_to_be():
    response = wandering()
    response[3] *= 2
    axes = plot.residuals(fit_of(response, sigma=SIGMA))
    assert axes.get_ylim()[1] > 8
    assert axes.get_title() == "runs at ±8 lie there or beyond"


def test_a_panel_for_each_covariate_that_varies():
    figure = plot.residual_panels(fit_of(wandering(), sigma=SIGMA))
    shown = [axes.get_xlabel() for axes in figure.axes if axes.axison]
    assert shown == [
        "parameters",
        "training tokens",
        "training tokens per parameter",
        "training compute in FLOP",
    ]
    assert len(figure.legends) == 1
    assert all(axes.get_legend() is None for axes in figure.axes)
    few = plot.residual_panels(counted(noise.binomial, p=[0.5]))
    assert [axes.get_xlabel() for axes in few.axes if axes.axison] == ["training compute in FLOP"]
    none = counted(noise.binomial, p=[0.5])
    none = none.replace(
        runs=none.runs.replace(columns={"C": np.full(12, 1e20), "trials": np.full(12, 100.0)})
    )
    with pytest.raises(ValueError, match="the runs have none of N, D, D/N, C to draw residuals against"):
        plot.residual_panels(none)


def test_what_residuals_cannot_be_drawn_against():
    with pytest.raises(ValueError, match="the runs have no column U"):
        plot.residuals(fit_of(wandering(), sigma=SIGMA), covariate="U")
    fit = fit_of(wandering(), sigma=SIGMA)
    odd = fit.replace(runs=fit.runs.replace(columns={**fit.runs.columns, "depth": np.zeros(40)}))
    with pytest.raises(ValueError, match="column depth has values that are not positive, which a log axis"):
        plot.residuals(odd, covariate="depth")


def test_the_same_key_gives_the_same_residuals():
    sites = {"sigma": SIGMA, "model_effect": np.zeros(10), "model_effect_scale": 0.03}
    fit = fit_of(wandering(), draws=20, effects=(Effect("model"),), **sites)
    np.testing.assert_array_equal(quantile_residuals(fit), quantile_residuals(fit))
