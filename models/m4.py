"""Loss between chance and a floor, with a power law in between: the estimator M4.

    (L - E) / (L0 - L)^a = A x^-alpha

L0 is the loss at chance, where small x starts, and E the floor where large x ends. The loss is implicit:
with u = (L - E) / (L0 - E) and t = logit(u) it is where t + (a - 1) softplus(t) is the logarithm of
A x^-alpha (L0 - E)^(a - 1). That function of t is convex or concave, and its slope is between 1 and a.
"""

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from numpyro.distributions import constraints
from numpyro.distributions.transforms import AffineTransform

from bayescale.law import Coordinates, Law
from bayescale.priors import LogitNormal

STEPS = 3  # to the last bit for a from 0.01 to 100, and 0.002 from the root at 10,000


def _softplus_and_slope(t):
    """Give softplus(t) and its slope, the sigmoid, for one exponential and one logarithm."""
    small = jnp.exp(-jnp.abs(t))
    return jnp.maximum(t, 0) + jnp.log(1 + small), jnp.where(t > 0, 1, small) / (1 + small)


@jax.custom_jvp
def _solved(h, a):
    """Solve t + (a - 1) softplus(t) = h, and give softplus(t) and sigmoid(t).

    The steps are Householder's of fourth order: higher derivatives are made of the sigmoid and cost next to nothing.
    """
    # With (t + sqrt(t^2 + width)) / 2 for softplus(t) it is a quadratic equation. The two agree far from zero and,
    # with this width, at t = 3/4 ln a and at minus that; where a is far from 1, what is hard is from 0 to -ln a.
    power = jnp.exp(0.75 * jnp.log(a))
    width = 4 * jnp.log(1 + power) * jnp.log(1 + 1 / power)
    t = ((a + 1) * h - (a - 1) * jnp.sqrt(h**2 + a * width)) / (2 * a)
    for _ in range(STEPS):
        value, u = _softplus_and_slope(t)
        slope = 1 + (a - 1) * u
        newton = (t + (a - 1) * value - h) / slope
        second = (a - 1) * u * (1 - u) / slope  # and the third is (1 - 2 u) times it
        above = 1 - newton * second / 2
        t = t - newton * above / (above - newton * second / 2 + newton**2 * second * (1 - 2 * u) / 6)
    return _softplus_and_slope(t)


@_solved.defjvp
def _solved_jvp(primals, tangents):
    """Use the implicit function theorem; what it is made of is solved for, so that the second derivatives follow."""
    (h, a), (dh, da) = primals, tangents
    value, u = _solved(h, a)
    dt = (dh - value * da) / (1 + (a - 1) * u)
    return (value, u), (u * dt, u * (1 - u) * dt)


def mean(x, *, E, L0, A, alpha, a):
    """Loss at x.

    >>> round(float(mean(16.0, E=1.0, L0=4.0, A=2.0, alpha=0.5, a=1.0)), 4)  # (L - 1) / (4 - L) = 1/2
    2.0
    """
    h = jnp.log(A) - alpha * jnp.log(x) + (a - 1) * jnp.log(L0 - E)
    _, u = _solved(h, jnp.asarray(a, h.dtype))
    return E + (L0 - E) * u


def natural(x, loss, *, E, L0, A, alpha, a):
    return {"E": loss * E, "L0": loss * L0, "A": A * loss ** (1 - a) * x**alpha, "alpha": alpha, "a": a}


def to_parameters(x, *, E, L0, A, alpha, a):
    """Place the loss in place of A and its slope in place of alpha, which runs tell; E and L0 lie about that loss.

    The loss is L = exp(A) at x, and its slope d log L / d log x = -exp(alpha). E is under L, and L0 above it; at 1 the
    priors of both end. Runs far from chance say of L0 and a hardly more than how they go with A and alpha.
    """
    loss = jnp.exp(A)
    lowest, highest = jnp.minimum(loss, 1.0), jnp.maximum(loss, 1.0)
    share, excess = jax.nn.sigmoid(E), highest * jnp.exp(L0)
    above = loss - lowest + lowest * jax.nn.sigmoid(-E)  # L - E
    below = highest - loss + excess  # L0 - L
    power = jnp.exp(a)
    bent = loss / above + power * loss / below  # d log A / d log L
    exponent = bent * jnp.exp(alpha)
    log = jnp.log(above) - power * jnp.log(below) + exponent * jnp.log(x)
    found = {"E": lowest * share, "L0": highest + excess, "A": jnp.exp(log), "alpha": exponent, "a": power}
    volume = jnp.log(lowest * share * jax.nn.sigmoid(-E) * excess * bent**2) + log + alpha + a
    return found, volume


def to_coordinates(x, *, E, L0, A, alpha, a):
    loss = mean(x, E=E, L0=L0, A=A, alpha=alpha, a=a)
    bent = loss / (loss - E) + a * loss / (L0 - loss)
    return {
        "E": jax.scipy.special.logit(E / jnp.minimum(loss, 1.0)),
        "L0": jnp.log(L0 / jnp.maximum(loss, 1.0) - 1),
        "A": jnp.log(loss),
        "alpha": jnp.log(alpha / bent),
        "a": jnp.log(a),
    }


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
    coordinates=Coordinates(to_parameters, to_coordinates),
    source="Alabdulmohsin et al. 2022, arXiv:2209.06640, estimator M4",
)
