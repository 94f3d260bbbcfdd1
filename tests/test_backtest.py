"""Back-tests: which runs are known, that nothing leaks, and what is said of forecasts."""

import csv
import json
from dataclasses import replace
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from click.testing import CliRunner
from scipy.stats import norm

from bayescale import models, noise, plot_of_checks
from bayescale.check.as_data import load_check
from bayescale.check.backtest import _chosen, backtest, of_folds
from bayescale.check.backtested import Backtest
from bayescale.check.folds import Fold, folds
from bayescale.check.forecasts import Forecasts
from bayescale.check.scores import PROBABILITIES
from bayescale.cli import main
from bayescale.infer.many import nuts_each
from bayescale.infer.nuts import nuts
from bayescale.model import Model
from bayescale.pooling import Effect, Pooling
from bayescale.runs import Runs

POWER = Model(models.load("power_floor").along("C"), noise.log_normal, effects=())
SHORT = {"draws": 250, "warmup": 200}


def simulated(seed, count=40, groups=1):
    rng = np.random.default_rng(seed)
    compute = np.exp(rng.uniform(np.log(1e18), np.log(1e22), count))
    group = np.arange(count) % groups
    loss = (2.4 + (0.4 + 0.05 * group) * (compute / 1e19) ** -0.25) * np.exp(
        0.01 * rng.standard_normal(count)
    )
    columns = {"C": compute, "loss": loss, "family": np.array([f"f{g}" for g in group])}
    return Runs.make(columns, response="loss", factors=["family"] if groups > 1 else [])


# ---- Which runs are known


def test_folds_are_every_cutoff_that_leaves_runs_enough_on_both_sides():
    compute = 10.0 ** np.arange(12)
    runs = Runs.make({"C": compute, "loss": np.full(12, 2.0)}, response="loss")
    found = folds(runs, "C", parameters=3)
    assert [fold.known.sum() for fold in found] == [6, 7, 8, 9, 10]
    assert [fold.asked.sum() for fold in found] == [6, 5, 4, 3, 2]
    assert found[0].gap[-1] == pytest.approx(6.0)
    assert [fold.known.sum() for fold in folds(runs, "C", parameters=6)] == [8, 9, 10]
    assert [fold.known.sum() for fold in folds(runs, "C", parameters=3, cutoffs=2)] == [6, 10]
    near = Runs.make({"C": 1.1 ** np.arange(12), "loss": np.full(12, 2.0)}, response="loss")
    # Half as much again is five steps of a tenth.
    assert [(f.known.sum(), f.asked.sum()) for f in folds(near, "C", 3)] == [(6, 2)]


def test_levels_are_left_out_one_after_the_other():
    runs = simulated(0, groups=4)
    found = folds(runs, "family", 3)
    assert [fold.name for fold in found] == [f"without family f{k}" for k in range(4)]
    assert all(fold.asked.sum() == 10 and fold.known.sum() == 30 for fold in found)
    assert np.isnan(found[0].gap).all()


def test_a_table_that_allows_no_fold_is_refused():
    runs = simulated(0, count=7)
    with pytest.raises(ValueError, match="no back-test by C is possible with 7 runs; it takes 6 runs up to"):
        folds(runs, "C", 3)
    with pytest.raises(ValueError, match="there is no column watts to cut by"):
        folds(runs, "watts", 3)
    with pytest.raises(ValueError, match="there is no model to test"):
        backtest(jax.random.key(0), [], runs)
    with pytest.raises(ValueError, match="chinchilla needs the column N"):
        backtest(jax.random.key(0), Model(models.load("chinchilla"), noise.log_normal), simulated(0))


def test_nothing_of_the_runs_that_are_predicted_is_known():
    """Other responses there leave every bit of the fit as it is, and so does what else only they have."""
    runs = simulated(1)
    (fold,) = folds(runs, "C", 3, cutoffs=1)
    loss = np.where(fold.known, runs.response, 0.1 * np.asarray(runs.response))
    compute = np.where(fold.known, runs.columns["C"], 1e3 * np.asarray(runs.columns["C"]))
    other = Runs.make({"C": compute, "loss": loss}, response="loss")
    key = jax.random.key(0)
    first, second = (of_folds(key, POWER, table, [fold], **SHORT)[0] for table in (runs, other))
    for name in first.draws:
        np.testing.assert_array_equal(first.draws[name], second.draws[name])
    np.testing.assert_array_equal(
        np.stack(list(first.parameters().values())), np.stack(list(second.parameters().values()))
    )


