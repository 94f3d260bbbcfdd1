"""Levels within levels, such as tasks in families: what the data say of a family is what they say of its tasks."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from bayescale.pooling import Local, inverse
from bayescale.runs import Runs

NOTHING = 1e-9  # a precision, where there are no data, so that an estimate is a number


def nested(parameters: Mapping[str, tuple[str, ...]], runs: Runs) -> dict[str, dict[str, np.ndarray]]:
    """For each factor within others the level of them that each of its levels is of, factor -> factor -> (levels,).

    A factor is within another where each of its levels is of one level of the other, and it has a deviation in each
    parameter that the other has one in. What has two factors within it, or is within another itself, is left out.

    Args:
        parameters: the parameters that have deviations by each factor.
        runs: the table.
    """
    found: dict[str, dict[str, np.ndarray]] = {}
    for inner in parameters:
        for outer in parameters:
            fewer = len(runs.levels[outer]) < len(runs.levels[inner])
            if fewer and set(parameters[outer]) <= set(parameters[inner]) - {""}:
                index, level = np.asarray(runs.factors[inner]), np.asarray(runs.factors[outer])
                of_levels = np.zeros(len(runs.levels[inner]), int)
                of_levels[index] = level
                if (of_levels[index] == level).all():
                    found.setdefault(inner, {})[outer] = of_levels
    outers = [outer for those in found.values() for outer in those]
    alone = {outer for outer in outers if outers.count(outer) == 1 and outer not in found}
    kept = {inner: {o: v for o, v in those.items() if o in alone} for inner, those in found.items()}
    return {inner: those for inner, those in kept.items() if those and inner not in outers}


def above(inner: Local, scales: Array, centre: Array, places: list[int], index: Array, levels: int) -> Local:
    """What the data say of levels through those within them, whose own deviations are not known.

    Args:
        inner: what they say of the levels within, (inner, parameters).
        scales: of the deviations of those, (parameters,).
        centre: what those are measured from but for the levels above, (parameters,).
        places: which of their parameters the levels above have.
        index: the level above of each, (inner,).
        levels: how many there are above.
    """
    prior = jnp.diag(scales**-2)
    # (1 / precision + scales^2)^-1, also where the precision is 0.
    known = (prior - prior @ inverse(inner.precision + prior) @ prior)[:, places]
    others = jnp.ones(len(scales)).at[jnp.array(places)].set(0.0)
    pull = (known @ (inner.estimate - others * centre)[..., None])[..., 0]
    precision = jax.ops.segment_sum(known[:, :, places], index, levels) + NOTHING * jnp.eye(len(places))
    together = jax.ops.segment_sum(pull, index, levels)
    return Local((inverse(precision) @ together[..., None])[..., 0], precision)
