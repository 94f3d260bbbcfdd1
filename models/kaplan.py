"""Loss from parameters and training tokens, whichever is scarcer, to zero.

    L(N, D) = [(A N^-alpha)^(1/beta) + (B D^-beta)^(1/beta)]^beta

Kaplan's joint law is [(N_c/N)^(alpha/beta) + D_c/D]^beta, with A = N_c^alpha and B = D_c^beta. The
priors are on A and B because those are losses: A N^-alpha is the loss with unlimited data, B D^-beta with
unlimited parameters; N_c and D_c are known to orders of magnitude only.
Kaplan's N are non-embedding parameters, and runs stop early, so D may count repeated tokens.
"""

import jax.numpy as jnp
import numpyro.distributions as dist

from bayescale.law import Law, logaddexp


def mean(N, D, *, A, B, alpha, beta):
    """Loss at N parameters and D training tokens.

    >>> round(float(mean(1e9, 2e10, A=6.4e13**0.076, B=1.8e13**0.103, alpha=0.076, beta=0.103)), 4)
    2.3739
    """
    log_n = jnp.log(A) - alpha * jnp.log(N)
    log_d = jnp.log(B) - beta * jnp.log(D)
    return jnp.exp(beta * logaddexp(log_n / beta, log_d / beta))


def natural(N, D, loss, *, A, B, alpha, beta):
    return {"A": loss * A * N**alpha, "B": loss * B * D**beta, "alpha": alpha, "beta": beta}


# Relative to the reference run: N = D = 1 there, and the least loss measured is 1. The loss at the reference
# run, some 1.3 times the least, is a little above the larger of A and B.
law = Law(
    name="kaplan",
    mean=mean,
    natural=natural,
    priors={
        "A": dist.LogNormal(0.0, 0.5),  # 90% between 0.44 and 2.28 times the least loss
        "B": dist.LogNormal(0.0, 0.5),
        "alpha": dist.LogNormal(-2.5, 0.5),  # 90% between 0.036 and 0.19: without a floor slopes are flat
        "beta": dist.LogNormal(-2.5, 0.5),
    },
    spread={"alpha": 0.2, "beta": 0.2},
    source="Kaplan et al. 2020, arXiv:2001.08361, equation 1.5",
)
