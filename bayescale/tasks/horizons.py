"""Time horizons: the length of the tasks that each model does at 50% and at 80%, and how fast it doubles."""

import math
from collections.abc import Sequence

import numpy as np
import numpyro.distributions as dist
from scipy.special import expit, logit

from bayescale import models, parallel
from bayescale.decide.decision import Decision
from bayescale.fit import Fit
from bayescale.model import Model, effect_of, varies_by
from bayescale.pooling import Effect, Pooling
from bayescale.runs import Runs
from bayescale.tasks.items import APART, Items, aggregated, counted, crossed
from bayescale.tasks.suite import of_tasks

LN2 = math.log(2)  # a doubling
YEAR = 365.25  # days
# The priors of what differs, in doublings of the length of tasks.
RESIDUAL = dist.HalfNormal(0.7 * LN2)  # of models about the line of dates
HARDER = dist.HalfNormal(3 * LN2)  # tasks, and families of tasks, beyond the time that they take people
STEEPER = dist.HalfNormal(0.3)  # slopes of models differ by a third
AT = 12  # nodes of Gauss and Hermite for what a task at random is harder or easier
HALVINGS = 60  # of the logarithm of a horizon


def horizon_items(
    runs: Runs,
    *,
    law: str = "time_horizon",
    agent: str = "agent",
    task: str | None = "task",
    family: str | None = None,
) -> Items:
    """The default model of the success of agents at tasks by the minutes that they take people, and its table.

    Agents have horizons about the line of their dates, and slopes of their own. Tasks are harder or easier than their
    minutes say, and so are families of tasks; and an agent may be better at a family than at others.

    Args:
        runs: successes and trials of agents at tasks, with the columns minutes and date, in years.
        law: "time_horizon", "time_horizon_break" or "time_survival".
        agent: the factor of the agents.
        task: that of the tasks; None takes all tasks of a length for alike.
        family: that of families of tasks; None takes tasks for independent.

    Raises:
        ValueError: there is no such factor, or the table is no table of counts.
    """
    for by in (agent, task, family):
        if by is not None and by not in runs.levels:
            raise ValueError(
                f"{runs.source}: there is no factor {by}; there are {', '.join(runs.levels) or 'none'}"
            )
    form = models.load(law)
    if "horizon" not in form.parameters:
        raise ValueError(f"law {law} has no horizon; take time_horizon, time_horizon_break or time_survival")
    runs = aggregated(runs)
    pooling = [
        Pooling(("horizon",), agent, RESIDUAL),
        Pooling((_steepness(form.parameters),), agent, STEEPER),
    ]
    pooling += [Pooling(("horizon",), by, HARDER) for by in (task, family) if by is not None]
    effects: tuple[Effect, ...] = ()
    if family is not None:
        runs = crossed(runs, agent, family)
        effects = (Effect(f"{agent}:{family}", APART),)
    return Items(Model(form, counted(runs), tuple(pooling), effects), runs)


