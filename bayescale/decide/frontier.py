"""The least loss that a budget buys, draw by draw.

A budget K pays for training N parameters on D tokens and, where S is not zero, for serving them:

    K = f(N) (D + S)

f(N) is what one token costs, 6N FLOP; T tokens of inference cost a third of as many in training, S = T/3. Along a
budget the loss is a function of ln N alone.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jax import Array

from bayescale import parallel
from bayescale.decide.surface import FLOP, Surface, completed
from bayescale.model import Model
from bayescale.runs import Runs

GRID = 257  # 32 to a decade of the default bounds: two valleys of a loss are farther apart than that
HALVINGS = 60  # a step of the grid is below 1, so this reaches the last bit
WIDEST = (1e-3, 1e80)  # parameters considered where nothing is said; a step of the grid is still below 1

Flop = Callable[[Any], Any]  # parameters -> FLOP for each token of training


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
        log_n, least, most = _minimum(path_of(surface, flop), *given(surface), log_k, s, low, high)
        N = np.exp(np.asarray(log_n))
    return Best(N, tokens(np.exp(log_k), N, served=s, flop=flop), np.asarray(least), np.asarray(most))


def tokens(
    budget: npt.ArrayLike, N: npt.ArrayLike, *, served: npt.ArrayLike = 0.0, flop: Flop = six
) -> np.ndarray:
    """The training tokens that a budget leaves for N parameters, K / f(N) - S."""
    return np.asarray(budget, float) / cost(N, flop) - np.asarray(served, float)


def cost(N: npt.ArrayLike, flop: Flop = six) -> np.ndarray:
    """What a token of training costs, f(N), in double precision."""
    with parallel.workbench():
        return np.asarray(flop(np.asarray(N, float)), float)


def exponents(
    surface: Surface, N: np.ndarray, budget: npt.ArrayLike, *, served: npt.ArrayLike = 0.0, flop: Flop = six
) -> np.ndarray:
    """The local exponent of the best N in the budget, d ln N / d ln K, at the best N of each draw, (draws,)."""
    draws = len(surface)
    log_k, s = (np.broadcast_to(np.asarray(v, float), draws) for v in (np.log(budget), served))
    with parallel.workbench():
        return np.asarray(_exponents(path_of(surface, flop), *given(surface), np.log(N), log_k, s))


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

    Returns:
        N; nan where no draw has a best one.
    """
    known = np.isfinite(among)
    if not known.any():
        return float("nan")
    low, high = np.log(among[known].min()), np.log(among[known].max())
    own = {p: v[known] for p, v in surface.own.items()}
    with parallel.workbench():
        fixed = (surface.measures, surface.at, own)
        return float(np.exp(_choice(path_of(surface, flop), *fixed, np.log(budget), served, low, high)))


# ---- What is compiled


class Path(NamedTuple):
    """What it is compiled for."""

    model: Model
    flop: Flop


def path_of(surface: Surface, flop: Flop) -> Path:
    """What the search along budgets of a surface is compiled for."""
    return Path(surface.model, flop)


def given(surface: Surface) -> tuple[Runs, dict[str, float], dict[str, np.ndarray]]:
    """What it is compiled without: the units, what is held, and the parameters of the draws."""
    return surface.measures, surface.at, surface.own


def loss_of(path: Path, measures: Runs, at: dict[str, Array], own: dict[str, Array]) -> Callable[..., Array]:
    """The loss of one draw at (ln N, ln K, S), and beyond what K pays for infinite."""

    def loss(log_n: Array, log_k: Array, served: Array) -> Array:
        N = jnp.exp(log_n)
        D = jnp.exp(log_k) / path.flop(N) - served
        columns = completed(path.model.law, {**at, "N": N, "D": D})
        found = path.model.mean(measures.replace(columns=columns), own)
        return jnp.where(D > 0, found, jnp.inf)

    return loss


def lowest_of(slope: Callable[[Array], Array], left: Array, right: Array, halvings: int) -> Array:
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
        loss = loss_of(path, measures, at, one)
        slope = jax.grad(lambda x: loss(x, log_k, served))
        grid = jnp.linspace(low, high, GRID)
        values = jax.vmap(lambda x: loss(x, log_k, served))(grid)
        lowest = jnp.argmin(jnp.where(jnp.isnan(values), jnp.inf, values))
        left, right = grid[jnp.maximum(lowest - 1, 0)], grid[jnp.minimum(lowest + 1, GRID - 1)]
        log_n = lowest_of(slope, left, right, HALVINGS)
        least = (lowest == 0) & (slope(left) >= 0)
        most = (lowest == GRID - 1) & (slope(right) <= 0)
        return log_n, least, most

    return jax.vmap(of_draw)(own, log_k, served)


@functools.partial(jax.jit, static_argnums=0)
def _exponents(path, measures, at, own, log_n, log_k, served) -> Array:
    """How the N of the least loss moves with the budget, by the implicit function theorem, (draws,)."""

    def of_draw(one, log_n, log_k, served):
        slope = jax.grad(loss_of(path, measures, at, one))
        by_n, by_k = jax.grad(slope, (0, 1))(log_n, log_k, served)
        return -by_k / by_n

    return jax.vmap(of_draw)(own, log_n, log_k, served)


@functools.partial(jax.jit, static_argnums=0)
def _choice(path, measures, at, own, log_k, served, low, high) -> Array:
    """The ln N of the least average loss."""

    def average(log_n):
        of_draw = lambda one: loss_of(path, measures, at, one)(log_n, log_k, served)  # noqa: E731
        return jnp.mean(jax.vmap(of_draw)(own))

    grid = jnp.linspace(low, high, GRID)
    lowest = jnp.argmin(jax.lax.map(average, grid))
    left, right = grid[jnp.maximum(lowest - 1, 0)], grid[jnp.minimum(lowest + 1, GRID - 1)]
    return lowest_of(jax.grad(average), left, right, HALVINGS)
