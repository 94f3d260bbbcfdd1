"""Loss from parameters and training tokens, whichever is scarcer, to a floor.

    L(N, D) = E + [(A N^-alpha)^(1/beta) + (B D^-beta)^(1/beta)]^beta

`kaplan` with an irreducible loss; in Kaplan's notation A = N_c^alpha and B = D_c^beta. The priors are on the
terms at the reference run, A and B, for the scales N_c and D_c are known to orders of magnitude only.
"""

import jax.numpy as jnp
import numpyro.distributions as dist

import bayescale.models.coupled as coupled
from bayescale.law import Coordinates, Law, logaddexp
from bayescale.priors import LogitNormal


def mean(N, D, *, E, A, B, alpha, beta):
    """Loss at N parameters and D training tokens; with E = 0 it is Kaplan's.

    >>> round(float(mean(1e9, 2e10, E=0.0, A=6.4e13**0.076, B=1.8e13**0.103, alpha=0.076, beta=0.103)), 4)
    2.3739
    """
    log_n = jnp.log(A) - alpha * jnp.log(N)
    log_d = jnp.log(B) - beta * jnp.log(D)
    return E + jnp.exp(beta * logaddexp(log_n / beta, log_d / beta))


def natural(N, D, loss, *, E, A, B, alpha, beta):
    return {"E": loss * E, "A": loss * A * N**alpha, "B": loss * B * D**beta, "alpha": alpha, "beta": beta}


def to_parameters(N, D, *, E, A, B, alpha, beta):
    """As `coupled` does, in the same coordinates, where k is beta."""
    _, k = coupled.log_exponents(E, A, B, alpha, beta)
    found, volume = coupled.to_parameters(N, D, E=E, A=A, B=B, alpha=alpha, beta=beta, k=k)
    del found["k"]
    return found, volume - k  # k moves with beta on both sides, which is a shear: only its own unit drops out


def to_coordinates(N, D, *, E, A, B, alpha, beta):
    found = coupled.to_coordinates(N, D, E=E, A=A, B=B, alpha=alpha, beta=beta, k=beta)
    del found["k"]
    return found


# Relative to the reference run: N = D = 1 there, and the least loss measured is 1.
law = Law(
    name="kaplan_floor",
    mean=mean,
    natural=natural,
    priors={
        "E": LogitNormal(1.0, 1.5),  # 90% between 0.19 and 0.97 of the least loss
        "A": dist.LogNormal(-1.6, 1.0),  # 90% between 0.04 and 1.05 of the least loss
        "B": dist.LogNormal(-1.6, 1.0),
        "alpha": dist.LogNormal(-1.2, 0.5),  # 90% between 0.13 and 0.69
        "beta": dist.LogNormal(-1.2, 0.5),
    },
    spread={"E": 0.1, "alpha": 0.2, "beta": 0.2},
    coordinates=Coordinates(to_parameters, to_coordinates),
    source="Kaplan et al. 2020, arXiv:2001.08361, equation 1.5, and a floor",
)
