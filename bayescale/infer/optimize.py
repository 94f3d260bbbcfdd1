"""Point fits: the mode of the posterior or of the likelihood, and the normal distribution about it."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, random
from jax.scipy.stats import norm

from bayescale import diagnostics, parallel
from bayescale.fit import Fit
from bayescale.infer.density import Density
from bayescale.infer.mode import Mode, find, frame
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
        density = Density.of(model, runs)
        mode = find(density, runs, key, priors=priors)
        values = jax.device_get(density.values(jnp.asarray(mode.position), runs))
    draws = {name: np.asarray(value)[None, None] for name, value in values.items()}
    method = "map" if priors else "maximum_likelihood"
    return Fit(model, runs, draws, method, _stats(density, mode) | provenance(key))


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
        vectors = position + normal @ root.T
        weights = jax.vmap(lambda v: density.log_posterior(v, runs, chart))(vectors) - norm.logpdf(
            normal
        ).sum(axis=1)
        values = jax.device_get(jax.vmap(lambda v: density.values(v, runs, chart))(vectors))
    found = {name: np.asarray(value)[None] for name, value in values.items()}
    k = diagnostics.pareto_k(np.nan_to_num(np.asarray(weights), nan=-np.inf))
    return Fit(model, runs, found, "laplace", _stats(density, mode) | {"pareto_k": k} | provenance(key))


def _stats(density: Density, mode: Mode) -> dict:
    bound = [s.name for s in density.sites if mode.at_bound[s.start : s.start + s.size].any()]
    return {
        "log_density": mode.log_density,
        "mode_converged": mode.converged,
        "at_bound": bound,
        "mode_agreed": mode.agreed,
        "mode_starts": mode.starts,
        "rival": mode.rival,
    }
