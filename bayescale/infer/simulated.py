"""Simulated tables: parameters that the priors draw, or that are given, and the responses that a model then has."""

from collections.abc import Mapping
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, random
from numpyro import handlers
from numpyro.distributions.distribution import validation_enabled

from bayescale import parallel
from bayescale.fit import Fit
from bayescale.infer.pointwise import responses
from bayescale.model import Model
from bayescale.runs import Runs

METHOD = "simulated"
STATS = {"at_bound": (), "mode_converged": True}


def from_priors(keys: Array, model: Model, design: Runs) -> tuple[Fit, np.ndarray]:
    """Parameters from the priors, and responses from the model at each.

    Reference run and unit stay those of the design, whatever the responses: the priors do not move.

    Args:
        keys: a random key for each table, (tables,).
        model: the model; effects left open are chosen from the design.
        design: the runs; their responses do not matter.

    Returns:
        The truth, a fit with one draw for each table, and the responses, (tables, runs).
    """
    model = model.specialise(design)
    with parallel.workbench():
        blank = design.replace(weight=np.ones(len(design)), response=np.ones(len(design)))
        values, drawn = jax.device_get(_drawn(model, keys, blank))
    sites = {name: np.asarray(value)[None] for name, value in values.items()}
    return Fit(model, design, sites, METHOD, STATS), np.asarray(drawn, float)


@partial(jax.jit, static_argnums=0)
def _drawn(model: Model, keys: Array, design: Runs) -> tuple[dict[str, Array], Array]:
    def one(key):
        with validation_enabled(False), handlers.trace() as trace, handlers.seed(rng_seed=key):
            model(design.replace(response=None))
        values = {
            name: jnp.asarray(site["value"])
            for name, site in trace.items()
            if site["type"] in ("sample", "deterministic") and not name.endswith(("_raw", "_change"))
        }
        return values, values.pop("response")

    return jax.vmap(one)(keys)


def truth_of(model: Model, design: Runs, parameters: Mapping[str, float]) -> Fit:
    """Given parameters as a fit of one draw.

    Args:
        model: the model.
        design: the runs; their responses do not matter.
        parameters: of the law in natural units, those of the noise as they are, and with an effect "size_effect_scale".

    Raises:
        ValueError: a parameter is missing or unknown.
    """
    model = model.specialise(design)
    if model.pooling:
        raise ValueError("parameters that differ by level have no one truth; draw it from the priors")
    scales = [f"{name}_scale" for names in model.factors.values() for name in names]
    known = [*model.priors, *scales]
    if wrong := sorted(set(known) ^ set(parameters)):
        said = "is missing" if wrong[0] in known else "is unknown"
        raise ValueError(f"{wrong[0]} {said}; the truth of this model has {', '.join(known)}")
    with parallel.workbench():
        own = {p: float(parameters[p]) for p in model.law.parameters}
        found = {p: float(v) for p, v in model.law.to_reference(own, design.reference, design.unit).items()}
    found |= {name: float(parameters[name]) for name in known if name not in own}
    return Fit(model, design, {name: np.full((1, 1), value) for name, value in found.items()}, METHOD, STATS)


def from_truth(keys: Array, truth: Fit) -> tuple[Fit, np.ndarray]:
    """Responses at given parameters, with new shocks of each effect; as `from_priors` returns them."""
    model, count = truth.model, len(keys)
    draws = {name: np.repeat(values, count, axis=1) for name, values in truth.draws.items()}
    with parallel.workbench():
        key, *own = random.split(keys[0], 1 + len(model.factors))
        for by, of_shocks in zip(model.factors, own, strict=True):
            (name,) = model.factors[by]
            normal = np.asarray(random.normal(of_shocks, (count, len(truth.runs.levels[by]))))
            draws[name] = (draws[f"{name}_scale"][0][:, None] * normal)[None]
    fit = truth.replace(draws=draws)
    return fit, np.asarray(responses(key, fit), float)


def table_of(design: Runs, response: np.ndarray) -> Runs:
    """The design with other responses; reference run and unit stay."""
    return design.replace(response=response, source=f"simulated, {design.source}", notes=())
