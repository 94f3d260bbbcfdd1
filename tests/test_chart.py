"""Charts: parameters and coordinates are inverse, volumes are Jacobians, and what cannot have a chart has none."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from jax.flatten_util import ravel_pytree

from bayescale import models, noise
from bayescale.infer.chart import Chart, anchor, loss_place, to_coordinates, to_parameters
from bayescale.law import Term, irrelevant
from bayescale.model import Model
from bayescale.pooling import Pooling
from bayescale.runs import Runs

pytestmark = pytest.mark.usefixtures("workbench")

LAWS = ("power", "power_floor", "chinchilla", "chinchilla_tied", "kaplan_additive")
RUNS = Runs.make(
    {
        "N": [1e8, 1e9, 3e9, 1e11],
        "D": [1e10, 1e10, 1e11, 1e12],
        "experts": [1, 4, 8, 512],
        "loss": [3.0, 2.6, 2.5, 2.2],
    }
)


def test_the_median_is_not_the_reference():
    """Where it is, logarithms of covariates are zero, and what they are multiplied with would not be tested."""
    medians = {c: np.median(np.log(values)) for c, values in RUNS.columns.items() if c in RUNS.reference}
    assert all(abs(medians[c] - np.log(RUNS.reference[c])) > 0.1 for c in ("N", "D", "experts"))


def load(name):
    law = models.load(name)
    return law.along("N") if law.covariates == ("x",) else law


def model(law, *varying):
    return Model(
        law, noise.log_normal, pooling=(Pooling(varying, by="corpus"),) if varying else (), effects=()
    )


def drawn(law, seed):
    keys = jax.random.split(jax.random.key(seed), len(law.parameters))
    return {p: jnp.asarray(law.priors[p].sample(k)) for p, k in zip(law.parameters, keys, strict=True)}


def chart_of(of, loss):
    return Chart(anchor(of, RUNS), jnp.asarray(loss), None, {}, {})


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize("levels", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_coordinates_and_parameters_are_inverse_and_the_volume_is_the_jacobian(name, levels, seed):
    law = load(name)
    own = law.terms[0].amplitude if levels else None
    parameters = drawn(law, seed)
    # Where the loss is held it is more than what floor and other terms give: nothing else could give it.
    chart = chart_of(model(law, *([own] if own else [])), loss=3.0)
    coordinates = to_coordinates(law, chart, own, parameters)
    assert set(coordinates) == set(law.parameters)
    found, volume = to_parameters(law, chart, own, coordinates)
    for p, value in parameters.items():
        assert float(found[p]) == pytest.approx(float(value), rel=1e-9)
    flat, unflatten = ravel_pytree(coordinates)
    jacobian = jax.jacfwd(lambda v: ravel_pytree(to_parameters(law, chart, own, unflatten(v))[0])[0])(flat)
    assert float(volume) == pytest.approx(float(np.linalg.slogdet(np.asarray(jacobian))[1]), abs=1e-8)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", [name for name in models.names() if models.load(name).coordinates])
def test_coordinates_of_laws_of_their_own_are_inverse_and_their_volume_is_the_jacobian(name, seed):
    law = load(name)
    parameters = drawn(law, seed)
    chart = chart_of(model(law), loss=0.0)
    coordinates = to_coordinates(law, chart, None, parameters)
    assert set(coordinates) == set(law.parameters)
    found, volume = to_parameters(law, chart, None, coordinates)
    assert {p: float(v) for p, v in found.items()} == pytest.approx(
        {p: float(v) for p, v in parameters.items()}, rel=1e-9
    )
    flat, unflatten = ravel_pytree(coordinates)
    jacobian = jax.jacfwd(lambda v: ravel_pytree(to_parameters(law, chart, None, unflatten(v))[0])[0])(flat)
    assert float(volume) == pytest.approx(float(np.linalg.slogdet(np.asarray(jacobian))[1]), abs=1e-8)
    # Wherever the sampler goes, floor and ceiling are where their priors are.
    for key in jax.random.split(jax.random.key(seed), 50):
        anywhere, _ = to_parameters(law, chart, None, unflatten(flat + jax.random.normal(key, flat.shape)))
        assert all(law.priors[p].support(anywhere[p]) for p in {"E", "L0"} & set(anywhere))


@pytest.mark.parametrize("name", ["power_floor", "chinchilla", "chinchilla_tied"])
def test_no_coordinates_are_beyond_the_end_of_the_prior_of_the_floor(name):
    """The density would break off there: of runs near their floor every fourth draw diverged."""
    law = load(name)
    chart = chart_of(model(law), loss=0.5)
    coordinates = to_coordinates(law, chart, None, drawn(law, 0)) | {loss_place(law): jnp.asarray(0.5)}
    for floor in (-3.0, 0.0, 3.0, 10.0):
        parameters, volume = to_parameters(law, chart, None, coordinates | {"E": jnp.asarray(floor)})
        assert float(parameters["E"]) == pytest.approx(1 / (1 + np.exp(-floor)))
        assert np.isfinite(float(volume + law.priors["E"].log_prob(parameters["E"])))


@pytest.mark.parametrize("name", LAWS)
def test_the_coordinates_are_the_loss_and_its_slopes_at_the_medians(name):
    law = load(name)
    chart = chart_of(model(law), loss=0.0)
    parameters = drawn(law, 0)
    coordinates = to_coordinates(law, chart, None, parameters)
    median = {c: np.exp(np.median(np.log(RUNS.columns[c]))) / RUNS.reference[c] for c in law.covariates}
    assert {c: float(jnp.exp(v)) for c, v in chart.anchor.items()} == pytest.approx(median)

    def log_loss(logs):
        return jnp.log(law({c: jnp.exp(v) for c, v in logs.items()}, parameters))

    place = loss_place(law)
    assert float(coordinates[place]) == pytest.approx(float(log_loss(chart.anchor)))
    slopes = jax.grad(log_loss)(chart.anchor)
    for term in law.terms:
        assert -float(slopes[term.covariate]) == pytest.approx(float(jnp.exp(coordinates[term.amplitude])))


@pytest.mark.parametrize(
    ("name", "loss", "slopes"),
    [
        ("m4", "A", {"N": "alpha"}),
        ("shifted_power", "A", {"N": "alpha"}),
        ("coupled", "alpha", {"N": "A", "D": "B"}),
        ("kaplan_floor", "alpha", {"N": "A", "D": "B"}),
        ("routed", "d", {"N": "a"}),
    ],
)
def test_coordinates_of_laws_of_their_own_are_the_loss_and_its_slopes_at_the_medians(name, loss, slopes):
    law = load(name)
    chart = chart_of(model(law), loss=0.0)
    parameters = drawn(law, 0)
    coordinates = to_coordinates(law, chart, None, parameters)

    def log_loss(logs):
        return jnp.log(law({c: jnp.exp(v) for c, v in logs.items()}, parameters))

    found = {c: float(v) for c, v in jax.grad(log_loss)(chart.anchor).items()}
    if name == "routed":  # which has the logarithm to the base of ten, and slopes as they are
        assert float(coordinates[loss]) == pytest.approx(float(log_loss(chart.anchor) / jnp.log(10)))
        assert float(coordinates["a"]) == pytest.approx(found["N"])
    else:
        assert float(coordinates[loss]) == pytest.approx(float(log_loss(chart.anchor)))
        assert {c: float(-jnp.exp(coordinates[p])) for c, p in slopes.items()} == pytest.approx(found)


@pytest.mark.parametrize("name", LAWS)
def test_levels_hold_the_loss_with_an_amplitude_that_moves_along(name):
    law = load(name)
    own = law.terms[0].amplitude
    chart = chart_of(model(law, own), loss=3.0)
    coordinates = to_coordinates(law, chart, own, drawn(law, 1)) | {loss_place(law): jnp.zeros(())}
    parameters, _ = to_parameters(law, chart, own, coordinates)
    at = {c: jnp.exp(v) for c, v in chart.anchor.items()}
    assert float(jnp.log(law(at, parameters))) == pytest.approx(3.0)


def test_what_has_no_chart():
    law = load("chinchilla")
    for usable in (model(law), model(law, "A"), model(law, "B")):
        assert set(anchor(usable, RUNS)) == {"N", "D"}
    for unusable in (
        model(law.replace(priors={"A": dist.Normal(1.0, 1.0)})),
        model(law.replace(priors={"beta": dist.Uniform(0.0, 1.0)})),
        model(law.replace(priors={"E": dist.Normal(0.5, 0.1)})),
        model(irrelevant(law, "C")),
        model(models.load("kaplan")),
        model(law, "E"),
        model(law, "alpha"),
        model(law, "A", "B"),
        model(irrelevant(load("m4"), "D")),
        model(load("m4"), "A"),
        model(load("m4").replace(priors={"L0": dist.LogNormal(1.1, 0.7)})),
        model(load("m4").replace(mean=lambda x, *, E, L0, A, alpha, a: E + x)),
    ):
        assert anchor(unusable, RUNS) == {}
    for same in (
        {"alpha": dist.LogNormal(-1.0, 0.2)},
        {"E": dist.Beta(2.0, 2.0)},
        {"E": dist.Uniform(0.0, 1.0)},
    ):
        assert set(anchor(model(load("m4").replace(priors=same)), RUNS)) == {"N"}


def test_coordinates_go_with_no_terms_and_no_absolute_covariates():
    coordinates = models.load("coupled").coordinates
    with pytest.raises(ValueError, match="has coordinates and terms"):
        models.load("chinchilla").replace(coordinates=coordinates)
    with pytest.raises(ValueError, match="absolute covariates"):
        models.load("coupled").replace(absolute={"N": (0.0, 1.0)})


@pytest.mark.parametrize("term", [Term("a", "alpha", "N"), Term("A", "alpha", "C")])
def test_a_term_is_of_parameters_and_covariates(term):
    with pytest.raises(ValueError, match="is not a term of its parameters and covariates"):
        load("chinchilla").replace(terms=(term,))
