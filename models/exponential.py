"""Loss that decays exponentially in one covariate to a floor.

    L(x) = E + A exp(-kappa x)

Over less than some 1.5 decades of x it looks like a power law with a floor.
"""

import jax.numpy as jnp
import numpyro.distributions as dist

from bayescale.law import Law
from bayescale.priors import LogitNormal


def mean(x, *, E, A, kappa):
    """Loss at x.

    >>> round(float(mean(2.0, E=1.5, A=1.0, kappa=0.5)), 4)
    1.8679
    """
    return E + A * jnp.exp(-kappa * x)


def natural(x, loss, *, E, A, kappa):
    return {"E": loss * E, "A": loss * A, "kappa": kappa / x}


# Relative to the reference run: x = 1 there, and the least loss measured is 1.
law = Law(
    name="exponential",
    mean=mean,
    natural=natural,
    priors={
        "E": LogitNormal(1.0, 1.5),  # 90% between 0.19 and 0.97 of the least loss
        # A is the term at x = 0, about e times the term at the reference run, which is near 0.2.
        "A": dist.LogNormal(-0.6, 1.0),  # 90% between 0.11 and 2.84 times the least loss
        "kappa": dist.LogNormal(0.0, 1.0),  # 90% between 0.19 and 5.2 e-folds at the reference run
    },
    spread={"E": 0.1},
    source="Sorscher et al. 2022, arXiv:2206.14486, motivates it: pruned data can beat a power law",
)
