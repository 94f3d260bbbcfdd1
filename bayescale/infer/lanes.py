"""NUTS for many posteriors of one shape: a lane for each chain of each, and no lane waits for the tree of another.

A program of many chains that makes a draw of each at a time waits for the largest tree of them all. Here it makes one
leapfrog step of each at a time: a lane whose tree has ended begins the next. On an accelerator a step of thousands of
lanes takes hardly longer than one of a few.
"""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax, random
from numpyro.infer.hmc_util import build_adaptation_schedule, dual_averaging

STEPS = 64  # between two looks at how many lanes are done
# Gradients a draw, in the mean of a phase, after which a lane is given up, and its draws are not numbers; and the share
# of lanes for which the others do not wait longer than it took so far.
GRADIENTS, LAST = 128, 0.01
DIVERGED = 1000.0  # nats by which the energy is off
PRIOR_DRAWS = 5.0  # that the covariance so far counts for, beside those of a window

Energy = Callable[..., Array]  # (vector, *data) -> minus the log density


class _End(NamedTuple):
    """A place on a trajectory."""

    at: Array
    momentum: Array
    energy: Array
    slope: Array


class _Half(NamedTuple):
    """The part of a tree that grows: twice as long each time.

    `before` and `sums` hold the momentum at the beginnings of its subtrees, and the sum of momenta up to there.
    """

    last: _End
    chosen: _End
    weight: Array
    total: Array
    leaf: Array
    before: Array
    sums: Array


class _Tree(NamedTuple):
    """A trajectory, and the point of it that is chosen so far."""

    first: _End
    last: _End
    chosen: _End
    weight: Array
    total: Array
    depth: Array
    begun: Array
    forward: Array
    half: _Half


class _Lane(NamedTuple):
    """A chain.

    Attributes:
        key: of its random numbers.
        tree: that it is in the middle of.
        steps, accepted: of the tree so far.
        size: the logarithm of the step, with what dual averaging knows.
        draws, counts, diverged: of each draw where it is, how many gradients it took, and whether it diverged.
        made: how many draws there are.
    """

    key: Array
    tree: _Tree
    steps: Array
    accepted: Array
    size: tuple[Array, ...]
    draws: Array
    counts: Array
    diverged: Array
    made: Array


class Drawn(NamedTuple):
    """Draws of many posteriors.

    Attributes:
        draws: (posteriors, chains, draws, size), not numbers where a lane was given up.
        gradients: that each took, (posteriors, chains, draws).
        diverging: whether its trajectory diverged, (posteriors, chains, draws).
        root: from the coordinates of the draws to those of the energy, (posteriors, size, size).
        step: the step size, (posteriors, chains).
    """

    draws: Array
    gradients: Array
    diverging: Array
    root: Array
    step: Array


def sample(
    keys: Array,
    energy: Energy,
    data: tuple,
    shared: tuple,
    size: int,
    *,
    chains: int = 4,
    draws: int = 250,
    warmup: int = 300,
    target: float = 0.9,
    depth: int = 10,
) -> Drawn:
    """Draws from many posteriors of one shape, in coordinates in which each is about standard normal about its mode.

    A chain that would begin where the density is zero begins at the mode. The covariance is learned in the windows of
    Stan, from all chains of a posterior together.

    Args:
        keys: a random key for each posterior, (posteriors,).
        energy: (vector, *data, *shared) -> minus the log density; hashed by its identity, so that what is compiled for
            one function is compiled once.
        data: what each posterior has of its own, with the posteriors in front of every array.
        shared: what all have.
        size: of a vector.
        chains: of each posterior.
        draws: kept of each chain.
        warmup: draws before those, in which step size and covariance are found.
        target: the acceptance probability aimed at.
        depth: the greatest depth of a tree.

    Source:
        Hoffman and Gelman 2014, arXiv:1111.4246, with the multinomial choice of Betancourt 2017, arXiv:1701.02434; a
        step of each lane at a time as in Lao and Dillon 2019, "Unrolled implementation of No-U-Turn sampler", and the
        checks of subtrees without recursion as in Phan, Pradhan and Jankowiak 2019, arXiv:1912.11554.
    """
    windows = [(int(start), int(end) + 1) for start, end in build_adaptation_schedule(warmup)]
    room = max(draws, *(end - start for start, end in windows))
    begin, go_on, learn = _compiled(energy, room, depth)
    posteriors = len(keys)
    at = jax.vmap(lambda key: random.normal(random.fold_in(key, len(windows) + 1), (chains, size)))(keys)
    root = jnp.broadcast_to(jnp.eye(size), (posteriors, size, size))
    step = jnp.zeros((posteriors, chains))  # logarithms
    lanes = None
    for number, (start, end) in enumerate([*windows, (0, draws)]):
        last = number == len(windows)
        own = jax.vmap(lambda key, number=number: random.split(random.fold_in(key, number), chains))(keys)
        lanes = begin(own, at, step, root, data, shared)
        count = jnp.asarray(end - start)
        made, limit = 0, GRADIENTS * (end - start)
        while made < limit:
            lanes, busy = go_on(lanes, count, jnp.asarray(target), jnp.asarray(not last), root, data, shared)
            made += STEPS
            if busy <= LAST * posteriors * chains:
                limit = min(limit, 2 * made) if busy else 0
        if not last:
            middle = jnp.asarray(0 < number < len(windows) - 1)
            at, step, root = learn(lanes, count, root, middle)
    assert lanes is not None
    there = jnp.arange(draws) < lanes.made[..., None]
    found = jnp.where(there[..., None], lanes.draws[:, :, :draws], jnp.nan)
    return Drawn(found, lanes.counts[..., :draws], lanes.diverged[..., :draws], root, jnp.exp(step))


