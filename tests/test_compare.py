"""Comparisons: which law is found, what is said where none is, and what flips."""

import csv
import json

import jax
import numpy as np
import pytest
from click.testing import CliRunner

from bayescale import models, noise, plot_of_checks
from bayescale.check import compared
from bayescale.check.as_data import load_check
from bayescale.check.compare import compare, names_of
from bayescale.check.compared import Comparison
from bayescale.check.loo import Predictive
from bayescale.check.ranking import Candidate, Ranking
from bayescale.cli import main
from bayescale.infer.bridge import Estimate
from bayescale.infer.evidence import Evidence
from bayescale.model import Model
from bayescale.pooling import Effect, Pooling
from bayescale.runs import Runs


def simulated(rng, slope, count=32):
    compute = np.exp(rng.uniform(np.log(1e18), np.log(1e22), count))
    loss = (1.8 + slope * (compute / 1e20) ** -0.15) * np.exp(0.01 * rng.standard_normal(count))
    return Runs.make({"C": compute, "loss": loss}, response="loss")


def model(name, scatter=noise.log_normal):
    law = models.load(name)
    return Model(law.along("C") if "x" in law.covariates else law, scatter, effects=())


class Converged:
    """A fit that has converged, for evidence made by hand."""

    trouble = ()
    method = "by hand"


@pytest.fixture(autouse=True)
def _nothing_to_say_of_fits_by_hand(monkeypatch):
    of = compared.findings_of_fit
    monkeypatch.setattr(
        compared, "findings_of_fit", lambda fit: () if isinstance(fit, Converged) else of(fit)
    )


def comparison(*candidates, null="null", **support):
    return Comparison(Ranking(candidates), null, {name: Ranking(others) for name, others in support.items()})


def candidate(name, value, error=0.01, off=0.0, predictive=None, **sensitivity):
    blocks = {
        (block,): tuple(Estimate(c, 0.0, 1.0) for c in changes) for block, changes in sensitivity.items()
    }
    estimates = Estimate(value, error, 1e3), Estimate(value + off, error, 1e3)
    return Candidate(
        name, Evidence(Converged(), *estimates, 0.1, value, {}, blocks), None, 3, predictive or {}
    )


# ---- By hand: what is said of evidences


def test_nothing_is_the_best_by_less_than_a_factor_of_three_or_than_its_error():
    def best(*candidates):
        return Ranking(candidates).best

    assert best(candidate("a", 5.0), candidate("b", 4.0), candidate("c", 1.0)) == ("a", "b")
    assert best(candidate("a", 5.0), candidate("b", 3.0)) == ("a",)
    assert best(candidate("a", 5.0, 1.0), candidate("b", 3.0, 1.0)) == ("a", "b")


def test_probabilities_are_those_of_bayes_rule():
    found = comparison(candidate("a", np.log(6)), candidate("b", np.log(3)), candidate("c", 0.0), null="c")
    assert found.probabilities == pytest.approx({"a": 0.6, "b": 0.3, "c": 0.1})
    assert found.log_bayes_factor("a", "b")[0] == pytest.approx(np.log(2))
    assert found.log_bayes_factor("a", "b")[1] == pytest.approx(0.01)


def test_without_agreement_there_is_no_bayes_factor_and_no_verdict():
    found = comparison(candidate("a", 9.0, off=0.5), candidate("b", 3.0), null="b")
    assert found.probabilities == {}
    assert found.verdict.startswith("No verdict: a: bridge sampling says 9.000")
    assert [(f.code, f.severity) for f in found.findings] == [("EVIDENCE", "severe")]
    with pytest.raises(ValueError, match="there is no Bayes factor of a and b"):
        found.log_bayes_factor("a", "b")


