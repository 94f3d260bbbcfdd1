"""The frame of a mode: coordinates in which the posterior is about normal there."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from bayescale.infer import lean
from bayescale.infer.chart import Chart, anchor, at_anchor
from bayescale.infer.density import Density
from bayescale.model import varies_by
from bayescale.pooling import Local
from bayescale.runs import Runs


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
        return covariance_of(*np.linalg.eigh(self.precision))


def covariance_of(values, vectors):
    """The covariance of a precision with these eigenvalues.

    A direction that the data do not bend is as wide as the prior makes it, about 1; never wider than 3.
    """
    return (vectors / values.clip(1 / 9)) @ vectors.T


def blocks(density: Density) -> tuple[np.ndarray, np.ndarray]:
    """The places of the scales of noise and levels, and of everything else."""
    scales = density.indices("_scale", *density.model.noise.parameters)
    return scales, np.setdiff1d(np.arange(density.size), scales)


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
    """The frame of a mode; what happens once is done with NumPy.

    Raises:
        ValueError: the density is finite nowhere.
    """
    if not np.isfinite(mode.stats["log_density"]):
        raise ValueError(
            f"{runs.source}: no parameters were found under which {density.model.law.name} can give these runs"
        )
    position, precision = jnp.asarray(mode.position), jnp.asarray(mode.precision)
    chart = chart_at(density, position, precision, anchor(density.model, runs), runs)
    moved, change = jax.device_get(recentred(density, position, chart))
    root = np.linalg.cholesky(change @ mode.covariance @ change.T)
    return Frame(chart, jnp.asarray(moved), jnp.asarray(root))


def frame_at(
    density: Density, position: Array, precision: Array, anchor: dict[str, Array], runs: Runs
) -> Frame:
    """The frame of a mode with that curvature; where no levels deviate it may be traced."""
    return _framed(density, position, precision, chart_at(density, position, precision, anchor, runs))


@partial(jax.jit, static_argnames="density")
def _framed(density: Density, position: Array, precision: Array, chart: Chart) -> Frame:
    moved, change = recentred(density, position, chart)
    return Frame(
        chart, moved, jnp.linalg.cholesky(change @ covariance_of(*jnp.linalg.eigh(precision)) @ change.T)
    )


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
def recentred(density: Density, position: Array, chart: Chart) -> tuple[Array, Array]:
    """The position in the frame, and how it changes with the position without one."""

    def recentre(vector):
        moved = density.recentre(vector, chart)
        return moved, moved

    change, moved = jax.jacfwd(recentre, has_aux=True)(position)
    if chart.levels:
        # Given the chart the deviations do not depend on the scales; without it they did, at the mode.
        scales, others = blocks(density)
        change = change.at[np.ix_(others, scales)].set(0.0)
        # And how wide scales are was said of their coordinates, which lean with the slope.
        change = change.at[np.ix_(scales, others)].set(0.0)
    return moved, change


def chart_at(
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
    far = lean.share(position[places[0]], covariance_of(*jnp.linalg.eigh(precision))[np.ix_(places, places)])
    return chart._replace(lean=chart.lean._replace(share=far))


def chart_of(
    density: Density,
    position: Array,
    curvatures: Mapping[str, np.ndarray],
    anchor: dict[str, Array],
    runs: Runs,
    wide: Mapping[str, Array] | None = None,
) -> Chart:
    """The chart of a position, from the curvature there in the raw deviations of each level, (levels, k, k).

    `wide`: see `_moves`.
    """
    at_mode, loss, sigma = _at_mode(density, position, anchor)
    at_mode = jax.device_get(at_mode)
    within = _within(density, runs)
    levels = {by: local(curvatures[by], *of_levels) for by, of_levels in at_mode.items()}
    moves = _moves(density, runs, wide)
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


def _moves(density: Density, runs: Runs, wide: Mapping[str, Array] | None = None) -> dict[str, np.ndarray]:
    """For each factor whether its parameters are measured from the centre, (parameters,); see `Local`.

    Of crossed factors that share a parameter one is, with those that it is within: that of the most levels; or with
    the scales of the deviations in `wide` that whose levels leave the centre most uncertain.
    """
    model, within = density.model, _within(density, runs)
    found = {by: np.ones(len(names)) for by, names in model.factors.items()}
    if model.law.response == "loss":
        return found
    for p, factors in model.varying.items():
        together = {by: [by, *(of for of in within.get(by, {}) if of in factors)] for by in factors}
        outer = {of for group in together.values() for of in group[1:]}

        def uncertain(by: str, p: str = p, together: Mapping[str, list[str]] = together) -> float:
            if wide is None:
                return len(runs.levels[by])
            return sum(
                float(wide[f"{p}{varies_by(of)}_scale"]) ** 2 / len(runs.levels[of]) for of in together[by]
            )

        first = max((by for by in factors if by not in outer), key=uncertain)
        for by in set(factors) - set(together[first]):
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
    if anchor and law.terms:
        terms = at_anchor(law, anchor, values).values()
        loss = jnp.log(sum(terms, start=values[law.floor] if law.floor else jnp.zeros(())))
    return factors, loss, values.get("sigma")
