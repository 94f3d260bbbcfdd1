"""Success that jumps from one level to another: a suite whose tasks are one task, as sha256^n.

    p(x) = floor + (1 - floor) rise sigma(ln(81) log10(x / threshold) / width)

From 10% to 90% of the jump it takes `width` decades, less than half of one: nothing that is seen below the threshold
says where it is. A jump of no width would have no gradient, and would stumble over one model on the edge.
"""

import jax.numpy as jnp
import numpyro.distributions as dist
from jax.scipy.special import expit

from bayescale.law import Law
from bayescale.priors import LogitNormal

LN10, LN81 = 2.302585092994046, 4.394449154672439  # a decade; from logit 0.1 to logit 0.9


def mean(x, *, threshold, width, floor, rise):
    """Success at x.

    >>> [round(float(mean(x, threshold=1e21, width=0.2, floor=0.0, rise=0.9)), 3) for x in (1e20, 1e21, 1e22)]
    [0.0, 0.45, 0.9]
    """
    return floor + (1 - floor) * rise * expit(LN81 / LN10 / width * (jnp.log(x) - jnp.log(threshold)))


def natural(x, success, *, threshold, width, floor, rise):
    return {"threshold": x * threshold, "width": width, "floor": floor, "rise": rise}


# Relative to the reference run: x = 1 there.
law = Law(
    name="step",
    mean=mean,
    natural=natural,
    response="success",
    priors={
        # A step that is claimed to be seen is inside the design, which spans some four decades.
        "threshold": dist.LogNormal(0.0, 2.3),  # 90% within 1.6 decades of the reference
        "width": dist.LogNormal(-2.3, 0.8),  # 90% between 0.027 and 0.37 decades
        "floor": LogitNormal(-2.2, 1.2),  # 90% between 0.015 and 0.44
        "rise": dist.Uniform(0.0, 1.0),
    },
    spread={"threshold": 3.5, "width": 0.5, "floor": 1.0, "rise": 1.0},
    source="Michaud et al. 2023, arXiv:2303.13506: tasks that need one quantum are learned in a step",
)
