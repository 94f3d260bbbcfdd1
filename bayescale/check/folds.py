"""Which runs a back-test fits and which it predicts."""

from typing import NamedTuple

import numpy as np

from bayescale.check.sensitivity import covariate
from bayescale.columns import label
from bayescale.model import Model, repeated
from bayescale.runs import Runs

CUTOFFS = 8
BEYOND = 1.5  # times the cutoff: what is not beyond that is hardly a forecast
FEWEST, ASKED = 6, 2  # runs that a fold fits, and those that it predicts
MARGIN = 2  # more runs than the law has parameters


class Fold(NamedTuple):
    """One division of a table.

    Attributes:
        name: what is known, or what is left out.
        known: the runs that are fitted, (runs,).
        asked: those that are predicted, (runs,).
        gap: by how many decades each run is beyond the known ones, (runs,); nan where a level is left out.
    """

    name: str
    known: np.ndarray
    asked: np.ndarray
    gap: np.ndarray

    def table(self, runs: Runs) -> Runs:
        """The known runs: the others have the weight 0, and reference run and unit are made of the known ones alone."""
        alone = runs.subset(self.known)
        weight = np.asarray(runs.weight) * self.known
        return runs.replace(weight=weight, reference=alone.reference, unit=alone.unit)

    def model(self, model: Model, runs: Runs) -> Model:
        """The model with the effects that the known runs call for."""
        return (
            model if model.effects is not None else model.replace(effects=repeated(runs.subset(self.known)))
        )


def folds(runs: Runs, by: str, parameters: int, cutoffs: int = CUTOFFS) -> list[Fold]:
    """The divisions of a table along a covariate, or by the levels of a factor.

    Every value of the covariate is a cutoff that leaves enough runs up to it, and two or more beyond one and a half
    times as much; of more than `cutoffs` those that are about evenly spaced in its logarithm.

    Args:
        runs: the table.
        by: a covariate, a ratio such as "D/N", or a factor of which one level after the other is left out.
        parameters: how many parameters the law has: there are at least two more runs in each fold, and at least six.
        cutoffs: how many folds along a covariate.

    Raises:
        ValueError: there is no such covariate or factor, or the table allows no fold.
    """
    there = np.asarray(runs.weight) > 0
    fewest = max(FEWEST, parameters + MARGIN)
    if by in runs.levels:
        index, nowhere = np.asarray(runs.factors[by]), np.full(len(runs), np.nan)
        found = [
            Fold(f"without {by} {name}", there & (index != level), there & (index == level), nowhere)
            for level, name in enumerate(runs.levels[by])
        ]
        found = [fold for fold in found if fold.asked.any() and fold.known.sum() >= fewest]
        needed = f"two levels, and {fewest} runs without each of them"
    else:
        values = covariate(runs, by)
        if not (values[there] > 0).all():
            raise ValueError(
                f"{runs.source}: {by} has values that are not positive; there is no gap in decades"
            )
        enough = [
            cut
            for cut in np.unique(values[there])
            if (there & (values <= cut)).sum() >= fewest and (there & (values > BEYOND * cut)).sum() >= ASKED
        ]
        found = [
            Fold(
                f"{by} up to {label(cut)}",
                there & (values <= cut),
                there & (values > BEYOND * cut),
                np.log10(values / cut),
            )
            for cut in spaced(np.array(enough), cutoffs)
        ]
        needed = f"{fewest} runs up to a value of {by}, and {ASKED} beyond {BEYOND:g} times as much"
    if not found:
        raise ValueError(
            f"{runs.source}: no back-test by {by} is possible with {there.sum()} runs; it takes {needed}"
        )
    return found


def spaced(values: np.ndarray, count: int) -> list[float]:
    """So many of the values, about evenly spaced in their logarithm, the least and the greatest among them."""
    if len(values) <= count:
        return values.tolist()
    wanted = np.linspace(np.log(values[0]), np.log(values[-1]), count)
    nearest = np.abs(np.log(values)[:, None] - wanted).argmin(axis=0)
    return values[np.unique(nearest)].tolist()