def test_doubt_about_one_that_is_far_behind_costs_its_own_bayes_factors_only():
    found = comparison(
        candidate("a", 60.0), candidate("b", 50.0), candidate("far", 20.0, off=0.5), candidate("null", 0.0)
    )
    assert set(found.probabilities) == {"a", "b", "null"}
    assert found.verdict.startswith("A law, by all runs: a (probability above 0.99), 10.0 nats")
    (only,) = found.findings
    assert (only.code, only.severity) == ("EVIDENCE", "note")
    assert "far: bridge sampling says 20.000" in only.message
    assert "too far behind for that to matter" in only.message
    with pytest.raises(ValueError, match="there is no Bayes factor of a and far"):
        found.log_bayes_factor("a", "far")
    near = comparison(candidate("a", 25.0), candidate("far", 20.0, off=0.5), candidate("null", 0.0))
    assert near.probabilities == {}
    # Where its estimates are 5 nats apart, 40 behind are not enough either.
    wild = comparison(candidate("a", 60.0), candidate("far", 20.0, off=5.0), candidate("null", 0.0))
    assert wild.probabilities == {}
    broken = comparison(candidate("a", 60.0), candidate("far", np.nan), candidate("null", 0.0))
    assert broken.probabilities == {}


def test_a_conclusion_that_flips_is_found_and_taken_back():
    three = (candidate("a", 9.0), candidate("b", 3.0), candidate("null", 0.0))
    found = comparison(*three, x=(candidate("b", 4.0), candidate("a", 1.0)))
    assert [f.code for f in found.findings] == ["SUPPORT"]
    assert (
        found.verdict == "Inconsistent: a (probability above 0.99) by all runs, but not by the middle of them"
    )
    weak = comparison(*three, x=(candidate("b", 4.0), candidate("a", 3.5)))
    assert [(f.code, f.severity) for f in weak.findings] == [("SUPPORT_WEAK", "note")]
    assert weak.verdict.startswith("A consistent law: a")
    same = comparison(*three, x=(candidate("a", 6.0), candidate("b", 1.0)))
    assert same.findings == ()
    assert same.verdict.startswith(
        "A consistent law: a (probability above 0.99), 6.0 nats (error 0.01) before b"
    )
    unknown = comparison(*three, x=(candidate("a", 6.0), candidate("b", 5.0, off=0.5)))
    assert [f.code for f in unknown.findings] == ["SUPPORT_UNKNOWN"]


def test_one_candidate_alone_is_no_crash():
    found = comparison(candidate("null", 1.0), x=(candidate("null", 0.5),))
    assert found.findings == ()
    assert found.verdict == "No evidence of a law: null has the probability above 0.99"


def test_a_lead_that_hangs_on_a_prior_is_found():
    found = comparison(candidate("a", 9.0, k=(-8.0, 0.1)), candidate("b", 3.0))
    (only,) = found.findings
    assert only.code == "PRIOR_SENSITIVE"
    assert "the scale of the prior of k halved, b overtakes a" in only.message
    assert only.number == pytest.approx(-2.0)


def test_where_the_null_is_not_beaten_there_is_no_law():
    found = comparison(candidate("a", 1.0), candidate("null", 0.5))
    assert found.verdict == "No evidence of a law: null has the probability 0.38"


