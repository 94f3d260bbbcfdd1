"""A law of loss in N and D: curves of equal compute, and contours with the efficient frontier."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from bayescale.decide.allocate import WIDE, split
from bayescale.decide.decision import quantiles
from bayescale.decide.rules import CHINCHILLA
from bayescale.decide.surface import FLOP, Surface
from bayescale.fit import Fit
from bayescale.plot_of_runs import (
    column,
    draw_runs,
    law_of,
    observed,
    of_levels,
    response,
    seen,
    whose,
)
from bayescale.plot_style import (
    BAND,
    DASHES,
    LEVEL,
    bare,
    curve,
    end_labels,
    legend,
    line,
    log_axis,
    made,
    mark,
    once,
    written,
)
from bayescale.plot_themes import shades, theme_of

BUDGETS = 5  # curves, where nobody says which
AROUND = 8.0  # times the best N, how far a curve reaches to both sides
NEAR = 1.25  # within so many times its compute, a run is drawn with a curve
POINTS, OPTIMA = 41, 13  # of a curve; along the band of the best
AXES = {"N": lambda N, D: N, "D": lambda N, D: D, "D/N": lambda N, D: D / N}
GRID = 121  # points of either axis of the contours
CONTOURS = 9
FEW = 250  # draws: their median is right to a tenth of the width of the posterior
BEYOND = 10.0  # times the largest run, how far they reach


def isoflop(
    fit: Fit,
    axes: Axes | None = None,
    *,
    compute: Sequence[float] | None = None,
    against: str = "N",
    at: Mapping[str, float] | None = None,
    **levels: str,
) -> Axes:
    """Loss along curves of equal compute, and where the least of it is.

    Each curve is the median over the draws with its 90% band, dashed where there are no such runs; markers are the
    runs within a quarter of its compute. The band across them is the 90% interval of the best split.

    Args:
        fit: a fit of a law of loss in N and D.
        axes: where to draw; by default a new figure.
        compute: the budgets, in FLOP; by default five in the range of the runs.
        against: "N", "D" or "D/N".
        at: further covariates of the law, column -> the value they are held at; by default the reference run.
        levels: the level of each factor by which parameters differ; by default what levels differ from.

    Raises:
        ValueError: the law is not of loss in N and D, the axis is another, or a budget is not positive.
    """
    if against not in AXES:
        raise ValueError(f"against is {against!r}; it is one of {', '.join(AXES)}")
    law = law_of(fit, levels, at, "N", "D")
    law.holds("N", "D")
    run_compute = column(fit, "C")
    budgets = np.unique(np.asarray(_budgets(run_compute) if compute is None else compute, float))
    if not len(budgets) or not (np.isfinite(budgets) & (budgets > 0)).all():
        raise ValueError(
            f"compute is {budgets.tolist()}; give positive numbers of FLOP, such as [1e21, 1e22]"
        )
    axes = made(axes, 8.0, 5.2)
    axes.set_xscale("log")
    colours = shades(theme_of(axes), budgets)
    ends = {}
    for budget, colour in zip(budgets.tolist(), colours, strict=True):
        (best,) = quantiles(split(law, budget, bounds=WIDE, strict=False)[0], (0.5,))
        if not np.isfinite(best):
            raise ValueError(
                f"{written('C', budget)} FLOP have no best split, so that there is nothing to draw about it"
            )
        N = np.geomspace(best / AROUND, best * AROUND, POINTS)
        N = N if against == "N" else N[::-1]  # x ascends
        points = {"N": N, "D": budget / (FLOP * N)}
        x, there = AXES[against](**points), seen(fit, points)
        name = once(axes, f"{law.law.name}{whose(law)}")
        middle = curve(axes, x, law.loss(**points), there, colour=colour, name=name, band="the mean curve")
        ends[f"{written('C', budget)} FLOP"] = (float(x[-1]), float(middle[-1]))
    _best(law, axes, np.geomspace(budgets[0], budgets[-1], OPTIMA), against)
    distance = np.abs(np.log(run_compute[:, None] / budgets))
    near = (distance.min(axis=1) <= np.log(NEAR)) & of_levels(fit, levels)
    nearest = [colours[i] for i in distance.argmin(axis=1)]
    draw_runs(fit, axes, column(fit, against), observed(fit), near, nearest)
    end_labels(axes, ends)
    log_axis(axes, "x", against)
    axes.set_ylabel(response(fit))
    bare(axes)
    legend(axes)
    mark(fit.trouble, axes)
    return axes


def _budgets(compute: np.ndarray) -> np.ndarray:
    """Budgets in the range of the runs, to one digit, (BUDGETS,)."""
    some = np.geomspace(np.quantile(compute, 0.05), compute.max(), BUDGETS)
    return np.array([float(f"{value:.0e}") for value in some])


def _best(law: Surface, axes: Axes, budgets: np.ndarray, against: str) -> None:
    """The band of the best split across the curves."""
    theme, x, y = theme_of(axes), [], []
    for budget in budgets.tolist():
        N, D = split(law, budget, bounds=WIDE, strict=False)
        x.append(quantiles(AXES[against](N, D), BAND))
        y += quantiles(law.each(N=N, D=D), (0.5,))
    low, middle, high = np.array(x).T
    if len(law) > 1:
        axes.fill_betweenx(
            y, low, high, color=theme.muted, alpha=0.3, linewidth=0, label=f"{LEVEL} of the best split"
        )
    axes.plot(middle, y, color=theme.ink, linewidth=1.2, marker=".", markersize=4, label="best split")


def contours(
    fit: Fit, axes: Axes | None = None, *, at: Mapping[str, float] | None = None, **levels: str
) -> Axes:
    """Contours of loss over N and D, the efficient frontier with its 90% band, and the runs.

    The loss is the median over the draws; contours and frontier are dashed where there are no such runs. Along the
    thin lines compute is equal.

    Args:
        fit: a fit of a law of loss in N and D.
        axes: where to draw; by default a new figure.
        at: further covariates of the law, column -> the value they are held at; by default the reference run.
        levels: the level of each factor by which parameters differ; by default what levels differ from.

    Raises:
        ValueError: the law is not of loss in N and D.
    """
    law = law_of(fit, levels, at, "N", "D")
    law.holds("N", "D")
    axes, rows = made(axes, 7.0, 5.6), of_levels(fit, levels)
    theme = theme_of(axes)
    runs_n, runs_d = column(fit, "N"), column(fit, "D")
    n, d = (np.geomspace(v.min() / 2, v.max() * BEYOND, GRID) for v in (runs_n, runs_d))
    N, D = np.meshgrid(n, d)
    loss = np.median(law.thinned(FEW).loss(N=N.ravel(), D=D.ravel()), axis=0).reshape(N.shape)
    inside = seen(fit, {"N": N, "D": D})
    steps = np.unique(np.round(np.quantile(loss, np.linspace(0.04, 0.96, CONTOURS)), 2))
    axes.set(xscale="log", yscale="log")
    _contour(axes, N, D, np.ma.masked_where(~inside, loss), steps, theme.colours[0], "-")
    _contour(axes, N, D, np.ma.masked_where(inside, loss), steps, theme.muted, DASHES)
    _equal_compute(axes, n, d)
    draw_runs(fit, axes, runs_n, runs_d, rows, hollow=True)  # runs of several groups may be at one place
    _frontier(law, axes, n, d)
    axes.set(xlim=(n[0], n[-1]), ylim=(d[0], d[-1]))
    log_axis(axes, "x", "N")
    log_axis(axes, "y", "D")
    bare(axes)
    legend(axes, loc="lower right")
    mark(fit.trouble, axes)
    return axes


def _contour(axes: Axes, N: np.ndarray, D: np.ndarray, loss: np.ma.MaskedArray, steps, colour, style) -> None:
    """The contours where the loss is not masked, those with a number that are long enough for one."""
    if loss.mask.all():
        return
    drawn = axes.contour(N, D, loss, levels=steps, colors=[colour], linewidths=1.0, linestyles=[style])
    axes.clabel(drawn, fmt="%.2f", fontsize=8, colors=[theme_of(axes).ink])


def _equal_compute(axes: Axes, n: np.ndarray, d: np.ndarray) -> None:
    """A thin line for each decade of compute, or every other, with its name at the upper end."""
    theme = theme_of(axes)
    first, last = np.ceil(np.log10(FLOP * n[0] * d[0])), np.floor(np.log10(FLOP * n[-1] * d[-1]))
    step = 1 if last - first < 5 else 2  # more lines would be a hatching
    for decade in np.arange(first, last + 1, step):
        compute = 10.0**decade
        axes.plot(n, compute / (FLOP * n), color=theme.grid, linewidth=0.8, zorder=0)
        top = compute / (FLOP * d[-1])  # the N at which the line leaves above; or else it leaves to the left
        axes.annotate(
            f"{written('C', compute)} FLOP",
            (top, d[-1]) if top > n[0] else (n[0], compute / (FLOP * n[0])),
            xytext=(0, 3) if top > n[0] else (4, 0),
            textcoords="offset points",
            ha="center" if top > n[0] else "left",
            va="bottom" if top > n[0] else "center",
            fontsize=8,
            color=theme.muted,
            backgroundcolor=theme.paper,
            annotation_clip=False,
        )


def _frontier(law: Surface, axes: Axes, n: np.ndarray, d: np.ndarray) -> None:
    """The best split of every budget, with the band of the best N at equal compute."""
    theme = theme_of(axes)
    budgets = np.geomspace(FLOP * n[0] * d[0], FLOP * n[-1] * d[-1], 2 * POINTS)
    low, middle, high = np.array(
        [quantiles(split(law, c, bounds=WIDE, strict=False)[0], BAND) for c in budgets.tolist()]
    ).T
    if len(law) > 1:
        x, y = np.append(low, high[::-1]), np.append(budgets / low, (budgets / high)[::-1]) / FLOP
        axes.fill(x, y, color=theme.ink, alpha=0.2, linewidth=0, label=f"{LEVEL} of the best split")
    best = {"N": middle, "D": budgets / (FLOP * middle)}
    line(
        axes,
        best["N"],
        best["D"],
        seen(law.fit, best),
        colour=theme.ink,
        name=f"efficient frontier{whose(law)}",
    )
    axes.plot(
        n,
        CHINCHILLA * n,
        color=theme.colours[1],
        linewidth=1.0,
        linestyle=":",
        label=f"{CHINCHILLA:g} tokens per parameter",
    )