def test_a_fold_is_the_fit_of_its_known_runs_alone():
    """The same posterior as that of a table without the other runs: means to 5 of their Monte-Carlo errors."""
    runs = simulated(2)
    (fold,) = folds(runs, "C", 30, cutoffs=1)  # two more runs than that: as many as a table of `test_compare`
    assert fold.known.sum() == 32
    (mine,) = of_folds(jax.random.key(0), POWER, runs, [fold])
    alone = nuts(jax.random.key(1), POWER, runs.subset(fold.known))
    for name in ("E", "A", "alpha"):
        one, other = mine.parameters()[name], alone.parameters()[name]
        assert abs(one.mean() - other.mean()) < 5 * np.hypot(one.std(), other.std()) / np.sqrt(500)


def test_effects_are_chosen_by_the_known_runs():
    compute = np.logspace(18, 22, 30)
    size = np.concatenate([np.repeat([1e8, 2e8, 4e8, 8e8], 3), 1e9 * np.arange(1, 19)])
    columns = {"C": compute, "N": size, "D": compute / (6 * size), "loss": np.linspace(3, 2, 30)}
    runs = Runs.make(columns, response="loss", factors=["size"])
    model = Model(models.load("power").along("C"), noise.log_normal)
    found = {fold.known.sum(): fold.model(model, runs).effects for fold in folds(runs, "C", 2, cutoffs=30)}
    assert found[6] == ()  # two sizes
    assert found[12] == (Effect("size"),)
    assert found[25] == ()  # most sizes are those of one run
    first = folds(runs, "C", 2)[0]
    assert first.model(model.replace(effects=(Effect("size"),)), runs).effects == (Effect("size"),)


def test_many_fits_are_each_what_it_would_be_alone():
    runs = simulated(3)
    tables = [runs, runs.replace(weight=np.where(np.arange(40) % 5, 1.0, 0.0))]
    key = jax.random.key(5)
    for k, fit in enumerate(nuts_each(key, POWER, tables, **SHORT)):
        alone = nuts(jax.random.fold_in(key, k), POWER, tables[k], **SHORT)
        for name in fit.draws:
            np.testing.assert_array_equal(fit.draws[name], alone.draws[name])
    assert nuts_each(key, POWER, []) == []


# ---- Forecasts by hand


def by_hand(width, off=0.0, rival=0.05, count=60, trouble=(), doubt=(), levels=False):
    """Forecasts of runs of a loss of about 2 with noise of 0.02, off by so much more for each decade."""
    rng = np.random.default_rng(0)
    truth = 2 * np.exp(0.02 * rng.standard_normal(count))
    compute = 1e20 * 10 ** rng.uniform(0.2, 2.4, count)
    runs = Runs.make({"C": compute, "loss": truth}, response="loss")
    gap = np.log10(compute / 1e20)
    fold = Fold("C up to 1e20", compute < 0, compute > 0, np.full(count, np.nan) if levels else gap)
    mine = 2 * np.exp(width * norm.ppf(PROBABILITIES)[:, None] + off * gap)
    others = {"last": np.full((200, count), 2 + rival), "power law in C": np.full((200, count), 3.0)}
    made = Forecasts(fold, "power_floor", trouble, doubt, np.arange(count), mine, np.zeros(count), others)
    return Backtest(runs, "C", (made,))


def test_skill_is_over_the_best_baseline():
    found = by_hand(0.02)
    row = found.total
    assert row.rival == "last"
    assert row.skill == pytest.approx(1 - row.ours.crps / row.theirs.crps)
    assert found.verdict.startswith("Skill: CRPS 0.0")
    assert found.drift == 0
    assert found.widened is found
    assert found.findings == ()
    assert sum(one.ours.count for one in found.by_gap) == 60
    assert [one.said for one in found.by_gap][-1] == "beyond 2 decades"


