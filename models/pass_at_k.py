"""Success in at least one of k attempts, over problems that differ: pass@k, or coverage.

    pass@k = 1 - B(alpha, beta + k) / B(alpha, beta),  first = alpha / (alpha + beta)

`first` is the success of one attempt. The problems' own rates have a beta distribution, and the smaller its `alpha` the
more of them are next to hopeless: -log pass@k falls as k^-alpha. Of each problem pass@k is 1 - (1 - p)^k.
"""

import jax.numpy as jnp
import numpyro.distributions as dist

from bayescale.law import Law
from bayescale.priors import LogitNormal

SHIFT = 10  # beyond it three terms of Stirling's series are good to 1e-10


def _log_rise(z, a):
    """The logarithm of Gamma(z + a) / Gamma(z), without the difference of two large numbers."""
    below = sum(jnp.log1p(a / (z + i)) for i in range(SHIFT))
    z = z + SHIFT

    def rest(y):
        return (1 / 12 - (1 / 360 - 1 / 1260 / y**2) / y**2) / y  # of Stirling's series

    return (z - 0.5) * jnp.log1p(a / z) + a * jnp.log(z + a) - a + rest(z + a) - rest(z) - below


def mean(k, *, first, alpha):
    """The share of problems solved in k attempts.

    >>> [round(float(mean(k, first=0.5, alpha=1.0)), 4) for k in (1.0, 2.0, 9.0)]  # uniform rates: k / (k + 1)
    [0.5, 0.6667, 0.9]
    """
    beta = alpha * (1 - first) / first
    return -jnp.expm1(_log_rise(beta, alpha) - _log_rise(beta + k, alpha))


def natural(k, success, *, first, alpha):
    return {"first": first, "alpha": alpha}


# k is a number of attempts, and is not measured against anything.
law = Law(
    name="pass_at_k",
    mean=mean,
    natural=natural,
    response="success",
    absolute={"k": (1.0, float("inf"))},
    priors={
        "first": LogitNormal(-1.4, 1.2),  # 90% between 0.03 and 0.64
        "alpha": dist.LogNormal(-0.9, 0.6),  # 90% between 0.15 and 1.1
    },
    spread={"first": 1.0, "alpha": 0.3},
    source="Brown et al. 2024, arXiv:2407.21787; Schaeffer et al. 2025, arXiv:2502.17578, for the beta distribution",
)
