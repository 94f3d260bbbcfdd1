"""The fit in which what residuals call for has its place: shocks of groups of runs, and steps of the noise."""

import jax.numpy as jnp
from jax import Array, random

from bayescale.check.clusters import again, grouped, hanging_together
from bayescale.check.finding import Finding
from bayescale.check.scatter import uneven
from bayescale.fit import Fit
from bayescale.noise import Noise
from bayescale.pooling import Effect

SHOCK = "A shock of each {} is in the model from here on (--effect none leaves it out)"
STEPS = (
    "The noise has a scale of its own in each fifth of {} from here on (--noise-steps none leaves it out; other verbs "
    "take it as --noise-steps {})"
)


def widen(
    key: Array, fit: Fit, *, shocks: bool = True, steps: bool = True
) -> tuple[Fit, tuple[Finding, ...]]:
    """The fit with what its residuals call for, or the fit itself where that is nothing.

    The model is fitted anew by the same method: with a shock for each group of runs that hang together, and with steps
    of the scale of the noise along what it goes with. The likelihood alone has no scale for shocks, and its replicates
    are resampled: such fits stay as they are.

    Args:
        key: the random key.
        fit: the fit.
        shocks: whether shocks may be added.
        steps: whether steps may be.

    Returns:
        The fit, and what was found in the one that was given.
    """
    if fit.method not in ("nuts", "laplace", "map"):
        return fit, ()
    key_look, key_fit = random.split(key)
    if "key" in fit.stats:  # the same fit as if all had been named at once
        key_fit = random.wrap_key_data(jnp.asarray(fit.stats["key"], jnp.uint32))
    told = []
    if shocks and (groups := hanging_together(key_look, fit)):
        told += [one.finding("warning", SHOCK.format(one.by)) for one in groups]
        effects = (*(fit.model.effects or ()), *(Effect(one.by) for one in groups))
        fit = again(key_fit, fit, fit.model.replace(effects=effects), grouped(fit.runs))
    # Asked of the fit with shocks: runs that hang together at one end look like noise that is wider there.
    if steps and (wider := uneven(fit)) and (stepped := _stepped(fit, wider.along)):
        told.append(wider.finding(STEPS.format(wider.along, wider.along)))
        fit = again(key_fit, fit, fit.model.replace(noise=stepped), fit.runs)
    return fit, tuple(told)


def _stepped(fit: Fit, along: str) -> Noise | None:
    """The noise of a fit with steps; None where values repeat so often that there are no fifths."""
    try:
        return fit.model.noise.stepped(along).settled(fit.runs)
    except ValueError:
        return None
