"""The modes of a posterior."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, random

from bayescale.infer import lean
from bayescale.infer.chart import anchor
from bayescale.infer.density import Density
from bayescale.infer.frame import Frame, Mode, blocks, chart_at, recentred
from bayescale.infer.newton import minimise
from bayescale.infer.objective import Objective
from bayescale.infer.point import STARTS, search
from bayescale.infer.refit import minima
from bayescale.infer.settle import Settled, curvature, settle
from bayescale.model import varies_by
from bayescale.runs import Runs

ROUNDS = 20  # of expectation and maximisation; a scale that shrinks to nothing never settles
SETTLED = 0.02  # no scale changes by more than 2%
LOWER = 15.0  # nats: what is lower still has no share in an integral
APART = 0.1  # standard deviations between two modes
SAMPLES = 32  # of the deviations, for the expectation


def find(density: Density, runs: Runs, key: Array) -> Mode:
    """The best of the modes of the posterior that are reached from many starts.

    Where levels have deviations of their own, the joint mode would be worthless: deviations and noise
    can trade so that the density has no bound. There the scales maximise the density averaged over the deviations,
    and everything else maximises it given the scales. Of success not even that would do, since slopes may grow while
    the thresholds of many levels shrink: there it is the mean of the nearest normal distribution.

    Args:
        density: the density of a model.
        runs: the table.
        key: for the starts, which are drawn from the prior.
    """
    if len(density.indices("_raw")):
        return (_averaged if density.model.law.response == "loss" else _settled)(density, runs, key)
    objective = Objective.of(density.model, runs, priors=True)
    found = search(key, objective, density.model.noise.settings, runs)
    return Mode(found.position, found.hessian, found.stats)


def _settled(density: Density, runs: Runs, key: Array) -> Mode:
    """The mean of the nearest normal distribution, with the curvature there and the widths of the scales.

    Where thresholds lie far beyond the data, whatever depends on slopes has to move when they do, for which the
    parameters are bad coordinates: there it settles once more, in those that move along.
    """
    key_start, key_settle, key_again = random.split(key, 3)
    start = jnp.median(density.prior_draws(key_start, STARTS), axis=0)
    found = settle(key_settle, density, runs, start)
    mode = _of_settled(density, found.position, found, runs)
    if not lean.leans(density.model.law):
        return mode
    levelled = _of_settled(density, _levelled(density, found.position, runs), found, runs)
    position, precision = jnp.asarray(levelled.position), jnp.asarray(levelled.precision)
    chart = chart_at(density, position, precision, anchor(density.model, runs), runs)
    if chart.lean is None or chart.lean.share == 0:
        return mode
    found = settle(key_again, density, runs, density.recentre(position, chart), chart=chart)
    values = density.values(jnp.asarray(found.position), runs, chart)
    return _of_settled(density, np.asarray(density.unconstrain(density.with_raw(values))), found, runs)


def _levelled(density: Density, position: np.ndarray, runs: Runs) -> np.ndarray:
    """The position with thresholds of levels about their middle, which counts cannot tell from the threshold."""
    values = dict(density.values(jnp.asarray(position), runs))
    for by, names in density.model.factors.items():
        if (name := f"threshold{varies_by(by)}") in names:
            middle = jnp.mean(values[name])
            values |= {"threshold": values["threshold"] * jnp.exp(middle), name: values[name] - middle}
    return np.asarray(density.unconstrain(density.with_raw(values)))


def _of_settled(density: Density, position: np.ndarray, found: Settled, runs: Runs) -> Mode:
    """A position, with the curvature there and the widths of scales that were found."""
    scales, _ = blocks(density)
    hessian = np.array(curvature(density, jnp.asarray(position), runs))
    hessian[scales] = hessian[:, scales] = 0.0
    width = found.width.copy()
    for by, names in density.model.factors.items():
        # Of raw deviations that are held the scale is known far better than of deviations: those of L levels tell it
        # to within 1 / sqrt(2 L).
        places = [density.place(f"{name}_scale") for name in names]
        width[places] = np.maximum(width[places], 1 / np.sqrt(2 * len(runs.levels[by])))
    hessian[scales, scales] = width[scales] ** -2
    log_density = float(density.log_posterior(jnp.asarray(position), runs))
    stats = {"log_density": log_density, "mode_converged": np.isfinite(found.bound[-1]), "at_bound": []}
    return Mode(position, hessian, stats | {"mode_agreed": 1, "mode_starts": 1, "rival": np.inf})


def _averaged(density: Density, runs: Runs, key: Array) -> Mode:
    """The mode given the scales of noise and levels, and of the scales averaged over everything else."""
    model = density.model
    alone = Density.of(model.replace(pooling=(), effects=()), runs)
    shared = find(alone, runs, key)
    position = density.start(alone.constrain(jnp.asarray(shared.position)))
    normal = random.normal(key, (SAMPLES // 2, len(density.indices("_raw"))))
    converged, last = False, None
    for _ in range(ROUNDS):
        last = jax.device_get(_round(density, position, normal, runs))
        position = last.position
        if last.change < SETTLED:
            converged = bool(last.converged)
            break
    assert last is not None
    converged &= shared.stats["mode_converged"]
    own = {"log_density": float(last.log_density), "mode_converged": converged, "at_bound": []}
    return Mode(last.position, last.precision, shared.stats | own)


class _Round(NamedTuple):
    """Where a round of expectation and maximisation ended; `change` is the largest of a scale."""

    position: Array
    log_density: Array
    precision: Array
    converged: Array
    change: Array


@partial(jax.jit, static_argnames="density")
def _round(density: Density, position: Array, normal: Array, runs: Runs) -> _Round:
    """Everything but the scales goes to its mode given them; then the scales to theirs, averaged over deviations."""
    scales, others = blocks(density)
    raw = density.indices("_raw")

    def given_scales(rest):
        return -density.log_posterior(position.at[others].set(rest), runs)

    inner = minimise(given_scales, position[others])
    position = position.at[others].set(inner.position)

    # The average is over a normal approximation of the deviations given everything else.
    within = np.searchsorted(others, raw)
    values, vectors = jnp.linalg.eigh(inner.hessian[np.ix_(within, within)])
    root = (vectors / jnp.sqrt(jnp.maximum(values, 1e-2))).T
    draws = position[raw] + jnp.concatenate([normal, -normal]) @ root

    def averaged(trial):
        def at(drawn):
            moved = density.rescale(position.at[raw].set(drawn), scales, trial)
            # In the deviations themselves and not over their scale: that is what the expectation holds fixed.
            return density.log_posterior(moved, runs) - density.log_scales(moved)

        return -jnp.mean(jax.vmap(at)(draws))

    outer = minimise(averaged, position[scales], iterations=50)
    change = jnp.max(jnp.abs(outer.position - position[scales]))
    position = density.rescale(position, scales, outer.position)
    precision = jnp.zeros((density.size, density.size))
    precision = precision.at[np.ix_(others, others)].set(inner.hessian)
    precision = precision.at[np.ix_(scales, scales)].set(outer.hessian)
    return _Round(position, density.log_posterior(position, runs), precision, inner.converged, change)


def every_mode(density: Density, runs: Runs, key: Array, here: Frame) -> tuple[np.ndarray, np.ndarray]:
    """The modes that are reached from many starts and are not much lower than the best, in the coordinates of a frame.

    Of a model whose levels have deviations there is only the one that the frame is of.

    Returns:
        Where they are, (modes, size), and the Cholesky factors of the covariances there, (modes, size, size).
    """
    if len(density.indices("_raw")):
        return np.zeros((1, density.size)), np.eye(density.size)[None]
    objective = Objective.of(density.model, runs, priors=True)
    starts = density.prior_draws(key, STARTS)
    settings = density.model.noise.settings
    base = objective.density.unconstrain({**density.constrain(starts[0]), **settings})
    ends = jax.device_get(minima(objective, starts, base, runs, {}, mixed=False, curved=True))
    places, roots = [], []
    for end in np.argsort(np.where(ends.converged, ends.value, np.inf)):
        if not ends.converged[end] or ends.value[end] > np.min(ends.value[ends.converged]) + LOWER:
            break
        position = jnp.asarray(ends.position[end])
        moved, change = jax.device_get(recentred(density, position, here.chart))
        place = np.linalg.solve(here.root, moved - here.position)
        if any(np.max(np.abs(place - other)) < APART for other in places):
            continue
        mode = Mode(ends.position[end], ends.hessian[end], {})
        root = np.linalg.solve(here.root, change @ np.linalg.cholesky(mode.covariance))
        places.append(place)
        roots.append(np.linalg.cholesky(root @ root.T))
    if not places:
        return np.zeros((1, density.size)), np.eye(density.size)[None]
    return np.array(places), np.array(roots)
