"""The density as a function of a flat vector, against the posterior written out by hand with SciPy."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import stats

from bayescale import models, noise
from bayescale.infer.chart import Chart, anchor
from bayescale.infer.density import Density
from bayescale.model import Model
from bayescale.pooling import Effect, Local, Pooling
from bayescale.runs import Runs

pytestmark = pytest.mark.usefixtures("workbench")

LAW = models.load("power").along("N")
N = np.array([1e7, 3e7, 1e8, 3e8, 1e9, 3e9])
LOSS = np.array([4.1, 3.7, 3.5, 3.1, 2.9, 2.6])
CORPUS = np.array([0, 1, 2, 0, 1, 2])


@pytest.fixture(scope="module")
def runs():
    names = {
        "N": N,
        "loss": LOSS,
        "corpus": [f"c{c}" for c in CORPUS],
        "size": [f"s{i // 2}" for i in range(6)],
    }
    return Runs.make(names, factors=["corpus", "size"])


def model(**parts):
    return Model(LAW, noise.log_normal, **{"effects": (), **parts})


POOLED = {
    "pooling": (Pooling(("A", "alpha"), by="corpus", scale=dist.HalfNormal(0.4)),),
    "effects": (Effect("size", dist.HalfNormal(0.02)),),
}


def by_hand(values, runs):
    """Log posterior of log A, log alpha, log sigma, the log scales and standard normal deviations, in the space of
    the flat vector: the density of a positive quantity times the quantity itself."""
    x = N / np.exp(np.log(N).mean())
    deviation = np.asarray(values["corpus_raw"]) * [
        values["A_by_corpus_scale"],
        values["alpha_by_corpus_scale"],
    ]
    shock = (np.asarray(values["size_raw"]) * values["size_effect_scale"])[np.arange(6) // 2, 0]
    A, alpha = (values[p] * np.exp(deviation[CORPUS, i]) for i, p in enumerate(("A", "alpha")))
    log_mean = np.log(LOSS.min() * A * x**-alpha) + shock
    total = (stats.norm(log_mean, values["sigma"]).logpdf(np.log(LOSS)) - np.log(LOSS)).sum()
    total += stats.norm(0.26, 0.5).logpdf(np.log(values["A"]))
    total += stats.norm(-2.5, 0.5).logpdf(np.log(values["alpha"]))
    total += stats.norm(np.log(0.01), 1.0).logpdf(np.log(values["sigma"]))
    for name, width in (("A_by_corpus", 0.4), ("alpha_by_corpus", 0.4), ("size_effect", 0.02)):
        scale = values[f"{name}_scale"]
        total += stats.halfnorm(scale=width).logpdf(scale) + np.log(scale)
    return total + stats.norm.logpdf(values["corpus_raw"]).sum() + stats.norm.logpdf(values["size_raw"]).sum()


class Own(dist.Distribution):
    """A prior of a user's own, whose numbers JAX does not know of: half-Cauchy."""

    support = dist.constraints.positive

    def __init__(self, width):
        self.width = width
        super().__init__()

    def log_prob(self, value):
        return jnp.log(2 / np.pi / self.width) - jnp.log1p((value / self.width) ** 2)

    def sample(self, key, sample_shape=()):
        return self.width * jnp.abs(jax.random.cauchy(key, sample_shape))


def test_priors_of_every_kind_count_once(runs):
    """Two of one family, one of another, and two that are not NumPyro's."""
    priors = {"A": Own(0.3), "alpha": dist.Gamma(2.0, 5.0)}
    with_own = model().replace(law=LAW.replace(priors=priors))
    density = Density.of(with_own, runs)
    starts = density.prior_draws(jax.random.key(0), 2000)
    assert np.isfinite(starts).all()
    # The median of a half-Cauchy is its width; 4 standard errors, which one run in 16,000 exceeds.
    assert np.median(starts[:, density.place("A")]) == pytest.approx(
        np.log(0.3), abs=4 * np.pi / 2 / 2000**0.5
    )
    values = {"A": 0.2, "alpha": 0.1, "sigma": 0.02}
    expected = stats.halfcauchy(scale=0.3).logpdf(0.2) + stats.gamma(2, scale=1 / 5).logpdf(0.1)
    expected += stats.lognorm(1.0, scale=0.01).logpdf(0.02) + sum(np.log(v) for v in values.values())
    assert float(density.log_prior(density.unconstrain(values))) == pytest.approx(expected, rel=1e-10)


