"""Where a posterior of many levels settles: the normal distribution nearest to it, found by stochastic gradients."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array, lax, random

from bayescale.infer.chart import Chart
from bayescale.infer.density import Density
from bayescale.runs import Runs

STEPS = 1500  # of Adam; the bound changes by less than its noise after some 500 of them
RATE, LAST = (
    0.05,
    0.01,
)  # the first rate of learning, in coordinates of order one, and the share of it at the end
PAIRS = 4  # of draws for each gradient, each with its mirror image
NARROW = 0.2  # how wide the distribution is at first
BATCH = 64  # columns of a Hessian at a time
RECENT = 100  # steps that the bound is averaged over


class Settled(NamedTuple):
    """The normal distribution with independent coordinates that is nearest to a posterior.

    Attributes:
        position: its mean, (size,).
        width: its standard deviations, (size,).
        bound: the lower bound of the log evidence at each step, (steps,), up to a constant.
    """

    position: np.ndarray
    width: np.ndarray
    bound: np.ndarray


def settle(
    key: Array,
    density: Density,
    runs: Runs,
    start: Array,
    *,
    chart: Chart | None = None,
    width: Array | float = NARROW,
    steps: int = STEPS,
    rate: float = RATE,
) -> Settled:
    """The mean-field approximation of a posterior, from a flat vector.

    It maximises the evidence lower bound E[log posterior] + entropy. Other than the mode it is an average: where a
    thousand levels have a slope and a threshold each, the mode is worthless, since thresholds that shrink while slopes
    grow give much density to little volume.

    Source:
        Kucukelbir et al. 2017, arXiv:1603.00788; Kingma and Ba 2015, arXiv:1412.6980.
    """
    widths = jnp.log(jnp.broadcast_to(jnp.asarray(width, float), start.shape))
    found = _settled(density, runs, chart, (start, widths), rate, random.split(key, steps))
    (position, widths), bound = jax.device_get(found)
    return Settled(position, np.exp(widths), bound)


@partial(jax.jit, static_argnums=0)
def _settled(
    density: Density, runs: Runs, chart: Chart | None, start: tuple[Array, Array], rate: float, keys: Array
) -> tuple[tuple[Array, Array], Array]:
    optimiser = optax.adam(optax.cosine_decay_schedule(rate, len(keys), LAST))

    def loss(normal, key):
        position, log_width = normal
        drawn = jnp.exp(log_width) * random.normal(key, (PAIRS, len(position)))
        points = position + jnp.concatenate([drawn, -drawn])
        logs = jax.vmap(lambda point: density.log_posterior(point, runs, chart))(points)
        return -jnp.mean(logs) - jnp.sum(log_width)

    def step(state, key):
        normal, memory = state
        value, slope = jax.value_and_grad(loss)(normal, key)
        change, memory = optimiser.update(slope, memory, normal)
        return (optax.apply_updates(normal, change), memory), -value

    (normal, _), bound = lax.scan(step, (start, optimiser.init(start)), keys)
    return normal, bound


@partial(jax.jit, static_argnums=0)
def curvature(density: Density, position: Array, runs: Runs) -> Array:
    """The Hessian of minus the log posterior, (size, size), some columns at a time."""
    slope = jax.grad(lambda at: -density.log_posterior(at, runs))

    def column(direction):
        return jax.jvp(slope, (position,), (direction,))[1]

    return lax.map(column, jnp.eye(len(position)), batch_size=BATCH)
