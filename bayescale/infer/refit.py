"""Many fits at once: Newton's method with a trust length, over lanes that are refilled as fits end."""

from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from bayescale import parallel
from bayescale.infer.newton import BOUND_STEP, DECREMENT, SHORT
from bayescale.infer.objective import Objective
from bayescale.infer.terms import Look
from bayescale.runs import Runs

# Fits side by side: what they hold stays in the cache of a core, and few wait for the last. An accelerator takes as
# long for a few as for many.
LANES, ON_ACCELERATOR = 32, 16384
LOOKS = 400  # until a fit is given up
SINGLE = 24  # and until it goes on in double precision
NEAR = 1e-3  # nats that a Newton step may still promise where double precision takes over
LONGEST = 3.0  # no coordinate moves by more in a step; they are logarithms and logits
SHORTEST, SHORTER = 0.1, 0.5  # of a step that led up: the limits of the next one
LONGER = 2  # times a step that led down: what the next one may be, where it was cut before
PIVOT = 1e-13  # of the largest curvature: less is rounding
WRITTEN_OUT = 12  # coordinates; with more the arithmetic, which grows with the cube, is left to a library


class Refits(NamedTuple):
    """Where each fit ended.

    Attributes:
        position: the estimate of what is free, (fits, free).
        value: the objective there, (fits,).
        converged: whether it is a minimum: the Newton decrement has vanished where the curvature is positive, (fits,).
        at_bound: which coordinates still ran to infinity where the decrement has vanished, (fits, free).
        looks: how often the objective was evaluated in double precision, (fits,).
        hessian: the second derivatives there, (fits, free, free), where they were asked for; nan where no look at the
            objective was finite.
    """

    position: Array
    value: Array
    converged: Array
    at_bound: Array
    looks: Array
    hessian: Array | None = None


class _Lanes(NamedTuple):
    """The state of fits side by side; every field has the fits in front."""

    position: Array
    at: Look
    length: Array  # how far a coordinate may move
    trial: Array  # where to look next
    done: Array
    at_bound: Array
    looks: Array


def _begin(start: Array) -> _Lanes:
    fits, free = start.shape
    kind, zero, no = start.dtype, jnp.zeros(fits, start.dtype), jnp.zeros(fits, bool)
    nowhere = Look(zero + jnp.inf, jnp.zeros_like(start), jnp.zeros((fits, free, free), kind))
    return _Lanes(start, nowhere, zero + LONGEST, start, no, start != start, jnp.zeros(fits, int))


class _Move(NamedTuple):
    """What to do about directions that do not touch each other, or about one of them.

    Attributes:
        by: how far to move.
        curve: the curvature that is reckoned with; 0 of a direction that is left alone.
        bound: 1 where a long move promises nothing, 0 elsewhere.
        settled: whether there is nothing to be had, or the curvature says how far to go for it.
    """

    by: Array
    curve: Array
    bound: Array
    settled: Array


def _along(slope: Array, curve: Array, largest: Array, length: Array, enough: Array) -> _Move:
    """The move along directions with these slopes and curvatures."""
    sound = curve > PIVOT * largest
    # Where it bends down, or rounding hides how it bends, what a move may give is what the longest would.
    at_most = LONGEST * jnp.abs(slope) + LONGEST**2 * jnp.abs(curve)
    gain = jnp.where(sound, slope**2 / jnp.where(sound, curve, 1), at_most)
    far = ~sound | (jnp.abs(slope) > BOUND_STEP * jnp.abs(curve))
    left = (gain <= enough) & far
    bent = jnp.maximum(jnp.abs(curve), jnp.abs(slope) / length)
    curve = jnp.where(left, 0, jnp.where(sound, curve, bent))
    by = jnp.where(curve > 0, -slope / jnp.where(curve > 0, curve, 1), 0)
    return _Move(by, curve, left.astype(slope.dtype), sound | left)


