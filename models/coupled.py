"""Loss from parameters and training tokens, between the sum of two terms and the larger of them.

    L(N, D) = E + [(A N^-alpha)^(1/k) + (B D^-beta)^(1/k)]^k

With k = 1 it is `chinchilla`, with k = beta `kaplan_floor`, and as k goes to 0 the larger term is all there
is. Only runs with a surplus of parameters or of tokens tell k, and it makes up for E.
"""

import jax.numpy as jnp
import numpyro.distributions as dist
from jax.nn import sigmoid
from jax.scipy.special import logit

from bayescale.law import Coordinates, Law, logaddexp
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


def log_excess(E, alpha):
    """The logarithm of (L - E) / L, at coordinates."""
    lowest = jnp.minimum(alpha, 0.0)
    return jnp.log(-jnp.expm1(lowest - alpha) + jnp.exp(lowest - alpha) * sigmoid(-E))


def log_exponents(E, A, B, alpha, beta):
    """The logarithms of both exponents, at coordinates."""
    log_alpha = jnp.logaddexp(A, B - beta) - log_excess(E, alpha)
    return log_alpha, log_alpha + beta


def to_parameters(N, D, *, E, A, B, alpha, beta, k):
    """Place the log loss in place of alpha, its log slopes in place of A and B, and log beta / alpha in place of beta.

    They are those at N and D, -d log L / d log N and -d log L / d log D, and whatever k is leaves them as they are. In
    place of E is its share of the least of the loss and 1, where its prior ends.
    """
    lowest, share = jnp.minimum(alpha, 0.0), sigmoid(E)
    left = log_excess(E, alpha)
    # What each of the two is of their sum.
    both = jnp.logaddexp(A, B - beta)
    of_n, of_d = A - both, B - beta - both
    log_alpha, log_beta = log_exponents(E, A, B, alpha, beta)
    logs = {
        "A": alpha + left + jnp.exp(k) * of_n + jnp.exp(log_alpha) * jnp.log(N),
        "B": alpha + left + jnp.exp(k) * of_d + jnp.exp(log_beta) * jnp.log(D),
        "alpha": log_alpha,
        "beta": log_beta,
        "k": k,
    }
    found = {"E": jnp.exp(lowest) * share, **{name: jnp.exp(log) for name, log in logs.items()}}
    return found, lowest + jnp.log(share * sigmoid(-E)) - left + sum(logs.values()) + k


def to_coordinates(N, D, *, E, A, B, alpha, beta, k):
    of_n, of_d = (jnp.log(A) - alpha * jnp.log(N)) / k, (jnp.log(B) - beta * jnp.log(D)) / k
    both = jnp.logaddexp(of_n, of_d)
    loss = E + jnp.exp(k * both)
    left = k * both - jnp.log(loss)
    return {
        "E": logit(E / jnp.minimum(loss, 1.0)),
        "A": jnp.log(alpha) + of_n - both + left,
        "B": jnp.log(beta) + of_d - both + left,
        "alpha": jnp.log(loss),
        "beta": jnp.log(beta / alpha),
        "k": jnp.log(k),
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
    coordinates=Coordinates(to_parameters, to_coordinates),
    source="Videau et al. 2026, as given by simple-scaling-laws 0.2.0; it nests Kaplan and Hoffmann",
)
