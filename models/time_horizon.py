"""Success by the time that a task takes a person, with a horizon that grows by date.

    p(minutes, date) = sigma(slope log2(h / minutes))
    h = horizon 2^((date - 2024) / doubling)

h is the length of the tasks that are done half of the time, `horizon` what it was when 2024 began, and `doubling` the
years in which it doubles. `date` is in years, as 2024.37, and `slope` the logits lost for each doubling of the length.
"""

import jax.numpy as jnp
import numpyro.distributions as dist
from jax.scipy.special import expit

from bayescale.law import Law

LN2 = 0.6931471805599453  # a doubling
ORIGIN = 2024.0  # the date that the horizon is told at: the first of January


def mean(minutes, date, *, horizon, doubling, slope):
    """Success of a model of that date at a task of so many minutes.

    >>> round(float(mean(20.0, 2024.5, horizon=5.0, doubling=0.5, slope=0.6)), 4)  # h is 10: sigma(-0.6)
    0.3543
    """
    log_h = jnp.log(horizon) / LN2 + (date - ORIGIN) / doubling
    return expit(slope * (log_h - jnp.log(minutes) / LN2))


def natural(minutes, date, success, *, horizon, doubling, slope):
    return {"horizon": minutes * horizon, "doubling": doubling, "slope": slope}


# Relative to the reference run: minutes = 1 there; the date is what it is.
law = Law(
    name="time_horizon",
    mean=mean,
    natural=natural,
    response="success",
    absolute={"date": (1900.0, 2200.0)},  # years, and not days or seconds
    priors={
        "horizon": dist.LogNormal(0.0, 2.0),  # 90% between 1/27 and 27 times the length of the reference task
        "doubling": dist.LogNormal(-0.6, 0.5),  # 90% between 0.24 and 1.25 years; 200 days in the middle
        "slope": dist.LogNormal(
            -0.7, 0.4
        ),  # 90% between 0.26 and 0.96 logits for each doubling of the length
    },
    spread={"horizon": 1.0, "slope": 0.4, "doubling": 0.3},
    source="Kwa et al. 2025, arXiv:2503.14499",
)
