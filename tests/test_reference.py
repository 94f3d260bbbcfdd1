"""Reference posteriors of public data, and groups strong and weak, under stated priors.

The numbers were computed with other code. A tolerance is that of the reference, and the number of draws is such
that Monte-Carlo error is a fourth of it or less: with an effective sample size of 4,000 a mean is good to
0.016 sd, and a standard deviation to 1.1% where the posterior is normal.
"""

import jax
import numpy as np
import numpyro.distributions as dist
import pytest

from bayescale import data, models, noise
from bayescale.infer.nuts import nuts
from bayescale.model import Model
from bayescale.pooling import Effect, Pooling
from bayescale.runs import Runs

LAW = models.load("chinchilla")


@pytest.fixture(scope="module")
def chinchilla(shared_data):
    runs = Runs.read(shared_data / "loss_besiroglu2024_chinchilla.csv", where="in_fit_subset = 1")
    assert len(runs) == 240
    return runs


def as_in_the_reference(runs, scatter, effects=()):
    """The priors of check 3, on log A and log B at the geometric mean of the design, in nats."""
    term, exponent = dist.LogNormal(np.log(0.4 / runs.unit), 1.0), dist.LogNormal(np.log(0.3), 0.5)
    law = LAW.replace(priors={"A": term, "B": term, "alpha": exponent, "beta": exponent})
    scatter = scatter.replace(priors={"sigma": dist.LogNormal(np.log(0.02), 1.0)})
    return Model(law, scatter, effects=effects)


def sound(fit):
    assert fit.stats["attempt"] == 1
    assert fit.stats["diverging"].sum() == 0
    assert max(np.max(found[..., 0]) for found in fit.diagnostics.values()) < 1.01
    assert fit.converged, fit.verdict


def test_the_chinchilla_points_with_student_t_noise(chinchilla):
    fit = nuts(jax.random.key(0), as_in_the_reference(chinchilla, noise.student_t), chinchilla, draws=2000)
    sound(fit)
    parameters = fit.parameters()
    for name, mean, error, sd in (
        ("alpha", 0.3452, 0.002, 0.0091),
        ("beta", 0.3608, 0.002, 0.0099),
        ("E", 1.807, 0.003, 0.0149),
    ):
        assert parameters[name].mean() == pytest.approx(mean, abs=error), name
        assert parameters[name].std() == pytest.approx(sd, rel=0.1), name
    split = parameters["beta"] / (parameters["alpha"] + parameters["beta"])
    assert split.mean() == pytest.approx(0.511, abs=0.002)
    assert fit.flat("nu").mean() == pytest.approx(2.9, abs=0.3)


def test_the_chinchilla_points_with_normal_noise(chinchilla):
    fit = nuts(jax.random.key(1), as_in_the_reference(chinchilla, noise.log_normal), chinchilla, draws=2000)
    sound(fit)
    parameters = fit.parameters()
    for name, mean in (("alpha", 0.3596), ("beta", 0.4052), ("E", 1.8628)):
        assert parameters[name].mean() == pytest.approx(mean, abs=0.003), name


def test_the_chinchilla_points_with_shocks_by_size(chinchilla):
    assert len(chinchilla.levels["size"]) == 38
    effects = (Effect("size", dist.HalfNormal(0.01)),)
    fit = nuts(jax.random.key(2), as_in_the_reference(chinchilla, noise.student_t, effects), chinchilla)
    sound(fit)
    parameters = fit.parameters()
    alpha, beta = parameters["alpha"], parameters["beta"]
    assert fit.flat("size_effect_scale").mean() == pytest.approx(0.0034, abs=0.0007)
    assert (beta / (alpha + beta)).mean() == pytest.approx(0.500, abs=0.004)
    # Where alpha A N^-alpha = beta B D^-beta and 6 N D = C the loss is least: Hoffmann et al. 2022, equation 4.
    compute = 5.76e23
    ratio = (alpha * parameters["A"] / (beta * parameters["B"])) ** (1 / (alpha + beta))
    N = ratio * (compute / 6) ** (beta / (alpha + beta))
    tokens_per_parameter = compute / (6 * N**2)
    assert np.median(tokens_per_parameter) == pytest.approx(23.7, abs=2)


# Tied fits of each corpus alone: exponent and its error; as far as can be told from all 34 or 35 runs
# of a corpus and not on the five that the paper fits: Student-t noise on all runs has its greatest likelihood at
# .252, .262 and .262 with floors of 1.57, 1.76 and 1.80, least squares on the five .246, .276 and .256.
ALONE = {"c4": (0.251, 0.054), "redpajama": (0.258, 0.031), "refinedweb": (0.258, 0.038)}


def test_three_corpora_share_what_they_know_of_the_exponent():
    """At its defaults, and of four keys one at most needs the automatic second try, for a divergence or two.

    Of twelve keys three did, so that other bits would fail this one time in four.
    """
    runs = data.load("gadre2024_overtrain", where=None)
    assert len(runs) == 104
    pooled = Model(
        models.load("chinchilla_tied"), noise.log_normal, (Pooling(("E", "B"), by="group"),), effects=()
    )
    fits = [nuts(jax.random.key(seed), pooled, runs) for seed in range(4)]
    assert sum(fit.stats["attempt"] == 1 for fit in fits) >= 3
    for fit in fits:
        assert fit.stats["diverging"].sum() == 0
        assert max(np.max(found[..., 0]) for found in fit.diagnostics.values()) < 1.01
        assert fit.converged, fit.verdict
        alpha = fit.flat("alpha")
        for exponent, error in ALONE.values():
            assert alpha.mean() == pytest.approx(exponent, abs=error)
            assert alpha.std() < error


# ---- Groups


@pytest.mark.parametrize("design", ["strong", "weak"])
def test_no_divergences_with_few_strong_groups_and_many_weak_ones(benchmark, design):
    """3 corpora of 80 runs and 40 of 5, at the default target of acceptance, without a second try."""
    pooling = benchmark("pooling")
    runs, own = pooling.simulate(design)
    fit = nuts(jax.random.key(0), pooling.model(), runs, retry=False)
    assert len(fit) == 4000
    sound(fit)
    # Each corpus where it should be: over the corpora the squared z-scores of E average about 1.
    levels = fit.flat("E")[:, None] * np.exp(fit.flat("E_by_corpus")) * runs.unit
    names = [int(level.split()[1]) for level in runs.levels["corpus"]]
    z = (levels.mean(axis=0) - own["E"][names]) / levels.std(axis=0)
    # Levels share errors, so the bound is that of one z-score: 3.5 is passed by chance once in 2,000.
    assert np.sqrt(np.mean(z**2)) < 3.5