def test_a_law_with_the_evidence_that_predicts_worse_is_found():
    def run(*values):
        return {"run": Predictive("run", np.array(values), np.zeros(len(values)))}

    ahead, behind = run(1.0, 2.0, 1.5, 1.2, 1.0, 1.0), run(0.0, 1.1, 0.4, 0.0, 0.0, 0.0)
    found = comparison(
        candidate("a", 9.0, predictive=behind), candidate("b", 3.0, predictive=ahead), null="c"
    )
    (only,) = found.findings
    assert only.code == "PREDICTS_WORSE"
    assert only.number == pytest.approx(6.2)
    assert "a has the evidence, but b predicts one run left out better, by 6.2 nats" in only.message
    assert found.stacking["b"] == pytest.approx(1.0, abs=1e-6)
    assert found.verdict.startswith(
        "Inconsistent: a (probability above 0.99) by the evidence, but another predicts better"
    )
    few = {unit: Predictive(unit, one.pointwise[:4], one.pareto_k[:4]) for unit, one in ahead.items()}
    less = {unit: Predictive(unit, one.pointwise[:4], one.pareto_k[:4]) for unit, one in behind.items()}
    told = comparison(candidate("a", 9.0, predictive=less), candidate("b", 3.0, predictive=few), null="c")
    assert told.findings == ()
    doubt = {"run": Predictive("run", ahead["run"].pointwise, np.full(6, 0.9))}
    told = comparison(candidate("a", 9.0, predictive=behind), candidate("b", 3.0, predictive=doubt), null="c")
    assert [one.code for one in told.findings] == ["LEFT_OUT_DOUBTFUL"]
    assert told.stacking == {"a": 1.0}
    with pytest.raises(ValueError, match="weights is 'evidnce'; it is one of evidence, stacking"):
        told.predict(jax.random.key(0), {"C": [1e20]}, weights="evidnce")


def test_names_say_what_models_do_not_have_in_common():
    chinchilla, power = models.load("chinchilla"), models.load("power").along("C")
    first = Model(chinchilla, noise.log_normal, effects=())
    assert names_of([first, Model(power, noise.log_normal, effects=())]) == ["chinchilla", "power in C"]
    assert names_of([first, first.replace(noise=noise.student_t)]) == [
        "chinchilla, log_normal noise",
        "chinchilla, student_t noise",
    ]
    pooled = first.replace(pooling=[Pooling(("E",), "corpus")], effects=[Effect("size")])
    assert names_of([first, pooled])[1] == "chinchilla, E varies by corpus, effect of size"


# ---- Whole comparisons


def test_a_law_is_found_where_there_is_one():
    found = compare(
        jax.random.key(0),
        simulated(np.random.default_rng(0), 0.9),
        [model("power_floor"), model("power")],
    )
    assert set(found.support) == {"10% of the runs at either end of C"}
    assert found.best[0] == "power_floor in C"
    assert found.null == "constant"
    assert found["constant"].evidence.value < found["power_floor in C"].evidence.value - 10
    one = found["power_floor in C"]
    assert one.bic == pytest.approx(one.aic + 4 * (np.log(32) - 2))
    assert set(one.predictive) == {"run", "future"}
    assert one.predictive["run"].less(found["constant"].predictive["run"])[0] > 10
    assert found.stacking["constant"] < 0.01
    assert sum(found.stacking.values()) == pytest.approx(1.0)
    # Mixed, the predictions are those of the candidates by their weights.
    point, key = {"C": [1e23]}, jax.random.key(1)
    mixed = found.predict(key, point)
    own = {name: found[name].evidence.fit.predict(point).mean() for name in found.probabilities}
    wanted = sum(found.probabilities[name] * mean for name, mean in own.items())
    assert mixed.shape == (4000, 1)
    assert mixed.mean() == pytest.approx(wanted, abs=4 * mixed.std() / np.sqrt(1000))
    stacked = found.predict(key, point, weights="stacking", kind="new_run")
    assert np.isfinite(stacked).all()
    drawn = plot_of_checks.comparison(found)
    assert len(drawn.axes) == 3


def test_no_law_is_found_where_there_is_none():
    """An exponent of 0 has no share of the prior of `power`: in 20 such tables the constant led by 18 nats or more."""
    found = compare(
        jax.random.key(0),
        simulated(np.random.default_rng(1), 0.0),
        [model("power")],
        support={},
        predictive=False,
    )
    assert found.best == ("constant",)
    assert found.verdict == "No evidence of a law: constant has the probability above 0.99"
    assert found.stacking == {}
    with pytest.raises(ValueError, match="there are no weights by stacking: no run was left out"):
        found.predict(jax.random.key(0), {"C": [1e22]}, weights="stacking")


