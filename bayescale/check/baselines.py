"""What a forecast has to beat: the guesses that need no model."""

from collections.abc import Callable, Mapping

import numpy as np
from scipy.optimize import least_squares
from scipy.stats import norm, t

from bayescale.check.scores import PROBABILITIES

LINE, FLOOR = 4, 5  # runs that a line is laid through, and a power law; with fewer those of all groups serve
SHARE = 1e-3  # of failures: less is taken for this, or one run without any would decide a law of logarithms
Baseline = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def baselines(
    along: str,
    distance: np.ndarray,
    covariates: Mapping[str, np.ndarray],
    response: np.ndarray,
    group: np.ndarray,
    train: np.ndarray,
    test: np.ndarray,
    *,
    kind: str = "loss",
) -> dict[str, np.ndarray]:
    """The forecasts of all baselines, as quantiles, name -> (quantiles, tests).

    Args:
        along: what forecasts go along.
        distance: its values, (runs,).
        covariates: those of the law, name -> (runs,); they have a line of their own.
        response: loss, or share of successes, (runs,).
        group: runs of one group have a line of their own where there are enough of them, (runs,).
        train: the runs that are known, (known,).
        test: those that are asked for, (tests,).
        kind: "loss" or "success".
    """
    one = np.log(distance)[:, None]
    better = np.min if kind == "loss" else np.max
    named: dict[str, tuple[Baseline, np.ndarray, int]] = {
        "the last run": (_last, one, 1),
        "the best so far": (lambda known, y, asked: np.full((1, len(asked)), better(y)), one, 1),
        f"log-linear in {along}": (_line(kind), one, LINE),
        f"power law in {along}": (_power(kind), one, FLOOR),
    }
    if covariates and tuple(covariates) != (along,):
        every = np.stack([np.log(values) for values in covariates.values()], axis=1)
        named[f"log-linear in {' and '.join(covariates)}"] = (_line(kind), every, LINE + len(covariates) - 1)
    return {
        name: by_group(of, x, response, group, train, test, fewest) for name, (of, x, fewest) in named.items()
    }


def by_group(
    of: Baseline,
    x: np.ndarray,
    response: np.ndarray,
    group: np.ndarray,
    train: np.ndarray,
    test: np.ndarray,
    fewest: int,
) -> np.ndarray:
    """The forecasts of a baseline, of each group from its own runs or, with fewer than `fewest`, from all."""
    found: dict[int, np.ndarray] = {}
    for level in np.unique(group[test]):
        own, asked = train[group[train] == level], test[group[test] == level]
        known = own if len(own) >= fewest else train
        drawn = np.broadcast_to(of(x[known], response[known], x[asked]), (len(PROBABILITIES), len(asked)))
        found |= dict(zip(asked.tolist(), drawn.T, strict=True))
    return np.stack([found[one] for one in test.tolist()], axis=1)


def _last(known: np.ndarray, y: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """The mean response of the known runs that are nearest."""
    away = np.abs(asked - known[:, 0])
    nearest = away <= away.min(axis=1, keepdims=True) + 1e-9
    return ((nearest @ y) / nearest.sum(axis=1))[None]


def _line(kind: str) -> Baseline:
    """A line through the log losses, or the shares of successes, with the t intervals of ordinary least squares."""

    def of(known, y, asked):
        design, there = (np.concatenate([np.ones((len(x), 1)), x], axis=1) for x in (known, asked))
        values = np.log(y) if kind == "loss" else y
        inverse = np.linalg.pinv(design.T @ design)
        weights = inverse @ design.T @ values
        free = len(y) - np.linalg.matrix_rank(design)
        if free < 1:
            return (np.exp(there @ weights) if kind == "loss" else np.clip(there @ weights, 0, 1))[None]
        variance = np.sum((values - design @ weights) ** 2) / free
        spread = np.sqrt(variance * (1 + np.einsum("ij,jk,ik->i", there, inverse, there)))
        drawn = there @ weights + spread * t.ppf(PROBABILITIES, free)[:, None]
        return np.exp(drawn) if kind == "loss" else np.clip(drawn, 0, 1)

    return of


def _power(kind: str) -> Baseline:
    """E + A x^-alpha by least squares of the logarithms, of the loss or of the share of failures, as in a notebook.

    Its intervals are those of the residuals.
    """

    def of(known, y, asked):
        values = y if kind == "loss" else np.maximum(1 - y, SHARE)
        centre = known.mean()

        def curve(p, x):
            return np.logaddexp(p[0], p[1] - np.exp(p[2]) * (x[:, 0] - centre))

        level = np.log(values.min())
        tried = [
            least_squares(
                lambda p: curve(p, known) - np.log(values), (level + np.log(share), level - 1, np.log(slope))
            )
            for share in (0.3, 0.8)
            for slope in (0.05, 0.2, 0.6)
        ]
        best = min(tried, key=lambda one: one.cost)
        free = max(len(y) - 3, 1)
        drawn = curve(best.x, asked) + np.sqrt(2 * best.cost / free) * norm.ppf(PROBABILITIES)[:, None]
        return np.exp(drawn) if kind == "loss" else np.clip(1 - np.exp(drawn), 0, 1)

    return of
