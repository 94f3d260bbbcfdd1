"""The least loss that a budget buys, draw by draw, and the least budget that buys a loss.

A budget K pays for training N parameters on D tokens and, where S is not zero, for serving them:

    K = f(N) (D + S)

f(N) is what one token costs, 6N FLOP; T tokens of inference cost a third of as many in training, S = T/3. Along a
budget the loss is a function of ln N alone, and its least value falls with K at the rate that one more token takes
off (the envelope theorem), which is what the search for the budget of a loss steps by.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jax import Array

from bayescale import parallel
from bayescale.decide.surface import FLOP, Surface
from bayescale.model import Model
from bayescale.runs import Runs

GRID = 257  # 32 to a decade of the default bounds: two valleys of a loss are farther apart than that
HALVINGS = 60  # a step of the grid is below 1, so this reaches the last bit
ROUGH = 36  # of the minima on the way to a budget: the loss is flat there, and right to the last bit
STEPS = 100  # of that way; ten or so are taken
WIDEST = (1e-3, 1e40)  # parameters considered where the budget is not given
BUDGETS = (1e-10, 1e100)  # FLOP; what needs more is out of reach

Flop = Callable[[Array], Array]  # parameters -> FLOP for each token of training


def six(N: Array) -> Array:
    """The FLOP of training for each token, 6N."""
    return FLOP * N


class Best(NamedTuple):
    """Where each draw is best, each (draws,).

    Attributes:
        N: parameters.
        D: training tokens.
        least: whether N is at the lower bound.
        most: whether N is at the upper bound.
    """

    N: np.ndarray
    D: np.ndarray
    least: np.ndarray
    most: np.ndarray


def best(
    surface: Surface,
    budget: npt.ArrayLike,
    *,
    served: npt.ArrayLike = 0.0,
    flop: Flop = six,
    bounds: tuple[float, float] = WIDEST,
) -> Best:
    """The parameters and tokens of the least loss that a budget buys, for each draw.

    Args:
        surface: the law.
        budget: K, a number or (draws,).
        served: S, a number or (draws,).
        flop: f, a function that JAX can trace; it is compiled once for each function.
        bounds: the least and the most parameters considered.
    """
    draws = len(surface)
    log_k, s = (np.broadcast_to(np.asarray(v, float), draws) for v in (np.log(budget), served))
    with parallel.workbench():
        low, high = np.log(bounds)
        log_n, least, most = _minimum(_path(surface, flop), *_given(surface), log_k, s, low, high)
        N = np.exp(np.asarray(log_n))
        D = np.exp(log_k) / np.asarray(flop(N)) - s
    return Best(N, D, np.asarray(least), np.asarray(most))


def exponents(
    surface: Surface, N: np.ndarray, budget: npt.ArrayLike, *, served: npt.ArrayLike = 0.0, flop: Flop = six
) -> np.ndarray:
    """The local exponent of the best N in the budget, d ln N / d ln K, at the best N of each draw, (draws,)."""
    draws = len(surface)
    log_k, s = (np.broadcast_to(np.asarray(v, float), draws) for v in (np.log(budget), served))
    with parallel.workbench():
        return np.asarray(_exponents(_path(surface, flop), *_given(surface), np.log(N), log_k, s))


def choice(
    surface: Surface,
    budget: float,
    among: np.ndarray,
    *,
    served: float = 0.0,
    flop: Flop = six,
) -> float:
    """The N of the least loss that the budget buys on average over the draws.

    Args:
        surface: the law.
        budget: K.
        among: the best N of each draw, (draws,); the N of the least average lies among them.
        served: S.
        flop: f.
    """
    known = np.isfinite(among)
    low, high = np.log(among[known].min()), np.log(among[known].max())
    own = {p: v[known] for p, v in surface.own.items()}
    with parallel.workbench():
        fixed = (surface.measures, surface.at, own)
        return float(np.exp(_choice(_path(surface, flop), *fixed, np.log(budget), served, low, high)))


def needed(
    surface: Surface, loss: npt.ArrayLike, *, served: npt.ArrayLike = 0.0, flop: Flop = six
) -> np.ndarray:
    """The least budget that buys a loss, for each draw; infinite where no budget does.

    Args:
        surface: the law.
        loss: a number, (draws,), or (draws, losses).
        served: S, a number or (draws,).
        flop: f.

    Returns:
        K, (draws,) or (draws, losses).
    """
    draws, loss = len(surface), np.asarray(loss, float)
    columns = loss if loss.ndim == 2 else loss.reshape(-1, 1)
    wanted = np.broadcast_to(columns, (draws, columns.shape[1]))
    s = np.broadcast_to(np.asarray(served, float), draws)
    # The way begins where the runs are.
    start = np.broadcast_to(_typical(surface, flop) + s * np.asarray(flop(_reference(surface, "N"))), draws)
    from_here = best(surface, start, served=s, flop=flop)
    with parallel.workbench():
        found = _needed(_path(surface, flop), *_given(surface), np.log(from_here.N), np.log(start), wanted, s)
        budgets = np.exp(np.asarray(found))
    return budgets if loss.ndim == 2 else budgets[:, 0]


def _reference(surface: Surface, covariate: str) -> np.ndarray:
    return np.asarray(surface.fit.runs.reference[covariate], float)


def _typical(surface: Surface, flop: Flop) -> np.ndarray:
    """The budget of the reference run."""
    return np.asarray(flop(_reference(surface, "N")), float) * _reference(surface, "D")


# ---- What is compiled


class _Path(NamedTuple):
    """What it is compiled for."""

    model: Model
    flop: Flop


def _path(surface: Surface, flop: Flop) -> _Path:
    return _Path(surface.model, flop)


def _given(surface: Surface) -> tuple[Runs, dict[str, float], dict[str, np.ndarray]]:
    return surface.measures, surface.at, surface.own


def _loss_of(
    path: _Path, measures: Runs, at: dict[str, Array], own: dict[str, Array]
) -> Callable[..., Array]:
    """The loss of one draw at (ln N, ln K, S), and beyond what K pays for infinite."""
    needs = path.model.law.covariates

    def loss(log_n: Array, log_k: Array, served: Array) -> Array:
        N = jnp.exp(log_n)
        D = jnp.exp(log_k) / path.flop(N) - served
        columns = {**at, "N": N, "D": D}
        if "C" in needs and "C" not in at:
            columns["C"] = FLOP * N * D
        if "U" in at:
            columns["U"] = jnp.minimum(at["U"], D)
        found = path.model.mean(measures.replace(columns={c: columns[c] for c in needs}), own)
        return jnp.where(D > 0, found, jnp.inf)

    return loss


def _lowest(slope: Callable[[Array], Array], left: Array, right: Array, halvings: int) -> Array:
    """Where a slope rises through 0: of a loss it tells all digits, where the loss itself is flat."""

    def halve(_, bracket):
        left, right = bracket
        middle = (left + right) / 2
        falls = slope(middle) < 0
        return jnp.where(falls, middle, left), jnp.where(falls, right, middle)

    left, right = jax.lax.fori_loop(0, halvings, halve, (left, right))
    return (left + right) / 2


@functools.partial(jax.jit, static_argnums=0)
def _minimum(path, measures, at, own, log_k, served, low, high) -> tuple[Array, Array, Array]:
    """The ln N of the least loss, and whether it is at the lower and at the upper bound, each (draws,)."""

    def of_draw(one, log_k, served):
        loss = _loss_of(path, measures, at, one)
        slope = jax.grad(lambda x: loss(x, log_k, served))
        grid = jnp.linspace(low, high, GRID)
        values = jax.vmap(lambda x: loss(x, log_k, served))(grid)
        lowest = jnp.argmin(jnp.where(jnp.isnan(values), jnp.inf, values))
        left, right = grid[jnp.maximum(lowest - 1, 0)], grid[jnp.minimum(lowest + 1, GRID - 1)]
        log_n = _lowest(slope, left, right, HALVINGS)
        least = (lowest == 0) & (slope(left) >= 0)
        most = (lowest == GRID - 1) & (slope(right) <= 0)
        return log_n, least, most

    return jax.vmap(of_draw)(own, log_k, served)


@functools.partial(jax.jit, static_argnums=0)
def _exponents(path, measures, at, own, log_n, log_k, served) -> Array:
    """How the N of the least loss moves with the budget, by the implicit function theorem, (draws,)."""

    def of_draw(one, log_n, log_k, served):
        slope = jax.grad(_loss_of(path, measures, at, one))
        by_n, by_k = jax.grad(slope, (0, 1))(log_n, log_k, served)
        return -by_k / by_n

    return jax.vmap(of_draw)(own, log_n, log_k, served)


@functools.partial(jax.jit, static_argnums=0)
def _choice(path, measures, at, own, log_k, served, low, high) -> Array:
    """The ln N of the least average loss."""

    def average(log_n):
        of_draw = lambda one: _loss_of(path, measures, at, one)(log_n, log_k, served)  # noqa: E731
        return jnp.mean(jax.vmap(of_draw)(own))

    grid = jnp.linspace(low, high, GRID)
    lowest = jnp.argmin(jax.lax.map(average, grid))
    left, right = grid[jnp.maximum(lowest - 1, 0)], grid[jnp.minimum(lowest + 1, GRID - 1)]
    return _lowest(jax.grad(average), left, right, HALVINGS)


@functools.partial(jax.jit, static_argnums=0)
def _needed(path, measures, at, own, log_n, log_k, wanted, served) -> Array:
    """The ln K of the least budget that buys each loss wanted, (draws, losses)."""
    least, most = np.log(BUDGETS)

    def of_draw(one, from_n, from_k, wanted, served):
        loss = _loss_of(path, measures, at, one)
        by_n, by_k = jax.grad(loss), jax.value_and_grad(loss, 1)

        def frontier(log_k):
            """The least loss of a budget and its slope; ln N moves less than once and a half with ln K."""
            reach = 1.5 * jnp.abs(log_k - from_k) + 1
            slope = lambda x: by_n(x, log_k, served)  # noqa: E731
            lowest = _lowest(slope, from_n - reach, from_n + reach, ROUGH)
            return by_k(lowest, log_k, served)

        def step(state):
            log_k, left, right, _, count = state
            value, slope = frontier(log_k)
            enough = value <= wanted
            left, right = jnp.where(enough, left, log_k), jnp.where(enough, log_k, right)
            newton = log_k - (value - wanted) / slope
            following = jnp.where((newton > left) & (newton < right), newton, (left + right) / 2)
            return following, left, right, jnp.abs(following - log_k), count + 1

        def going(state):
            return (state[3] > 1e-13 * jnp.abs(state[0])) & (state[4] < STEPS)

        begin = jnp.clip(from_k, least, most)
        found = jax.lax.while_loop(going, step, (begin, least, most, jnp.inf, 0))[0]
        reached = frontier(most)[0]
        found = jnp.where(reached <= wanted, found, jnp.inf)
        found = jnp.where(frontier(least)[0] <= wanted, -jnp.inf, found)  # it costs nothing
        return jnp.where(jnp.isnan(reached) | jnp.isnan(wanted), jnp.nan, found)

    over_losses = jax.vmap(of_draw, (None, None, None, 0, None))
    return jax.vmap(over_losses)(own, log_n, log_k, wanted, served)
