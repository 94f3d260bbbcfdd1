"""Success on a logistic curve in log compute, above a chance level that is known for each run.

    p(x, chance) = chance + (1 - chance) (1 - lapse) sigma(slope log10(x / threshold))

`chance` is a column: 1 over the number of choices, 0 where answers are written out. So tasks with different numbers of
choices stand in one table, and thresholds are compared after guessing is taken off.
"""

import jax.numpy as jnp
import numpyro.distributions as dist
from jax.scipy.special import expit

from bayescale.law import Law
from bayescale.priors import LogitNormal

LN10 = 2.302585092994046  # a decade


def mean(x, chance, *, threshold, slope, lapse):
    """Success at x, where guessing has the success `chance`.

    >>> round(float(mean(1e21, 0.25, threshold=1e21, slope=1.0, lapse=0.0)), 4)
    0.625
    """
    gained = expit(slope / LN10 * (jnp.log(x) - jnp.log(threshold)))
    return chance + (1 - chance) * (1 - lapse) * gained


def natural(x, chance, success, *, threshold, slope, lapse):
    return {"threshold": x * threshold, "slope": slope, "lapse": lapse}


# Relative to the reference run: x = 1 there; chance is what it is. The priors are those of `logistic`.
law = Law(
    name="logistic_chance",
    mean=mean,
    natural=natural,
    response="success",
    absolute={"chance": (0.0, 1.0)},
    priors={
        "threshold": dist.LogNormal(1.15, 4.6),  # 90% between 2.8 decades below the reference and 3.8 above
        "slope": dist.LogNormal(-0.1, 0.6),  # 90% between 0.34 and 2.4 logits for each decade
        "lapse": LogitNormal(-1.7, 1.0),  # 90% between 0.03 and 0.49
    },
    spread={"threshold": 3.5, "slope": 0.6, "lapse": 1.0},  # thresholds of tasks: 1.5 decades
    source="Barton and Lord 1981, doi:10.1002/j.2333-8504.1981.tb01255.x, with a known lower asymptote",
)
