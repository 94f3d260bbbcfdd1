"""Loss from parameters and training tokens, as a sum of Kaplan's two laws and a floor.

    L(N, D) = E + (N_c / N)^alpha + (D_c / D)^beta

It is often printed as Kaplan's, with alpha = 0.076 and beta = 0.095, but no paper fitted it: Kaplan's laws
have no floor, and their joint law is `kaplan`. It is `chinchilla` with A = N_c^alpha and B = D_c^beta; only
the priors differ, and N_c and D_c are much harder to learn than A and B.
"""

import jax.numpy as jnp
import numpyro.distributions as dist

from bayescale.law import Law, Term
from bayescale.priors import LogitNormal


def mean(N, D, *, E, N_c, D_c, alpha, beta):
    """Loss at N parameters and D training tokens.

    >>> round(float(mean(1e9, 2e10, E=0.0, N_c=8.8e13, D_c=5.4e13, alpha=0.076, beta=0.095)), 4)
    4.4939
    """
    return E + jnp.exp(alpha * (jnp.log(N_c) - jnp.log(N))) + jnp.exp(beta * (jnp.log(D_c) - jnp.log(D)))


def natural(N, D, loss, *, E, N_c, D_c, alpha, beta):
    return {
        "E": loss * E,
        "N_c": N * N_c * loss ** (1 / alpha),
        "D_c": D * D_c * loss ** (1 / beta),
        "alpha": alpha,
        "beta": beta,
    }


# Relative to the reference run: N = D = 1 there, and the least loss measured is 1. The term at the reference
# run is N_c^alpha, so it is known to orders of magnitude only: at alpha = 0.082 = exp(-2.5) a term of 0.2 has
# ln N_c = -20, and 12 in ln N_c is 1 in the logarithm of the term.
law = Law(
    name="kaplan_additive",
    mean=mean,
    natural=natural,
    floor="E",
    terms=(Term("N_c", "alpha", "N", inside=True), Term("D_c", "beta", "D", inside=True)),
    priors={
        "E": LogitNormal(1.0, 1.5),  # 90% between 0.19 and 0.97 of the least loss
        "N_c": dist.LogNormal(-20.0, 12.0),  # 90% between 10^-17.3 and 0.8 times the reference
        "D_c": dist.LogNormal(-20.0, 12.0),
        "alpha": dist.LogNormal(-2.5, 0.5),  # 90% between 0.036 and 0.19
        "beta": dist.LogNormal(-2.5, 0.5),
    },
    # 6 in ln N_c is 0.5 in the logarithm of a term.
    spread={"E": 0.1, "N_c": 6.0, "D_c": 6.0, "alpha": 0.2, "beta": 0.2},
    source="the sum of Kaplan et al. 2020, arXiv:2001.08361, equations 1.1 and 1.2, and a floor; in no paper",
)
