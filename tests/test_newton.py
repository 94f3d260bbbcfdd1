"""minimise(): known minima, whatever the scale of the objective, and honesty where there is none."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize

from bayescale.infer.newton import minimise

pytestmark = pytest.mark.usefixtures("workbench")

SCALES = [1 / 240, 1.0, 1e3]


def rosenbrock(x):
    return 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2


@jax.jit
def of_rosenbrock(scale, offset):
    return minimise(lambda x: scale * (rosenbrock(x) + offset), jnp.array([-1.2, 1.0]))


@pytest.mark.parametrize("offset", [-5.0, 0.0, 1e-3, 1.0])
@pytest.mark.parametrize("scale", SCALES)
def test_rosenbrock(offset, scale):
    found = of_rosenbrock(scale, offset)
    assert found.converged
    assert not found.at_bound.any()
    # A decrement of 1e-13 of 5, over the least curvature of 0.4, is 1.1e-6 squared.
    np.testing.assert_allclose(found.position, [1, 1], atol=2e-6)
    np.testing.assert_allclose(found.hessian, scale * optimize.rosen_hess(found.position), rtol=1e-9)
    assert found.value == pytest.approx(scale * offset, abs=1e-12 * scale * max(abs(offset), 1e-6))


@pytest.mark.parametrize("scale", SCALES)
def test_a_scale_changes_neither_the_path_nor_the_verdict(scale):
    def objective(x):
        return jnp.sum(jnp.logaddexp(0, x)) - x @ jnp.array([0.2, 0.9, 0.5]) + 0.3 * x[0] * x[1]

    start = jnp.array([4.0, -7.0, 1.0])
    one, other = minimise(objective, start), minimise(lambda x: scale * objective(x), start)
    assert (one.converged, one.iterations) == (other.converged, other.iterations)
    np.testing.assert_allclose(other.position, one.position, rtol=1e-9)


def test_against_scipy():
    x = np.random.default_rng(0).normal(size=(60, 4))
    y = x @ [0.5, -1.0, 2.0, 0.1] + np.random.default_rng(1).normal(size=60)

    def objective(b):
        return jnp.sum(jnp.logaddexp(0, jnp.where(y > 0, -1, 1) * (x @ b))) + jnp.sum(b**2) / 20

    found = minimise(objective, jnp.zeros(4))
    scipys = optimize.minimize(objective, np.zeros(4), jac=jax.grad(objective), tol=1e-10)
    assert found.converged
    np.testing.assert_allclose(found.position, scipys.x, atol=1e-7)


def test_a_sum_of_squares_that_vanishes():
    """No share of an objective of 0 is positive, but there no coordinate moves any more."""
    x = jax.random.normal(jax.random.key(1), (50, 3))
    y = jnp.tanh(x @ jnp.array([0.3, -1.0, 0.5]))
    found = minimise(lambda b: jnp.sum((jnp.tanh(x @ b) - y) ** 2), jnp.zeros(3))
    assert found.converged
    np.testing.assert_allclose(found.position, [0.3, -1.0, 0.5], atol=1e-9)


def test_a_start_without_curvature_is_left():
    found = minimise(lambda x: 1 + x[0] ** 2 - x[1] ** 2 + x[1] ** 4, jnp.array([1.0, 1e-8]))
    assert found.converged
    np.testing.assert_allclose(jnp.abs(found.position), [0, 0.5**0.5], atol=1e-6)


def test_a_step_into_the_impossible_is_taken_back():
    found = minimise(lambda x: x[0] - jnp.log(x[0]), jnp.array([1e-3]))  # not a number below 0
    assert found.converged
    np.testing.assert_allclose(found.position, [1], atol=1e-6)


@pytest.mark.parametrize("scale", SCALES)
def test_a_parameter_that_runs_to_its_bound(scale):
    found = minimise(lambda x: scale * (1 + jnp.exp(-x[0]) + x[1] ** 2), jnp.zeros(2))
    assert found.at_bound.tolist() == [True, False]
    assert not found.converged
    assert found.value == pytest.approx(scale)


@pytest.mark.parametrize("stiff", [1.0, 1e2, 1e4])
def test_a_bound_beside_stiff_directions(stiff):
    """As a floor of which the data say there is none: rounding hides its curvature before it is 0."""

    def objective(x):
        return 1 + jnp.exp(-x[0]) + stiff * ((x[1] - jnp.exp(-x[0]) - x[2]) ** 2 + (x[2] - 1) ** 2)

    found = minimise(objective, jnp.zeros(3))
    assert found.at_bound.tolist() == [True, False, False]
    assert not found.converged
    assert found.iterations < 150
    assert found.value == pytest.approx(1, abs=1e-8)


@pytest.mark.parametrize(
    ("objective", "start"),
    [
        (lambda x: 1 + x[0] ** 2 - x[1] ** 2, [1.0, 0.0]),
        (lambda x: x[0] ** 2 - x[1] ** 2, [1.0, 0.1]),
        (lambda x: x[0] + x[1], [0.0, 0.0]),
        (lambda x: -jnp.exp(x[0]) + x[1] ** 2, [0.0, 1.0]),
        (lambda x: 1 + x[0] ** 2 + 0 * x[1], [1.0, 2.0]),
        (lambda x: 1 + (x[0] + x[1]) ** 2, [1.0, 2.0]),
        (lambda x: jnp.exp(-x[0]) + 0 * x[1], [0.0, 0.0]),
    ],
    ids=["saddle", "unbounded", "linear", "steep", "unused", "confounded", "nothing left"],
)
def test_no_minimum_is_not_called_one(objective, start):
    found = minimise(objective, jnp.array(start))
    assert not found.converged
    assert not found.at_bound.any()


def test_a_start_where_the_objective_is_not_a_number():
    found = minimise(lambda x: jnp.log(x[0]), jnp.array([-1.0]))
    assert (bool(found.converged), float(found.value), int(found.iterations)) == (False, float("inf"), 0)


def test_iterations_are_the_most_steps():
    found = minimise(rosenbrock, jnp.array([-1.2, 1.0]), iterations=3)
    assert found.iterations == 3
    assert not found.converged


def test_many_starts_at_once_are_the_starts_one_by_one():
    starts = jnp.array([[-1.2, 1.0], [3.0, 3.0], [jnp.nan, 0.0], [0.0, -5.0]])
    together = jax.vmap(lambda s: minimise(lambda x: 1 + rosenbrock(x), s))(starts)
    assert together.converged.tolist() == [True, True, False, True]
    for i in (0, 1, 3):
        alone = minimise(lambda x: 1 + rosenbrock(x), starts[i])
        np.testing.assert_allclose(together.position[i], alone.position, atol=1e-6)
        assert together.iterations[i] == alone.iterations
