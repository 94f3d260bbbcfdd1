"""What a suite is read as, and which of its models a back-test fits and which it forecasts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bayescale.check.folds import ASKED, BEYOND, CUTOFFS, Fold, spaced
from bayescale.columns import label
from bayescale.runs import Runs

MODELS = 9  # that a fold fits at least: two more than the laws have parameters


@dataclass(frozen=True)
class Suite:
    """What a suite is read as.

    Attributes:
        along: the covariate that is forecast along.
        task: the factor of tasks, each of which has its own curve; none where there is one row for each model.
        family: the factor of what models share, such as a family of models or a training corpus; none where nothing.
        loss: a column of losses that models were measured with; none where there is none.
    """

    along: str = "C"
    task: str | None = None
    family: str | None = None
    loss: str | None = None


def scale_folds(runs: Runs, suite: Suite, cuts: Sequence[float] | None, cutoffs: int = CUTOFFS) -> list[Fold]:
    """The divisions of a suite along a covariate, by models and not by rows."""
    if runs.kind != "success":
        raise ValueError(f"{runs.source}: the response is {runs.kind}; a suite of tasks is of success")
    if suite.along not in runs.columns:
        raise ValueError(
            f"{runs.source}: there is no column {suite.along}; there are {', '.join(runs.columns)}"
        )
    values = np.asarray(runs.columns[suite.along], float)
    of_models = values[_one_each(runs, suite)]
    if cuts is None:
        enough = [
            cut
            for cut in np.unique(of_models)
            if (of_models <= cut).sum() >= MODELS and (of_models > BEYOND * cut).sum() >= ASKED
        ]
        cuts = spaced(np.array(enough), cutoffs)
    if not len(cuts):
        raise ValueError(
            f"{runs.source}: no back-test along {suite.along} is possible with {len(of_models)} models; it takes "
            f"{MODELS} up to a value of it, and {ASKED} beyond {BEYOND:g} times as much"
        )
    return [
        Fold(
            f"{suite.along} up to {label(cut)}", values <= cut, values > BEYOND * cut, np.log10(values / cut)
        )
        for cut in sorted(cuts)
    ]


def family_folds(runs: Runs, suite: Suite, shown: int) -> list[Fold]:
    """The divisions of a suite by families of models, of each of which the `shown` smallest models are known."""
    if runs.kind != "success" or suite.family is None:
        raise ValueError(
            f"{runs.source}: name the family of the models of a table of success, to leave one out"
        )
    if shown < 0:
        raise ValueError(f"shown is {shown}; it is how many models of a family are known, 0 or more")
    values, unit = np.asarray(runs.columns[suite.along], float), units(runs, suite)
    of, found = np.asarray(runs.factors[suite.family]), []
    nowhere = np.full(len(runs), np.nan)
    for level, name in enumerate(runs.levels[suite.family]):
        mine = of == level
        first = _one_each(runs, suite)
        own = first[mine[first]]
        kept = unit[own[np.argsort(values[own], kind="stable")][:shown]]
        asked = mine & ~np.isin(unit, kept)
        if asked.any() and len(np.unique(unit[~asked])) >= MODELS:
            found.append(Fold(f"without {suite.family} {name}", ~asked, asked, nowhere))
    if not found:
        raise ValueError(
            f"{runs.source}: no {suite.family} can be left out: none has more than {shown} models beside "
            f"{MODELS} others"
        )
    return found


def series(runs: Runs, suite: Suite) -> list[np.ndarray]:
    """The rows of each task, or all of them."""
    if suite.task is None:
        return [np.arange(len(runs))]
    level = np.asarray(runs.factors[suite.task])
    return [np.flatnonzero(level == one) for one in range(len(runs.levels[suite.task]))]


def _one_each(runs: Runs, suite: Suite) -> np.ndarray:
    """One row of each model, of each value of the covariate where models have no name."""
    return np.unique(units(runs, suite), return_index=True)[1]


def units(runs: Runs, suite: Suite) -> np.ndarray:
    """What each row is of that is independent of others: the model."""
    if "model" in runs.factors:
        return np.asarray(runs.factors["model"])
    if suite.task is None:
        return np.arange(len(runs))
    return np.unique(np.asarray(runs.columns[suite.along], float), return_inverse=True)[1]


def chance_of(runs: Runs) -> float:
    """The success of guessing, the mean over the rows; 0 where the table does not say."""
    return float(np.mean(np.asarray(runs.columns["chance"]))) if "chance" in runs.columns else 0.0
