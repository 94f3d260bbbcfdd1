"""Simulated tables: designs as they are planned, losses of the law that was said, and faults that were asked for."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from bayescale import data, models
from bayescale.check.designs import DESIGNS, columns_of, suite
from bayescale.check.simulate import simulate
from bayescale.cli import main
from bayescale.law import AXIS
from bayescale.runs import Runs

CHINCHILLA = models.load("chinchilla")
TRUTH = {"E": 1.82, "A": 482.0, "B": 2085.0, "alpha": 0.348, "beta": 0.366}


def loss(N, D):
    return 1.82 + 482.0 * N**-0.348 + 2085.0 * D**-0.366


@pytest.mark.parametrize("name", DESIGNS)
def test_designs_stay_in_their_range_of_compute(name):
    found = columns_of(name, np.random.default_rng(0), ("N", "D"), runs=60, decades=(19.0, 22.0))
    assert found["C"] == pytest.approx(6 * found["N"] * found["D"])
    assert 55 <= len(found["N"]) <= 65
    most = 10**22 * (1.001 if name != "overtrained" else 32.01)  # up to 32 times as many tokens
    assert found["C"].max() <= most
    assert found["C"].min() >= 0.19 * 10**19  # the first checkpoint of a run


def test_each_design_is_what_it_is_called():
    made = {name: columns_of(name, np.random.default_rng(0), ("N", "D"), runs=40) for name in DESIGNS}
    assert len(np.unique(made["isoflop"]["budget"])) == 6
    for name in ("ladder", "ray"):
        assert made[name]["D"] / made[name]["N"] == pytest.approx(20)
    assert len(np.unique(made["ladder"]["N"])) == 20
    assert len(np.unique(made["ray"]["N"])) == 40
    assert np.ptp(np.log10(made["random"]["D"] / made["random"]["N"])) > 1.5
    assert (made["overtrained"]["D"] / made["overtrained"]["N"]).max() == pytest.approx(640)
    assert len(set(made["checkpoints"]["run"])) == 8


@pytest.mark.parametrize("name", models.names())
def test_every_law_has_the_columns_that_it_needs(name):
    law = models.load(name)
    law = law.along("C") if AXIS in law.covariates else law
    found = columns_of("random", np.random.default_rng(0), law.covariates, runs=30)
    assert set(law.covariates) <= set(found)
    for c, (low, high) in law.absolute.items():
        assert ((found[c] >= low) & (found[c] <= high)).all(), c


def test_losses_are_those_of_the_law_with_the_noise_that_was_said():
    made = simulate(1, CHINCHILLA, truth=TRUTH, runs=400, design="random", sigma=0.01)
    z = np.log(made.columns["loss"] / loss(made.columns["N"], made.columns["D"])) / 0.01
    assert abs(z.mean()) < 4 / 20
    assert z.std() == pytest.approx(1, abs=4 / np.sqrt(800))
    assert made.truth["parameters"] == TRUTH
    Runs.make(made.columns, response="loss")  # a table that can be read


def test_faults_are_planted_where_they_are_asked_for():
    asked = {"truth": TRUTH, "design": "ladder", "runs": 20, "sigma": 1e-9}
    clean = simulate(0, CHINCHILLA, **asked).columns["loss"]
    worse = simulate(0, CHINCHILLA, undertuned=0.02, **asked)
    off = np.flatnonzero(~np.isclose(worse.columns["loss"], clean, rtol=1e-6))
    assert len(off) == 2  # one rung, both seeds
    assert worse.columns["loss"][off] / clean[off] == pytest.approx(1.02, rel=1e-6)
    assert worse.truth["undertuned"]["N"] == pytest.approx(worse.columns["N"][off[0]], rel=1e-2)
    rounded = simulate(0, CHINCHILLA, digits=2, **asked).columns["loss"]
    assert rounded == pytest.approx(np.round(clean, 2))
    shocked = np.log(simulate(0, CHINCHILLA, shock=0.01, **asked).columns["loss"] / clean).reshape(-1, 2)
    assert shocked[:, 0] == pytest.approx(shocked[:, 1], abs=1e-7)
    assert 0.004 < shocked[:, 0].std() < 0.02
    rough = {**asked, "sigma": 0.01, "runs": 2000, "design": "random"}
    wide = simulate(0, CHINCHILLA, wider=-0.5, **rough)
    z = np.abs(np.log(wide.columns["loss"] / loss(wide.columns["N"], wide.columns["D"])))
    few = wide.columns["D"] / wide.columns["N"] < 20
    assert z[few].mean() > 2 * z[~few].mean()
    tails = simulate(0, CHINCHILLA, noise="student_t", nu=2.0, **rough)
    z = np.abs(np.log(tails.columns["loss"] / loss(tails.columns["N"], tails.columns["D"]))) / 0.01
    assert z.max() > 8


def test_a_break_halves_the_exponent_beyond_it_and_only_there():
    form = models.load("power_floor").along("C")
    truth = {"E": 1.7, "A": 60.0, "alpha": 0.1}
    asked = {"truth": truth, "design": "ladder", "runs": 20, "sigma": 1e-9, "ahead": 4}
    plain, bent = simulate(0, form, **asked), simulate(0, form, bent=1e21, **asked)
    assert bent.columns["loss"] == pytest.approx(plain.columns["loss"], rel=1e-6)  # all below 1e21
    C = bent.ahead["C"]
    assert C.max() == pytest.approx(10**22.5)
    assert (C > 1e21).all()
    edge = 60.0 * 1e21**-0.1
    assert bent.ahead["loss"] == pytest.approx(1.7 + edge * (C / 1e21) ** -0.05, rel=1e-6)


@pytest.mark.parametrize("name", ["chinchilla", "data_constrained", "routed", "kaplan"])
def test_a_truth_from_the_priors_and_the_same_again(name):
    one, two = (simulate(3, models.load(name), runs=30) for _ in range(2))
    assert one.truth == two.truth
    assert one.truth["drawn_from_priors"]
    assert np.array_equal(one.columns["loss"], two.columns["loss"])
    assert set(models.load(name).covariates) <= set(one.columns)


def test_a_suite_has_the_overlap_that_was_asked_for():
    """Of 60 families of 20: the share of variance between families, whose error is some .04."""
    asked = {"tasks": 1200, "families": 60, "models": 2, "attempts": 1}
    for overlap in (0.0, 0.5, 1.0):
        rows, truth = suite(np.random.default_rng(0), overlap=overlap, **asked)
        threshold, family = truth["threshold"], np.arange(1200) % 60
        means = np.array([threshold[family == k].mean() for k in range(60)])
        within = np.mean([threshold[family == k].var(ddof=1) for k in range(60)])
        between = means.var(ddof=1) - within / 20
        assert between / (between + within) == pytest.approx(overlap, abs=0.12)
        assert len(rows["task"]) == 2400
        assert len(set(rows["family"])) == 60


def test_successes_follow_compute():
    rows, _ = suite(np.random.default_rng(0), tasks=400, models=5, attempts=10, spread=0.01, slope=3.0)
    share = (rows["successes"] / rows["trials"]).reshape(5, 400).mean(axis=1)
    assert share == pytest.approx(1 / (1 + np.exp(-3.0 * (np.linspace(19, 23, 5) - 22))), abs=0.03)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"noise": "huber"}, "noise is 'huber'; it is one of log_normal, student_t, gaussian"),
        ({"design": "spiral"}, "there is no design 'spiral'; there are isoflop, ladder"),
        ({"runs": 2}, "runs is 2; a design has 3 or more"),
        ({"decades": (21.0, 20.0)}, "the first is less than the second"),
        ({"sigma": 0.0}, "sigma and nu are positive"),
        ({"undertuned": float("nan")}, "are finite numbers"),
        ({"wider": float("inf")}, "are finite numbers"),
        ({"truth": {"E": 1.0}}, "A is missing; law chinchilla has E, A, B, alpha, beta"),
        ({"truth": {**TRUTH, "E": -9.0}}, "losses that are not positive numbers"),
    ],
)
def test_what_makes_no_sense_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        simulate(0, CHINCHILLA, **given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"overlap": 1.5}, "overlap is 1.5; it is between 0"),
        ({"tasks": 0}, "tasks is 0; it is 1 or more"),
        ({"slope": -1.0}, "slope is positive"),
        ({"shock": float("nan")}, "all are finite"),
    ],
)
def test_a_suite_that_makes_no_sense_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        suite(np.random.default_rng(0), **given)


def test_from_the_command_line(tmp_path):
    file = tmp_path / "runs.csv"
    said = ",".join(f"{name}={value}" for name, value in TRUTH.items())
    asked = ["simulate", "runs", "--law", "chinchilla", "--truth", said, "--break-at", "1e21", "--ahead", "3"]
    done = CliRunner().invoke(main, [*asked, "-o", str(file)])
    assert done.exit_code == 0, done.output
    runs = Runs.read(file)
    assert len(runs) == 42
    assert len(Runs.read(tmp_path / "runs.ahead.csv")) == 3
    truth = json.loads((tmp_path / "runs.truth.json").read_text())
    assert truth["parameters"] == TRUTH
    assert truth["bent_beyond"] == 1e21
    named = [*asked[:4], "--truth", "besiroglu2024", "-o", str(file)]
    assert CliRunner().invoke(main, named).exit_code == 0
    truth = json.loads((tmp_path / "runs.truth.json").read_text())
    assert truth["parameters"] == data.constants("besiroglu2024", CHINCHILLA)
    suite_file = tmp_path / "evals.csv"
    done = CliRunner().invoke(main, ["simulate", "suite", "--tasks", "10", "-o", str(suite_file), "--json"])
    assert done.exit_code == 0, done.output
    assert len(json.loads(done.output)["truth"]["threshold"]) == 10
    assert Runs.read(suite_file).kind == "success"


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (["runs", "--law", "logistic", "--along", "C", "-o", "x.csv"], "law logistic is of success"),
        (["runs", "--law", "power", "-o", "x.csv"], "say which column, as --along C"),
        (["runs", "--law", "chinchilla", "-o", "no/x.csv"], "there is no folder"),
        (["runs", "--law", "chinchilla", "-o", "x.txt"], "a table is written as .csv"),
        (["runs", "--law", "chinchilla", "--undertuned", "nan", "-o", "x.csv"], "are finite numbers"),
        (["runs", "--law", "chinchilla", "--break-at", "far", "-o", "x.csv"], "--break-at is 'far'"),
        (
            ["runs", "--law", "chinchilla", "--truth", "E", "-o", "x.csv"],
            "no published fit 'E' of law chinchilla",
        ),
        (["runs", "--law", "chinchilla", "--truth", "E=", "-o", "x.csv"], "--truth is 'E='; write it as"),
    ],
)
def test_what_makes_no_sense_on_the_command_line_is_refused(asked, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, ["simulate", *asked])
    assert done.exit_code == 2
    assert message in done.output
    assert list(tmp_path.iterdir()) == []
