"""Binomial and beta-binomial numbers against SciPy."""

import jax
import numpy as np
import pytest
from scipy import stats
from scipy.special import gammaln, polygamma, psi

from bayescale.counts import BetaBinomial, Binomial, log_gamma


@pytest.fixture(autouse=True)
def _of_64_bits():
    with jax.enable_x64(True):
        yield


PLACES = [1e-300, 1e-12, 1e-5, 0.3, 0.999, 1.0, 1.5, 2.0, 2.0001, 7.0, 30.0, 1e3, 9999.5, 1e4, 1e12, 1e300]


@pytest.mark.parametrize("x", PLACES)
def test_the_logarithm_of_the_gamma_function_and_its_derivative(x):
    assert float(log_gamma(x)) == pytest.approx(gammaln(x), rel=1e-14, abs=1e-14)
    assert float(jax.grad(log_gamma)(x)) == pytest.approx(psi(x), rel=1e-13)


@pytest.mark.parametrize("x", PLACES[1:-1])  # the squares of the others are no numbers
def test_the_second_and_the_third_derivative(x):
    assert float(jax.hessian(log_gamma)(x)) == pytest.approx(polygamma(1, x), rel=1e-13)
    assert float(jax.grad(jax.hessian(log_gamma))(x)) == pytest.approx(polygamma(2, x), rel=1e-12)


def test_counts_are_taken_as_they_are():
    assert np.allclose(log_gamma(np.arange(1, 60)), gammaln(np.arange(1, 60)), rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("tries", [1, 20, 100_000])
def test_binomial_numbers(tries):
    value = np.unique(np.linspace(0, tries, 11).astype(int))
    for p in (1e-9, 0.2, 0.999):
        assert Binomial(p, tries).log_prob(value) == pytest.approx(
            stats.binom.logpmf(value, tries, p), rel=1e-9
        )


@pytest.mark.parametrize("tries", [1, 20, 100_000])
@pytest.mark.parametrize(("a", "b"), [(1e-3, 2.0), (0.7, 0.3), (40.0, 5.0), (1e4, 3e5)])
def test_beta_binomial_numbers(tries, a, b):
    value = np.unique(np.linspace(0, tries, 11).astype(int))
    expected = stats.betabinom.logpmf(value, tries, a, b)
    assert BetaBinomial(a, b, tries).log_prob(value) == pytest.approx(expected, rel=1e-8, abs=1e-9)


def test_nothing_is_certain_but_what_the_ends_say():
    assert float(Binomial(0.0, 3).log_prob(0)) == 0
    assert float(Binomial(1.0, 3).log_prob(0)) == -np.inf
