"""The modes of a posterior, and the coordinates in which it is about normal there."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, random

from bayescale.infer import lean
from bayescale.infer.chart import Chart, anchor, at_anchor
from bayescale.infer.density import Density
from bayescale.infer.newton import minimise
from bayescale.infer.objective import Objective
from bayescale.infer.point import STARTS, search
from bayescale.infer.refit import minima
from bayescale.infer.settle import Settled, curvature, settle
from bayescale.model import varies_by
from bayescale.pooling import Local
from bayescale.runs import Runs

ROUNDS = 20  # of expectation and maximisation; a scale that shrinks to nothing never settles
SETTLED = 0.02  # no scale changes by more than 2%
LOWER = 15.0  # nats: what is lower still has no share in an integral
APART = 0.1  # standard deviations between two modes
SAMPLES = 32  # of the deviations, for the expectation


@dataclass(frozen=True, eq=False)
class Mode:
    """The best of the modes found.

    Attributes:
        position: where it is, as a flat vector, (size,).
        precision: the curvature of the log posterior there, (size, size).
        stats: what there is to say of it, as of a `Fit`: log_density, mode_converged, at_bound, and of the starts
            mode_agreed, mode_starts and rival.
    """

    position: np.ndarray
    precision: np.ndarray
    stats: dict[str, Any]

    @property
    def covariance(self) -> np.ndarray:
        """Of the normal distribution with the curvature of the mode, (size, size)."""
        return _covariance(*np.linalg.eigh(self.precision))


def _covariance(values, vectors):
    # A direction that the data do not bend is as wide as the prior makes it, about 1; never wider than 3.
    return (vectors / values.clip(1 / 9)) @ vectors.T


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
    position, base = jnp.asarray(found.position), jnp.asarray(found.bases[-1])
    return Mode(found.position, np.asarray(_curvature(objective, position, base, runs)), found.stats)


@partial(jax.jit, static_argnames="objective")
def _curvature(objective: Objective, position: Array, base: Array, runs: Runs) -> Array:
    return objective.look(position, base, runs).hessian


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
    chart = _chart(density, position, precision, anchor(density.model, runs), runs)
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
    scales, _ = _blocks(density)
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


def _blocks(density: Density) -> tuple[np.ndarray, np.ndarray]:
    """The places of the scales of noise and levels, and of everything else."""
    scales = density.indices("_scale", *density.model.noise.parameters)
    return scales, np.setdiff1d(np.arange(density.size), scales)


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
    scales, others = _blocks(density)
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


class Frame(NamedTuple):
    """Coordinates in which the posterior is about standard normal: flat vector = position + root @ coordinates.

    Attributes:
        chart: what the flat vectors of this frame are measured from.
        position: the mode, (size,).
        root: a square root of the covariance there, (size, size).
    """

    chart: Chart
    position: Array
    root: Array


def frame(density: Density, mode: Mode, runs: Runs) -> Frame:
    """The frame of a mode; what happens once is done with NumPy."""
    position, precision = jnp.asarray(mode.position), jnp.asarray(mode.precision)
    chart = _chart(density, position, precision, anchor(density.model, runs), runs)
    moved, change = jax.device_get(_recentred(density, position, chart))
    root = np.linalg.cholesky(change @ mode.covariance @ change.T)
    return Frame(chart, jnp.asarray(moved), jnp.asarray(root))


def frame_at(
    density: Density, position: Array, precision: Array, anchor: dict[str, Array], runs: Runs
) -> Frame:
    """The frame of a mode with that curvature; where no levels deviate it may be traced."""
    return _framed(density, position, precision, _chart(density, position, precision, anchor, runs))


@partial(jax.jit, static_argnames="density")
def _framed(density: Density, position: Array, precision: Array, chart: Chart) -> Frame:
    moved, change = _recentred(density, position, chart)
    return Frame(
        chart, moved, jnp.linalg.cholesky(change @ _covariance(*jnp.linalg.eigh(precision)) @ change.T)
    )


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
    ends = jax.device_get(minima(objective, starts, base, runs, {}, mixed=False))
    places, roots = [], []
    for end in np.argsort(np.where(ends.converged, ends.value, np.inf)):
        if not ends.converged[end] or ends.value[end] > np.min(ends.value[ends.converged]) + LOWER:
            break
        position = jnp.asarray(ends.position[end])
        moved, change = jax.device_get(_recentred(density, position, here.chart))
        place = np.linalg.solve(here.root, moved - here.position)
        if any(np.max(np.abs(place - other)) < APART for other in places):
            continue
        mode = Mode(ends.position[end], np.asarray(_curvature(objective, position, base, runs)), {})
        root = np.linalg.solve(here.root, change @ np.linalg.cholesky(mode.covariance))
        places.append(place)
        roots.append(np.linalg.cholesky(root @ root.T))
    if not places:
        return np.zeros((1, density.size)), np.eye(density.size)[None]
    return np.array(places), np.array(roots)


def shapes(density: Density, runs: Runs) -> Frame:
    """The shapes that the frame of a mode will have, which are known before the mode is."""
    within, moves = _within(density, runs), _moves(density, runs)

    def zeros() -> Frame:
        factors = density.model.factors
        levels = {by: jnp.zeros((len(runs.levels[by]), len(names))) for by, names in factors.items()}
        chart = Chart(
            anchor=anchor(density.model, runs),
            loss=jnp.zeros(()),
            sigma=jnp.zeros(()) if "sigma" in density.model.noise.parameters else None,
            centre={by: one[0] for by, one in levels.items()},
            levels={
                by: Local(
                    one,
                    one[:, :, None] * one[:, None, :],
                    jnp.asarray(moves[by]),
                    within.get(by, {}),
                    jnp.zeros(len(one)),
                )
                for by, one in levels.items()
            },
            lean=lean.Lean(*[jnp.zeros(())] * 4) if lean.leans(density.model.law) else None,
        )
        return Frame(chart, jnp.zeros(density.size), jnp.eye(density.size))

    return jax.eval_shape(zeros)


@partial(jax.jit, static_argnames="density")
def _recentred(density: Density, position: Array, chart: Chart) -> tuple[Array, Array]:
    """The position in the frame, and how it changes with the position without one."""

    def recentre(vector):
        moved = density.recentre(vector, chart)
        return moved, moved

    change, moved = jax.jacfwd(recentre, has_aux=True)(position)
    if chart.levels:
        # Given the chart the deviations do not depend on the scales; without it they did, at the mode.
        scales, others = _blocks(density)
        change = change.at[np.ix_(others, scales)].set(0.0)
        # And how wide scales are was said of their coordinates, which lean with the slope.
        change = change.at[np.ix_(scales, others)].set(0.0)
    return moved, change


def _chart(
    density: Density, position: Array, precision: Array, anchor: dict[str, Array], runs: Runs
) -> Chart:
    """The chart of a mode."""
    curvatures = {}
    for by, names in density.model.factors.items():
        places = density.places(f"{by}_raw").reshape(-1, len(names))
        curvatures[by] = np.asarray(precision)[places[:, :, None], places[:, None, :]]
    chart = chart_of(density, position, curvatures, anchor, runs)
    if chart.lean is None:
        return chart
    places = [density.place(name) for name in ("threshold", "slope")]
    far = lean.share(position[places[0]], _covariance(*jnp.linalg.eigh(precision))[np.ix_(places, places)])
    return chart._replace(lean=chart.lean._replace(share=far))


def chart_of(
    density: Density,
    position: Array,
    curvatures: Mapping[str, np.ndarray],
    anchor: dict[str, Array],
    runs: Runs,
) -> Chart:
    """The chart of a position, from the curvature there in the raw deviations of each level, (levels, k, k)."""
    at_mode, loss, sigma = _at_mode(density, position, anchor)
    at_mode = jax.device_get(at_mode)
    within = _within(density, runs)
    levels = {by: local(curvatures[by], *of_levels) for by, of_levels in at_mode.items()}
    moves = _moves(density, runs)
    levels = {
        by: known._replace(
            estimate=known.estimate - (1 - moves[by]) * at_mode[by][2],
            moves=moves[by],
            within=within.get(by, {}),
        )
        for by, known in levels.items()
    }
    for inner, outers in within.items():  # what is said of a level within another is of both together
        known, names = levels[inner], density.model.factors[inner]
        for outer, index in outers.items():
            raw, scales, _ = at_mode[outer]
            for name, shift in zip(density.model.factors[outer], (raw * scales).T, strict=True):
                place = names.index(name.replace(varies_by(outer), varies_by(inner)))
                known = known._replace(estimate=known.estimate.at[:, place].add(shift[index]))
        levels[inner] = known
    centres = {by: jnp.asarray(centre) for by, (_, _, centre) in at_mode.items()}
    leaning = None
    if lean.leans(density.model.law):
        leaning = lean.at(density.constrain(position), 0.0)
        for by, where in _turns(density, position, moves, runs).items():
            levels[by] = levels[by]._replace(turns=jnp.asarray(where))
    return Chart(anchor, loss, sigma, centres, levels, leaning)


def _turns(
    density: Density, position: Array, moves: Mapping[str, np.ndarray], runs: Runs
) -> dict[str, np.ndarray]:
    """Where the curve of each level turns when slopes change: the log covariate where its counts tell most.

    Of a factor whose deviations are not measured from the centre, as of models beside tasks, it is how far that is
    from where all counts tell most, since the tasks turn about that.
    """
    if not density.model.factors:
        return {}
    model, values = density.model, density.constrain(position)
    shifts = {by: values[f"{by}_raw"] * density.scales(by, values) for by in model.factors}
    covariate = model.law.covariates[0]
    p = np.asarray(model.expected(runs, values, shifts))
    told = 1e-300 + np.asarray(runs.weight) * np.asarray(runs.columns.get("trials", 1.0)) * p * (1 - p)
    x = np.log(np.asarray(runs.columns[covariate], float) / np.asarray(runs.reference[covariate]))
    middle, found = float(told @ x / told.sum()), {}
    for by, names in model.factors.items():
        name = f"threshold{varies_by(by)}"
        if name in names:
            index, count = np.asarray(runs.factors[by]), len(runs.levels[by])
            of = np.bincount(index, told, count)
            own = np.where(of > 0, np.bincount(index, told * x, count) / np.maximum(of, 1e-300), middle)
            found[by] = own - (1 - moves[by][names.index(name)]) * middle
    return found


def _within(density: Density, runs: Runs) -> dict[str, dict[str, Any]]:
    """The factors within others; of a loss levels are taken as if there were none."""
    return density.model.nested(runs) if density.model.law.response == "success" else {}


def _moves(density: Density, runs: Runs) -> dict[str, np.ndarray]:
    """For each factor whether its parameters are measured from the centre, (parameters,); see `Local`."""
    model, within = density.model, _within(density, runs)
    found = {by: np.ones(len(names)) for by, names in model.factors.items()}
    if model.law.response == "loss":
        return found
    for p, factors in model.varying.items():
        first = max(factors, key=lambda by: len(runs.levels[by]))
        for by in factors:
            if by != first and by not in within.get(first, {}):
                found[by][model.factors[by].index(p + varies_by(by))] = 0.0
    return found


def local(curvature: np.ndarray, raw: np.ndarray, scales: np.ndarray, centre: np.ndarray) -> Local:
    """What the data of each level say of its own parameters, with all that levels share held fixed.

    Args:
        curvature: of the log posterior in the raw deviations of each level, (levels, parameters, parameters).
        raw: the deviations over their scales, (levels, parameters).
        scales: (parameters,).
        centre: what deviations are measured from, (parameters,).
    """
    # A raw deviation is one over its scale, and its prior has the precision 1.
    values, vectors = np.linalg.eigh((curvature - np.eye(len(scales))) / np.outer(scales, scales))
    values = np.maximum(values, 0)
    precision = (vectors * values[:, None, :]) @ vectors.mT
    # The prior draws the mode to the centre; undo that, so that the estimate is the level's own.
    pull = (precision + np.diag(scales**-2)) @ (raw * scales)[..., None]
    inverse = np.where(values > 1e-9, 1 / np.maximum(values, 1e-9), 0)
    own = ((vectors * inverse[:, None, :]) @ vectors.mT @ pull)[..., 0]
    return Local(jnp.asarray(centre + own), jnp.asarray(precision), turns=jnp.zeros(len(own)))


@partial(jax.jit, static_argnames="density")
def _at_mode(density: Density, position: Array, anchor: dict[str, Array]) -> tuple[dict, Array, Array | None]:
    """For each factor its raw deviations, their scales, and what they are measured from; and the log loss."""
    values, law = density.constrain(position), density.model.law
    factors = {
        by: (values[f"{by}_raw"], density.scales(by, values), density.model.centre(by, values))
        for by in density.model.factors
    }
    loss = jnp.zeros(())
    if anchor:
        terms = at_anchor(law, anchor, values).values()
        loss = jnp.log(sum(terms, start=values[law.floor] if law.floor else jnp.zeros(())))
    return factors, loss, values.get("sigma")
