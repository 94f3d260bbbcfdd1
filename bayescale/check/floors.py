"""The floor of a law, the parameters that no unit is in, and laws whose floor is fixed."""

import inspect
from functools import lru_cache

import jax
import numpy as np

from bayescale import parallel
from bayescale.fit import Fit
from bayescale.law import Law

PINNED = 0.05  # the middle half of the prior of a floor that is called fixed is not wider
FAR = 1e100  # where nothing is left of any power that matters
DRAWS = 200  # of the prior
SOME = 0.01  # of the least loss: a floor below it is none
LIFT = "lift"  # the covariate that a fixed floor is multiplied by


def floor_of(law: Law) -> str | None:
    """The parameter that is the floor of a law of loss."""
    return law.floor or ("E" if "E" in law.parameters and law.response == "loss" else None)


def exponents_of(fit: Fit) -> tuple[str, ...]:
    """The parameters that no unit is in, such as exponents; all of them where a law does not say how units enter."""
    relative = {p: np.atleast_1d(np.median(fit.flat(p))) for p in fit.model.law.parameters}
    with parallel.workbench():
        natural = fit.natural(relative)
    return tuple(p for p, v in relative.items() if np.isclose(float(natural[p][0]), float(v[0]), rtol=1e-9))


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


def lifted(law: Law, floor: float) -> Law:
    """The law with its fixed floor, relative to the least loss, times a covariate `lift`."""
    signature = inspect.signature(law.mean)
    parameters = list(signature.parameters.values())
    place = sum(p.kind is p.POSITIONAL_OR_KEYWORD for p in parameters)
    parameters.insert(place, inspect.Parameter(LIFT, inspect.Parameter.POSITIONAL_OR_KEYWORD))

    def mean(*covariates, **values):
        return law.mean(*covariates[:-1], **values) + floor * (covariates[-1] - 1)

    mean.__signature__ = signature.replace(parameters=parameters)  # pyright: ignore[reportFunctionMemberAccess]
    return law.replace(mean=mean, floor=None, terms=(), natural=None)
