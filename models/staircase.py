"""Success that jumps twice: a suite of two families of tasks, each of which turns on at once.

    p(x) = floor + (1 - floor) rise (share s(x / threshold) + (1 - share) s(x / (threshold gap)))
    s(x) = sigma(ln(81) log10(x) / width)

The first step is at `threshold` and is `share` of the rise, the second is `gap` times farther. With share = 1 it is
`step`; with many steps it cannot be told from `logistic`.
"""

import jax.numpy as jnp
import numpyro.distributions as dist
from jax.scipy.special import expit
from numpyro.distributions import constraints
from numpyro.distributions.transforms import AffineTransform

from bayescale.law import Law
from bayescale.priors import LogitNormal

LN10, LN81 = 2.302585092994046, 4.394449154672439  # a decade; from logit 0.1 to logit 0.9


def mean(x, *, threshold, gap, share, width, floor, rise):
    """Success at x.

    >>> p = {"threshold": 1e20, "gap": 100.0, "share": 0.3, "width": 0.2, "floor": 0.0, "rise": 1.0}
    >>> [round(float(mean(x, **p)), 3) for x in (1e19, 1e21, 1e23)]
    [0.0, 0.3, 1.0]
    """
    away = jnp.log(x) - jnp.log(threshold)
    first, second = (expit(LN81 / LN10 / width * far) for far in (away, away - jnp.log(gap)))
    return floor + (1 - floor) * rise * (share * first + (1 - share) * second)


def natural(x, success, *, threshold, gap, share, width, floor, rise):
    return {
        "threshold": x * threshold,
        "gap": gap,
        "share": share,
        "width": width,
        "floor": floor,
        "rise": rise,
    }


# Relative to the reference run: x = 1 there. What `step` has too has the priors of `step`.
law = Law(
    name="staircase",
    mean=mean,
    natural=natural,
    response="success",
    priors={
        "threshold": dist.LogNormal(-1.15, 2.3),  # 90% between 2.1 decades below the reference and 1.1 above
        # The second step is beyond the first: 1 + a positive number, so that the two cannot change places.
        "gap": dist.TransformedDistribution(  # 90% between 1.7 and 830: up to three decades
            dist.LogNormal(3.2, 2.1), AffineTransform(1.0, 1.0, domain=constraints.positive)
        ),
        "share": LogitNormal(0.0, 1.1),  # 90% between 0.14 and 0.86
        "width": dist.LogNormal(-2.3, 0.8),  # 90% between 0.027 and 0.37 decades
        "floor": LogitNormal(-2.2, 1.2),  # 90% between 0.015 and 0.44
        "rise": dist.Uniform(0.0, 1.0),
    },
    spread={"threshold": 3.5, "width": 0.5, "floor": 1.0, "rise": 1.0},
    source="Michaud et al. 2023, arXiv:2303.13506: the quantization model, of two quanta",
)
