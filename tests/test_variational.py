"""The variational approximation: against quadrature, Hessians of the whole, and what it says of itself."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy.special import expit

from bayescale import models, noise
from bayescale.fit import Fit
from bayescale.infer import frame
from bayescale.infer import settle as stochastic
from bayescale.infer import variational as approximation
from bayescale.infer.density import Density
from bayescale.infer.settle import curvature, settle
from bayescale.infer.variational import some_levels, variational
from bayescale.model import Model
from bayescale.pooling import Effect, Pooling
from bayescale.runs import Runs
from bayescale.tasks.items import item_response

pytestmark = pytest.mark.usefixtures("workbench")

KEY = jax.random.key(0)
MODELS, TASKS = 12, 20


@pytest.fixture(scope="module")
def runs():
    rng = np.random.default_rng(0)
    model, task = (index.ravel() for index in np.indices((MODELS, TASKS)))
    x, b = np.linspace(-2, 2, MODELS), rng.normal(size=TASKS)
    return Runs.make(
        {
            "C": 10 ** (21 + x[model]),
            "successes": rng.binomial(3, expit(3 * (x[model] - b[task]))),
            "trials": np.full(len(model), 3),
            "model": [f"m{i}" for i in model],
            "task": [f"t{i}" for i in task],
        },
        factors=["model", "task"],
    )


@pytest.fixture(scope="module")
def model():
    law = models.load("logistic_floor").along("C").replace(priors={"floor": dist.Beta(1.0, 50.0)})
    return Model(law, noise.binomial, (Pooling(("threshold", "slope"), "task"),), effects=(Effect("model"),))


def test_the_nearest_normal_distribution_of_one_number():
    """Against the mean and width of the posterior on the logit, by quadrature; it is normal to a few per cent."""
    rng, tries = np.random.default_rng(1), 5
    won = rng.binomial(tries, 0.3, size=400)
    runs = Runs.make({"C": np.geomspace(1e18, 1e22, 400), "successes": won, "trials": np.full(400, tries)})
    density = Density.of(Model(models.load("constant_success"), noise.binomial, effects=()), runs)
    grid = np.linspace(-1.5, -0.2, 2001)
    logs = np.asarray(jax.lax.map(lambda at: density.log_posterior(at[None], runs), jnp.asarray(grid)))
    weight = np.exp(logs - logs.max()) / np.exp(logs - logs.max()).sum()
    mean = weight @ grid
    width = np.sqrt(weight @ (grid - mean) ** 2)
    for rows in (8192, 100):  # all runs in each step, and some
        found = settle(KEY, density, runs, jnp.zeros(1), steps=800, rows=rows)
        assert found.position[0] == pytest.approx(mean, abs=0.3 * width)
        assert found.width[0] == pytest.approx(width, rel=0.2)
    whole = float(logs.max() + np.log(np.exp(logs - logs.max()).sum() * (grid[1] - grid[0])))
    # The bound is of the integral, less the entropy of a normal distribution of width 1, and below it.
    assert found.bound[-100:].mean() + 0.5 * np.log(2 * np.pi * np.e) < whole + 0.5


def test_the_curvature_is_the_hessian(runs, model):
    density = Density.of(model, runs)
    at = 0.1 * jax.random.normal(KEY, (density.size,))
    expected = jax.hessian(lambda v: -density.log_posterior(v, runs))(at)
    np.testing.assert_allclose(curvature(density, at, runs), expected, rtol=1e-8, atol=1e-8)


def test_what_the_runs_of_a_level_say(runs, model, monkeypatch):
    """Block by block, in parts of the table, against the Hessian of the likelihood in the deviations."""
    monkeypatch.setattr(approximation, "BLOCK", 100)  # 240 runs in three parts
    density = Density.of(model, runs)
    values = density.constrain(0.3 * jax.random.normal(KEY, (density.size,)))
    shifts = {by: values[f"{by}_raw"] * density.scales(by, values) for by in model.factors}

    def minus_log_likelihood(shifts):
        mean = model.expected(runs, values, shifts)
        return -jnp.sum(noise.binomial(mean, runs, values).log_prob(jnp.asarray(runs.response)))

    whole = jax.hessian(minus_log_likelihood)(shifts)
    for by in model.factors:
        found = sum(approximation._curvature(density, by, values, runs, begin) for begin in (0, 100, 200))
        levels = np.arange(len(runs.levels[by]))
        expected = np.asarray(whole[by][by])[levels, :, levels, :]
        np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-8)


def test_what_all_runs_say_is_found_block_by_block(runs, model, monkeypatch):
    """The log posterior and its gradient, in parts of the table, against those of the whole; and what some are off."""
    monkeypatch.setattr(stochastic, "BLOCK", 100)
    density = Density.of(model, runs)
    at = 0.3 * jax.random.normal(KEY, (density.size,))
    there = stochastic._everywhere(density, runs, None, at)
    value, slope = jax.value_and_grad(density.log_posterior)(at, runs)
    np.testing.assert_allclose(there.value, value, rtol=1e-12)
    np.testing.assert_allclose(there.slope, slope, rtol=1e-9, atol=1e-9)


def test_some_runs_say_where_all_are_known_what_all_say(runs, model):
    """Of a narrow distribution at that place the gradient is that of all runs, whichever are taken; and beside it the
    scatter of a width away is a small part of what it is when they are not put right.
    """
    density = Density.of(model, runs)
    weighted = runs.replace(weight=np.tile([0.0, 1.0, 2.0], 80))
    at = 0.3 * jax.random.normal(KEY, (density.size,))
    there = stochastic._everywhere(density, weighted, None, at)
    keys, narrow = jax.random.split(KEY, 20), jnp.full(density.size, -20.0)

    @jax.jit
    def slopes(at, key, there):
        return jax.grad(stochastic._minus_bound)((at, narrow), density, 30, weighted, None, key, there)[0]

    whole = -jax.grad(density.log_posterior)(at, weighted)
    for key in keys:
        np.testing.assert_allclose(slopes(at, key, there), whole, atol=1e-6)
    near = at + 0.1
    whole = -jax.grad(density.log_posterior)(near, weighted)
    put_right, alone = (np.std([slopes(near, key, known) - whole for key in keys]) for known in (there, None))
    assert put_right < 0.3 * alone


def test_a_curve_that_has_run_to_its_end_has_a_finite_gradient(runs, model):
    """Far above all thresholds success is 1 to the last digit, whose logit is infinite."""
    density = Density.of(model, runs)
    at = density.start({"threshold": 1e-3, "slope": 40.0, "floor": 0.1})
    value, gradient = jax.value_and_grad(density.log_posterior)(at, runs)
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("p", [0.0, 1e-310, 1.0])
@pytest.mark.parametrize("by", [noise.binomial, noise.beta_binomial, noise.logit_normal])
def test_counts_that_cannot_be_have_finite_gradients(runs, p, by):
    """Successes where there can be none, and failures, of a hundred tries each."""
    many = runs.replace(columns=runs.columns | {"trials": np.full(240, 200.0)}, response=np.full(240, 100.0))

    def log_density(p):
        return jnp.sum(
            by(jnp.full(240, p), many, {"concentration": 3.0, "scatter": 0.5}).log_prob(many.response)
        )

    value, gradient = jax.value_and_grad(log_density)(p)
    assert np.isfinite(value)
    assert np.isfinite(gradient)


def test_families_and_their_tasks_are_measured_from_the_centre_together(runs):
    """Whichever is thought to be wide: what the tasks are about is the family, and what that is about the centre."""
    families = Runs.make(
        {name: runs.columns[name] for name in ("C", "trials")}
        | {"successes": runs.response}
        | {by: [runs.levels[by][i] for i in runs.factors[by]] for by in ("model", "task")}
        | {"family": [f"f{i % 3}" for i in runs.factors["task"]]},
        factors=["model", "task", "family"],
    )
    items = item_response(families, family="family")
    density = Density.of(items.model.specialise(items.runs), items.runs)

    def moves(*scales):
        names = [f"threshold_by_{by}_scale" for by in ("model", "task", "family")]
        wide = dict(zip(names, map(jnp.asarray, scales), strict=True)) if scales else None
        found = frame._moves(density, items.runs, wide and wide | {"slope_by_task_scale": jnp.ones(())})
        return {
            by: found[by][density.model.factors[by].index(f"threshold_by_{by}")]
            for by in ("model", "task", "family")
        }

    for scales in ((), (0.1, 0.1, 9.0), (0.1, 9.0, 0.1)):
        assert moves(*scales) == {"model": 0, "task": 1, "family": 1}, scales
    assert moves(9.0, 0.1, 0.1) == {"model": 1, "task": 0, "family": 0}


def test_an_approximation_says_that_it_is_one(runs, model):
    fit = variational(KEY, model, runs, draws=30, steps=150, check=False)
    assert fit.method == "svi"
    assert len(fit) == 30
    assert fit.draws["threshold_by_task"].shape == (1, 30, TASKS)
    assert set(fit.draws) == {
        *("threshold", "slope", "floor", "threshold_by_task", "slope_by_task", "model_effect"),
        *("threshold_by_task_scale", "slope_by_task_scale", "model_effect_scale"),
    }
    good = fit.replace(stats=fit.stats | {"mode_converged": True})
    assert good.verdict == (
        "converged (svi): an approximation, whose intervals are approximate; what it is worth was not measured"
    )
    measured = good.replace(
        stats=good.stats
        | {"error": 0.2, "narrow": 0.8, "checked": 240, "errors": {"a": 0.5}, "widths": {"a": 0.4}}
    )
    assert (
        "on 240 of the runs means are 0.20 posterior standard deviations from those of NUTS"
        in measured.verdict
    )
    assert measured.converged
    for worse in ({"error": 0.7}, {"narrow": 0.3}, {"errors": {"a": 1.5, "b": 0.1}}, {"widths": {"a": 0.1}}):
        assert "too far off" in measured.replace(stats=measured.stats | worse).verdict
    moving = fit.replace(stats=fit.stats | {"mode_converged": False})
    assert moving.verdict.startswith("NOT CONVERGED (svi): what levels share still moves")


def test_without_levels_there_is_nothing_to_approximate(runs, model):
    with pytest.raises(
        ValueError, match=re.escape("has no levels with deviations; NUTS is fast, and exact: use nuts")
    ):
        variational(KEY, model.replace(pooling=(), effects=()), runs)


def test_part_of_a_table_has_all_runs_of_its_levels(runs, model):
    part = some_levels(np.random.default_rng(0), model, runs, 70)
    assert len(part) <= 70
    assert len(part) == len(part.levels["task"]) * len(part.levels["model"])
    assert isinstance(part, Runs)


@pytest.mark.slow
def test_it_is_worth_what_it_measures(runs, model):
    """Of a small table the means are within half a posterior standard deviation of those of NUTS."""
    fit = variational(KEY, model, runs)
    assert isinstance(fit, Fit)
    assert fit.converged
    assert fit.stats["checked"] == len(runs)
    assert fit.stats["error"] < 0.5
    assert 0.5 < fit.stats["narrow"] < 1.3


def test_it_is_not_too_sure_of_what_many_levels_share(benchmark):
    """Slopes of 300 tasks that differ by .3 tell their centre to within .3 / sqrt(300) at best."""
    tasks = benchmark("tasks")
    runs = tasks.runs_of(tasks.simulate(60, 300, 4), 4)
    fit = variational(jax.random.key(0), tasks.model_of(), runs, steps=300, check=False)
    slope = np.log(fit.flat("slope"))
    assert slope.std() > 0.7 * 0.3 / np.sqrt(300)
    assert abs(slope.mean() - np.log(3)) < 4 * slope.std()