def _solve(at: Look, length: Array, enough: Array) -> tuple[Array, Array, Array, Array]:
    """The step of one fit, what it promises, how far each coordinate moves along what is left alone, and whether
    every direction is settled.

    Written out for one fit, it is some arithmetic on vectors of lanes; a call of a library for each would cost more.
    """
    hessian, size = at.hessian, at.gradient.size
    if size > WRITTEN_OUT:
        values, vectors = jnp.linalg.eigh(hessian)
        slope = vectors.T @ at.gradient
        move = _along(slope, values, jnp.max(jnp.abs(values)), length, enough)
        return vectors @ move.by, -slope @ move.by, jnp.abs(vectors @ move.bound), jnp.all(move.settled)
    # Hessian = L diag(curves) L'; the slope along direction i is that of L^-1 gradient.
    lower = [[hessian[i, j] for j in range(size)] for i in range(size)]
    slope, move = [at.gradient[i] for i in range(size)], []
    for i in range(size):
        pivot = hessian[i, i]
        for k in range(i):
            pivot = pivot - lower[i][k] * lower[i][k] * move[k].curve
            slope[i] = slope[i] - lower[i][k] * slope[k]
        own = _along(slope[i], pivot, jnp.abs(hessian[i, i]), length, enough)
        column = []
        for j in range(i + 1, size):
            rest = hessian[j, i]
            for k in range(i):
                rest = rest - lower[j][k] * lower[i][k] * move[k].curve
            column.append(jnp.where(own.curve > 0, rest / jnp.where(own.curve > 0, own.curve, 1), 0))
        # Else the compiler would work out each column anew for every one that follows.
        own, slope[i], column = lax.optimization_barrier((own, slope[i], column))
        move.append(own)
        for j, factor in enumerate(column, start=i + 1):
            lower[j][i] = factor
    by, bound = [own.by for own in move], [own.bound for own in move]
    promise = -sum((one * its for one, its in zip(by, slope, strict=True)), start=jnp.zeros_like(by[0]))
    for i in reversed(range(size)):
        for k in range(i + 1, size):
            by[i] = by[i] - lower[k][i] * by[k]
            bound[i] = bound[i] - lower[k][i] * bound[k]
    settled = jnp.all(jnp.stack([own.settled for own in move]))
    return jnp.stack(by), promise, jnp.abs(jnp.stack(bound)), settled


def _step(state: _Lanes, seen: Look, *, single: bool) -> _Lanes:
    """Take or leave what was seen at the trial point of one fit, and choose the next."""
    rounding = 1e-6 if single else 1e-14
    finite = jnp.isfinite(seen.value) & jnp.all(jnp.isfinite(seen.gradient))
    finite &= jnp.all(jnp.isfinite(seen.hessian))
    first = ~jnp.isfinite(state.at.value)
    down = first | (seen.value <= state.at.value + rounding * jnp.abs(state.at.value))
    take = finite & down & ~state.done
    at = Look(*(jnp.where(take, new, old) for new, old in zip(seen, state.at, strict=True)))
    position = jnp.where(take, state.trial, state.position)
    moved = state.trial - state.position
    far = jnp.max(jnp.abs(moved))
    longer = jnp.minimum(jnp.maximum(state.length, LONGER * far), LONGEST)
    length = jnp.where(take, longer, far * jnp.where(finite, _least(state.at, seen, moved), SHORTEST))

    enough = jnp.asarray(NEAR) if single else DECREMENT * jnp.maximum(jnp.abs(at.value), 1)
    by, promise, alone, settled = _solve(at, length, enough.astype(position.dtype))
    usable, whole = jnp.isfinite(at.value), jnp.max(jnp.abs(by))
    done = state.done | (usable & settled & ((promise <= enough) | (whole <= SHORT)))
    at_bound = jnp.where(state.done, state.at_bound, done & (alone > BOUND_STEP))
    step = by * jnp.minimum(1, length / jnp.where(whole > 0, whole, 1))
    trial = position + jnp.where(usable & (single | ~done), step, 0)
    return _Lanes(position, at, length, trial, done, at_bound, state.looks + ~state.done)


def _least(before: Look, after: Look, moved: Array) -> Array:
    """Where along a step that led up the cubic through both its ends is least, as a share of the step.

    Source:
        Nocedal and Wright 2006, Numerical Optimization, equation 3.59.
    """
    slope, slope_after = moved @ before.gradient, moved @ after.gradient
    bend = slope + slope_after - 3 * (after.value - before.value)
    root = jnp.sqrt(jnp.maximum(bend**2 - slope * slope_after, 0))
    below = slope_after - slope + 2 * root
    share = 1 - (slope_after + root - bend) / jnp.where(below != 0, below, 1)
    return jnp.where(jnp.isfinite(share), jnp.clip(share, SHORTEST, SHORTER), SHORTEST)


