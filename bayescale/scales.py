"""What the scale of noise may depend on: a covariate or a ratio, by a slope or by steps at fifths of the runs."""

import jax.numpy as jnp
import numpy as np
from jax import Array

from bayescale.runs import Runs

FIFTHS = (0.2, 0.4, 0.6, 0.8)  # of the runs, that steps of the scale lie between
MIDDLE = 2  # the fifth whose scale is sigma: the third


def slope_of(ratio: str) -> str:
    """The name of the slope along a covariate or ratio."""
    return "slope_" + ratio.replace("/", "_per_")


def steps_of(ratio: str) -> dict[int, str]:
    """The fifths that have a step, and its name; there is none in the third, whose scale is sigma."""
    name = ratio.replace("/", "_per_")
    return {k: f"step_{name}_{k + 1}" for k in range(len(FIFTHS) + 1) if k != MIDDLE}


def edges_of(runs: Runs, by: str) -> tuple[float, ...]:
    """Where the fifths of a table part, half way between two of its values."""
    above, *below = (np.asarray(runs.columns[c], float) for c in by.split("/"))
    there = np.asarray(runs.weight) > 0
    values = np.sort((above / below[0] if below else above)[there])
    last = np.quantile(values, FIFTHS, method="inverted_cdf")
    after = [values[values > one][:1] for one in last]
    if len(np.unique(last)) < len(FIFTHS) or not all(len(one) for one in after):
        raise ValueError(
            f"{runs.source}: the {len(np.unique(values))} values of {by} repeat so often that they have no fifths; "
            "noise cannot have steps along it"
        )
    return tuple(float(low + high[0]) / 2 for low, high in zip(last, after, strict=True))


def along(runs: Runs, ratio: str, *, relative: bool = False) -> Array:
    """A covariate or a ratio of two, (runs,), as it is or as a multiple of that of the reference run."""
    unit = runs.reference if relative else dict.fromkeys(runs.columns, 1.0)
    above, *below = (jnp.asarray(runs.columns[c]) / unit[c] for c in ratio.split("/"))
    return above / below[0] if below else above
