"""Densities of noise that NumPyro lacks: Huber's, and the normal that is clipped."""

import jax.numpy as jnp
import numpyro.distributions as dist
from jax import random
from jax.scipy.special import ndtr, ndtri
from jax.scipy.stats import norm
from numpyro.distributions import constraints


class HuberDistribution(dist.Distribution):
    """The density proportional to exp(-H((x - loc) / scale)), H quadratic within `delta / scale` and linear beyond.

    Its mode is the Huber estimate for that delta. As delta grows it becomes normal with standard deviation
    `scale`; as delta shrinks, Laplace with scale `scale^2 / delta`.
    """

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive, "delta": constraints.positive}
    support = constraints.real  # pyright: ignore
    reparametrized_params = ["loc", "scale"]

    def __init__(self, loc, scale, delta, *, validate_args=None):
        self.loc, self.scale, self.delta = jnp.broadcast_arrays(*map(jnp.asarray, (loc, scale, delta)))
        super().__init__(self.loc.shape, validate_args=validate_args)

    def _masses(self):
        """What the middle and both tails weigh, for a scale of 1 and before normalising."""
        edge = self.delta / self.scale
        middle = jnp.sqrt(2 * jnp.pi) * (2 * ndtr(edge) - 1)
        return middle, 2 / edge * jnp.exp(-(edge**2) / 2)

    def log_prob(self, value):  # noqa: D102  # pyright: ignore[reportIncompatibleMethodOverride]
        edge = self.delta / self.scale
        size = jnp.abs(value - self.loc) / self.scale
        inner = jnp.minimum(size, edge)
        middle, tails = self._masses()
        return -(inner**2 / 2 + edge * (size - inner)) - jnp.log(self.scale * (middle + tails))

    def cdf(self, value):  # noqa: D102
        edge = self.delta / self.scale
        z = (value - self.loc) / self.scale
        middle, tails = self._masses()
        tail = (
            tails / 2 * jnp.exp(-edge * jnp.maximum(jnp.abs(z) - edge, 0.0))
        )  # beyond |z|, or beyond the edge
        within = jnp.sqrt(2 * jnp.pi) * (ndtr(jnp.clip(z, -edge, edge)) - ndtr(-edge))
        below = jnp.where(z < -edge, tail, jnp.where(z > edge, middle + tails - tail, tails / 2 + within))
        return below / (middle + tails)

    def sample(self, key, sample_shape=()):  # noqa: D102
        shape = sample_shape + self.batch_shape
        # Not quite from 0, of which the normal quantile is infinite.
        smallest = jnp.finfo(jnp.result_type(float)).tiny
        where, within, sign = random.uniform(key, (3, *shape), minval=smallest)  # pyright: ignore[reportArgumentType]
        edge = self.delta / self.scale
        middle, tails = self._masses()
        inner = ndtri(norm.cdf(-edge) + within * (1 - 2 * norm.cdf(-edge)))
        outer = jnp.where(sign < 0.5, -1, 1) * (edge - jnp.log1p(-within) / edge)
        return self.loc + self.scale * jnp.where(where < middle / (middle + tails), inner, outer)


class ClippedNormal(dist.Distribution):
    """A normal number that is put to 0 where it is below, and to `high` where it is above: Tobin's distribution.

    Its density is that of the normal between them; at 0 and at `high` it is the probability of what lies beyond.
    """

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive, "high": constraints.positive}
    support = constraints.nonnegative  # pyright: ignore
    reparametrized_params = ["loc", "scale"]

    def __init__(self, loc, scale, high, *, validate_args=None):
        self.loc, self.scale, self.high = jnp.broadcast_arrays(*map(jnp.asarray, (loc, scale, high)))
        super().__init__(self.loc.shape, validate_args=validate_args)

    def log_prob(self, value):  # noqa: D102  # pyright: ignore[reportIncompatibleMethodOverride]
        inside = norm.logpdf(value, self.loc, self.scale)
        below = norm.logcdf(-self.loc / self.scale)
        above = norm.logcdf((self.loc - self.high) / self.scale)
        return jnp.where(value <= 0, below, jnp.where(value >= self.high, above, inside))

    def sample(self, key, sample_shape=()):  # noqa: D102
        assert key is not None
        drawn = random.normal(key, sample_shape + self.batch_shape)
        return jnp.clip(self.loc + self.scale * drawn, 0.0, self.high)
