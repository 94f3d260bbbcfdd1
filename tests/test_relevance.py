"""Covariates that do not matter, that do, and that stand for others."""

import csv
import json
from types import SimpleNamespace

import jax
import numpy as np
import numpyro.distributions as dist
import pytest
from click.testing import CliRunner

from bayescale import models, noise
from bayescale.check.relevance import relevance, tracked
from bayescale.cli import main
from bayescale.law import irrelevant
from bayescale.model import Model
from bayescale.runs import Runs

LAW = models.load("power_floor").along("C")
MODEL = Model(LAW, noise.log_normal, effects=())
PER_DECADE = dist.Normal(0.0, 0.05 / np.log(10))  # of an exponent: 5% of the loss for each decade


def study(seed, effect=0.0, follows=False):
    """32 runs whose loss is a function of compute, with as many GPUs as it happened."""
    rng = np.random.default_rng(seed)
    decades = rng.uniform(18, 22, 32)
    gpus = np.exp2(np.round(rng.uniform(3, 10, 32)))
    if follows:
        gpus = np.exp2(np.round(3 + 1.7 * (decades - 18) + 0.1 * rng.standard_normal(32)))
    loss = (1.8 + 0.9 * 10 ** (-0.15 * (decades - 20))) * np.exp(0.01 * rng.standard_normal(32))
    loss *= np.exp(effect * np.log10(gpus))
    columns = {"C": 10**decades, "gpus": gpus, "loss": loss}
    return Runs.make(columns, response="loss")


def test_the_number_of_gpus_does_not_matter_at_fixed_compute():
    found = relevance(jax.random.key(0), MODEL, study(0), "gpus")
    assert found.findings == ()
    lead, error = found.log_bayes_factor
    assert lead < -np.log(3)
    assert error < 0.05
    assert found.verdict.startswith("gpus does not matter: probability 0.0")
    low, _, high = found.gamma
    assert low < 0 < high


