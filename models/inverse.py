"""Success that falls along a logistic curve in log compute: inverse scaling.

    p(x) = floor + (1 - floor) (1 - lapse) sigma(-slope log10(x / threshold))

It falls from floor + (1 - floor) (1 - lapse) to the floor, half of the way at the threshold.
"""

import jax.numpy as jnp
import numpyro.distributions as dist
from jax.scipy.special import expit

from bayescale.law import Law
from bayescale.priors import LogitNormal

LN10 = 2.302585092994046  # a decade


def mean(x, *, threshold, slope, floor, lapse):
    """Success at x.

    >>> round(float(mean(1e22, threshold=1e21, slope=1.0, floor=0.25, lapse=0.1)), 4)  # sigma(-1) is 0.2689
    0.4315
    """
    kept = expit(slope / LN10 * (jnp.log(threshold) - jnp.log(x)))
    return floor + (1 - floor) * (1 - lapse) * kept


def natural(x, success, *, threshold, slope, floor, lapse):
    return {"threshold": x * threshold, "slope": slope, "floor": floor, "lapse": lapse}


# Relative to the reference run: x = 1 there. The priors are those of `logistic`, but that it has begun to fall.
law = Law(
    name="inverse",
    mean=mean,
    natural=natural,
    response="success",
    priors={
        "threshold": dist.LogNormal(0.0, 3.5),  # 90% within 2.5 decades of the reference
        "slope": dist.LogNormal(-0.1, 0.6),  # 90% between 0.34 and 2.4 logits for each decade
        "floor": LogitNormal(-2.2, 1.2),  # 90% between 0.015 and 0.44
        "lapse": LogitNormal(-1.7, 1.0),  # 90% between 0.03 and 0.49
    },
    spread={"threshold": 3.5, "slope": 0.6, "floor": 1.0, "lapse": 1.0},
    source="McKenzie et al. 2023, arXiv:2306.09479, for tasks on which larger models are worse",
)
