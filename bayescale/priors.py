"""The few priors that NumPyro has no name for."""

import numpyro.distributions as dist
from numpyro.distributions import constraints
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
