"""What a design says: its findings, names and verdict, its rivals, and what is refused."""

import json

import jax
import numpy as np
import pytest

from bayescale import models, noise, parallel
from bayescale.decide.design import design, names_of, rival_of
from bayescale.decide.targets import Target, target_of
from bayescale.model import Model
from bayescale.pooling import Effect, Pooling
from bayescale.runs import Runs
from tests.designs import CANDIDATES, CHINCHILLA, KEY, POWER, RUNS, N, fit_of, power, standard, straight, x_of
from tests.made import BESIROGLU


def test_rivals_are_a_column_and_a_batch_that_tells_them_nothing_is_a_finding():
    """The fit does not know the level, which a middling run tells; the rival the slope, which that does not."""
    z = standard(2000, 2, 3)
    fit = power(0.4 + 0.05 * z[:, 0], 0.06 + 1e-3 * z[:, 1])
    rival = power(0.4 + 1e-4 * z[:, 0], 0.06 + 0.01 * z[:, 1])
    points = {"N": [float(np.asarray(RUNS.reference["N"])), 1e12], "D": [1e10, 1e10]}
    found = design(fit, "loss@N=3e9", 1e23, candidates=points, rivals=[rival], key=KEY)
    assert found.batch == (0,)
    assert found.removed["power (2)"][0] < 0.01
    assert {"removed by power (2)", "exact", "beyond"} <= set(found.rows()[0])
    (finding,) = [one for one in found.findings if one.code == "DESIGN_SENSITIVE"]
    assert finding.number < 0.5
    assert "if it is power (2)" in found.verdict
    told = json.loads(json.dumps(found.to_dict()))
    assert told["target"] == "loss@N=3B"
    assert told["exact"]["removed"] == pytest.approx(told["removed"]["power"], abs=0.1)


def test_what_was_not_asked_is_said():
    found = design(straight(), "loss@N=1e12", 1e22)
    codes = [finding.code for finding in found.findings]
    assert "NORMAL" in codes
    (one,) = [finding for finding in found.findings if finding.code == "ONE_LAW"]
    assert "what they would tell if it is not was not asked" in one.message
    assert "--rival coupled, which is then fitted too, or --rival other.nc" in one.action
    assert found.to_dict()["rivals"] == "not asked"
    assert found.rows()[0]["exact"] is None


def test_a_rival_is_fitted_as_the_fit_was(monkeypatch):
    monkeypatch.setattr("bayescale.decide.design.again", lambda key, fit, model, runs: (fit, model, runs))
    shocks, pooling = (Effect("size"),), (Pooling(("A", "alpha"), by="corpus"),)
    fit = straight(effects=shocks)
    _, model, runs = rival_of(KEY, fit, models.load("power_floor"))
    assert (model.law.name, model.law.covariates) == ("power_floor", ("N",))
    assert (model.noise, model.effects) == (fit.model.noise, shocks)
    assert runs is fit.runs
    pooled = fit.replace(model=fit.model.replace(pooling=pooling))
    assert rival_of(KEY, pooled, models.load("power_floor"))[1].pooling == pooling
    other = models.load("shifted_power")
    kept = tuple(name for name in ("A", "alpha") if name in other.parameters)
    assert rival_of(KEY, pooled, other)[1].pooling == (Pooling(kept, by="corpus"),)
    assert rival_of(KEY, pooled, models.load("constant"))[1].pooling == ()
    with pytest.raises(ValueError, match="the fit is one of map, and a rival is fitted as it was"):
        rival_of(KEY, fit.replace(method="map"), other)
    two_axes = fit.replace(model=fit.model.replace(law=CHINCHILLA))
    with pytest.raises(
        ValueError, match="shifted_power is a law in one axis: give it along a column, or a fit"
    ):
        rival_of(KEY, two_axes, other)


def test_nested_monte_carlo_and_the_formula_agree_on_a_normal_model():
    """Of 40 comparisons where the formula is exact none is 25% off and 3 errors: by chance in under 1 of 10."""
    for seed in range(20):
        fit = straight(draws=1000, seed=seed)
        found = design(fit, "loss@N=1e12", 1e23, candidates=CANDIDATES, key=jax.random.key(seed))
        assert "NOT_NORMAL" not in {finding.code for finding in found.findings}


