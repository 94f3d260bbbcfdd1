"""Figures of comparisons and back-tests; each panel takes and returns matplotlib Axes.

Each is of a `Comparison` or a `Backtest`, or of what was written of it, as `load_check` gives it.
"""

import textwrap
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, PercentFormatter
from scipy.stats import binom

from bayescale.check.backtested import Backtest
from bayescale.check.compared import Comparison
from bayescale.check.loo import said_of
from bayescale.plot_style import MARKERS, WIDTH, bare, legend, made
from bayescale.plot_themes import theme_of

BINS = 10  # of the probability integral transform
LINEAR = 3.0  # nats, up to where the axis of differences is linear
NAME = 26  # letters of a line of the name of a model
FEW = 100  # forecasts; of more the intervals are pale, or they would hide each other
MANY = 20  # levels whose names have room below an axis
Compared = Comparison | Mapping[str, Any]
Tested = Backtest | Mapping[str, Any]


def comparison(found: Compared) -> Figure:
    """Evidence, and what is predicted unseen, of each candidate behind the first; the verdict above."""
    said = _plain(found)
    units = list(said["models"][0]["left_out"])
    drawn = Figure(
        figsize=(1.7 + 3.1 * (1 + len(units)), 0.6 + _height(said["models"])), layout="constrained"
    )
    panels = drawn.subplots(1, 1 + len(units), sharey=True, squeeze=False)[0]
    evidence(said, panels[0])
    for unit, axes in zip(units, panels[1:], strict=True):
        predictive(said, unit, axes)
    theme = theme_of(panels[0])
    colour = theme.alarm if said["trouble"] else theme.ink
    drawn.suptitle(textwrap.fill(said["verdict"], WIDTH), fontsize=11, color=colour)
    return drawn


def evidence(found: Compared, axes: Axes | None = None) -> Axes:
    """The log evidence of each candidate less that of the first, with three standard errors; hollow where in doubt."""
    models = _plain(found)["models"]
    axes = made(axes, 4.4, _height(models))
    for row, one in enumerate(models):
        _bar(axes, row, -_number(one["behind"]), 3 * _number(one["error"]), hollow=bool(one["trouble"]))
    return _differences(axes, models, "log evidence", "± 3 errors; hollow: in doubt")


def predictive(found: Compared, unit: str, axes: Axes | None = None) -> Axes:
    """The log predictive density of what was left out, less that of the first candidate, with two standard errors.

    Args:
        found: the comparison.
        unit: what was left out: "run", a factor, or "future".
        axes: where to draw; by default a new figure.

    Raises:
        ValueError: no such thing was left out.
    """
    models = _plain(found)["models"]
    if unit not in (known := models[0]["left_out"]):
        raise ValueError(f"no {unit} was left out; there is {', '.join(known) or 'nothing that was'}")
    axes = made(axes, 4.4, _height(models))
    for row, one in enumerate(models):
        own = one["left_out"][unit]
        _bar(axes, row, -_number(own["behind"]), 2 * _number(own["error"]), hollow=own["doubtful"] > 0)
    return _differences(axes, models, said_of(unit), "± 2 errors; hollow: Pareto-k above 0.7")


def _plain(found: Compared | Tested) -> Mapping[str, Any]:
    return found.to_dict() if isinstance(found, Comparison | Backtest) else found


def _number(value: float | None) -> float:
    """A number; nan where a file has null."""
    return float("nan") if value is None else float(value)


def _named(one: Mapping[str, Any]) -> str:
    return textwrap.fill(one["model"], NAME)


def _height(models: list[Mapping[str, Any]]) -> float:
    """Inches for a panel of models, some with names of several lines."""
    return 1.3 + 0.2 * sum(1 + len(_named(one).splitlines()) for one in models)


def _bar(axes: Axes, row: int, value: float, error: float, *, hollow: bool) -> None:
    colour = theme_of(axes).colours[0]
    face = "none" if hollow else colour
    error = error if np.isfinite(error) else 0.0  # of what is of one unit there is none to be told
    axes.errorbar(
        value, row, xerr=error, fmt="o", color=colour, markerfacecolor=face, capsize=3, markersize=6
    )


