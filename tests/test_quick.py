"""Quick evidence: against closed forms, quadrature and the evidence of draws."""

import jax
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import integrate, stats
from scipy.special import betaln, expit, gammaln, xlog1py, xlogy

from bayescale import models, noise
from bayescale.model import Model
from bayescale.pooling import Pooling
from bayescale.runs import Runs
from bayescale.tasks.quick import quick_evidence

X = np.linspace(19, 23, 8)
WINS = np.array([1, 3, 8, 31, 55, 83, 91, 99])
KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def runs():
    return Runs.make({"C": 10**X, "successes": WINS, "trials": np.full(8, 100)})


def choose(n, k):
    return gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)


def test_a_constant_rate_has_the_evidence_of_a_beta_integral(runs):
    model = Model(models.load("constant_success"), noise.binomial, effects=())
    found = quick_evidence(KEY, model, runs)
    total = WINS.sum()
    expected = choose(100, WINS).sum() + betaln(total + 1, 800 - total + 1)
    assert found.estimate.value == pytest.approx(expected, abs=3 * max(found.estimate.error, 0.003))
    assert found.pareto_k < 0.7
    posterior = stats.beta(total + 1, 800 - total + 1)
    np.testing.assert_allclose(
        found.quantiles(found.values["rate"]), posterior.ppf([0.05, 0.5, 0.95]), atol=0.1 * posterior.std()
    )


def test_two_parameters_by_quadrature(runs):
    law = models.load("success_power").along("C")
    found = quick_evidence(KEY, Model(law, noise.binomial, effects=()), runs)
    relative = 10 ** (X - X.mean())

    log_a, log_alpha = np.linspace(-2, 2, 401), np.linspace(-3, 0, 301)
    p = np.exp(-np.exp(log_a)[:, None, None] * relative ** -np.exp(log_alpha)[:, None])
    logs = np.sum(choose(100, WINS) + xlogy(WINS, p) + xlog1py(100 - WINS, -p), axis=-1)
    prior = stats.norm(1.0, 1.5).pdf(log_a)[:, None] * stats.norm(-2.3, 0.6).pdf(log_alpha)
    most = logs.max()
    whole = integrate.simpson(integrate.simpson(np.exp(logs - most) * prior, log_alpha), log_a)
    # Three times the error that it stops at.
    assert found.estimate.value == pytest.approx(np.log(whole) + most, abs=0.09)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["logistic", "step", "inverse", "broken_success"])
def test_it_is_the_evidence_of_draws(runs, name):
    from bayescale.infer.evidence import log_evidence
    from bayescale.infer.nuts import nuts

    model = Model(models.load(name).along("C"), noise.beta_binomial, effects=())
    slow = log_evidence(KEY, nuts(KEY, model, runs))
    assert quick_evidence(KEY, model, runs).estimate.value == pytest.approx(slow.value, abs=0.1)


def test_levels_that_deviate_are_refused(runs):
    runs = Runs.make({"C": 10**X, "successes": WINS, "trials": np.full(8, 100), "task": list("aabbaabb")})
    pooled = Model(models.load("success_power").along("C"), noise.binomial, (Pooling(("A",), by="task"),), ())
    with pytest.raises(
        ValueError, match=r"^the parameters differ by task, which takes more than draws of the prior"
    ):
        quick_evidence(KEY, pooled, runs)


def test_averages_have_an_evidence_too():
    """Exactly 0 and 1 among them, and no number of items."""
    share = np.where(np.arange(8) < 2, 0.0, np.where(np.arange(8) > 6, 1.0, expit(2 * (X - 21))))
    table = Runs.make({"C": 10**X, "accuracy": share}, response="accuracy")
    model = Model(models.load("logistic").along("C"), noise.average, effects=())
    found = quick_evidence(KEY, model, table)
    assert np.isfinite(found.estimate.value)
    low, middle, high = found.quantiles(found.values["threshold"]) * table.reference["C"]
    assert low < 1e21 < high
    assert middle == pytest.approx(1e21, rel=0.5)
    with pytest.raises(
        ValueError, match=r"averages and not counts of successes, which binomial noise is of; use average"
    ):
        Model(models.load("logistic").along("C"), noise.binomial).specialise(table)


def test_the_prior_itself_where_nothing_is_measured():
    """Runs that count for nothing: the evidence is 1."""
    table = Runs.make({"C": 10**X, "successes": WINS, "trials": np.full(8, 100)}).replace(
        weight=np.full(8, 1e-12)
    )
    law = models.load("success_power").along("C").replace(priors={"alpha": dist.LogNormal(-2.3, 0.6)})
    found = quick_evidence(KEY, Model(law, noise.binomial, effects=()), table)
    assert found.estimate.value == pytest.approx(0, abs=0.02)
