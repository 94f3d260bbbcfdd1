"""Sensitivity: how an estimate changes with what was decided without the data having a say."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from jax import Array

from bayescale import noise as noises
from bayescale.infer.bootstrap import bootstrap
from bayescale.infer.resample import Resampling
from bayescale.infer.study import Quantity, Study
from bayescale.law import Law
from bayescale.model import Model
from bayescale.noise import Noise
from bayescale.runs import Runs

REPLICATES = 1024  # one block: a standard error to 2%


@dataclass(frozen=True)
class Row:
    """The answers under one decision.

    Attributes:
        changed: what was decided: "drop", "delta", "noise", "law" or "support"; "" for the model as given.
        to: what it was set to.
        dropped: how many runs were left out.
        converged: whether the fit and its replicates ended at minima.
        answers: quantity -> (estimate, low, high).
    """

    changed: str
    to: str
    dropped: int
    converged: bool
    answers: Mapping[str, tuple[float, float, float]]


def sensitivity(
    key: Array,
    model: Model,
    runs: Runs,
    *,
    quantities: Mapping[str, Quantity] | None = None,
    drop: Iterable[int] = (),
    delta: Iterable[float] = (),
    noise: Iterable[Noise] = (),
    law: Iterable[Law] = (),
    support: Mapping[str, Iterable[float]] | None = None,
    resampling: Resampling | None = None,
    priors: bool = False,
    level: float = 0.9,
) -> tuple[Row, ...]:
    """Estimates and bootstrap intervals under one changed decision after the other.

    Args:
        key: the random key.
        model: the model; its row comes first.
        runs: the table.
        quantities: name -> the name of a parameter, or a function of a fit; the parameters of the law, if None. A law
            that has no such parameter, or on which the function raises ValueError or KeyError, has no such answer.
        drop: how many of the highest losses are left out; runs that tie with the last of them go with it.
        delta: Huber's delta, of the noise that has one.
        noise: other kinds of noise.
        law: other laws.
        support: covariate, or ratio such as "D/N" -> the shares of runs that are left out at each of its ends.
        resampling: how replicates are drawn.
        priors: whether the priors count.
        level: the probability of the intervals.

    Raises:
        ValueError: fewer runs are left than the law has parameters; or nothing has a delta.
    """
    deltas = list(delta)
    if deltas and "delta" not in model.noise.settings:
        raise ValueError(f"{model.noise.name} noise has no delta; take huber")
    wanted = dict(quantities) if quantities is not None else {p: p for p in model.law.parameters}
    whole = np.asarray(runs.weight, float)

    def row(changed: str, to: str, other: Model, kept: np.ndarray) -> Row:
        if kept.sum() < len(other.law.parameters):
            raise ValueError(
                f"{changed} {to}: {kept.sum()} runs are left, and {other.law.name} has {len(other.law.parameters)} "
                "parameters"
            )
        some = runs.replace(weight=whole * kept)
        study = bootstrap(key, other, some, replicates=REPLICATES, resampling=resampling, priors=priors)
        answers = {}
        for name, of in wanted.items():
            try:
                answers[name] = _answer(study, of, level)
            except (ValueError, KeyError):
                if other is model:
                    raise
        return Row(changed, to, int((~kept).sum()), study.converged, answers)

    everything = np.ones(len(runs), bool)
    rows = [row("", "", model, everything)]
    rows += [row("drop", str(k), model, _without_highest(runs, k)) for k in drop]
    for d in deltas:
        other = model.noise.replace(name="huber", settings={"delta": noises.huber(d).settings["delta"]})
        rows.append(row("delta", f"{d:g}", model.replace(noise=other), everything))
    rows += [row("noise", other.name, model.replace(noise=other), everything) for other in noise]
    rows += [row("law", other.name, model.replace(law=other), everything) for other in law]
    for by, shares in (support or {}).items():
        rows += [row(f"support {by}", f"{share:g}", model, inner(runs, by, share)) for share in shares]
    return tuple(rows)


def _answer(study: Study, quantity: Quantity, level: float) -> tuple[float, float, float]:
    interval = study.interval(quantity, level=level)
    return study.estimate(quantity), interval.low.value, interval.high.value


def _without_highest(runs: Runs, count: int) -> np.ndarray:
    """Which runs are below the `count` highest responses, (runs,)."""
    there = np.asarray(runs.weight) > 0
    response = np.asarray(runs.response)
    if not 0 <= count < there.sum():
        raise ValueError(f"drop is {count}; it is from 0 to {there.sum() - 1}, one less than there are runs")
    return response < np.sort(response[there])[-count] if count else np.ones(len(runs), bool)


def inner(runs: Runs, by: str, share: float) -> np.ndarray:
    """Which runs are left without a share of them at either end of a covariate, or of a ratio of two."""
    if by.count("/") > 1 or not 0 <= share < 0.5:
        raise ValueError(f"support is {by!r} by {share}; it is a covariate or a ratio, and a share below 0.5")
    values = covariate(runs, by)
    low, high = np.quantile(values[np.asarray(runs.weight) > 0], [share, 1 - share])
    return (values >= low) & (values <= high)


def covariate(runs: Runs, by: str) -> np.ndarray:
    """A covariate of the runs, or a ratio of two such as "D/N", (runs,)."""
    above, *below = by.split("/")
    for column in (above, *below):
        if column not in runs.columns:
            raise ValueError(f"there is no column {column} to cut by; there are {', '.join(runs.columns)}")
    values = np.asarray(runs.columns[above])
    return values / np.asarray(runs.columns[below[0]]) if below else values
