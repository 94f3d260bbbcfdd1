"""Success whose negative logarithm is a power law: mean log pass rate, PassUntil and the direct law are this one.

    -log p = A x^-alpha,  p(x) = exp(-A x^-alpha)

Far below the threshold log(-log p) is a line in log x, where a logistic curve has log p in a line. In the mean log pass
rate p is that of one problem, or its geometric mean over problems; the direct law puts the mean accuracy in its place.
"""

import jax.numpy as jnp
import numpyro.distributions as dist

from bayescale.law import Law


def mean(x, *, A, alpha):
    """Success at x.

    >>> round(float(mean(100.0, A=10.0, alpha=0.5)), 4)  # exp(-1)
    0.3679
    """
    return jnp.exp(-A * x**-alpha)


def natural(x, success, *, A, alpha):
    return {"A": A * x**alpha, "alpha": alpha}


# Relative to the reference run: x = 1 there, and A is -log p at the reference run.
law = Law(
    name="success_power",
    mean=mean,
    natural=natural,
    response="success",
    priors={
        "A": dist.LogNormal(1.0, 1.5),  # 90% between 0.23 and 32: p from 0.79 down to 1e-14
        "alpha": dist.LogNormal(
            -2.3, 0.6
        ),  # 90% between 0.037 and 0.27; Pythia has 0.08 to 0.10 on GSM8K, MATH
    },
    spread={"A": 1.0, "alpha": 0.3},
    source="OpenAI 2023, arXiv:2303.08774, section 3.2; Hu et al. 2023, arXiv:2310.03262; Krajewski et al. 2025, "
    "arXiv:2512.08894",
)
