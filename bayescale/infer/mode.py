"""The modes of a posterior or a likelihood, from many starts at once."""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, random

from bayescale.infer.density import Density
from bayescale.infer.newton import Minimum, minimise
from bayescale.pooling import Local
from bayescale.runs import Runs

STARTS = 16
ROUNDS = 20  # of expectation and maximisation; a scale that shrinks to nothing never settles
SETTLED = 0.02  # no scale changes by more than 2%
SAMPLES = 32  # of the deviations, for the expectation


@dataclass(frozen=True, eq=False)
class Mode:
    """The best of the modes found.

    Attributes:
        position: where it is, as a flat vector, (size,).
        log_density: the log posterior there, or the log likelihood.
        precision: the curvature there, (size, size).
        converged: whether it is a mode.
        at_bound: for each coordinate, whether it runs to its bound.
        starts: how many starts there were.
        settled: how many of the starts ended in some mode.
        agreed: how many of the starts ended in this one.
        rival: how much lower the log density of the second-best mode is; infinite where there is one only.
    """

    position: np.ndarray
    log_density: float
    precision: np.ndarray
    converged: bool
    at_bound: np.ndarray
    starts: int
    settled: int
    agreed: int
    rival: float

    @property
    def covariance(self) -> np.ndarray:
        """Of the normal distribution with the curvature of the mode, (size, size)."""
        values, vectors = np.linalg.eigh(self.precision)
        # A direction that the data do not bend is as wide as the prior makes it, about 1; never wider than 3.
        return (vectors / np.maximum(values, 1 / 9)) @ vectors.T


@partial(jax.jit, static_argnames=("density", "priors"))
def _minima(density: Density, starts: Array, runs: Runs, *, priors: bool) -> Minimum:
    objective = density.log_posterior if priors else density.log_likelihood
    return jax.vmap(lambda start: minimise(lambda vector: -objective(vector, runs), start))(starts)


def find(
    density: Density, runs: Runs, key: Array, *, starts: Array | None = None, priors: bool = True
) -> Mode:
    """The best of the modes that are reached from many starts.

    Where levels have deviations of their own, the joint mode would be worthless: deviations and noise
    can trade so that the density has no bound. There the scales maximise the density averaged over the deviations,
    and everything else maximises it given the scales.

    Args:
        density: the density of a model.
        runs: the table.
        key: for the starts, which are drawn from the prior.
        starts: the starts, (starts, size), instead.
        priors: whether to maximise the posterior, or the likelihood alone.
    """
    if len(density.indices("_raw")):
        if not priors:
            raise ValueError("levels that share nothing but a likelihood have no scale; fit them with priors")
        return _averaged(density, runs, key)
    if starts is None:
        starts = density.prior_draws(key, STARTS)
    minima: Minimum = jax.device_get(_minima(density, starts, runs, priors=priors))
    value = np.where(np.isfinite(minima.value), minima.value, np.inf)
    settled = minima.converged | minima.at_bound.any(axis=1)
    # A start that stopped on the way is taken only where no other ended anywhere.
    best = int(np.argmin(np.where(settled, value, np.inf) if settled.any() else value))
    gap = np.where(np.isfinite(value), value, np.inf) - (value[best] if np.isfinite(value[best]) else 0)
    same = 1e-6 * max(1.0, abs(float(value[best])))
    others = gap[minima.converged & (gap > same)]
    return Mode(
        position=np.asarray(minima.position[best]),
        log_density=-float(minima.value[best]),
        precision=np.asarray(minima.hessian[best]),
        converged=bool(minima.converged[best]),
        at_bound=np.asarray(minima.at_bound[best]),
        starts=len(starts),
        settled=int(settled.sum()),
        agreed=int((settled & (gap <= same)).sum()),
        rival=float(others.min()) if len(others) else float("inf"),
    )


