"""What an item response fit says of a suite: where its tasks turn on, how gradually, and what models share."""

import numpy as np

from bayescale.decide.decision import Decision
from bayescale.fit import Fit
from bayescale.model import effect_of, varies_by
from bayescale.tasks.items import LN10
from bayescale.tasks.overlap import dimensions, diversity, suite_width
from bayescale.tasks.suite import of_tasks, sharing

LN81 = 4.394449154672439  # logits from 10% to 90%
FEW = 100  # draws of which the eigenvalues of a covariance are found
UNITS = {
    "spread": "decades",
    "slope": "logits for each decade",
    "item width": "decades",
    "suite width": "decades",
    "unresolved": "tasks",
    "model shock": "logits",
}


def companions(fit: Fit, *, task: str = "task", family: str | None = None, model: str = "model") -> Decision:
    """What there is to say of a suite beside its overlap, with intervals.

    Quantities: "spread", the standard deviation of thresholds, s_b; "rho", the share of it, squared, that families
    have, where there are families; "slope", a, of a typical task; "item width", 4.394 / a; "suite width",
    2.563 sqrt(s_b^2 + 3.290 / a^2), and "diversity", the share of thresholds in it; "unresolved", the tasks that turn
    on beyond the largest model; "model shock", what a new model is better or worse at everything, at a typical task;
    "shared", the mean correlation of what two tasks see of it beyond their curves; and "dimensions", the participation
    ratio of that covariance, with "entropy", the exponential of the entropy of its eigenvalues.

    Args:
        fit: of the model of `item_response`, or another of thresholds and slopes.
        task: the factor of the tasks.
        family: that of their families.
        model: that of the models.

    Raises:
        ValueError: the law has no thresholds and slopes, or they do not differ by task.
    """
    law, by_task = fit.model.law, f"threshold{varies_by(task)}"
    if not {"threshold", "slope"} <= set(law.parameters) or by_task not in fit.draws:
        raise ValueError(
            f"a suite has thresholds that differ by {task}; law {law.name} has {', '.join(law.parameters)}, and "
            f"{', '.join(fit.model.varying) or 'none'} differ"
        )
    own = fit.flat(f"{by_task}_scale") / LN10
    shared = (
        fit.flat(f"threshold{varies_by(family)}_scale") / LN10 if family is not None else np.zeros(len(fit))
    )
    spread, slope = np.hypot(own, shared), fit.flat("slope")
    draws = {"spread": spread}
    if family is not None:
        draws["rho"] = shared**2 / spread**2
    draws |= {"slope": slope, "item width": LN81 / slope, "suite width": suite_width(spread, slope)}
    draws["diversity"] = diversity(spread, slope)
    top = np.log10(np.max(np.asarray(fit.runs.columns[law.covariates[0]])))
    draws["unresolved"] = np.sum(thresholds(fit, task=task) > top, axis=1).astype(float)
    draws |= _residual(fit, task, model)
    asked: dict[str, float | str] = {"tasks": float(len(fit.runs.levels[task])), "task": task}
    asked |= {"family": family} if family is not None else {}
    return Decision("companions", asked, draws, UNITS, {}, {}, None, (), fit.trouble)


def thresholds(fit: Fit, *, task: str = "task") -> np.ndarray:
    """Where each task turns on for a typical model: log10 of the covariate, natural units, (draws, tasks)."""
    (column, *_), found = fit.model.law.covariates, np.log10(fit.flat("threshold"))[:, None]
    for by in fit.model.varying["threshold"]:
        known = of_tasks(fit.runs, by, task)
        if known is not None:
            found = found + fit.flat(f"threshold{varies_by(by)}")[:, known] / LN10
    return found + np.log10(float(np.asarray(fit.runs.reference[column])))


