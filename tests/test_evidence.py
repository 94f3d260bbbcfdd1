"""Evidence against integrals that are known in closed form, and against what other code has found.

The false-alarm rate of a test that says "within 4 errors" is 6e-5 for each number; where an error is itself an
estimate the bounds on its scatter are stated beside it.
"""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from evidence_truths import KNOWN as TRUTHS
from evidence_truths import SCALE, exact, known_scale, linear, reference_models, simulate
from scipy import stats
from scipy.special import gammaln, logsumexp
from scipy.stats import multivariate_normal

from bayescale import models, noise
from bayescale.infer.bridge import bridge
from bayescale.infer.evidence import blocks, log_evidence, rescaled
from bayescale.infer.importance import around, importance
from bayescale.infer.nuts import nuts
from bayescale.infer.optimize import optimize
from bayescale.law import Law
from bayescale.model import Model
from bayescale.pooling import Effect
from bayescale.runs import Runs

# ---- The estimators alone, on densities whose integral is known


def normal(size, rng):
    """A correlated normal density times exp(7), and its draws."""
    mean = rng.normal(size=size)
    root = np.linalg.cholesky(np.cov(rng.normal(size=(size, 3 * size + 2))).reshape(size, size))
    density = multivariate_normal(mean, root @ root.T)

    def log_density(points):
        return np.atleast_1d(density.logpdf(points)) + 7.0

    return log_density, mean, root


@pytest.mark.parametrize("size", [1, 5, 20])
def test_bridge_and_importance_find_a_normal_integral_with_errors_that_are_right(size):
    """Of 100 seeds: the mean within 4 errors of it, at least 90 within 3, and z scores whose sd is .8 to 1.25.

    The sd of 100 standard normal z scores is outside .8 to 1.25 by chance once in 600 times.
    """
    off = {"bridge": [], "importance": []}
    for seed in range(100):
        rng = np.random.default_rng([size, seed])
        log_density, mean, root = normal(size, rng)
        draws = mean + rng.standard_normal((4, 500, size)) @ root.T
        found = bridge(rng, log_density, draws)
        off["bridge"].append(((found.value - 7) / found.error, found.value - 7))
        # Begun a little beside it and too wide.
        begin = around(rng, (mean + 0.3 * root.sum(axis=1))[None], 1.3 * root[None])
        found = importance(rng, log_density, begin).estimate
        off["importance"].append(((found.value - 7) / found.error, found.value - 7))
    for name, pairs in off.items():
        z, difference = np.array(pairs).T
        assert abs(difference.mean()) < 0.02, name
        assert (np.abs(z) < 3).sum() >= 95, name
        assert abs(z.mean()) < 0.4, name  # 4 errors of the mean of 100
        assert 0.8 < z.std() < 1.25, name


def test_bridge_is_right_where_the_density_is_skewed():
    """The logarithm of a gamma variable has the density exp(a x - e^x), whose integral is Gamma(a); 4 of them."""
    shape, z = 0.7, []

    def log_density(points):
        return (shape * points - np.exp(points)).sum(axis=1)

    for seed in range(50):
        rng = np.random.default_rng(seed)
        draws = np.log(rng.gamma(shape, size=(4, 1000, 4)))
        found = bridge(rng, log_density, draws)
        z.append((found.value - 4 * gammaln(shape)) / found.error)
    assert abs(np.mean(z)) < 4 / np.sqrt(50)
    assert 0.75 < np.std(z) < 1.35  # by chance outside once in 400 times
    assert np.max(np.abs(z)) < 4.5


def test_the_error_of_the_bridge_counts_that_draws_follow_each_other():
    """Chains with an autocorrelation of .9 are worth a nineteenth of their draws, and the error says so."""
    z = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        noise = rng.standard_normal((4, 1000, 3))
        draws = np.empty_like(noise)
        draws[:, 0] = noise[:, 0]
        for i in range(1, 1000):
            draws[:, i] = 0.9 * draws[:, i - 1] + np.sqrt(1 - 0.81) * noise[:, i]
        # A density with heavier tails than the normal distribution laid over it, or there would be no error at all.
        draws = np.sign(draws) * np.abs(draws) ** 1.3

        def log_density(points):
            inner = np.sign(points) * np.abs(points) ** (1 / 1.3)
            jacobian = -np.log(1.3) - 0.3 / 1.3 * np.log(np.abs(points))
            return (-0.5 * inner**2 - 0.5 * np.log(2 * np.pi) + jacobian).sum(axis=1)

        found = bridge(rng, log_density, draws)
        z.append(found.value / found.error)
    assert 0.7 < np.std(z) < 1.4
    assert abs(np.mean(z)) < 4.5 / np.sqrt(60)


