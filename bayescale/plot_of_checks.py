"""Figures of comparisons and back-tests; each panel takes and returns matplotlib Axes."""

import textwrap

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, PercentFormatter
from scipy.stats import binom

from bayescale.check.backtested import Backtest
from bayescale.check.compared import Comparison, said_of
from bayescale.check.scores import read_off
from bayescale.plot_style import MARKERS, WIDTH, bare, legend
from bayescale.plot_themes import theme_of

BINS = 10  # of the probability integral transform
LINEAR = 3.0  # nats, up to where the axis of differences is linear


def comparison(found: Comparison) -> Figure:
    """Evidence, and what is predicted unseen, of each candidate behind the first; the verdict above."""
    units = list(found.candidates[0].predictive)
    drawn = Figure(
        figsize=(4.2 + 2.9 * (1 + len(units)), 1.8 + 0.42 * len(found.candidates)), layout="constrained"
    )
    panels = drawn.subplots(1, 1 + len(units), sharey=True, squeeze=False)[0]
    evidence(found, panels[0])
    for unit, axes in zip(units, panels[1:], strict=True):
        predictive(found, unit, axes)
    theme = theme_of(panels[0])
    colour = theme.alarm if found.trouble else theme.ink
    drawn.suptitle(textwrap.fill(found.verdict, WIDTH), fontsize=11, color=colour)
    return drawn


def evidence(found: Comparison, axes: Axes) -> Axes:
    """The log evidence of each candidate less that of the first, with three standard errors; hollow where in doubt."""
    first = found.candidates[0].evidence
    for row, one in enumerate(found.candidates):
        _bar(axes, row, one.evidence.value - first.value, 3 * one.evidence.error, hollow=bool(one.trouble))
    axes.set_yticks(range(len(found.candidates)), [one.name for one in found.candidates])
    axes.invert_yaxis()
    return _differences(axes, "log evidence", "± 3 errors; hollow: in doubt")


def predictive(found: Comparison, unit: str, axes: Axes) -> Axes:
    """The log predictive density of what was left out, less that of the first candidate, with two standard errors."""
    first = found.candidates[0].predictive[unit]
    for row, one in enumerate(found.candidates):
        own = one.predictive[unit]
        ahead, error = own.less(first)
        _bar(axes, row, ahead, 2 * error, hollow=own.doubtful > 0)
    return _differences(axes, said_of(unit), "± 2 errors; hollow: Pareto-k above 0.7")


def _bar(axes: Axes, row: int, value: float, error: float, *, hollow: bool) -> None:
    colour = theme_of(axes).colours[0]
    face = "none" if hollow else colour
    axes.errorbar(
        value, row, xerr=error, fmt="o", color=colour, markerfacecolor=face, capsize=3, markersize=6
    )


def _differences(axes: Axes, title: str, said: str) -> Axes:
    theme = theme_of(axes)
    axes.axvline(0, color=theme.muted, linewidth=1)
    axes.set_xscale("symlog", linthresh=LINEAR)
    axes.xaxis.set_minor_formatter(NullFormatter())
    low, high = axes.get_xlim()
    low, high = 1.6 * min(low, -1), 1.6 * max(high, 1)  # room on both sides
    axes.set_xlim(low, high)
    axes.set_title(title, fontsize=10)
    ticks = [t for t in (-10000, -1000, -100, -10, -1, 0, 1, 10, 100, 1000) if low <= t <= high]
    axes.set_xticks(ticks, [f"{t:g}" for t in ticks])
    axes.set_xlabel(f"nats more than the first\n{said}", fontsize=9)
    axes.grid(axis="y", color=theme.grid, linewidth=0.6)
    bare(axes)
    axes.tick_params(labelsize=9)
    return axes


def backtest(found: Backtest) -> Figure:
    """Forecasts against what came, their calibration, and their scores by distance; the verdict above."""
    drawn = Figure(figsize=(11, 7.5), layout="constrained")
    rows = drawn.add_gridspec(2, 2, width_ratios=(1.5, 1))
    theme = theme_of(against_truth(found, drawn.add_subplot(rows[:, 0])))
    calibration(found, drawn.add_subplot(rows[0, 1]))
    by_distance(found, drawn.add_subplot(rows[1, 1]))
    drawn.suptitle(textwrap.fill(found.verdict, WIDTH), fontsize=11, color=theme.ink)
    return drawn


