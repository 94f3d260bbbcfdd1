"""The modes of many tables of one design at once, and the frames there."""

from functools import partial

import jax
import jax.numpy as jnp
from jax import Array

from bayescale.infer.chart import anchor
from bayescale.infer.density import Density
from bayescale.infer.frame import Frame, frame_at
from bayescale.infer.objective import Objective
from bayescale.infer.refit import minima
from bayescale.runs import Runs

STARTS = 16  # draws from the prior for each table; a fit of one table takes 64


def frames(keys: Array, density: Density, runs: Runs, responses: Array) -> tuple[Frame, Array]:
    """The frame of each of some tables, and whether a mode was found.

    Args:
        keys: for the starts of each table, which are drawn from the prior, (tables,).
        density: the density of a model none of whose levels deviate.
        runs: the design.
        responses: of each table, (tables, runs).

    Returns:
        The frames, with the tables in front of every array, and (tables,).
    """
    tables, size = len(responses), density.size
    objective = Objective.of(density.model, runs, priors=True)
    drawn = jax.vmap(lambda key: density.prior_draws(key, STARTS))(keys)
    starts = drawn.reshape(tables * STARTS, size)
    settings = density.model.noise.settings
    base = objective.density.unconstrain({**density.constrain(starts[0]), **settings})
    changes = {"response": jnp.repeat(responses, STARTS, axis=0)}
    ends = minima(objective, starts, base, runs, changes, mixed=False)
    ended = ends.converged | jnp.any(ends.at_bound, axis=1)
    value = jnp.where(ended, ends.value, jnp.inf).reshape(tables, STARTS)
    best = jnp.argmin(value, axis=1)
    positions = ends.position.reshape(tables, STARTS, size)[jnp.arange(tables), best]
    made = _frames(density, objective, positions, base, anchor(density.model, runs), runs, responses)
    return made, jnp.isfinite(jnp.min(value, axis=1))


@partial(jax.jit, static_argnames=("density", "objective"))
def _frames(density, objective, positions, base, anchor, runs, responses) -> Frame:
    def one(position, response):
        table = runs.replace(response=response)
        precision = objective.look(position, base, table).hessian
        return frame_at(density, position, precision, anchor, table)

    return jax.vmap(one)(positions, responses)
