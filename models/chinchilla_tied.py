"""Loss from parameters and training tokens, with one exponent for both.

    L(N, D) = E + A N^-alpha + B D^-alpha

`chinchilla` with alpha = beta. The best ratio of tokens to parameters, (B/A)^(1/alpha), is then the same at
every budget.
"""

import numpyro.distributions as dist

from bayescale.law import Law, Term
from bayescale.priors import LogitNormal


def mean(N, D, *, E, A, B, alpha):
    """Loss at N parameters and D training tokens.

    >>> round(mean(6.996e10, 1.372e12, E=1.8691437, A=520.82495, B=1487.7161, alpha=0.3526596), 4)
    2.0252
    """
    return E + A * N**-alpha + B * D**-alpha


def natural(N, D, loss, *, E, A, B, alpha):
    return {"E": loss * E, "A": loss * A * N**alpha, "B": loss * B * D**alpha, "alpha": alpha}


# Relative to the reference run: N = D = 1 there, and the least loss measured is 1.
law = Law(
    name="chinchilla_tied",
    mean=mean,
    natural=natural,
    floor="E",
    terms=(Term("A", "alpha", "N"), Term("B", "alpha", "D")),
    priors={
        "E": LogitNormal(1.0, 1.5),  # 90% between 0.19 and 0.97 of the least loss
        "A": dist.LogNormal(-1.6, 1.0),  # 90% between 0.04 and 1.05 of the least loss
        "B": dist.LogNormal(-1.6, 1.0),
        "alpha": dist.LogNormal(-1.2, 0.5),  # 90% between 0.13 and 0.69
    },
    spread={"E": 0.1, "alpha": 0.2},
    source="Muennighoff et al. 2023, arXiv:2305.16264, and Gadre et al. 2024, arXiv:2403.08540: alpha = beta",
)
