"""Bootstraps of simulated tables, and where the truth lies in their intervals: what calibration asks of them."""

from collections.abc import Callable
from typing import Any

import numpy as np
from jax import Array

from bayescale.check.calibrated import RANKS
from bayescale.fit import Fit
from bayescale.infer.bootstrap import bootstrap
from bayescale.infer.resample import Resampling
from bayescale.infer.study import KINDS, Study
from bayescale.model import Model
from bayescale.runs import Runs

REFITS = {"draws": 1000, "interval": "percentile", "resampling": "pairs"}


def check(given: dict[str, Any]) -> None:
    """Refuse what no bootstrap is made with.

    Raises:
        ValueError: there is no such setting, interval or resampling.
    """
    if wrong := sorted(set(given) - set(REFITS)):
        raise ValueError(f"a bootstrap has no setting {wrong[0]!r}; it has {', '.join(REFITS)}")
    if given["interval"] not in KINDS:
        raise ValueError(f"there is no interval {given['interval']!r}; there are {', '.join(KINDS)}")
    Resampling(given["resampling"])


def resampled(key: Array, model: Model, table: Runs, *, draws: int, interval: str, resampling: str) -> Study:
    """The bootstrap of one table: what effects say that runs share is resampled as a whole, and not fitted."""
    cluster = tuple(effect.by for effect in model.effects or ())
    return bootstrap(
        key,
        model.replace(effects=()),
        table,
        replicates=draws,
        resampling=Resampling(resampling, cluster),
        errors=interval == "studentised",
    )


def within(
    study: Study, quantity: Callable[[Fit], np.ndarray], value: float, interval: str
) -> tuple[np.ndarray, int, float]:
    """The replicates of a quantity, and the rank and the tail that its intervals give to a value."""
    below = study.below(quantity, value, kind=interval)
    return study.values(quantity), min(int(below * (RANKS + 1)), RANKS), below
