"""How far a law drifts from what comes, beyond what its forecasts allow for, with every decade it is carried on."""

from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit
from scipy.stats import norm

from bayescale.check.scores import PROBABILITIES, quantiles_of, read_off

MOST = 3.0  # of a drift over a decade, on the scale of the logarithms: a factor of twenty
EDGE = 1e-4  # losses, and shares of successes, closer to 0 or 1 than this have no logarithm or logit worth the name
NARROWEST = 1e-3  # of a forecast, and of a drift that is worth a word


def drift_of(quantiles: np.ndarray, truth: np.ndarray, gap: np.ndarray, kind: str) -> float:
    """The standard deviation of the drift over a decade under which what came is likeliest.

    The law drifts away steadily, in the logarithm of the loss or the logit of success, by so much a decade. Forecasts
    are taken to be normal there, with the middle two thirds that they have.

    Args:
        quantiles: (quantiles, forecasts).
        truth: what came, (forecasts,).
        gap: decades, (forecasts,).
        kind: "loss" or "success".
    """
    low, middle, high = read_off(_opened(quantiles, kind), norm.cdf((-1, 0, 1)).tolist())
    away, own = _opened(truth, kind) - middle, np.maximum((high - low) / 2, NARROWEST) ** 2

    def misfit(drift):
        variance = own + (drift * gap) ** 2
        return np.sum(away**2 / variance + np.log(variance))

    found: Any = minimize_scalar(misfit, bounds=(0.0, MOST), method="bounded", options={"xatol": 1e-6})
    return float(found.x) if found.x > NARROWEST and found.fun < misfit(0.0) else 0.0


def drifted(quantiles: np.ndarray, gap: np.ndarray, drift: np.ndarray | float, kind: str) -> np.ndarray:
    """The forecasts with a drift, (quantiles, forecasts)."""
    if not np.any(drift * gap):
        return quantiles
    moved = _opened(quantiles, kind)[:, None] + norm.ppf(PROBABILITIES)[:, None] * (drift * gap)
    return quantiles_of(_closed(moved.reshape(-1, quantiles.shape[1]), kind))


def carried(
    drawn: np.ndarray, gap: np.ndarray | float, drift: np.ndarray | float, kind: str = "loss"
) -> np.ndarray:
    """Draws of responses with a drift that is the same in each draw wherever it is asked, (draws, ...).

    Args:
        drawn: (draws, ...).
        gap: decades, a number or as many as there are draws and points.
        drift: the standard deviation over a decade.
        kind: "loss" or "success".
    """
    if not np.any(np.asarray(drift) * gap):
        return drawn
    turns = turns_of(len(drawn)).reshape(-1, *[1] * (drawn.ndim - 1))
    return _closed(_opened(drawn, kind) + turns * drift * gap, kind)


def turns_of(count: int) -> np.ndarray:
    """Into which direction the law drifts in each of so many draws: standard normal, shuffled, (draws,).

    They are quantiles, always in the same order: answers at two distances are of the same drift, and have no
    Monte-Carlo error of their own.
    """
    return np.random.default_rng(0).permutation(norm.ppf((np.arange(count) + 0.5) / count))


def _opened(values: np.ndarray, kind: str) -> np.ndarray:
    return np.log(np.maximum(values, EDGE)) if kind == "loss" else logit(np.clip(values, EDGE, 1 - EDGE))


def _closed(values: np.ndarray, kind: str) -> np.ndarray:
    return np.exp(values) if kind == "loss" else expit(values)
