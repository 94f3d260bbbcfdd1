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
    ends = minima(objective, starts, base, runs, changes, mixed=False, curved=True)
    ended = ends.converged | jnp.any(ends.at_bound, axis=1)
    value = jnp.where(ended, ends.value, jnp.inf).reshape(tables, STARTS)
    best = jnp.argmin(value, axis=1)
    assert ends.hessian is not None
    here = jnp.arange(tables) * STARTS + best
    at = anchor(density.model, runs)
    made = _frames(density, ends.position[here], ends.hessian[here], at, runs, responses)
    return made, jnp.isfinite(jnp.min(value, axis=1))


@partial(jax.jit, static_argnames="density")
def _frames(density, positions, precisions, anchor, runs, responses) -> Frame:
    def one(position, precision, response):
        return frame_at(density, position, precision, anchor, runs.replace(response=response))

    return jax.vmap(one)(positions, precisions, responses)
