"""Residuals: how far each response is from what a fit takes its mean to be."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from bayescale import parallel
from bayescale.fit import Fit
from bayescale.model import Model, effect_of
from bayescale.runs import Runs

DRAWS = 256  # of a posterior: their mean is known to a sixteenth of its standard deviation
NORMAL = 1.4826  # standard deviations of normal noise are so many times the median distance from the median


def residuals(fit: Fit, *, shocks: bool = False) -> np.ndarray | None:
    """What is left of each response once the law and the shocks of levels are taken off, (runs,).

    It is the mean over draws, on the log where the noise adds there; where the noise is wider for some runs than for
    others, as if it were sigma for all. None for noise without residuals, such as that of a number of successes.

    Args:
        fit: the fit.
        shocks: whether to leave the shocks in.
    """
    if fit.model.noise.residuals is None:
        return None
    pick = np.unique(np.linspace(0, len(fit) - 1, min(DRAWS, len(fit))).astype(int))
    with parallel.workbench():
        draws = {name: jnp.asarray(fit.flat(name)[pick]) for name in fit.draws}
        return np.asarray(_mean(fit.model, shocks, draws, fit.runs))


def spread(residual: np.ndarray) -> float:
    """The standard deviation that normal noise would have, from the middle half of residuals."""
    return float(NORMAL * np.median(np.abs(residual - np.median(residual))))


@partial(jax.jit, static_argnums=(0, 1))
def _mean(model: Model, shocks: bool, draws: dict[str, Array], runs: Runs) -> Array:
    def one(values: dict[str, Array]) -> Array:
        shifts = {}
        for by, names in model.factors.items():
            kept = [values[name] * (0.0 if shocks and name == effect_of(by) else 1.0) for name in names]
            shifts[by] = jnp.stack(kept, axis=-1)
        mean, response = model.expected(runs, values, shifts), jnp.asarray(runs.response)
        left = jnp.log(response / mean) if model.noise.residuals == "log" else response - mean
        return left / model.noise.widening(runs, values)

    return jnp.mean(jax.vmap(one)(draws), axis=0)
