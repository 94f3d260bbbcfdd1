"""Item response: tasks with thresholds on the compute axis, families of tasks, and what models share, from a table."""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpyro.distributions as dist

from bayescale import models, noise
from bayescale.law import Law
from bayescale.model import Model
from bayescale.noise import Noise
from bayescale.pooling import Effect, Pooling
from bayescale.priors import LogitNormal
from bayescale.runs import Runs

LN10 = math.log(10)  # a decade
MANY = 8  # tries at a task: with fewer, the scatter of items is not told from a curve that is less steep
# The priors, in decades of compute or logits. Those in decades are wide: what the counts tell is how far thresholds are
# in logits, and where a prior says that they cannot be so many decades off, the slope gets steeper for it.
MIDDLE = dist.LogNormal(
    0.5 * LN10, 4 * LN10
)  # a suite that hardly any model can do is decades beyond the runs
SLOPE = dist.LogNormal(
    math.log(1.5), 0.6
)  # of the curve of a task: 90% between 0.56 and 4 logits for each decade
LAPSE = LogitNormal(
    -4.0, 1.0
)  # of what is never gained: 90% between 0.4% and 9%, wrong keys and unclear questions
SPREAD = dist.HalfNormal(1.5 * LN10)  # of thresholds by task, where there are no families of tasks
SPREADS = dist.HalfNormal(1.5 / math.sqrt(2) * LN10)  # by task and by family: 1.5 decades in all
STEEPER = dist.HalfNormal(0.5)  # slopes of tasks differ by half
ABILITY = dist.HalfCauchy(0.3 * LN10)  # what a model is better than its compute says; checkpoints are far off
OF_LAB = dist.HalfNormal(0.7 * LN10)  # what the models of one family are
APART = dist.HalfCauchy(0.5)  # logits by which a model is better at a family of tasks


class Items(NamedTuple):
    """What an item response fit is made of: `nuts(key, *item_response(runs))`."""

    model: Model
    runs: Runs


def item_response(
    runs: Runs,
    *,
    along: str = "C",
    task: str = "task",
    model: str = "model",
    family: str | None = None,
    lab: str | None = None,
) -> Items:
    """The default model of a table of models and tasks, and the table as it is fitted: counts added up.

    p = chance + (1 - chance) (1 - lapse) sigma(slope_i (x + ability - threshold_i) + what models are at a family)

    x is the logarithm of compute, thresholds are in decades of it, and chance is a column, 0 where there is none.
    Thresholds differ by task, and by family of tasks; slopes by task; abilities by model, and by the family of models.
    Where tasks were tried often, items scatter besides, from model to model.

    Args:
        runs: successes and trials of models at tasks.
        along: the covariate that thresholds are on.
        task: the factor of the tasks.
        model: the factor of the models; what is shared by all tasks of one is the model shock.
        family: the factor of families of tasks, if any.
        lab: the factor of families of models, if any.

    Raises:
        ValueError: there is no such factor, or the table is no table of counts.
    """
    for by in (task, model, family, lab):
        if by is not None and by not in runs.levels:
            known = ", ".join(runs.levels) or "none"
            raise ValueError(f"{runs.source}: there is no factor {by}; there are {known}")
    runs = aggregated(runs)
    if "chance" not in runs.columns:
        runs = runs.replace(
            columns=runs.columns | {"chance": np.zeros(len(runs))},
            reference=runs.reference | {"chance": np.nan},
        )
    spread = SPREAD if family is None else SPREADS
    pooling = [Pooling(("threshold",), task, spread), Pooling(("slope",), task, STEEPER)]
    pooling += [Pooling(("threshold",), model, ABILITY)]
    effects: tuple[Effect, ...] = ()
    if family is not None:
        pooling.append(Pooling(("threshold",), family, spread))
        runs = crossed(runs, model, family)
        effects = (Effect(f"{model}:{family}", APART),)
    if lab is not None:
        pooling.append(Pooling(("threshold",), lab, OF_LAB))
    return Items(Model(_law(along), counted(runs), tuple(pooling), effects), runs)


@lru_cache
def _law(along: str) -> Law:
    """The same object each time, for which nothing is compiled anew."""
    return (
        models.load("logistic_chance")
        .along(along)
        .replace(priors={"threshold": MIDDLE, "slope": SLOPE, "lapse": LAPSE})
    )


def counted(runs: Runs) -> Noise:
    """The noise of counts: with the scatter of items where tasks were tried often enough to tell it."""
    tries = np.asarray(runs.columns["trials"])
    return noise.logit_normal if np.median(tries) >= MANY else noise.binomial


def aggregated(runs: Runs) -> Runs:
    """The table with rows that differ in their counts alone added up: all that the counts say.

    Raises:
        ValueError: the table is not of successes, or has averages in place of counts.
    """
    if runs.kind != "success":
        raise ValueError(f"{runs.source}: the response is {runs.kind}; only successes can be added up")
    won, tried = np.asarray(runs.response), np.asarray(runs.columns["trials"])
    if (won % 1 != 0).any() or (tried % 1 != 0).any():
        raise ValueError(
            f"{runs.source}: there are averages and not counts of successes, which cannot be added up"
        )
    others = [np.asarray(values) for name, values in runs.columns.items() if name != "trials"]
    first, group = _groups(
        [*map(np.asarray, runs.factors.values()), *others, np.asarray(runs.weight)], len(runs)
    )
    if len(first) == len(runs):
        return runs
    columns = {name: np.asarray(values)[first] for name, values in runs.columns.items()}
    columns["trials"] = np.bincount(group, tried, len(first))
    return runs.replace(
        columns=columns,
        response=np.bincount(group, won, len(first)),
        factors={name: np.asarray(index)[first] for name, index in runs.factors.items()},
        weight=np.asarray(runs.weight)[first],
        notes=(
            *runs.notes,
            f"{len(runs)} rows added up to {len(first)} that differ in more than their counts",
        ),
    )


def _groups(columns: Sequence[np.ndarray], rows: int) -> tuple[np.ndarray, np.ndarray]:
    """The first row of each group of rows that are the same, and the group of each row, in the order of the table."""
    key = np.zeros(rows, np.int64)
    for values in columns:
        _, code = np.unique(values, return_inverse=True)
        # The codes of what went before are fewer than the rows, so that this does not overflow.
        key = np.unique(key * (code.max() + 1) + code, return_inverse=True)[1]
    _, first = np.unique(key, return_index=True)
    order = np.argsort(first)
    place = np.empty(len(first), int)
    place[order] = np.arange(len(first))
    return first[order], place[key]


def crossed(runs: Runs, one: str, other: str) -> Runs:
    """The table with a factor whose levels are the pairs of levels of two others that occur, named "one:other"."""
    pairs = np.asarray(runs.factors[one]).astype(np.int64) * len(runs.levels[other]) + runs.factors[other]
    kept, index = np.unique(pairs, return_inverse=True)
    names = [divmod(int(pair), len(runs.levels[other])) for pair in kept]
    levels = tuple(f"{runs.levels[one][i]}:{runs.levels[other][j]}" for i, j in names)
    name = f"{one}:{other}"
    return runs.replace(
        factors=runs.factors | {name: index.astype(np.int32)}, levels=runs.levels | {name: levels}
    )
