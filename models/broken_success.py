"""Success whose negative logarithm is a power law with a smooth break: acceleration, plateaus and turns.

    p(x) = exp(-E - A x^-alpha (1 + (x / location)^(1 / sharpness))^(-shift sharpness))

exp(-E) is the ceiling. The exponent is alpha well before the break and alpha + shift well after it: shift > 0 is an
onset, shift = -alpha a plateau, and shift < -alpha success that falls again. A break outside the data cannot be seen.
"""

import jax.numpy as jnp
import numpyro.distributions as dist

from bayescale.law import Law, logaddexp


def mean(x, *, E, A, alpha, shift, location, sharpness):
    """Success at x.

    >>> round(float(mean(8.0, E=0.0, A=4.0, alpha=0.5, shift=0.5, location=8.0, sharpness=1.0)), 4)  # exp(-1)
    0.3679
    """
    log_x = jnp.log(x)
    bend = sharpness * logaddexp((log_x - jnp.log(location)) / sharpness, 0.0)
    return jnp.exp(-E - A * jnp.exp(-alpha * log_x - shift * bend))


def natural(x, success, *, E, A, alpha, shift, location, sharpness):
    return {
        "E": E,
        "A": A * x**alpha,
        "alpha": alpha,
        "shift": shift,
        "location": x * location,
        "sharpness": sharpness,
    }


# Relative to the reference run: x = 1 there.
law = Law(
    name="broken_success",
    mean=mean,
    natural=natural,
    response="success",
    priors={
        "E": dist.LogNormal(-2.3, 1.0),  # 90% of ceilings between 0.60 and 0.98
        "A": dist.LogNormal(0.5, 1.2),  # 90% between 0.23 and 12: p from 0.8 down to 1e-5
        "alpha": dist.LogNormal(-2.3, 0.6),  # 90% between 0.037 and 0.27, as in `success_power`
        "shift": dist.Normal(0.0, 0.5),  # 90% between -0.82 and 0.82
        # In the design, which spans some four decades, or just beyond.
        "location": dist.LogNormal(0.0, 2.3),  # 90% within 1.6 decades of the reference
        "sharpness": dist.LogNormal(-1.2, 0.7),  # 90% between 0.10 and 0.95 e-folds
    },
    spread={"A": 1.0, "alpha": 0.3, "shift": 0.3},
    source="Caballero et al. 2022, arXiv:2210.14891, equation 1 with one break, of -log p",
)
