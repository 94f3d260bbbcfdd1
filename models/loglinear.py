"""Loss on a straight line in the logarithm of one covariate: the classic null of a trend.

    L(x) = c + m ln x

It has no floor, so far outside the data it is negative on one side; m may have either sign.
"""

import jax.numpy as jnp
import numpyro.distributions as dist

from bayescale.law import Law


def mean(x, *, c, m):
    """Loss at x.

    >>> round(float(mean(100.0, c=4.0, m=-0.5)), 4)
    1.6974
    """
    return c + m * jnp.log(x)


def natural(x, loss, *, c, m):
    return {"c": loss * (c - m * jnp.log(x)), "m": loss * m}


# Relative to the reference run: x = 1 there, and the least loss measured is 1. The losses of a study have a
# standard deviation of some 0.2 of the least; half of that for each e-fold of x is a steep slope.
law = Law(
    name="loglinear",
    mean=mean,
    natural=natural,
    priors={
        "c": dist.LogNormal(0.26, 0.5),  # 90% between 0.57 and 2.95 times the least loss
        "m": dist.Normal(0.0, 0.1),  # 90% between -0.16 and 0.16 of the least loss for each e-fold
    },
    spread={"m": 0.05},
    source="least squares on ln x, the null of a trend",
)
