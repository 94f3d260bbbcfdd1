"""Slices of equal compute, and the power laws through what is best in each: what approaches 1 and 2 have in common."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from bayescale.check.findings import Finding
from bayescale.columns import label
from bayescale.decide.decision import Decision, quantiles
from bayescale.runs import Runs

TOLERANCE = 0.1  # runs within 10% of one compute are of one budget; budgets of a study are a factor of 2 or more apart
SIZES = 4  # of a slice: three make a parabola, and a fourth says how far it is off


@dataclass(frozen=True, eq=False, repr=False)
class Optima:
    """The best N and D at several budgets, as an approach of the literature finds them, and power laws through them.

    Attributes:
        approach: "parabola" (approach 2) or "envelope" (approach 1).
        budgets: the compute of each, (budgets,), FLOP.
        N: the best number of parameters at each, (budgets,).
        D: the best number of tokens at each, (budgets,).
        replicates: "N" and "D" -> the same of each bootstrap replicate, (replicates, budgets); nan where there is none.
        again: what it finds for other losses of the same runs, (rows, runs), as "N" and "D" -> (rows, budgets).
        findings: what there is to say against it.
    """

    approach: str
    budgets: np.ndarray
    N: np.ndarray
    D: np.ndarray
    replicates: dict[str, np.ndarray]
    again: Callable[[np.ndarray], dict[str, np.ndarray]]
    findings: tuple[Finding, ...]

    def estimate(self, compute: float) -> dict[str, float]:
        """The exponents a and b, and N, D and D/N at a compute, by the power laws through the optima."""
        return {
            name: float(value[0]) for name, value in self._laws(self.N[None], self.D[None], compute).items()
        }

    def at(self, compute: float) -> Decision:
        """N, D and D/N at a compute, and the exponents a and b of N ~ C^a and D ~ C^b, of each replicate."""
        if not (np.isfinite(compute) and compute > 0):
            raise ValueError(f"compute is {compute}; it is a positive number of FLOP, such as 5.76e23")
        above = np.log10(compute / self.budgets.max())
        below = np.log10(self.budgets.min() / compute)
        return Decision(
            question=self.approach,
            asked={"C": float(compute)},
            draws=self._laws(self.replicates["N"], self.replicates["D"], compute),
            units={"N": "parameters", "D": "tokens", "D/N": "tokens for each parameter", "a": "", "b": ""},
            beyond={"C": float(max(above, below, 0.0))},
            choice={},
            regret=None,
            findings=self.findings,
            trouble=(),
        )

    def rows(self, level: float = 0.9) -> list[dict[str, float]]:
        """Each budget with its best N and D, and the interval of N."""
        found = []
        for i, budget in enumerate(self.budgets.tolist()):
            low, _, high = quantiles(self.replicates["N"][:, i], ((1 - level) / 2, 0.5, (1 + level) / 2))
            point = {"C": budget, "N": float(self.N[i]), "D": float(self.D[i])}
            found.append(point | {"N low": low, "N high": high})
        return found

    def _laws(self, N: np.ndarray, D: np.ndarray, compute: float) -> dict[str, np.ndarray]:
        (a, log_n), (b, log_d) = (power_law(self.budgets, values, compute) for values in (N, D))
        return {"N": np.exp(log_n), "D": np.exp(log_d), "D/N": np.exp(log_d - log_n), "a": a, "b": b}


def power_law(compute: np.ndarray, values: np.ndarray, at: float) -> tuple[np.ndarray, np.ndarray]:
    """The least-squares line of ln values over ln compute, of each row of `values`, (rows, budgets).

    Returns:
        Its slope, and its value at the compute `at`, each (rows,); nan where fewer than two values are numbers.
    """
    x, y = np.log(compute), np.log(np.where(values > 0, values, np.nan))
    there = np.isfinite(y)
    count = there.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        middle = np.where(there, x, 0).sum(axis=1) / count
        level = np.where(there, y, 0).sum(axis=1) / count
        aside = np.where(there, x - middle[:, None], 0)
        slope = (aside * np.where(there, y, 0)).sum(axis=1) / (aside**2).sum(axis=1)
    slope = np.where(count > 1, slope, np.nan)
    return slope, level + slope * (np.log(at) - middle)


def slices(runs: Runs, by: str | None = None, tolerance: float = TOLERANCE) -> list[np.ndarray]:
    """The runs of each budget, as indices, the least budget first; runs of no budget are in none.

    Args:
        runs: a table of losses with N and D.
        by: a column that says the budget of each run; C if None.
        tolerance: how far, as a share, neighbours of one budget may be apart.

    Raises:
        ValueError: the table is not of losses in N and D, there is no such column, or there are no two slices of at
            least four sizes.
    """
    compute = budget_of(runs, by)
    if not tolerance > 0:
        raise ValueError(
            f"tolerance is {tolerance}; it is a positive share of the compute, such as {TOLERANCE}"
        )
    order = np.argsort(compute, kind="stable")
    breaks = np.flatnonzero(np.diff(np.log(compute[order])) > np.log1p(tolerance)) + 1
    sizes = np.asarray(runs.columns["N"])
    found = [part for part in np.split(order, breaks) if len(np.unique(sizes[part])) >= SIZES]
    wide = [part for part in found if np.ptp(np.log(compute[part])) > 2 * np.log1p(tolerance)]
    if len(found) < 2 or wide:
        why = (
            f"runs of {label(compute[wide[0]].min())} to {label(compute[wide[0]].max())} FLOP follow each other "
            f"without a gap of {tolerance:.0%}"
            if wide
            else f"{len(found)} of its budgets has {SIZES} sizes or more within {tolerance:.0%} of one compute"
        )
        raise ValueError(
            f"{runs.source} has no slices of equal compute: {why}; say which column has the budget, or set "
            "tolerance, or fit a law"
        )
    return found


def budget_of(runs: Runs, by: str | None) -> np.ndarray:
    """The compute that each run counts for, (runs,), FLOP; refuses tables that are not of losses in N and D."""
    if runs.kind != "loss" or not {"N", "D"} <= set(runs.columns):
        raise ValueError(
            f"{runs.source}: an optimum is of losses in N and D; this table is of {runs.kind} in "
            f"{', '.join(runs.columns) or 'nothing'}"
        )
    if by is not None and by not in runs.columns:
        raise ValueError(
            f"{runs.source}: there is no column {by} of budgets; there are {', '.join(runs.columns)}"
        )
    compute = (
        runs.columns[by]
        if by
        else runs.columns.get("C", 6 * np.asarray(runs.columns["N"]) * runs.columns["D"])
    )
    compute = np.asarray(compute, float)
    if not (np.isfinite(compute) & (compute > 0)).all():
        raise ValueError(
            f"{runs.source}: {by or 'C'} is not positive everywhere; a budget is a number of FLOP"
        )
    return compute


def middles(compute: np.ndarray, parts: Sequence[np.ndarray]) -> np.ndarray:
    """The geometric mean of the compute of each slice, (budgets,)."""
    return np.array([np.exp(np.log(compute[part]).mean()) for part in parts])
