"""What runs not yet made would tell, without the normal approximation: nested Monte Carlo.

Outcomes of the runs are drawn from the posterior predictive distribution; for each of them the draws of the fit are
weighted by how likely they make it, which is the posterior with those runs in the table. It is exact up to Monte-Carlo
error, which is small where many draws keep weight: the runs must not tell very much more than the table does.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, random
from numpyro.distributions.distribution import validation_enabled
from scipy.special import entr

from bayescale import parallel
from bayescale.decide.candidates import groups
from bayescale.decide.updates import expected_entropy
from bayescale.fit import Fit
from bayescale.model import Model, effect_of, shocked
from bayescale.runs import Runs

AT_ONCE = 50  # outcomes whose weights are held together


class Told(NamedTuple):
    """What runs would tell.

    Attributes:
        removed: the share of the uncertainty that they are expected to remove.
        error: its Monte-Carlo standard error.
        effective: the draws that keep weight, in the median over the outcomes.
    """

    removed: float
    error: float
    effective: float


class Outcomes(NamedTuple):
    """Outcomes of runs, and how likely the draws of a fit make each of them.

    Attributes:
        responses: (outcomes, runs).
        log_weights: (outcomes, draws); minus infinity for the draw that an outcome is of.
    """

    responses: np.ndarray
    log_weights: np.ndarray


def outcomes(key: Array, fit: Fit, runs: Runs, levels: Mapping[str, str], count: int) -> Outcomes:
    """Outcomes of runs from the posterior predictive distribution of a fit, and their weights.

    Shocks that the runs would share or have for themselves are drawn once for each draw, as part of what is unknown.
    """
    key_pick, key_shocks, key_noise, key_own = random.split(key, 4)
    with parallel.workbench():
        picked = np.asarray(random.choice(key_pick, len(fit), (min(count, len(fit)),), replace=False))
        parameters, shocks = _unknown(fit, runs, levels, key_shocks)
        of_picked = {name: values[picked] for name, values in parameters.items()}
        # An outcome has shocks of its own, which the draws that are weighted do not know.
        own = _unknown(fit, runs, levels, key_own)[1][picked]
        responses = np.asarray(_drawn(fit.model, runs, random.split(key_noise, len(picked)), of_picked, own))
        logs = likelihoods(fit, runs, responses, parameters, shocks)
    logs[np.arange(len(picked)), picked] = -np.inf
    return Outcomes(responses, logs)


def likelihoods(
    fit: Fit, runs: Runs, responses: np.ndarray, parameters: Mapping[str, np.ndarray], shocks: np.ndarray
) -> np.ndarray:
    """The log density of each outcome at each draw, (outcomes, draws)."""
    parts = [
        np.asarray(_densities(fit.model, runs, responses[i : i + AT_ONCE], parameters, shocks))
        for i in range(0, len(responses), AT_ONCE)
    ]
    return np.concatenate(parts)


def of_values(values: np.ndarray, found: Outcomes, *, sign: bool = False) -> Told:
    """What outcomes tell of a number, (draws,): the share of its variance that goes, or of the entropy of its sign."""
    weights, _, effective = _weighed(found.log_weights)
    if sign:
        before = values < 0
        p = np.clip(weights @ before, 0.0, 1.0)
        whole = float(entr(before.mean()) + entr(1 - before.mean()))
        left = entr(p) + entr(1 - p)
        if whole == 0:
            return Told(float("nan"), float("nan"), effective)
        return Told(1 - float(left.mean()) / whole, float(left.std() / whole / np.sqrt(len(left))), effective)
    aside = values - values.mean()
    means = weights @ aside
    # What goes is the variance of the means; that of their own Monte-Carlo error is taken off.
    noise = (weights**2 * (aside - means[:, None]) ** 2).sum(axis=1) - aside.var() / len(aside)
    squares = ((means - means.mean()) ** 2 - noise) / aside.var()
    return Told(float(squares.mean()), float(squares.std() / np.sqrt(len(squares))), effective)


def of_laws(
    key: Array,
    fits: Sequence[Fit],
    weights: np.ndarray,
    runs: Sequence[Runs],
    levels: Sequence[Mapping[str, str]],
    count: int,
) -> Told:
    """What runs tell of which of several fits is right.

    Args:
        key: the random key.
        fits: the fits.
        weights: their probabilities before, (fits,).
        runs: the runs, as a table measured as that of each fit is.
        levels: for each fit the levels that the runs are of.
        count: outcomes under each fit.
    """
    keys = random.split(key, 2 * len(fits))
    left, effective = [], []
    with parallel.workbench():
        unknown = [
            _unknown(fit, table, own, k)
            for fit, table, own, k in zip(fits, runs, levels, keys[len(fits) :], strict=True)
        ]
        for i, (fit, table, own, k) in enumerate(zip(fits, runs, levels, keys[: len(fits)], strict=True)):
            drawn = outcomes(k, fit, table, own, count)
            logs = []
            for j, (other, its, (parameters, shocks)) in enumerate(zip(fits, runs, unknown, strict=True)):
                each = (
                    drawn.log_weights
                    if i == j
                    else likelihoods(other, its, drawn.responses, parameters, shocks)
                )
                _, total, keep_weight = _weighed(each)
                logs.append(np.log(weights[j]) + total - np.log(len(other) - (i == j)))
                if i == j:  # outcomes that no draw of another law explains tell it apart, and well
                    effective.append(keep_weight)
            left.append(expected_entropy(np.stack(logs)))
    whole = float(entr(weights).sum())
    mean = float(sum(w * part.mean() for w, part in zip(weights, left, strict=True)))
    error = float(np.sqrt(sum(w**2 * part.var() / len(part) for w, part in zip(weights, left, strict=True))))
    return Told(1 - mean / whole, error / whole, float(min(effective)))


def _weighed(logs: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Weights that sum to 1 for each outcome, of logarithms (outcomes, draws).

    Returns:
        The weights, (outcomes, draws); the logarithms of their sums before, (outcomes,); and how many draws keep
        weight, in the median over outcomes.
    """
    most = logs.max(axis=1, keepdims=True)
    weights = np.exp(logs - most)
    total = weights.sum(axis=1, keepdims=True)
    weights /= total
    return weights, (most + np.log(total))[:, 0], float(np.median(1 / (weights**2).sum(axis=1)))


