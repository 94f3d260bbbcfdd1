"""Many fits at once: a damped Newton's method over lanes, with the unfinished gathered as others finish."""

from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from bayescale.infer.newton import BOUND_STEP, DECREMENT, SHORT
from bayescale.infer.objective import Objective
from bayescale.infer.terms import Look
from bayescale.runs import Runs

LANES = 32  # fits side by side: what they hold stays in the cache of a core, and few wait for the last
LOOKS = 400  # until a fit is given up
SINGLE = 16  # and until it goes on in double precision
TOGETHER = 2  # looks, before the lanes that have ended are given to the next fits
NEAR = 1e-3  # nats that a Newton step may still promise where double precision takes over
DAMPING = 1e-3  # the first damping, after a step that failed
LONGEST = 3.0  # no coordinate moves by more in a step; they are logarithms and logits
SHORTER, LONGER = (
    4,
    4,
)  # a step that led up is taken this much shorter, and one that led down allows for a longer
TRIES = 30  # of damping, each 8 times the last, until the curvature is positive
PIVOT = 1e-13  # of the largest curvature: a pivot below is rounding


class Refits(NamedTuple):
    """Where each fit ended.

    Attributes:
        position: the estimate of what is free, (fits, free).
        value: the objective there, (fits,).
        converged: whether it is a minimum: the Newton decrement has vanished where the curvature is positive, (fits,).
        at_bound: which coordinates still ran to infinity where the decrement has vanished, (fits, free).
        looks: how often the objective was evaluated in double precision, (fits,).
    """

    position: Array
    value: Array
    converged: Array
    at_bound: Array
    looks: Array


class _Lanes(NamedTuple):
    """The state of fits side by side; every field has the fits in front."""

    position: Array
    at: Look
    scale: Array  # what a unit of damping is in each coordinate: the largest curvature seen
    damping: Array
    length: Array  # how far a coordinate may move
    trial: Array  # where to look next
    done: Array
    at_bound: Array
    looks: Array


def _begin(start: Array) -> _Lanes:
    fits, free = start.shape
    kind, zero = start.dtype, jnp.zeros(fits, start.dtype)
    nowhere = Look(jnp.full(fits, jnp.inf, kind), jnp.zeros_like(start), jnp.zeros((fits, free, free), kind))
    no = jnp.zeros(fits, bool)
    return _Lanes(
        start,
        nowhere,
        jnp.zeros_like(start),
        zero,
        zero + LONGEST,
        start,
        no,
        start != start,
        jnp.zeros(fits, int),
    )


def _solve(hessian: Array, damping: Array, slope: Array) -> tuple[Array, Array]:
    """The Newton step of one fit, and whether all pivots of its damped Hessian are positive.

    Written out for one fit, it is some arithmetic on vectors of lanes; a call of a library for each would cost more.
    """
    size = slope.size
    if size > 12:  # the arithmetic written out grows with the cube
        root = jnp.linalg.cholesky(hessian + jnp.diag(damping))
        sound = jnp.all(jnp.isfinite(root))
        step = jax.scipy.linalg.cho_solve(
            (jnp.where(sound, root, jnp.eye(size, dtype=slope.dtype)), True), -slope
        )
        return step, sound
    lower = [[hessian[i, j] for j in range(size)] for i in range(size)]
    pivot, right, sound = [], [-slope[i] for i in range(size)], jnp.array(True)
    for i in range(size):
        own = hessian[i, i] + damping[i]
        rest = own
        for k in range(i):
            rest = rest - lower[i][k] * lower[i][k] * pivot[k]
        sound &= rest > PIVOT * jnp.abs(own)
        rest = jnp.where(rest > 0, rest, 1)
        pivot.append(rest)
        for j in range(i + 1, size):
            sum_ = hessian[j, i]
            for k in range(i):
                sum_ = sum_ - lower[j][k] * lower[i][k] * pivot[k]
            lower[j][i] = sum_ / rest
    for i in range(size):
        for k in range(i):
            right[i] = right[i] - lower[i][k] * right[k]
    right = [value / p for value, p in zip(right, pivot, strict=True)]
    for i in reversed(range(size)):
        for k in range(i + 1, size):
            right[i] = right[i] - lower[k][i] * right[k]
    return jnp.stack(right), sound


def _step(state: _Lanes, seen: Look, *, single: bool) -> _Lanes:
    """Take or leave what was seen at the trial point of one fit, and choose the next."""
    rounding = 1e-6 if single else 1e-14
    finite = (
        jnp.isfinite(seen.value) & jnp.all(jnp.isfinite(seen.gradient)) & jnp.all(jnp.isfinite(seen.hessian))
    )
    first = ~jnp.isfinite(state.at.value)
    take = (
        finite & (first | (seen.value <= state.at.value + rounding * jnp.abs(state.at.value))) & ~state.done
    )
    at = Look(*(jnp.where(take, new, old) for new, old in zip(seen, state.at, strict=True)))
    position = jnp.where(take, state.trial, state.position)
    scale = jnp.maximum(state.scale, jnp.abs(jnp.diagonal(at.hessian)))
    moved = jnp.max(jnp.abs(state.trial - state.position))
    length = jnp.where(take, jnp.minimum(jnp.maximum(state.length, LONGER * moved), LONGEST), moved / SHORTER)
    damping = jnp.where(take & (state.damping > 1e-6), state.damping / 10, jnp.where(take, 0, state.damping))

    usable = jnp.isfinite(at.value)

    def damp(tried):
        damping, _, _, tries = tried
        step, sound = _solve(at.hessian, damping * scale, at.gradient)
        return jnp.where(sound, damping, jnp.maximum(8 * damping, DAMPING)), step, sound, tries + 1

    begin = (damping, jnp.zeros_like(position), jnp.array(False), 0)
    damping, step, sound, _ = lax.while_loop(lambda t: ~t[2] & (t[3] < TRIES) & usable, damp, begin)
    promise = -(step @ at.gradient)
    enough = NEAR if single else DECREMENT * jnp.maximum(jnp.abs(at.value), 1)
    nothing = sound & ((promise <= enough) | jnp.all(jnp.abs(step) <= SHORT))
    done = state.done | (nothing & (damping == 0))
    at_bound = jnp.where(state.done, state.at_bound, done & (jnp.abs(step) > BOUND_STEP))
    damping = jnp.where(nothing, 0, damping)  # damping may hide that something is left: look again without
    whole = jnp.max(jnp.abs(step))
    step = step * jnp.minimum(1, length / jnp.where(whole > 0, whole, 1))
    trial = position + jnp.where(sound & (single | ~done), step, 0)
    return _Lanes(position, at, scale, damping, length, trial, done, at_bound, state.looks + ~state.done)


