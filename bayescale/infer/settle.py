"""Where a posterior of many levels settles: the normal distribution nearest to it, found by stochastic gradients."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
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
COLUMNS = 64  # of a Hessian at a time
ROWS = 8192  # of a table for each gradient, where it has more


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
    rows: int = ROWS,
) -> Settled:
    """The mean-field approximation of a posterior, from a flat vector.

    It maximises the evidence lower bound E[log posterior] + entropy. Other than the mode it is an average: where a
    thousand levels have a slope and a threshold each, the mode is worthless, since thresholds that shrink while slopes
    grow give much density to little volume.

    Args:
        key: the random key.
        density: the posterior.
        runs: the table; of one with more than `rows` runs each step takes so many at random.
        start: the mean to begin with, (size,).
        chart: the coordinates that are taken for independent.
        width: the standard deviations to begin with, (size,) or a number.
        steps: of Adam, whose rate falls from `rate` to a hundredth of it.
        rate: in coordinates of order one.
        rows: see `runs`.

    Source:
        Kucukelbir et al. 2017, arXiv:1603.00788; Kingma and Ba 2015, arXiv:1412.6980.
    """
    widths = jnp.log(jnp.broadcast_to(jnp.asarray(width, float), start.shape))
    rows = rows if rows < len(runs) else 0
    found = _settled(density, rows, runs, chart, (start, widths), rate, random.split(key, steps))
    (position, widths), bound = jax.device_get(found)
    return Settled(position, np.exp(widths), bound)


@partial(jax.jit, static_argnums=(0, 1))
def _settled(
    density: Density,
    rows: int,
    runs: Runs,
    chart: Chart | None,
    start: tuple[Array, Array],
    rate: float,
    keys: Array,
) -> tuple[Any, Array]:
    import optax  # which fits that settle nothing do without

    optimiser = optax.adam(optax.cosine_decay_schedule(rate, len(keys), LAST))

    def loss(normal, key):
        position, log_width = normal
        key_rows, key = random.split(key)
        some = _some(key_rows, runs, rows) if rows else runs
        drawn = jnp.exp(log_width) * random.normal(key, (PAIRS, len(position)))
        points = position + jnp.concatenate([drawn, -drawn])
        logs = jax.vmap(lambda point: density.log_posterior(point, some, chart))(points)
        return -jnp.mean(logs) - jnp.sum(log_width)

    def step(state, key):
        normal, memory = state
        value, slope = jax.value_and_grad(loss)(normal, key)
        change, memory = optimiser.update(slope, memory, normal)
        return (optax.apply_updates(normal, change), memory), -value

    (normal, _), bound = lax.scan(step, (start, optimiser.init(start)), keys)
    return normal, bound


def _some(key: Array, runs: Runs, rows: int) -> Runs:
    """Some runs at random, each of which counts for as many as there are for each that is taken."""
    count = jnp.shape(runs.weight)[0]
    taken = random.randint(key, (rows,), 0, count)
    columns = {name: jnp.asarray(values)[taken] for name, values in runs.columns.items()}
    factors = {name: jnp.asarray(index)[taken] for name, index in runs.factors.items()}
    weight = jnp.asarray(runs.weight)[taken] * (count / rows)
    return runs.replace(
        columns=columns, factors=factors, weight=weight, response=jnp.asarray(runs.response)[taken]
    )


@partial(jax.jit, static_argnums=0)
def curvature(density: Density, position: Array, runs: Runs) -> Array:
    """The Hessian of minus the log posterior, (size, size), some columns at a time."""
    slope = jax.grad(lambda at: -density.log_posterior(at, runs))

    def column(direction):
        return jax.jvp(slope, (position,), (direction,))[1]

    return lax.map(column, jnp.eye(len(position)), batch_size=COLUMNS)
