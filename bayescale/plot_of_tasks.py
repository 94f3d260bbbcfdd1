"""Figures of task success: curves by task, thresholds on the compute axis, steps that add up, and reliability."""

import textwrap
from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from scipy.stats import binom

from bayescale.fit import Fit
from bayescale.plot_style import bare, legend, log_axis, made, mark
from bayescale.plot_themes import theme_of
from bayescale.runs import Runs
from bayescale.tasks.assess import Assessment
from bayescale.tasks.backtest import SuiteBacktest
from bayescale.tasks.companions import thresholds as located
from bayescale.tasks.overlap import suite_width

TASKS = 60  # curves of single tasks that are told apart on a page
PLACES = 200  # of a curve
LN81 = 4.394449154672439  # logits from 10% to 90%


def curves(
    found: Assessment, runs: Runs, axes: Axes | None = None, *, task: str = "task", model: str = "model"
) -> Axes:
    """The score of each model and of its tasks against compute, and the forecast with its 90% interval.

    Args:
        found: what was found of the suite.
        runs: the table that it was found from.
        axes: where to draw.
        task: the factor of tasks.
        model: the factor of models.
    """
    axes = made(axes)
    theme, along = theme_of(axes), found.along
    x, share = (
        np.asarray(runs.columns[along], float),
        np.asarray(runs.response) / np.asarray(runs.columns["trials"]),
    )
    index = np.asarray(runs.factors[task])
    level = np.argsort([share[index == one].mean() for one in range(len(runs.levels[task]))])
    lab, said = found.suite.family, "single tasks"  # models of one family are on one line
    group = np.zeros(len(runs), int) if lab is None else np.asarray(runs.factors[lab])
    for one in level[np.linspace(0, len(level) - 1, min(TASKS, len(level))).astype(int)]:
        for kin in np.unique(group[index == one]):
            own = np.flatnonzero((index == one) & (group == kin))
            at, place = np.unique(x[own], return_inverse=True)
            mean = np.bincount(place, share[own]) / np.bincount(place)
            axes.plot(at, mean, color=theme.muted, linewidth=0.6, alpha=0.35, label=said)
            said = None
    ahead = found.forecast
    low, middle, high = ahead.interval()
    at = ahead.points[along]
    said = "forecast of a new model, 90%"
    axes.fill_between(at, low, high, color=theme.colours[0], alpha=0.2, linewidth=0, label=said)
    axes.plot(at, middle, color=theme.colours[0], linewidth=1.7)
    axes.axvline(np.asarray(found.scores.columns[along]).max(), color=theme.muted, linewidth=1, linestyle=":")
    score = np.asarray(found.scores.response) / np.asarray(found.scores.columns["trials"])
    axes.plot(
        np.asarray(found.scores.columns[along]),
        score,
        "o",
        color=theme.colours[1],
        markersize=4.5,
        label="mean",
    )
    axes.set_title(str(found.verdict), fontsize=10)
    return _of_success(axes, along)


def _of_success(axes: Axes, along: str) -> Axes:
    """The axes of success along a covariate."""
    axes.set_ylim(-0.02, 1.02)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_ylabel("success")
    log_axis(axes, "x", along)
    legend(axes, fontsize=8, loc="upper left")
    bare(axes)
    return axes


def thresholds(fit: Fit, axes: Axes | None = None, *, task: str = "task") -> Axes:
    """The thresholds of tasks on the compute axis, with 90% intervals, and the models that there are.

    Args:
        fit: an item response fit.
        axes: where to draw.
        task: the factor of tasks.
    """
    drawn = 10 ** located(fit, task=task)
    axes = made(axes, 7.0, min(max(2.5, 1.2 + 0.16 * drawn.shape[1]), 9.0))
    theme, along = theme_of(axes), fit.model.law.covariates[0]
    low, middle, high = np.quantile(drawn, (0.05, 0.5, 0.95), axis=0)
    order, place = np.argsort(middle), np.arange(drawn.shape[1])
    x = np.unique(np.asarray(fit.runs.columns[along], float))
    beyond = (middle > x.max())[order]
    for there, colour, said in (
        (~beyond, theme.colours[0], "turns on in the range of the models"),
        (beyond, theme.colours[1], "beyond the largest model"),
    ):
        if there.any():
            axes.hlines(
                place[there], low[order][there], high[order][there], color=colour, linewidth=1.2, alpha=0.7
            )
            axes.plot(middle[order][there], place[there], "o", color=colour, markersize=3, label=said)
    axes.plot(x, np.full(len(x), -1.5), "|", color=theme.ink, markersize=9, label="models")
    few = drawn.shape[1] <= 40  # names that can be read
    names = [fit.runs.levels[task][one] for one in order]
    axes.set_yticks(place if few else [], names if few else [], fontsize=7)
    axes.set_ylabel("" if few else f"{drawn.shape[1]} {task}s, by threshold")
    # An interval that goes far beyond what was measured says only that it does.
    axes.set_xlim(x.min() / 30, max(x.max() * 1e3, middle.max() * 3) if beyond.any() else x.max() * 30)
    log_axis(axes, "x", along)
    legend(axes, fontsize=8, loc="upper left")
    bare(axes)
    mark(fit.trouble, axes)
    return axes


