"""Figures: each takes and returns matplotlib Axes, and none touches pyplot."""

import textwrap
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np
from jax import random
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from bayescale import parallel
from bayescale.columns import MEANINGS, label
from bayescale.decide.allocate import split
from bayescale.fit import Fit
from bayescale.forecast import complete

# Okabe and Ito's colours, which the colour-blind tell apart; yellow is left out, since print loses it.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">", "h")  # 11 by 6: 66 pairs before one comes again
GREY, RED = "#666666", "#B00000"
BAND = (0.05, 0.5, 0.95)
DRAWS, POINTS = 1000, 25  # for a band: its edges are then good to a line's width
PANELS = ("E", "alpha", "beta")
PRIOR_DRAWS = 20_000
WIDTH = 110  # characters of a line of the title
LEGEND = 14  # entries; more would hide the data


def figure(fit: Fit) -> Figure:
    """The loss curves over the parameters, with the verdict on the fit; 10 by 7 inches."""
    drawn = Figure(figsize=(10, 7), layout="constrained")
    names = _panels(fit)
    rows = drawn.add_gridspec(2, 1, height_ratios=(2.3, 1))
    loss_curves(fit, drawn.add_subplot(rows[0]))
    below = rows[1].subgridspec(1, len(names))
    parameters(fit, [drawn.add_subplot(below[i]) for i in range(len(names))])
    source = Path(fit.runs.source).name
    what = f"{fit.model.law.name}, {fit.model.noise.name} noise, {len(fit.runs)} runs of {source}"
    if fit.converged:
        drawn.suptitle(f"{what}\n{textwrap.fill(fit.verdict, WIDTH)}", fontsize=11)
    else:
        drawn.suptitle("NOT CONVERGED", color=RED, fontsize=20, fontweight="bold")
        trouble = textwrap.fill("; ".join(fit.trouble), WIDTH)
        drawn.axes[0].set_title(f"{trouble}\n{what}", fontsize=11)
    return drawn


# ---- Curves


def loss_curves(fit: Fit, axes: Axes | None = None, *, covariate: str = "C") -> Axes:
    """The response measured and fitted against a covariate, and the compute-optimal frontier.

    Markers are runs and lines the median of the fit at them, with its 90% band; both differ by the levels of
    the first factor that parameters differ by. Where the law is in N and D the frontier of least loss is
    drawn against compute, for the parameters that levels differ from, to a decade beyond the runs: dashed
    where no run has been. A law in the covariate alone is drawn as a curve, likewise.

    Args:
        fit: the fit.
        axes: where to draw; by default a new figure.
        covariate: a column of the runs, or C for 6ND.

    Raises:
        ValueError: the runs have no such column.
    """
    if axes is None:
        axes = Figure(figsize=(10, 5), layout="constrained").subplots()
    fit = _thinned(fit)
    x, y = _column(fit, covariate), _observed(fit)
    fitted = np.quantile(_fitted(fit), BAND, axis=0)
    curve = fit.model.law.covariates == (covariate,) and not fit.model.pooling
    groups = _groups(fit)
    for number, (name, rows) in enumerate(groups.items()):
        rows = rows[np.argsort(x[rows], kind="stable")]
        colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
        if not curve:
            _draw_fitted(axes, x[rows], fitted[:, rows], colour, "fit, 90%" if len(groups) == 1 else "")
        axes.plot(
            x[rows],
            y[rows],
            marker,
            color=colour,
            markersize=6,
            markeredgecolor="white",
            markeredgewidth=0.5,
            label=name,
            zorder=3,
        )
    axes.set_xscale("log")
    _draw_curve(fit, axes, covariate, x)
    _finish(fit, axes, covariate)
    return axes


def _draw_fitted(axes: Axes, x: np.ndarray, quantiles: np.ndarray, colour: str, name: str) -> None:
    low, middle, high = quantiles
    if (np.diff(middle) <= 0).all() and (np.diff(x) > 0).all():
        axes.plot(x, middle, color=colour, linewidth=1.3, zorder=2)
        axes.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0, label=name)
    else:  # runs of many shapes at one compute: joined they would be a scribble
        axes.vlines(x, low, high, color=colour, alpha=0.5, linewidth=1.5, zorder=2, label=name)


