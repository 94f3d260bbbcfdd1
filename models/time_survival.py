"""Success by the time that a task takes a person, by a hazard of failing, with a horizon that grows by date.

    p(minutes, date) = 2^(-(minutes / h)^shape)
    h = horizon 2^((date - 2024) / doubling)

h is the length of the tasks that are done half of the time, `horizon` what it was when 2024 began, and `doubling` the
years in which it doubles. With shape = 1 each minute has the same chance to end it; agents have some 0.6: what has gone
well goes on well. `date` is in years, as 2024.37.
"""

import jax.numpy as jnp
import numpyro.distributions as dist

from bayescale.law import Law

LN2 = 0.6931471805599453  # a doubling
ORIGIN = 2024.0  # the date that the horizon is told at: the first of January


def mean(minutes, date, *, horizon, doubling, shape):
    """Success of a model of that date at a task of so many minutes.

    >>> round(float(mean(20.0, 2024.5, horizon=5.0, doubling=0.5, shape=1.0)), 4)  # twice h, which is 10
    0.25
    """
    log_h = jnp.log(horizon) + LN2 * (date - ORIGIN) / doubling
    # Beyond exp(50) times h there is no success that could be seen, and no exponential without a bound.
    return jnp.exp(-LN2 * jnp.exp(jnp.minimum(shape * (jnp.log(minutes) - log_h), 50.0)))


def natural(minutes, date, success, *, horizon, doubling, shape):
    return {"horizon": minutes * horizon, "doubling": doubling, "shape": shape}


# Relative to the reference run: minutes = 1 there; the date is what it is. The priors are those of `time_horizon`.
law = Law(
    name="time_survival",
    mean=mean,
    natural=natural,
    response="success",
    absolute={"date": (1900.0, 2200.0)},  # years, and not days or seconds
    priors={
        "horizon": dist.LogNormal(0.0, 2.0),  # 90% between 1/27 and 27 times the length of the reference task
        "doubling": dist.LogNormal(-0.6, 0.5),  # 90% between 0.24 and 1.25 years; 200 days in the middle
        "shape": dist.LogNormal(-0.5, 0.4),  # 90% between 0.31 and 1.17; some 0.6 for agents, 0.4 for people
    },
    spread={"horizon": 1.0, "shape": 0.3, "doubling": 0.3},
    source="Ord 2025, arXiv:2505.05115, with the shape of a Weibull distribution",
)