def _unknown(
    fit: Fit, runs: Runs, levels: Mapping[str, str], key: Array
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The parameters relative to the reference run, name -> (draws,), and the shocks of the runs, (draws, runs)."""
    own = {by: level for by, level in levels.items() if by in fit.model.factors}
    shocks = np.zeros((len(fit), len(runs)))
    for by, of in groups(fit, runs, levels).items():
        known, scale = fit.flat(effect_of(by)), fit.flat(f"{effect_of(by)}_scale")
        key, drawn = random.split(key)
        new = {level: i for i, level in enumerate(dict.fromkeys(o for o in of if not isinstance(o, int)))}
        fresh = np.asarray(random.normal(drawn, (len(fit), max(len(new), 1)))) * scale[:, None]
        shocks += np.stack([known[:, o] if isinstance(o, int) else fresh[:, new[o]] for o in of], axis=1)
    return {name: np.asarray(values) for name, values in fit.relative(own).items()}, shocks


@partial(jax.jit, static_argnums=0)
def _drawn(model: Model, runs: Runs, keys: Array, parameters: dict[str, Array], shocks: Array) -> Array:
    """A response of each run for each draw, (draws, runs)."""

    def one(key, own, shock):
        with validation_enabled(False):
            noise = model.noise(shocked(model.mean(runs, own), shock, "loss"), runs, own)
            return jnp.asarray(noise.sample(key))

    return jax.vmap(one)(keys, parameters, shocks)


@partial(jax.jit, static_argnums=0)
def _densities(
    model: Model, runs: Runs, responses: Array, parameters: Mapping[str, Array], shocks: Array
) -> Array:
    """The log density of each outcome at each draw, (outcomes, draws)."""

    def one(own, shock):
        with validation_enabled(False):
            noise = model.noise(shocked(model.mean(runs, own), shock, "loss"), runs, own)
            return jnp.asarray(noise.log_prob(responses)).sum(axis=-1)

    return jax.vmap(one, out_axes=1)(dict(parameters), shocks)
