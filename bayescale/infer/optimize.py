"""Point fits: the mode of the posterior or of the likelihood, and the normal distribution about it."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, random
from jax.scipy.stats import norm

from bayescale import diagnostics, parallel
from bayescale.fit import Fit
from bayescale.infer.density import Density
from bayescale.infer.frame import frame
from bayescale.infer.mode import find
from bayescale.infer.objective import Objective
from bayescale.infer.point import Point, descend, search
from bayescale.model import Model
from bayescale.provenance import provenance
from bayescale.runs import Runs


def optimize(key: Array, model: Model, runs: Runs, *, priors: bool = True) -> Fit:
    """The mode of the posterior, from many starts at once; or, without priors, that of the likelihood.

    Where levels have deviations of their own it is the mode given the scales, and the scales maximise the posterior
    averaged over the deviations: the joint mode would be worthless.

    Args:
        key: the random key, for the starts.
        model: the model; effects left open are chosen from the table.
        runs: the table.
        priors: whether the priors count; the likelihood of Huber noise alone gives the Huber estimate.

    Returns:
        A fit of one draw. It has converged if the Newton decrement has vanished where the curvature is
        positive; `stats["at_bound"]` names the parameters that ran to their bounds.
    """
    model = model.specialise(runs)
    with parallel.workbench():
        objective = Objective.of(model, runs, priors=priors)
        found = point(key, objective, model, runs)
    return fitted(objective, found, model, runs, provenance(key))


def point(key: Array, objective: Objective, model: Model, runs: Runs) -> Point:
    """The best minimum that is reached from many starts; of a model with deviations, the mode given its scales."""
    settings = model.noise.settings
    if not model.factors:
        return search(key, objective, settings, runs)
    own = Density.of(model, runs)
    mode = find(own, runs, key)
    base = objective.density.unconstrain({**own.constrain(jnp.asarray(mode.position)), **settings})
    found = descend(objective, base[None, objective.places], base, settings, runs)
    starts = {name: mode.stats[name] for name in ("mode_agreed", "mode_starts", "rival")}
    converged = found.stats["mode_converged"] and mode.stats["mode_converged"]
    return found._replace(stats=found.stats | starts | {"mode_converged": converged})


def fitted(objective: Objective, found: Point, model: Model, runs: Runs, stats: dict[str, Any]) -> Fit:
    """The fit of one draw that a minimum is."""
    with parallel.workbench():
        vector = jnp.asarray(found.bases[-1]).at[objective.places].set(found.position)
        values = jax.device_get(objective.density.values(vector, runs))
    draws = {n: np.asarray(v)[None, None] for n, v in values.items() if n not in objective.settings}
    method = "map" if objective.priors else "maximum_likelihood"
    return Fit(model, runs, draws, method, found.stats | stats)


def laplace(key: Array, model: Model, runs: Runs, *, draws: int = 4000) -> Fit:
    """Draws from the normal distribution at the mode, with the Pareto-k of their importance weights.

    A quick look where NUTS is too slow. A Pareto-k above 0.7 says that the posterior is not like that.
    """
    model = model.specialise(runs)
    key_mode, key_draws = random.split(key)
    with parallel.workbench():
        density = Density.of(model, runs)
        mode = find(density, runs, key_mode)
        chart, position, root = frame(density, mode, runs)
        normal = random.normal(key_draws, (draws, density.size))
        weights, values = jax.device_get(_weighed(density, normal, runs, chart, position, root))
    found = {name: np.asarray(value)[None] for name, value in values.items()}
    k = diagnostics.pareto_k(np.nan_to_num(np.asarray(weights), nan=-np.inf))
    return Fit(model, runs, found, "laplace", mode.stats | {"pareto_k": k} | provenance(key))


@partial(jax.jit, static_argnums=0)
def _weighed(density: Density, normal: Array, runs: Runs, chart, position: Array, root: Array):
    """The log importance weights and the values of draws of the normal distribution at the mode."""

    def one(vector):
        return density.log_posterior(vector, runs, chart), density.values(vector, runs, chart)

    log_density, values = jax.vmap(one)(position + normal @ root.T)
    return log_density - norm.logpdf(normal).sum(axis=1), values
