"""Loss as a power law of one covariate with a smooth break: the broken neural scaling law with one break.

    L(x) = E + A x^-alpha (1 + (x / location)^(1 / sharpness))^(-shift sharpness)

The exponent is alpha well before the break and alpha + shift well after it (c0 and c1 of the paper). The
break is at `location` (d1), and `sharpness` (f1) is its width in e-folds of x: near 0 it is a kink. Where
shift is below -alpha, more x makes the loss worse after the break. A break outside the data cannot be seen.
"""

import jax.numpy as jnp
import numpyro.distributions as dist

from bayescale.law import Law, logaddexp
from bayescale.priors import LogitNormal


def mean(x, *, E, A, alpha, shift, location, sharpness):
    """Loss at x.

    >>> round(float(mean(8.0, E=1.0, A=4.0, alpha=0.5, shift=0.5, location=8.0, sharpness=1.0)), 4)
    2.0
    """
    log_x = jnp.log(x)
    bend = sharpness * logaddexp((log_x - jnp.log(location)) / sharpness, 0.0)
    return E + A * jnp.exp(-alpha * log_x - shift * bend)


def natural(x, loss, *, E, A, alpha, shift, location, sharpness):
    return {
        "E": loss * E,
        "A": loss * A * x**alpha,
        "alpha": alpha,
        "shift": shift,
        "location": x * location,
        "sharpness": sharpness,
    }


# Relative to the reference run: x = 1 there, and the least loss measured is 1.
law = Law(
    name="broken_power",
    mean=mean,
    natural=natural,
    priors={
        "E": LogitNormal(1.0, 1.5),  # 90% between 0.19 and 0.97 of the least loss
        "A": dist.LogNormal(-1.6, 1.0),  # 90% between 0.04 and 1.05 of the least loss
        "alpha": dist.LogNormal(-1.2, 0.5),  # 90% between 0.13 and 0.69
        "shift": dist.Normal(0.0, 0.3),  # 90% between -0.49 and 0.49
        # A quarter of the 2.5 decades of a usual design, so that the break is inside it.
        "location": dist.LogNormal(0.0, 1.5),  # 90% between 0.085 and 11.8 times the reference
        "sharpness": dist.LogNormal(-1.2, 0.7),  # 90% between 0.10 and 0.95 e-folds
    },
    spread={"E": 0.1, "alpha": 0.2, "shift": 0.1},
    source="Caballero et al. 2022, arXiv:2210.14891, equation 1, with one break",
)