def test_a_factor_whose_name_ends_in_that_of_another(runs):
    """The deviations of one are not taken for those of the other."""
    factors = {"size": runs.factors["size"], "batch_size": runs.factors["corpus"]}
    levels = {"size": runs.levels["size"], "batch_size": runs.levels["corpus"]}
    both = runs.replace(factors=factors, levels=levels)
    density = Density.of(model(pooling=(Pooling(("A",), by="batch_size"),), effects=(Effect("size"),)), both)
    vector = 0.1 * jnp.arange(1.0, density.size + 1)
    scales = density.indices("_scale")
    moved = density.rescale(vector, scales, vector[scales] + jnp.log(2.0))
    before, after = density.constrain(vector), density.constrain(moved)
    for by in ("size", "batch_size"):
        np.testing.assert_allclose(after[f"{by}_raw"], before[f"{by}_raw"] / 2)


@pytest.mark.parametrize("seed", range(3))
def test_the_log_posterior_by_hand(runs, seed):
    density = Density.of(model(**POOLED), runs)
    vector = 0.5 * jax.random.normal(jax.random.key(seed), (density.size,))
    expected = by_hand({k: np.asarray(v) for k, v in density.constrain(vector).items()}, runs)
    assert float(density.log_posterior(vector, runs)) == pytest.approx(expected, rel=1e-10)
    parts = density.log_prior(vector) + density.log_likelihood(vector, runs)
    assert float(parts) == pytest.approx(expected, rel=1e-10)


def test_the_sites_and_their_places(runs):
    density = Density.of(model(**POOLED), runs)
    shapes = {site.name: site.shape for site in density.sites}
    assert shapes["corpus_raw"] == (3, 2)
    assert shapes["size_raw"] == (3, 1)
    assert density.size == 3 + 2 + 6 + 1 + 3
    assert [s.start for s in density.sites] == np.cumsum([0, *(s.size for s in density.sites)])[:-1].tolist()
    assert len(density.indices("_raw")) == 9
    assert len(density.indices("_scale", "sigma")) == 4
    assert density.indices("nothing").shape == (0,)


def test_the_flat_vector_and_the_values_are_inverse(runs):
    density = Density.of(model(**POOLED), runs)
    vector = jax.random.normal(jax.random.key(5), (density.size,))
    np.testing.assert_allclose(density.unconstrain(density.constrain(vector)), vector, rtol=1e-9, atol=1e-12)


def test_the_likelihood_counts_each_run_by_its_weight(runs):
    density = Density.of(model(), runs)
    vector = jnp.array([0.3, -2.5, -3.0])
    weight = np.array([0.0, 1.0, 2.0, 0.0, 0.5, 1.0])
    values = {k: float(v) for k, v in density.constrain(vector).items()}
    x = N / np.exp(np.log(N).mean())
    log_mean = np.log(LOSS.min() * values["A"] * x ** -values["alpha"])
    one = stats.norm(log_mean, values["sigma"]).logpdf(np.log(LOSS)) - np.log(LOSS)
    assert float(density.log_likelihood(vector, runs)) == pytest.approx(one.sum(), rel=1e-10)
    # Compiled, as in a fit: NumPyro refuses a weight of zero where it can see one.
    weighted = jax.jit(density.log_likelihood)(vector, runs.replace(weight=weight))
    assert float(weighted) == pytest.approx((weight * one).sum(), rel=1e-10)


