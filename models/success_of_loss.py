"""Success as a bounded function of the loss: the second step of a forecast in two steps.

    p(loss) = floor + (1 - floor) (1 - lapse) sigma(slope (halfway - loss))

The loss may be that of validation or of the right answers, in nats or bits for each token or byte. Being bounded is
what keeps forecasts sane: the exponential link of Gadre et al. predicts errors below 0.
"""

import numpyro.distributions as dist
from jax.scipy.special import expit

from bayescale.law import Law
from bayescale.priors import LogitNormal


def mean(loss, *, halfway, slope, floor, lapse):
    """Success of a model with that loss.

    >>> round(float(mean(2.5, halfway=3.0, slope=2.0, floor=0.25, lapse=0.1)), 4)  # sigma(1) is 0.7311
    0.7435
    """
    return floor + (1 - floor) * (1 - lapse) * expit(slope * (halfway - loss))


def natural(loss, success, *, halfway, slope, floor, lapse):
    return {"halfway": loss * halfway, "slope": slope / loss, "floor": floor, "lapse": lapse}


# Relative to the reference run, whose loss is 1. The losses of a study have a standard deviation of some 0.15 of their
# mean, and the success changes by about a logit over one of them.
law = Law(
    name="success_of_loss",
    mean=mean,
    natural=natural,
    response="success",
    priors={
        "halfway": dist.LogNormal(0.0, 0.3),  # 90% between 0.61 and 1.64 times the loss of the reference run
        "slope": dist.LogNormal(2.0, 0.7),  # 90% between 2.3 and 23 logits for the loss of the reference run
        "floor": LogitNormal(-2.2, 1.2),  # 90% between 0.015 and 0.44
        "lapse": LogitNormal(-1.7, 1.0),  # 90% between 0.03 and 0.49
    },
    spread={"halfway": 0.2, "slope": 0.5, "floor": 1.0, "lapse": 1.0},
    source="Bhagia et al. 2024, arXiv:2412.04403, equation 3, the logistic link from task loss to accuracy",
)
