"""What there is to draw of a fit: its runs as points, what is fitted at them, and what lies beyond them."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes

from bayescale.decide.surface import Surface, surface
from bayescale.fit import Fit
from bayescale.forecast import complete
from bayescale.plot_style import DRAWS, MARKERS, written
from bayescale.plot_themes import theme_of

MANY = 60  # runs, from which on their markers are smaller
EDGE = 1e-9  # a run is within the range of the runs, whatever its last digit


def thinned(fit: Fit, draws: int = DRAWS) -> Fit:
    """The fit with so many draws as a band needs."""
    chains, each = next(iter(fit.draws.values())).shape[:2]
    step = max(1, chains * each // draws)
    return fit.replace(draws={name: values[:, ::step] for name, values in fit.draws.items()})


def column(fit: Fit, covariate: str) -> np.ndarray:
    """A column of the runs, or a ratio of two such as D/N, (runs,).

    Raises:
        ValueError: the runs have no such column, or it has values that are not positive.
    """
    columns = complete(fit.runs.columns)
    names = covariate.split("/")
    for name in names:
        if name not in columns:
            raise ValueError(f"the runs have no column {name}; they have {', '.join(columns)}")
    values = columns[names[0]] / columns[names[1]] if len(names) == 2 else columns[covariate]
    if not (np.isfinite(values) & (values > 0)).all():
        raise ValueError(f"column {covariate} has values that are not positive, which a log axis cannot show")
    return np.asarray(values, float)


def observed(fit: Fit) -> np.ndarray:
    """The loss, or the share of successes, of each run, (runs,)."""
    y = np.asarray(fit.runs.response, float)
    return y if fit.runs.kind == "loss" else y / np.asarray(fit.runs.columns["trials"])


def response(fit: Fit) -> str:
    """The response in words."""
    return "loss (nats for each token)" if fit.runs.kind == "loss" else "share of successes"


def groups(fit: Fit) -> dict[str, np.ndarray]:
    """The runs of each level of the first factor that parameters differ by; all where there is none."""
    if not fit.model.pooling:
        return {"runs": np.arange(len(fit.runs))}
    by = fit.model.pooling[0].by
    index = np.asarray(fit.runs.factors[by])
    found = {name: np.flatnonzero(index == i) for i, name in enumerate(fit.runs.levels[by])}
    return {name: rows for name, rows in found.items() if len(rows)}


def law_of(fit: Fit, levels: Mapping[str, str], at: Mapping[str, float] | None, *moved: str) -> Surface:
    """The law at these levels, or where none is named at those that levels differ from, with draws enough for a figure.

    Of its covariates those that do not move are held as `at` says, or at the reference run.
    """
    follows = {*moved, *(("C",) if {"N", "D"} <= set(moved) else ())}
    held = {c: float(np.asarray(fit.runs.reference[c])) for c in fit.model.law.covariates if c not in follows}
    return surface(fit, at={**held, **(at or {})}, centre=not levels, **levels).thinned(DRAWS)


def whose(law: Surface) -> str:
    """Whose law that is, as it stands behind a name: ", typical family", ", pythia", with what is held."""
    by = " and ".join(dict.fromkeys(p.by for p in law.fit.model.pooling))
    named = f", {', '.join(law.levels.values())}" if law.levels else f", typical {by}" if by else ""
    return named + "".join(f", {c} = {written(c, v)}" for c, v in law.at.items())


def of_levels(fit: Fit, levels: Mapping[str, str]) -> np.ndarray:
    """Which runs are of these levels, (runs,)."""
    found = np.ones(len(fit.runs), bool)
    for by, level in levels.items():
        found &= np.asarray(fit.runs.factors[by]) == fit.runs.levels[by].index(level)
    return found


def fitted(fit: Fit) -> np.ndarray:
    """The mean at each run, at the levels it is of, (draws, runs)."""
    factors = list(dict.fromkeys(p.by for p in fit.model.pooling))
    needed = {*fit.model.law.covariates, *fit.model.noise.covariates, "trials"}
    columns = {c: np.asarray(v) for c, v in fit.runs.columns.items() if c in needed}
    columns = columns or {"trials": np.ones(len(fit.runs))}  # a constant is a function of nothing
    which = np.array([fit.runs.factors[by] for by in factors], int).reshape(len(factors), len(fit.runs))
    found = np.empty((len(fit), len(fit.runs)))
    for combination in np.unique(which, axis=1).T if factors else [np.array([], int)]:
        rows = (which == combination[:, None]).all(axis=0)
        levels = {by: fit.runs.levels[by][i] for by, i in zip(factors, combination, strict=True)}
        found[:, rows] = fit.predict({c: v[rows] for c, v in columns.items()}, **levels)
    return found


def seen(fit: Fit, points: Mapping[str, npt.ArrayLike]) -> np.ndarray:
    """Whether points lie within the ranges of the runs in every column of the law, and in C and D/N, (points,)."""
    given, runs = complete(points), complete(fit.runs.columns)
    for one in (given, runs):
        if {"N", "D"} <= set(one):
            one["D/N"] = one["D"] / one["N"]
    names = [c for c in ("C", "D/N", *fit.model.law.covariates) if c in given and c in runs]
    shape = np.broadcast_shapes(*(np.shape(given[c]) for c in names)) if names else (1,)
    found = np.ones(shape, bool)
    for c in names:
        found &= (given[c] >= runs[c].min() * (1 - EDGE)) & (given[c] <= runs[c].max() * (1 + EDGE))
    return found


def draw_runs(
    fit: Fit,
    axes: Axes,
    x: np.ndarray,
    y: np.ndarray,
    rows: np.ndarray,
    colours: Sequence | None = None,
    *,
    hollow: bool = False,
) -> None:
    """The runs of a mask as markers, by group: in the colour of the group, or each in its own of `colours`, (runs,)."""
    theme = theme_of(axes)
    size = 6.0 if len(fit.runs) < MANY else 4.5
    found = groups(fit)
    for number, (name, members) in enumerate(found.items()):
        mine = members[rows[members]]
        if not len(mine):
            continue
        marker = MARKERS[number % len(MARKERS)]
        style = {"markersize": size, "markeredgecolor": theme.paper, "markeredgewidth": 0.5, "zorder": 3}
        if colours is None:
            colour = theme.colours[number % len(theme.colours)]
            if hollow:
                style |= {"markerfacecolor": "none", "markeredgecolor": colour, "markeredgewidth": 1.0}
            axes.plot(x[mine], y[mine], marker, color=colour, label=name, **style)
            continue
        axes.scatter(
            x[mine],
            y[mine],
            s=size**2,
            c=[colours[i] for i in mine],
            marker=marker,
            edgecolors=theme.paper,
            linewidths=0.5,
            zorder=3,
        )
        axes.plot([], [], marker, color=theme.muted, label=name, **style)