def _averaged(density: Density, runs: Runs, key: Array) -> Mode:
    """The mode given the scales of noise and levels, and of the scales averaged over everything else."""
    model = density.model
    alone = Density.of(model.replace(pooling=(), effects=()), runs)
    shared = find(alone, runs, key)
    position = density.start(alone.constrain(jnp.asarray(shared.position)))
    scales = density.indices("_scale", *model.noise.parameters)
    others = jnp.setdiff1d(jnp.arange(density.size), scales)
    raw = density.indices("_raw")
    within = jnp.searchsorted(others, raw)
    normal = random.normal(key, (SAMPLES // 2, len(raw)))
    normal = jnp.concatenate([normal, -normal])
    converged, inner, outer = False, None, None
    for _ in range(ROUNDS):
        inner = _given_scales(density, position, others, runs)
        position = position.at[others].set(inner.position)
        outer = _scales(density, position, inner.hessian[jnp.ix_(within, within)], scales, raw, normal, runs)
        change = float(jnp.max(jnp.abs(outer.position - position[scales])))
        position = density.rescale(position, scales, outer.position)
        if change < SETTLED:
            converged = bool(inner.converged)
            break
    assert inner is not None
    assert outer is not None
    precision = jnp.zeros((density.size, density.size))
    precision = precision.at[jnp.ix_(others, others)].set(inner.hessian)
    precision = precision.at[jnp.ix_(scales, scales)].set(outer.hessian)
    return Mode(
        position=np.asarray(position),
        log_density=float(density.log_posterior(position, runs)),
        precision=np.asarray(precision),
        converged=converged and shared.converged,
        at_bound=np.zeros(density.size, bool),
        starts=shared.starts,
        settled=shared.settled,
        agreed=shared.agreed,
        rival=shared.rival,
    )


@partial(jax.jit, static_argnames="density")
def _given_scales(density: Density, position: Array, others: Array, runs: Runs) -> Minimum:
    """The mode of everything but the scales."""

    def objective(rest):
        return -density.log_posterior(position.at[others].set(rest), runs)

    return minimise(objective, position[others])


@partial(jax.jit, static_argnames="density")
def _scales(
    density: Density, position: Array, precision: Array, scales: Array, raw: Array, normal: Array, runs: Runs
) -> Minimum:
    """The mode of the scales, averaged over a normal approximation of the deviations given everything else."""
    values, vectors = jnp.linalg.eigh(precision)
    draws = position[raw] + normal @ (vectors / jnp.sqrt(jnp.maximum(values, 1e-2))).T

    def objective(trial):
        def at(drawn):
            moved = density.rescale(position.at[raw].set(drawn), scales, trial)
            # In the deviations themselves and not over their scale: that is what the expectation holds fixed.
            return density.log_posterior(moved, runs) - density.log_scales(moved)

        return -jnp.mean(jax.vmap(at)(draws))

    return minimise(objective, position[scales], iterations=50)


class Frame(NamedTuple):
    """Coordinates in which the posterior is about standard normal: flat vector = position + root @ coordinates.

    Attributes:
        local: what the flat vectors of this frame take as known of each level; see `deviations`.
        position: the mode, (size,).
        root: a square root of the covariance there, (size, size).
    """

    local: dict[str, Local]
    position: Array
    root: Array


def frame(density: Density, mode: Mode) -> Frame:
    """The frame of a mode."""
    known = local(density, mode)
    position = jnp.asarray(mode.position)
    change = np.array(jax.jacfwd(lambda vector: density.recentre(vector, known))(position))
    if known:
        # Given `known` the deviations do not depend on the scales; without it they did, at the mode.
        scales = np.asarray(density.indices("_scale", *density.model.noise.parameters))
        change[np.ix_(np.setdiff1d(np.arange(density.size), scales), scales)] = 0
    root = np.linalg.cholesky(change @ mode.covariance @ change.T)
    return Frame(known, density.recentre(position, known), jnp.asarray(root))


def local(density: Density, mode: Mode) -> dict[str, Local]:
    """For each factor what the data of each level say of its own parameters, from the curvature at the mode.

    All that levels share is held fixed, and so are the levels of other factors.
    """
    at_mode = density.constrain(jnp.asarray(mode.position))
    found = {}
    for site in density.sites:
        if not site.name.endswith("_raw"):
            continue
        by = site.name.removesuffix("_raw")
        levels, parameters = site.shape
        places = site.start + np.arange(site.size).reshape(levels, parameters)
        scales = np.asarray(density.scales(by, at_mode))
        # A raw deviation is one over its scale, and its prior has the precision 1.
        whole = mode.precision[places[:, :, None], places[:, None, :]]
        values, vectors = np.linalg.eigh((whole - np.eye(parameters)) / np.outer(scales, scales))
        values = np.maximum(values, 0)
        precision = (vectors * values[:, None, :]) @ vectors.mT
        # The prior draws the mode to the centre; undo that, so that the estimate is the level's own.
        deviation = np.asarray(at_mode[site.name]) * scales
        pull = (precision + np.diag(scales**-2)) @ deviation[..., None]
        inverse = np.where(values > 1e-9, 1 / np.maximum(values, 1e-9), 0)
        own = ((vectors * inverse[:, None, :]) @ vectors.mT @ pull)[..., 0]
        found[by] = Local(density.model.centre(by, at_mode) + own, jnp.asarray(precision))
    return found
