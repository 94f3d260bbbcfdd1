"""Loss, or success, against a covariate: runs, the law with its band, and the compute-optimal frontier."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from jax import random
from matplotlib.axes import Axes

from bayescale.decide.allocate import WIDE, split
from bayescale.decide.surface import Surface
from bayescale.fit import Fit
from bayescale.plot_of_runs import (
    column,
    draw_runs,
    fitted,
    groups,
    law_of,
    observed,
    of_levels,
    response,
    thinned,
    whose,
)
from bayescale.plot_of_runs import seen as seen_by
from bayescale.plot_style import (
    BAND,
    LEGEND,
    LEVEL,
    bare,
    curve,
    end_labels,
    legend,
    log_axis,
    made,
    mark,
    once,
    written,
)
from bayescale.plot_themes import shades, theme_of

POINTS = 25  # of a curve with nothing sharp in it
HELD = (0.1, 0.5, 0.9)  # the quantiles of the runs at which the other covariate is held
OTHER = {"N": "D", "D": "N", "D/N": "C"}  # what is held where loss is drawn against the first
KINDS = {"mean": "the mean curve", "new_run": "a new run"}


def loss_curves(
    fit: Fit,
    axes: Axes | None = None,
    *,
    covariate: str = "C",
    kind: str = "mean",
    at: Mapping[str, float] | None = None,
    **levels: str,
) -> Axes:
    """The response measured, and that of the law, against a covariate.

    Markers are runs, by the levels of the first factor that parameters differ by. Lines are medians, with their
    90% bands, to a decade beyond the runs; dashed where there are no such runs:

    - against C, of a law in N and D: the least loss for each compute, and what is fitted at the runs;
    - against N, D or D/N, of such a law: the law with D, N or C held where few, half and most of the runs are,
      each in the colour of the runs near it;
    - against another covariate of a law: the law, of each level where parameters differ;
    - against any other column: what is fitted at the runs.

    Args:
        fit: the fit.
        axes: where to draw; by default a new figure.
        covariate: a column of the runs, C for 6ND, or D/N.
        kind: whether bands are of the "mean" curve or of a "new_run", with noise and shocks of its own; for the
            least loss a run at the median of the best N.
        at: further covariates of the law, column -> the value they are held at; by default the reference run.
        levels: the levels that runs and lines are of, as corpus="web"; by default all runs, and the parameters
            that levels differ from.

    Raises:
        ValueError: the runs have no such column; there is no such kind; a band of a new run is asked for where
            parameters differ, and no level is named.
    """
    if kind not in KINDS:
        raise ValueError(f"kind is {kind!r}; it is one of {', '.join(KINDS)}")
    x = column(fit, covariate)
    if levels or kind == "new_run":
        fit.require(levels)
    axes = made(axes, 8.0, 4.8)
    law, rows = fit.model.law, of_levels(fit, levels)
    axes.set_xscale("log")
    split_up = {"N", "D"} <= set(law.covariates)
    if split_up and covariate in OTHER:
        _slices(law_of(fit, levels, at, "N", "D"), axes, covariate, x, rows, kind)
    elif covariate in law.covariates:
        draw_runs(fit, axes, x, observed(fit), rows)
        _along(fit, axes, covariate, x[rows], kind, at, levels)
    else:
        _at_runs(fit, axes, x, rows)
        draw_runs(fit, axes, x, observed(fit), rows)
        if split_up and covariate == "C" and law.response == "loss":
            _frontier(law_of(fit, levels, at, "N", "D"), axes, x[rows], kind)
    log_axis(axes, "x", covariate)
    axes.set_ylabel(response(fit))
    bare(axes)
    handles, names = axes.get_legend_handles_labels()
    for handle, name in zip(handles, names, strict=True):
        if len(handles) > LEGEND and name in groups(fit):  # the curves only
            handle.set_label("_")
    legend(axes)
    mark(fit.trouble, axes)
    return axes


# ---- Curves


def _values(law: Surface, points: Mapping[str, npt.ArrayLike], kind: str) -> np.ndarray:
    """The response at points, or of a new run there, (draws, points)."""
    if kind == "mean":
        return law.loss(**points)
    every = {**law.at, **points}
    columns = dict(zip(every, np.broadcast_arrays(*every.values()), strict=True))
    key = random.key(0)  # the same figure each time
    return law.fit.predict(columns, kind=kind, key=key, **law.levels)


def _reach(x: np.ndarray) -> np.ndarray:
    """From the least to ten times the greatest value, which is one of the points, (points,)."""
    return np.sort(np.append(np.geomspace(x.min(), 10 * x.max(), POINTS), x.max()))


def _along(
    fit: Fit,
    axes: Axes,
    covariate: str,
    x: np.ndarray,
    kind: str,
    at: Mapping[str, float] | None,
    levels: Mapping[str, str],
) -> None:
    """A law along one of its covariates: of each level, where parameters differ by one factor."""
    points, theme = _reach(x), theme_of(axes)
    factors = {p.by for p in fit.model.pooling}
    if levels or len(factors) != 1 or len(groups(fit)) > LEGEND:
        law = law_of(fit, levels, at, covariate)
        each = [(f"{law.law.name}{whose(law)}", theme.ink, law)]
    else:
        (by,) = factors
        each = [
            (name, theme.colours[number % len(theme.colours)], law_of(fit, {by: name}, at, covariate))
            for number, name in enumerate(groups(fit))
        ]
    for name, colour, law in each:
        values = _values(law, {covariate: points}, kind)
        curve(axes, points, values, points <= x.max(), colour=colour, name=once(axes, name), band=KINDS[kind])


def _slices(law: Surface, axes: Axes, covariate: str, x: np.ndarray, rows: np.ndarray, kind: str) -> None:
    """A law in N and D along one of them, or along their ratio, with the other or their product held."""
    fit, other, points = law.fit, OTHER[covariate], _reach(x[rows])
    z = column(fit, other)
    held = np.unique(np.quantile(z[rows], HELD, method="nearest"))
    colours = shades(theme_of(axes), np.concatenate([held, z]))
    draw_runs(fit, axes, x, observed(fit), rows, colours[len(held) :])
    ends = {}
    for value, colour in zip(held.tolist(), colours, strict=False):
        points_of = {
            "N": {"N": points, "D": value},
            "D": {"N": value, "D": points},
            "D/N": {"N": np.sqrt(value / (6 * points)), "D": np.sqrt(value * points / 6)},
        }
        at = points_of[covariate]
        name = once(axes, f"{law.law.name}{whose(law)}")
        middle = curve(
            axes, points, _values(law, at, kind), seen_by(fit, at), colour=colour, name=name, band=KINDS[kind]
        )
        ends[f"{other} = {written(other, value)}"] = (float(points[-1]), float(middle[-1]))
    end_labels(axes, ends)


def _at_runs(fit: Fit, axes: Axes, x: np.ndarray, rows: np.ndarray) -> None:
    """What is fitted at the runs of each group, with its band."""
    theme, values = theme_of(axes), np.quantile(fitted(thinned(fit)), BAND, axis=0)
    for number, members in enumerate(groups(fit).values()):
        mine = members[rows[members]]
        mine = mine[np.argsort(x[mine], kind="stable")]
        low, middle, high = values[:, mine]
        colour = theme.colours[number % len(theme.colours)]
        said = f"fitted at the runs, {LEVEL} of the mean" if len(fit) > 1 else "fitted at the runs"
        name = once(axes, said)
        if (np.diff(middle) <= 0).all() and (np.diff(x[mine]) > 0).all():
            line = {"color": colour, "linewidth": 1.3, "zorder": 2}
            axes.plot(x[mine], middle, label=None if len(fit) > 1 else name, **line)
            if len(fit) > 1:
                axes.fill_between(x[mine], low, high, color=colour, alpha=0.2, linewidth=0, label=name)
        elif len(fit) > 1:  # runs of many shapes at one compute: joined they would be a scribble
            bars = {"color": colour, "alpha": 0.5, "linewidth": 1.5, "zorder": 2}
            axes.vlines(x[mine], low, high, label=name or "", **bars)
        else:
            axes.plot(x[mine], middle, "_", color=colour, markersize=8, zorder=2, label=name)


def _frontier(law: Surface, axes: Axes, x: np.ndarray, kind: str) -> None:
    """The least loss for each compute, to a decade beyond the last run."""
    points, last = _reach(x), x.max()
    try:
        N = np.stack([split(law, compute, bounds=WIDE)[0] for compute in points.tolist()], axis=1)
    except ValueError:  # an optimum that is nowhere
        axes.plot([], [], " ", label="no compute-optimal frontier")
        return
    middle = np.median(N, axis=0)
    at = N if kind == "mean" else middle
    values = _values(law, {"N": at, "D": points / (6 * at)}, kind)
    name, there = f"compute-optimal{whose(law)}", seen_by(law.fit, {"N": middle, "C": points})
    curve(axes, points, values, there, colour=theme_of(axes).ink, name=name, band=KINDS[kind])
    axes.axvline(last, color=theme_of(axes).muted, linewidth=0.8, linestyle=":", label="largest run")
