"""Models that are not measured yet, at each task: against the parts of a fit made by hand."""

import re

import jax
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy.special import expit, logit

from bayescale import models, noise
from bayescale.fit import Fit
from bayescale.model import Model
from bayescale.pooling import Effect, Pooling
from bayescale.runs import Runs
from bayescale.tasks.overlap import overlap
from bayescale.tasks.suite import families, new_models

KEY = jax.random.key(0)
TASKS, MODELS, DRAWS = 6, 4, 3
CHANCE = np.array([0.0, 0.0, 0.25, 0.25, 0.5, 0.0])


@pytest.fixture(scope="module")
def runs():
    model, task = (a.ravel() for a in np.meshgrid(np.arange(MODELS), np.arange(TASKS), indexing="ij"))
    return Runs.make(
        {
            "C": 10.0 ** (20 + model),
            "chance": CHANCE[task],
            "successes": (model + task) % 5,
            "trials": np.full(len(model), 4),
            "model": [f"m{i}" for i in model],
            "lab": ["ab"[i % 2] for i in model],
            "task": [f"t{i}" for i in task],
            "family": [f"f{i // 2}" for i in task],
            "both": [f"{i}:{j // 2}" for i, j in zip(model, task, strict=True)],
        },
        factors=["model", "lab", "task", "family", "both"],
    )


def fit_of(runs, pooling, effects, scales):
    """Of the law with a known chance level, without lapses; draws differ in the threshold alone."""
    model = Model(models.load("logistic_chance").along("C"), noise.binomial, pooling, effects)
    rng = np.random.default_rng(0)
    draws = {"threshold": 10.0 ** np.arange(DRAWS)[None], "slope": np.full((1, DRAWS), 2.0)}
    draws["lapse"] = np.zeros((1, DRAWS))
    for by, names in model.factors.items():
        for name in names:
            draws[name] = rng.normal(size=(1, DRAWS, len(runs.levels[by])))
            draws[f"{name}_scale"] = np.full((1, DRAWS), scales.get(name, 0.5))
    return Fit(model, runs, draws, "map", {"at_bound": [], "mode_converged": True})


def curve(fit, C, shift=0.0):
    """The success at each task without shocks, (draws, tasks); `shift` of the log threshold, (draws, tasks)."""
    threshold = np.log10(fit.flat("threshold"))[:, None] + shift / np.log(10)
    relative = np.log10(C / fit.runs.reference["C"])
    return CHANCE + (1 - CHANCE) * expit(2.0 * (relative - threshold))


def test_tasks_and_families_are_as_the_fit_found_them(runs):
    fit = fit_of(runs, (Pooling(("threshold",), "task"), Pooling(("threshold",), "family")), (), {})
    found = new_models(KEY, fit, {"C": 1e22}, models=2)
    shift = fit.flat("threshold_by_task") + np.repeat(fit.flat("threshold_by_family"), 2, axis=1)
    expected = curve(fit, 1e22, shift)
    assert found.shape == (DRAWS, 2, TASKS)
    np.testing.assert_allclose(found, np.repeat(expected[:, None], 2, axis=1), rtol=1e-6)
    mean = fit.predict({"C": [1e22], "chance": [0.25]}, task="t3", family="f1")
    np.testing.assert_allclose(found[:, 0, 3], mean[:, 0], rtol=1e-6)


def test_shocks_are_shared_by_the_tasks_that_share_a_level(runs):
    effects = (Effect("model"), Effect("both"))
    scales = {"model_effect": 0.3, "both_effect": 0.4}
    fit = fit_of(runs, (), effects, scales)
    shocks = logit(new_models(KEY, fit, {"C": 1e22}, models=4000)) - logit(curve(fit, 1e22))[:, None]
    covariance = np.cov(shocks.reshape(-1, TASKS).T)
    together = np.arange(TASKS)[:, None] // 2 == np.arange(TASKS) // 2
    # 12,000 models: a variance is good to 1.3%, and here to five of that.
    np.testing.assert_allclose(covariance, 0.3**2 + 0.4**2 * together, atol=0.02)


def test_abilities_of_labs_are_drawn_or_named(runs):
    fit = fit_of(runs, (Pooling(("threshold",), "lab", dist.HalfNormal(1.0)),), (), {"threshold_by_lab": 0.7})
    named = new_models(KEY, fit, {"C": 1e22}, models=1, lab="b")[:, 0]
    np.testing.assert_allclose(named, curve(fit, 1e22, fit.flat("threshold_by_lab")[:, 1:]), rtol=1e-6)
    drawn = new_models(KEY, fit, {"C": 1e22}, models=4000)
    share = (drawn - CHANCE) / (1 - CHANCE)
    spread = logit(share).std(axis=1) * np.log(10) / 2.0
    np.testing.assert_allclose(spread, 0.7, rtol=0.06)  # five errors of a standard deviation of 4,000


def test_a_covariate_of_tasks_may_be_given(runs):
    fit = fit_of(runs, (), (), {})
    found = new_models(KEY, fit, {"C": 1e22, "chance": 0.0}, models=1)
    np.testing.assert_allclose(found[:, 0], np.repeat(found[:, 0, :1], TASKS, axis=1))


def test_fewer_draws_are_taken_evenly(runs):
    fit = fit_of(runs, (), (), {})
    found = new_models(KEY, fit, {"C": 1e22}, models=1, draws=2)
    np.testing.assert_allclose(found[:, 0], curve(fit, 1e22)[[0, 2]], rtol=1e-6)


def test_the_overlap_of_a_fit(runs):
    fit = fit_of(runs, (), (Effect("model"),), {"model_effect": 1.5})
    found = overlap(new_models(KEY, fit, {"C": 1e22}, models=200), families=families(runs))
    assert found.shares["models"] > 0.02
    assert found.shares["thresholds"] == pytest.approx(0, abs=0.02)
    assert len(found.given) == DRAWS


def test_families(runs):
    assert families(runs) == ["f0", "f0", "f1", "f1", "f2", "f2"]
    with pytest.raises(ValueError, match="a task has more than one model; give the factor that groups tasks"):
        families(runs, by="model")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"covariates": {}},
            "the law needs C of the new models, which is not one number for each task: give it",
        ),
        ({"covariates": {"C": 1e22}, "task": "item"}, "there is no factor item; there are model, lab, task"),
        ({"covariates": {"C": 1e22}, "lab": "c"}, "lab has no level 'c'; it has a, b"),
    ],
)
def test_what_is_refused(runs, arguments, message):
    fit = fit_of(runs, (Pooling(("threshold",), "lab"),), (), {})
    with pytest.raises(ValueError, match=re.escape(message)):
        new_models(KEY, fit, **arguments)


def test_a_fit_of_loss_is_refused():
    table = Runs.make({"N": [1e8, 1e9, 1e10], "loss": [3.0, 2.5, 2.2]})
    model = Model(models.load("power").along("N"), noise.log_normal, effects=())
    fit = Fit(
        model, table, {"A": np.ones((1, 2)), "alpha": np.ones((1, 2)), "sigma": np.ones((1, 2))}, "map", {}
    )
    with pytest.raises(ValueError, match="the fit is of loss; a suite of tasks is of success"):
        new_models(KEY, fit, {"N": 1e11})