def test_where_the_formula_is_wrong_it_is_said():
    """What a run shows is z and the target is its square: they have no covariance, and one tells the other."""
    z = standard(4000, 1)[:, 0]
    log_c = 0.4 + 0.05 * z
    fit = power(log_c, (log_c - 0.4 - 0.05 * z**2) / x_of(1e12))
    points = {"N": [float(np.asarray(RUNS.reference["N"]))], "D": [1e10]}
    found = design(fit, "loss@N=1e12", 1e23, candidates=points, key=KEY)
    assert found.own[0] < 0.05
    assert found.exact[(0,)].removed > 0.5
    assert "NOT_NORMAL" in {finding.code for finding in found.findings}


def test_a_decision_that_is_made_is_said():
    found = design(straight(), "better@N=2e12,D=1e10:N=1e12,D=1e10", 1e22)
    assert found.chance == 1
    assert "SETTLED" in {finding.code for finding in found.findings}


def test_a_sign_that_no_draw_doubts_leaves_nothing_to_be_told():
    asked = "better@N=1e6,D=1e6:N=1e16,D=1e16"
    found = design(straight(middle=(0.4, 0.2)), asked, 1e23, candidates=CANDIDATES, key=KEY)  # by 20 sd
    assert found.batch == ()
    assert found.exact == {}  # nothing is worked out for no run
    assert (found.own == 0).all()
    assert "SETTLED" in {finding.code for finding in found.findings}
    assert found.verdict.startswith("No candidate is expected to tell anything")
    json.dumps(found.to_dict())


def test_few_draws_that_keep_weight_are_said():
    found = design(straight(draws=150), "loss@N=1e12", 1e24, candidates={"N": [1e13], "D": [1e10]}, key=KEY)
    assert "NESTED_DOUBTFUL" in {finding.code for finding in found.findings}


def test_a_run_that_tells_nothing_and_one_far_outside_are_said():
    z = standard(2000, 2)
    nothing = design(power(0.4 + 1e-9 * z[:, 0], 0.06 + 1e-9 * z[:, 1]), "loss@N=1e12", 1e22)
    assert "NOTHING_TOLD" in {finding.code for finding in nothing.findings}
    far = design(straight(), "loss@N=1e12", 1e26, candidates={"N": [1e11], "D": [1e14]})
    assert {"EXTRAP", "OVERTRAIN"} <= {finding.code for finding in far.findings}


def test_an_optimum_that_some_draws_lack():
    natural = {p: np.full(1000, v) * np.exp(0.001 * standard(1000, 1, 5)[:, 0]) for p, v in BESIROGLU.items()}
    natural["A"] = np.where(np.arange(1000) < 200, 1e-30, natural["A"])
    with parallel.workbench():
        fit = fit_of(CHINCHILLA, CHINCHILLA.to_reference(natural, RUNS.reference, RUNS.unit))
    found = design(fit, "N@1e24", 1e22)
    assert found.defined == pytest.approx(0.8)
    assert "UNDEFINED" in {finding.code for finding in found.findings}
    few = fit.replace(draws={p: v[:, :220] for p, v in fit.draws.items()})
    with pytest.raises(
        ValueError, match=r"N@1e24 is a number in 20 of 220 draws of chinchilla, and a design needs"
    ):
        design(few, "N@1e24", 1e22)


def test_a_target_that_is_known_is_refused():
    fit = power(np.full(200, 0.4), 0.06)
    with pytest.raises(ValueError, match="loss@N=1T is the same in every draw of power; there is nothing"):
        design(fit, "loss@N=1e12", 1e22)


