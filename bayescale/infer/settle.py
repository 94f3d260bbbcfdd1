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
MEMORY = 0.99  # of Adam for how much gradients scatter, with some of the runs: less and less
ROWS = 8192  # of a table for each gradient, where it has more
EPOCH = 100  # of steps with some of the runs, before the gradient of all is found again
BLOCK = 1 << 14  # runs that are looked at together where all are, if there are no more coordinates


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
    rows: int = ROWS,
) -> Settled:
    """The mean-field approximation of a posterior, from a flat vector.

    It maximises the evidence lower bound E[log posterior] + entropy. Other than the mode it is an average: where a
    thousand levels have a slope and a threshold each, the mode is worthless, since thresholds that shrink while slopes
    grow give much density to little volume.

    With some of the runs widths of levels that few steps touch come out too wide, half as wide again where it is one
    step in a hundred.

    Args:
        key: the random key.
        density: the posterior.
        runs: the table; of one with more than `rows` runs each step takes so many at random, and how far these are
            off the whole is known, to the first order, from where the last hundred steps began.
        start: the mean to begin with, (size,).
        chart: the coordinates that are taken for independent.
        width: the standard deviations to begin with, (size,) or a number.
        steps: of Adam; with some of the runs whole hundreds of them.
        rows: see `runs`.

    Source:
        Kucukelbir et al. 2017, arXiv:1603.00788; Kingma and Ba 2015, arXiv:1412.6980; Johnson and Zhang 2013,
        Accelerating stochastic gradient descent using predictive variance reduction.
    """
    widths = jnp.log(jnp.broadcast_to(jnp.asarray(width, float), start.shape))
    rows = rows if rows < len(runs) else 0
    steps = -(-steps // EPOCH) * EPOCH if rows else steps
    found = _settled(density, rows, runs, chart, (start, widths), random.split(key, steps))
    (position, widths), bound = jax.device_get(found)
    return Settled(position, np.exp(widths), bound)


@partial(jax.jit, static_argnums=(0, 1))
def _settled(
    density: Density,
    rows: int,
    runs: Runs,
    chart: Chart | None,
    start: tuple[Array, Array],
    keys: Array,
) -> tuple[Any, Array]:
    import optax  # which fits that settle nothing do without

    schedule = optax.cosine_decay_schedule(RATE, len(keys), LAST)
    optimiser = optax.adam(schedule, b2=MEMORY) if rows else optax.adam(schedule)

    def step(there, state, key):
        normal, memory = state
        value, slope = jax.value_and_grad(_minus_bound)(normal, density, rows, runs, chart, key, there)
        change, memory = optimiser.update(slope, memory, normal)
        return (optax.apply_updates(normal, change), memory), -value

    def epoch(state, keys):
        return lax.scan(partial(step, _everywhere(density, runs, chart, state[0][0])), state, keys)

    begin = (start, optimiser.init(start))
    if rows:
        (normal, _), bound = lax.scan(epoch, begin, keys.reshape(-1, EPOCH, *keys.shape[1:]))
    else:
        (normal, _), bound = lax.scan(partial(step, None), begin, keys)
    return normal, bound.ravel()


def _minus_bound(
    normal: tuple[Array, Array],
    density: Density,
    rows: int,
    runs: Runs,
    chart: Chart | None,
    key: Array,
    there: "Everywhere | None",
) -> Array:
    """An estimate of minus the evidence lower bound, from some draws and, where `rows` is not 0, some runs."""
    position, log_width = normal
    key_rows, key = random.split(key)
    some = _some(key_rows, runs, rows) if rows else runs
    drawn = jnp.exp(log_width) * random.normal(key, (PAIRS, len(position)))
    points = position + jnp.concatenate([drawn, -drawn])
    logs = jax.vmap(lambda point: density.log_posterior(point, some, chart))(points)
    found = -jnp.mean(logs) - jnp.sum(log_width)
    return found if there is None else found + _difference(density, there, some, chart, position)


class Everywhere(NamedTuple):
    """A position, the log posterior there of all runs, and its gradient, (size,)."""

    position: Array
    value: Array
    slope: Array


def _everywhere(density: Density, runs: Runs, chart: Chart | None, at: Array) -> Everywhere:
    """What all runs say at a position, a block of them at a time."""
    count = len(runs)
    size = min(max(BLOCK, len(at)), count)

    def of(begin):
        here = begin + jnp.arange(size)
        block = part(runs, jnp.minimum(here, count - 1), here < count)
        return jax.value_and_grad(density.log_posterior)(at, block, chart)

    # Each block has the prior once more; one beyond the last run has nothing else.
    prior = of(count)

    def add(total, begin):
        return jax.tree.map(
            lambda so_far, one, nothing: so_far + one - nothing, total, of(begin), prior
        ), None

    (value, slope), _ = lax.scan(add, prior, jnp.arange(0, count, size))
    return Everywhere(at, value, slope)


def _difference(
    density: Density, there: Everywhere, some: Runs, chart: Chart | None, position: Array
) -> Array:
    """How far off some runs are at a place where all are known, to the first order: what they are put right by."""
    value, slope = jax.value_and_grad(density.log_posterior)(there.position, some, chart)
    return value - there.value + (slope - there.slope) @ (position - there.position)


def _some(key: Array, runs: Runs, rows: int) -> Runs:
    """Some runs at random, each of which counts for as many as there are for each that is taken."""
    count = len(runs)
    return part(runs, random.randint(key, (rows,), 0, count), count / rows)


def part(runs: Runs, taken: Array, weight: Array | float) -> Runs:
    """The runs at these places, whose weights are multiplied."""
    some = jax.tree.map(lambda leaf: jnp.asarray(leaf)[taken] if jnp.ndim(leaf) else leaf, runs)
    return some.replace(weight=some.weight * weight)


@partial(jax.jit, static_argnums=0)
def curvature(density: Density, position: Array, runs: Runs) -> Array:
    """The Hessian of minus the log posterior, (size, size), some columns at a time."""
    slope = jax.grad(lambda at: -density.log_posterior(at, runs))

    def column(direction):
        return jax.jvp(slope, (position,), (direction,))[1]

    return lax.map(column, jnp.eye(len(position)), batch_size=COLUMNS)
