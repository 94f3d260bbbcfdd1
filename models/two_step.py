"""Success from parameters and tokens by way of a loss that is not measured: both steps of a forecast in one.

    p(N, D) = floor + (1 - floor) (1 - lapse) sigma(top - A N^-alpha - B D^-beta)

The loss is E + a N^-alpha + b D^-beta, and the link a logistic curve in it. Success alone says nothing of the scale of
the loss: A and B are its terms times the slope of the link, and `top` is the logit that is left with endless N and D.
"""

import numpyro.distributions as dist
from jax.scipy.special import expit

from bayescale.law import Law
from bayescale.priors import LogitNormal


def mean(N, D, *, top, A, B, alpha, beta, floor, lapse):
    """Success at N parameters and D training tokens.

    >>> round(float(mean(1e8, 1e8, top=3.0, A=100.0, B=100.0, alpha=0.25, beta=0.25, floor=0.2, lapse=0.0)), 4)
    0.7848
    """
    return floor + (1 - floor) * (1 - lapse) * expit(top - A * N**-alpha - B * D**-beta)


def natural(N, D, success, *, top, A, B, alpha, beta, floor, lapse):
    return {
        "top": top,
        "A": A * N**alpha,
        "B": B * D**beta,
        "alpha": alpha,
        "beta": beta,
        "floor": floor,
        "lapse": lapse,
    }


# Relative to the reference run: N = D = 1 there. A term of the loss is some 0.15 of it, and the slope of the link some
# 7 logits for the loss of the reference run (see `success_of_loss`): a term takes about one logit.
law = Law(
    name="two_step",
    mean=mean,
    natural=natural,
    response="success",
    priors={
        "top": dist.Normal(2.0, 2.0),  # 90% between -1.3 and 5.3 logits
        "A": dist.LogNormal(0.0, 1.0),  # 90% between 0.19 and 5.2 logits
        "B": dist.LogNormal(0.0, 1.0),
        "alpha": dist.LogNormal(-1.2, 0.5),  # 90% between 0.13 and 0.69
        "beta": dist.LogNormal(-1.2, 0.5),
        "floor": LogitNormal(-2.2, 1.2),  # 90% between 0.015 and 0.44
        "lapse": LogitNormal(-1.7, 1.0),  # 90% between 0.03 and 0.49
    },
    spread={"top": 1.5, "alpha": 0.2, "beta": 0.2, "floor": 1.0, "lapse": 1.0},
    source="Bhagia et al. 2024, arXiv:2412.04403, equations 1 and 3 put together",
)
