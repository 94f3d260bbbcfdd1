"""Scores of forecasts: how far they were from what came, and whether their intervals were as wide as they had to be.

A forecast is given by so many of its quantiles. Of draws the scores would be worth nothing where noise has heavy tails:
the loss has no mean where its logarithm is Student t.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

PROBABILITIES = (np.arange(200) + 0.5) / 200


@dataclass(frozen=True)
class Scores:
    """Means over forecasts, in the units of the response.

    Attributes:
        count: how many forecasts.
        crps: the continuous ranked probability score; of a forecast that is one number, its absolute error.
        log_score: the log density of what came, in nats for each forecast; nan where there is none.
        error: the mean absolute error of the median.
        bias: the mean of the median less what came.
        cover50: how often it lay in the central half.
        cover90: how often it lay between 5% and 95%.
        width90: how wide that is.
    """

    count: int
    crps: float
    log_score: float
    error: float
    bias: float
    cover50: float
    cover90: float
    width90: float


def quantiles_of(draws: np.ndarray) -> np.ndarray:
    """The forecasts that draws, (draws, forecasts), are of: their quantiles at `PROBABILITIES`."""
    return np.quantile(draws, PROBABILITIES, axis=0)


def read_off(quantiles: np.ndarray, probabilities: Sequence[float]) -> np.ndarray:
    """Other quantiles of forecasts that are given by theirs, (probabilities, forecasts)."""
    return np.quantile(quantiles, probabilities, axis=0, method="hazen")  # which has them at `PROBABILITIES`


def scores(quantiles: np.ndarray, truth: np.ndarray, log_score: np.ndarray | None = None) -> Scores:
    """The scores of forecasts.

    Args:
        quantiles: (quantiles, forecasts); where all are the same a forecast is one number, and has no intervals.
        truth: what came, (forecasts,).
        log_score: the log density of what came, (forecasts,).
    """
    if not len(truth):
        return Scores(0, *[float("nan")] * 7)
    low, lower, median, upper, high = read_off(quantiles, (0.05, 0.25, 0.5, 0.75, 0.95))
    sure = not np.any(high > low)
    return Scores(
        count=len(truth),
        crps=float(np.mean(crps(quantiles, truth))),
        log_score=float("nan") if log_score is None else float(np.mean(log_score)),
        error=float(np.mean(np.abs(median - truth))),
        bias=float(np.mean(median - truth)),
        cover50=float("nan") if sure else float(np.mean((lower <= truth) & (truth <= upper))),
        cover90=float("nan") if sure else float(np.mean((low <= truth) & (truth <= high))),
        width90=float("nan") if sure else float(np.mean(high - low)),
    )


def crps(quantiles: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The continuous ranked probability score of each forecast, (forecasts,); less is better.

    Twice the pinball loss of the quantiles, averaged; of a forecast that is one number, the absolute error.

    >>> crps(np.array([[1.0], [1.0]]), np.array([3.0])).tolist()
    [2.0]

    Source:
        Gneiting and Raftery 2007, doi:10.1198/016214506000001437, equation 21, and section 6.2 for quantiles.
    """
    share = ((np.arange(len(quantiles)) + 0.5) / len(quantiles))[:, None]
    away = truth - quantiles
    return 2 * np.mean(np.maximum(share * away, (share - 1) * away), axis=0)


def pit(quantiles: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The probability integral transform: the share of the quantiles below what came, of ties half, (forecasts,)."""
    return np.mean(quantiles < truth, axis=0) + np.mean(quantiles == truth, axis=0) / 2


def bootstrap_error(
    rng: np.random.Generator, ours: np.ndarray, theirs: np.ndarray, unit: np.ndarray, repeats: int = 2000
) -> float:
    """The standard error of the skill, 1 - sum(ours) / sum(theirs), when units are drawn anew.

    Args:
        rng: the random numbers.
        ours: a score of each forecast, (forecasts,).
        theirs: that of a rival, (forecasts,).
        unit: what each forecast is of, (forecasts,); those of one are drawn together.
        repeats: how many times.

    Returns:
        The error; nan of one unit, or where units can be drawn on which the rival is not off at all.
    """
    index = np.unique(unit, return_inverse=True)[1]
    sums = np.stack([np.bincount(index, weights=values) for values in (ours, theirs)])
    count = sums.shape[1]
    drawn = rng.multinomial(count, np.full(count, 1 / count), size=repeats)
    mine, other = sums @ drawn.T
    # Of a ratio with few units the standard deviation would be that of its tails: half of the middle 68% is meant.
    if count < 2 or not (other > 0).all():  # a rival that is never off has no ratio to it
        return float("nan")
    low, high = np.quantile(mine / other, (0.16, 0.84))
    return float(high - low) / 2
