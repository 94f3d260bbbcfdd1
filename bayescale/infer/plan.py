"""The plan of a bootstrap: where refits begin, what they hold, and what replicates are drawn about."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from bayescale.infer.objective import Objective
from bayescale.infer.resample import About, residuals
from bayescale.runs import Runs

STARTS = 4  # of a replicate: the fit of the table, and draws from the prior where that is not enough


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Plan:
    """Where refits begin and what is held.

    Attributes:
        starts: (starts, free); the first is the fit of the table itself, the others are for what it does not serve.
        bases: flat vectors that have what is held, (rungs, size); refits go through the rungs one after the other.
        about: what replicates are drawn about.
    """

    starts: Array
    bases: Array
    about: About


def plan_of(
    objective: Objective, starts: np.ndarray, bases: np.ndarray, runs: Runs, units: list[np.ndarray]
) -> Plan:
    """The plan of refits that begin at `starts` and go through `bases`, with what replicates are drawn about."""
    base = jnp.asarray(bases[-1])
    mean, residual, values = jax.device_get(_about(objective, jnp.asarray(starts[0]), base, runs))
    drawn = About([jnp.asarray(one) for one in units], mean, residual, values)
    return Plan(jnp.asarray(starts), jnp.asarray(bases), drawn)


def _about(
    objective: Objective, position: Array, base: Array, runs: Runs
) -> tuple[Array, Array, dict[str, Array]]:
    """The means of the runs, their residuals had none pulled the law to itself, and the values of the sites."""
    scale = objective.density.model.noise.residuals

    def fitted(free):
        mean = objective.mean(base.at[objective.places].set(free), runs)
        return jnp.log(mean) if scale == "log" else mean

    slopes = jnp.sqrt(jnp.asarray(runs.weight))[:, None] * jax.jacfwd(fitted)(position)
    # Directions that nothing depends on, those of the noise, have no part in it.
    leverage = jnp.einsum("ij,ji->i", slopes, jnp.linalg.pinv(slopes))
    vector = base.at[objective.places].set(position)
    mean = objective.mean(vector, runs)
    residual = residuals(mean, runs, scale) / jnp.sqrt(jnp.maximum(1 - leverage, 1e-3))
    return mean, residual, objective.density.constrain(vector)
