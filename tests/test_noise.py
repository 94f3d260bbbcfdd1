"""Noise: its densities against SciPy and quadrature, its draws, and what it refuses."""

import itertools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, optimize, special, stats

from bayescale import noise
from bayescale.densities import ClippedNormal
from bayescale.logit_normal import BinomialLogitNormal
from bayescale.runs import Runs
from tests.test_huber import huber_loss

pytestmark = pytest.mark.usefixtures("workbench")

LOSS = np.array([3.1, 2.7, 2.4, 2.05])
MEAN = np.array([3.0, 2.75, 2.41, 2.0])
N = np.array([1e8, 1e9, 1e9, 1e10])
D = np.array([2e10, 1e10, 4e10, 2e11])
TRIALS = np.array([20.0, 50.0, 7.0, 100.0])
WINS = np.array([3.0, 31.0, 7.0, 0.0])
CHANCE = np.array([0.2, 0.55, 0.9, 0.03])


@pytest.fixture(scope="module")
def runs():
    return Runs.make({"N": N, "D": D, "loss": LOSS})


@pytest.fixture(scope="module")
def tasks():
    return Runs.make({"N": N, "successes": WINS, "trials": TRIALS})


# Densities, against SciPy; a density of the loss is that of its logarithm over the loss.


def test_log_normal(runs):
    ours = noise.log_normal(MEAN, runs, {"sigma": 0.03}).log_prob(LOSS)
    np.testing.assert_allclose(ours, stats.lognorm(s=0.03, scale=MEAN).logpdf(LOSS), rtol=1e-12)


def test_student_t(runs):
    ours = noise.student_t(MEAN, runs, {"sigma": 0.03, "nu": 2.9}).log_prob(LOSS)
    expected = stats.t(2.9, np.log(MEAN), 0.03).logpdf(np.log(LOSS)) - np.log(LOSS)
    np.testing.assert_allclose(ours, expected, rtol=1e-12)


def test_huber(runs):
    ours = noise.huber(0.01)(MEAN, runs, {"sigma": 0.03}).log_prob(LOSS)
    whole = integrate.quad(
        lambda x: np.exp(-huber_loss(x, 0.01) / 0.03**2), -9, 9, points=[-0.01, 0, 0.01], limit=500
    )
    expected = -huber_loss(np.log(LOSS / MEAN), 0.01) / 0.03**2 - np.log(whole[0]) - np.log(LOSS)
    np.testing.assert_allclose(ours, expected, rtol=1e-7)


def test_gaussian_is_relative_to_the_least_loss(runs):
    ours = noise.gaussian(MEAN, runs, {"sigma": 0.03}).log_prob(LOSS)
    np.testing.assert_allclose(ours, stats.norm(MEAN, 0.03 * 2.05).logpdf(LOSS), rtol=1e-12)


def test_binomial(tasks):
    ours = noise.binomial(CHANCE, tasks, {}).log_prob(WINS)
    np.testing.assert_allclose(ours, stats.binom(TRIALS, CHANCE).logpmf(WINS), rtol=1e-10)


def test_beta_binomial(tasks):
    ours = noise.beta_binomial(CHANCE, tasks, {"concentration": 12.0}).log_prob(WINS)
    expected = stats.betabinom(TRIALS.astype(int), CHANCE * 12, (1 - CHANCE) * 12).logpmf(WINS)
    np.testing.assert_allclose(
        ours, expected, atol=3e-6
    )  # JAX's log beta function is no better than 1e-6 in double precision


@pytest.mark.parametrize("name", ["binomial", "beta_binomial", "average"])
def test_draws_of_successes_have_their_mean(name, tasks):
    """False-alarm rate: 1e-4 for each of four runs and three kinds, at a fixed seed; the clip moves an average less."""
    likelihood = noise.load(name)(CHANCE, tasks, {"concentration": 12.0, "sigma": 0.02})
    draws = np.asarray(likelihood.sample(jax.random.key(4), (4000,)))
    assert ((draws >= 0) & (draws <= TRIALS)).all()
    clipped = 0.02 * TRIALS * (name == "average")
    error = 4.3 * draws.std(axis=0) / np.sqrt(len(draws)) + clipped
    assert (np.abs(draws.mean(axis=0) - TRIALS * CHANCE) < error).all()


