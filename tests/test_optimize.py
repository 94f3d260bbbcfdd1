"""Point fits and the normal approximation, against least squares and against the posterior of a straight line."""

import jax
import numpy as np
import pytest

from bayescale import models, noise
from bayescale.infer.optimize import laplace, optimize
from bayescale.model import Model
from bayescale.pooling import Effect, Pooling
from bayescale.runs import Runs

LAW = models.load("power").along("N")
MODEL = Model(LAW, noise.log_normal, effects=())


def simulated(count=40, seed=0, loss=None):
    rng = np.random.default_rng(seed)
    N = 10 ** rng.uniform(7, 10, count)
    loss = 3 * (N / 1e9) ** -0.08 * np.exp(0.02 * rng.normal(size=count)) if loss is None else loss(N, rng)
    return Runs.make({"N": N, "loss": loss, "corpus": ["a", "b"] * (count // 2)}, factors=["corpus"])


RUNS = simulated()


def line(runs):
    """Slope, intercept, their covariance and the scatter, by least squares in logs."""
    x, y = np.log(runs.columns["N"]), np.log(runs.response)
    design = np.column_stack([x, np.ones_like(x)])
    best, *_ = np.linalg.lstsq(design, y)
    scatter = np.sqrt(np.mean((y - design @ best) ** 2))
    return best[0], best[1], np.linalg.inv(design.T @ design), scatter


def test_maximum_likelihood_is_least_squares():
    fit = optimize(jax.random.key(0), MODEL, RUNS, priors=False)
    assert fit.converged, fit.verdict
    slope, intercept, _, scatter = line(RUNS)
    found = fit.parameters()
    assert found["alpha"].item() == pytest.approx(-slope, rel=1e-6)
    assert np.log(found["A"]).item() == pytest.approx(intercept, rel=1e-6)
    assert fit.flat("sigma").item() == pytest.approx(scatter, rel=1e-6)
    assert (fit.method, len(fit)) == ("maximum_likelihood", 1)


def test_the_mode_of_the_posterior_is_near_and_says_how_it_was_found():
    fit = optimize(jax.random.key(0), MODEL, RUNS)
    slope, _, covariance, scatter = line(RUNS)
    # The prior of ln alpha is 0.5 wide and the data know it to 0.03, so it moves the mode by under 0.1 sd.
    assert fit.parameters()["alpha"].item() == pytest.approx(
        -slope, abs=0.1 * scatter * np.sqrt(covariance[0, 0])
    )
    assert fit.method == "map"
    assert fit.verdict == "converged (map): 64 of 64 starts agree"
    assert {"log_density", "versions", "key", "rival"} <= set(fit.stats)


def test_a_parameter_that_runs_to_its_bound_is_named():
    """Log losses that bend down have no floor: the likelihood is greatest without one."""
    law = models.load("power_floor").along("N")
    bent = simulated(
        loss=lambda N, rng: np.exp(1 - 0.02 * np.log(N / 1e7) ** 2 + 0.01 * rng.normal(size=len(N)))
    )
    fit = optimize(jax.random.key(0), MODEL.replace(law=law), bent, priors=False)
    assert fit.stats["at_bound"] == ["E"]
    assert not fit.converged
    assert fit.verdict.startswith("NOT CONVERGED (maximum_likelihood): E ran to the bound")


def test_levels_need_priors():
    shared = {"pooling": (Pooling(("A",), by="corpus"),)}, {"effects": (Effect("corpus"),)}
    for of_levels in shared:
        with pytest.raises(
            ValueError, match="levels that share nothing but a likelihood have no scale; fit them"
        ):
            optimize(jax.random.key(0), MODEL.replace(**of_levels), RUNS, priors=False)


def test_the_normal_approximation_is_the_posterior_of_a_straight_line():
    fit = laplace(jax.random.key(0), MODEL, RUNS, draws=4000)
    slope, _, covariance, scatter = line(RUNS)
    error = scatter * np.sqrt(covariance[0, 0])
    alpha = fit.flat("alpha")
    # The standard error of a mean of 4,000 draws is 0.016 sd and of an sd 1.1%; the prior adds 0.1 sd.
    assert alpha.mean() == pytest.approx(-slope, abs=0.17 * error)
    assert alpha.std() == pytest.approx(error, rel=0.08)
    assert fit.converged, fit.verdict
    assert fit.verdict.endswith("a look, not a posterior")
    assert fit.diagnostics == {}
    assert fit.draws["alpha"].shape == (1, 4000)


def test_the_same_key_gives_the_same_bits():
    one, again = (laplace(jax.random.key(2), MODEL, RUNS, draws=100) for _ in range(2))
    assert all((one.draws[name] == again.draws[name]).all() for name in one.draws)
    other = laplace(jax.random.key(3), MODEL, RUNS, draws=100)
    assert (other.draws["alpha"] != one.draws["alpha"]).any()
