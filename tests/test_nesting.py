"""Levels within levels: against the normal distribution of both together, and the density that it leaves alone."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

from bayescale import models, noise
from bayescale.infer.chart import Chart
from bayescale.infer.density import Density
from bayescale.infer.frame import Mode, frame, shapes
from bayescale.model import Model
from bayescale.nesting import above, nested
from bayescale.pooling import Effect, Local, Pooling
from bayescale.runs import Runs

pytestmark = pytest.mark.usefixtures("workbench")

TASKS, MODELS = 6, 4
FAMILY = np.array([0, 0, 0, 1, 1, 2])


@pytest.fixture(scope="module")
def runs():
    model, task = (index.ravel() for index in np.indices((MODELS, TASKS)))
    return Runs.make(
        {
            "C": 10.0 ** (20 + model),
            "successes": (model + task) % 5,
            "trials": np.full(len(model), 4),
            "model": [f"m{i}" for i in model],
            "task": [f"t{i}" for i in task],
            "family": [f"f{FAMILY[i]}" for i in task],
        },
        factors=["model", "task", "family"],
    )


def test_tasks_are_within_families_and_not_within_models(runs):
    found = nested({"model": ("a",), "task": ("a", "b"), "family": ("a",)}, runs)
    assert {inner: list(outers) for inner, outers in found.items()} == {"task": ["family"]}
    np.testing.assert_array_equal(found["task"]["family"], FAMILY)


@pytest.mark.parametrize("of_family", [("b",), ("a", ""), ("",)], ids=str)
def test_what_deviates_in_another_way_is_not_within(runs, of_family):
    assert nested({"task": ("a", ""), "family": of_family}, runs) == {}


def test_two_factors_within_one_are_left_alone(runs):
    twice = runs.replace(
        factors=runs.factors | {"item": np.asarray(runs.factors["task"])},
        levels=runs.levels | {"item": runs.levels["task"]},
    )
    assert nested({"task": ("a",), "item": ("a",), "family": ("a",)}, twice) == {}


@pytest.mark.parametrize("places", [[0], [0, 1], [1]])
def test_what_is_said_of_a_family_through_its_tasks(places):
    """Against the joint normal distribution of a family and its tasks, of which the family's part is taken."""
    rng = np.random.default_rng(0)
    root = rng.normal(size=(TASKS, 2, 2))
    precision = root @ root.swapaxes(1, 2)
    precision[1] = 0  # a task without data
    estimate, scales, centre = rng.normal(size=(TASKS, 2)), np.array([0.7, 0.4]), np.array([0.3, -0.2])
    local = Local(jnp.asarray(estimate), jnp.asarray(precision))
    found = above(local, jnp.asarray(scales), jnp.asarray(centre), places, FAMILY, 3)
    estimate = estimate - np.where(np.isin([0, 1], places), 0.0, centre)
    for family in range(3):
        inside = np.flatnonzero(family == FAMILY)
        size = len(places) + 2 * len(inside)
        whole, pull = np.zeros((size, size)), np.zeros(size)
        for k, task in enumerate(inside):
            at = np.zeros((2, size))
            at[places, np.arange(len(places))] = 1  # the family's
            at[:, len(places) + 2 * k : len(places) + 2 * k + 2] = np.eye(2)  # the task's own
            whole += at.T @ precision[task] @ at
            pull += at.T @ precision[task] @ estimate[task]
            own = slice(len(places) + 2 * k, len(places) + 2 * k + 2)
            whole[own, own] += np.diag(scales**-2)
        n = len(places)
        rest = np.linalg.solve(whole[n:, n:], np.column_stack([whole[n:, :n], pull[n:]]))
        expected = whole[:n, :n] - whole[:n, n:] @ rest[:, :n]
        np.testing.assert_allclose(found.precision[family], expected, atol=1e-6)
        mean = np.linalg.solve(expected, pull[:n] - whole[:n, n:] @ rest[:, n])
        np.testing.assert_allclose(found.estimate[family], mean, atol=1e-5)


def nested_and_crossed(runs):
    """Tasks of families, beside models."""
    pooling = [
        Pooling(("threshold", "slope"), "task"),
        Pooling(("threshold",), "family"),
        Pooling(("threshold",), "model"),
    ]
    law = models.load("logistic").along("C").replace(priors={"floor": dist.Beta(1.0, 20.0)})
    return Density.of(Model(law, noise.binomial, tuple(pooling), effects=(Effect("model"),)), runs)


def test_the_shapes_of_a_frame_are_known_before_it_is(runs):
    """The sampler is compiled for them, and would be once more for others: shapes, and the types of numbers."""
    density = nested_and_crossed(runs)
    mode = Mode(np.zeros(density.size), np.eye(density.size), {"log_density": 0.0})
    made, expected = frame(density, mode, runs), shapes(density, runs)
    assert jax.tree.structure(made) == jax.tree.structure(expected)
    for leaf, said in zip(jax.tree.leaves(made), jax.tree.leaves(expected), strict=True):
        found = jax.typeof(leaf)
        assert (found.shape, found.dtype, found.weak_type) == (said.shape, said.dtype, said.weak_type)


def test_the_coordinates_of_nested_levels_leave_the_density_alone(runs):
    """Of the same parameters the posteriors differ by the volume of the change of coordinates."""
    density = nested_and_crossed(runs)
    rng, levels = np.random.default_rng(1), {}
    for by, names in density.model.factors.items():
        count, root = len(runs.levels[by]), rng.normal(size=(len(runs.levels[by]), len(names), len(names)))
        levels[by] = Local(
            jnp.asarray(rng.normal(size=(count, len(names)))), jnp.asarray(root @ root.swapaxes(1, 2))
        )
    within = density.model.nested(runs)
    assert set(within) == {"task"}
    levels["task"] = levels["task"]._replace(within=within["task"])
    centre = {by: jnp.zeros(len(names)) for by, names in density.model.factors.items()}
    chart = Chart({}, jnp.zeros(()), None, centre, levels)
    vector = 0.5 * jax.random.normal(jax.random.key(4), (density.size,))
    moved = density.recentre(vector, chart)
    before, after = (jax.device_get(density.values(v, runs, c)) for v, c in ((vector, None), (moved, chart)))
    assert set(before) == set(after)
    for name, value in before.items():
        np.testing.assert_allclose(after[name], value, rtol=1e-7, atol=1e-10)
    volume = np.linalg.slogdet(np.asarray(jax.jacfwd(lambda v: density.recentre(v, chart))(vector)))[1]
    difference = density.log_posterior(vector, runs) - density.log_posterior(moved, runs, chart)
    assert float(difference) == pytest.approx(volume, abs=1e-7)