@pytest.mark.parametrize(("wins", "tries"), [(0, 1), (1, 1), (2, 4), (0, 100_000), (37, 100_000), (128, 128)])
@pytest.mark.parametrize(("rate", "scatter"), [(0.5, 0.2), (1e-4, 1.1), (0.9, 2.0)])
def test_logit_normal(wins, tries, rate, scatter):
    """Against adaptive quadrature, about where the integrand is highest."""
    middle = special.logit(rate)

    def log_density(z):
        at = middle + scatter * z
        chance = -wins * np.logaddexp(0, -at) - (tries - wins) * np.logaddexp(0, at)
        return chance + stats.norm.logpdf(z)

    peak = optimize.minimize_scalar(lambda z: -log_density(z), (-1, 1)).x
    top = log_density(peak)
    edges = peak + np.array([-40, -4, -1, -0.1, 0, 0.1, 1, 4, 40])
    area = sum(
        integrate.quad(lambda z: np.exp(log_density(z) - top), a, b)[0] for a, b in itertools.pairwise(edges)
    )
    ways = special.gammaln(tries + 1) - special.gammaln(wins + 1) - special.gammaln(tries - wins + 1)

    def ours(scatter):
        return BinomialLogitNormal(rate, scatter, tries).log_prob(wins)

    assert float(ours(scatter)) == pytest.approx(top + np.log(area) + ways, abs=5e-4)
    slope, step = float(jax.grad(ours)(scatter)), 1e-5
    change = float(ours(scatter + step) - ours(scatter - step))
    assert slope == pytest.approx(change / 2 / step, rel=1e-2, abs=1e-3)


def test_draws_of_logit_normal_counts_follow_their_density():
    """False-alarm rate: 1e-4, of one chi-squared test at a fixed seed."""
    likelihood = BinomialLogitNormal(0.3, 1.2, 6)
    assert likelihood.support.upper_bound == 6
    expected = np.exp(np.asarray(likelihood.log_prob(np.arange(7.0))))
    assert expected.sum() == pytest.approx(1, abs=1e-4)
    counts = np.bincount(np.asarray(likelihood.sample(jax.random.key(1), (20_000,))), minlength=7)
    assert stats.chisquare(counts, 20_000 * expected / expected.sum()).pvalue > 1e-4


def test_average(tasks):
    """A normal of which the items are one part of the variance, clipped to what an average can be."""
    ours = noise.average(CHANCE, tasks, {"sigma": 0.04}).log_prob(WINS)
    scale = TRIALS * np.sqrt(CHANCE * (1 - CHANCE) / TRIALS + 0.04**2)
    expected = stats.norm(TRIALS * CHANCE, scale).logpdf(WINS)
    below, above = (
        stats.norm.logcdf(0, TRIALS * CHANCE, scale),
        stats.norm.logsf(TRIALS, TRIALS * CHANCE, scale),
    )
    expected = np.where(WINS == 0, below, np.where(WINS == TRIALS, above, expected))
    np.testing.assert_allclose(ours, expected, rtol=1e-10)


def test_a_clipped_normal_has_the_probability_one_and_draws_like_it():
    """False-alarm rate: 1e-4 for each of the three binomial tests, at a fixed seed."""
    density = ClippedNormal(0.7, 0.5, 1.0)
    inside = integrate.quad(lambda x: float(jnp.exp(density.log_prob(x))), 1e-12, 1 - 1e-12)[0]
    edges = np.exp(np.asarray(density.log_prob(jnp.array([0.0, 1.0]))))
    assert inside + edges.sum() == pytest.approx(1, abs=1e-9)
    draws = np.asarray(density.sample(jax.random.key(0), (20_000,)))
    assert ((draws >= 0) & (draws <= 1)).all()
    for count, share in zip([(draws == 0).sum(), (draws == 1).sum()], edges, strict=True):
        assert stats.binomtest(int(count), 20_000, share).pvalue > 1e-4
    middle = (draws > 0) & (draws < 0.7)
    assert stats.binomtest(int(middle.sum()), 20_000, 0.5 - edges[0]).pvalue > 1e-4


@pytest.mark.parametrize("mean", [0.0, 1e-12, 1.0])
@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_averages_of_nothing_and_of_everything_have_a_density(mean, share):
    runs = Runs.make({"N": [1e8, 1e9], "accuracy": [share, share], "n_items": [50, 50]}, response="accuracy")

    def log_prob(mean):
        return noise.average(mean, runs, {"sigma": 0.02}).log_prob(runs.response)[0]

    assert np.isfinite(log_prob(jnp.full(2, mean)))
    if 0 < mean < 1:
        assert np.isfinite(jax.grad(lambda m: log_prob(jnp.full(2, m)))(mean))


@pytest.mark.parametrize("name", ["log_normal", "student_t", "gaussian", "huber"])
def test_draws_of_losses_have_their_mean_in_the_middle(name, runs):
    """The mean response is the median. False-alarm rate 1e-4 at each of four runs, at a fixed seed."""
    likelihood = noise.load(name)(MEAN, runs, {"sigma": 0.05, "nu": 4.0})
    above = (np.asarray(likelihood.sample(jax.random.key(3), (4000,))) > MEAN).sum(axis=0)
    assert all(stats.binomtest(int(k), 4000).pvalue > 1e-4 for k in above)


# What the comments on priors claim.