def _differences(axes: Axes, models: list[Mapping[str, Any]], title: str, said: str) -> Axes:
    theme = theme_of(axes)
    axes.set_yticks(range(len(models)), [_named(one) for one in models])
    axes.set_ylim(len(models) - 0.5, -0.5)
    axes.axvline(0, color=theme.muted, linewidth=1)
    axes.set_xscale("symlog", linthresh=LINEAR)
    axes.xaxis.set_minor_formatter(NullFormatter())
    low, high = axes.get_xlim()
    low, high = 1.6 * min(low, -1), 1.6 * max(high, 1)  # room on both sides
    axes.set_xlim(low, high)
    axes.set_title(title, fontsize=10)
    ticks = [t for t in (-10000, -1000, -100, -10, -1, 0, 1, 10, 100, 1000) if low <= t <= high]
    axes.set_xticks(ticks, [f"{t:g}" for t in ticks])
    axes.set_xlabel(f"nats better than the first\n{said}", fontsize=9)
    axes.grid(axis="y", color=theme.grid, linewidth=0.6)
    bare(axes)
    axes.tick_params(labelsize=9)
    return axes


def backtest(found: Tested) -> Figure:
    """Forecasts against what came, their calibration, and their scores by distance; the verdict above."""
    said = _plain(found)
    drawn = Figure(figsize=(10, 8.2), layout="constrained")
    rows = drawn.add_gridspec(3, 2, width_ratios=(1.5, 1))
    theme = theme_of(against_truth(said, drawn.add_subplot(rows[:, 0])))
    for row, draw in enumerate((calibration, coverage, skill)):
        draw(said, drawn.add_subplot(rows[row, 1]))
    drawn.suptitle(textwrap.fill(said["verdict"], WIDTH), fontsize=11, color=theme.ink)
    return drawn


def against_truth(found: Tested, axes: Axes | None = None) -> Axes:
    """The median and the 90% interval of each forecast against what was measured, by fold."""
    said, axes = _plain(found), made(axes, 7.0, 5.2)
    theme = theme_of(axes)
    names, few = list(dict.fromkeys(one["fold"] for one in said["each"])), len(said["each"]) <= FEW
    for k, name in enumerate(names):
        mine = [one for one in said["each"] if one["fold"] == name]
        truth, low, middle, high = (
            np.array([one[column] for one in mine], float) for column in ("measured", "q5", "q50", "q95")
        )
        colour = theme.colours[k % len(theme.colours)]
        axes.vlines(truth, low, high, color=colour, linewidth=0.8, alpha=0.7 if few else 0.25)
        axes.plot(
            truth,
            middle,
            MARKERS[k % len(MARKERS)],
            color=colour,
            markersize=4.5 if few else 3.5,
            markeredgewidth=0,
            alpha=0.85,
            label=f"{name} ({len(mine)})",
        )
    truth, middle = (np.array([one[column] for one in said["each"]], float) for column in ("measured", "q50"))
    least, most = truth.min(), truth.max()
    margin = 0.1 * (most - least) or 0.1
    axes.plot(
        [least - margin, most + margin], [least - margin, most + margin], color=theme.muted, linewidth=1
    )
    axes.set_xlim(least - margin, most + margin)
    # A forecast that is far off shall not hide all others.
    axes.set_ylim(min(least, middle.min()) - margin, max(most, np.quantile(middle, 0.98)) + 2 * margin)
    response = "loss" if said["runs"]["kind"] == "loss" else "share of successes"
    axes.set_xlabel(f"{response} measured")
    axes.set_ylabel(f"{response} predicted, with 90% interval")
    legend(
        axes,
        beside=False,
        fontsize=8,
        loc="upper left",
        title="known runs (runs predicted)",
        markerscale=1 if few else 1.7,
    )
    bare(axes)
    return axes


