"""Loss of a routed (mixture of experts) model from the parameters a token sees and the number of experts.

    log10 L(N, experts) = a log10 N + b log10 e + c log10 N log10 e + d
    1/e = 1 / (experts + shift) + 1 / E_max

e is the number of experts that saturates at E_max. Clark's E_start, the e of a single expert, is in
shift = 1 / (1/E_start - 1/E_max) - 1. N are the parameters seen by one token. The tokens do not enter: the
law holds for runs of one length. With c > 0 experts help less the larger the model, and beyond
N = 10^(-b/c) they do harm; -b/c is poorly known, so no such N should be quoted without its interval.
"""

import jax.numpy as jnp
import numpyro.distributions as dist

from bayescale.law import Coordinates, Law


def mean(N, experts, *, a, b, c, d, shift, E_max):
    """Loss at N parameters seen by a token, and a number of experts.

    >>> shift = 1 / (1 / 1.847 - 1 / 314.5) - 1  # Clark's coefficients of S-BASE
    >>> round(float(mean(1.3e9, 64.0, a=-0.082, b=-0.108, c=0.009, d=1.104, shift=shift, E_max=314.5)), 3)
    2.05
    """
    log_n = jnp.log10(N)
    log_e = -jnp.log10(1 / (experts + shift) + 1 / E_max)
    return 10 ** (a * log_n + b * log_e + c * log_n * log_e + d)


def natural(N, experts, loss, *, a, b, c, d, shift, E_max):
    log_n, log_e = jnp.log10(N), jnp.log10(experts)
    return {
        "a": a - c * log_e,
        "b": b - c * log_n,
        "c": c,
        "d": d - a * log_n - b * log_e + c * log_n * log_e + jnp.log10(loss),
        "shift": experts * shift,
        "E_max": experts * E_max,
    }


def to_parameters(N, experts, *, a, b, c, d, shift, E_max):
    """Place the log loss in place of d, and its slope in N in place of a, so that what e is leaves them as they are.

    The slope in experts is not in place of b: where e has saturated it says nothing of b, whose prior would then pinch
    the posterior.
    """
    log_n, log_e = jnp.log10(N), -jnp.log10(1 / (experts + jnp.exp(shift)) + jnp.exp(-E_max))
    a = a - c * log_e
    d = d - a * log_n - b * log_e - c * log_n * log_e
    return {"a": a, "b": b, "c": c, "d": d, "shift": jnp.exp(shift), "E_max": jnp.exp(E_max)}, shift + E_max


def to_coordinates(N, experts, *, a, b, c, d, shift, E_max):
    log_n, log_e = jnp.log10(N), -jnp.log10(1 / (experts + shift) + 1 / E_max)
    return {
        "a": a + c * log_e,
        "b": b,
        "c": c,
        "d": d + a * log_n + b * log_e + c * log_n * log_e,
        "shift": jnp.log(shift),
        "E_max": jnp.log(E_max),
    }


# Relative to the reference run: N = experts = 1 there, and the least loss measured is 1. So a and b are the
# slopes at the centre of the design; that of Clark has 29 experts.
law = Law(
    name="routed",
    mean=mean,
    natural=natural,
    priors={
        "a": dist.Normal(-0.08, 0.04),  # 90% between -0.15 and -0.01
        "b": dist.Normal(-0.05, 0.05),  # 90% between -0.13 and 0.03
        "c": dist.Normal(0.01, 0.01),  # 90% between -0.006 and 0.026
        "d": dist.Normal(0.11, 0.15),  # 90% between 0.73 and 2.27 times the least loss, at the reference run
        "shift": dist.LogNormal(-2.5, 1.2),  # 90% between 0.3 and 17 experts where the reference has 29
        "E_max": dist.LogNormal(2.7, 1.0),  # 90% between 83 and 2200 experts where the reference has 29
    },
    spread={"a": 0.02, "b": 0.02, "c": 0.005, "d": 0.05},
    coordinates=Coordinates(to_parameters, to_coordinates),
    source="Clark et al. 2022, arXiv:2202.01169",
)