@pytest.mark.parametrize(
    ("prior", "low", "high"),
    [
        (noise.log_normal.priors["sigma"], 0.002, 0.052),
        (noise.student_t.priors["nu"], 3.6, 47),
        (noise.beta_binomial.priors["concentration"], 4, 590),
        (noise.average.priors["sigma"], 0.003, 0.078),
    ],
    ids=["sigma", "nu", "concentration", "sigma of averages"],
)
def test_ninety_percent_of_a_prior_lies_where_its_comment_says(prior, low, high):
    draws = np.asarray(prior.sample(jax.random.key(0), (200_000,)))
    # Rounded in the comment to some 6%; the error of these quantiles is below 1%.
    np.testing.assert_allclose(np.quantile(draws, [0.05, 0.95]), [low, high], rtol=0.06)


# A scale that depends on covariates.


def test_a_scale_that_depends_on_a_ratio(runs):
    scaled = noise.log_normal.scaled(by="D/N")
    assert scaled.parameters == ("sigma", "slope_D_per_N")
    assert scaled.covariates == ("D", "N")
    assert noise.log_normal.parameters == ("sigma",)
    relative = (D / stats.gmean(D)) / (N / stats.gmean(N))
    sigma = 0.03 * relative**-0.4
    ours = scaled(MEAN, runs, {"sigma": 0.03, "slope_D_per_N": -0.4}).log_prob(LOSS)
    np.testing.assert_allclose(ours, stats.lognorm(s=sigma, scale=MEAN).logpdf(LOSS), rtol=1e-10)


def test_a_scale_that_depends_on_two_covariates(runs):
    scaled = noise.student_t.scaled(by="N").scaled(by="D")
    assert scaled.parameters == ("sigma", "nu", "slope_N", "slope_D")
    sigma = 0.03 * (N / stats.gmean(N)) ** 0.2 * (D / stats.gmean(D)) ** -0.1
    ours = scaled(MEAN, runs, {"sigma": 0.03, "nu": 5.0, "slope_N": 0.2, "slope_D": -0.1}).log_prob(LOSS)
    expected = stats.t(5.0, np.log(MEAN), sigma).logpdf(np.log(LOSS)) - np.log(LOSS)
    np.testing.assert_allclose(ours, expected, rtol=1e-10)


def test_a_slope_is_a_factor_of_three_for_each_decade():
    prior = noise.log_normal.scaled(by="N").priors["slope_N"]
    assert 10 ** float(prior.icdf(0.95)) == pytest.approx(3, rel=0.05)


def test_a_noise_without_a_scale_cannot_be_scaled():
    with pytest.raises(ValueError, match=r"^binomial noise has no scale that could depend on N$"):
        noise.binomial.scaled(by="N")


@pytest.mark.parametrize("by", ["N", "N/D/C", "D/", ""])
def test_a_scale_depends_on_a_covariate_once(by):
    with pytest.raises(
        ValueError, match=f"^the scale cannot depend on '{by}': give each covariate, or ratio such as"
    ):
        noise.log_normal.scaled(by="N").scaled(by=by)


# Names.


def test_every_name_loads():
    assert noise.names() == [
        "average",
        "beta_binomial",
        "binomial",
        "gaussian",
        "huber",
        "lad",
        "log_normal",
        "logit_normal",
        "student_t",
    ]
    for name in noise.names():
        assert noise.load(name).name == name
        assert set(noise.load(name).parameters) == set(noise.load(name).priors)
    assert noise.load("huber", delta=0.01).settings == {"delta": 0.01}


def test_an_unknown_name():
    known = "average, beta_binomial, binomial, gaussian, huber, lad, log_normal, logit_normal, student_t"
    with pytest.raises(KeyError, match=f"there is no noise 'cauchy'; there are {known}"):
        noise.load("cauchy")


def test_a_setting_that_a_noise_does_not_have():
    with pytest.raises(ValueError, match=r"^gaussian noise has no setting delta; only huber has one, delta$"):
        noise.load("gaussian", delta=0.1)


@pytest.mark.parametrize("delta", [0.0, -1.0, float("inf"), float("nan")])
def test_hubers_delta_is_positive_and_finite(delta):
    message = f"Huber's delta is {delta}; it is positive and finite, on the scale of the log loss"
    with pytest.raises(ValueError, match=re.escape(message)):
        noise.huber(delta)


def test_replace_lays_priors_over_those_there_are():
    sigma = noise.student_t.priors["sigma"]
    changed = noise.log_normal.replace(priors={"sigma": sigma}, name="other")
    assert (changed.name, changed.priors) == ("other", {"sigma": sigma})
    assert noise.student_t.replace(priors={"sigma": sigma}).priors["nu"] is noise.student_t.priors["nu"]


@pytest.mark.parametrize("name", ["binomial", "beta_binomial"])
def test_success_that_is_sure_and_did_not_come_has_a_density(name):
    runs = Runs.make({"C": [1e20, 1e21], "successes": [3, 5], "trials": [5, 5]})
    kind = noise.load(name)
    parameters = dict.fromkeys(kind.parameters, 200.0)
    log = kind(jnp.array([1.0, 1.0]), runs, parameters).log_prob(np.asarray(runs.response))
    assert np.isfinite(log).all()
    assert log[0] < -20  # which it contradicts
    assert log[1] == pytest.approx(0, abs=1e-6)