@lru_cache(maxsize=64)
def _compiled(energy: Energy, room: int, depth: int):
    """What begins all lanes, makes some steps of each, and learns from their draws."""
    _, averaged = dual_averaging()

    def looked(vector, momentum, root, data, shared) -> _End:
        value, slope = jax.value_and_grad(lambda v: energy(root @ v, *data, *shared))(vector)
        sound = jnp.isfinite(value) & jnp.all(jnp.isfinite(slope))
        return _End(vector, momentum, jnp.where(sound, value, jnp.inf), jnp.where(sound, slope, 0.0))

    def begin_one(key, at, step, root, data, shared) -> _Lane:
        key, of_momentum, of_choice = random.split(key, 3)
        momentum = random.normal(of_momentum, at.shape)
        here, middle = (looked(one, momentum, root, data, shared) for one in (at, jnp.zeros_like(at)))
        here = _where(jnp.isfinite(here.energy), here, middle)  # where the density is zero nothing leads away
        zero, none, blank = jnp.zeros(()), jnp.zeros((), int), jnp.zeros((depth, at.size))
        half = _Half(here, here, zero, here.momentum, none, blank, blank)
        tree = _halved(_planted(here, half), random.bernoulli(of_choice))
        size = (step, step, zero, none, jnp.log(10.0) + step)
        kept = (jnp.zeros((room, at.size)), jnp.zeros(room, jnp.int32), jnp.zeros(room, bool))
        return _Lane(key, tree, none, zero, size, *kept, none)

    def step_one(lane: _Lane, count, target, adapts, root, data, shared) -> _Lane:
        key, of_choices, of_momentum = random.split(lane.key, 3)
        takes, joins_too, forward = random.uniform(of_choices, (3,))
        going = lane.made < count
        tree, half = lane.tree, lane.tree.half
        by = jnp.where(tree.forward, 1.0, -1.0) * jnp.exp(lane.size[0])
        half_way = half.last.momentum - by / 2 * half.last.slope
        seen = looked(half.last.at + by * half_way, half_way, root, data, shared)
        seen = seen._replace(momentum=half_way - by / 2 * seen.slope)
        off = _total(seen) - tree.begun
        off = jnp.where(jnp.isnan(off), jnp.inf, off)
        diverged = off > DIVERGED
        half, turned = _longer(half, seen, -off, takes)
        accepted, steps = lane.accepted + jnp.minimum(1.0, jnp.exp(-off)), lane.steps + 1

        joins = (half.leaf == 2**tree.depth) & ~turned & ~diverged
        tree = tree._replace(half=half)
        tree = _where(joins, _joined(tree, joins_too), tree)
        full = _turned(tree.first.momentum, tree.last.momentum, tree.total) | (tree.depth == depth)
        ended = turned | diverged | (joins & full)
        drawn, began = tree.chosen.at, random.normal(of_momentum, (tree.chosen.at.size,))
        tree = _where(ended, _planted(tree.chosen._replace(momentum=began), half), tree)
        tree = _where(ended | joins, _halved(tree, forward < 0.5), tree)

        ended &= going
        place = jnp.where(ended, lane.made, room)
        moved = averaged(target - accepted / steps, lane.size)
        moved = (jnp.clip(moved[0], -60.0, 60.0), *moved[1:])
        return _Lane(
            key,
            _where(going, tree, lane.tree),
            jnp.where(ended, 0, steps),
            jnp.where(ended, 0.0, accepted),
            _where(ended & adapts, moved, lane.size),
            lane.draws.at[place].set(drawn, mode="drop"),
            lane.counts.at[place].set(steps.astype(jnp.int32), mode="drop"),
            lane.diverged.at[place].set(diverged, mode="drop"),
            lane.made + ended,
        )

    @jax.jit
    def begin(keys, at, step, root, data, shared):
        def of_posterior(keys, at, step, root, data):
            return jax.vmap(lambda key, at, step: begin_one(key, at, step, root, data, shared))(
                keys, at, step
            )

        return jax.vmap(of_posterior)(keys, at, step, root, data)

    @partial(jax.jit, donate_argnums=0)
    def go_on(lanes, count, target, adapts, root, data, shared):
        def of_posterior(lanes, root, data):
            return jax.vmap(lambda lane: step_one(lane, count, target, adapts, root, data, shared))(lanes)

        lanes = lax.fori_loop(0, STEPS, lambda _, lanes: jax.vmap(of_posterior)(lanes, root, data), lanes)
        return lanes, jnp.sum(lanes.made < count)

    @jax.jit
    def learn(lanes, count, root, middle):
        def of_posterior(lanes, root):
            chains, _, size = lanes.draws.shape
            there = (jnp.arange(room) < lanes.made[:, None]).ravel().astype(float)
            draws, total = lanes.draws.reshape(chains * room, size), jnp.maximum(there.sum(), 1.0)
            centred = (draws - there @ draws / total) * there[:, None]
            covariance = (centred.T @ centred + PRIOR_DRAWS * jnp.eye(size)) / (total + PRIOR_DRAWS)
            change = jnp.where(middle, jnp.linalg.cholesky(covariance), jnp.eye(size))
            at = jax.vmap(lambda one: jnp.linalg.solve(change, one))(lanes.tree.chosen.at)
            return at, root @ change

        at, root = jax.vmap(of_posterior)(lanes, root)
        return at, lanes.size[1], root

    return begin, go_on, learn


