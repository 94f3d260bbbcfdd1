"""Loss from parameters and training tokens, between the sum of two terms and the larger of them.

    L(N, D) = E + [(A N^-alpha)^(1/k) + (B D^-beta)^(1/k)]^k

With k = 1 it is `chinchilla`, with k = beta `kaplan_floor`, and as k goes to 0 the larger term is all there
is. Only runs with a surplus of parameters or of tokens tell k, and it makes up for E.
"""

import jax.numpy as jnp
import numpyro.distributions as dist

from bayescale.coordinates import coupled
from bayescale.law import Law, logaddexp
from bayescale.priors import LogitNormal


def mean(N, D, *, E, A, B, alpha, beta, k):
    """Loss at N parameters and D training tokens; with k = 1 it is Hoffmann's.

    >>> round(float(mean(7e10, 1.4e12, E=1.69, A=406.4, B=410.7, alpha=0.34, beta=0.28, k=1.0)), 4)
    1.9366
    """
    log_n = jnp.log(A) - alpha * jnp.log(N)
    log_d = jnp.log(B) - beta * jnp.log(D)
    return E + jnp.exp(k * logaddexp(log_n / k, log_d / k))


def natural(N, D, loss, *, E, A, B, alpha, beta, k):
    return {
        "E": loss * E,
        "A": loss * A * N**alpha,
        "B": loss * B * D**beta,
        "alpha": alpha,
        "beta": beta,
        "k": k,
    }


# Relative to the reference run: N = D = 1 there, and the least loss measured is 1.
law = Law(
    name="coupled",
    mean=mean,
    natural=natural,
    priors={
        "E": LogitNormal(1.0, 1.5),  # 90% between 0.19 and 0.97 of the least loss
        "A": dist.LogNormal(-1.6, 1.0),  # 90% between 0.04 and 1.05 of the least loss
        "B": dist.LogNormal(-1.6, 1.0),
        "alpha": dist.LogNormal(-1.2, 0.5),  # 90% between 0.13 and 0.69
        "beta": dist.LogNormal(-1.2, 0.5),
        "k": dist.LogNormal(0.0, 0.7),  # 90% between 0.32 and 3.2
    },
    spread={"E": 0.1, "alpha": 0.2, "beta": 0.2, "k": 0.2},
    coordinates=coupled,
    source="Videau et al. 2026, as given by simple-scaling-laws 0.2.0; it nests Kaplan and Hoffmann",
)
