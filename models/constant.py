"""Loss that depends on nothing: the null of every comparison.

    L = c

Whatever is claimed to have a law has to beat it.
"""

import numpyro.distributions as dist

from bayescale.law import Law


def mean(*, c):
    """Loss, whatever the run.

    >>> mean(c=2.5)
    2.5
    """
    return c


def natural(loss, *, c):
    return {"c": loss * c}


# Relative to the least loss measured. A constant is near the median, some 1.3 = exp(0.26) times the least.
law = Law(
    name="constant",
    mean=mean,
    natural=natural,
    priors={
        "c": dist.LogNormal(0.26, 0.5),  # 90% between 0.57 and 2.95 times the least loss
    },
    source="the null hypothesis of no scaling",
)
