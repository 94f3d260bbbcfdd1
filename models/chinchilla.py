"""Loss from parameters and training tokens, each with a power law of its own.

    L(N, D) = E + A N^-alpha + B D^-beta

E is the irreducible loss, A N^-alpha what more parameters would still take off, and
B D^-beta what more tokens would.
"""

import numpyro.distributions as dist

from bayescale.law import Law, Term
from bayescale.priors import LogitNormal


def mean(N, D, *, E, A, B, alpha, beta):
    """Loss at N parameters and D training tokens.

    >>> round(mean(7e10, 1.4e12, E=1.69, A=406.4, B=410.7, alpha=0.34, beta=0.28), 4)
    1.9366
    """
    return E + A * N**-alpha + B * D**-beta


def natural(N, D, loss, *, E, A, B, alpha, beta):
    return {"E": loss * E, "A": loss * A * N**alpha, "B": loss * B * D**beta, "alpha": alpha, "beta": beta}


# Relative to the reference run: N = D = 1 there, and the least loss measured is 1. The median loss of a
# study is some 1.3 times its least, and a term takes about 0.15 of the median: 0.2 = exp(-1.6) of the least.
law = Law(
    name="chinchilla",
    mean=mean,
    natural=natural,
    floor="E",
    terms=(Term("A", "alpha", "N"), Term("B", "beta", "D")),
    priors={
        "E": LogitNormal(1.0, 1.5),  # 90% between 0.19 and 0.97 of the least loss
        "A": dist.LogNormal(-1.6, 1.0),  # 90% between 0.04 and 1.05 of the least loss
        "B": dist.LogNormal(-1.6, 1.0),
        "alpha": dist.LogNormal(-1.2, 0.5),  # 90% between 0.13 and 0.69
        "beta": dist.LogNormal(-1.2, 0.5),
    },
    spread={"E": 0.1, "alpha": 0.2, "beta": 0.2},
    source="Hoffmann et al. 2022, arXiv:2203.15556, equation 2",
)