def _where(condition: Array, one, other):
    """One tree of arrays or the other."""
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), one, other)


def _total(end: _End) -> Array:
    """The energy, kinetic energy included."""
    return end.energy + end.momentum @ end.momentum / 2


def _turned(one: Array, other: Array, total: Array) -> Array:
    """Whether a trajectory makes a turn, of the momenta at its ends and their sum along it."""
    inner = total - (one + other) / 2
    return (one @ inner <= 0) | (other @ inner <= 0)


def _planted(here: _End, half: _Half) -> _Tree:
    """A tree of one point."""
    zero, none = jnp.zeros(()), jnp.zeros((), int)
    return _Tree(here, here, here, zero, here.momentum, none, _total(here), jnp.ones((), bool), half)


def _halved(tree: _Tree, forward: Array) -> _Tree:
    """The tree with a new half begun at one of its ends; what an old one knows of subtrees is overwritten in time."""
    start = _where(forward, tree.last, tree.first)
    never, nothing, none = jnp.full((), -jnp.inf, float), jnp.zeros_like(start.at), jnp.zeros((), int)
    return tree._replace(forward=forward, half=_Half(start, start, never, nothing, none, *tree.half[-2:]))


def _longer(half: _Half, seen: _End, weight: Array, takes: Array) -> tuple[_Half, Array]:
    """A half with one point more, and whether a subtree that ends there makes a turn."""
    together = jnp.logaddexp(half.weight, weight)
    total, leaf = half.total + seen.momentum, half.leaf
    # Subtrees that end at an odd leaf begin at those that the binary digits of its number name.
    highest = lax.population_count(leaf >> 1)
    lowest = highest - lax.population_count((~leaf & (leaf + 1)) - 1) + 1
    number, odd = jnp.arange(len(half.before)), leaf % 2 == 1
    here = ((number == highest) & ~odd)[:, None]
    before, sums = jnp.where(here, seen.momentum, half.before), jnp.where(here, total, half.sums)
    ends = odd & (lowest <= number) & (number <= highest)
    turned = jax.vmap(lambda one, up_to: _turned(one, seen.momentum, total - up_to + one))(before, sums)
    chosen = _where(jnp.log(takes) < weight - together, seen, half.chosen)
    return _Half(seen, chosen, together, total, leaf + 1, before, sums), jnp.any(ends & turned)


def _joined(tree: _Tree, takes: Array) -> _Tree:
    """A tree with the half that has grown to its own size."""
    half = tree.half
    return tree._replace(
        first=_where(tree.forward, tree.first, half.last),
        last=_where(tree.forward, half.last, tree.last),
        chosen=_where(jnp.log(takes) < half.weight - tree.weight, half.chosen, tree.chosen),
        weight=jnp.logaddexp(tree.weight, half.weight),
        total=tree.total + half.total,
        depth=tree.depth + 1,
    )
