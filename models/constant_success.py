"""Success that depends on nothing: the null of every comparison.

    p = rate

Whatever is claimed to have a law has to beat it. With `beta_binomial` noise of a small concentration it is the erratic
suite, whose runs have rates of their own that follow nothing.
"""

import numpyro.distributions as dist

from bayescale.law import Law


def mean(*, rate):
    """Success, whatever the run.

    >>> mean(rate=0.25)
    0.25
    """
    return rate


def natural(success, *, rate):
    return {"rate": rate}


law = Law(
    name="constant_success",
    mean=mean,
    natural=natural,
    response="success",
    priors={
        "rate": dist.Uniform(0.0, 1.0),  # nothing is known of it
    },
    spread={"rate": 1.0},
    source="the null hypothesis of no scaling",
)
