"""Repeated sampling: closed forms, and rates that are known."""

import itertools
import re

import jax
import numpy as np
import pytest
from scipy.special import betaln, digamma

from bayescale import models
from bayescale.tasks import passes as of
from bayescale.tasks.passes import mean_log_pass_rate, pass_at_k, passes

KEY = jax.random.key(0)


def test_the_estimate_is_the_share_of_subsets_with_a_success():
    outcomes = [1, 0, 0, 1, 0, 0, 0]
    for k in (1, 2, 5, 6):
        subsets = [any(one) for one in itertools.combinations(outcomes, k)]
        assert pass_at_k([2], 7, k)[0] == pytest.approx(np.mean(subsets))


def test_the_estimate_has_no_bias():
    rng, p = np.random.default_rng(0), 0.13
    wins = rng.binomial(20, p, 40_000)
    # The standard error of the mean of 40,000 is 0.0013 at most.
    assert pass_at_k(wins, 20, [1, 5, 10]).mean(axis=0) == pytest.approx(
        1 - (1 - p) ** np.array([1, 5, 10]), abs=0.005
    )


def test_more_attempts_than_there_were_have_no_estimate():
    found = pass_at_k([0, 3], [10, 100], [10, 11])
    assert np.isnan(found[0, 1])
    assert np.isfinite(found[1]).all()
    assert found[0, 0] == 0
    assert pass_at_k([1], [100_000], 100_000)[0] == 1


def test_coverage_is_that_of_the_beta_distribution():
    ks = np.array([1.0, 3.0, 30.0, 1000.0])
    found = of.covered(ks, np.array([0.4]), np.array([3.0]), np.array([1.0]))[0]
    exact = 1 - np.exp(betaln(0.4, 3.0 + ks) - betaln(0.4, 3.0))
    assert found == pytest.approx(exact, rel=2e-3)
    law = models.load("pass_at_k").mean
    assert found == pytest.approx([float(law(k, first=0.4 / 3.4, alpha=0.4)) for k in ks], rel=2e-3)
    half = of.covered(ks, np.array([1.0]), np.array([1.0]), np.array([0.5]))[0]  # rates uniform up to a half
    assert half == pytest.approx(1 - (1 - 0.5 ** (ks + 1)) / (ks + 1) / 0.5, rel=2e-3)


@pytest.fixture(scope="module")
def known():
    rng = np.random.default_rng(3)
    p = 0.8 * rng.beta(0.4, 3.0, 150)
    wins = rng.binomial(400, p)
    return p, wins, passes(KEY, wins, 400)


def test_rates_that_are_known_are_recovered(known):
    """Each interval of 99% misses once in a hundred such data."""
    p, wins, found = known
    assert found.problems == 150
    assert found.unsolved == np.sum(wins == 0)
    assert found.pareto_k < 0.7
    for drawn, truth in (
        (found.alpha, 0.4),
        (found.log_rate, np.log(p).mean()),
        *zip(
            found.at([1, 100, 10_000]).T, [np.mean(1 - (1 - p) ** k) for k in (1, 100, 10_000)], strict=True
        ),
    ):
        low, high = np.quantile(drawn, (0.005, 0.995))
        # Coverage is of new problems, of which these are a sample: three of its standard errors besides.
        slack = 0.06 if truth > 0 and truth != 0.4 else 0.0
        assert low - slack < truth < high + slack


def test_the_mean_log_pass_rate_counts_problems_without_a_success():
    """With a scale of 1 and rates that are uniform E log p is a difference of digamma functions, not minus infinity."""
    wins = np.array([0, 0, 5, 20, 40, 50, 12, 33] * 4)
    drawn, unsolved = mean_log_pass_rate(KEY, wins, 50)
    assert unsolved == 8
    assert np.isfinite(drawn).all()
    uniform = np.mean(digamma(1 + wins) - digamma(2 + 50))
    assert abs(np.mean(drawn) - uniform) < 1.0  # the prior of rates is not uniform, but learned
    assert np.mean(drawn) < np.mean(np.log(np.maximum(wins, 1) / 50))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: pass_at_k([3], 2, 1), "successes are whole numbers from 0 to the trials"),
        (lambda: pass_at_k([1], 2, 0), "k is 0; it is a number of attempts, one or more"),
        (
            lambda: passes(KEY, [1], 2),
            "there are 1 problems; their rates have a distribution where there are several",
        ),
    ],
)
def test_what_is_refused(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()
