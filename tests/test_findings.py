"""Findings: each is made where its cause is, and is not where it is not."""

import jax
import numpy as np
import pytest
from numpyro.distributions import biject_to

from bayescale import models, noise, parallel
from bayescale.check.findings import SEVERITIES, Finding, findings
from bayescale.fit import Fit
from bayescale.model import Model
from bayescale.pooling import Effect
from bayescale.runs import Runs

LAW = models.load("chinchilla")
GOOD = {
    "at_bound": [],
    "mode_converged": True,
    "pareto_k": 0.1,
    "rival": np.inf,
    "mode_agreed": 9,
    "mode_starts": 9,
}


def table(tokens=None, runs=24):
    N = np.geomspace(1e8, 1e10, runs)
    D = np.tile([2e9, 3e10, 2e11], runs)[:runs] if tokens is None else tokens * N
    size = [str(i // 2) for i in range(runs)]
    return Runs.make({"N": N, "D": D, "loss": np.linspace(3.3, 2.1, runs), "run": size}, factors=["run"])


def fit_of(runs=None, *, prior=(), draws=2000, effects=(), method="laplace", **stats):
    """A fit that learned everything but the parameters in `prior`, of which it returns the prior."""
    model = Model(LAW, noise.log_normal, effects=effects)
    with parallel.workbench():
        found = {}
        for i, (name, of) in enumerate(model.priors.items()):
            drawn = of.sample(jax.random.fold_in(jax.random.key(1), i), (draws,))
            inside = biject_to(of.support).inv(drawn)
            learned = inside.mean() + 0.1 * (inside - inside.mean())
            moved = drawn if name in prior else biject_to(of.support)(learned)
            found[name] = np.asarray(moved)[None]
    for effect in effects:
        found[f"{effect.by}_effect_scale"] = np.linspace(0.004, 0.006, draws)[None]
    return Fit(model, runs or table(), found, method, GOOD | stats)


def codes(fit):
    return [finding.code for finding in findings(fit)]


def test_a_good_fit_has_nothing_to_say():
    assert findings(fit_of()) == ()


@pytest.mark.parametrize(("E", "reached"), [(0.9, False), (0.975, False), (0.985, True), (0.999, True)])
def test_runs_that_have_come_down_to_the_floor(E, reached):
    """Two scales of a noise of 0.01 below the least loss are 0.980 of it."""
    fit = fit_of()
    at = {"E": np.linspace(E - 0.001, E, 2000)[None], "sigma": np.full((1, 2000), 0.01)}
    assert ("FLOOR_REACHED" in codes(fit.replace(draws=fit.draws | at))) is reached


def test_a_floor_told_by_its_prior_was_not_reached():
    fit = fit_of(prior=["E"])
    wide = {"sigma": np.full((1, 2000), 0.2)}  # in half of the prior E is within two of it
    assert np.mean(fit.flat("E") > np.exp(-0.4)) > 0.4
    assert "FLOOR_REACHED" not in codes(fit.replace(draws=fit.draws | wide))


def test_a_sampler_in_difficulty():
    depth = {"depth": 10, "tree_depth": np.full((2, 100), 5)}
    assert findings(fit_of(e_bfmi=[0.31, 0.9], **depth)) == ()
    (found,) = findings(fit_of(e_bfmi=[0.29, 0.9], **depth))
    assert (found.code, found.severity, found.number) == ("ENERGY", "warning", 0.29)
    assert codes(fit_of(e_bfmi=[np.nan])) == ["ENERGY"]
    depth["tree_depth"][0, :4] = 10
    (found,) = findings(fit_of(**depth))
    assert (found.code, found.severity, found.number) == ("TREE_DEPTH", "warning", 0.02)


def test_not_converged():
    (found,) = findings(fit_of(pareto_k=0.9))
    assert (found.code, found.severity) == ("NOT_CONVERGED", "severe")
    assert "Pareto-k 0.90" in str(found)
    assert str(found).startswith("SEVERE NOT_CONVERGED: the laplace fit has not converged")


def test_a_parameter_at_its_bound():
    fit = fit_of(draws=1, method="map", at_bound=["E"])
    found = {finding.code: finding for finding in findings(fit)}
    assert set(found) == {"NOT_CONVERGED", "AT_BOUND"}
    assert found["AT_BOUND"].message == "E ran to its bound: the data do not tell it from 0"


@pytest.mark.parametrize(("name", "code"), [("E", "FLOOR_PRIOR"), ("beta", "PRIOR_DOMINATED")])
def test_what_the_data_say_little_of(name, code):
    (found,) = findings(fit_of(prior=(name,)))
    assert (found.code, found.severity) == (code, "warning")
    assert found.message.startswith(f"the data say little about {name} beyond its prior: contraction ")
    # The variance of 2000 draws is known to 3%, so that the contraction is 0 to within 0.15 (5 sd).
    assert abs(found.number) < 0.15


def test_a_point_fit_has_no_contraction():
    assert codes(fit_of(prior=("E",), draws=1, method="map")) == []


@pytest.mark.parametrize(("rival", "expected"), [(0.7, ["SECOND_MODE"]), (5.1, []), (np.inf, [])])
def test_a_second_mode(rival, expected):
    found = findings(fit_of(rival=rival))
    assert [f.code for f in found] == expected
    assert all("only 0.7 nats lower" in f.message for f in found)


def test_a_design_along_one_line():
    (found,) = findings(fit_of(table(tokens=20)))
    assert (found.code, found.severity) == ("COLLINEAR", "severe")
    assert found.number == pytest.approx(1.0)
    random = np.random.default_rng(0)
    assert codes(fit_of(table(tokens=20 * np.exp(0.4 * random.standard_normal(24))))) == ["COLLINEAR"]


def test_one_size_is_not_a_line():
    D = np.geomspace(1e9, 1e12, 24)
    runs = Runs.make({"N": np.full(24, 1e9), "D": D, "loss": np.linspace(3.3, 2.1, 24)})
    assert "COLLINEAR" not in codes(fit_of(runs))


def test_few_runs():
    assert codes(fit_of(table(runs=15))) == []
    (found,) = findings(fit_of(table(runs=14)))
    assert (found.code, found.number) == ("FEW_RUNS", 14)
    assert "15 or more in all" in found.action


def test_the_effects_in_the_model():
    (found,) = findings(fit_of(effects=(Effect("run"),)))
    assert (found.code, found.severity) == ("EFFECTS", "note")
    assert found.number == pytest.approx(0.005)
    assert "runs of one run share a shock" in found.message
    assert "its sd is 0.005 (90% interval 0.0041 to 0.0059) of the loss" in found.message
    (point,) = findings(fit_of(effects=(Effect("run"),), draws=1, method="map"))
    assert "interval" not in point.message


def test_the_most_severe_comes_first():
    fit = fit_of(
        table(tokens=20, runs=14), prior=("E", "beta"), effects=(Effect("run"),), rival=1, pareto_k=0.8
    )
    found = findings(fit)
    assert {f.code for f in found} == {
        "NOT_CONVERGED", "COLLINEAR", "FEW_RUNS", "FLOOR_PRIOR", "PRIOR_DOMINATED", "SECOND_MODE", "EFFECTS",
    }  # fmt: skip
    order = [SEVERITIES.index(f.severity) for f in found]
    assert order == sorted(order, reverse=True)


def test_a_finding_reads_as_a_sentence():
    said = str(Finding("FEW_RUNS", "warning", "3 runs for 5 parameters", 3, "Add runs"))
    assert said == "WARNING FEW_RUNS: 3 runs for 5 parameters. Add runs."
