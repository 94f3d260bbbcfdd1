"""Shifts that models of one family share, integrated out: noise of logits that needs no parameter for any level."""

import math
from functools import cache
from typing import NamedTuple

import jax.numpy as jnp
import numpyro.distributions as dist
from jax import Array, nn, random
from jax.scipy.special import expit
from jax.typing import ArrayLike
from numpyro.distributions import constraints

from bayescale.logit_normal import log_density
from bayescale.noise import Noise
from bayescale.runs import Runs

# Models scatter about a law by some 0.06 to 0.3 logits, and by 1% of the loss; families by as much again and more.
SCATTER = {"success": (math.log(0.15), 1.0), "loss": (math.log(0.01), 1.0)}
SPREAD = {"success": (math.log(0.3), 1.0), "loss": (math.log(0.03), 1.0)}
LOG_2PI = math.log(2 * math.pi)
STEPS = 3  # of Newton's method, to the shift of a group
EDGE = 1e-9  # of a success that has a logit
LARGEST = 20.0  # logits


class Opened(NamedTuple):
    """Responses where they are taken for normal: logits of success, logarithms of a loss.

    Attributes:
        value: (runs,).
        variance: of the tries alone, (runs,).
        volume: the logarithm of how much of `value` a unit of the response is, (runs,).
    """

    value: Array
    variance: Array
    volume: Array


def opened(runs: Runs) -> Opened:
    """The responses on the scale of the shifts.

    The empirical logit of k of n is ln((k + 1/2) / (n - k + 1/2)), with the variance 1 / (k + 1/2) + 1 / (n - k + 1/2):
    a number where all are right or none.

    Source:
        Gart and Zweifel 1967, doi:10.1093/biomet/54.1-2.181, on the bias of empirical logits and of their variance.
    """
    response = jnp.asarray(runs.response)
    if runs.kind == "loss":
        return Opened(jnp.log(response), jnp.zeros_like(response), -jnp.log(response))
    won, lost = response + 0.5, jnp.asarray(runs.columns["trials"]) - response + 0.5
    variance = 1 / won + 1 / lost
    return Opened(jnp.log(won) - jnp.log(lost), variance, jnp.log(variance))


def density(runs: Runs, place: ArrayLike, scatter: ArrayLike) -> Array:
    """The log density of responses that scatter about a logit, or a logarithm, (..., runs).

    Args:
        runs: the table.
        place: on the scale of `opened`, (..., runs).
        scatter: (..., 1), or one number.
    """
    response = jnp.asarray(runs.response)
    place, scatter = jnp.broadcast_arrays(jnp.asarray(place), scatter)
    if runs.kind == "loss":
        data = opened(runs)
        return data.volume - jnp.log(scatter) - (LOG_2PI + ((data.value - place) / scatter) ** 2) / 2
    return log_density(response, jnp.asarray(runs.columns["trials"]), place, scatter, nodes=3, steps=6)


def odds_of(mean: ArrayLike, chance: ArrayLike) -> Array:
    """The odds of what is known, k = (p - chance) / (1 - chance)."""
    known = jnp.clip((jnp.asarray(mean) - chance) / (1 - jnp.asarray(chance)), EDGE, 1 - EDGE)
    return known / (1 - known)


def moved(odds: ArrayLike, factor: ArrayLike, chance: ArrayLike) -> tuple[Array, Array]:
    """The logit of success where the odds of what is known are multiplied, and by how much it moves with their log.

    Those that guess stay where they are. p = (chance + o) / (1 + o) where o are the odds.
    """
    o = jnp.asarray(odds) * factor
    won = jnp.maximum(o + chance, EDGE)
    logit = jnp.log(won) - jnp.log(1 - jnp.asarray(chance))
    return jnp.clip(logit, -LARGEST, LARGEST), o / won


