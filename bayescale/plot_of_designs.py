"""Which runs to do next, and the optima of approaches 1 and 2 beside those of a law."""

from collections import Counter
from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, LogNorm
from matplotlib.ticker import FuncFormatter

from bayescale.decide.designed import Design
from bayescale.decide.slices import Optima
from bayescale.fit import Fit
from bayescale.plot_of_decisions import optimum
from bayescale.plot_of_runs import column
from bayescale.plot_style import BAND, MARKERS, STYLES, axis_of, bare, legend, log_axis, made, mark, written
from bayescale.plot_themes import theme_of

LEAST = 1e-3  # of the best gain per FLOP, below which colours do not tell
MANY = 20  # optima of an approach, past which they would hide its line
ROOM = 8.0  # times the greatest D/N, for the legend
AREAS = (
    15.0,
    320.0,
)  # of markers, in square points: of a run that tells nothing, and of the one that tells most


def design(found: Design, axes: Axes | None = None, *, under: str | None = None) -> Axes:
    """Candidate runs by N and D/N: their colour is what they tell for each FLOP, their size what they tell at all.

    Both are shares of what the best candidate tells. Rings are the runs of the batch, and crosses the runs there are.

    Args:
        found: the design.
        axes: where to draw; by default a new figure.
        under: the name of a rival, under which they are to tell it; by default the fit itself.

    Raises:
        ValueError: there is no such rival, or the candidates have no N and D.
    """
    if under is not None and under not in found.removed:
        raise ValueError(f"there is no rival {under!r}; there are {', '.join(found.removed)}")
    if not {"N", "D/N"} <= set(found.points):
        raise ValueError(f"the candidates are in {', '.join(found.points)}; to draw them they need N and D")
    told = found.own if under is None else found.removed[under]
    axes = made(axes, 7.5, 5.0)
    theme = theme_of(axes)
    rate = told / found.cost
    rate = np.clip(rate / rate.max(), LEAST, 1.0)
    low, high = theme.shades
    colours = LinearSegmentedColormap.from_list("told", mpl.colormaps["plasma"](np.linspace(low, high, 64)))
    N, ratio = found.points["N"], found.points["D/N"]
    axes.set(xscale="log", yscale="log")
    if {"N", "D"} <= set(found.fit.runs.columns):
        there = column(found.fit, "N"), column(found.fit, "D/N")
        axes.plot(*there, "x", color=theme.muted, markersize=4, alpha=0.6, label="runs there are", zorder=1)
    area = AREAS[0] + (AREAS[1] - AREAS[0]) * told / told.max()
    shown = axes.scatter(
        N, ratio, s=area, c=rate, cmap=colours, norm=LogNorm(LEAST, 1.0), edgecolors=theme.paper
    )
    for i, times in Counter(found.batch).items():
        size = float(np.sqrt(area[i])) + 6
        said = f"run next: {written('N', N[i])}, {written('D/N', ratio[i])} tokens per parameter"
        said += f", {times} times" if times > 1 else ""
        style = {"markerfacecolor": "none", "markeredgewidth": 2.0, "markersize": size}
        axes.plot(N[i], ratio[i], "o", markeredgecolor=theme.colours[1], label=said, **style)
    bar = axes.figure.colorbar(shown, ax=axes, pad=0.02)
    bar.set_label("told for each FLOP (best candidate: 1)")
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
    bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
    axes.set_ylim(top=ROOM * ratio.max())
    log_axis(axes, "x", "N")
    log_axis(axes, "y", "D/N")
    axes.set_title(f"{found.target.said}{'' if under is None else f', if it is {under}'}", fontsize=10)
    bare(axes)
    legend(axes, loc="upper right", markerscale=0.6)
    mark(found.trouble, axes)
    return axes


def optima(
    fit: Fit,
    found: Mapping[str, Optima] | Sequence[Optima],
    axes: Axes | None = None,
    *,
    quantity: str = "N",
    at: Mapping[str, float] | None = None,
    **levels: str,
) -> Axes:
    """The best split by approaches 1 and 2 beside that of a law, against compute.

    The line of the law is solid, dashed beyond the runs; that of an approach is its power law, through the optima
    that it finds at each budget. Bands are 90% of the draws, or of the replicates.

    Args:
        fit: a fit of a law of loss in N and D.
        found: what the approaches found, by name or as they call themselves.
        axes: where to draw; by default a new figure.
        quantity: N, D or D/N.
        at: further covariates of the law, column -> the value they are held at; by default the reference run.
        levels: the level of each factor by which parameters differ; by default what levels differ from.

    Raises:
        ValueError: the quantity is another.
    """
    if quantity not in ("N", "D", "D/N"):
        raise ValueError(f"quantity is {quantity!r}; it is one of N, D, D/N")
    named = dict(found) if isinstance(found, Mapping) else {one.approach: one for one in found}
    budgets = np.concatenate([one.budgets for one in named.values()])
    ends = [budgets.min() / 2, 10 * max(budgets.max(), column(fit, "C").max())]
    axes = optimum(fit, axes, quantity=quantity, compute=ends, at=at, **levels)
    theme, line = theme_of(axes), np.geomspace(ends[0], ends[1], 25)
    for i, (name, one) in enumerate(named.items(), 1):
        colour, marker = theme.colours[i % len(theme.colours)], MARKERS[i % len(MARKERS)]
        low, _, high = np.array([one.at(c).interval(quantity) for c in line.tolist()]).T
        axes.fill_between(line, low, high, color=colour, alpha=0.15, linewidth=0)
        middle = [one.estimate(c)[quantity] for c in line.tolist()]
        axes.plot(line, middle, color=colour, linewidth=1.2, linestyle=STYLES[3], label=name)
        if len(one.budgets) > MANY:  # an envelope has as many as there are losses
            continue
        N, D = (one.replicates[c] for c in ("N", "D"))
        best, drawn = {"N": (one.N, N), "D": (one.D, D), "D/N": (one.D / one.N, D / N)}[quantity]
        low, _, high = np.nanquantile(drawn, BAND, axis=0)
        axes.vlines(one.budgets, low, high, color=colour, linewidth=1.2)
        axes.plot(one.budgets, best, marker, color=colour, markersize=6, markeredgecolor=theme.paper)
    log_axis(axes, "x", "C")
    if axis_of(axes, "y").get_scale() == "log":
        log_axis(axes, "y", quantity)
    legend(axes)
    return axes