def test_a_start_has_no_deviations_and_scales_in_the_middle_of_their_priors(runs):
    density = Density.of(model(**POOLED), runs)
    values = density.constrain(density.start({"A": 1.2, "alpha": 0.1, "sigma": 0.02}))
    assert not np.any(values["corpus_raw"])
    assert float(values["size_effect_scale"]) == pytest.approx(stats.halfnorm(scale=0.02).median())
    assert float(values["A"]) == pytest.approx(1.2)


def test_other_scales_and_the_same_deviations(runs):
    density = Density.of(model(**POOLED), runs)
    vector = jax.random.normal(jax.random.key(3), (density.size,))
    scales = density.indices("_scale", "sigma")
    moved = density.rescale(vector, scales, vector[scales] + jnp.array([0.5, -0.7, 1.0, 0.2]))
    before, after = density.values(vector, runs), density.values(moved, runs)
    for name in ("A_by_corpus", "alpha_by_corpus", "size_effect", "A", "alpha"):
        np.testing.assert_allclose(after[name], before[name], rtol=1e-9)
    for name in ("A_by_corpus_scale", "size_effect_scale", "sigma"):
        assert not np.isclose(after[name], before[name])
    expected = 3 * np.log(after["A_by_corpus_scale"]) + 3 * np.log(after["alpha_by_corpus_scale"])
    expected += 3 * np.log(after["size_effect_scale"])
    assert float(density.log_scales(moved)) == pytest.approx(float(expected))


@pytest.mark.parametrize("vary", [("A", "alpha"), ("A",), ()], ids=", ".join)
def test_recentred_vectors_stand_for_the_same_parameters(runs, vary):
    """Of the same parameters the posteriors differ by the volume of the change: the Jacobian by hand."""
    pooling = (Pooling(vary, by="corpus", scale=dist.HalfNormal(0.4)),) if vary else ()
    density = Density.of(model(**POOLED | {"pooling": pooling}), runs)
    rng, count = np.random.default_rng(0), len(vary)
    root, weights = rng.normal(size=(3, count, count)), np.array([1e-2, 1.0, 1e3])
    levels = {"size": Local(rng.normal(size=(3, 1)), np.array([0.0, 10.0, 1e4]).reshape(3, 1, 1))}
    centre = {"size": jnp.zeros(1)}
    if vary:
        precision = root @ root.swapaxes(1, 2) * weights[:, None, None]
        levels = {"corpus": Local(rng.normal(size=(3, count)), precision), **levels}
        centre = {"corpus": jnp.array([0.2, -2.0])[:count], **centre}
    vector = 0.5 * jax.random.normal(jax.random.key(4), (density.size,))
    chart = Chart(anchor(density.model, runs), jnp.array(0.1), jnp.array(0.02), centre, levels)
    assert bool(chart.anchor) == (len(vary) < 2)
    recentre = jax.jit(lambda v: density.recentre(v, chart))
    moved = recentre(vector)
    values, posterior = jax.jit(density.values), jax.jit(density.log_posterior)
    before, after = values(vector, runs), values(moved, runs, chart)
    assert set(before) == set(after)
    for name, value in before.items():
        np.testing.assert_allclose(after[name], value, rtol=1e-7, atol=1e-10)
    volume = np.linalg.slogdet(np.asarray(jax.jit(jax.jacfwd(recentre))(vector)))[1]
    difference = posterior(vector, runs) - posterior(moved, runs, chart)
    assert float(difference) == pytest.approx(volume, abs=1e-7)


def test_starts_from_the_prior_have_its_quantiles(runs):
    density = Density.of(model(**POOLED), runs)
    drawn = jax.jit(lambda key: jax.vmap(density.constrain)(density.prior_draws(key, 4000)))(
        jax.random.key(0)
    )
    assert not np.any(drawn["corpus_raw"])
    # A Kolmogorov-Smirnov test each, with a false alarm once in 1,000.
    for name, law in (("A", stats.norm(0.26, 0.5)), ("alpha", stats.norm(-2.5, 0.5))):
        assert stats.kstest(np.log(np.asarray(drawn[name])), law.cdf).pvalue > 1e-3
