"""Floors that are fixed: which laws have one, and what a fit would be with another."""

from collections.abc import Callable
from functools import lru_cache, wraps

import jax
import numpy as np
from jax.typing import ArrayLike

from bayescale import parallel
from bayescale.law import Law

PINNED = 0.05  # the middle half of the prior of a floor that is called fixed is not wider
FAR = 1e100  # where nothing is left of any power that matters
DRAWS = 200  # of the prior
SOME = 0.01  # of the least loss: a floor below it is none


def floor_of(law: Law) -> str | None:
    """The parameter that is the floor of a law of loss."""
    return law.floor or ("E" if "E" in law.parameters and law.response == "loss" else None)


@lru_cache
def pinned(law: Law) -> float | None:
    """What a law of loss comes down to, relative to the least loss measured, where its priors leave no choice; or None.

    A floor that is written into the formula counts as one whose prior is narrow.
    """
    if law.response != "loss" or not law.covariates or law.irrelevant:
        return None
    with parallel.workbench():
        key = jax.random.key(0)
        drawn = {p: np.asarray(prior.sample(key, (DRAWS,))) for p, prior in law.priors.items()}
        reached = np.broadcast_to(np.asarray(law(dict.fromkeys(law.covariates, FAR), drawn)), DRAWS)
    low, middle, high = np.quantile(reached, (0.25, 0.5, 0.75))
    # A comparison with nan is false: a law that cannot be evaluated so far out has no floor there.
    return float(middle) if middle > SOME and high - low <= PINNED * middle else None


def lifted(law: Law, by: float) -> Law:
    """The law with `by` added to its mean, in the unit of the least loss measured."""
    return law.replace(mean=_lifted(law.mean, by), floor=None, terms=(), natural=None)


def _lifted(mean: Callable[..., ArrayLike], by: float) -> Callable[..., ArrayLike]:
    @wraps(mean)  # the signature is the specification
    def moved(*covariates, **parameters):
        return mean(*covariates, **parameters) + by

    return moved