def _draw_curve(fit: Fit, axes: Axes, covariate: str, x: np.ndarray) -> None:
    """The frontier, or the curve of a law in one covariate, to a decade beyond the last run."""
    law, last = fit.model.law, x.max()
    points = np.geomspace(x.min(), 10 * last, POINTS)
    points = np.sort(np.append(points, last))
    if covariate == "C" and set(law.covariates) == {"N", "D"} and law.response == "loss":
        name = "compute-optimal"
        try:
            values = _frontier(fit, points)
        except ValueError:  # an optimum that is nowhere
            axes.plot([], [], " ", label="no compute-optimal frontier")
            return
    elif law.covariates == (covariate,):
        name = law.name
        own = {p: v[:, None] for p, v in fit.centre().items()}
        values = fit.mean(own, **{covariate: points})
    else:
        return
    low, middle, high = np.quantile(values, BAND, axis=0)
    axes.fill_between(points, low, high, color="black", alpha=0.12, linewidth=0)
    seen = points <= last
    said = f"{name}, typical {_by(fit)}" if fit.model.pooling else name
    beyond = points >= last
    style = {"color": "black", "linewidth": 1.8}
    axes.plot(points[seen], middle[seen], **style, label=said)
    axes.plot(points[beyond], middle[beyond], **style, linestyle=(0, (4, 2)), label="extrapolated")
    axes.axvline(last, color=GREY, linewidth=0.8, linestyle=":")
    axes.annotate(
        "no runs beyond →",
        (last, 0.03),
        xycoords=("data", "axes fraction"),
        xytext=(4, 0),
        textcoords="offset points",
        fontsize=9,
        color=GREY,
    )


def _frontier(fit: Fit, computes: np.ndarray) -> np.ndarray:
    """The least loss for each compute, (draws, computes)."""
    own = fit.centre()
    losses = []
    for compute in computes:
        N, D = split(fit, float(compute), bounds=(1, 1e20), centre=True)
        losses.append(fit.mean(own, N=N, D=D))
    return np.stack(losses, axis=1)


