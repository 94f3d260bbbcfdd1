"""Success on a logistic curve in log compute, from a floor to certainty: the three-parameter logistic.

    p(x) = floor + (1 - floor) sigma(slope log10(x / threshold))

`floor` is the success of guessing, `threshold` is half-way from there to 1, and `slope` the logits gained for each
decade of x. A suite with wrong labels never gets to 1, and then its forecasts are far too high: see `logistic`.
"""

import jax.numpy as jnp
import numpyro.distributions as dist
from jax.scipy.special import expit

from bayescale.law import Law
from bayescale.priors import LogitNormal

LN10 = 2.302585092994046  # a decade


def mean(x, *, threshold, slope, floor):
    """Success at x.

    >>> round(float(mean(1e21, threshold=1e21, slope=1.0, floor=0.25)), 4)
    0.625
    """
    return floor + (1 - floor) * expit(slope / LN10 * (jnp.log(x) - jnp.log(threshold)))


def natural(x, success, *, threshold, slope, floor):
    return {"threshold": x * threshold, "slope": slope, "floor": floor}


# Relative to the reference run: x = 1 there. The priors are those of `logistic`.
law = Law(
    name="logistic_floor",
    mean=mean,
    natural=natural,
    response="success",
    priors={
        "threshold": dist.LogNormal(1.15, 4.6),  # 90% between 2.8 decades below the reference and 3.8 above
        "slope": dist.LogNormal(-0.1, 0.6),  # 90% between 0.34 and 2.4 logits for each decade
        "floor": LogitNormal(-2.2, 1.2),  # 90% between 0.015 and 0.44
    },
    spread={"threshold": 3.5, "slope": 0.6, "floor": 1.0},
    source="Birnbaum 1968, in Lord and Novick, Statistical Theories of Mental Test Scores, in log compute",
)
