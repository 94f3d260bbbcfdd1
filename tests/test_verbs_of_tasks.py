"""The verb tasks: what it says of an assessment made by hand, its figures, its section; and once all of it."""

import json
import re
from dataclasses import replace

import matplotlib.pyplot
import numpy as np
import pytest
from click.testing import CliRunner

from bayescale import models, noise, plot_of_tasks
from bayescale.check.backtested import Backtest, measured
from bayescale.check.folds import Fold
from bayescale.check.forecasts import Forecasts
from bayescale.check.scores import PROBABILITIES
from bayescale.cli import main
from bayescale.fit import Fit
from bayescale.model import Model
from bayescale.page import of_tasks
from bayescale.pooling import Pooling
from bayescale.runs import Runs
from bayescale.tasks.assess import Assessment, assess_suite, grouped
from bayescale.tasks.backtest import SuiteBacktest
from bayescale.tasks.companions import companions
from bayescale.tasks.forecast import SuiteForecast
from bayescale.tasks.overlap import overlap, overlap_budget
from bayescale.tasks.plateau import Plateau
from bayescale.tasks.series import suite_scores
from bayescale.tasks.suite_folds import Suite
from bayescale.tasks.verdict import KINDS, Verdict
from bayescale.verbs_of_tasks import drawn
from bayescale.words_of_tasks import described

TASKS, MODELS, KNOWN = 6, 12, 9
RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def runs():
    model, task = (a.ravel() for a in np.meshgrid(np.arange(MODELS), np.arange(TASKS), indexing="ij"))
    p = 1 / (1 + np.exp(-1.5 * (model / 3 - 2 + task / 4)))
    return Runs.make(
        {
            "C": 10.0 ** (19 + model / 3),
            "successes": RNG.binomial(30, p).astype(float),
            "trials": np.full(len(model), 30.0),
            "model": [f"m{i}" for i in model],
            "lab": ["ab"[i % 2] for i in model],
            "task": [f"t{i}" for i in task],
            "kin": [f"f{i // 2}" for i in task],
            "odd": [f"{(i + j) % 3}" for i, j in zip(model, task, strict=True)],
        },
        factors=["model", "lab", "task", "kin", "odd"],
    )


@pytest.fixture(scope="module")
def fit(runs):
    pooling = (Pooling(("threshold", "slope"), "task"), Pooling(("threshold",), "model"))
    chance = runs.replace(
        columns={**runs.columns, "chance": np.zeros(len(runs))},
        reference={**runs.reference, "chance": np.nan},
    )
    model = Model(models.load("logistic_chance").along("C"), noise.binomial, pooling, ())
    draws = {
        "threshold": np.full((1, 50), 2.0),
        "slope": np.full((1, 50), 1.5),
        "lapse": np.full((1, 50), 0.05),
    }
    for by, names in model.factors.items():
        for name in names:
            draws[name] = 0.5 * RNG.normal(size=(1, 50, len(runs.levels[by])))
            draws[f"{name}_scale"] = np.full((1, 50), 0.5)
    return Fit(model, chance, draws, "map", {"at_bound": [], "mode_converged": True})


@pytest.fixture(scope="module")
def found(runs, fit):
    scores = suite_scores(runs)
    index, mask = np.arange(KNOWN, MODELS), np.arange(MODELS) < KNOWN
    compute = np.asarray(scores.columns["C"])
    middle = np.clip(measured(scores)[index] + 0.02, 0, 1)
    spread = 0.06 * np.sort(RNG.standard_normal((len(PROBABILITIES), 1)), axis=0)
    quantiles = np.clip(middle + spread, 0, 1)
    fold = Fold("C up to 5e21", mask, ~mask, np.log10(compute / compute[KNOWN - 1]))
    flat = np.full((len(PROBABILITIES), len(index)), measured(scores)[KNOWN - 1])
    one = Forecasts(fold, "logistic", (), (), index, quantiles, np.zeros(len(index)), {"best so far": flat})
    own = {"logistic": 0.9, "by evidence": 0.1}
    tested = SuiteBacktest(Backtest(scores, "C", (one,)), (own,), np.zeros(1), own, 0.0, {}, Suite())
    at = np.geomspace(compute.min(), 10 * compute.max(), 25)
    way = np.clip(np.linspace(0.1, 0.95, 25) + 0.05 * np.sort(RNG.standard_normal((200, 1)), axis=0), 0, 1)
    gap, none = np.maximum(np.log10(at / compute.max()), 0), np.full((3, 25), 0.5)
    ahead = SuiteForecast({"C": at}, way, gap, own, 0.0, False, "best so far", none, ())
    told = {kind: 0.99 if kind == "smooth" else 0.002 for kind in KINDS}
    logs = {kind: float(np.log(p)) for kind, p in told.items()}
    verdict = Verdict("smooth", told, logs, np.array([1.9, 2.4, 3.0]), 0.7, ())
    shared = overlap(
        np.clip(0.8 + 0.1 * RNG.normal(size=(40, 5, 1)) + 0.05 * RNG.normal(size=(40, 5, TASKS)), 0, 1)
    )
    why = ("forecasts beat the best baseline at 1 cutoffs of 1; it takes two",)
    budget = overlap_budget(0.5, 0.05, tasks=TASKS)
    beside = companions(fit)
    return Assessment(
        Suite(),
        scores,
        verdict,
        None,
        shared,
        beside,
        ("t5",),
        budget,
        tested,
        ahead,
        "",
        {},
        True,
        fit,
        False,
        why,
    )


