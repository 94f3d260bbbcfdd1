"""Residuals of the runs of a fit, on a scale on which all noise is standard normal, and what runs share of them."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jax import Array, random
from jax.scipy.special import betainc
from numpyro.distributions.distribution import validation_enabled
from scipy.special import ndtri

from bayescale import parallel
from bayescale.fit import Fit
from bayescale.logit_normal import BinomialLogitNormal
from bayescale.model import Model, effect_of
from bayescale.runs import Runs

DRAWS = 1000  # the probabilities are then right to 3%, and in the tails to a tenth of their logarithm
FEW = 250  # to compare shocks and noise, to some 7%
FURTHEST = 8.0  # standard deviations, past which a double has no probability above it
QUARTILES = 1.349  # standard deviations between the quartiles of a normal


def quantile_residuals(fit: Fit) -> np.ndarray:
    """How far each run lies from what the fit expects of it, in standard deviations of a normal, (runs,).

        z = Phi^-1( P(response < that measured | runs) )

    The probability is an average over the draws, at the levels that the run is of, with a new shock of each effect:
    a run that stands out by the shock of its size does so here too. Of counts half of the probability of
    the very count is taken. If the law and its noise are right the residuals are standard normal, whatever the
    noise; a little less, since the fit has seen the runs. They are of one sign where the law is off.

    Raises:
        ValueError: the noise does not know its distribution function.

    Source:
        Dunn and Smyth 1996, doi:10.1080/10618600.1996.10474708, there with parameters that are known.
    """
    with parallel.workbench():
        try:
            below = jax.device_get(_below(fit.model, random.key(0), _some(fit), fit.runs))
        except NotImplementedError:
            raise ValueError(
                f"{fit.model.noise.name} noise does not know its distribution function: give the distribution that its "
                "likelihood returns a method cdf"
            ) from None
    return np.clip(ndtri(np.clip(below, 0.0, 1.0)), -FURTHEST, FURTHEST)


def alike(fit: Fit) -> np.ndarray:
    """The correlations between the residuals of runs, which share shocks, (runs, runs).

    Shocks and noise are compared on the log loss, or on the logit of success, where shocks are normal; the noise by
    the distance between its quartiles, which heavy tails do not move.
    """
    count = len(fit.runs)
    effects = fit.model.effects or ()
    if not effects:
        return np.eye(count)
    with parallel.workbench():
        noise = np.asarray(_noise(fit.model, random.key(0), _some(fit, FEW), fit.runs))
    quartiles = np.quantile(noise, (0.25, 0.75), axis=0)
    own = ((quartiles[1] - quartiles[0]) / QUARTILES) ** 2
    together = np.zeros((count, count))
    for effect in effects:
        index = np.asarray(fit.runs.factors[effect.by])
        shock = np.mean(fit.flat(f"{effect_of(effect.by)}_scale") ** 2)
        together += shock * (index[:, None] == index)
    covariance = together + np.diag(own)
    sd = np.sqrt(np.diag(covariance))
    return covariance / np.outer(sd, sd)


def _some(fit: Fit, count: int = DRAWS) -> dict[str, Array]:
    """About so many of the draws, site -> (draws, ...)."""
    step = max(1, len(fit) // count)
    return {name: jnp.asarray(fit.flat(name)[::step]) for name in fit.draws}


@partial(jax.jit, static_argnums=0)
def _noise(model: Model, key: Array, draws: dict[str, Array], runs: Runs) -> Array:
    """Noise alone, on the log loss or on the logit of success, (draws, runs)."""
    count = len(next(iter(draws.values())))

    def one(key: Array, values: dict[str, Array]) -> Array:
        own = {by: jnp.stack([values[n] for n in names], axis=-1) for by, names in model.factors.items()}
        mean = model.expected(runs, values, own)
        drawn = model.noise(mean, runs, values).sample(key)
        if model.law.response == "loss":
            return jnp.log(drawn / mean)
        trials = jnp.asarray(runs.columns["trials"])
        return jnp.log((drawn + 0.5) / (trials - drawn + 0.5)) - jax.scipy.special.logit(
            mean
        )  # Haldane's half

    with validation_enabled(False):
        return jax.vmap(one)(random.split(key, count), draws)


@partial(jax.jit, static_argnums=0)
def _below(model: Model, key: Array, draws: dict[str, Array], runs: Runs) -> Array:
    """The probability of less than was measured, (runs,)."""
    count = len(next(iter(draws.values())))

    def one(key: Array, values: dict[str, Array]) -> Array:
        shock_key, noise_key = random.split(key)
        shifts = {
            by: _shifts(model, by, values, runs, random.fold_in(shock_key, i))
            for i, by in enumerate(model.factors)
        }
        return _cdf(
            model.noise(model.expected(runs, values, shifts), runs, values),
            jnp.asarray(runs.response),
            noise_key,
        )

    with validation_enabled(False):
        return jax.vmap(one)(random.split(key, count), draws).mean(axis=0)


def _shifts(model: Model, by: str, values: dict[str, Array], runs: Runs, key: Array) -> Array:
    """The deviations of the levels of a factor, with new shocks, (levels, deviations)."""
    found = []
    for name in model.factors[by]:
        own = values[name]
        fresh = values[f"{name}_scale"] * random.normal(key, own.shape)
        found.append(fresh if name == effect_of(by) else own)
    return jnp.stack(found, axis=-1)


def _cdf(likelihood: dist.Distribution, value: Array, key: Array) -> Array:
    """The distribution function at the value; of counts, in the middle of its step."""
    if isinstance(likelihood, dist.BetaBinomial):  # on average over its probabilities; it has none of its own
        rates = dist.Beta(likelihood.concentration1, likelihood.concentration0).sample(key)
        likelihood = dist.BinomialProbs(rates, likelihood.total_count)
    if isinstance(likelihood, BinomialLogitNormal):
        likelihood = dist.BinomialProbs(likelihood.rates(key), likelihood.total_count)
    if not isinstance(likelihood, dist.BinomialProbs):
        return likelihood.cdf(value)
    trials, rates = jnp.asarray(likelihood.total_count), jnp.asarray(likelihood.probs)
    failed = trials - value
    # P(count <= k) = I(n - k, k + 1) at 1 - p; where k is n it is 1, which betainc does not say.
    at_most = jnp.where(failed > 0, betainc(jnp.maximum(failed, 1.0), value + 1.0, 1 - rates), 1.0)
    return at_most - jnp.exp(likelihood.log_prob(value)) / 2
