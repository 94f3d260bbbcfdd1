"""Binomial and beta-binomial numbers: NumPyro's, with log densities that take less time.

Nearly all of what the density of a count costs is logarithms of the gamma function and their derivatives, and those of
JAX are made for any number. Counts ask for positive ones, for which Stirling's series will do.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jax import Array
from jax.scipy.special import xlog1py, xlogy
from jax.typing import ArrayLike

SHIFT = 8  # from where on the series below are right to the last digit
LARGE = 1e4  # from where on they need no shift, whose product would overflow in single precision
BERNOULLI = {12: -691 / 2730, 10: 5 / 66, 8: -1 / 30, 6: 1 / 42, 4: -1 / 30, 2: 1 / 6}


@jax.custom_jvp
def log_gamma(x: ArrayLike) -> Array:
    """The logarithm of the gamma function of positive numbers, to 1e-14 of itself or of 1.

    log Gamma(x) = log Gamma(x + 8) - log x(x + 1)...(x + 7), and Stirling's series for the first. Its derivatives are
    written out as well: what differentiation makes of the product is two fifths of the program of a fit.

    Source:
        Abramowitz and Stegun 1964, 6.1.15 and 6.1.41; 6.3.18 and 6.4.12 for the derivatives.
    """
    small, low, high = _shifted(x)
    inverse = 1 / high
    stirling = (high - 0.5) * jnp.log(high) - high + np.log(2 * np.pi) / 2
    stirling += inverse * _series(inverse, lambda k: k * (k - 1))
    return stirling - jnp.where(small, jnp.log(_product(low)[0]), 0.0)


@jax.custom_jvp
def _digamma(x: ArrayLike) -> Array:
    """The first derivative of `log_gamma`."""
    small, low, high = _shifted(x)
    inverse = 1 / high
    product, slope, _ = _product(low)
    above = jnp.log(high) - inverse * (0.5 + inverse * _series(inverse, lambda k: k))
    return above - jnp.where(small, slope / product, 0.0)


def _trigamma(x: ArrayLike) -> Array:
    """The second derivative of `log_gamma`."""
    small, low, high = _shifted(x)
    inverse = 1 / high
    product, slope, bend = _product(low)
    above = inverse * (1 + inverse * (0.5 + inverse * _series(inverse, lambda k: 1)))
    return above + jnp.where(small, (slope / product) ** 2 - bend / product, 0.0)


def _series(inverse: Array, over: Callable[[int], int]) -> Array:
    """The sum of B_k / over(k) times inverse^(k - 2), over the even k."""
    total = jnp.zeros_like(inverse)
    for k, number in BERNOULLI.items():
        total = total * inverse**2 + number / over(k)
    return total


def _shifted(x: ArrayLike) -> tuple[Array, Array, Array]:
    """Whether a number is shifted, the number if it is, and where the series is taken."""
    x = jnp.asarray(x, jnp.result_type(float))
    small = x < LARGE
    return small, jnp.where(small, x, 1.0), jnp.where(small, x + SHIFT, x)


def _product(x: Array) -> tuple[Array, Array, Array]:
    """x(x + 1)...(x + 7) and its two derivatives: with u = x(x + 7) it is u(u + 6)(u + 10)(u + 12)."""
    u, du = x * (x + 7), 2 * x + 7
    value = u * (u + 6) * (u + 10) * (u + 12)
    first, second = ((4 * u + 84) * u + 504) * u + 720, (12 * u + 168) * u + 504
    return value, first * du, second * du**2 + 2 * first


log_gamma.defjvp(lambda at, by: (log_gamma(*at), _digamma(*at) * by[0]))
_digamma.defjvp(lambda at, by: (_digamma(*at), _trigamma(*at) * by[0]))


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
