"""The best minimum of an objective from many starts, for models without deviations of levels."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from bayescale.infer.objective import Objective
from bayescale.infer.refit import Refits, minima
from bayescale.runs import Runs

STARTS = 64  # draws from the prior
FEW_RUNS = (
    60  # with fewer, one start reaches the best minimum in 98% of replicates only, and kinks bar the way
)
# Huber's delta where Newton's method finds its way from anywhere, and the factor by which it goes down from there.
SMOOTH, FACTOR = 1e-3, 10.0
SMOOTH_FOR_FEW, FACTOR_FOR_FEW = 3e-2, 3.0


class Point(NamedTuple):
    """The fit of a table.

    Attributes:
        position: what is free, (free,).
        hessian: the second derivatives there of what is minimised, with the last scale that was held, (free, free).
        bases: flat vectors that have what is held, (rungs, size).
        stats: what there is to say of it, as of a `Fit`.
    """

    position: np.ndarray
    hessian: np.ndarray
    bases: np.ndarray
    stats: dict[str, Any]


def search(key: Array, objective: Objective, settings: Mapping[str, float], runs: Runs) -> Point:
    """The best minimum that is reached from draws from the prior, with these settings of the noise."""
    drawn = objective.density.prior_draws(key, STARTS)
    return descend(objective, drawn[:, objective.places], drawn[0], settings, runs)


def descend(
    objective: Objective, starts: Array, base: Array, settings: Mapping[str, float], runs: Runs
) -> Point:
    """The best minimum that is reached from some starts.

    Args:
        objective: what is minimised.
        starts: (starts, free).
        base: a flat vector of the density that has what is held, but for the settings, (size,).
        settings: those of the noise.
        runs: the table.
    """
    density = objective.density
    bases, firsts, best = [], [], 0
    refits = Refits(*jnp.zeros((5, 1)))
    for rung in _rungs(settings, runs):
        for name, value in rung.items():
            base = base.at[density.place(name)].set(np.log(value))
        # The second time the scale is that of the first estimate, so that values are in nats.
        for _ in range(2 if objective.scale_follows else 1):
            refits = jax.device_get(minima(objective, starts, base, runs, {}, mixed=False, curved=True))
            starts, best = jnp.asarray(refits.position), _best(refits)
            if objective.scale_follows:
                scale = objective.scale(jnp.asarray(refits.value[best]), base, runs)
                base = base.at[density.place("sigma")].set(scale)
        bases.append(np.asarray(base))
        firsts.append(refits)
        starts = jnp.tile(starts[best], (len(starts), 1))  # what is best where the way is smooth leads on
    position = refits.position[best]
    vector = jnp.asarray(bases[-1]).at[objective.places].set(position)
    log_density = density.log_likelihood(vector, runs)
    if objective.priors:
        log_density += density.log_prior(vector)
    bound = objective.places[refits.at_bound[best]]
    stats = {
        "log_density": float(log_density),
        "mode_converged": bool(refits.converged[best]),
        "at_bound": [s.name for s in density.sites if np.isin(density.places(s.name), bound).any()],
        **_agreement(firsts[0]),
    }
    assert refits.hessian is not None
    return Point(np.asarray(position), np.asarray(refits.hessian[best]), np.array(bases), stats)


def _rungs(settings: Mapping[str, float], runs: Runs) -> list[dict[str, float]]:
    """The settings of the noise; those of a small delta at the end of a ladder of deltas that leads there."""
    delta, factor = (SMOOTH, FACTOR) if len(runs) >= FEW_RUNS else (SMOOTH_FOR_FEW, FACTOR_FOR_FEW)
    ladder = []
    while delta > 1.01 * settings.get("delta", delta):
        ladder.append({**settings, "delta": delta})
        delta /= factor
    return [*ladder, dict(settings)]


def _ended(refits: Refits) -> np.ndarray:
    return np.asarray(refits.converged | refits.at_bound.any(axis=1))


def _best(refits: Refits) -> int:
    value = np.where(np.isfinite(refits.value), refits.value, np.inf)
    # A start that stopped on the way is taken only where no other ended anywhere.
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
