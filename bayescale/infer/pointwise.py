"""What a posterior says of each run of a table: its density, and what might have been measured in its place."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, random
from numpyro.distributions.distribution import validation_enabled

from bayescale import parallel
from bayescale.fit import Fit
from bayescale.model import Model
from bayescale.runs import Runs

BATCH = 500  # draws at once


def log_likelihood(fit: Fit) -> np.ndarray:
    """The log density of the response of each run at each draw, (draws, runs), in natural units.

    Runs of the weight 0 have theirs too, each at the levels it is of: levels that no other run is of deviate as those
    of their factor do.
    """
    with parallel.workbench():
        return np.concatenate([jax.device_get(_densities(fit.model, part, fit.runs)) for part in _parts(fit)])


def responses(key: Array, fit: Fit) -> np.ndarray:
    """What might be measured in the place of each run, (draws, runs): a response at the levels it is of, with noise."""
    with parallel.workbench():
        keys = random.split(key, -(-len(fit) // BATCH))
        parts = zip(keys, _parts(fit), strict=True)
        return np.concatenate([jax.device_get(_drawn(fit.model, own, part, fit.runs)) for own, part in parts])


def _parts(fit: Fit):
    """The draws, so many at a time."""
    flat = {name: jnp.asarray(fit.flat(name)) for name in fit.draws}
    for begin in range(0, len(fit), BATCH):
        yield {name: values[begin : begin + BATCH] for name, values in flat.items()}


@partial(jax.jit, static_argnums=0)
def _densities(model: Model, draws: dict[str, Array], runs: Runs) -> Array:
    def one(values):
        return jnp.asarray(likelihood_of(model, values, runs).log_prob(runs.response))

    return jax.vmap(one)(draws)


@partial(jax.jit, static_argnums=0)
def _drawn(model: Model, key: Array, draws: dict[str, Array], runs: Runs) -> Array:
    def one(key, values):
        return jnp.asarray(likelihood_of(model, values, runs).sample(key))

    count = len(next(iter(draws.values())))
    return jax.vmap(one)(random.split(key, count), draws)


def likelihood_of(model: Model, values: dict[str, Array], runs: Runs):
    """The distribution of the responses at the values of one draw."""
    factors = model.factors.items()
    shifts = {by: jnp.stack([values[name] for name in names], axis=-1) for by, names in factors}
    with validation_enabled(False):
        return model.noise(model.expected(runs, values, shifts), runs, values)