class Shared(dist.Distribution):
    """Responses whose logits, or logarithms, are normal, and together the more where they are of one group.

    What is known by run j of group g is moved by shift_g ~ Normal(0, spread), and its logit scatters about that by
    `scatter`; successes are binomial given that. The shifts of groups that have runs add to nothing: all together they
    would be another ceiling. They are integrated out about the place that empirical logits say, by Laplace's method,
    exactly so for a loss. The density of all is the sum over runs, of which those of a group have its integral in equal
    parts.

    Source:
        Tierney and Kadane 1986, doi:10.1080/01621459.1986.10478240, for the integral.
    """

    arg_constraints = {"centre": constraints.positive, "scatter": constraints.positive}
    support = constraints.real  # pyright: ignore

    def __init__(self, centre, scatter, spread, runs: Runs, group, groups: int, *, validate_args=None):
        self.centre, self.scatter, self.spread = centre, scatter, spread
        self.scale = jnp.sqrt(scatter**2 + opened(runs).variance)
        self.runs, self.group, self.groups = runs, group, groups
        self.odds = odds_of(centre, runs.columns["chance"]) if runs.kind == "success" else centre
        super().__init__(jnp.shape(centre), validate_args=validate_args)

    def replaced(self, mean) -> "Shared":
        """The same about another mean."""
        return Shared(mean, self.scatter, self.spread, self.runs, self.group, self.groups)

    def at(self, shift) -> Array:
        """Where responses are if groups have these shifts, (runs,)."""
        return self._at(shift)[0]

    def _at(self, shift):
        """The same, and by how much they move with more."""
        if self.runs.kind == "loss":
            return jnp.log(self.centre) + shift[..., self.group], jnp.ones_like(self.centre)
        return moved(self.odds, jnp.exp(shift)[..., self.group], self.runs.columns["chance"])

    def _seen(self, value):
        """The likeliest shift of each group, its precision without the others, and which groups have runs."""
        weight = jnp.asarray(self.runs.weight) / self.scale**2
        member = nn.one_hot(self.group, self.groups, axis=0)  # (groups, runs)
        there = jnp.sign(member @ jnp.asarray(self.runs.weight))
        shift, precision = jnp.zeros(self.groups), jnp.ones(self.groups)
        for _ in range(STEPS):
            loc, reach = self._at(shift)
            precision = self.spread**-2 + member @ (weight * reach**2)
            shift = (member @ (weight * reach * (value - loc + reach * shift[self.group]))) / precision
            shift = _together(shift, precision, there)
        return shift, precision, there

    def log_prob(self, value):  # noqa: D102  # pyright: ignore[reportIncompatibleMethodOverride]
        data = opened(self.runs.replace(response=value))
        shift, precision, there = self._seen(data.value)
        alone = density(self.runs.replace(response=value), self._at(shift)[0], self.scatter)
        wide = self.spread**2 * precision
        together = -there * ((shift / self.spread) ** 2 + jnp.log(wide)) / 2
        common = -jnp.log((there @ (1 / wide)) / there.sum()) / 2  # they add to nothing
        member = nn.one_hot(self.group, self.groups, axis=0)
        of = member @ jnp.asarray(self.runs.weight)
        of_group = together + common * there / there.sum()
        return alone + (of_group / jnp.maximum(of, EDGE)) @ member

    def sample(self, key, sample_shape=()):  # noqa: D102
        assert key is not None
        own, shared = random.split(key)
        loc, _ = self._at(self.spread * random.normal(shared, (*sample_shape, self.groups)))
        drawn = loc + self.scale * random.normal(own, sample_shape + self.batch_shape)
        if self.runs.kind == "loss":
            return jnp.exp(drawn)
        return jnp.asarray(self.runs.columns["trials"]) * expit(drawn)

    def shifts(self, key: Array) -> Array:
        """The shifts of the groups, drawn given the responses, (groups,); those without runs have any."""
        shift, precision, there = self._seen(opened(self.runs).value)
        drawn = random.normal(key, (self.groups,)) / jnp.sqrt(precision)
        return shift + _together(drawn, precision, there)


def _together(shift: Array, precision: Array, there: Array) -> Array:
    """Normal numbers, given that those of the groups that have runs add to nothing."""
    share = there / precision
    return shift - share * (there @ shift) / share.sum()


@cache
def shared(kind: str, by: str) -> Noise:
    """Normal noise of the logit of success, or of the logarithm of the loss, with a shift for each level of a factor.

    The shifts are integrated out, so that no level has a parameter. It is the same object each time, for which nothing
    is compiled anew. Of success the table has a column `chance`.

    Args:
        kind: "success" or "loss".
        by: the factor; its levels may be one.
    """

    def likelihood(mean, runs, *, scatter, spread):
        mean = jnp.broadcast_to(mean, jnp.shape(runs.response))
        return Shared(mean, scatter, spread, runs, jnp.asarray(runs.factors[by]), len(runs.levels[by]))

    priors = {"scatter": dist.LogNormal(*SCATTER[kind]), "spread": dist.LogNormal(*SPREAD[kind])}
    return Noise("shared", likelihood, priors, response=kind, residuals=None)
