"""A suite of tasks as a fit sees it: the success at each task of models that are not measured yet."""

from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np
from jax import Array, random

from bayescale import parallel
from bayescale.fit import Fit
from bayescale.forecast import complete
from bayescale.model import effect_of, shocked, varies_by
from bayescale.pooling import shifted
from bayescale.runs import Runs


def families(runs: Runs, *, by: str = "family", task: str = "task") -> list[str]:
    """The family of each task, in the order of the levels of the factor of tasks.

    Raises:
        ValueError: there is no such factor, or a task is of two families.
    """
    level = of_tasks(runs, by, task)
    if level is None:
        raise ValueError(f"{runs.source}: a {task} has more than one {by}; give the factor that groups tasks")
    return [runs.levels[by][one] for one in level]


def new_models(
    key: Array,
    fit: Fit,
    covariates: Mapping[str, float],
    *,
    models: int = 50,
    draws: int = 500,
    task: str = "task",
    **levels: str,
) -> np.ndarray:
    """The success at each task of models not measured yet, (draws, models, tasks): what `overlap` is made from.

    Tasks have the thresholds, slopes and shocks that the fit found for them and their families. What goes with models
    is drawn anew for each of them. A shock is shared by the tasks that share a level of its factor in the table: all
    of them, those of a family, or none.

    Args:
        key: the random key.
        fit: of success, in a table with a factor of tasks.
        covariates: of the new models, natural units, as {"C": 1e23}; those that belong to tasks, as chance or minutes,
            are read from the table where they are not given.
        models: how many in each draw.
        draws: of the fit, evenly taken; all where there are fewer.
        task: the factor of the tasks.
        levels: of factors that go with models, as lab="a"; what differs by those not named is drawn.

    Raises:
        ValueError: there is no such factor or level, or a covariate is neither given nor one of the tasks.
    """
    runs, model = fit.runs, fit.model
    if runs.kind != "success":
        raise ValueError(f"the fit is of {runs.kind}; a suite of tasks is of success")
    tasks = len(_levels(runs, task))
    taken = np.linspace(0, len(fit) - 1, min(draws, len(fit))).astype(int)

    def deviation(name: str, by: str) -> np.ndarray:
        """Of each task, (draws, 1, tasks) where it is known and (draws, models, tasks) where it is drawn."""
        nonlocal key
        if by in levels:
            index = _levels(runs, by).index(_level(runs, by, levels[by]))
            return fit.flat(name)[taken][:, index, None, None]
        known = of_tasks(runs, by, task)
        if known is not None:
            return fit.flat(name)[taken][:, None, known]
        key, own = random.split(key)
        shared = sharing(runs, by, task)
        drawn = random.normal(own, (len(taken), models, int(shared.max()) + 1))
        return fit.flat(f"{name}_scale")[taken][:, None, None] * np.asarray(drawn)[:, :, shared]

    points = _points(runs, model.law.covariates, covariates, task)
    with parallel.workbench():
        own = {p: fit.flat(p)[taken][:, None, None] for p in model.law.parameters}
        for pooling in model.pooling:
            for p in pooling.vary:
                shift = deviation(p + varies_by(pooling.by), pooling.by)
                own[p] = np.asarray(shifted(model.law.priors[p], own[p], shift, "success"))
        shock = sum((deviation(effect_of(e.by), e.by) for e in model.effects or ()), start=np.zeros(()))
        if "scatter" in model.noise.parameters:  # of items from model to model
            drawn = random.normal(random.fold_in(key, 1), (len(taken), models, tasks))
            shock = shock + fit.flat("scatter")[taken][:, None, None] * np.asarray(drawn)
        mean = jnp.asarray(model.law(model.law.relative(points, runs.reference), own))
        success = shocked(mean, shock, "success")
        return np.array(jnp.broadcast_to(success, (len(taken), models, tasks)))


def _levels(runs: Runs, by: str) -> tuple[str, ...]:
    if by not in runs.levels:
        raise ValueError(
            f"{runs.source}: there is no factor {by}; there are {', '.join(runs.levels) or 'none'}"
        )
    return runs.levels[by]


def _level(runs: Runs, by: str, level: str) -> str:
    if level not in runs.levels[by]:
        raise ValueError(f"{by} has no level {level!r}; it has {', '.join(runs.levels[by])}")
    return level


def of_tasks(runs: Runs, by: str, task: str) -> np.ndarray | None:
    """The level of another factor that each task is of, (tasks,); None where a task is of several."""
    tasks, index = len(_levels(runs, task)), np.asarray(runs.factors[task])
    _levels(runs, by)
    level = np.asarray(runs.factors[by])
    found = np.zeros(tasks, int)
    found[index] = level
    return found if (found[index] == level).all() else None


def sharing(runs: Runs, by: str, task: str) -> np.ndarray:
    """The group of each task, (tasks,), where tasks that are of one level of a factor somewhere are together."""
    index, level = np.asarray(runs.factors[task]), np.asarray(runs.factors[by])
    group = np.arange(len(runs.levels[task]))
    while True:
        least = np.full(len(runs.levels[by]), len(group))
        np.minimum.at(least, level, group[index])
        moved = group.copy()
        np.minimum.at(moved, index, least[level])
        if (moved == group).all():
            return np.unique(group, return_inverse=True)[1]
        group = moved


def _points(
    runs: Runs, needed: tuple[str, ...], given: Mapping[str, float], task: str
) -> dict[str, np.ndarray]:
    """The covariates of the law, a number or one for each task."""
    found, index = complete(given), np.asarray(runs.factors[task])
    for name in needed:
        if name in found:
            continue
        column = np.asarray(runs.columns[name], float)
        own = np.zeros(len(runs.levels[task]))
        own[index] = column
        if not (own[index] == column).all():
            raise ValueError(
                f"the law needs {name} of the new models, which is not one number for each {task}: give it"
            )
        found[name] = own
    return {name: found[name] for name in needed}