def test_importance_finds_both_modes():
    """Two normal densities 12 standard deviations apart, one three times the other: the sum is 4."""

    def log_density(points):
        logs = [
            np.log(share) - 0.5 * ((points - at) ** 2).sum(axis=1) - np.log(2 * np.pi)
            for share, at in ((1.0, 6.0), (3.0, -6.0))
        ]
        return np.logaddexp(*logs)

    rng = np.random.default_rng(0)
    begin = around(rng, np.array([[6.0, 6.0], [-6.0, -6.0]]), np.array([np.eye(2)] * 2))
    found = importance(rng, log_density, begin)
    assert found.estimate.value == pytest.approx(np.log(4), abs=4 * found.estimate.error)
    assert found.pareto_k < 0.5


def test_bridge_needs_draws():
    with pytest.raises(ValueError, match="40 draws are too few for an integral in 3 dimensions; take 80"):
        bridge(np.random.default_rng(0), lambda x: x[:, 0], np.zeros((4, 10, 3)))


# ---- Whole models whose evidence is known: log-linear laws with normal priors and a known scale of the noise

KNOWN = known_scale()
# Of these and of the models of the Chinchilla points a few are tried each time; `python benchmarks/evidence.py` tries
# all of them, and `test_benchmarks` holds its table to what is asked here.
QUICK = (2, 20, "chinchilla, t")


def quick_or_slow(names):
    return [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in names]


@cache
def fitted(size, seed):
    """Draws for the linear model of that many parameters and a table of its own, made once for all that ask."""
    runs = simulate(np.random.default_rng(seed), runs=60, others=max(size - 2, 0))
    return nuts(jax.random.key(0), linear(size, KNOWN), runs)


@pytest.mark.parametrize("size", quick_or_slow([1, 2, 5, 20]))
def test_the_evidence_of_linear_models_is_exact(size):
    """Within 4 errors, and within .02 nat of bridge and importance sampling each."""
    found = log_evidence(jax.random.key(size), fitted(size, seed=size))
    assert found.trouble == ()
    truth = exact(found.fit.model, found.fit.runs)
    for one in (found.bridge, found.importance):
        assert one.value == pytest.approx(truth, abs=min(4 * one.error + 1e-6, 0.03))
    assert found.laplace == pytest.approx(truth, abs=1e-6)  # of a normal posterior it is exact


# ---- Against other code


@pytest.mark.parametrize("name", quick_or_slow(TRUTHS))
def test_the_chinchilla_points_have_the_evidence_that_other_code_finds(shared_data, name):
    """All 245 rows. Computed with another importance sampler, to .002; nested and bridge sampling agree with it."""
    runs = Runs.read(shared_data / "loss_besiroglu2024_chinchilla.csv")
    assert len(runs) == 245
    found = log_evidence(jax.random.key(1), nuts(jax.random.key(0), reference_models(runs)[name], runs))
    assert found.trouble == ()
    known = TRUTHS[name] - float(np.log(runs.response).sum())  # the reference is of the log losses
    assert found.importance.value == pytest.approx(known, abs=0.002 + 4 * found.importance.error)
    assert found.bridge.value == pytest.approx(known, abs=0.002 + 4 * found.bridge.error)
    assert abs(found.bridge.value - found.importance.value) < 0.05


# ---- Shocks, priors, and what is refused


def test_a_shared_shock_is_integrated_out():
    """One shock for each size, of a known scale: the losses are jointly normal, and so the evidence is known."""
    rng = np.random.default_rng(3)
    sizes = np.repeat(np.exp(rng.uniform(18, 24, 12)), 5)
    shocks = np.repeat(0.03 * rng.standard_normal(12), 5)
    loss = 3.0 * (sizes / 1e9) ** -0.08 * np.exp(shocks + SCALE * rng.standard_normal(60))
    runs = Runs.make({"N": sizes, "loss": loss}, response="loss")
    law = linear(2, KNOWN).law
    narrow = dist.LogNormal(np.log(0.03), 1e-3)
    model = Model(law, KNOWN, effects=(Effect("size", narrow),))
    found = log_evidence(jax.random.key(1), nuts(jax.random.key(0), model, runs))
    assert found.trouble == ()
    truth = exact(Model(law, KNOWN, effects=()), runs, shock=0.03)
    for one in (found.bridge, found.importance):
        assert one.value == pytest.approx(truth, abs=4 * one.error + 0.01)


def logistic(C, *, middle, slope):
    """The share of successes, relative to the geometric mean of the compute, which is 1."""
    return 1 / (1 + jnp.exp(-middle - slope * jnp.log10(C)))


