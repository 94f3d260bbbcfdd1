"""Loss between chance and a floor, with a power law in between: the estimator M4.

    (L - E) / (L0 - L)^a = A x^-alpha

L0 is the loss at chance, where small x starts, and E the floor where large x ends. The loss is implicit:
with u = (L - E) / (L0 - E) and t = logit(u) it is where a softplus(t) - softplus(-t) is the logarithm of
A x^-alpha (L0 - E)^(a - 1). That function of t is convex or concave, and its slope is between 1 and a.
"""

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jax.nn import sigmoid, softplus
from numpyro.distributions import constraints
from numpyro.distributions.transforms import AffineTransform

from bayescale.law import Law
from bayescale.priors import LogitNormal

# Newton's method cannot overshoot twice on such a function; 8 steps reach the last bit.
STEPS = 8


@jax.custom_jvp
def _root(h, a):
    """Solve a softplus(t) - softplus(-t) = h for t."""
    t = jnp.where(h < 0, h, h / a)  # exact far from zero, on either side
    for _ in range(STEPS):
        t = t - (a * softplus(t) - softplus(-t) - h) / (a * sigmoid(t) + sigmoid(-t))
    return t


@_root.defjvp
def _root_jvp(primals, tangents):
    """Use the implicit function theorem; calling _root again is what gives the second derivatives."""
    (h, a), (dh, da) = primals, tangents
    t = _root(h, a)
    return t, (dh - softplus(t) * da) / (a * sigmoid(t) + sigmoid(-t))


def mean(x, *, E, L0, A, alpha, a):
    """Loss at x.

    >>> round(float(mean(16.0, E=1.0, L0=4.0, A=2.0, alpha=0.5, a=1.0)), 4)  # (L - 1) / (4 - L) = 1/2
    2.0
    """
    h = jnp.log(A) - alpha * jnp.log(x) + (a - 1) * jnp.log(L0 - E)
    return E + (L0 - E) * sigmoid(_root(*jnp.broadcast_arrays(h, jnp.asarray(a, h.dtype))))


def natural(x, loss, *, E, L0, A, alpha, a):
    return {"E": loss * E, "L0": loss * L0, "A": A * loss ** (1 - a) * x**alpha, "alpha": alpha, "a": a}


# Relative to the reference run: x = 1 there, and the least loss measured is 1.
law = Law(
    name="m4",
    mean=mean,
    natural=natural,
    priors={
        "E": LogitNormal(1.0, 1.5),  # 90% between 0.19 and 0.97 of the least loss
        # Chance is above the least loss; the logarithm of a vocabulary of 50,000 is 4 times a loss of 2.7.
        "L0": dist.TransformedDistribution(  # 90% between 1.9 and 10.5 times the least loss
            dist.LogNormal(1.1, 0.7), AffineTransform(1.0, 1.0, domain=constraints.positive)
        ),
        # A loss 0.2 above the floor and 3 below chance, at a = 1.
        "A": dist.LogNormal(-2.7, 1.2),  # 90% between 0.009 and 0.48
        "alpha": dist.LogNormal(-1.2, 0.5),  # 90% between 0.13 and 0.69
        "a": dist.LogNormal(0.0, 0.5),  # 90% between 0.44 and 2.28
    },
    spread={"E": 0.1, "alpha": 0.2, "a": 0.2},
    source="Alabdulmohsin et al. 2022, arXiv:2209.06640, estimator M4",
)