def unresolved(fit: Fit, *, task: str = "task") -> list[str]:
    """The tasks that more probably than not turn on beyond the largest model of the table."""
    top = np.log10(np.max(np.asarray(fit.runs.columns[fit.model.law.covariates[0]])))
    beyond = np.mean(thresholds(fit, task=task) > top, axis=0) > 0.5
    return [name for name, is_beyond in zip(fit.runs.levels[task], beyond, strict=True) if is_beyond]


def effective_tasks(rho: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """The independent tasks that families of such sizes are worth, (draws,): the sum of m / (1 + (m - 1) rho).

    Source:
        Kish 1965, Survey Sampling, section 8.2, for each family.
    """
    m = np.asarray(sizes, float)
    return np.sum(m / (1 + (m - 1) * np.asarray(rho)[:, None]), axis=1)


def _residual(fit: Fit, task: str, model: str) -> dict[str, np.ndarray]:
    """What a new model is beyond its curves, on the logit: its size, correlation and dimensions, (draws,)."""
    slopes, tasks = _slopes(fit, task), len(fit.runs.levels[task])
    shock = np.zeros(len(fit))
    # Sums over pairs of tasks, of which no covariance has to be made: for each part its size, loadings and groups.
    parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    for by, names in fit.model.factors.items():
        if of_tasks(fit.runs, by, task) is not None:
            continue
        for name in names:
            if name not in (effect_of(by), f"threshold{varies_by(by)}"):
                continue
            loading = np.ones_like(slopes) if name == effect_of(by) else slopes
            parts.append((fit.flat(f"{name}_scale"), loading, sharing(fit.runs, by, task)))
            if by == model:
                typical = np.ones(len(fit)) if name == effect_of(by) else fit.flat("slope") / LN10
                shock = np.hypot(shock, fit.flat(f"{name}_scale") * typical)
    if "scatter" in fit.draws:
        parts.append((fit.flat("scatter"), np.ones_like(slopes), np.arange(tasks)))
    nan = np.full(len(fit), np.nan)
    if not parts:
        return {"model shock": shock, "shared": nan, "dimensions": nan, "entropy": nan}
    variance = sum(
        (size[:, None] ** 2 * loading**2 for size, loading, _ in parts), start=np.zeros_like(slopes)
    )
    total = sum(
        (size**2 * _of_groups(loading, group) for size, loading, group in parts), start=np.zeros(len(fit))
    )
    pairs = total - variance.sum(axis=1)
    shared = pairs / (np.sum(np.sqrt(variance), axis=1) ** 2 - variance.sum(axis=1))
    ratio, entropy = _dimensions(parts)
    return {"model shock": shock, "shared": shared, "dimensions": ratio, "entropy": entropy}


def _slopes(fit: Fit, task: str) -> np.ndarray:
    """The logits for each e-fold that tasks have, (draws, tasks)."""
    shift = np.zeros((1, len(fit.runs.levels[task])))
    for by in fit.model.varying.get("slope", ()):
        known = of_tasks(fit.runs, by, task)
        if known is not None:
            shift = shift + fit.flat(f"slope{varies_by(by)}")[:, known]
    return fit.flat("slope")[:, None] / LN10 * np.exp(shift)


def _of_groups(loading: np.ndarray, group: np.ndarray) -> np.ndarray:
    """The sum over groups of the squared sums of loadings, (draws,)."""
    sums = np.zeros((len(loading), int(group.max()) + 1))
    np.add.at(sums.T, group, loading.T)
    return np.sum(sums**2, axis=1)


def _dimensions(parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """The participation ratio and the exponential entropy of a covariance, of some of the draws and nan of others."""
    draws = len(parts[0][0])
    found = np.full((2, draws), np.nan)
    for d in np.unique(np.linspace(0, draws - 1, min(draws, FEW)).astype(int)):
        together = sum(
            size[d] ** 2 * np.outer(loading[d], loading[d]) * (group[:, None] == group)
            for size, loading, group in parts
        )
        found[:, d] = dimensions(together)
    return found[0], found[1]
