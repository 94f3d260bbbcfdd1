"""The fit in which what residuals call for has its place: shocks of groups of runs, and steps of the noise."""

import jax.numpy as jnp
from jax import Array, random

from bayescale.check.clusters import again, grouped, hanging_together
from bayescale.check.finding import Finding
from bayescale.check.scatter import uneven
from bayescale.fit import Fit
from bayescale.pooling import Effect

SHOCK = "A shock of each {} is in the model from here on (--effect none leaves it out)"
STEPS = "The noise has a scale of its own in each fifth of {} from here on (--noise-steps none leaves it out)"


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
    groups = hanging_together(key_look, fit) if shocks else []
    wider = uneven(fit) if steps else None
    model, runs = fit.model, fit.runs
    told = [one.finding("warning", SHOCK.format(one.by)) for one in groups]
    if groups:
        model = model.replace(effects=(*(model.effects or ()), *(Effect(one.by) for one in groups)))
        runs = grouped(runs)
    if wider is not None:
        model = model.replace(noise=model.noise.stepped(wider.along))
        told.append(wider.finding(STEPS.format(wider.along)))
    return (again(key_fit, fit, model, runs) if told else fit), tuple(told)