@partial(jax.jit, static_argnames=("objective", "mixed"))
def minima(
    objective: Objective,
    start: Array,
    base: Array,
    runs: Runs,
    changes: Mapping[str, Array],
    wanted: Array | None = None,
    *,
    mixed: bool = True,
) -> Refits:
    """The minimum that each fit reaches from its start.

    Args:
        objective: what is minimised.
        start: (fits, free).
        base: what is held, as flat vectors of the density, (size,) or (fits, size).
        runs: the table.
        changes: the fields of `runs` that each fit has its own of, each (fits, ...): weight, response, unit.
        wanted: which fits are wanted, (fits,); the others stay at their start.
        mixed: whether the first steps are taken in single precision.
    """
    fits = start.shape[0]
    lanes = min(LANES, fits)
    padded = -(-fits // lanes) * lanes
    fill = partial(_padded, extra=padded - fits)
    own = (
        {"base": jnp.broadcast_to(base, (fits, base.shape[-1])), **changes}
        if base.ndim == 2
        else dict(changes)
    )
    start, own = fill(start), jax.tree.map(fill, own)
    wanted = jnp.arange(padded) < fits if wanted is None else fill(wanted) & (jnp.arange(padded) < fits)

    def looked(position: Array, mine: Mapping[str, Array]) -> Look:
        def one(position, mine):
            changed = runs.replace(**{name: value for name, value in mine.items() if name != "base"})
            return objective.look(position, mine.get("base", base), changed)

        return jax.vmap(one)(position, mine)

    if mixed:
        near = _flow(looked, start.astype(jnp.float32), own, wanted, lanes, single=True)
        # A step that Newton's method would take last needs no look in single precision.
        moved = wanted[:, None] & jnp.isfinite(near.trial)
        start = jnp.where(moved, near.trial.astype(start.dtype), start)
    found = _flow(looked, start, own, wanted, lanes, single=False)
    at_bound = found.at_bound > 0
    converged = (found.done > 0) & ~jnp.any(at_bound, axis=1)
    ended = Refits(found.position, found.value, converged, at_bound, found.looks.astype(int))
    return jax.tree.map(lambda leaf: leaf[:fits], ended)


def _padded(leaf: Array, extra: int) -> Array:
    return jnp.concatenate([leaf, jnp.broadcast_to(leaf[:1], (extra, *leaf.shape[1:]))]) if extra else leaf


class _Ends(NamedTuple):
    """Where fits ended, as numbers of one type, so that one scatter writes them."""

    trial: Array
    position: Array
    at_bound: Array
    value: Array
    done: Array
    looks: Array


def _flow(looked, start: Array, own, wanted: Array, lanes: int, *, single: bool) -> _Ends:
    """Fit all that are wanted, `lanes` of them side by side; where one ends the next takes its place."""
    fits, free = start.shape
    (order,) = jnp.nonzero(wanted, size=fits, fill_value=0)
    count = jnp.sum(wanted)

    def go_on(carry):
        ends, here, index, active, taken = carry
        mine = jax.tree.map(lambda leaf: leaf[index], own)

        def look(_, here):
            return jax.vmap(partial(_step, single=single))(here, looked(here.trial, mine))

        here = lax.fori_loop(0, TOGETHER, look, here)
        ended = active & (here.done | (here.looks >= (SINGLE if single else LOOKS)))
        numbers = jnp.stack([here.at.value, here.done, here.looks], axis=1)
        numbers = jnp.concatenate([here.trial, here.position, here.at_bound, numbers], axis=1).astype(
            start.dtype
        )
        ends = ends.at[jnp.where(ended, index, fits)].set(numbers, mode="drop")
        # Where a fit has ended the next one in the row begins.
        rank = taken + jnp.cumsum(ended) - 1
        begins = ended & (rank < count)
        index = jnp.where(begins, order[jnp.minimum(rank, fits - 1)], index)
        new = _begin(start[index])
        here = jax.tree.map(lambda a, b: jnp.where(begins.reshape(-1, *[1] * (a.ndim - 1)), a, b), new, here)
        return ends, here, index, (active & ~ended) | begins, taken + jnp.sum(ended)

    index = order[:lanes]
    none, never = jnp.zeros((fits, 2), start.dtype), jnp.full((fits, 1), jnp.inf, start.dtype)
    ends = jnp.concatenate([start, start, jnp.zeros_like(start), never, none], axis=1)
    carry = (ends, _begin(start[index]), index, jnp.arange(lanes) < count, jnp.asarray(lanes))
    ends = lax.while_loop(lambda c: jnp.any(c[3]), go_on, carry)[0]
    return _Ends(*(ends[:, i * free : (i + 1) * free] for i in range(3)), *ends[:, 3 * free :].T)