def test_the_evidence_of_counts_that_follow_compute_is_an_integral_in_the_plane():
    decades = np.linspace(-1, 1, 8)
    wins = np.random.default_rng(4).binomial(20, 1 / (1 + np.exp(0.7 - 1.5 * decades)))
    runs = Runs.make({"C": 1e20 * 10**decades, "successes": wins, "trials": [20] * 8})
    priors = {"middle": dist.Normal(0.0, 1.5), "slope": dist.Normal(0.0, 1.0)}
    law = Law(name="logistic", mean=logistic, priors=priors, response="success", source="a test")
    found = log_evidence(
        jax.random.key(1), nuts(jax.random.key(0), Model(law, noise.binomial, effects=()), runs)
    )
    assert found.trouble == ()
    # The trapezoid rule of a smooth integrand that vanishes at the ends is exact to rounding.
    middle, slope = (np.linspace(-8, 8, 801)[:, None, None], np.linspace(-6, 6, 601)[None, :, None])
    logits = middle + slope * decades
    logs = stats.binom.logpmf(wins, 20, 1 / (1 + np.exp(-logits))).sum(axis=-1)
    logs += stats.norm(0, 1.5).logpdf(middle[..., 0]) + stats.norm.logpdf(slope[..., 0])
    truth = logsumexp(logs) + np.log(16 / 800 * 12 / 600)
    for one in (found.bridge, found.importance):
        assert one.value == pytest.approx(truth, abs=4 * one.error + 1e-6)


def test_the_sensitivity_to_a_prior_is_the_evidence_under_that_prior():
    found = log_evidence(jax.random.key(1), fitted(2, seed=5))
    law, runs = found.fit.model.law, found.fit.runs
    for names, changes in found.sensitivity.items():
        for factor, change in zip((0.5, 2.0), changes, strict=True):
            other = law.replace(priors={n: rescaled(law.priors[n], factor) for n in names})
            truth = exact(Model(other, KNOWN, effects=()), runs) - exact(Model(law, KNOWN, effects=()), runs)
            assert change.value == pytest.approx(truth, abs=0.02), (names, factor)


def test_the_third_opinion_is_near_and_says_how_near():
    """Within 4 errors, which are made so that 3 are as good as 3 standard errors: false-alarm rate 1e-3."""
    found = log_evidence(jax.random.key(1), fitted(2, seed=2), third=True)
    truth = exact(found.fit.model, found.fit.runs)
    assert found.tempered is not None
    assert found.tempered.value == pytest.approx(truth, abs=4 * found.tempered.error)
    assert found.tempered.error < 0.2
    assert found.trouble == ()


@pytest.mark.slow
@pytest.mark.parametrize("size", [1, 2, 5, 20])
def test_sequential_monte_carlo_finds_the_evidence_of_linear_models(size):
    """Within 3 errors, false-alarm rate .003: that they are the scatter of few runs is reckoned with."""
    runs = simulate(np.random.default_rng(size), runs=60, others=max(size - 2, 0))
    model = linear(size, KNOWN)
    found = log_evidence(jax.random.key(size), nuts(jax.random.key(0), model, runs), third=True)
    print(f"{size}: {found.tempered} and exactly {exact(model, runs):.3f}")
    assert found.tempered is not None
    assert found.tempered.value == pytest.approx(exact(model, runs), abs=3 * found.tempered.error)


def test_priors_that_say_the_same_are_one_block():
    priors = models.load("chinchilla").priors
    assert set(blocks(priors)) == {("E",), ("A", "B"), ("alpha", "beta")}


def test_a_gamma_prior_keeps_its_mean():
    wide = rescaled(dist.Gamma(2.0, 0.1), 2.0)
    assert float(wide.mean) == pytest.approx(20.0)
    assert float(wide.variance) == pytest.approx(4 * 200.0)


def test_a_point_has_no_evidence():
    runs = simulate(np.random.default_rng(5))
    fit = optimize(jax.random.key(0), linear(2, KNOWN), runs)
    with pytest.raises(
        ValueError, match="evidence needs posterior draws, and the fit is of map; fit with nuts"
    ):
        log_evidence(jax.random.key(0), fit)


def test_estimates_that_differ_make_trouble_and_no_result():
    fit = fitted(2, seed=5)
    high = fit.draws["A"] > np.quantile(fit.draws["A"], 0.75)
    moved = fit.replace(draws={**fit.draws, "A": fit.draws["A"] * np.where(high, 1.05, 1.0)})
    (why,) = log_evidence(jax.random.key(0), moved).trouble
    assert "they differ by" in why
