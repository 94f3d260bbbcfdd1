"""A coordinate for thresholds that lie far beyond the data.

Where success is rare the data tell it at the reference run, which is the product of slope and threshold and the share
that is ever gained; they hardly tell these apart. So the coordinate in place of a threshold does not move when slope
and lapse change and success at the reference run does not:

    log threshold = coordinate + share (log threshold_0 (slope_0 / slope - 1)
                                        + 2.303 / slope log((1 - lapse) / (1 - lapse_0)))

`share` is 1 there, and 0 where thresholds lie amid the data. The volume is that of the log threshold itself. How far
the thresholds of levels spread is known there as slope times spread, so that the coordinates of their scales lean too:

    log scale = coordinate + share log(slope_0 / slope)
"""

from collections.abc import Mapping
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array
from numpyro.distributions import constraints

from bayescale.law import Law
from bayescale.pooling import Local

LN10 = 2.302585092994046  # a decade
NEAR = 0.5  # e-folds from the reference run, within which nothing leans


class Lean(NamedTuple):
    """What the coordinate is measured from: the parameters at the mode, and how far it leans."""

    threshold: Array
    slope: Array
    lapse: Array
    share: Array


def leans(law: Law) -> bool:
    """Whether a law has a threshold and a slope, in decades."""
    names = [name for name in ("threshold", "slope") if name in law.parameters]
    return (
        law.response == "success"
        and len(names) == 2
        and all(law.priors[name].support is constraints.positive for name in names)
    )


def at(values: Mapping[str, Array], share: float | Array) -> Lean:
    """The coordinate that is measured from these parameters."""
    return Lean(values["threshold"], values["slope"], values.get("lapse", jnp.zeros(())), jnp.asarray(share))


def shift(lean: Lean, values: Mapping[str, Array]) -> Array:
    """The log threshold less its coordinate."""
    ratio = lean.slope / values["slope"]
    kept = jnp.log1p(-values["lapse"]) - jnp.log1p(-lean.lapse) if "lapse" in values else 0.0
    return lean.share * (jnp.log(lean.threshold) * (ratio - 1) + LN10 / values["slope"] * kept)


def widening(lean: Lean, values: Mapping[str, Array]) -> Array:
    """The log scale of thresholds of levels less its coordinate."""
    return lean.share * jnp.log(lean.slope / values["slope"])


def turned(
    lean: Lean, values: Mapping[str, Array], known: Local, place: int, slope: int | None = None
) -> Local:
    """What is said of levels when the slope is another: the data know slope times distance, not the distance.

        threshold = turns + slope_0 / slope (threshold_0 - turns)

    Where levels have slopes of their own and thresholds lie far off, those are as many times as steep: there the data
    know less of all slopes together than each level says once the others are held. Amid the data they know each.

    Args:
        lean: what the slope is measured from.
        values: the parameters.
        known: what the data say of the levels at that slope.
        place: of the threshold among what deviates.
        slope: of the slope, where it deviates too.
    """
    ratio = lean.slope / values["slope"]
    at = known.estimate[:, place]
    scale = jnp.ones(known.estimate.shape[1]).at[place].set(1 / ratio)
    estimate = known.estimate.at[:, place].set(ratio * at + (1 - ratio) * known.turns)
    if slope is not None:
        moves = jnp.broadcast_to(known.moves, estimate.shape[1:])[slope]
        estimate = estimate.at[:, slope].add(-moves * lean.share * jnp.log(ratio))
    return known._replace(
        estimate=estimate,
        precision=known.precision * scale[:, None] * scale,
    )


def share(log_threshold: Array, covariance: Array) -> Array:
    """How far thresholds lean: the regression of the log threshold on the log slope, over what it is where they do.

    Args:
        log_threshold: at the mode, relative to the reference run.
        covariance: of the log threshold and the log slope, (2, 2).
    """
    far = jnp.clip(-covariance[0, 1] / covariance[1, 1] / log_threshold, 0, 1)
    return jnp.where(jnp.abs(log_threshold) < NEAR, 0.0, far)
