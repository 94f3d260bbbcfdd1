"""Loss from parameters, training tokens and unique tokens, where repeated tokens are worth less and less.

    L(N, D, U) = E + A N'^-alpha + B D'^-beta
    D' = U [1 + R_D (1 - exp(-(D/U - 1) / R_D))]           where D > U, else D
    N' = N_U [1 + R_N (1 - exp(-(N/N_U - 1) / R_N))]       where N > N_U, else N

D/U is the number of epochs, and R_D the number of repetitions after which repeating is worth 1/e of new
tokens. N_U is the compute-optimal number of parameters for U tokens, N_U = G (G U)^(beta/alpha) with
G = (alpha A / (beta B))^(1 / (alpha + beta)); parameters beyond it are worth less and less in the same way.

D' and N' have a continuous gradient where they change over, so there is no need to soften the minimum.
D and U are both tokens, and D/U has to be the number of epochs: they are measured against one reference.
"""

import jax.numpy as jnp
import numpyro.distributions as dist
from jax.core import Tracer

from bayescale.law import Law
from bayescale.priors import LogitNormal


def _log_effective(log_used, log_unique, R):
    """Take the logarithm of what `used` is worth where only `unique` is new."""
    # The cap keeps gradients finite; exp(-exp(50) / R) is 0 for every R that matters.
    repeats = jnp.maximum(jnp.exp(jnp.minimum(log_used - log_unique, 50.0)) - 1, 0.0)
    # Of 1 + a positive number the logarithm is as good as log1p, and cheaper.
    return jnp.minimum(log_used, log_unique) + jnp.log(1 - R * jnp.expm1(-repeats / R))


def mean(N, D, U, *, E, A, B, alpha, beta, R_D, R_N):
    """Loss at N parameters and D training tokens, of which U are unique.

    >>> fit = {"E": 1.8691437, "A": 520.82495, "B": 1487.7161, "alpha": 0.3526596, "beta": 0.3526596}
    >>> round(float(mean(6.34e9, 242e9, 25e9, **fit, R_D=15.387756, R_N=5.309743)), 4)
    2.2256
    """
    log_a, log_b, log_u = jnp.log(A), jnp.log(B), jnp.log(U)
    log_g = (jnp.log(alpha / beta) + log_a - log_b) / (alpha + beta)
    log_d = _log_effective(jnp.log(D), log_u, R_D)
    log_n = _log_effective(jnp.log(N), log_g + beta / alpha * (log_g + log_u), R_N)
    return E + jnp.exp(log_a - alpha * log_n) + jnp.exp(log_b - beta * log_d)


def natural(N, D, U, loss, *, E, A, B, alpha, beta, R_D, R_N):
    if not isinstance(U, Tracer) and not isinstance(D, Tracer) and not jnp.allclose(U, D):
        raise ValueError(
            f"law data_constrained: D is measured against {D} and U against {U}; D/U has to be the number of "
            "epochs, so measure both against the reference of D"
        )
    return {
        "E": loss * E,
        "A": loss * A * N**alpha,
        "B": loss * B * D**beta,
        "alpha": alpha,
        "beta": beta,
        "R_D": R_D,
        "R_N": R_N,
    }


# Relative to the reference run: N = D = 1 there, U counts in the unit of D, and the least loss measured is 1.
law = Law(
    name="data_constrained",
    mean=mean,
    natural=natural,
    priors={
        "E": LogitNormal(1.0, 1.5),  # 90% between 0.19 and 0.97 of the least loss
        "A": dist.LogNormal(-1.6, 1.0),  # 90% between 0.04 and 1.05 of the least loss
        "B": dist.LogNormal(-1.6, 1.0),
        "alpha": dist.LogNormal(-1.2, 0.5),  # 90% between 0.13 and 0.69
        "beta": dist.LogNormal(-1.2, 0.5),
        "R_D": dist.LogNormal(2.7, 0.7),  # 90% between 4.7 and 47 repetitions; Muennighoff has 15.4
        "R_N": dist.LogNormal(1.6, 0.7),  # 90% between 1.6 and 15.7; Muennighoff has 5.3
    },
    spread={"E": 0.1, "alpha": 0.2, "beta": 0.2},
    source="Muennighoff et al. 2023, arXiv:2305.16264",
)