def against_truth(found: Backtest, axes: Axes) -> Axes:
    """The median and the 90% interval of each forecast against what was measured, by fold."""
    begin, theme = 0, theme_of(axes)
    for k, one in enumerate(found.forecasts):
        mine = slice(begin, begin := begin + len(one.index))
        low, middle, high = read_off(one.quantiles, (0.05, 0.5, 0.95))
        axes.errorbar(
            found.truth[mine],
            middle,
            yerr=(middle - low, high - middle),
            fmt=MARKERS[k % len(MARKERS)],
            color=theme.colours[k % len(theme.colours)],
            markersize=4.5,
            linewidth=0.8,
            alpha=0.8,
            label=f"{one.fold.name} ({len(one.index)})",
        )
    least, most = found.truth.min(), found.truth.max()
    margin = 0.1 * (most - least) or 0.1
    axes.plot(
        [least - margin, most + margin], [least - margin, most + margin], color=theme.muted, linewidth=1
    )
    axes.set_xlim(least - margin, most + margin)
    # A forecast that is far off shall not hide all others.
    middle = np.median(found.quantiles, axis=0)
    axes.set_ylim(min(least, middle.min()) - margin, max(most, np.quantile(middle, 0.98)) + 2 * margin)
    response = "loss" if found.runs.kind == "loss" else "share of successes"
    axes.set_xlabel(f"{response} measured")
    axes.set_ylabel(f"{response} predicted, with 90% interval")
    legend(axes, beside=False, fontsize=8, loc="upper left", title="known runs (runs predicted)")
    bare(axes)
    return axes


def calibration(found: Backtest, axes: Axes) -> Axes:
    """The histogram of the probability integral transform, and where 95% of the bars of as many runs would be."""
    edges, theme = np.linspace(0, 1, BINS + 1), theme_of(axes)
    runs = len(np.unique(found.index))  # what is forecast of one run in several folds is not independent
    low, high = binom.ppf((0.025, 0.975), runs, 1 / BINS) / runs * BINS
    axes.axhspan(low, high, color=theme.muted, alpha=0.2, linewidth=0, label=f"95% of bars of {runs} runs")
    axes.hist(found.pit, edges.tolist(), density=True, color=theme.colours[0], alpha=0.7)
    axes.axhline(1, color=theme.muted, linewidth=1)
    axes.set_xlabel("share of the forecast below what came (PIT)")
    axes.set_ylabel("density")
    axes.set_xlim(0, 1)
    legend(axes, fontsize=8)
    bare(axes)
    return axes


def by_distance(found: Backtest, axes: Axes) -> Axes:
    """How often the 90% intervals held and the skill over the best baseline, by how far forecasts reached."""
    rows = found.by_gap or (found.total,)
    place, theme = np.arange(len(rows)), theme_of(axes)
    axes.axhspan(0.8, 1.0, color=theme.colours[2], alpha=0.12, linewidth=0)
    axes.plot(
        place, [row.ours.cover90 for row in rows], "o-", color=theme.colours[2], label="90% intervals held"
    )
    error = [row.error if np.isfinite(row.error) else 0 for row in rows]
    skill = [row.skill for row in rows]
    axes.errorbar(
        place, skill, yerr=error, fmt="s--", color=theme.colours[1], capsize=3, label="skill, ± its error"
    )
    axes.axhline(0, color=theme.muted, linewidth=1)
    axes.set_ylim(max(-1.05, min(-0.1, min(skill) - 0.1)), 1.05)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_xticks(place, [f"{_short(row.said)}\nn = {row.ours.count}" for row in rows], fontsize=8)
    axes.set_xlabel(f"decades of {found.by} beyond the known runs" if found.by_gap else f"by {found.by}")
    legend(axes, fontsize=8)
    bare(axes)
    return axes


def _short(said: str) -> str:
    return said.replace(" decades", "").replace("beyond", ">").replace(" to ", "–")