def _finish(fit: Fit, axes: Axes, covariate: str) -> None:
    kind = "loss (nats for each token)" if fit.runs.kind == "loss" else "success"
    axes.set_xlabel(MEANINGS[covariate][0] if covariate in MEANINGS else covariate, fontsize=11)
    axes.set_ylabel(kind, fontsize=11)
    axes.xaxis.set_major_locator(LogLocator(numticks=12))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: label(value)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(labelsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    handles, names = axes.get_legend_handles_labels()
    if len(handles) > LEGEND:  # the curves only
        kept = [i for i, name in enumerate(names) if name not in _groups(fit)]
        handles, names = [handles[i] for i in kept], [names[i] for i in kept]
    if handles:
        axes.legend(handles, names, fontsize=9, frameon=False, ncols=2 if len(handles) > 7 else 1)


# ---- Parameters


def parameters(fit: Fit, axes: Sequence[Axes] | np.ndarray | None = None) -> np.ndarray:
    """Prior and posterior densities of E, alpha and beta, in natural units, a panel for each.

    The prior is dashed, the posterior filled and its 90% interval marked below; a point fit is a line. The
    title gives the contraction: 1 where the data taught everything, 0 where they taught nothing.

    Args:
        fit: the fit. Where parameters differ by a factor, those are shown that levels differ from.
        axes: as many as the law has of E, alpha and beta (or else its first three); by default new ones.

    Raises:
        ValueError: there are more or fewer axes than parameters to show.
    """
    names = _panels(fit)
    if axes is None:
        axes = np.atleast_1d(Figure(figsize=(10, 2.6), layout="constrained").subplots(1, len(names)))
    panels = np.atleast_1d(np.asarray(axes, dtype=object)).ravel()
    if len(panels) != len(names):
        raise ValueError(f"{len(panels)} axes for {', '.join(names)}; give {len(names)}")
    prior, posterior = _prior(fit), fit.centre()
    summary = fit.summary()
    for panel, name in zip(panels, names, strict=True):
        contraction = summary[name].contraction
        _draw_density(panel, prior[name], posterior[name])
        said = "" if contraction is None else f"   contraction {contraction:.2f}"
        panel.set_title(f"{_spoken(name)}{said}", fontsize=11)
    panels[0].legend(fontsize=9, frameon=False, loc="best")
    return panels


def _draw_density(axes: Axes, prior: np.ndarray, posterior: np.ndarray) -> None:
    prior_ends = np.quantile(prior, (0.01, 0.99))
    low, middle, high = np.quantile(posterior, BAND)
    reach = 3 * (high - low) if posterior.size > 1 else np.inf
    left = max(min(prior_ends[0], posterior.min()), middle - reach)
    right = min(max(prior_ends[1], posterior.max()), middle + reach)
    grid = np.linspace(left, right, 300)
    before = _density(prior, grid)
    axes.plot(grid, before, color=GREY, linestyle="--", linewidth=1.4, label="prior")
    if posterior.size > 1:
        after = _density(posterior, grid)
        axes.fill_between(grid, after, color=COLOURS[0], alpha=0.45, linewidth=0, label="posterior")
        axes.plot(grid, after, color=COLOURS[0], linewidth=1.0)
        top = max(after.max(), before.max())
        bar = [-0.05 * top] * 2
        axes.plot([low, high], bar, color=COLOURS[0], linewidth=3.5, solid_capstyle="butt", label="90%")
        axes.set_xlabel(f"{middle:.3g}  (90%: {low:.3g} to {high:.3g})", fontsize=10)
    else:
        axes.axvline(middle, color=COLOURS[0], linewidth=2.5, label="estimate")
        axes.set_xlabel(f"{middle:.3g}", fontsize=10)
    axes.yaxis.set_major_locator(NullLocator())
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.tick_params(labelsize=10)
    axes.spines[["top", "right", "left"]].set_visible(False)


def _density(draws: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """A Gaussian kernel density, with Silverman's width."""
    draws = draws[:: max(1, len(draws) // 4000)]
    quartiles = np.quantile(draws, (0.25, 0.75))
    scale = min(draws.std(), (quartiles[1] - quartiles[0]) / 1.349) or draws.std() or 1e-9
    # 1.349 sd lie between the quartiles of a normal
    width = 0.9 * scale * len(draws) ** -0.2
    kernel = np.exp(-0.5 * ((grid[:, None] - draws) / width) ** 2)
    return kernel.mean(axis=1) / (width * np.sqrt(2 * np.pi))


def _prior(fit: Fit) -> dict[str, np.ndarray]:
    """Draws of the parameters of the law from their prior, in natural units."""
    law = fit.model.law
    with parallel.workbench():
        keys = random.split(random.key(0), len(law.parameters))
        pairs = zip(law.parameters, keys, strict=True)
        drawn = {p: law.priors[p].sample(key, (PRIOR_DRAWS,)) for p, key in pairs}
        return {p: np.asarray(jax.device_get(v)) for p, v in fit.natural(drawn).items()}


# ---- What there is to draw


def _panels(fit: Fit) -> tuple[str, ...]:
    own = fit.model.law.parameters
    return tuple(p for p in PANELS if p in own) or own[: len(PANELS)]


def _spoken(name: str) -> str:
    return {"alpha": "α", "beta": "β"}.get(name, name)


def _by(fit: Fit) -> str:
    return " and ".join(dict.fromkeys(p.by for p in fit.model.pooling))


def _thinned(fit: Fit) -> Fit:
    """The fit with so many draws as a band needs."""
    chains, draws = next(iter(fit.draws.values())).shape[:2]
    step = max(1, chains * draws // DRAWS)
    return fit.replace(draws={name: values[:, ::step] for name, values in fit.draws.items()})


def _column(fit: Fit, covariate: str) -> np.ndarray:
    columns = complete(fit.runs.columns)
    if covariate not in columns:
        raise ValueError(f"the runs have no column {covariate}; they have {', '.join(columns)}")
    return np.asarray(columns[covariate], float)


def _observed(fit: Fit) -> np.ndarray:
    y = np.asarray(fit.runs.response, float)
    return y if fit.runs.kind == "loss" else y / np.asarray(fit.runs.columns["trials"])


def _groups(fit: Fit) -> dict[str, np.ndarray]:
    """The runs of each level of the first factor that parameters differ by; all where there is none."""
    if not fit.model.pooling:
        return {"runs": np.arange(len(fit.runs))}
    by = fit.model.pooling[0].by
    index = np.asarray(fit.runs.factors[by])
    found = {name: np.flatnonzero(index == i) for i, name in enumerate(fit.runs.levels[by])}
    return {name: rows for name, rows in found.items() if len(rows)}


def _fitted(fit: Fit) -> np.ndarray:
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