def test_a_plateau_is_told_in_the_sentence(found):
    flat = Plateau((-0.1, 0.1, 0.3), (1.5, 1.7, 1.9), (1.3, 1.6, 1.9))
    assert "plateau: scores have stopped to rise" in replace(found, plateau=flat).sentence
    rising = replace(flat, rise=(0.1, 0.2, 0.3))
    assert "plateau" not in replace(found, plateau=rising).sentence
    said = described(replace(found, plateau=flat))["plateau"]
    assert said["flagged"]
    assert said["rise"] == [-0.1, 0.1, 0.3]


def test_an_approximation_behind_the_overlap_is_told(found):
    stats = {"at_bound": [], "mode_converged": True, "error": 0.2, "narrow": 0.8, "checked": 240}
    stats |= {"errors": {"slope": 0.3}, "widths": {"slope": 0.7}}
    said = replace(found, fit=found.fit.replace(method="svi", stats=stats)).findings
    (one,) = [finding for finding in said if finding.code == "OVERLAP_APPROXIMATE"]
    assert "widths 0.80 of them" in one.message
    assert "20,000 rows" in one.action
    assert "OVERLAP_APPROXIMATE" not in [finding.code for finding in found.findings]


def test_the_sentence(found):
    assert found.sentence.startswith("NOT PREDICTABLE: a smooth law: 2.4 decades (1.9 to 3) from 10% to 90%")
    assert re.search(r"at 4\.64e23 the score is 9\d\.\d% \(", found.sentence)
    assert found.sentence.endswith("it takes two")


def test_what_is_described_is_json_and_makes_a_section(found):
    told = described(found)
    again = json.loads(json.dumps(told, default=str))
    assert again["overlap"]["unresolved"] == ["t5"]
    assert [row["from models"] for row in again["backtest"]] == ["C up to 5e21", "all"]
    assert again["forecast"]["low"] < again["forecast"]["median"] < again["forecast"]["high"]
    (section,) = of_tasks.sections(again)
    assert section["texts"][0] == found.sentence
    assert len(section["tables"]) == 4
    assert section["tables"][1]["rows"][0][0] == "overlap"
    assert of_tasks.sections(None) == []
    with pytest.raises(ValueError, match="this is not what `bayescale tasks --json` prints"):
        of_tasks.sections({"verdict": {}})


def test_figures_are_drawn_without_pyplot(found, runs, tmp_path):
    (tmp_path / "figures").mkdir()
    files = drawn(found, runs, tmp_path / "figures", task="task", model="model")
    assert [file.rpartition("/")[2] for file in files] == [
        "curves.png",
        "thresholds.png",
        "steps.png",
        "reliability.png",
    ]
    assert matplotlib.pyplot.get_fignums() == []


def test_the_curves_hold_every_model_and_the_forecast(found, runs):
    axes = plot_of_tasks.curves(found, runs)
    _, labels = axes.get_legend_handles_labels()
    assert labels == ["single tasks", "forecast of a new model, 90%", "mean"]
    (points,) = [line for line in axes.lines if line.get_label() == "mean"]
    assert np.asarray(points.get_ydata()) == pytest.approx(measured(found.scores))
    assert axes.get_title().startswith("a smooth law")


