"""Loss as a power law of one covariate that bends to a floor: the estimator M3.

    L(x) = A (1/x + gamma)^alpha

x = 1/gamma is where it bends, and A gamma^alpha is the floor. gamma counts in units of 1/x.
"""

import jax.numpy as jnp
import numpyro.distributions as dist

from bayescale.law import Coordinates, Law


def mean(x, *, A, gamma, alpha):
    """Loss at x.

    >>> round(mean(4.0, A=2.0, gamma=0.5, alpha=0.5), 4)
    1.7321
    """
    return A * (1 / x + gamma) ** alpha


def natural(x, loss, *, A, gamma, alpha):
    return {"A": loss * A * x**alpha, "gamma": gamma / x, "alpha": alpha}


def to_parameters(x, *, A, gamma, alpha):
    """Place the logarithm of the loss in place of A, and that of its slope -d log L / d log x in place of alpha."""
    bend = jnp.log1p(x * jnp.exp(gamma))
    log_alpha = alpha + bend
    log_a = A - jnp.exp(log_alpha) * (bend - jnp.log(x))
    found = {"A": jnp.exp(log_a), "gamma": jnp.exp(gamma), "alpha": jnp.exp(log_alpha)}
    return found, log_a + gamma + log_alpha


def to_coordinates(x, *, A, gamma, alpha):
    slope = alpha / (1 + x * gamma)
    return {
        "A": jnp.log(mean(x, A=A, gamma=gamma, alpha=alpha)),
        "gamma": jnp.log(gamma),
        "alpha": jnp.log(slope),
    }


# Relative to the reference run: x = 1 there, and the least loss measured is 1.
law = Law(
    name="shifted_power",
    mean=mean,
    natural=natural,
    priors={
        # The loss at the reference run, some 1.3 times the least, is A (1 + gamma)^alpha, or 1.23 A.
        "A": dist.LogNormal(0.05, 0.5),  # 90% between 0.46 and 2.39 times the least loss
        "gamma": dist.LogNormal(0.0, 1.0),  # it bends, 90%, between 0.19 and 5.2 times the reference
        "alpha": dist.LogNormal(-1.2, 0.5),  # 90% between 0.13 and 0.69
    },
    spread={"alpha": 0.2},
    coordinates=Coordinates(to_parameters, to_coordinates),
    source="Alabdulmohsin et al. 2022, arXiv:2209.06640, estimator M3",
)
