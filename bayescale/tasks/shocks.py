"""Shocks that models of one family share, integrated out: noise of logits that needs no level of its own."""

import math
from functools import cache
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jax import Array, nn, random
from jax.scipy.special import logit
from jax.typing import ArrayLike
from numpyro.distributions import constraints

from bayescale.noise import Noise
from bayescale.runs import Runs

# Models scatter about a law by some 0.06 to 0.3 logits, and by 1% of the loss; families by as much again and more.
SCATTER = {"success": (math.log(0.15), 1.0), "loss": (math.log(0.01), 1.0)}
SPREAD = {"success": (math.log(0.3), 1.0), "loss": (math.log(0.03), 1.0)}
LOG_2PI = math.log(2 * math.pi)


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
    """The responses on the scale of the shocks.

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


class Shared(dist.Distribution):
    """Responses whose logits, or logarithms, are normal, and together the more where they are of one group.

    The logit of run j of group g is loc_j + reach_j shift_g + e_j, with shift_g ~ Normal(0, spread) and
    e_j ~ Normal(0, scale_j). The density of all is that of the runs as if alone, and what a group adds, which its runs
    have in equal parts.

    Source:
        Henderson, Kempthorne, Searle and von Krosigk 1959, doi:10.2307/2527669, for the variances of a random effect.
    """

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.real  # pyright: ignore

    def __init__(self, loc, scale, spread, reach, runs: Runs, group, groups: int, *, validate_args=None):
        self.loc, self.scale, self.spread, self.reach = loc, scale, spread, reach
        self.runs, self.group, self.groups = runs, group, groups
        super().__init__(jnp.shape(loc), validate_args=validate_args)

    def log_prob(self, value):  # noqa: D102  # pyright: ignore[reportIncompatibleMethodOverride]
        data = opened(self.runs.replace(response=value))
        away, precision = data.value - self.loc, self.scale**-2
        weight = jnp.asarray(self.runs.weight)
        alone = data.volume - jnp.log(self.scale) - (LOG_2PI + precision * away**2) / 2
        member = nn.one_hot(self.group, self.groups, axis=0)  # (groups, runs)
        seen = precision * self.reach
        known, pull, of = (
            member @ (weight * one) for one in (seen * self.reach, seen * away, jnp.ones_like(away))
        )
        widened = 1 + self.spread**2 * known
        together = (self.spread**2 * pull**2 / widened - jnp.log(widened)) / 2
        return alone + (together / jnp.maximum(of, 1e-9)) @ member

    def sample(self, key, sample_shape=()):  # noqa: D102
        assert key is not None
        own, shared = random.split(key)
        shift = self.spread * random.normal(shared, (*sample_shape, self.groups))[..., self.group]
        drawn = self.loc + self.reach * shift + self.scale * random.normal(own, sample_shape + self.batch_shape)
        if self.runs.kind == "loss":
            return jnp.exp(drawn)
        return jnp.asarray(self.runs.columns["trials"]) * nn.sigmoid(drawn)


@cache
def shared(kind: str, by: str) -> Noise:
    """Normal noise of the logit of success, or of the logarithm of the loss, with a shift for each level of a factor.

    The shifts are integrated out, so that no level has a parameter. It is the same object each time, for which nothing
    is compiled anew.

    Args:
        kind: "success" or "loss".
        by: the factor; its levels may be one.
    """

    def likelihood(mean, runs, *, scatter, spread):
        data = opened(runs)
        loc = jnp.log(mean) if kind == "loss" else logit(jnp.clip(mean, 1e-12, 1 - 1e-12))
        away = reach(mean, runs.columns["chance"]) if kind == "success" else jnp.ones_like(loc)
        scale = jnp.sqrt(scatter**2 + data.variance)
        return Shared(loc, scale, spread, away, runs, runs.factors[by], len(runs.levels[by]))

    priors = {"scatter": dist.LogNormal(*SCATTER[kind]), "spread": dist.LogNormal(*SPREAD[kind])}
    return Noise("shared", likelihood, priors, response=kind, residuals=None)


def reach(mean: ArrayLike, chance: ArrayLike) -> Array:
    """By how much the logit of success moves with a logit of what is known: all of it, but for those that guess.

    Of p = chance + (1 - chance) sigma(eta) the logit has the derivative (p - chance) / ((1 - chance) p) by eta.
    """
    mean, chance = jnp.asarray(mean), jnp.asarray(chance)
    return jnp.clip((mean - chance) / ((1 - chance) * jnp.maximum(mean, 1e-12)), 0.0, 1.0)


def shifts(
    away: np.ndarray,
    variance: np.ndarray,
    spread: np.ndarray,
    reached: np.ndarray,
    group: np.ndarray,
    groups: int,
) -> tuple[np.ndarray, np.ndarray]:
    """The mean and the standard deviation of the shift of each group, given what its runs are off by.

    Args:
        away: what was measured less the law, (draws, runs).
        variance: of each run about law and shift, (draws, runs).
        spread: the standard deviation of shifts, (draws,).
        reached: by how much a shift moves each run, (draws, runs).
        group: of each run, (runs,).
        groups: how many there are; one without runs has the shift that is not known.

    Returns:
        Each (draws, groups).
    """
    member = np.eye(groups)[group]
    known, pull = (reached**2 / variance) @ member, (reached * away / variance) @ member
    square = spread[:, None] ** 2
    return square * pull / (1 + square * known), np.sqrt(square / (1 + square * known))
