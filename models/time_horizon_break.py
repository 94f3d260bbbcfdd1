"""Success by the time that a task takes a person, with a horizon that grows by date, and faster after a break.

    p(minutes, date) = sigma(slope log2(h / minutes))
    log2 h = log2 horizon + (date - since - 2024) / before + since / after
    since = 0.1 ln(1 + exp((date - change) / 0.1))

h is the length of the tasks that are done half of the time. It doubles in `before` years until the date `change`, and
in `after` years from then on; `horizon` is what it would have been when 2024 began without a break. Dates are in years.
`since` is what has passed since the change, with a corner that is rounded over some months: otherwise each model that
the change goes past would be a kink of the likelihood.
"""

import jax.numpy as jnp
import numpyro.distributions as dist
from jax.scipy.special import expit

from bayescale.law import Law, logaddexp

LN2 = 0.6931471805599453  # a doubling
CORNER = 0.1  # years
ORIGIN = 2024.0  # the date that the horizon is told at: the first of January


def mean(minutes, date, *, horizon, before, after, change, slope):
    """Success of a model of that date at a task of so many minutes.

    >>> p = {"horizon": 5.0, "before": 0.5, "after": 0.25, "change": 2024.5, "slope": 0.6}
    >>> [round(float(mean(minutes, date, **p)), 3) for minutes, date in ((5.0, 2024.0), (40.0, 2025.0))]
    [0.5, 0.5]
    """
    since = CORNER * logaddexp((date - change) / CORNER, 0.0)
    log_h = jnp.log(horizon) / LN2 + (date - since - ORIGIN) / before + since / after
    return expit(slope * (log_h - jnp.log(minutes) / LN2))


def natural(minutes, date, success, *, horizon, before, after, change, slope):
    return {
        "horizon": minutes * horizon,
        "before": before,
        "after": after,
        "change": change,
        "slope": slope,
    }


# Relative to the reference run: minutes = 1 there; dates are what they are. The priors are those of `time_horizon`.
law = Law(
    name="time_horizon_break",
    mean=mean,
    natural=natural,
    response="success",
    absolute={"date": (1900.0, 2200.0)},  # years, and not days or seconds
    priors={
        "horizon": dist.LogNormal(0.0, 2.0),  # 90% between 1/27 and 27 times the length of the reference task
        "before": dist.LogNormal(-0.6, 0.5),  # 90% between 0.24 and 1.25 years; 200 days in the middle
        "after": dist.LogNormal(-0.6, 0.5),  # 90% between 0.24 and 1.25 years; 200 days in the middle
        "change": dist.Normal(2024.0, 1.0),  # 90% between the middle of 2022 and that of 2025
        "slope": dist.LogNormal(
            -0.7, 0.4
        ),  # 90% between 0.26 and 0.96 logits for each doubling of the length
    },
    spread={"horizon": 1.0, "slope": 0.4},
    source="Kwa et al. 2025, arXiv:2503.14499, and the faster growth since 2024 that they discuss",
)
