"""The drift of a back-test in what a target takes: the law is asked for less, or for more, the farther out that is.

In a draw the loss is that of the law times exp(drift z g), where g are the decades beyond the runs and z is standard
normal, the same at every distance. What is wanted of the law alone is the loss at which that comes to the target first.
"""

from collections.abc import Callable

import numpy as np

from bayescale.check.discrepancy import turns_of
from bayescale.check.record import Record
from bayescale.check.sensitivity import covariate
from bayescale.decide.support import FARTHEST
from bayescale.decide.surface import FLOP, Surface

STEP, FINER = 0.25, 8  # decades; and into how many parts the step is divided that has the answer
NOTHING = np.finfo(float).tiny  # a loss that no law comes down to


def wanted_of_law(
    at_level: Surface,
    record: Record,
    along: str,
    wanted: np.ndarray,
    losses: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray:
    """The loss that the law has to have in each draw for the target to be reached with the drift, (draws,).

    Args:
        at_level: the law.
        record: of the back-test.
        along: the covariate that is asked for; where it is not that of the back-test, C = 6ND has to follow from it.
        wanted: the loss to reach, (draws,).
        losses: the losses of the law at values of it, both (draws, values).

    Raises:
        ValueError: the back-test went along something else.
    """
    other, per = {"N": "D", "D": "N"}.get(along), 1.0
    if record.by == "C" and other in at_level.at:
        per = FLOP * at_level.at[other]  # of C that go with one of what is asked for
    else:
        record.along(along)
    if not record.drift:
        return wanted
    runs = at_level.fit.runs
    edge = covariate(runs, record.by)[np.asarray(runs.weight) > 0].max()
    turns = turns_of(len(at_level))[:, None] * record.drift

    def above(gap: np.ndarray) -> np.ndarray:
        """How far the loss is above what is wanted at so many decades beyond the runs, both (draws, values)."""
        return np.log(losses(edge * 10**gap / per)) + turns * gap - np.log(wanted)[:, None]

    gap = np.tile(np.arange(0.0, FARTHEST + STEP / 2, STEP), (len(at_level), 1))
    there = above(gap) <= 0
    left = gap[:, :1] + STEP * np.maximum(np.argmax(there, axis=1) - 1, 0)[:, None]
    gap = left + STEP * np.linspace(0, 1, FINER + 1)
    found = above(gap)
    first = np.maximum(np.argmax(found <= 0, axis=1), 1)[:, None]
    (before, at_before), (after, at_after) = (
        [np.take_along_axis(values, which, axis=1)[:, 0] for values in (found, gap)]
        for which in (first - 1, first)
    )
    decades = at_before + (at_after - at_before) * before / (before - after)  # straight to 1e-6 of the loss
    moved = wanted * np.exp(-turns[:, 0] * np.where(there[:, 0], 0.0, decades))
    return np.where(there.any(axis=1), moved, NOTHING)
