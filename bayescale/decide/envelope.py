"""Approach 1: the least loss at each compute over curves of many sizes, and a power law through who reaches it.

The least of many noisy losses is too low, and where sizes are nearly as good noise chooses among them: the winner's
curse. So this is a cross-check of a law and no replacement for one.
"""

from collections.abc import Mapping, Sequence
from functools import partial

import jax
import numpy as np
from jax import Array

from bayescale.check.findings import Finding
from bayescale.decide.slices import Optima, budget_of
from bayescale.runs import Runs

POINTS = 1500  # of the envelope, evenly in ln C, as in the paper


def envelope(
    key: Array, runs: Runs, *, by: str = "size", points: int = POINTS, replicates: int = 500
) -> Optima:
    """The best N and D at each compute, by the curve that has the least loss there.

    The curve of a level of `by` is its losses over C, straight in ln C between them. A compute counts where
    a smaller and a larger size than the best reach it too. Intervals are of a bootstrap over the curves.

    Args:
        key: the random key.
        runs: a table of losses with N and D: checkpoints, or runs of each size with several numbers of tokens.
        by: the factor whose levels are the curves; those of more than one N are cut by their mean.
        points: how many computes, from the least to the greatest of the table.
        replicates: of the bootstrap.

    Raises:
        ValueError: there is no such factor, or no two computes have a best curve between a smaller and a larger one.

    Source:
        Hoffmann et al. 2022, arXiv:2203.15556, section 3.1.
    """
    compute = budget_of(runs, None)
    if by not in runs.factors:
        known = ", ".join(runs.factors) or "none; name grouping columns as factors"
        raise ValueError(f"{runs.source}: there is no factor {by} whose levels are curves; there are {known}")
    index, logs = np.asarray(runs.factors[by]), np.log(compute)
    curves = [np.flatnonzero(index == level) for level in range(len(runs.levels[by]))]
    curves = [part[np.argsort(logs[part])] for part in curves if np.ptp(logs[part]) > 0]
    grid = np.linspace(logs.min(), logs.max(), points)
    columns = {name: np.log(np.asarray(runs.columns[name], float)) for name in ("N", "D")}
    of = {name: _along(grid, logs, values, curves) for name, values in columns.items()}
    loss = np.asarray(runs.response, float)
    best = _best(_along(grid, logs, loss, curves), of["N"])
    at = np.flatnonzero(best >= 0)
    if len(set(best[at].tolist())) < 2:
        raise ValueError(
            f"{runs.source}: among {len(curves)} curves by {by} no two are ever best with a smaller and a larger size "
            "beside them; add sizes or lengths, or fit a law"
        )
    found = partial(_optima, grid, at, logs, {name: values[:, at] for name, values in of.items()}, curves)
    own = found(loss[None], np.ones((1, len(curves)), bool))
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))
    there = np.zeros((replicates, len(curves)), bool)
    np.put_along_axis(there, rng.integers(len(curves), size=there.shape), True, axis=1)
    again = found(np.broadcast_to(loss, (replicates, len(loss))), there)
    finding = _curse(_along(grid[at], logs, loss, curves), len(set(best[at].tolist())))
    return Optima("envelope", np.exp(grid[at]), own["N"][0], own["D"][0], again, found, (finding,))


def _optima(
    grid: np.ndarray,
    at: np.ndarray,
    logs: np.ndarray,
    of: Mapping[str, np.ndarray],
    curves: Sequence[np.ndarray],
    loss: np.ndarray,
    there: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """N and D of the best curve at the computes `at`, (rows, points), of losses (rows, runs).

    Args:
        grid: ln C of all computes.
        at: those that count.
        logs: ln C of the runs.
        of: ln N and ln D along the curves, (curves, points).
        curves: the runs of each.
        loss: of the runs.
        there: which curves there are, (rows, curves); all if None.
    """
    found = {name: np.full((len(loss), len(at)), np.nan) for name in of}
    for i, row in enumerate(loss):
        along = _along(grid[at], logs, row, curves)
        if there is not None:
            along[~there[i]] = np.nan
        best = _best(along, of["N"])
        won = np.flatnonzero(best >= 0)
        for name, values in of.items():
            found[name][i, won] = np.exp(values[best[won], won])
    return found


def _along(
    grid: np.ndarray, logs: np.ndarray, values: np.ndarray, curves: Sequence[np.ndarray]
) -> np.ndarray:
    """The values of each curve at the computes of the grid, (curves, points); nan where it does not reach."""
    found = [np.interp(grid, logs[part], values[part], left=np.nan, right=np.nan) for part in curves]
    return np.stack(found) if found else np.empty((0, len(grid)))


def _best(loss: np.ndarray, log_n: np.ndarray) -> np.ndarray:
    """The curve of least loss at each compute, (points,); -1 where none that reaches it is larger or none smaller."""
    if not len(loss):
        return np.full(loss.shape[1], -1)
    reach = np.isfinite(loss)
    best = np.where(reach, loss, np.inf).argmin(axis=0)
    size = np.take_along_axis(log_n, best[None], axis=0)
    beside = (reach & (log_n < size)).any(axis=0) & (reach & (log_n > size)).any(axis=0)
    return np.where(beside, best, -1)


def _curse(loss: np.ndarray, winners: int) -> Finding:
    """By how little the best curve is ahead of the next."""
    first, second = np.sort(np.where(np.isnan(loss), np.inf, loss), axis=0)[:2]
    lead = float(np.median(second - first))
    return Finding(
        "WINNERS_CURSE",
        "note",
        f"the best of the curves is ahead of the next by {lead:.2g} nats in the median, and {winners} of them are ever "
        "best: noise as large as that chooses among them, and makes the least loss too low",
        lead,
        "Take approach 1 as a cross-check, and the optimum from a law fitted to all runs",
    )