def calibration(found: Tested, axes: Axes | None = None) -> Axes:
    """The histogram of the probability integral transform, and where 95% of the bars of as many runs would be."""
    each, axes = _plain(found)["each"], made(axes, 4.4, 2.8)
    edges, theme = np.linspace(0, 1, BINS + 1), theme_of(axes)
    runs = len({one["run"] for one in each})  # forecasts of one run in several folds are not independent
    low, high = binom.ppf((0.025, 0.975), runs, 1 / BINS) / runs * BINS
    axes.axhspan(
        low,
        high,
        color=theme.muted,
        alpha=0.2,
        linewidth=0,
        label=f"95% of such bars, by chance ({runs} runs)",
    )
    pit = [one["pit"] for one in each]
    axes.hist(pit, edges.tolist(), density=True, color=theme.colours[0], alpha=0.7)
    axes.axhline(1, color=theme.muted, linewidth=1)
    axes.set_xlabel("share of the forecast below what came (PIT)")
    axes.set_ylabel("density")
    axes.set_xlim(0, 1)
    legend(axes, beside=False, fontsize=8)
    bare(axes)
    return axes


def coverage(found: Tested, axes: Axes | None = None) -> Axes:
    """How often the 50% and the 90% intervals held, by how far forecasts reached; dotted, how often they should."""
    said, axes = _plain(found), made(axes, 4.4, 2.8)
    theme, rows = theme_of(axes), _rows(said)
    for k, (share, name) in enumerate(((0.9, "cover90"), (0.5, "cover50"))):
        colour = theme.colours[(2, 0)[k]]
        axes.axhline(share, color=colour, linewidth=1, linestyle=":")
        held = [_number(row[name]) for row in rows]
        line = "-" if said["by_gap"] else ""  # levels have no order
        axes.plot(range(len(rows)), held, f"{MARKERS[k]}{line}", color=colour, label=f"{share:.0%} intervals")
    axes.set_ylim(-0.03, 1.03)
    axes.set_ylabel("share that held")
    return _by_distance(said, rows, axes)


def skill(found: Tested, axes: Axes | None = None) -> Axes:
    """The skill over the best baseline with its standard error, by how far forecasts reached."""
    said, axes = _plain(found), made(axes, 4.4, 2.8)
    theme, rows = theme_of(axes), _rows(said)
    values = np.array([_number(row["skill"]) for row in rows])
    error = np.nan_to_num([_number(row["skill_error"]) for row in rows])
    axes.axhline(0, color=theme.muted, linewidth=1)
    line = "-" if said["by_gap"] else ""
    axes.errorbar(
        range(len(rows)),
        values,
        yerr=error,
        fmt=f"s{line}",
        color=theme.colours[1],
        capsize=3,
        label="± its error",
    )
    low = np.nanmin(values - error, initial=0.0)
    axes.set_ylim(max(-1.05, low - 0.1), 1.05)  # what is worse than that is not told apart
    axes.set_ylabel("skill")
    return _by_distance(said, rows, axes)


def _rows(said: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The scores by distance; of a back-test that left levels out, those of each level."""
    return said["by_gap"] or said["by_fold"]


def _by_distance(said: Mapping[str, Any], rows: list[Mapping[str, Any]], axes: Axes) -> Axes:
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    far = bool(said["by_gap"])
    names = [_short(row["forecasts"], said["by"]) for row in rows]
    ticks = [f"{name}\nn = {row['count']}" if far else name for name, row in zip(names, rows, strict=True)]
    turned = (
        {} if far else {"rotation": 35, "ha": "right", "rotation_mode": "anchor"}
    )  # names of levels are long
    step = -(-len(rows) // MANY)
    axes.set_xticks(range(0, len(rows), step), ticks[::step], fontsize=8, **turned)
    axes.set_xlim(-0.5, len(rows) - 0.5)
    axes.set_xlabel(f"decades of {said['by']} beyond the known runs" if far else f"{said['by']} left out")
    legend(axes, beside=False, fontsize=8)
    bare(axes)
    return axes


def _short(said: str, by: str) -> str:
    return (
        said.removeprefix(f"without {by} ")
        .replace(" decades", "")
        .replace("beyond", ">")
        .replace(" to ", "–")
    )