@pytest.mark.slow
def test_the_chinchilla_points_speak_for_a_coupled_law_by_their_extremes_only(shared_data):
    """The reference finds by BIC: coupled before chinchilla by 17.4, and the other way round for 3 < D/N < 100.

    That of `python benchmarks/laws.py --flip` is held to the same by `test_benchmarks`.
    """
    runs = Runs.read(shared_data / "loss_besiroglu2024_chinchilla.csv", where="in_fit_subset = 1")
    laws = [Model(models.load(name), noise.student_t, effects=()) for name in ("chinchilla", "coupled")]
    found = compare(jax.random.key(0), runs, laws, support={"D/N": 0.1}, predictive=False)
    assert found.trouble == ()
    in_logs = 2 * np.log(runs.response).sum()
    assert found["coupled"].bic - in_logs == pytest.approx(-1755.8, abs=0.6)
    assert found["chinchilla"].bic - in_logs == pytest.approx(-1738.4, abs=0.6)
    assert found.best == ("coupled",)
    (flip,) = (one for one in found.findings if one.code == "SUPPORT")
    assert "without 10% of the runs at either end of D/N they speak for chinchilla" in flip.message
    assert found.verdict.startswith("Inconsistent: coupled")
    for one in found.candidates:
        assert abs(one.evidence.bridge.value - one.evidence.importance.value) < 0.05


def test_what_cannot_be_compared_is_refused():
    runs = simulated(np.random.default_rng(0), 0.9)
    with pytest.raises(ValueError, match="there is no model to compare"):
        compare(jax.random.key(0), runs, [])
    with pytest.raises(ValueError, match="two models are power in C; leave one of them out"):
        compare(jax.random.key(0), runs, [model("power"), model("power")])
    with pytest.raises(ValueError, match="chinchilla needs the column N"):
        compare(jax.random.key(0), runs, [model("chinchilla")])


def test_the_command_line_compares(tmp_path):
    runs = simulated(np.random.default_rng(0), 0.9)
    path = tmp_path / "runs.csv"
    rows = [f"{c},{loss}" for c, loss in zip(runs.columns["C"], runs.response, strict=True)]
    path.write_text("\n".join(["C,loss", *rows]))
    given = [
        "compare",
        str(path),
        "--law",
        "power_floor",
        "--along",
        "C",
        "--noise",
        "log_normal",
        "--no-support",
        "--figure",
        str(tmp_path / "which.png"),
        "--csv",
        str(tmp_path / "models.csv"),
        "-o",
        str(tmp_path / "comparison.json"),
    ]
    plain = CliRunner().invoke(main, given, catch_exceptions=False)
    assert plain.exit_code == 0, plain.output
    assert "A law, by all runs: power_floor in C" in plain.output
    assert "stacking weight" in plain.output
    assert (tmp_path / "which.png").stat().st_size > 10_000
    told = json.loads(CliRunner().invoke(main, [*given, "--json"], catch_exceptions=False).stdout)
    assert [one["model"] for one in told["models"]] == ["power_floor in C", "constant"]
    assert told["models"][0]["priors"]["alpha"].startswith("LogNormal(")
    assert told["models"][0]["prior_sensitivity"].keys() >= {"E", "alpha"}
    assert told["models"][1]["left_out"]["run"]["behind"] > 10
    assert told["models"][1]["left_out"]["future"]["of"] == "the largest runs from the small ones"
    assert load_check(tmp_path / "comparison.json", "comparison") == told
    assert f"what was found is in {tmp_path / 'comparison.json'}" in plain.output
    with (tmp_path / "models.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["model"] for row in rows] == ["power_floor in C", "constant"]
    assert float(rows[1]["left_out.run.behind"]) == told["models"][1]["left_out"]["run"]["behind"]
    assert rows[0]["trouble"] == ""
    assert not [name for name in rows[0] if name.startswith("prior")]
    missing = CliRunner().invoke(main, ["compare", str(path), "--law", "nothing"])
    assert missing.exit_code == 2
    assert "there is no law 'nothing'" in missing.output
