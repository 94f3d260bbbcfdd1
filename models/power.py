"""Loss as a power law of one covariate, to zero.

    L(x) = A x^-alpha

In Kaplan's notation (x_c / x)^alpha, with A = x_c^alpha: a straight line in log loss and log x.
"""

import numpyro.distributions as dist

from bayescale.law import Law, Term


def mean(x, *, A, alpha):
    """Loss at x.

    >>> round(mean(1.0, A=3.1e8**0.050, alpha=0.050), 4)  # Kaplan's L(C), at one PF-day
    2.6581
    """
    return A * x**-alpha


def natural(x, loss, *, A, alpha):
    return {"A": loss * A * x**alpha, "alpha": alpha}


# Relative to the reference run: x = 1 there, and the least loss measured is 1. A is the whole loss at the
# reference run, near the median of the study: some 1.3 = exp(0.26) times its least.
law = Law(
    name="power",
    mean=mean,
    natural=natural,
    terms=(Term("A", "alpha", "x"),),
    priors={
        "A": dist.LogNormal(0.26, 0.5),  # 90% between 0.57 and 2.95 times the least loss
        "alpha": dist.LogNormal(-2.5, 0.5),  # 90% between 0.036 and 0.19: without a floor slopes are flat
    },
    spread={"alpha": 0.2},
    source="Kaplan et al. 2020, arXiv:2001.08361, equations 1.1 to 1.3",
)
