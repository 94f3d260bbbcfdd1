"""Batched minimisation: against closed forms, known estimates, and itself in other batches."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayescale import models, noise
from bayescale.infer import refit
from bayescale.infer.objective import Objective
from bayescale.infer.refit import minima
from bayescale.model import Model
from bayescale.runs import Runs

pytestmark = pytest.mark.usefixtures("workbench")

POWER = Model(models.load("power").along("N"), noise.log_normal, effects=())
FLOOR = Model(models.load("power_floor").along("N"), noise.log_normal, effects=())


def simulated(seed=0, count=40, floor=0.0, alpha=0.2):
    rng = np.random.default_rng(seed)
    N = 10 ** rng.uniform(7, 10, count)
    loss = (floor + 2 * (N / 1e9) ** -alpha) * np.exp(0.02 * rng.normal(size=count))
    return Runs.make({"N": N, "loss": loss})


def batch(objective, count, seed=0):
    base = objective.density.prior_draws(jax.random.key(seed), count)
    return base[:, objective.places], base[0]


@pytest.fixture(scope="module")
def regression():
    runs = simulated()
    rng = np.random.default_rng(1)
    weights = rng.multinomial(40, np.ones(40) / 40, size=50).astype(float)
    return runs, weights


def test_weighted_power_laws_are_weighted_regressions(regression):
    """Of the log loss on ln N, which has a closed form; to 1e-5 standard errors and far better."""
    runs, weights = regression
    objective = Objective.of(POWER, runs)
    start, base = batch(objective, 50)
    for mixed in (True, False):
        found = minima(objective, start, base, runs, {"weight": jnp.asarray(weights)}, mixed=mixed)
        assert found.converged.all()
        assert not found.at_bound.any()
        x = np.log(np.asarray(runs.columns["N"]) / np.asarray(runs.reference["N"]))
        y = np.log(np.asarray(runs.response) / np.asarray(runs.unit))
        for position, weight in zip(np.asarray(found.position), weights, strict=True):
            slope, level = np.polyfit(x, y, 1, w=np.sqrt(weight))
            assert position[0] == pytest.approx(level, abs=1e-8)
            assert np.exp(position[1]) == pytest.approx(-slope, rel=1e-6)


def test_a_fit_does_not_depend_on_what_else_is_in_its_batch_but_for_rounding(regression):
    runs, weights = regression
    objective = Objective.of(POWER, runs)
    start, base = batch(objective, 50)
    whole = minima(objective, start, base, runs, {"weight": jnp.asarray(weights)})
    some = minima(objective, start[:7], base, runs, {"weight": jnp.asarray(weights[:7])})
    np.testing.assert_allclose(some.position, whole.position[:7], atol=1e-6)


@pytest.mark.parametrize("looks", [refit.LOOKS, 5])
def test_second_derivatives_are_those_where_each_fit_ended(regression, monkeypatch, request, looks):
    """At a minimum, or wherever it was given up; there are none where nothing could be evaluated."""
    monkeypatch.setattr(refit, "LOOKS", looks)
    runs, weights = regression
    weights = np.where(np.arange(50)[:, None] == 7, np.nan, weights)
    objective = Objective.of(FLOOR, runs, priors=True)
    start, base = batch(objective, 50)
    jax.clear_caches()  # of what was compiled for another limit, and then of this
    request.addfinalizer(jax.clear_caches)
    found = minima(objective, start, base, runs, {"weight": jnp.asarray(weights)}, mixed=False, curved=True)
    assert np.delete(np.asarray(found.converged), 7).all() == (looks > 5)
    assert np.isnan(found.hessian[7]).all()
    for i in (0, 20, 49):
        look = objective.look(found.position[i], base, runs.replace(weight=jnp.asarray(weights[i])))
        scale = np.abs(look.hessian).max()
        np.testing.assert_allclose(found.hessian[i], look.hessian, rtol=0, atol=1e-12 * scale)


def test_fits_that_are_not_wanted_stay_where_they_are(regression):
    runs, weights = regression
    objective = Objective.of(POWER, runs)
    start, base = batch(objective, 50)
    wanted = jnp.arange(50) % 3 == 0
    found = minima(objective, start, base, runs, {"weight": jnp.asarray(weights)}, wanted)
    np.testing.assert_array_equal(found.position[~wanted], start[~wanted])
    assert found.converged[wanted].all()
    assert not found.converged[~wanted].any()


def test_other_responses_and_other_bases():
    """Each fit with responses of its own, and with a scale of its own that is held."""
    runs = simulated()
    objective = Objective.of(POWER, runs)
    start, base = batch(objective, 4)
    responses = np.asarray(runs.response) * np.array([[1.0], [2.0], [4.0], [8.0]])
    bases = jnp.tile(base, (4, 1)).at[:, objective.density.place("sigma")].add(jnp.arange(4.0))
    found = minima(objective, start, bases, runs, {"response": jnp.asarray(responses)})
    assert found.converged.all()
    np.testing.assert_allclose(np.diff(found.position[:, 0]), np.log(2), atol=1e-8)
    np.testing.assert_allclose(found.value[:-1] / found.value[1:], np.e**2, rtol=1e-6)


def test_a_floor_that_runs_to_zero_is_at_its_bound():
    """Runs on a power law whose residuals bend the other way: no floor is best."""
    N = np.geomspace(1e7, 1e10, 20)
    runs = Runs.make({"N": N, "loss": 3 * np.exp(-0.1 * np.log(N / 1e9) - 0.01 * np.log(N / 1e9) ** 2)})
    objective = Objective.of(FLOOR, runs)
    start, base = batch(objective, 16)
    found = minima(objective, start, base, runs, {})
    place = [s.name for s in objective.density.sites].index("E")
    assert not found.converged.any()
    assert found.at_bound[:, place].all()
    assert not np.delete(np.asarray(found.at_bound), place, axis=1).any()
    assert np.exp(np.asarray(found.position)[:, place]).max() < 1e-6


def test_what_cannot_be_evaluated_is_unfinished_and_says_so():
    runs = simulated(1, floor=1.5)
    objective = Objective.of(FLOOR, runs)
    start, base = batch(objective, 3)
    start = start.at[1].set(jnp.nan)
    found = minima(objective, start, base, runs, {})
    assert not found.converged[1]
    assert not found.at_bound[1].any()
    assert found.converged[0]
    assert found.converged[2]


@pytest.mark.parametrize("factor", [1 / 240, 1.0, 1e3])
def test_the_scale_of_the_objective_does_not_matter(factor):
    """Weights multiply the objective; the stopping rule is relative to it."""
    runs = simulated(2, floor=1.5)
    objective = Objective.of(FLOOR, runs)
    start, base = batch(objective, 8)
    base = base.at[objective.density.place("sigma")].set(np.log(0.02))
    found = minima(objective, start, base, runs.replace(weight=np.full(40, factor)), {})
    whole = minima(objective, start, base, runs, {})
    assert found.converged.all()
    np.testing.assert_allclose(found.position, whole.position, atol=1e-5)


def solved(hessian, slope, length=3.0, enough=1e-12):
    return refit._solve(refit.Look(jnp.zeros(()), slope, hessian), jnp.asarray(length), jnp.asarray(enough))


@pytest.mark.parametrize("size", [5, 12, 13, 30])
def test_steps(size):
    """Written out up to 12 parameters and by a library beyond: Newton's, or downhill where there is no such step."""
    rng = np.random.default_rng(size)
    root, slope = rng.normal(size=(size, size)), rng.normal(size=size)
    hessian = root @ root.T + np.eye(size)
    by, promise, alone, settled = solved(hessian, slope)
    newton = -np.linalg.solve(hessian, slope)
    np.testing.assert_allclose(by, newton, rtol=1e-8)
    assert float(promise) == pytest.approx(-newton @ slope)
    assert settled
    assert not alone.any()
    by, _, _, settled = solved(hessian - 10 * np.eye(size), slope)
    assert not settled
    assert by @ slope < 0


@pytest.mark.parametrize("size", [5, 13])
def test_what_nothing_depends_on_is_left_alone(size):
    """And does not keep the rest from its Newton step: at first the third coordinate, then the sum of two."""
    rng = np.random.default_rng(size)
    root, slope = rng.normal(size=(size, size)), rng.normal(size=size)
    for nothing in (np.eye(size)[2], (np.eye(size)[1] + np.eye(size)[3]) / np.sqrt(2)):
        other = np.eye(size) - np.outer(nothing, nothing)
        hessian = other @ (root @ root.T + np.eye(size)) @ other
        by, promise, alone, settled = solved(hessian, other @ slope)
        newton = -np.linalg.pinv(hessian) @ other @ slope
        assert settled
        assert float(promise) == pytest.approx(-newton @ slope)
        np.testing.assert_allclose(other @ by, newton, rtol=1e-6, atol=1e-9)
        assert (alone > 0.1).tolist() == (nothing > 0).tolist()
