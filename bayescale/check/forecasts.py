"""Forecasts of runs that are known, their scores, and those of runs that are not."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bayescale.check.folds import Fold
from bayescale.check.scores import Scores


@dataclass(frozen=True, eq=False)
class Forecasts:
    """What one fold predicted.

    Attributes:
        fold: the fold.
        model: the name of the law, which of several the known runs have chosen.
        trouble: why the fit is not to be taken as a result; empty where it has converged.
        doubt: why the choice of that law is not; empty where the evidence is sound, or there was nothing to choose.
        index: which runs were asked for, (forecasts,).
        quantiles: of what might be measured there, (quantiles, forecasts): the loss, or the share of successes.
        log_score: the log density of what was measured, (forecasts,).
        rivals: the quantiles of the baselines, name -> (quantiles, forecasts).
    """

    fold: Fold
    model: str
    trouble: tuple[str, ...]
    doubt: tuple[str, ...]
    index: np.ndarray
    quantiles: np.ndarray
    log_score: np.ndarray
    rivals: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Row:
    """The scores of some of the forecasts of a back-test, beside the baseline that did best on them.

    Attributes:
        said: which forecasts.
        ours: their scores.
        rival: the baseline with the least CRPS.
        theirs: its scores.
        skill: 1 - CRPS / CRPS of that baseline.
        error: the standard error of the skill, over the runs that were asked for, or over the levels left out.
    """

    said: str
    ours: Scores
    rival: str
    theirs: Scores
    skill: float
    error: float


@dataclass(frozen=True)
class Forecast:
    """What a fit predicts, and how well the like of it has done.

    Attributes:
        quantiles: of what might be measured at each point, at 0.0025, 0.0075 and so on, (200, points), with the drift
            that the back-test calls for.
        gap: by how many decades each point is beyond the runs, (points,).
        drift: see `Backtest.drift`.
        tested: for each point the scores of the back-test at such a gap; None where it never reached as far.
    """

    quantiles: np.ndarray
    gap: np.ndarray
    drift: float
    tested: tuple[Scores | None, ...]
