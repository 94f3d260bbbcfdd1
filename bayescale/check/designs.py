"""Designs: the runs that people plan, as columns without responses, and suites of tasks with a chosen overlap."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from scipy.special import expit

RATIO = 20.0  # tokens for each parameter, about which isoFLOP slices lie: the optimum of Hoffmann et al. 2022
WIDTH = 4.0  # times more and fewer parameters than that
RATIOS = (5.0, 500.0)  # of runs anywhere, and
OVERTRAINED = (20.0, 640.0)  # of a grid of over-trained runs (Gadre et al. 2024)
STEPS = 5  # numbers of tokens of each size in it, and checkpoints of each training run
FIRST = 0.2  # of the tokens of a training run, at its first checkpoint
EPOCHS = (1.0, 1.0, 4.0, 16.0)  # that unique tokens are seen, where a law has them
EXPERTS = 2.0 ** np.arange(7)
# What other laws need, whatever the compute of a run. Tasks are of 2 minutes to 9 hours.
DRAWN: Mapping[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "experts": lambda rng, runs: rng.choice(EXPERTS, runs),
    "loss": lambda rng, runs: np.exp(rng.uniform(np.log(2.0), np.log(4.5), runs)),
    "chance": lambda rng, runs: rng.uniform(0.0, 0.5, runs),
    "minutes": lambda rng, runs: np.exp(rng.uniform(np.log(2.0), np.log(540.0), runs)),
    "date": lambda rng, runs: rng.uniform(2022.0, 2026.0, runs),
    "k": lambda rng, runs: np.rint(10 ** rng.uniform(0.0, 3.0, runs)),
}
JITTER = 0.02  # e-folds: nobody's sizes are exact
DECADES = (18.0, 21.0)  # of compute

Columns = dict[str, Any]


def isoflop(rng: np.random.Generator, runs: int, decades: tuple[float, float]) -> Columns:
    """Budgets of equal distance, and at each the same number of sizes about the best one."""
    budgets = max(3, round(np.sqrt(runs * 6 / 7)))
    each = max(3, runs // budgets)
    C = np.repeat(10 ** np.linspace(*decades, budgets), each)
    best = np.sqrt(C / (6 * RATIO))
    N = best * np.tile(np.geomspace(1 / WIDTH, WIDTH, each), budgets)
    N = N * np.exp(rng.uniform(-JITTER, JITTER, len(C)))
    return {"N": N, "D": C / (6 * N), "budget": C}


def ladder(rng: np.random.Generator, runs: int, decades: tuple[float, float]) -> Columns:
    """Sizes of equal distance, each at 20 tokens for each parameter, twice."""
    rungs = max(3, runs // 2)
    N = np.repeat(np.sqrt(10 ** np.linspace(*decades, rungs) / (6 * RATIO)), 2)
    return {"N": N, "D": RATIO * N, "seed": np.tile([1.0, 2.0], rungs)}


def ray(rng: np.random.Generator, runs: int, decades: tuple[float, float]) -> Columns:
    """Any sizes, all at 20 tokens for each parameter: what cannot tell N from D."""
    N = np.sqrt(10 ** rng.uniform(*decades, runs) / (6 * RATIO))
    return {"N": N, "D": RATIO * N}


def scattered(rng: np.random.Generator, runs: int, decades: tuple[float, float]) -> Columns:
    """Any compute, at 5 to 500 tokens for each parameter."""
    low, high = np.log(RATIOS).tolist()
    ratio = np.exp(rng.uniform(low, high, runs))
    N = np.sqrt(10 ** rng.uniform(*decades, runs) / (6 * ratio))
    return {"N": N, "D": ratio * N}


def overtrained(rng: np.random.Generator, runs: int, decades: tuple[float, float]) -> Columns:
    """A ladder, each size at 20 to 640 tokens for each parameter."""
    sizes = max(3, runs // STEPS)
    ratio = np.tile(np.geomspace(*OVERTRAINED, STEPS), sizes)
    N = np.repeat(np.sqrt(10 ** np.linspace(*decades, sizes) / (6 * RATIO)), STEPS)
    return {"N": N, "D": ratio * N}


def checkpoints(rng: np.random.Generator, runs: int, decades: tuple[float, float]) -> Columns:
    """A few training runs, with a row at each of five checkpoints."""
    few = max(3, runs // STEPS)
    final = scattered(rng, few, decades)
    done = np.tile(np.linspace(FIRST, 1.0, STEPS), few)
    named = np.repeat([f"run {i + 1}" for i in range(few)], STEPS)
    return {"N": np.repeat(final["N"], STEPS), "D": np.repeat(final["D"], STEPS) * done, "run": named}


DESIGNS: Mapping[str, Callable[..., Columns]] = {
    "isoflop": isoflop,
    "ladder": ladder,
    "ray": ray,
    "random": scattered,
    "overtrained": overtrained,
    "checkpoints": checkpoints,
}


def columns_of(
    name: str,
    rng: np.random.Generator,
    covariates: tuple[str, ...],
    *,
    runs: int = 42,
    decades: tuple[float, float] = DECADES,
) -> Columns:
    """The columns of a design, with those that a law needs besides.

    Args:
        name: isoflop, ladder, ray, random, overtrained or checkpoints.
        rng: where sizes and numbers of tokens are drawn from.
        covariates: of the law: N, D, C, U, experts; of one of success loss, chance, minutes, date, k as well.
        runs: about how many; 15 or more of overtrained and checkpoints, 9 of isoflop, 6 of a ladder.
        decades: the least and the greatest compute, log10 of FLOP.

    Raises:
        ValueError: there is no such design, it makes no sense, or the law needs another column.
    """
    if name not in DESIGNS:
        raise ValueError(f"there is no design {name!r}; there are {', '.join(DESIGNS)}")
    if runs < 3:
        raise ValueError(f"runs is {runs}; a design has 3 or more")
    if not decades[0] < decades[1]:
        raise ValueError(
            f"compute is from 1e{decades[0]:g} to 1e{decades[1]:g} FLOP; the first is less than the second"
        )
    found = DESIGNS[name](rng, runs, decades)
    found["C"] = 6 * found["N"] * found["D"]
    count = len(found["N"])
    if "U" in covariates:
        found["U"] = found["D"] / rng.choice(EPOCHS, count)
    found |= {name: drawn(rng, count) for name, drawn in DRAWN.items() if name in covariates}
    if missing := [c for c in covariates if c not in found]:
        raise ValueError(
            f"no design has a column {missing[0]}; give a table of your own, whose responses do not matter"
        )
    return found


# ---- Suites of tasks

CENTRE = 22.0  # log10 of FLOP, where half of the tasks are solved


def suite(
    rng: np.random.Generator,
    *,
    tasks: int = 100,
    families: int = 20,
    models: int = 8,
    attempts: int = 4,
    overlap: float = 0.3,
    spread: float = 1.0,
    slope: float = 4.0,
    shock: float = 0.0,
    decades: tuple[float, float] = (19.0, 23.0),
) -> tuple[Columns, Columns]:
    """The successes of models at the tasks of a suite whose thresholds overlap by family.

        success of model j at task i = 1 / (1 + exp(-slope (log10 C_j + delta_j - b_i)))
        b_i = 22 + spread (sqrt(overlap) u_family + sqrt(1 - overlap) v_i),  u and v standard normal

    Args:
        rng: the source of what is random.
        tasks: how many.
        families: of tasks, dealt out in turn.
        models: how many, at compute of equal distance.
        attempts: of each model at each task.
        overlap: of the variance of thresholds, the share that a family has in common: 1 where its tasks are one task.
        spread: of thresholds, decades of compute.
        slope: logits a decade.
        shock: decades by which a model is better or worse at everything, standard deviation.
        decades: of compute, log10 of FLOP.

    Returns:
        The rows, model x task, and the truth: thresholds by task, shocks by model.

    Raises:
        ValueError: the suite makes no sense.
    """
    for name, value in {"tasks": tasks, "families": families, "models": models, "attempts": attempts}.items():
        if value < 1:
            raise ValueError(f"{name} is {value}; it is 1 or more")
    if not 0 <= overlap <= 1:
        raise ValueError(
            f"overlap is {overlap}; it is between 0 (families share nothing) and 1 (they are one task)"
        )
    if not (0 <= spread < np.inf and 0 <= shock < np.inf and 0 < slope < np.inf):
        raise ValueError("spread and shock are 0 or more, slope is positive, and all are finite")
    family = np.arange(tasks) % families
    own, shared = rng.standard_normal(tasks), rng.standard_normal(families)
    threshold = CENTRE + spread * (np.sqrt(overlap) * shared[family] + np.sqrt(1 - overlap) * own)
    place = np.linspace(*decades, models) if models > 1 else np.array([np.mean(decades)])
    delta = shock * rng.standard_normal(models)
    p = expit(slope * ((place + delta)[:, None] - threshold))
    named = [f"model {j + 1}" for j in range(models)]
    rows = {
        "model": np.repeat(named, tasks),
        "task": np.tile([f"task {i + 1}" for i in range(tasks)], models),
        "family": np.tile([f"family {k + 1}" for k in family], models),
        "C": np.repeat(10**place, tasks),
        "successes": rng.binomial(attempts, p).ravel(),
        "trials": np.full(models * tasks, attempts),
    }
    return rows, {"threshold": threshold, "shock": delta}
