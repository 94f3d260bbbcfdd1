"""Whether rows of a table are checkpoints of one training run, and how far through it they were taken."""

from collections.abc import Collection, Iterator

import numpy as np

from bayescale.check.finding import Finding
from bayescale.columns import grouping, role
from bayescale.law import Law
from bayescale.runs import Runs

DONE = 0.85  # of its schedule: before that the learning rate has not come down, and the loss with it
EQUAL, MOST, ROWS = (
    0.01,
    0.8,
    4,
)  # most steps equally far apart, to 1%, in so many rows of one N: those of a log


def checkpoints(runs: Runs, law: Law | None, shared: Collection[str]) -> Iterator[Finding]:
    """What there is to say of rows that one run has several of.

    Args:
        runs: the table.
        law: the law it is meant for.
        shared: the factors whose levels share something in the model.
    """
    runs_of, by = training_runs(runs)
    yield from _several_rows(runs, runs_of, by, shared)
    if law is None or "step" not in law.covariates:
        yield from _mid_schedule(runs, runs_of)


def training_runs(runs: Runs) -> tuple[np.ndarray, str | None]:
    """The index of the training run of each row, (runs,), and the factor that says so, if one does.

    Where no column tells runs apart, rows of one N whose steps are equally far apart are taken for the log of one run:
    runs of their own are planned at lengths whose ratios are alike.
    """
    by = next((name for name in runs.factors if grouping(name) == "run"), None)
    if by is not None:
        return np.asarray(runs.factors[by]), by
    found = np.arange(len(runs))
    if not {"step", "N"} <= set(runs.columns):
        return found, None
    steps = np.asarray(runs.columns["step"], float)
    # What stays as it is throughout a run: its size and its settings, which many rows have in common.
    settings = [
        np.unique(values, return_inverse=True)[1]
        for name, values in {**runs.columns, **runs.factors}.items()
        if name == "N" or (name not in ("step", "D", "C") and ROWS * len(np.unique(values)) <= len(runs))
    ]
    _, group = np.unique(np.stack(settings), axis=1, return_inverse=True)
    for one in np.flatnonzero(np.bincount(group) >= ROWS):
        rows = np.flatnonzero(group == one)
        gaps = np.diff(np.sort(steps[rows]))
        equal = np.abs(gaps - np.median(gaps)) <= EQUAL * np.median(gaps)
        if gaps.min() > 0 and equal.mean() >= MOST:
            found[rows] = rows[0]
    return found, None


def _several_rows(
    runs: Runs, runs_of: np.ndarray, by: str | None, shared: Collection[str]
) -> Iterator[Finding]:
    _, counts = np.unique(runs_of, return_counts=True)
    several = counts[counts > 1]
    if not len(several) or by in shared or _told_by(runs, runs_of, shared):
        return
    looks = "" if by else ", by the look of their steps: no column says which run a row is of"
    yield Finding(
        "DUP_RUN",
        "severe",
        f"{several.sum()} of {len(runs)} rows are of {len(several)} training run{'s' * (len(several) > 1)}, several of "
        f"each{looks}; they count as if they were independent",
        float(several.sum()) / len(runs),
        f"Let the rows of a run share a shock (--effect {by}), or keep the last row of each run"
        if by
        else "Add a column run, or keep the last row of each run",
    )


def _told_by(runs: Runs, runs_of: np.ndarray, shared: Collection[str]) -> bool:
    """Whether a factor of the model groups the rows just as training runs do."""
    count = len(np.unique(runs_of))
    for by in shared:
        index = np.asarray(runs.factors[by])
        if len(np.unique(index)) == count == np.unique(np.stack([index, runs_of]), axis=1).shape[1]:
            return True
    return False


def _mid_schedule(runs: Runs, runs_of: np.ndarray) -> Iterator[Finding]:
    done = fraction(runs, runs_of)
    early = done < DONE
    if early.any():
        yield Finding(
            "MIDSCHED",
            "warning",
            f"{early.sum()} of {len(runs)} rows were taken before {DONE:.0%} of their training run, the first at "
            f"{done.min():.0%}: while the learning rate is high the loss is not what it will come down to",
            float(done.min()),
            "Keep the last row of each run, unless the learning rate was constant",
        )


def fraction(runs: Runs, runs_of: np.ndarray) -> np.ndarray:
    """How much of its training run was done when each row was taken, (runs,); 1 where nothing tells."""
    told = {role(name): np.asarray(values, float) for name, values in runs.columns.items()}
    if (said := told.get("fraction")) is not None and said.min() >= 0 and said.max() <= 100:
        return said / (100 if said.max() > 1 else 1)  # a share, or percent
    # Steps tell it best; tokens do as well where a run has one size and one batch.
    position = next((np.asarray(runs.columns[c], float) for c in ("step", "D") if c in runs.columns), None)
    if position is None:
        return np.ones(len(runs))
    if "step" in runs.columns and (last := told.get("last step")) is not None and (last > 0).all():
        return np.minimum(position / last, 1.0)
    last = np.full(runs_of.max() + 1, -np.inf)
    np.maximum.at(last, runs_of, position)
    return position / np.where(last[runs_of] > 0, last[runs_of], 1.0)
