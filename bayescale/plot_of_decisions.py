"""Decisions: an answer, the same question along a curve, and what a choice wastes."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator, PercentFormatter

from bayescale.decide.allocate import WIDE, compute_optimal, split
from bayescale.decide.budget import equivalent
from bayescale.decide.decision import Curve, Decision, curve, mean, number, quantiles
from bayescale.decide.rules import CHINCHILLA
from bayescale.decide.surface import FLOP
from bayescale.fit import Fit
from bayescale.plot_of_parameters import ENDS, HALF, density
from bayescale.plot_of_runs import column, law_of, whose
from bayescale.plot_style import (
    BAND,
    DECADE,
    LEVEL,
    STYLES,
    axis_of,
    bare,
    legend,
    line,
    log_axis,
    log_ticks,
    made,
    mark,
    meaning,
    once,
    spans,
    value_axis,
    written,
)
from bayescale.plot_themes import theme_of

AROUND = 6.0  # times the best N, how far the curve of regret reaches to both sides
POINTS = 31  # of it
BUDGETS = 17  # along the best split: its band bends slowly
FAR = 100.0  # times the compute of the largest run, how far it goes
FEW = 500  # draws: what is wasted is known to a twentieth of its spread
MOST = 0.5  # of the compute wasted, past which nobody asks how much
OUT = 1e9  # times the largest number, which is out of the axes
MARGIN = 0.05  # of the range of an axis, to either side
SHARES = ("deadweight loss", "efficiency", "probability")  # quantities between 0 and 1


def answer(decision: Decision, quantity: str, axes: Axes | None = None) -> Axes:
    """The draws of a quantity of a decision as a density, with the 90% interval and what to choose.

    Args:
        decision: the decision.
        quantity: one of its quantities.
        axes: where to draw; by default a new figure.

    Raises:
        KeyError: the decision has no such quantity.
        ValueError: it is a finite number in no draw.
    """
    values, unit = decision[quantity], decision.units.get(quantity, "")
    known = values[np.isfinite(values)]
    if not len(known):
        raise ValueError(f"{quantity} of {decision.question} is a finite number in none of the draws")
    axes = made(axes, 5.0, 3.2)
    theme = theme_of(axes)
    low, middle, high = decision.interval(quantity)
    if len(values) > 1:
        shown = np.log(known) if spans(known) else known
        first, last = np.quantile(shown, ENDS)
        grid = np.linspace(first, last, 300)
        height, at = density(shown, grid), np.exp(grid) if spans(known) else grid
        axes.fill_between(at, height, color=theme.colours[0], alpha=0.45, linewidth=0)
        axes.plot(at, height, color=theme.colours[0], linewidth=1.0)
        bar = [-0.05 * height.max()] * 2
        ends = np.clip([low, high], at[0], at[-1])
        axes.plot(ends, bar, color=theme.colours[0], linewidth=3.5, solid_capstyle="butt", label=LEVEL)
    axes.axvline(middle, color=theme.ink, linewidth=1.2, label="median" if len(values) > 1 else "estimate")
    if quantity in decision.choice:
        chosen = float(decision.choice[quantity])
        axes.axvline(chosen, color=theme.colours[1], linestyle="--", linewidth=1.5, label="choice")
    axes.yaxis.set_major_locator(NullLocator())
    axes.spines["left"].set_visible(False)
    value_axis(axes, "x", known, 5)
    interval = "" if np.isnan(low) else f"  ({LEVEL}: {number(low, unit)} to {number(high, unit)})"
    axes.set_xlabel(_said(quantity, unit))
    axes.set_title(f"{quantity} {number(middle, unit)}{interval}", fontsize=10)
    if (share := decision.defined(quantity)) < 1:
        axes.plot([], [], " ", label=f"defined in {share:.1%} of the draws")
    bare(axes)
    legend(axes)
    mark(decision.trouble, axes)
    return axes


def answers(
    curves: Curve | Mapping[str, Curve],
    quantity: str,
    axes: Axes | None = None,
    *,
    reference: float | None = None,
) -> Axes:
    """A quantity of decisions along what they were asked at: the median and the 90% band over the draws.

    Lines are dashed where the median answer lies outside the range of the runs. They end where it is infinite, and a
    band whose upper end is infinite goes beyond the axes.

    Args:
        curves: the answers, or several of them by name.
        quantity: one of their quantities, such as "D/N" or "gain".
        axes: where to draw; by default a new figure.
        reference: a value that is drawn beside them, such as 1 for a gain.

    Raises:
        ValueError: the curves are along different things, or none is given.
        KeyError: the decisions have no such quantity.
    """
    named = {"": curves} if isinstance(curves, Curve) else dict(curves)
    if len(along := {one.along for one in named.values()}) != 1:
        raise ValueError(
            f"curves are along {', '.join(sorted(along)) or 'nothing'}; give some along one thing"
        )
    intervals = {name: one.interval(quantity) for name, one in named.items()}
    known = np.concatenate([values[np.isfinite(values)] for values in intervals.values()])
    if not len(known):
        raise ValueError(f"{quantity} is a finite number nowhere along {along.pop()}")
    axes = made(axes, 7.0, 4.4)
    theme, least = theme_of(axes), 1.0
    for i, (name, one) in enumerate(named.items()):
        colour, (low, middle, high) = theme.colours[i % len(theme.colours)], intervals[name]
        seen = np.array([not any(value > 0 for value in d.beyond.values()) for d in one.decisions])
        if len(one.decisions[0]) > 1:
            said, top = (
                once(axes, f"{LEVEL} of the draws"),
                np.where(np.isposinf(high), OUT * known.max(), high),
            )
            axes.fill_between(one.points, low, top, color=colour, alpha=0.2, linewidth=0, label=said)
        finite = np.where(np.isfinite(middle), middle, np.nan)
        line(axes, one.points, finite, seen, colour=colour, name=name or "median")
        least = min(least, *(d.defined(quantity) for d in one.decisions))
        mark(one.decisions[0].trouble, axes)
    if reference is not None:
        said = f"{quantity} = {reference:g}"
        axes.axhline(reference, color=theme.muted, linestyle=STYLES[2], linewidth=1.2, label=said)
        known = np.append(known, reference)
    if least < 1:
        axes.plot([], [], " ", label=f"defined in {least:.0%} of the draws or more")
    first = next(iter(named.values()))
    _axis(axes, "x", first.along, first.points)
    _axis(axes, "y", quantity, known, first.decisions[0].units.get(quantity, ""))
    bare(axes)
    legend(axes)
    return axes


def _axis(axes: Axes, which: str, name: str, values: np.ndarray, unit: str = "") -> None:
    """An axis of a quantity about its values: logarithmic over a decade or more, in percent of shares."""
    least, most = float(values.min()), float(values.max())
    logarithmic = least > 0 and most / least >= DECADE
    room = (most / least) ** MARGIN if logarithmic else MARGIN * (most - least or 1.0)
    ends = (least / room, most * room) if logarithmic else (least - room, most + room)
    said = _said(name, unit) if unit else meaning(name)
    axes.set(**{f"{which}lim": ends, f"{which}label": said})
    if logarithmic:
        log_ticks(axes, which, "C" if unit == "FLOP" else name)
    elif name in SHARES:
        axis_of(axes, which).set_major_formatter(PercentFormatter(1.0))
    else:
        value_axis(axes, which, values, 6)


def _said(quantity: str, unit: str) -> str:
    return f"{quantity} ({unit})" if unit and unit != quantity else quantity


def optimum(
    fit: Fit,
    axes: Axes | None = None,
    *,
    quantity: str = "D/N",
    compute: Sequence[float] | None = None,
    at: Mapping[str, float] | None = None,
    **levels: str,
) -> Axes:
    """A quantity of the best split against compute, to two decades beyond the runs.

    Args:
        fit: a fit of a law of loss in N and D.
        axes: where to draw; by default a new figure.
        quantity: one of those of `compute_optimal`: N, D, D/N, loss, or the exponents a and b.
        compute: the least and the greatest budget, in FLOP; by default from the least run to a hundred times the
            largest.
        at: further covariates of the law, column -> the value they are held at; by default the reference run.
        levels: the level of each factor by which parameters differ; by default what levels differ from.

    Raises:
        KeyError: there is no such quantity.
        ValueError: the law is not of loss in N and D, or the budgets are not two or more.
    """
    law = law_of(fit, levels, at, "N", "D")
    law.holds("N", "D")
    runs = column(fit, "C")
    ends = np.asarray([runs.min(), FAR * runs.max()] if compute is None else compute, float)
    if len(ends) < 2 or not ends.min() < ends.max():
        raise ValueError(
            f"compute is {ends.tolist()}; give the least and the greatest budget, such as [1e20, 1e25]"
        )
    points = np.geomspace(ends.min(), ends.max(), BUDGETS)
    found = curve(lambda C: compute_optimal(law, C, bounds=WIDE, strict=False), C=points)
    reference = CHINCHILLA if quantity == "D/N" else None
    return answers({f"best split{whose(law)}": found}, quantity, axes, reference=reference)


def regret(
    fit: Fit,
    axes: Axes | None = None,
    *,
    compute: float,
    at: Mapping[str, float] | None = None,
    **levels: str,
) -> Axes:
    """What each number of parameters would waste of a budget: the mean over the draws, and 50% and 90% of them.

    Args:
        fit: a fit of a law of loss in N and D.
        axes: where to draw; by default a new figure.
        compute: the budget, in FLOP.
        at: further covariates of the law, column -> the value they are held at; by default the reference run.
        levels: the level of each factor by which parameters differ; by default what levels differ from.

    Raises:
        ValueError: the law is not of loss in N and D, or the budget is not positive.
    """
    law = law_of(fit, levels, at, "N", "D").thinned(FEW)
    law.holds("N", "D")
    best = split(law, compute, bounds=WIDE, strict=False)[0]
    (middle,) = quantiles(best, (0.5,))
    if not np.isfinite(middle):
        raise ValueError(
            f"{written('C', compute)} FLOP have no best split, so that nothing is wasted on another"
        )
    N = middle * np.geomspace(1 / AROUND, AROUND, POINTS)
    waste = 1 - equivalent(law, law.loss(N=N, D=compute / (FLOP * N)), compute) / compute
    axes = made(axes, 7.0, 4.4)
    theme = theme_of(axes)
    if len(waste) > 1:
        for (low, high), shade, said in ((BAND[::2], 0.15, LEVEL), (HALF, 0.3, "50%")):
            ends = np.nanquantile(waste, (low, high), axis=0)
            axes.fill_between(
                N, *ends, color=theme.colours[0], alpha=shade, linewidth=0, label=f"{said} of the draws"
            )
    average = np.array([mean(column) for column in waste.T])
    axes.plot(
        N, average, color=theme.colours[0], linewidth=2.0, label="mean" if len(waste) > 1 else law.law.name
    )
    chosen, rule = float(N[np.argmin(average)]), float(np.sqrt(compute / (FLOP * CHINCHILLA)))
    for where, said, style in (
        (chosen, f"least on average: {written('N', chosen)}", "--"),
        (rule, f"{CHINCHILLA:g} tokens per parameter: {written('N', rule)}", ":"),
    ):
        if N[0] <= where <= N[-1]:
            axes.axvline(where, color=theme.ink, linestyle=style, linewidth=1.2, label=said)
    axes.set_xscale("log")
    axes.set_ylim(0, min(MOST, 1.05 * float(np.nanmax(waste))))
    log_axis(axes, "x", "N")
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_ylabel("share of the compute wasted")
    axes.set_title(f"{written('C', compute)} FLOP{whose(law)}", fontsize=10)
    bare(axes)
    legend(axes, loc="upper center")
    mark(fit.trouble, axes)
    return axes