def test_the_command_line_asks_whether_a_covariate_matters(tmp_path):
    runs = study(0)
    path = tmp_path / "runs.csv"
    rows = zip(runs.columns["C"], runs.columns["gpus"], runs.response, strict=True)
    path.write_text("\n".join(["C,gpus,loss", *(f"{c},{g},{loss}" for c, g, loss in rows)]))
    given = ["relevance", str(path), "gpus", "--law", "power_floor", "--along", "C", "--noise", "log_normal"]
    plain = CliRunner().invoke(main, [*given, "--effect", "none", "--draws", "500"], catch_exceptions=False)
    assert plain.exit_code == 0, plain.output
    assert "gpus does not matter: probability 0.0" in plain.output
    kept = ["--csv", str(tmp_path / "told.csv")]
    told = CliRunner().invoke(main, [*given, "--json", "--draws", "500", *kept], catch_exceptions=False)
    found = json.loads(told.output)
    with (tmp_path / "told.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert float(row["exponent.q95"]) == found["exponent"]["q95"]
    assert float(row["within.log_evidence"]) == found["within"]["log_evidence"]
    assert row["verdict"] == found["verdict"]
    assert found["log_bayes_factor"]["value"] < -np.log(3)
    assert found["exponent"]["q5"] < 0 < found["exponent"]["q95"]
    missing = CliRunner().invoke(main, [*given[:2], "watts", *given[3:]])
    assert missing.exit_code == 2
    assert "power_floor needs the column watts" in missing.output.replace("power_floor_watts", "power_floor")
    two = CliRunner().invoke(main, [*given, "--law", "power"])
    assert two.exit_code == 2
    assert "give --law and --noise once" in two.output


def test_where_it_matters_that_is_found():
    found = relevance(jax.random.key(0), MODEL, study(1, effect=0.02), "gpus")
    assert found.log_bayes_factor[0] > np.log(3)
    assert found.verdict.startswith("gpus matters")
    low, _, high = found.gamma
    assert low < 0.02 / np.log(10) < high


def test_a_covariate_that_follows_the_one_of_the_law_gets_no_verdict():
    found = relevance(jax.random.key(0), MODEL, study(2, follows=True), "gpus")
    assert found.findings[0].code == "CONFOUNDED"
    assert "gpus hardly moves but with C" in found.findings[0].message
    assert found.verdict.startswith("No verdict on gpus")
    with pytest.raises(ValueError, match="there is no Bayes factor for gpus"):
        _ = found.log_bayes_factor


def test_a_covariate_that_follows_one_left_out_gets_no_verdict():
    constant = Model(models.load("constant"), noise.log_normal, effects=())
    found = relevance(jax.random.key(0), constant, study(3, follows=True), "gpus")
    assert [one.code for one in found.findings] == ["CONFOUNDED"]
    assert "gpus moves with C, which the law leaves out" in found.findings[0].message


def test_what_is_tracked_is_a_partial_correlation():
    rng = np.random.default_rng(0)
    a, b, c = rng.normal(size=(3, 200))
    columns = {"C": a, "gpus": a + b, "watts": b + 0.2 * c, "hours": a + 0.2 * c}
    runs = Runs.make(
        {name: 1e6 * np.exp(v) for name, v in columns.items()} | {"loss": np.full(200, 2.0)}, response="loss"
    )
    own, found = tracked(runs, ("C",), "gpus")
    assert list(found) == ["watts"]

    def left(v):
        return v - np.polyval(np.polyfit(a, v, 1), a)

    known = np.corrcoef(left(a + b), left(b + 0.2 * c))[0, 1]
    assert found["watts"] == pytest.approx(known, rel=1e-9)
    assert own == pytest.approx(np.var(left(a + b)) / np.var(a + b), rel=1e-9)


@pytest.mark.slow
def test_the_study_of_the_number_of_gpus(benchmark):
    """400 tables each; and the trap of compute left out."""
    module = benchmark("relevance")
    without, within = (module.study(400, effect) for effect in (0.0, module.EFFECT))
    against = -np.array(without["log_bayes_factors"])
    print(
        f"median ln BF01 {np.median(against):.2f}; at least .5 in {np.mean(against >= 0.5):.1%} of {len(against)}"
    )
    assert len(against) > 390, without["refused"]
    assert 2.4 < np.median(against) < 3.3
    assert np.mean(against >= 0.5) >= 0.9
    decided = np.array(within["log_bayes_factors"]) > np.log(3)
    print(f"with an effect of .02 a decade BF10 is above 3 in {np.mean(decided):.1%} of {len(decided)}")
    assert np.mean(decided) >= 0.99
    assert module.caught(400) >= 0.95


def test_the_study_asks_what_relevance_asks(benchmark, monkeypatch):
    """The same keys, models, tables and draws for both, so that it finds the same."""
    asked, key_of = [], jax.random.key_data

    def believed(law):
        return {name: [float(prior.log_prob(at)) for at in (0.1, 0.5)] for name, prior in law.priors.items()}

    def draw(key, model, runs, **options):
        of = model.law.covariates, model.noise, model.pooling, model.effects
        asked.append(("nuts", key_of(key).tolist(), of, runs.response.tobytes(), options))
        assert model.law(relative, draws) == laws[model.law.covariates](relative, draws)
        assert believed(model.law) == believed(laws[model.law.covariates])
        return SimpleNamespace(model=model)

    def integrate(key, fit):
        asked.append(("evidence", key_of(key).tolist(), fit.model.law.covariates))
        return fit

    more = irrelevant(LAW, "gpus").replace(priors={"gamma_gpus": PER_DECADE})
    laws = {law.covariates: law for law in (LAW, more)}
    relative = {"C": 3.0, "gpus": 2.0}
    draws = {"E": 0.7, "A": 0.3, "alpha": 0.15, "gamma_gpus": 0.01}
    for place in ("bayescale.infer", "bayescale.check.relevance"):
        nuts, evidence = (".nuts", ".evidence") if place == "bayescale.infer" else ("", "")
        monkeypatch.setattr(f"{place}{nuts}.nuts", draw)
        monkeypatch.setattr(f"{place}{evidence}.log_evidence", integrate)
    module = benchmark("relevance")
    ours, theirs = study(0), module.simulate(0)
    assert ours.response.tobytes() == theirs.response.tobytes()
    assert ours.columns["gpus"].tobytes() == theirs.columns["gpus"].tobytes()
    found = module.measure(0, 0.0)
    known = relevance(jax.random.key(0), MODEL, ours, "gpus", prior=PER_DECADE, draws=module.DRAWS)
    assert len(asked) == 8
    assert asked[:4] == asked[4:]
    assert found.own == known.own
    assert found.tracked == known.tracked
