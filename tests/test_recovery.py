"""Every law finds the parameters that simulated runs were made with."""

import jax
import pytest
from scipy import stats

from bayescale import models, noise
from bayescale.check.findings import findings
from bayescale.infer.nuts import nuts
from bayescale.infer.optimize import laplace, optimize
from bayescale.model import Model

QUICK = ("chinchilla", "power", "power_floor", "success_power")
# How often each test would fail a sound law, with a seed that was not fixed; there are some 30 laws.
ALARM = 1e-4


@pytest.fixture(scope="module")
def recovery(benchmark):
    return benchmark("recovery")


@pytest.mark.parametrize(
    "name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in models.names()]
)
def test_the_mode_gives_the_curve_back(recovery, name):
    """The misfit is chi-squared in the number of parameters, at least in linear theory; priors make it less."""
    study = recovery.simulate(name, 0)
    fit = optimize(jax.random.key(0), Model(study.law, study.noise, effects=()), study.runs)
    assert fit.converged, fit.verdict
    assert recovery.misfit(study, fit) < stats.chi2(len(study.law.parameters)).isf(ALARM)


@pytest.mark.parametrize(
    "name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in models.names()]
)
def test_the_posterior_holds_the_truth(recovery, name):
    """All parameters and the noise together, where a normal posterior is at a chi-squared distance."""
    study = recovery.simulate(name, 1)
    model = Model(study.law, study.noise, effects=())
    fit = nuts(jax.random.key(0), model, study.runs)
    assert fit.converged, fit.verdict
    _, _, distance = recovery.errors(study, fit)
    assert distance < stats.chi2(len(model.priors)).isf(ALARM)


def test_runs_that_have_reached_the_floor_are_told(recovery, monkeypatch):
    """The least of many noisy losses then lies below the floor, and the prior excludes the truth."""
    monkeypatch.setitem(recovery.TRUTHS, "exponential", {"kappa": 0.25})
    study = recovery.simulate("exponential", 3)
    assert study.truth["E"] > study.runs.unit
    fit = laplace(jax.random.key(0), Model(study.law, noise.log_normal, effects=()), study.runs)
    assert "FLOOR_REACHED" in [finding.code for finding in findings(fit)]
    monkeypatch.undo()
    sound = recovery.simulate("exponential", 3)
    fit = laplace(jax.random.key(0), Model(sound.law, noise.log_normal, effects=()), sound.runs)
    assert "FLOOR_REACHED" not in [finding.code for finding in findings(fit)]
