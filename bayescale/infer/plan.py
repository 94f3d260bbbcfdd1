"""The plan of a bootstrap: the fit of the table itself, from many starts, and what replicates are drawn about."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from bayescale.infer import mode
from bayescale.infer.density import Density
from bayescale.infer.objective import Objective
from bayescale.infer.refit import Refits, minima
from bayescale.infer.resample import About, residuals
from bayescale.model import Model
from bayescale.runs import Runs

FIRST_STARTS = 64  # of the fit of the table itself
STARTS = 4  # of a replicate: that fit, and draws from the prior where that is not enough
FEW_RUNS = (
    60  # with fewer, one start reaches the best minimum in 98% of replicates only, and kinks bar the way
)
# Huber's delta where Newton's method finds its way from anywhere, and the factor by which it goes down from there.
SMOOTH, FACTOR = 1e-3, 10.0
SMOOTH_FOR_FEW, FACTOR_FOR_FEW = 3e-2, 3.0


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


class Point(NamedTuple):
    """The fit of a table itself.

    Attributes:
        position: what is free, (free,).
        bases: flat vectors that have what is held, (rungs, size).
        stats: what there is to say of it, as of a `Fit`.
    """

    position: np.ndarray
    bases: np.ndarray
    stats: dict[str, Any]


def point(key: Array, objective: Objective, model: Model, runs: Runs) -> Point:
    """The best minimum that is reached from many starts; of a model with deviations, the mode given its scales."""
    density = objective.density
    if model.factors:
        own = Density.of(model, runs)
        values = own.constrain(jnp.asarray(mode.find(own, runs, key).position))
        base = density.unconstrain({**values, **model.noise.settings})
        starts = jnp.tile(base[objective.places], (FIRST_STARTS, 1))
    else:
        drawn = density.prior_draws(key, FIRST_STARTS)
        base, starts = drawn[0], drawn[:, objective.places]
    bases, firsts, best = [], [], 0
    refits = Refits(*jnp.zeros((5, 1)))
    for rung in _rungs(model, runs):
        for name, value in rung.items():
            base = base.at[density.place(name)].set(np.log(value))
        # The second time the scale is that of the first estimate, so that values are in nats.
        for _ in range(2 if objective.scale_follows else 1):
            refits = jax.device_get(minima(objective, starts, base, runs, {}, mixed=False))
            starts, best = jnp.asarray(refits.position), _best(refits)
            if objective.scale_follows:
                scale = objective.scale(jnp.asarray(refits.value[best]), base, runs)
                base = base.at[density.place("sigma")].set(scale)
        bases.append(np.asarray(base))
        firsts.append(refits)
        starts = jnp.tile(starts[best], (FIRST_STARTS, 1))  # what is best where the way is smooth leads on
    position = refits.position[best]
    vector = jnp.asarray(bases[-1]).at[objective.places].set(position)
    log_density = density.log_likelihood(vector, runs) + (
        density.log_prior(vector) if objective.priors else 0.0
    )
    bound = objective.places[refits.at_bound[best]]
    stats = {
        "log_density": float(log_density),
        "mode_converged": bool(refits.converged[best]),
        "at_bound": [s.name for s in density.sites if np.isin(density.places(s.name), bound).any()],
        **_agreement(firsts[0]),
    }
    return Point(np.asarray(position), np.array(bases), stats)


def _rungs(model: Model, runs: Runs) -> list[dict[str, float]]:
    """The settings of the noise; those of a small delta at the end of a ladder of deltas that leads there."""
    settings = dict(model.noise.settings)
    delta, factor = (SMOOTH, FACTOR) if len(runs) >= FEW_RUNS else (SMOOTH_FOR_FEW, FACTOR_FOR_FEW)
    ladder = []
    while delta > 1.01 * settings.get("delta", delta):
        ladder.append(settings | {"delta": delta})
        delta /= factor
    return [*ladder, settings]


def _ended(refits: Refits) -> np.ndarray:
    return np.asarray(refits.converged | refits.at_bound.any(axis=1))


def _best(refits: Refits) -> int:
    value = np.where(np.isfinite(refits.value), refits.value, np.inf)
    return int(np.argmin(np.where(_ended(refits), value, np.inf) if _ended(refits).any() else value))


def _agreement(refits: Refits) -> dict[str, Any]:
    """How many of the starts ended at the best minimum, and by how much another one is worse."""
    value = np.where(np.isfinite(refits.value), refits.value, np.inf)
    best = value[_best(refits)]
    gap = value - best if np.isfinite(best) else value
    same = gap <= 1e-6 * max(1.0, abs(float(best)))
    others = gap[refits.converged & ~same]
    return {
        "mode_agreed": int((_ended(refits) & same).sum()),
        "mode_starts": len(value),
        "rival": float(others.min()) if len(others) else float("inf"),
    }


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
