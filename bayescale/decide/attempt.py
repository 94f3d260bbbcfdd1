"""The one run to do for a target: with too little compute it misses, and with too much it wastes.

What a run was spent on is of use if it reaches the target, and then as much of it as the draw needed:

    regret = 1 - needed / spent   where the target is reached,    1   where it is missed

A run that misses has to be begun anew, so that all of it is wasted; a target out of reach wastes every run. The run
with the least of this on average goes a little beyond what most draws need where they nearly agree, and dares more
where they do not. Of needs that are log-normal with standard deviation s it is z s beyond the median, where
phi(z - s) = s Phi(z - s).
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from bayescale import parallel
from bayescale.decide.frontier import Flop, Path, cost, given, loss_of, path_of, six
from bayescale.decide.surface import Surface

SIZES = 17  # looked at between the least and the most best N, and again about the best of them: of a decade N to 2%
TOKENS = (1e-3, 1e100)  # what needs more is out of reach
STEPS = 48  # halvings: of 237 e-folds of tokens 1e-12 are left
ROUNDING = 1e-9  # of what a run takes


class Attempt(NamedTuple):
    """A run, and what it wastes.

    Attributes:
        N: parameters.
        D: training tokens.
        spent: the budget of it.
        regret: the share of it that is wasted, (draws,); nan where the need of a draw is not known.
    """

    N: float
    D: float
    spent: float
    regret: np.ndarray


def wasted_by(spent: float, needed: np.ndarray, takes: np.ndarray) -> np.ndarray:
    """The share of what is spent that is wasted, (draws,).

    Args:
        spent: the amount.
        needed: the least that would have done, (draws,); infinite where nothing does, nan where it is not known.
        takes: what the target takes of what is done, such as at the N that was chosen, (draws,).
    """
    with np.errstate(invalid="ignore"):
        reached = takes <= spent * (1 + ROUNDING)
        share = np.where(reached, np.clip(1 - needed / spent, 0.0, 1.0), 1.0)
    return np.where(np.isnan(needed), np.nan, share)


def stake(needed: np.ndarray, takes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The amounts to spend that waste least on average, and what they do waste, each (plans,).

    It is what some draw takes: with less the draw is missed, with more nothing is won until the next one.

    Args:
        needed: the least that each draw needs, (draws,), positive; infinite where nothing does.
        takes: what it takes by each of several plans, (draws, plans).
    """
    order = np.argsort(takes, axis=0)
    spent = np.take_along_axis(takes, order, axis=0)
    useful = np.cumsum(np.where(np.isfinite(spent), needed[order], 0.0), axis=0)
    with np.errstate(invalid="ignore"):
        share = np.where(np.isfinite(spent), useful / spent, 0.0) / len(needed)
    best = share.argmax(axis=0)[None]
    return np.take_along_axis(spent, best, axis=0)[0], 1 - np.take_along_axis(share, best, axis=0)[0]


def amount(needed: np.ndarray) -> tuple[float, np.ndarray] | None:
    """Of what can only be bought in one way how much to buy, and the regret, (draws,); None where no draw says."""
    known = _known(needed)
    if not np.isfinite(needed[known]).any():
        return None
    (spent,), _ = stake(needed[known], needed[known][:, None])
    return float(spent), wasted_by(float(spent), needed, needed)


def attempt(
    surface: Surface,
    loss: np.ndarray,
    needed: np.ndarray,
    among: np.ndarray,
    *,
    served: float = 0.0,
    flop: Flop = six,
) -> Attempt | None:
    """The run that wastes least on average, of all N and D.

    Args:
        surface: a law that falls with D.
        loss: the loss that each draw has to reach, (draws,).
        needed: the least budget that does, (draws,).
        among: the best N of each draw, (draws,). The N of the run lies among them, because beyond them another one
            takes less in every draw.
        served: S, see `frontier`.
        flop: f.

    Returns:
        The run; None where it is out of reach in every draw.
    """
    known = _known(needed)
    there = known & np.isfinite(needed)
    if not there.any():
        return None
    few = Surface(surface.fit, surface.levels, surface.at, {p: v[known] for p, v in surface.own.items()})
    low, high = np.log(among[there].min()), np.log(among[there].max())
    N, spent, best = np.zeros(0), np.zeros(0), 0
    for _ in range(2):  # all of the range, and then about the best
        N = np.exp(np.linspace(low, high, SIZES))
        takes = cost(N, flop) * (tokens_for(few, loss[known], N, flop=flop) + served)
        spent, wasted = stake(needed[known], takes)
        best = int(wasted.argmin())
        low, high = np.log(N[max(best - 1, 0)]), np.log(N[min(best + 1, SIZES - 1)])
    size, whole = float(N[best]), float(spent[best])
    D = whole / float(cost(size, flop)) - served
    return Attempt(size, D, whole, regret_of(surface, loss, needed, size, D, served=served, flop=flop))


def regret_of(
    surface: Surface,
    loss: np.ndarray,
    needed: np.ndarray,
    N: float,
    D: float,
    *,
    served: float = 0.0,
    flop: Flop = six,
) -> np.ndarray:
    """The share of the budget that a run of N parameters on D tokens wastes, (draws,); see `attempt`."""
    each = float(cost(N, flop))
    takes = each * (tokens_for(surface, loss, np.array([N]), flop=flop)[:, 0] + served)
    return wasted_by(each * (D + served), needed, takes)


def tokens_for(surface: Surface, loss: np.ndarray, N: np.ndarray, *, flop: Flop = six) -> np.ndarray:
    """The fewest training tokens with which each size reaches a loss, (draws, sizes); infinite where none do."""
    with parallel.workbench():
        found = _tokens(path_of(surface, flop), *given(surface), np.asarray(loss, float), np.log(N))
        return np.exp(np.asarray(found))


def _known(needed: np.ndarray) -> np.ndarray:
    """The draws that say what they need; what costs nothing calls for no run."""
    return ~np.isnan(needed) & (needed > 0)


@functools.partial(jax.jit, static_argnums=0)
def _tokens(path: Path, measures, at, own, wanted: Array, log_n: Array) -> Array:
    """The ln D with which the loss is down to what is wanted, (draws, sizes)."""
    lowest, highest = np.log(TOKENS)

    def of_draw(one, wanted):
        loss = loss_of(path, measures, at, one)

        def of_size(log_n):
            price = jnp.log(path.flop(jnp.exp(log_n)))
            enough = lambda log_d: loss(log_n, price + log_d, 0.0) <= wanted  # noqa: E731

            def halve(_, bracket):
                left, right = bracket
                middle = (left + right) / 2
                there = enough(middle)
                return jnp.where(there, left, middle), jnp.where(there, middle, right)

            found = jax.lax.fori_loop(0, STEPS, halve, (lowest, highest))[1]
            return jnp.where(enough(highest), found, jnp.inf)

        return jax.vmap(of_size)(log_n)

    return jax.vmap(of_draw)(own, wanted)
