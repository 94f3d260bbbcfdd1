"""Success on a logistic curve in log compute, between a floor and a ceiling: the four-parameter logistic.

    p(x) = floor + (1 - floor) (1 - lapse) sigma(slope log10(x / threshold))

`threshold` is where half of what can be gained is gained, and `slope` the logits gained for each decade of x: from 10%
to 90% of the way it takes 4.394 / slope decades. `floor` is the success of guessing, and `lapse` the share of what
guessing leaves that is never gained: wrong labels and questions that are not clear.
"""

import jax.numpy as jnp
import numpyro.distributions as dist
from jax.scipy.special import expit

from bayescale.law import Law
from bayescale.priors import LogitNormal

LN10 = 2.302585092994046  # a decade


def mean(x, *, threshold, slope, floor, lapse):
    """Success at x.

    >>> round(float(mean(1e22, threshold=1e21, slope=1.0, floor=0.25, lapse=0.1)), 4)  # sigma(1) is 0.7311
    0.7435
    """
    gained = expit(slope / LN10 * (jnp.log(x) - jnp.log(threshold)))
    return floor + (1 - floor) * (1 - lapse) * gained


def natural(x, success, *, threshold, slope, floor, lapse):
    return {"threshold": x * threshold, "slope": slope, "floor": floor, "lapse": lapse}


# Relative to the reference run: x = 1 there.
law = Law(
    name="logistic",
    mean=mean,
    natural=natural,
    response="success",
    priors={
        # Half a decade above the middle of the design, give or take two: it may lie far beyond the data.
        "threshold": dist.LogNormal(1.15, 4.6),  # 90% between 2.8 decades below the reference and 3.8 above
        # Suites of public benchmarks have 0.5 to 1.9.
        "slope": dist.LogNormal(-0.1, 0.6),  # 90% between 0.34 and 2.4 logits for each decade
        "floor": LogitNormal(-2.2, 1.2),  # 90% between 0.015 and 0.44
        "lapse": LogitNormal(-1.7, 1.0),  # 90% between 0.03 and 0.49; ceilings of 0.5 to 0.9 are usual
    },
    spread={"threshold": 3.5, "slope": 0.6, "floor": 1.0, "lapse": 1.0},  # thresholds of tasks: 1.5 decades
    source="Birnbaum 1968 and Barton and Lord 1981, doi:10.1002/j.2333-8504.1981.tb01255.x, in log compute",
)