def test_thresholds_beyond_the_models_stand_apart(fit, runs):
    far = Fit(fit.model, fit.runs, {**fit.draws, "threshold": np.full((1, 50), 1e6)}, "map", fit.stats)
    _, near = plot_of_tasks.thresholds(fit).get_legend_handles_labels()
    _, beyond = plot_of_tasks.thresholds(far).get_legend_handles_labels()
    assert "turns on in the range of the models" in near
    assert "beyond the largest model" in beyond


def test_the_mean_of_tasks_is_the_suite(fit):
    axes = plot_of_tasks.steps(fit)
    (whole,) = [line for line in axes.lines if line.get_label() == "their mean, the suite"]
    single = np.stack([np.asarray(line.get_ydata()) for line in axes.lines if line is not whole])
    assert np.asarray(whole.get_ydata()) == pytest.approx(single[:TASKS].mean(axis=0), abs=1e-9)
    slopes = plot_of_tasks.slopes_of(fit, "task")
    assert slopes.shape == (50, TASKS)
    assert f"a task takes {4.394449 / np.median(np.median(slopes, axis=0)):.2g} decades" in axes.get_title()


def test_reliability_is_how_often_intervals_held(found):
    axes = plot_of_tasks.reliability(found.backtest)
    (whole,) = [line for line in axes.lines if str(line.get_label()).startswith("all ")]
    inside = 2 * np.abs(found.backtest.backtest.pit - 0.5)
    assert np.asarray(whole.get_ydata())[-1] == np.mean(inside <= 0.95)


def test_side_by_side(tmp_path):
    wins = RNG.random((4, 10)) < 0.5
    figure = plot_of_tasks.side_by_side(
        {"a": (10.0 ** np.arange(19, 23), wins, "x", "y"), "b": (10.0 ** np.arange(19, 23), wins, "x", "y")}
    )
    assert len(figure.axes) == 2
    assert figure.axes[1].get_title() == "b: x\ny"


def test_factors_group_tasks_or_models(runs):
    assert grouped(runs, "kin") == "tasks"
    assert grouped(runs, "lab") == "models"
    assert grouped(runs, "odd") is None


def table_in(folder, runs):
    file = folder / "evals.csv"
    names = {
        by: [runs.levels[by][i] for i in runs.factors[by]] for by in ("model", "lab", "task", "kin", "odd")
    }
    columns = {
        "flops": runs.columns["C"],
        "successes": runs.response,
        "trials": runs.columns["trials"],
        **names,
    }
    rows = [",".join(map(str, row)) for row in zip(*columns.values(), strict=True)]
    file.write_text("\n".join([",".join(columns), *rows]) + "\n")
    return str(file)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--family", "odd"], "--family odd: it groups neither the levels of task nor those of model"),
        (["--by", "problem"], "there is no column 'problem' for a factor"),
        (["--save", "nowhere/fit.nc"], "--save nowhere/fit.nc: there is no folder"),
        (["--at", "x"], "--at is 'x'; it is a positive number, such as 7e10 or 70B"),
    ],
)
def test_what_the_verb_refuses(runs, tmp_path, more, message):
    done = CliRunner().invoke(main, ["tasks", table_in(tmp_path, runs), *more])
    assert done.exit_code == 2
    assert message in done.output


@pytest.mark.slow
def test_all_of_it(runs, tmp_path):
    given = [table_in(tmp_path, runs), "--family", "kin", "--cutoffs", "1"]
    kept = [
        "--csv",
        str(tmp_path / "t.csv"),
        "--save",
        str(tmp_path / "items.nc"),
        "--figures",
        str(tmp_path),
    ]
    done = CliRunner().invoke(main, ["tasks", *given, *kept])
    assert done.exit_code == 0, done.output
    assert "PREDICTABLE" in done.output
    assert (tmp_path / "thresholds.png").exists()
    assert (tmp_path / "t.csv").read_text().startswith("from models,")
    drawing = CliRunner().invoke(
        main, ["plot", str(tmp_path / "items.nc"), "--kind", "steps", "-o", str(tmp_path / "s.png")]
    )
    assert drawing.exit_code == 0, drawing.output


@pytest.mark.slow
def test_too_few_models_for_a_back_test_are_told_so(runs):
    few = runs.subset(np.asarray(runs.factors["model"]) < 6)
    import jax

    told = assess_suite(jax.random.key(0), few, overlapping=False)
    assert told.backtest is None
    assert told.untested.startswith("table: no back-test along C is possible with 6 models")
    assert not told.predictable
