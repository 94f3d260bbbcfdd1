"""Back-tests across tasks: what some tasks say of others that no model was tried at yet."""

from collections.abc import Callable
from typing import Any

import numpy as np
from jax import Array, random

from bayescale.check.backtest import forecasts_of, of_folds
from bayescale.check.backtested import Backtest, measured
from bayescale.check.folds import Fold
from bayescale.runs import Runs
from bayescale.tasks.items import Items
from bayescale.tasks.suite import families

PARTS = 5  # a fifth of the tasks is left out at a time
FEW = 5  # tasks that thresholds are learned from at least
WAYS = ("tasks", "families", "hardest")


def backtest_tasks(
    key: Array,
    items: Items,
    way: str = "tasks",
    *,
    task: str = "task",
    model: str = "model",
    family: str | None = None,
    report: Callable[[str], None] | None = None,
    **sampler: Any,
) -> Backtest:
    """Forecast the success of every model at tasks that are left out, from the other tasks.

    Thresholds and slopes of the tasks left out are those of any task, or of its family; what is known of each model
    comes from its other tasks. Whether easy tasks tell of hard ones is asked with "hardest": the fifth of the tasks
    that is done least often is left out, and forecast as tasks like the others.

    Args:
        key: the random key.
        items: the model and the table of `item_response`.
        way: "tasks", a fifth of them after the other, taken at random; "families", whole ones, about a fifth of the
            tasks at a time; or "hardest".
        task: the factor of the tasks.
        model: the factor of the models.
        family: that of families of tasks.
        report: called with what is being done.
        sampler: arguments of `nuts`.

    Raises:
        ValueError: there are too few tasks or families, or there is no such way.
    """
    runs = items.runs
    key_parts, key_fit, key_drawn = random.split(key, 3)
    rng = np.random.default_rng(np.asarray(random.key_data(key_parts)))
    groups = _groups(rng, runs, way, task, family)
    of = np.asarray(runs.factors[task])
    nowhere, parts = np.full(len(runs), np.nan), []
    for name, out in groups.items():
        asked = np.isin(of, out)
        if len(runs.levels[task]) - len(out) < FEW:
            raise ValueError(
                f"{runs.source}: with {name} {len(runs.levels[task]) - len(out)} tasks are left; it takes {FEW}"
            )
        parts.append(Fold(name, ~asked, asked, nowhere))
    if report is not None:
        report(f"{len(parts)} fits without some of the tasks")
    fits = of_folds(key_fit, items.model, runs, parts, **sampler)
    made = [
        forecasts_of(random.fold_in(key_drawn, k), fit, fold, _rivals(runs, fold, model, family))
        for k, (fold, fit) in enumerate(zip(parts, fits, strict=True))
    ]
    return Backtest(runs, family if way == "families" and family is not None else task, tuple(made))


def _groups(
    rng: np.random.Generator, runs: Runs, way: str, task: str, family: str | None
) -> dict[str, np.ndarray]:
    """What is left out at a time, its name -> the tasks."""
    tasks = len(runs.levels[task])
    if way == "hardest":
        of, share = np.asarray(runs.factors[task]), measured(runs)
        done = np.array([share[of == one].mean() for one in range(tasks)])
        return {"without the hardest fifth": np.argsort(done, kind="stable")[: max(tasks // PARTS, 1)]}
    if way == "tasks":
        parts = np.array_split(rng.permutation(tasks), min(PARTS, tasks))
        return {f"without fifth {k + 1} of the tasks": one for k, one in enumerate(parts)}
    if way != "families":
        raise ValueError(f"{way} is not left out; {', '.join(WAYS)} are")
    if family is None:
        raise ValueError("name the factor of families of tasks, to leave families out")
    of = np.asarray(families(runs, by=family, task=task))
    names = rng.permutation(np.unique(of))
    if len(names) < 2:
        raise ValueError(f"{runs.source}: all tasks are of one {family}; none can be left out")
    ends = np.cumsum([np.sum(of == name) for name in names]) - 1
    part = np.minimum(ends * min(PARTS, len(names)) // tasks, PARTS - 1)
    found = {}
    for one in np.unique(part):
        mine = names[part == one]
        said = str(mine[0]) if len(mine) == 1 else f"{len(mine)} of {family}"
        found[f"without {said} ({one + 1})"] = np.flatnonzero(np.isin(of, mine))
    return found


def _rivals(runs: Runs, fold: Fold, model: str, family: str | None) -> dict[str, np.ndarray]:
    """What needs no model: the success of each model at the other tasks, its mean, and all that it scored there."""
    share, of = measured(runs), np.asarray(runs.factors[model])
    every = np.flatnonzero(fold.asked)
    mean = np.array([_mean(share[fold.known & (of == of[i])], share[fold.known]) for i in every])
    found = {"mean of the model's other tasks": mean[None]}
    if family is not None:
        kin = np.asarray(runs.factors[family])
        near = [share[fold.known & (of == of[i]) & (kin == kin[i])] for i in every]
        found["mean of the model's other tasks of the family"] = np.array(
            [_mean(one, np.array([other])) for one, other in zip(near, mean, strict=True)]
        )[None]
    return found


def _mean(some: np.ndarray, otherwise: np.ndarray) -> float:
    return float(some.mean() if len(some) else otherwise.mean())