def test_where_there_is_no_skill_the_baseline_is_named():
    found = by_hand(0.02, off=0.3, rival=0.0)
    assert found.verdict.startswith("No skill: ")
    assert {one.code for one in found.findings} == {"NO_SKILL", "COVERAGE"}
    assert all("Forecast with last there" in str(f) for f in found.findings if f.code == "NO_SKILL")


def test_intervals_that_do_not_hold_get_a_drift_which_the_next_forecast_carries():
    found = by_hand(0.02, off=0.05)
    assert found.total.ours.cover90 < 0.8
    assert found.drift == pytest.approx(0.05, rel=0.2)
    assert found.widened.total.ours.cover90 >= 0.8
    only, *_ = (one for one in found.findings if one.code == "COVERAGE")
    assert f"a drift of {found.drift:.2g} a decade" in only.action
    fit = nuts(jax.random.key(0), POWER, simulated(4), **SHORT)
    ahead = found.forecast(jax.random.key(1), fit, {"C": [1e23, 1e25]})
    most = np.max(fit.runs.columns["C"])
    assert ahead.gap == pytest.approx(np.log10(np.array([1e23, 1e25]) / most))
    plain = fit.predict({"C": [1e23, 1e25]}, kind="new_run", key=jax.random.key(1))
    low, high = np.quantile(np.log(ahead.quantiles), (0.16, 0.84), axis=0)
    spread = np.sqrt((found.drift * ahead.gap) ** 2 + np.log(plain).std(axis=0) ** 2)
    assert (high - low) / 2 == pytest.approx(spread, rel=0.1)
    assert ahead.tested[1].count == found.by_gap[-1].ours.count
    assert ahead.drift == found.drift
    with pytest.raises(ValueError, match="power_floor needs C at each point; C is missing"):
        found.forecast(jax.random.key(1), fit, {"N": [1e9]})


def test_levels_have_no_drift_and_no_gap():
    found = by_hand(0.005, levels=True)
    assert found.drift == 0
    assert found.by_gap == ()
    (only,) = found.findings
    assert only.action == "Take them for too narrow"
    with pytest.raises(ValueError, match="the back-test left out levels of"):
        replace(found, by="family", runs=simulated(8, groups=4)).forecast(jax.random.key(0), None, {})


def test_a_fold_that_did_not_converge_is_said():
    (worst, *_) = by_hand(0.02, trouble=("12 divergent draws of 4000",)).findings
    assert worst.code == "FOLD_NOT_CONVERGED"
    assert "1 of 1 folds did not converge, first C up to 1e20: 12 divergent draws of 4000" in worst.message


def test_a_fold_whose_law_was_chosen_on_doubtful_evidence_is_said():
    (only,) = by_hand(0.02, doubt=("an estimate is not finite",)).findings
    assert only.code == "FOLD_CHOICE_DOUBTFUL"
    assert only.message == (
        "in 1 of 1 folds evidence that counts is in doubt, first C up to 1e20: power_floor was taken, "
        "and an estimate is not finite"
    )


# ---- Whole back-tests


def test_the_right_law_beats_every_baseline():
    """Three tables of 40 runs, each with some 60 forecasts: 90% intervals hold in 75% to 100%."""
    for seed in (5, 6, 7):
        found = backtest(jax.random.key(0), POWER, simulated(seed), cutoffs=3, **SHORT)
        assert found.total.skill > 0
        assert 0.75 <= found.total.ours.cover90 <= 1.0
        assert np.isfinite(found.total.ours.log_score)


def test_of_several_models_each_fold_chooses_by_its_known_runs():
    constant = Model(models.load("constant"), noise.log_normal, effects=())
    runs = simulated(5)
    # The small runs have nothing but noise.
    small = np.asarray(runs.columns["C"]) < 3e19
    rng = np.random.default_rng(0)
    loss = np.where(small, 3 * np.exp(0.01 * rng.standard_normal(40)), runs.response)
    runs = Runs.make({"C": runs.columns["C"], "loss": loss}, response="loss")
    found = backtest(jax.random.key(0), [constant, POWER], runs, cutoffs=2, **SHORT)
    assert [one.model for one in found.forecasts] == ["constant", "power_floor"]
    assert set(found.rivals) == {"the last run", "the best so far", "log-linear in C", "power law in C"}


