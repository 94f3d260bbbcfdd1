"""Charts: parameters and coordinates are inverse, volumes are Jacobians, and what cannot have a chart has none."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from jax.flatten_util import ravel_pytree

from bayescale import models
from bayescale.infer import chart
from bayescale.law import Term, irrelevant
from bayescale.runs import Runs

pytestmark = pytest.mark.usefixtures("workbench")

LAWS = ("power", "power_floor", "chinchilla", "chinchilla_tied")
RUNS = Runs.make({"N": [1e8, 1e9, 1e9, 1e10], "D": [1e10, 1e10, 1e11, 1e12], "loss": [3.0, 2.6, 2.5, 2.2]})


def load(name):
    law = models.load(name)
    return law.along("N") if law.covariates == ("x",) else law


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize("seed", range(3))
def test_coordinates_and_parameters_are_inverse_and_the_volume_is_the_jacobian(name, seed):
    law = load(name)
    at = chart.anchor(law, law.priors, RUNS)
    keys = jax.random.split(jax.random.key(seed), len(law.parameters))
    drawn = {p: jnp.asarray(law.priors[p].sample(k)) for p, k in zip(law.parameters, keys, strict=True)}
    coordinates = chart.to_coordinates(law, at, drawn)
    assert set(coordinates) == set(law.parameters)
    found, volume = chart.to_parameters(law, at, coordinates)
    for p, value in drawn.items():
        assert float(found[p]) == pytest.approx(float(value), rel=1e-10)
    flat, unflatten = ravel_pytree(coordinates)
    jacobian = jax.jacfwd(lambda v: ravel_pytree(chart.to_parameters(law, at, unflatten(v))[0])[0])(flat)
    assert float(volume) == pytest.approx(float(np.linalg.slogdet(np.asarray(jacobian))[1]), abs=1e-8)


@pytest.mark.parametrize("name", LAWS)
def test_the_coordinates_are_the_loss_and_its_slopes_at_the_medians(name):
    law = load(name)
    at = chart.anchor(law, law.priors, RUNS)
    drawn = {p: law.priors[p].sample(jax.random.key(0)) + 0.05 for p in law.parameters}
    coordinates = chart.to_coordinates(law, at, drawn)
    relative = {c: jnp.exp(at[c]) for c in at}
    median = {c: np.exp(np.median(np.log(RUNS.columns[c]))) / RUNS.reference[c] for c in at}
    assert {c: float(v) for c, v in relative.items()} == pytest.approx(median)
    assert float(coordinates[chart.loss_place(law)]) == pytest.approx(float(jnp.log(law(relative, drawn))))
    slopes = jax.grad(lambda logs: jnp.log(law({c: jnp.exp(v) for c, v in logs.items()}, drawn)))(dict(at))
    for term in law.terms:
        assert -float(slopes[term.covariate]) == pytest.approx(float(jnp.exp(coordinates[term.amplitude])))


def test_what_has_no_chart():
    law = load("chinchilla")
    assert set(chart.anchor(law, law.priors, RUNS)) == {"N", "D"}
    for changed in (
        law.replace(priors={"A": dist.Normal(1.0, 1.0)}),
        law.replace(priors={"beta": dist.Uniform(0.0, 1.0)}),
        law.replace(priors={"E": dist.Normal(0.5, 0.1)}),
        irrelevant(law, "C"),
        models.load("coupled"),
    ):
        assert chart.anchor(changed, changed.priors, RUNS) == {}


@pytest.mark.parametrize("term", [Term("a", "alpha", "N"), Term("A", "alpha", "C")])
def test_a_term_is_of_parameters_and_covariates(term):
    with pytest.raises(ValueError, match="is not a term of its parameters and covariates"):
        load("chinchilla").replace(terms=(term,))