def horizons(
    fit: Fit,
    *,
    agent: str = "agent",
    task: str = "task",
    levels: Sequence[float] = (0.5, 0.8),
    dates: Sequence[float] = (),
) -> Decision:
    """The horizon of each agent, and the time in which horizons double.

    A horizon at 80% is the length of tasks of which those taken at random are done with probability 0.8: over what
    tasks of one length differ by as well as over attempts. At 50% that makes no difference, at 80% it is much shorter
    than for a task of typical difficulty.

    Quantities: "o1 at 50%" and so on, in minutes; the parameters of the line of dates, as "doubling" in days, or
    "before", "after" and "change", a date; "residual", of agents about it, in doublings; "difficulty", the standard
    deviation of tasks of one length, in doublings; and for each date "2026 at 50%", of a new agent.

    Args:
        fit: of a model of `horizon_items`, or another of a law with horizons that differ by agent.
        agent: the factor of the agents.
        task: that of the tasks.
        levels: the probabilities of success.
        dates: in years, for horizons of agents that are not measured.

    Raises:
        ValueError: horizons do not differ by agent, a level is no probability, or an agent has several dates.
    """
    if (by := f"horizon{varies_by(agent)}") not in fit.draws:
        raise ValueError(
            f"horizons do not differ by {agent} in this fit; {', '.join(fit.model.varying) or 'nothing'} varies"
        )
    if not all(0 < level < 1 for level in levels):
        raise ValueError(f"levels are {list(levels)}; each is a probability of success between 0 and 1")
    of_agents = _dates(fit.runs, agent)
    draws: dict[str, np.ndarray] = {}
    difficulty = _difficulty(fit, agent, task)
    for name, date in of_agents.items():
        with parallel.workbench():
            own = fit.natural(fit.relative({agent: name}))
        for level in levels:
            draws[f"{name} at {level:.0%}"] = _horizon(
                fit, own, date, level, difficulty, _apart(fit, agent, task)
            )
    residual = fit.flat(f"{by}_scale") / LN2
    centre, rng = fit.centre(), np.random.default_rng(0)
    for date in dates:
        new = centre | {"horizon": centre["horizon"] * 2 ** (residual * rng.standard_normal(len(fit)))}
        for level in levels:
            draws[f"{date:g} at {level:.0%}"] = _horizon(
                fit, new, date, level, difficulty, _apart(fit, agent, task)
            )
    units = dict.fromkeys(draws, "minutes")
    for name in ("doubling", "before", "after"):
        if name in centre:
            draws[name], units[name] = centre[name] * YEAR, "days"
    if "change" in centre:
        draws["change"], units["change"] = centre["change"], "year"
    draws |= {"residual": residual, "difficulty": difficulty / LN2}
    units |= {"residual": "doublings", "difficulty": "doublings"}
    return Decision(
        "horizons", {"agents": float(len(of_agents))}, draws, units, {}, {}, None, (), fit.trouble
    )


def _steepness(parameters: Sequence[str]) -> str:
    return "shape" if "shape" in parameters else "slope"


def _dates(runs: Runs, agent: str) -> dict[str, float]:
    """The date of each agent."""
    index, date = np.asarray(runs.factors[agent]), np.asarray(runs.columns["date"], float)
    found = {}
    for i, name in enumerate(runs.levels[agent]):
        own = np.unique(date[index == i])
        if len(own) != 1:
            raise ValueError(f"{agent} {name} has {len(own)} dates; a horizon is of one")
        found[name] = float(own[0])
    return found


def _difficulty(fit: Fit, agent: str, task: str) -> np.ndarray:
    """How far tasks of one length differ in the logarithm of their difficulty, (draws,)."""
    total = np.zeros(len(fit))
    for by in fit.model.varying["horizon"]:
        if by != agent and (task not in fit.runs.levels or of_tasks(fit.runs, by, task) is not None):
            total = np.hypot(total, fit.flat(f"horizon{varies_by(by)}_scale"))
    return total


def _apart(fit: Fit, agent: str, task: str) -> np.ndarray:
    """How far an agent is better or worse at tasks than at others of their difficulty, in logits, (draws,)."""
    total = fit.flat("scatter") if "scatter" in fit.draws else np.zeros(len(fit))
    for effect in fit.model.effects or ():
        if effect.by != agent:
            total = np.hypot(total, fit.flat(f"{effect_of(effect.by)}_scale"))
    return total


def _horizon(
    fit: Fit, own: dict[str, np.ndarray], date: float, level: float, difficulty: np.ndarray, apart: np.ndarray
) -> np.ndarray:
    """The minutes at which tasks are done with that probability on average, (draws,), by bisection."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(AT)
    weights = weights / weights.sum()
    harder = np.exp(difficulty[:, None, None] * nodes[:, None])
    better = apart[:, None, None] * nodes
    law = fit.model.law
    columns = {name: value[:, None, None] for name, value in own.items()}

    def success(log: np.ndarray) -> np.ndarray:
        minutes = np.exp(log)[:, None, None] * harder
        p = np.asarray(law({"minutes": minutes, "date": date}, columns))
        p = expit(logit(np.clip(p, 1e-12, 1 - 1e-12)) + better)
        return np.einsum("dij,i,j->d", p, weights, weights)

    low, high = np.full(len(fit), -30.0), np.full(len(fit), 40.0)
    with parallel.workbench():
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            longer = success(middle) > level
            low, high = np.where(longer, middle, low), np.where(longer, high, middle)
    return np.exp((low + high) / 2)