def test_pooled_fits_need_their_level_and_further_covariates_a_value():
    relative = {
        p: np.full(300, 0.5) + 0.01 * standard(300, 1, i)[:, 0] for i, p in enumerate(CHINCHILLA.parameters)
    }
    shift = {"A_by_corpus": np.zeros((1, 300, 2)), "A_by_corpus_scale": np.full((1, 300), 0.1)}
    fit = fit_of(CHINCHILLA, relative, pooling=[Pooling(("A",), by="corpus")], extra=shift)
    with pytest.raises(ValueError, match="A differ by corpus; say which corpus: one of x, y"):
        design(fit, "N@1e24", 1e22)
    assert (
        design(fit, "N@1e24", 1e22, corpus="x").own.shape == design(fit, "N@1e24", 1e22, corpus="y").own.shape
    )
    law = models.load("data_constrained")
    runs = Runs.make(
        {"N": N, "D": np.geomspace(2e9, 2e11, 12), "U": np.full(12, 2e9), "loss": np.full(12, 3.0)}
    )
    own = {p: np.full(300, 0.5) + 0.01 * standard(300, 1, i)[:, 0] for i, p in enumerate(law.parameters)}
    repeated = fit_of(law, own, runs=runs)
    with pytest.raises(ValueError, match=r"data_constrained needs N, D, U; hold U, as at=\{'U': 8\}"):
        design(repeated, "loss@N=1e10,D=1e11,U=1e10", 1e22)
    found = design(repeated, "loss@N=1e10,D=1e11", 1e22, at={"U": 1e10})
    assert (found.points["U"] <= found.points["D"]).all()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"target": "M@1e24"}, "the target is 'M@1e24'; it is one of N@1e24, loss@"),
        ({"target": "N@lots"}, "the target is 'N@lots': 'lots' is no positive number"),
        ({"target": "loss@N"}, "the target is 'loss@N'; it is one of"),
        ({"target": "better@N=1e9"}, "the target is 'better@N=1e9'; it is one of"),
        ({"target": "law"}, "which law is right is a question to several fits; give rivals"),
        ({"budget": -1.0}, r"budget is -1\.0; it is a positive number of FLOP"),
        ({"batch": 0}, "batch is 0; it is the most runs there may be, 1 or more"),
        (
            {"candidates": {"N": [1e12], "D": [1e12]}},
            "the cheapest candidate takes 6e24 FLOP and the budget is 1e22",
        ),
        (
            {"candidates": {"N": [1e9]}},
            "what a candidate costs does not follow from N; give N and D of each, or C",
        ),
        ({"weights": [1.0]}, "weights are of laws, and the target is loss@N=1T; leave them out"),
        ({"corpus": "x"}, "nothing differs by corpus; the models have no factor"),
        (
            {"target": "law", "rivals": "same", "weights": [1.0, -1.0]},
            r"weights are \[1\.0, -1\.0\]; they are",
        ),
        ({"rivals": "others"}, "power was fitted to other runs than power; a rival is a fit to the same"),
        ({"rivals": "success"}, "a design is of losses"),
    ],
)
def test_what_is_refused(given, message):
    fit = straight(draws=200)
    others = {
        "same": [straight(draws=200)],
        "others": [straight(draws=200, runs=RUNS.subset(np.arange(12) < 9))],
    }
    if given.get("rivals") == "success":
        law = POWER.replace(response="success", priors={})
        binomial = Model(law, noise.binomial, effects=())
        others["success"] = [fit.replace(model=binomial)]
    own = {"target": "loss@N=1e12", "budget": 1e22} | given
    if "rivals" in own:
        own["rivals"] = others[own["rivals"]]
    with pytest.raises(ValueError, match=message):
        design(fit, own.pop("target"), own.pop("budget"), **own)


def test_targets_are_written_as_they_are_read():
    for text in ("N@1e24", "loss@N=70B,D=1.4T", "better@N=10B,D=1.7T:N=100B,D=170B", "law"):
        assert target_of(text).name == text
    with pytest.raises(ValueError, match="which law is right is a question to several fits"):
        Target("law").draws(straight(draws=10))


def test_fits_are_told_apart_by_what_they_differ_in():
    plain, heavy, shocked = (
        straight(),
        straight(scatter=noise.student_t, nu=3.0),
        straight(effects=(Effect("size"),)),
    )
    assert names_of([plain]) == ["power"]
    assert names_of([plain, heavy]) == ["power, log_normal", "power, student_t"]
    assert names_of([plain, shocked]) == ["power, no effects", "power, effect of size"]
    assert names_of([plain, plain.replace()]) == ["power", "power (2)"]
