"""The few priors that NumPyro has no name for, and priors in words."""

import numpy as np
import numpyro.distributions as dist
from numpyro.distributions import Distribution, constraints
from numpyro.distributions.transforms import SigmoidTransform


class LogitNormal(dist.TransformedDistribution):
    """A number between 0 and 1 whose logit is normal.

    Args:
        loc: the mean of the logit.
        scale: the standard deviation of the logit.
    """

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.unit_interval  # pyright: ignore
    reparametrized_params = ["loc", "scale"]

    def __init__(self, loc=0.0, scale=1.0, *, validate_args=None):
        base = dist.Normal(loc, scale)
        self.loc, self.scale = base.loc, base.scale
        super().__init__(base, SigmoidTransform(), validate_args=validate_args)


def prior_in_words(prior: Distribution) -> str:
    """A prior by name and parameters.

    >>> prior_in_words(dist.LogNormal(-1.6, 1.0))
    'LogNormal(-1.6, 1)'
    """
    values = [float(np.asarray(getattr(prior, name))) for name in prior.arg_constraints]
    return f"{type(prior).__name__}({', '.join(f'{v:.4g}' for v in values)})"
