"""Overlap: how many independent tasks a suite is worth, at a place on the compute axis, and why not more."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

LOGISTIC = math.pi**2 / 3  # the variance of a logistic distribution of scale 1
TEN_TO_NINETY = 2.5631031310892007  # standard deviations of a normal distribution from 10% to 90%
PARTS = ("models", "families of models", "thresholds of families", "thresholds", "curve")


@dataclass(frozen=True, eq=False)
class Overlap:
    """What the tasks of a suite share, for a model that is not measured yet, with one attempt at each task.

    Attributes:
        tasks: how many there are.
        success: the mean success that is expected.
        variance: of the score of the suite, with all that is not known.
        omega: the mean correlation of the outcomes of two tasks: 0 of independent tasks, 1 of copies of one; nan
            where success is certain.
        effective: the number of independent tasks whose score would be as uncertain.
        shares: of the variance of the score, adding to 1. "models": a model is better or worse at everything than its
            compute says. "families of models": it is so at a family of tasks. "thresholds of families" and
            "thresholds": where families and tasks turn on is not known. "curve": neither is what all tasks have in
            common. "alone": the rest, which there would be if tasks were known and independent.
        given: the effective number given each draw, (draws,): that of what models share, without what is not known
            of the suite; none where each draw has one model.
    """

    tasks: int
    success: float
    variance: float
    omega: float
    effective: float
    shares: dict[str, float]
    given: np.ndarray

    @property
    def verdict(self) -> str:
        """One sentence."""
        largest = max(PARTS, key=lambda part: self.shares[part])
        said = f"{self.tasks} tasks are worth {self.effective:.3g} independent ones, overlap {self.omega:.2g}"
        if not self.shares[largest] > 0:
            return f"{said}; they share nothing"
        return f"{said}; the most that they share is {largest}, {self.shares[largest]:.0%} of the variance"


@dataclass(frozen=True)
class Budget:
    """The overlap that a wanted error of a forecast allows.

    Attributes:
        required: the independent tasks that it takes.
        most: the largest overlap of the suite that will do; negative where it has too few tasks whatever they share.
    """

    required: float
    most: float


def overlap(success: npt.ArrayLike, *, families: Sequence[str] | None = None) -> Overlap:
    """The overlap of a suite, from the success of each task that draws of a posterior give to models not measured yet.

    Omega = (n^2 Var(S) - sum v_i) / ((sum sqrt v_i)^2 - sum v_i) and n_eff = mean(v_i) / Var(S), where S is the share
    of n tasks that are done, q_i the success of task i and v_i = q_i (1 - q_i).

    The shares follow from the law of total variance. Between models of one draw, and between draws, the covariance of
    two tasks has a part that all pairs have, one that pairs of a family have besides, and what is each task's own.

    Args:
        success: (draws, models, tasks); or (draws, tasks), one model in each draw. Models of a draw differ by what is
            theirs, draws by what is not known of the suite; with one model in each draw the two cannot be told apart,
            and all counts as not known.
        families: the family of each task. Without it nothing is shared within families; where all are of one, what
            they share counts as shared by all.

    Raises:
        ValueError: there are fewer than two draws or tasks, a success is not between 0 and 1, or there is not one
            family for each task.
    """
    p = np.asarray(success, float)
    p = p[:, None, :] if p.ndim == 2 else p
    if p.ndim != 3 or p.shape[0] < 2 or p.shape[2] < 2:
        raise ValueError(
            f"success is {np.shape(success)}; it is (draws, models, tasks), of two draws and tasks at least"
        )
    if not ((p >= 0) & (p <= 1)).all():
        raise ValueError(f"success goes from {np.min(p):g} to {np.max(p):g}; each is between 0 and 1")
    _, models, tasks = p.shape
    index = _index(families, tasks)
    sizes = np.bincount(index)

    within, between = _variances(p, index, len(sizes))
    shock, of_family, own = _parts(within, sizes)
    curve, thresholds_of_family, thresholds = _parts(between, sizes)
    tries = float(np.sum(np.mean(p * (1 - p), axis=(0, 1))))  # of one attempt at each task
    total = float(within[0] + between[0]) + tries

    q = p.mean(axis=(0, 1))
    v = q * (1 - q)
    pairs = float(np.sum(np.sqrt(v)) ** 2 - v.sum())
    parts = (shock, of_family, thresholds_of_family, thresholds, curve)
    shares = {name: _over(part, total) for name, part in zip(PARTS, parts, strict=True)}
    return Overlap(
        tasks=tasks,
        success=float(q.mean()),
        variance=total / tasks**2,
        omega=_over(total - float(v.sum()), pairs),
        effective=tasks * _over(float(v.sum()), total),
        shares=shares | {"alone": _over(own + tries, total)},
        given=_given(p) if models > 1 else np.zeros(0),
    )


def overlap_budget(success: float, error: float, *, tasks: float = math.inf) -> Budget:
    """The overlap that a suite may have for the standard deviation of its forecast to be `error`.

    required = q (1 - q) / error^2, and most = (n / required - 1) / (n - 1).

    Args:
        success: q, the mean success where the forecast is.
        error: the standard deviation wanted, as a share: 0.05 is five points.
        tasks: n; by default endless, for which most = 1 / required. More than 1 / most of them are of no use.

    >>> overlap_budget(0.5, 0.05)
    Budget(required=100.0, most=0.01)
    """
    if not 0 < success < 1 or not 0 < error < 1:
        raise ValueError(
            f"success is {success} and error {error}; both are between 0 and 1, as 0.05 for five points"
        )
    if not tasks > 1:
        raise ValueError(f"tasks is {tasks}; overlap is of two tasks at least")
    required = success * (1 - success) / error**2
    most = 1 / required if math.isinf(tasks) else (tasks / required - 1) / (tasks - 1)
    return Budget(round(required, 10), round(most, 10))


def suite_width(spread: npt.ArrayLike, slope: npt.ArrayLike) -> np.ndarray:
    """The decades of compute in which a suite goes from 10% to 90%.

    W = 2.563 sqrt(spread^2 + 3.290 / slope^2), where thresholds are normal.

    Args:
        spread: the standard deviation of thresholds between tasks, in decades, (any,).
        slope: that of the curve of one task, in logits for each decade, (any,).
    """
    return TEN_TO_NINETY * np.sqrt(np.asarray(spread) ** 2 + LOGISTIC / np.asarray(slope) ** 2)


def diversity(spread: npt.ArrayLike, slope: npt.ArrayLike) -> np.ndarray:
    """The share of the width of a suite, squared, that is of thresholds and not of the curve of one task."""
    square = np.asarray(spread) ** 2
    return square / (square + LOGISTIC / np.asarray(slope) ** 2)


def dimensions(covariance: npt.ArrayLike) -> tuple[float, float]:
    """How many directions tasks vary in: the participation ratio of a covariance, (tasks, tasks), and exp(entropy)."""
    values = np.clip(np.linalg.eigvalsh(np.asarray(covariance, float)), 0, None)
    share = values / values.sum()
    inside = share[share > 0]
    return float(1 / np.sum(share**2)), float(np.exp(-np.sum(inside * np.log(inside))))


# ---- The parts of a variance


def _index(families: Sequence[str] | None, tasks: int) -> np.ndarray:
    """The family of each task as a number, (tasks,)."""
    if families is None:
        return np.arange(tasks)
    if len(families) != tasks:
        raise ValueError(
            f"there are {len(families)} families for {tasks} tasks; give the family of each task"
        )
    return np.unique(np.asarray(families, dtype=str), return_inverse=True)[1]


def _variances(p: np.ndarray, index: np.ndarray, families: int) -> tuple[np.ndarray, np.ndarray]:
    """The variances within and between draws: of the sum of all tasks, of families and of tasks, summed over these."""
    models = p.shape[1]
    of_families = p
    if families < p.shape[2]:
        of_families = np.stack([p[..., index == one].sum(axis=2) for one in range(families)], axis=2)
    within, between = np.zeros(3), np.zeros(3)
    for i, values in enumerate((p.sum(axis=2)[..., None], of_families, p)):
        if models > 1:
            within[i] = np.mean(np.var(values, axis=1, ddof=1), axis=0).sum()
        # The mean of a few models scatters too, which is no variance between draws.
        between[i] = np.var(values.mean(axis=1), axis=0, ddof=1).sum() - within[i] / models
    return within, between


def _parts(variances: np.ndarray, sizes: np.ndarray) -> tuple[float, float, float]:
    """What all tasks, the tasks of one family, and single tasks add to the variance of the sum of all."""
    of_all, of_families, of_tasks = variances
    tasks, squares = sizes.sum(), np.sum(sizes**2)
    apart, together = tasks**2 - squares, squares - tasks  # pairs of tasks in two families, and in one
    same = (of_families - of_tasks) / together if together else None
    other = (of_all - of_families) / apart if apart else same
    same = other if same is None else same
    assert same is not None and other is not None  # two tasks are a pair of one kind or the other
    return tasks**2 * other, squares * (same - other), of_tasks - tasks * same


def _given(p: np.ndarray) -> np.ndarray:
    """The effective number of tasks of each draw, (draws,)."""
    q = p.mean(axis=1)
    variance = np.var(p.sum(axis=2), axis=1, ddof=1) + np.mean(np.sum(p * (1 - p), axis=2), axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return p.shape[2] * np.sum(q * (1 - q), axis=1) / variance


def _over(above: float, below: float) -> float:
    return above / below if below > 0 else math.nan
