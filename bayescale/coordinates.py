"""What the sampler moves in, of laws that are no sums of power terms; for those see `bayescale.infer.chart`."""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array
from jax.nn import sigmoid
from jax.scipy.special import logit


class Coordinates(NamedTuple):
    """Coordinates in which the posterior of a law is nearly normal.

    Both functions take, as `mean` does, first the covariates, at the medians of the runs, and then one number for each
    parameter by its name: the coordinate that stands in its place, any real number, or the parameter itself.

    Attributes:
        to_parameters: gives the parameters as a dictionary, and the logarithm of the volume of a unit of coordinates.
        to_coordinates: the inverse.
    """

    to_parameters: Callable[..., tuple[dict[str, Array], Array]]
    to_coordinates: Callable[..., dict[str, Array]]


def _to_parameters(N, D, *, A, B, alpha, beta, E=None, k=None):
    left = jnp.zeros(())  # log (L - E) / L
    found, volume = {}, jnp.zeros(())
    if E is not None:
        lowest, share = jnp.minimum(alpha, 0.0), sigmoid(E)
        left = jnp.log(-jnp.expm1(lowest - alpha) + jnp.exp(lowest - alpha) * sigmoid(-E))
        found["E"] = jnp.exp(lowest) * share
        volume = lowest + jnp.log(share * sigmoid(-E)) - left
    # What each of the two is of their sum, in logarithms.
    both = jnp.logaddexp(A, B - beta)
    of_n, of_d = A - both, B - beta - both
    log_alpha = both - left
    log_beta = log_alpha + beta
    log_k = log_beta if k is None else k
    logs = {
        "A": alpha + left + jnp.exp(log_k) * of_n + jnp.exp(log_alpha) * jnp.log(N),
        "B": alpha + left + jnp.exp(log_k) * of_d + jnp.exp(log_beta) * jnp.log(D),
        "alpha": log_alpha,
        "beta": log_beta,
    }
    if k is not None:
        logs["k"] = k
    found |= {name: jnp.exp(log) for name, log in logs.items()}
    return found, volume + sum(logs.values()) + log_k


def _to_coordinates(N, D, *, A, B, alpha, beta, E=None, k=None):
    power = beta if k is None else k
    of_n, of_d = (jnp.log(A) - alpha * jnp.log(N)) / power, (jnp.log(B) - beta * jnp.log(D)) / power
    both = jnp.logaddexp(of_n, of_d)
    floor = jnp.zeros(()) if E is None else E
    loss = floor + jnp.exp(power * both)
    left = power * both - jnp.log(loss)
    found = {
        "A": jnp.log(alpha) + of_n - both + left,
        "B": jnp.log(beta) + of_d - both + left,
        "alpha": jnp.log(loss),
        "beta": jnp.log(beta / alpha),
    }
    if E is not None:
        found["E"] = logit(E / jnp.minimum(loss, 1.0))
    if k is not None:
        found["k"] = jnp.log(k)
    return found


# Of L = E + [(A N^-alpha)^(1/k) + (B D^-beta)^(1/k)]^k, perhaps without E or with beta for k: in place of alpha the
# logarithm of the loss, of A and B those of its slopes -d log L / d log N and -d log L / d log D, of beta that of
# beta / alpha, and E as a share of the least of the loss and 1, where its prior ends. What k is leaves loss and slopes
# as they are.
coupled = Coordinates(_to_parameters, _to_coordinates)
