"""Points without responses: the table of them, and what runs and levels not seen yet add at random."""

import warnings
from collections.abc import Callable, Iterable, Mapping
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jax import Array, random

from bayescale.model import Model, effect_of, shocked, varies_by
from bayescale.runs import Runs

Flat = Callable[[str], np.ndarray]  # the draws of a site, (draws, ...)
TOGETHER = ("N", "D", "C")  # of which each follows from the two others


def complete(points: Mapping[str, npt.ArrayLike]) -> dict[str, np.ndarray]:
    """The points with what follows from C = 6ND where a law needs it."""
    found = {c: np.asarray(v, float) for c, v in points.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # zeros are refused later, by name
        if {"N", "D"} <= set(found):
            found.setdefault("C", 6 * found["N"] * found["D"])
        elif {"N", "C"} <= set(found):
            found["D"] = found["C"] / (6 * found["N"])
        elif {"D", "C"} <= set(found):
            found["N"] = found["C"] / (6 * found["D"])
    return found


def meant(model: Model) -> set[str]:
    """The covariates of a point of a model: its own, and N, D and C where it is in one of them or in none."""
    own = {*model.law.covariates, *model.noise.covariates}
    return own | {"trials"} | (set(TOGETHER) if not own or own & set(TOGETHER) else set())


def known(model: Model, covariates: Iterable[str]) -> None:
    """Refuse covariates that neither law nor noise is in, but for N, D and C, which follow from each other.

    Raises:
        ValueError: which covariate it is, and those that there are.
    """
    if unknown := [c for c in covariates if c not in meant(model)]:
        axes = ", ".join(dict.fromkeys((*model.law.covariates, *model.noise.covariates))) or "no covariate"
        raise ValueError(f"law {model.law.name} is in {axes}; leave {unknown[0]} out")


def grid(model: Model, runs: Runs, points: Mapping[str, npt.ArrayLike]) -> Runs:
    """The points as a table of runs without responses, measured as `runs` are.

    Raises:
        ValueError: a covariate of the model is missing, or not positive.
    """
    needed = (*model.law.covariates, *model.noise.covariates)
    columns = {c: np.atleast_1d(v) for c, v in complete(points).items()}
    missing = [c for c in needed if c not in columns]
    if missing:
        raise ValueError(f"{model.law.name} needs {', '.join(needed)} at each point; {missing[0]} is missing")
    for c, values in columns.items():
        if c not in (*needed, "N", "D", "C", "trials"):
            continue
        low, high = model.law.absolute.get(c, (0.0, np.inf))
        if c in model.law.absolute and not ((values >= low) & (values <= high)).all():
            raise ValueError(
                f"{c} at a point is {values[:1]}; law {model.law.name} takes {low:g} to {high:g}"
            )
        if c not in model.law.absolute and not (np.isfinite(values) & (values > 0)).all():
            raise ValueError(f"{c} at a point is {values[~(values > 0)][:1]}; it is a positive number")
    if runs.kind == "success" and "trials" not in columns:
        columns["trials"] = np.ones(1)
    columns = dict(zip(columns, np.broadcast_arrays(*columns.values()), strict=True))
    size = len(next(iter(columns.values()))) if columns else 1
    return runs.replace(columns=columns, response=None, factors={}, weight=np.ones(size), levels={})


def new_levels(model: Model, flat: Flat, key: Array) -> dict[str, Array]:
    """The deviations of a level not seen yet of every factor that parameters differ by, each (draws,)."""
    names = [p + varies_by(pooling.by) for pooling in model.pooling for p in pooling.vary]
    scales = {name: jnp.asarray(flat(f"{name}_scale")) for name in names}
    keys = random.split(key, max(len(names), 1))
    return {n: scales[n] * random.normal(k, scales[n].shape) for n, k in zip(names, keys, strict=False)}


def new_shocks(model: Model, flat: Flat, key: Array, shape: tuple[int, int]) -> Array:
    """One shock for each draw and point, from the effects together."""
    total = jnp.zeros(shape)
    for effect in model.effects or ():
        key, own = random.split(key)
        scale = jnp.asarray(flat(f"{effect_of(effect.by)}_scale"))[:, None]
        total += scale * random.normal(own, shape)
    return total


@partial(jax.jit, static_argnums=0)
def means(model: Model, points: Runs, parameters: Mapping[str, Array]) -> Array:
    """The mean at each point for each draw of the parameters, (draws, points)."""
    return jnp.asarray(jax.vmap(lambda own: model.mean(points, own))(parameters))


@partial(jax.jit, static_argnums=0)
def responses(
    model: Model, points: Runs, keys: Array, parameters: Mapping[str, Array], shocks: Array
) -> Array:
    """A response at each point for each draw of the parameters, (draws, points)."""

    def draw(key, own, shock):
        mean = shocked(model.mean(points, own), shock, model.law.response)
        return model.noise(mean, points, own).sample(key)

    return jnp.asarray(jax.vmap(draw)(keys, parameters, shocks))
