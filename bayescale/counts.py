"""Binomial and beta-binomial numbers: NumPyro's, with log densities that take less time.

Nearly all of what the density of a count costs is logarithms of the gamma function and their derivatives, and those of
JAX are made for any number. Counts ask for positive ones, for which Stirling's series will do.
"""

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jax import Array
from jax.scipy.special import xlog1py, xlogy
from jax.typing import ArrayLike

SHIFT = 8  # from where on the series below is right to the last digit
LARGE = 1e4  # from where on the series needs no shift, whose product would overflow in single precision
STIRLING = (
    -691 / 360360,
    1 / 1188,
    -1 / 1680,
    1 / 1260,
    -1 / 360,
    1 / 12,
)  # Bernoulli numbers B_2k / 2k(2k - 1)


def log_gamma(x: ArrayLike) -> Array:
    """The logarithm of the gamma function of positive numbers, to 1e-14 of itself or of 1.

    log Gamma(x) = log Gamma(x + 8) - log x(x + 1)...(x + 7), and Stirling's series for the first.

    Source:
        Abramowitz and Stegun 1964, 6.1.15 and 6.1.41.
    """
    x = jnp.asarray(x, jnp.result_type(float))
    small = x < LARGE
    low = jnp.where(small, x, 1.0)
    product = low
    for i in range(1, SHIFT):
        product = product * (low + i)
    high = jnp.where(small, x + SHIFT, x)
    inverse, series = 1 / high, STIRLING[0]
    for coefficient in STIRLING[1:]:
        series = series * inverse**2 + coefficient
    stirling = (high - 0.5) * jnp.log(high) - high + np.log(2 * np.pi) / 2 + series * inverse
    return stirling - jnp.where(small, jnp.log(product), 0.0)


def log_ways(tries: ArrayLike, successes: ArrayLike) -> Array:
    """The logarithm of how many ways there are to choose the tries that succeed."""
    tries, successes = jnp.asarray(tries), jnp.asarray(successes)
    return log_gamma(tries + 1) - log_gamma(successes + 1) - log_gamma(tries - successes + 1)


class Binomial(dist.BinomialProbs):
    """The number of successes of independent tries."""

    def log_prob(self, value):  # noqa: D102  # pyright: ignore[reportIncompatibleMethodOverride]
        p, tries = map(jnp.asarray, (self.probs, self.total_count))
        return log_ways(tries, value) + xlogy(value, p) + xlog1py(tries - value, -p)


class BetaBinomial(dist.BetaBinomial):
    """The number of successes of tries whose probability, common to them, is a beta number."""

    def log_prob(self, value):  # noqa: D102  # pyright: ignore[reportIncompatibleMethodOverride]
        a, b, tries = map(jnp.asarray, (self.concentration1, self.concentration0, self.total_count))
        successes = log_gamma(a + value) - log_gamma(a)
        failures = log_gamma(b + tries - value) - log_gamma(b)
        return log_ways(tries, value) + successes + failures - (log_gamma(a + b + tries) - log_gamma(a + b))
