"""The least budget that buys a loss, draw by draw: the inverse of the frontier.

The least loss of a budget falls with it at the rate that one more token takes off (the envelope theorem), which is
what the search steps by.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jax import Array

from bayescale import parallel
from bayescale.decide.frontier import Flop, Path, best, cost, given, loss_of, lowest_of, path_of, six
from bayescale.decide.surface import Surface

ROUGH = 36  # halvings, of the minima on the way to a budget: the loss is flat there
STEPS = 100  # of that way; ten or so are taken
BUDGETS = (1e-10, 1e100)  # FLOP; what needs more is out of reach
KNOTS = 65  # budgets between which one is interpolated: of a power law good to 1e-6 of its logarithm


def needed(
    surface: Surface, loss: npt.ArrayLike, *, served: npt.ArrayLike = 0.0, flop: Flop = six
) -> np.ndarray:
    """The least budget that buys a loss, for each draw; infinite where no budget does.

    Args:
        surface: the law.
        loss: a number, or (draws,).
        served: S, a number or (draws,).
        flop: f.

    Returns:
        K, (draws,).
    """
    draws = len(surface)
    wanted, s = (np.broadcast_to(np.asarray(v, float), draws) for v in (loss, served))
    # The way begins where the runs are.
    reference = {c: np.asarray(surface.fit.runs.reference[c], float) for c in ("N", "D")}
    start = cost(reference["N"], flop) * (reference["D"] + s)
    from_here = best(surface, start, served=s, flop=flop)
    with parallel.workbench():
        log_n, log_k = np.log(from_here.N), np.log(start)
        return np.exp(np.asarray(_needed(path_of(surface, flop), *given(surface), log_n, log_k, wanted, s)))


def equivalent(
    surface: Surface, loss: np.ndarray, budget: float, *, served: float = 0.0, flop: Flop = six
) -> np.ndarray:
    """The least budget that buys each of many losses of runs that cost `budget`, interpolated; (draws, losses)."""
    draws = len(surface)
    log_k, s = (np.broadcast_to(np.asarray(v, float), draws) for v in (np.log(budget), served))
    start = best(surface, budget, served=s, flop=flop)
    worst = np.nanmax(np.where(np.isfinite(loss), loss, np.nan), axis=1)
    lowest = np.log(np.maximum(needed(surface, worst, served=s, flop=flop), BUDGETS[0]))
    knots = np.linspace(np.minimum(lowest, log_k), log_k, KNOTS, axis=1)
    with parallel.workbench():
        values, slopes = _frontier(path_of(surface, flop), *given(surface), np.log(start.N), log_k, knots, s)
        found = _hermite(np.asarray(values), knots, 1 / np.asarray(slopes), loss)
    return np.exp(np.where(np.isposinf(loss), -np.inf, found))


def least(surface: Surface, budgets: np.ndarray, *, flop: Flop = six) -> np.ndarray:
    """The least loss that each of several budgets of a draw buys, both (draws, budgets)."""
    start = best(surface, budgets[:, 0], flop=flop)
    logs, s = np.log(budgets), np.zeros(len(surface))
    with parallel.workbench():
        found = _frontier(path_of(surface, flop), *given(surface), np.log(start.N), logs[:, 0], logs, s)
        return np.asarray(found[0])


def _hermite(x: np.ndarray, y: np.ndarray, slope: np.ndarray, at: np.ndarray) -> np.ndarray:
    """A cubic through knots with these slopes, at points; x falls along the last axis, and so each row by itself."""
    found = np.empty(at.shape)
    for i in range(len(x)):
        k = np.clip(np.searchsorted(-x[i], -at[i]) - 1, 0, x.shape[1] - 2)
        h = x[i][k + 1] - x[i][k]
        t = np.clip((at[i] - x[i][k]) / np.where(h == 0, 1.0, h), 0.0, 1.0)
        a, b = y[i][k], y[i][k + 1]
        da, db = h * slope[i][k], h * slope[i][k + 1]
        found[i] = (1 - t) ** 2 * ((1 + 2 * t) * a + t * da) + t**2 * ((3 - 2 * t) * b + (t - 1) * db)
    return found


# ---- What is compiled


def _least_of(path: Path, measures, at, own, from_n: Array, from_k: Array, served: Array) -> Callable:
    """The least loss of a budget and its slope in ln K; ln N moves less than once and a half with ln K."""
    loss = loss_of(path, measures, at, own)
    by_n, by_k = jax.grad(loss), jax.value_and_grad(loss, 1)

    def least(log_k: Array) -> tuple[Array, Array]:
        reach = 1.5 * jnp.abs(log_k - from_k) + 1
        lowest = lowest_of(lambda x: by_n(x, log_k, served), from_n - reach, from_n + reach, ROUGH)
        return by_k(lowest, log_k, served)

    return least


@functools.partial(jax.jit, static_argnums=0)
def _frontier(path, measures, at, own, log_n, log_k, knots, served) -> tuple[Array, Array]:
    """The least loss at each of many budgets, and its slope, each (draws, knots)."""

    def of_draw(one, from_n, from_k, knots, served):
        return jax.vmap(_least_of(path, measures, at, one, from_n, from_k, served))(knots)

    return jax.vmap(of_draw)(own, log_n, log_k, knots, served)


@functools.partial(jax.jit, static_argnums=0)
def _needed(path, measures, at, own, log_n, log_k, wanted, served) -> Array:
    """The ln K of the least budget that buys the loss wanted, (draws,)."""
    lowest, highest = np.log(BUDGETS)

    def of_draw(one, from_n, from_k, wanted, served):
        least = _least_of(path, measures, at, one, from_n, from_k, served)

        def step(state):
            log_k, left, right, _, count = state
            value, slope = least(log_k)
            enough = value <= wanted
            left, right = jnp.where(enough, left, log_k), jnp.where(enough, log_k, right)
            newton = log_k - (value - wanted) / slope
            following = jnp.where((newton > left) & (newton < right), newton, (left + right) / 2)
            return following, left, right, jnp.abs(following - log_k), count + 1

        def going(state):
            return (state[3] > 1e-13 * jnp.abs(state[0])) & (state[4] < STEPS)

        begin = jnp.clip(from_k, lowest, highest)
        found = jax.lax.while_loop(going, step, (begin, lowest, highest, jnp.inf, 0))[0]
        reached = least(highest)[0]
        found = jnp.where(reached <= wanted, found, jnp.inf)
        found = jnp.where(least(lowest)[0] <= wanted, -jnp.inf, found)  # it costs nothing
        return jnp.where(jnp.isnan(reached) | jnp.isnan(wanted), jnp.nan, found)

    return jax.vmap(of_draw)(own, log_n, log_k, wanted, served)
