"""Horizons by date: the length of the tasks that models do, forecast with a growth that may change on the way."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from scipy.special import log_expit, logsumexp
from scipy.stats import norm, t

from bayescale.check.scores import PROBABILITIES, crps, scores
from bayescale.runs import Runs
from bayescale.tasks.series import added_up

DOUBLINGS = np.linspace(-12.0, 14.0, 261)  # of a minute: horizons from a hundredth of a second to eleven days
SLOPES = np.exp(
    np.linspace(np.log(0.15), np.log(1.6), 25)
)  # logits for each doubling of the length of a task
SLOPE = (np.log(0.5), 0.4)  # of the log of that: 90% between 0.26 and 0.97
LEVEL = (
    3.0,
    4.0,
)  # log2 of the horizon in the middle of the dates, in minutes: from half a second to two days
GROWTH = (1.83, 0.9)  # doublings a year: one in 200 days, 90% between one in 100 days and one in four years
DRIFTS = np.exp(np.linspace(np.log(0.05), np.log(4.0), 13))  # of the growth, in doublings a year, over a year
DRIFT = (np.log(0.6), 0.8)  # of the log of that: growth that is half as fast again or half as fast in a year
WALKS = np.linspace(
    0.05, 2.0, 9
)  # of the level, in doublings over a year: what one model gains, later ones keep
SHOCKS = np.linspace(0.05, 2.0, 14)  # doublings that one model alone is off the trend
SHOCK = 0.7  # half-normal, of either


@dataclass(frozen=True)
class Horizon:
    """What the runs of one model say of its 50% horizon: log2 of minutes, and its standard deviation."""

    model: str
    date: float
    log2: float
    error: float


def measured_horizons(
    runs: Runs, *, model: str = "model", task: str = "task", family: str | None = "family"
) -> list[Horizon]:
    """The 50% horizon of each model alone, by date.

    p = sigma(slope log2(h / minutes)). A task counts once, however often it was tried, and tasks of one family of m as
    sqrt(m) tasks: they fail together.

    Args:
        runs: successes and trials, with the columns minutes and date.
        model: the factor of models.
        task: that of tasks; where there is none each row is one.
        family: that of families of tasks.

    Source:
        Kwa et al. 2025, arXiv:2503.14499, for the weights.
    """
    runs = added_up(runs, task, model) if task in runs.factors else runs
    index = np.asarray(runs.factors[model])
    minutes, date = (np.asarray(runs.columns[c], float) for c in ("minutes", "date"))
    share = np.asarray(runs.response, float) / np.asarray(runs.columns["trials"], float)
    found = []
    for level, name in enumerate(runs.levels[model]):
        own = index == level
        weight = np.ones(own.sum())
        if family is not None:
            of = np.asarray(runs.factors[family])[own]
            weight = 1 / np.sqrt(np.bincount(of)[of])
        away = SLOPES[:, None, None] * (DOUBLINGS[:, None] - np.log2(minutes[own]))
        logs = log_expit(away) @ (weight * share[own]) + log_expit(-away) @ (weight * (1 - share[own]))
        logs += norm.logpdf(np.log(SLOPES), *SLOPE)[:, None] + norm.logpdf(DOUBLINGS, *LEVEL)
        mass = np.exp(logs - logs.max()).sum(axis=0)
        mass /= mass.sum()
        mean = float(mass @ DOUBLINGS)
        found.append(Horizon(name, float(date[own][0]), mean, float(np.sqrt(mass @ (DOUBLINGS - mean) ** 2))))
    return sorted(found, key=lambda one: one.date)


def forecast_horizons(known: Sequence[Horizon], dates: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """What may be measured of models of some dates, as quantiles of log2 minutes, (quantiles, dates).

    log2 h = level + growth t + a shock of each model, where the level walks and the growth drifts: a local linear
    trend. Level and growth are integrated out; the sizes of walk, drift and shock are averaged over a grid. With
    neither walk nor drift it is the straight line that is usually laid through horizons.

    Args:
        known: the models that are measured.
        dates: in years, (dates,).
        errors: of the measurement of each, in doublings, (dates,).

    Source:
        Harvey 1989, Forecasting, structural time series models and the Kalman filter, chapter 2, for the trend.
    """
    then = np.array([one.date for one in known])
    y, own = np.array([one.log2 for one in known]), np.array([one.error for one in known])
    begin, middle = then.min(), then.mean()
    every = np.concatenate([then, dates])
    level = LEVEL[1] ** 2 + GROWTH[1] ** 2 * np.outer(every - middle, every - middle)
    rise = np.maximum(every - begin, 0.0)
    least, most = np.minimum.outer(rise, rise), np.maximum.outer(rise, rise)
    wander = least**2 * (3 * most - least) / 6
    mean = LEVEL[0] + GROWTH[0] * (every - middle)
    n, logs, middles, widths = len(y), [], [], []
    for drift, walk, shock in product(DRIFTS, WALKS, SHOCKS):
        noise = np.concatenate([own, errors]) ** 2 + shock**2
        covariance = level + drift**2 * wander + walk**2 * least + np.diag(noise)
        root = np.linalg.cholesky(covariance[:n, :n])
        white = np.linalg.solve(root, y - mean[:n])
        across = np.linalg.solve(root, covariance[:n, n:])
        prior = norm.logpdf(np.log(drift), *DRIFT) + norm.logpdf([walk, shock], 0, SHOCK).sum()
        logs.append(prior - white @ white / 2 - np.log(np.diagonal(root)).sum())
        middles.append(mean[n:] + across.T @ white)
        widths.append(np.sqrt(np.diagonal(covariance)[n:] - (across**2).sum(axis=0)))
    weight = np.exp(np.array(logs) - logsumexp(logs))
    return _quantiles(weight, np.array(middles), np.array(widths))


def _quantiles(weight: np.ndarray, middle: np.ndarray, width: np.ndarray) -> np.ndarray:
    """Those of a mixture of normal distributions, by bisection."""
    low = np.broadcast_to((middle - 8 * width).min(axis=0), (len(PROBABILITIES), middle.shape[1])).copy()
    high = np.broadcast_to((middle + 8 * width).max(axis=0), low.shape).copy()
    for _ in range(50):
        half = (low + high) / 2
        below = np.einsum("g,gqd->qd", weight, norm.cdf((half - middle[:, None]) / width[:, None]))
        less = below < PROBABILITIES[:, None]
        low, high = np.where(less, half, low), np.where(less, high, half)
    return (low + high) / 2


def baselines_of_horizons(known: Sequence[Horizon], dates: np.ndarray) -> dict[str, np.ndarray]:
    """Persistence of the best so far, and the line of ordinary least squares on the date with its t intervals."""
    then, y = np.array([one.date for one in known]), np.array([one.log2 for one in known])
    persistence = np.full((len(PROBABILITIES), len(dates)), y.max())
    design, there = (np.stack([np.ones_like(x), x - then.mean()], axis=1) for x in (then, dates))
    inverse = np.linalg.inv(design.T @ design)
    weights = inverse @ design.T @ y
    free = max(len(y) - 2, 1)
    variance = np.sum((y - design @ weights) ** 2) / free
    spread = np.sqrt(variance * (1 + np.einsum("ij,jk,ik->i", there, inverse, there)))
    line = there @ weights + spread * t.ppf(PROBABILITIES, free)[:, None]
    return {"persistence": persistence, "line on the date": line}


def backtest_horizons(
    found: Sequence[Horizon], cuts: Sequence[float], *, fewest: int = 3
) -> dict[str, dict[str, Any]]:
    """Forecasts of the horizons of models after each date from those before it, in doublings.

    Args:
        found: the horizons, as `measured_horizons` gives them.
        cuts: dates, in years.
        fewest: models before a cut, and one after it, without which it is left out.
    """
    lines: dict[str, dict[str, Any]] = {}
    for cut in cuts:
        known = [one for one in found if one.date < cut]
        asked = [one for one in found if one.date >= cut]
        if len(known) < fewest or not asked:
            continue
        dates, truth = np.array([one.date for one in asked]), np.array([one.log2 for one in asked])
        drawn = forecast_horizons(known, dates, np.array([one.error for one in asked]))
        others = baselines_of_horizons(known, dates)
        best = min(others, key=lambda name: crps(others[name], truth).mean())
        lines[f"{cut:.2f}"] = {
            "known": len(known),
            "ours": scores(drawn, truth),
            "baselines": {name: scores(q, truth) for name, q in others.items()},
            "skill": float(1 - crps(drawn, truth).sum() / crps(others[best], truth).sum()),
            "inside": _inside(drawn, truth),
        }
    return lines


def _inside(drawn: np.ndarray, truth: np.ndarray) -> tuple[int, int]:
    """How many lay inside their 90% intervals, and of how many."""
    low, high = np.quantile(drawn, (0.05, 0.95), axis=0, method="hazen")
    return int(np.sum((low <= truth) & (truth <= high))), len(truth)