def steps(fit: Fit, axes: Axes | None = None, *, task: str = "task") -> Axes:
    """How the curves of single tasks add up to that of the suite: steps in different places make a smooth curve.

    Args:
        fit: an item response fit.
        axes: where to draw.
        task: the factor of tasks.
    """
    axes = made(axes)
    theme, law = theme_of(axes), fit.model.law
    along = law.covariates[0]
    measured = np.asarray(fit.runs.columns[along], float)
    x = np.geomspace(measured.min() / 10, measured.max() * 100, PLACES)
    of = located(fit, task=task)
    middle = 10 ** np.median(of, axis=0)
    slopes = np.median(slopes_of(fit, task), axis=0)
    chance = _chances(fit, task)
    lapse = float(np.median(fit.centre()["lapse"])) if "lapse" in law.parameters else 0.0
    known = 1 / (1 + (x[:, None] / middle) ** -(slopes / np.log(10)))
    each = chance + (1 - chance) * (1 - lapse) * known
    for place in range(min(TASKS, each.shape[1])):
        one = int(place * each.shape[1] / min(TASKS, each.shape[1]))
        said = "single tasks" if not place else None
        axes.plot(x, each[:, one], color=theme.colours[0], linewidth=0.7, alpha=0.4, label=said)
    axes.plot(x, each.mean(axis=1), color=theme.colours[1], linewidth=2.4, label="their mean, the suite")
    spread = float(np.median(np.std(of, axis=1)))
    alone, whole = LN81 / np.median(slopes), float(suite_width(spread, np.median(slopes)))
    axes.set_title(
        f"10% to 90%: a task takes {alone:.2g} decades, the suite {whole:.2g}; thresholds differ by {spread:.2g}",
        fontsize=10,
    )
    axes.axvspan(measured.min(), measured.max(), color=theme.muted, alpha=0.1, linewidth=0, label="models")
    axes.set_xlim(x.min(), x.max())
    _of_success(axes, along)
    mark(fit.trouble, axes)
    return axes


def slopes_of(fit: Fit, task: str) -> np.ndarray:
    """The slope of each task, in logits for each decade, (draws, tasks)."""
    if task not in fit.model.varying.get("slope", ()):
        return np.broadcast_to(fit.centre()["slope"][:, None], (len(fit), len(fit.runs.levels[task])))
    own = (np.asarray(fit.relative({task: name})["slope"]) for name in fit.runs.levels[task])
    return np.stack(list(own), axis=1)


def _chances(fit: Fit, task: str) -> np.ndarray:
    """The chance level of each task, (tasks,)."""
    index, found = np.asarray(fit.runs.factors[task]), np.zeros(len(fit.runs.levels[task]))
    if "chance" in fit.runs.columns:
        found[index] = np.asarray(fit.runs.columns["chance"], float)
    return found


def reliability(found: SuiteBacktest, axes: Axes | None = None) -> Axes:
    """How often central intervals of forecasts held, against how often they should; and where luck alone would be.

    Args:
        found: a back-test of a suite.
        axes: where to draw.
    """
    axes = made(axes, 5.2, 4.8)
    theme, backtest = theme_of(axes), found.backtest
    levels = np.linspace(0.05, 0.95, 19)
    inside = 2 * np.abs(backtest.pit - 0.5)  # the level of the smallest central interval that held
    units = len(np.unique(backtest.unit))
    low, high = (binom.ppf(q, units, levels) / units for q in (0.05, 0.95))
    said = f"90% of {units} models, were intervals right"
    axes.fill_between(levels, low, high, color=theme.muted, alpha=0.2, linewidth=0, label=said)
    axes.plot([0, 1], [0, 1], color=theme.muted, linewidth=1)
    for k, row in enumerate((None, *backtest.by_gap)):
        chosen = np.ones(len(inside), bool) if row is None else _reached(found, k - 1)
        held = [np.mean(inside[chosen] <= level) for level in levels]
        axes.plot(
            levels,
            held,
            color=theme.ink if row is None else theme.colours[(k - 1) % len(theme.colours)],
            linewidth=2.2 if row is None else 1.1,
            linestyle="-" if row is None else "--",
            label=f"all {len(inside)} forecasts" if row is None else f"{row.said} ({row.ours.count})",
        )
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0))
    axes.set_xlabel("central interval")
    axes.set_ylabel("how often it held")
    legend(axes, fontsize=7.5, loc="upper left", beside=False)
    bare(axes)
    return axes


def _reached(found: SuiteBacktest, place: int) -> np.ndarray:
    """Which forecasts reached as far as the row of `by_gap` at that place says, (forecasts,)."""
    backtest = found.backtest
    return list(backtest.distances.values())[place]


def side_by_side(suites: Mapping[str, tuple[np.ndarray, np.ndarray, str, str]]) -> Figure:
    """Suites side by side: which tasks each model does, hardest at the top, and the score.

    Args:
        suites: name -> compute, (models,), whether each model does each task, (models, tasks), and two sentences.
    """
    figure = Figure(figsize=(5.5 * len(suites), 4.8), layout="constrained")
    every = np.atleast_1d(figure.subplots(1, len(suites), sharey=True))
    for axes, (name, (x, wins, first, second)) in zip(every, suites.items(), strict=True):
        theme, tasks = theme_of(axes), wins.shape[1]
        for place, one in enumerate(np.argsort(-wins.mean(axis=0), kind="stable")):
            done = wins[:, one]
            said = "tasks that are done" if not place else None
            height = np.full(done.sum(), (place + 0.5) / tasks)
            axes.plot(x[done], height, "_", color=theme.colours[0], markersize=9, alpha=0.5, label=said)
        axes.plot(x, wins.mean(axis=1), "o-", color=theme.colours[1], label="score")
        said = "\n".join(textwrap.fill(text, 62) for text in (f"{name}: {first}", second))
        axes.set_title(said, fontsize=9)
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        log_axis(axes, "x", "C")
        legend(axes, fontsize=8, loc="upper left")
        bare(axes)
    every[0].set_ylabel("success")
    return figure
