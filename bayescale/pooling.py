"""What the runs of one group share: parameters of their own (Pooling), or a shock beyond the law (Effect)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
from jax import Array
from jax.typing import ArrayLike
from numpyro.distributions import Distribution, biject_to, constraints
from numpyro.distributions.transforms import ExpTransform, Transform

SPREAD = 0.5  # how far levels differ in a parameter of which a law says nothing: 50% in a positive one
SHOCK = {"loss": 0.01, "success": 0.5}  # the shock a group shares: 1% of the loss; half a logit of success


@dataclass(frozen=True)
class Pooling:
    """Parameters that differ between the levels of a factor.

    The parameter of a level is Normal(centre, scale), and the scale is learned: on the log where the parameter is
    positive, on the logit where it is a probability.

    Args:
        vary: the parameters that differ.
        by: the factor.
        scale: the prior of the scale of each; by default a half-normal of what the law says of the spread.
    """

    vary: tuple[str, ...]
    by: str
    scale: Distribution | None = None

    def __post_init__(self):
        if isinstance(self.vary, str) or not self.vary:
            raise ValueError(
                f"vary is {self.vary!r}; it is a tuple of the names of parameters, such as ('E', 'A')"
            )
        object.__setattr__(self, "vary", tuple(self.vary))

    def prior_of_scale(self, parameter: str, spread: Mapping[str, float]) -> Distribution:
        """The prior of the scale between levels of one parameter."""
        return self.scale if self.scale is not None else dist.HalfNormal(spread.get(parameter, SPREAD))


@dataclass(frozen=True)
class Effect:
    """A shock shared by the runs of one level of a factor: one training run, one model size, one model.

    The shocks of the levels are Normal(0, scale) on the log loss, or on the logit of success.

    Args:
        by: the factor.
        scale: the prior of the scale; by default half-normal with 0.01 for a loss and 0.5 for success.
    """

    by: str
    scale: Distribution | None = None

    def prior_of_scale(self, response: str) -> Distribution:
        """The prior of the scale of the shocks."""
        return self.scale if self.scale is not None else dist.HalfNormal(SHOCK[response])


class Local(NamedTuple):
    """What the data of each level say of its own parameters, once all that levels share is known.

    Attributes:
        estimate: the parameters of the level in the space where levels differ, (levels, parameters).
        precision: the inverse of their covariance, (levels, parameters, parameters).
        moves: whether each parameter is measured from the centre, (parameters,): of several factors that a parameter
            varies by and that cross only one is, or what all have in common would move them all at once.
        within: factor -> the level of it that each level is of, (levels,), where these are levels within levels.
        turns: of a law with thresholds, the log covariate that curves turn about when their slopes change, (levels,).
    """

    estimate: Array
    precision: Array
    moves: Array | float = 1.0
    within: dict[str, Array] = {}  # nobody changes it
    turns: Array | float = 0.0


def deviations(
    name: str, scales: Array, levels: int, *, centre: Array | float = 0.0, local: Local | None = None
) -> Array:
    """Normal(0, scales) deviations of the levels of a factor, (levels, parameters), as a site of a NumPyro model.

    What is sampled are the deviations less the mean, and over the Cholesky factor of the covariance, that they
    would have for these scales if `local` were all that is known: standard normal and independent, whatever the
    scales, as far as the level's data are what `local` says. Where a level has no data that is the non-centred
    form, where it has very much the centred one, and between them it is the right mixture at every scale. The
    distribution of the deviations does not depend on `local`.

    Source:
        Papaspiliopoulos, Roberts and Skold 2007, doi:10.1214/088342307000000014, section 4, where the mixture is
        a number; here it follows the scales.
    """
    standard = dist.Normal(jnp.zeros((levels, len(scales))), 1.0).to_event(2)
    raw = jnp.asarray(numpyro.sample(f"{name}_raw", standard))
    if local is None:
        return scales * raw
    mean, root = conditional(scales, centre, local)
    moved = mean + _solve_upper(root, raw)
    volume = jnp.log(jnp.diagonal(root, axis1=-2, axis2=-1)).sum()
    numpyro.factor(
        f"{name}_change", dist.Normal(0.0, scales).log_prob(moved).sum() - volume - standard.log_prob(raw)
    )
    return moved


def conditional(scales: Array, centre: Array | float, local: Local) -> tuple[Array, Array]:
    """The deviations of levels given their scales, their centre and `local`.

    Returns:
        Their mean, (levels, parameters), and the Cholesky factor of their precision, (levels, parameters, parameters).
    """
    root = _cholesky(jnp.asarray(local.precision + jnp.diag(scales**-2)))
    pull = (local.precision @ (local.estimate - centre)[..., None])[..., 0]
    return _solve_upper(root, _solve_lower(root, pull)), root


# A level has a handful of parameters. Written out, these are a few multiplications that are compiled into the
# gradient around them; as calls of a library they would be most of its time.


def _cholesky(matrix: Array) -> Array:
    """The lower Cholesky factors of (..., parameters, parameters)."""
    size = matrix.shape[-1]
    root: list[list[Array]] = []
    for i in range(size):
        row: list[Array] = []
        for j in range(i + 1):
            rest = matrix[..., i, j] - sum(
                ((row[k] * (root[j] if j < i else row)[k]) for k in range(j)), start=0.0
            )
            row.append(jnp.sqrt(rest) if i == j else rest / root[j][j])
        root.append(row)
    zero = jnp.zeros_like(matrix[..., 0, 0])
    rows = [jnp.stack([*row, *[zero] * (size - len(row))], axis=-1) for row in root]
    return jnp.stack(rows, axis=-2)


def inverse(matrix: Array) -> Array:
    """The inverses of (..., parameters, parameters), symmetric and positive."""
    root = _cholesky(matrix)
    columns = [
        _solve_lower(root, jnp.broadcast_to(one, matrix.shape[:-1])) for one in jnp.eye(matrix.shape[-1])
    ]
    half = jnp.stack(columns, axis=-1)
    return half.mT @ half


def _solve_lower(root: Array, right: Array) -> Array:
    """The solutions of root @ x = right, (..., parameters)."""
    found: list[Array] = []
    for i in range(root.shape[-1]):
        rest = right[..., i] - sum((root[..., i, k] * found[k] for k in range(i)), start=0.0)
        found.append(rest / root[..., i, i])
    return jnp.stack(found, axis=-1)


def _solve_upper(root: Array, right: Array) -> Array:
    """The solutions of root.T @ x = right, (..., parameters)."""
    flipped = root.mT[..., ::-1, ::-1]
    return _solve_lower(flipped, right[..., ::-1])[..., ::-1]


def shifted(prior: Distribution, value: ArrayLike, shift: ArrayLike, response: str) -> Array:
    """A parameter moved by `shift` in the space where levels differ."""
    space = _space(prior, response)
    return jnp.asarray(space(space.inv(value) + shift))


def unshifted(prior: Distribution, value: ArrayLike, response: str) -> Array:
    """A parameter in the space where levels differ."""
    return jnp.asarray(_space(prior, response).inv(value))


def _space(prior: Distribution, response: str) -> Transform:
    """Positive parameters differ by factors, real ones by differences, probabilities on the logit.

    A floor of the loss is a share of the least loss of all; the floor of one level may lie above what another
    level has reached, so floors differ by factors too, and only the data bound them.
    """
    if response == "loss" and prior.support is constraints.unit_interval:
        return ExpTransform()
    return biject_to(prior.support)
