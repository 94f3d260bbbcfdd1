"""Loss as a power law of one covariate, to a floor.

    L(x) = E + A x^-alpha

E is the irreducible loss. E, A and alpha make up for one another over less than some 1.5 decades of x.
"""

import numpyro.distributions as dist

from bayescale.law import Law, Term
from bayescale.priors import LogitNormal


def mean(x, *, E, A, alpha):
    """Loss at x.

    >>> round(mean(1e21, E=1.6, A=95.18, alpha=0.0941), 3)  # Marin's ladder, at 1e21 FLOP
    2.606
    """
    return E + A * x**-alpha


def natural(x, loss, *, E, A, alpha):
    return {"E": loss * E, "A": loss * A * x**alpha, "alpha": alpha}


# Relative to the reference run: x = 1 there, and the least loss measured is 1.
law = Law(
    name="power_floor",
    mean=mean,
    natural=natural,
    floor="E",
    terms=(Term("A", "alpha", "x"),),
    priors={
        "E": LogitNormal(1.0, 1.5),  # 90% between 0.19 and 0.97 of the least loss
        "A": dist.LogNormal(-1.6, 1.0),  # 90% between 0.04 and 1.05 of the least loss
        "alpha": dist.LogNormal(-1.2, 0.5),  # 90% between 0.13 and 0.69
    },
    spread={"E": 0.1, "alpha": 0.2},
    source="Hestness et al. 2017, arXiv:1712.00409; Henighan et al. 2020, arXiv:2010.14701, equation 1.1",
)