def test_a_law_whose_evidence_is_in_doubt_is_chosen_only_where_all_are(monkeypatch):
    fits = ["first", "second", "third"]
    said = {"first": (9.0, ("doubt",)), "second": (1.0, ()), "third": (2.0, ())}
    evidences = {name: SimpleNamespace(fit=name, value=v, trouble=t) for name, (v, t) in said.items()}
    monkeypatch.setattr("bayescale.check.backtest.log_evidence", lambda key, fit: evidences[fit])
    assert _chosen(jax.random.key(0), fits) == ("third", ())
    assert _chosen(jax.random.key(0), fits[:2]) == ("second", ())
    assert _chosen(jax.random.key(0), ["first", "first"]) == ("first", ("doubt",))
    assert _chosen(jax.random.key(0), ["first"]) == ("first", ())


def test_a_level_not_seen_is_predicted_with_the_spread_of_levels():
    model = POWER.replace(pooling=(Pooling(("A",), "family"),))
    found = backtest(jax.random.key(0), model, simulated(8, groups=4), by="family", **SHORT)
    assert [row.said for row in found.by_fold] == [f"without family f{k}" for k in range(4)]
    assert found.total.ours.cover90 >= 0.8
    runs = simulated(8, groups=4)
    seen = nuts(jax.random.key(1), model, runs, **SHORT)
    points = {"C": np.asarray(runs.columns["C"])[found.forecasts[0].index]}
    drawn = seen.predict(points, kind="new_run", key=jax.random.key(2), family="f0")
    low, high = np.quantile(drawn, (0.05, 0.95), axis=0)
    assert found.by_fold[0].ours.width90 > 1.5 * np.mean(high - low)


def test_the_command_line_tests(tmp_path):
    runs = simulated(5)
    path, figure = tmp_path / "runs.csv", tmp_path / "tested.png"
    rows = [f"{c},{loss}" for c, loss in zip(runs.columns["C"], runs.response, strict=True)]
    path.write_text("\n".join(["C,loss", *rows]))
    given = ["backtest", str(path), "--law", "power_floor", "--along", "C", "--noise", "log_normal"]
    given += ["--cutoffs", "2", "--draws", "250"]
    kept = [
        "--figure",
        str(figure),
        "--csv",
        str(tmp_path / "scores.csv"),
        "-o",
        str(tmp_path / "tested.json"),
    ]
    plain = CliRunner().invoke(main, [*given, *kept], catch_exceptions=False)
    assert plain.exit_code == 0, plain.output
    assert "best baseline" in plain.output
    assert "Skill: CRPS" in plain.output
    assert figure.stat().st_size > 10_000
    told = json.loads(CliRunner().invoke(main, [*given, "--json"], catch_exceptions=False).stdout)
    assert told["total"]["skill"] > 0
    assert told["by_fold"][0]["forecasts"].startswith("C up to ")
    assert load_check(tmp_path / "tested.json") == told
    assert len(told["each"]) == told["total"]["count"]
    with (tmp_path / "scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["table"] for row in rows][:2] == ["total", "by_gap"]
    assert float(rows[0]["best_baseline.crps"]) == told["total"]["best_baseline"]["crps"]
    missing = CliRunner().invoke(main, [*given, "--hold-out", "watts"])
    assert missing.exit_code == 2
    assert "there is no column 'watts' for a factor; the columns are C, loss" in missing.output
    for option in ("--figure", "--csv", "--output"):
        nowhere = CliRunner().invoke(main, [*given, option, str(tmp_path / "no" / "x.png")])
        assert nowhere.exit_code == 2
        assert f"{option} {tmp_path / 'no' / 'x.png'}: there is no folder" in nowhere.output
    strange = CliRunner().invoke(main, [*given, "--figure", str(tmp_path / "tested.foo")])
    assert strange.exit_code == 2
    assert "its name ends in one of .png, .pdf" in strange.output


def test_the_figure_of_a_back_test_has_its_panels():
    drawn = plot_of_checks.backtest(by_hand(0.02, off=0.05))
    assert [axes.get_xlabel() for axes in drawn.axes] == [
        "loss measured",
        "share of the forecast below what came (PIT)",
        "decades of C beyond the known runs",
        "decades of C beyond the known runs",
    ]
