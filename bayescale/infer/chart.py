"""Coordinates in which the posterior of a sum of power terms is nearly normal.

Few runs tell well what the loss is where most of them are, and how fast it falls there in each direction; they tell
badly how that splits into floor, amplitudes and exponents. So in place of those a chart has, at the medians of the
covariates: the logarithms of the loss and of the slope of each term in its covariate, the floor as a share of the
most that it can be, and the ratios of the exponents. On 30 runs of the Chinchilla law NUTS needs a third of the
steps in them, and finds ten times the effective sample size for each.

A law that is no such sum may bring coordinates of its own, in its file; they serve where no levels deviate.

Where the levels of a factor each have an amplitude of their own, the data tell the loss with the amplitudes of the
levels, and what these are drawn about only to within their spread. There the loss is held where it is at the mode,
and in its place stands how far the centre is from the amplitude that gives that loss.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.nn import sigmoid
from jax.scipy.special import logit
from numpyro.distributions import constraints

from bayescale.infer.lean import Lean
from bayescale.law import Law
from bayescale.model import Model
from bayescale.pooling import Local
from bayescale.runs import Runs


class Chart(NamedTuple):
    """What coordinates are measured from.

    Attributes:
        anchor: covariate -> the logarithm of its median, relative to the reference run; empty where there is
            none, and the parameters are coordinates themselves.
        loss: the log loss at the anchor, at the mode, of a sum of power terms.
        sigma: the scale of the noise at the mode, where the noise has one.
        centre: factor -> what its deviations are measured from at the mode, (parameters,).
        levels: factor -> what the data say of each level at the mode; see `deviations`.
        lean: of a law with thresholds, what their coordinate is measured from.
    """

    anchor: dict[str, Array]
    loss: Array
    sigma: Array | None
    centre: dict[str, Array]
    levels: dict[str, Local]
    lean: Lean | None = None


def anchor(model: Model, runs: Runs) -> dict[str, Array]:
    """The anchor of a chart; empty where the model has none.

    It has one if its law is a sum of power terms, with priors of the usual supports, and at most one
    parameter differs between levels: an amplitude. With more of them the data tell the parameters of each level, and
    hardly the loss at the centre. And it has one if its law brings coordinates, and nothing differs between levels.
    """
    law = model.law
    if law.coordinates is not None:
        return {} if model.varying else medians(law.covariates, runs)
    positive = [p for term in law.terms for p in (term.amplitude, term.exponent)]
    usable = all(model.priors[p].support is constraints.positive for p in positive)
    if law.floor is not None:
        usable &= model.priors[law.floor].support in (constraints.positive, constraints.unit_interval)
    if not usable or (model.varying and own_amplitude(model) is None):
        return {}
    return medians({term.covariate for term in law.terms}, runs)


def medians(columns: Iterable[str], runs: Runs) -> dict[str, Array]:
    """The logarithms of the medians of covariates, relative to the reference run, over the runs that count.

    Far from those the coordinates would be no better than others.
    """
    counts = np.asarray(runs.weight) > 0
    logs = {c: np.log(np.asarray(runs.columns[c])[counts] / runs.reference[c]) for c in sorted(columns)}
    return {c: jnp.asarray(np.median(values)) for c, values in logs.items()}


def own_amplitude(model: Model) -> str | None:
    """The amplitude that levels have each their own of, where it is all that differs between them."""
    if len(model.varying) != 1:
        return None
    (name,) = model.varying
    return name if name in {term.amplitude for term in model.law.terms} else None


def exponents(law: Law) -> list[str]:
    """The exponents of a law, each once."""
    return list(dict.fromkeys(term.exponent for term in law.terms))


def loss_place(law: Law) -> str:
    """The parameter in whose place the coordinate of the loss stands: the first exponent."""
    return law.terms[0].exponent


def to_parameters(
    law: Law, chart: Chart, own: str | None, coordinates: Mapping[str, Array]
) -> tuple[dict[str, Array], Array]:
    """The parameters at coordinates, and the logarithm of the volume that a unit of coordinates takes up.

    Args:
        law: a floor and power terms, or one with coordinates of its own.
        chart: a chart with an anchor.
        own: the amplitude that levels have each their own of, if any.
        coordinates: parameter -> the coordinate in its place: the floor as a share of the most that it can be,
            on the logit, for each amplitude the log slope of its term, for the first exponent the log loss, or the
            log ratio of the centre of `own` to what gives the loss of the mode, for each other exponent the log of
            its ratio to the first.
    """
    if law.coordinates is not None:
        return law.coordinates.to_parameters(
            *medians_in(chart, law), **{p: coordinates[p] for p in law.parameters}
        )
    first, *others = exponents(law)
    loss = coordinates[first] if own is None else chart.loss
    share, within = 0.0, 0.0
    if law.floor is not None:
        within = sigmoid(coordinates[law.floor])
        share = within * jnp.exp(highest_floor(law, loss) - loss)
    ratio = {first: jnp.zeros(()), **{name: coordinates[name] for name in others}}
    # In shares of the loss at the anchor, a slope is a term times its exponent, and terms and floor sum to 1.
    slopes = {t.amplitude: jnp.exp(coordinates[t.amplitude] - ratio[t.exponent]) for t in law.terms}
    exponent = jnp.log(sum(slopes.values())) - jnp.log1p(-share)
    found = {name: jnp.exp(exponent + ratio[name]) for name in ratio}
    volume = sum((exponent + ratio[name] for name in ratio), start=jnp.log1p(-within) - jnp.log1p(-share))
    for t in law.terms:
        log = coordinates[t.amplitude] + loss - exponent - ratio[t.exponent]
        log += found[t.exponent] * chart.anchor[t.covariate]
        if t.amplitude == own:
            log += coordinates[first]
            volume += jnp.log(slopes[t.amplitude] / sum(slopes.values())) + jnp.log1p(-share)
        if t.inside:
            log /= found[t.exponent]
            volume -= jnp.log(found[t.exponent])
        found[t.amplitude], volume = jnp.exp(log), volume + log
    if law.floor is not None:
        found[law.floor] = jnp.exp(loss) * share
        volume += jnp.log(found[law.floor])
    return found, volume


def at_loss(law: Law, own: str, coordinate: Array, parameters: Mapping[str, Array]) -> dict[str, Array]:
    """The parameters with `own` where it gives the loss of the mode, from the coordinate that says how far it is."""
    term = next(t for t in law.terms if t.amplitude == own)
    log = coordinate / parameters[term.exponent] if term.inside else coordinate
    return {**parameters, own: parameters[own] * jnp.exp(-log)}


def to_coordinates(
    law: Law, chart: Chart, own: str | None, parameters: Mapping[str, Array]
) -> dict[str, Array]:
    """The coordinates of parameters: the inverse of `to_parameters`."""
    if law.coordinates is not None:
        return law.coordinates.to_coordinates(
            *medians_in(chart, law), **{p: parameters[p] for p in law.parameters}
        )
    first, *others = exponents(law)
    terms = at_anchor(law, chart.anchor, parameters)
    floor = parameters[law.floor] if law.floor is not None else jnp.zeros(())
    if own is None:
        loss = place = jnp.log(floor + sum(terms.values()))
    else:
        loss = chart.loss
        gives = jnp.exp(loss) - floor - sum(value for name, value in terms.items() if name != own)
        place, terms[own] = jnp.log(terms[own] / gives), gives
    found = {first: place}
    found |= {name: jnp.log(parameters[name] / parameters[first]) for name in others}
    found |= {t.amplitude: jnp.log(terms[t.amplitude] * parameters[t.exponent]) - loss for t in law.terms}
    if law.floor is not None:
        found[law.floor] = logit(floor * jnp.exp(-highest_floor(law, loss)))
    return found


def medians_in(chart: Chart, law: Law) -> list[Array]:
    """The covariates of a law at the anchor, in the order of its mean."""
    return [jnp.exp(chart.anchor[c]) for c in law.covariates]


def highest_floor(law: Law, loss: Array) -> Array:
    """The logarithm of what the floor stays below: the loss at the anchor, and 1 where its prior ends there.

    Beyond the end of the prior the density would break off, and no sampler comes to terms with that.
    """
    assert law.floor is not None
    bounded = law.priors[law.floor].support is constraints.unit_interval
    return jnp.minimum(loss, 0.0) if bounded else loss


def at_anchor(law: Law, anchor: Mapping[str, Array], parameters: Mapping[str, Array]) -> dict[str, Array]:
    """Each term at the anchor, by its amplitude."""
    found = {}
    for t in law.terms:
        amplitude, exponent = parameters[t.amplitude], parameters[t.exponent]
        at = jnp.exp(anchor[t.covariate])
        found[t.amplitude] = (amplitude / at) ** exponent if t.inside else amplitude * at**-exponent
    return found