def minima(
    objective: Objective,
    start: Array,
    base: Array,
    runs: Runs,
    changes: Mapping[str, Array],
    wanted: Array | None = None,
    *,
    mixed: bool = True,
    curved: bool = False,
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
        curved: whether second derivatives are returned.
    """
    lanes = min(ON_ACCELERATOR if parallel.accelerated() else LANES, start.shape[0])
    return _minima(objective, start, base, runs, changes, wanted, mixed=mixed, curved=curved, lanes=lanes)


@partial(jax.jit, static_argnames=("objective", "mixed", "curved", "lanes"))
def _minima(
    objective: Objective,
    start: Array,
    base: Array,
    runs: Runs,
    changes: Mapping[str, Array],
    wanted: Array | None,
    *,
    mixed: bool,
    curved: bool,
    lanes: int,
) -> Refits:
    fits = start.shape[0]
    padded = -(-fits // lanes) * lanes
    fill = partial(_padded, extra=padded - fits)
    own = (
        {"base": jnp.broadcast_to(base, (fits, base.shape[-1])), **changes}
        if base.ndim == 2
        else dict(changes)
    )
    start, own = fill(start), jax.tree.map(fill, own)
    wanted = jnp.arange(padded) < fits if wanted is None else fill(wanted) & (jnp.arange(padded) < fits)

    def looked(position: Array, mine: Mapping[str, Array], *, straight: bool = False) -> Look:
        def one(position, mine):
            changed = runs.replace(**{name: value for name, value in mine.items() if name != "base"})
            return objective.look(position, mine.get("base", base), changed, straight=straight)

        return jax.vmap(one)(position, mine)

    if mixed:
        near = _flow(
            partial(looked, straight=True), start.astype(jnp.float32), own, wanted, lanes, single=True
        )
        # A step that Newton's method would take last needs no look in single precision.
        moved = wanted[:, None] & jnp.isfinite(near.trial)
        start = jnp.where(moved, near.trial.astype(start.dtype), start)
    found = _flow(looked, start, own, wanted, lanes, single=False, curved=curved)
    at_bound = found.at_bound > 0
    converged = (found.done > 0) & ~jnp.any(at_bound, axis=1)
    looks, hessian = found.looks.astype(int), None
    if curved:
        hessian = jnp.where(jnp.isfinite(found.value)[:, None, None], found.hessian, jnp.nan)
    ended = Refits(found.position, found.value, converged, at_bound, looks, hessian)
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
    hessian: Array  # (fits, free, free), or with nothing in it


def _flow(
    looked, start: Array, own, wanted: Array, lanes: int, *, single: bool, curved: bool = False
) -> _Ends:
    """Fit all that are wanted, `lanes` of them side by side; where one ends the next takes its place."""
    fits, free = start.shape
    curves = free**2 if curved else 0
    (order,) = jnp.nonzero(wanted, size=fits, fill_value=0)
    count = jnp.sum(wanted)

    def go_on(carry):
        ends, here, index, active, taken = carry
        mine = jax.tree.map(lambda leaf: leaf[index], own)
        here = jax.vmap(partial(_step, single=single))(here, looked(here.trial, mine))
        ended = active & (here.done | (here.looks >= (SINGLE if single else LOOKS)))
        numbers = [
            here.trial,
            here.position,
            here.at_bound,
            jnp.stack([here.at.value, here.done, here.looks], axis=1),
            here.at.hessian.reshape(lanes, -1)[:, :curves],
        ]
        numbers = jnp.concatenate(numbers, axis=1).astype(start.dtype)
        ends = ends.at[jnp.where(ended, index, fits)].set(numbers, mode="drop")
        # Where a fit has ended the next one in the row begins.
        rank = taken + jnp.cumsum(ended) - 1
        begins = ended & (rank < count)
        index = jnp.where(begins, order[jnp.minimum(rank, fits - 1)], index)
        new = _begin(start[index])
        here = jax.tree.map(lambda a, b: jnp.where(begins.reshape(-1, *[1] * (a.ndim - 1)), a, b), new, here)
        return ends, here, index, (active & ~ended) | begins, taken + jnp.sum(ended)

    index = order[:lanes]
    none, never = jnp.zeros((fits, 2 + curves), start.dtype), jnp.full((fits, 1), jnp.inf, start.dtype)
    ends = jnp.concatenate([start, start, jnp.zeros_like(start), never, none], axis=1)
    carry = (ends, _begin(start[index]), index, jnp.arange(lanes) < count, jnp.asarray(lanes))
    ends = lax.while_loop(lambda c: jnp.any(c[3]), go_on, carry)[0]
    trial, position, at_bound, numbers, hessian = jnp.split(
        ends, [free, 2 * free, 3 * free, 3 * free + 3], axis=1
    )
    value, done, looks = numbers.T
    return _Ends(trial, position, at_bound, value, done, looks, hessian.reshape(fits, free, curves // free))
