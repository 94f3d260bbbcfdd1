"""The drift of a back-test in predictions and in what a target takes, by solving for each draw; and its record."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from scipy.optimize import brentq
from scipy.stats import norm

from bayescale import models
from bayescale.check.discrepancy import carried, turns_of
from bayescale.check.published import published
from bayescale.check.record import Held, record_of
from bayescale.cli import main
from bayescale.decide.allocate import compute_optimal
from bayescale.decide.gain import relative_efficiency
from bayescale.decide.invert import compute_for, data_for, params_for
from bayescale.decide.predict import predict_loss
from bayescale.storage import save
from bayescale.words import plain
from tests.made import BESIROGLU, RUNS, closed_form, fit_of, some
from tests.test_backtest import by_hand

MOST = float(np.max(6 * RUNS.columns["N"] * RUNS.columns["D"]))
FIT = fit_of(
    "chinchilla", {p: np.full(400, v) for p, v in BESIROGLU.items()}
)  # all draws are alike: E = 1.8172
# The 400 drifts that there are, from the least to the greatest.
TURNS = norm.ppf((np.arange(400) + 0.5) / 400)


def record(drift, by="C", law="chinchilla"):
    """What `bayescale backtest --json` prints of a back-test."""
    rows = [("0.5 to 1 decades", 40, 0.75, 0.9), ("1 to 1.5 decades", 20, 0.6, 0.95)]
    plain = [{"forecasts": said, "count": count, "cover90": share} for said, count, share, _ in rows]
    wider = [{"forecasts": said, "count": count, "cover90": share} for said, count, _, share in rows]
    return {
        "of": "backtest",
        "by": by,
        "drift": drift,
        "by_gap": plain,
        "by_fold": [{"model": law}],
        "with_drift": {"by_gap": wider} if drift else None,
        "findings": [],
    }


def gap_of(C):
    return np.maximum(np.log10(C / MOST), 0.0)


def first(loss_of, wanted, drift, turn):
    """The least compute at which the loss with a drift is down to what is wanted."""

    def above(log_c):
        return np.log(loss_of(np.exp(log_c)) / wanted) + drift * turn * gap_of(np.exp(log_c))

    steps = np.log(MOST) + np.linspace(-10, 12 * np.log(10), 4000)
    there = above(steps) <= 0
    if not there.any():
        return np.inf
    k = int(np.argmax(there))
    return float(np.exp(brentq(above, steps[k - 1], steps[k], xtol=1e-12)))


def test_the_drifts_of_draws_are_normal_and_have_nothing_to_do_with_their_order():
    turns = turns_of(4000)
    np.testing.assert_allclose(np.sort(turns), norm.ppf((np.arange(4000) + 0.5) / 4000))
    assert abs(np.corrcoef(turns, np.arange(4000))[0, 1]) < 4 / np.sqrt(
        4000
    )  # the order is drawn once and for all
    assert turns_of(1).tolist() == [0.0]
    drawn = np.full((400, 2), 0.3)
    wider = carried(drawn, np.array([0.0, 2.0]), 0.1, "success")
    np.testing.assert_array_equal(wider[:, 0], 0.3)
    np.testing.assert_allclose(np.sort(np.log(wider[:, 1] / (1 - wider[:, 1]))), np.log(3 / 7) + 0.2 * TURNS)
    assert carried(drawn, 2.0, 0.0) is drawn


def test_a_prediction_beyond_the_runs_gets_the_drift_of_its_distance():
    for point, gap in (({"N": 1e10, "D": 1e10}, 0.0), ({"N": 7e10, "D": 1.4e12}, gap_of(5.88e23))):
        plain, found = predict_loss(FIT, point), predict_loss(FIT, point, backtest=record(0.02))
        np.testing.assert_allclose(
            np.sort(np.log(found["loss"] / plain["loss"])), 0.02 * gap * TURNS, atol=1e-12
        )
    by_size = predict_loss(FIT, point, backtest=record(0.02, by="D/N"))
    most = np.max(np.asarray(RUNS.columns["D"]) / np.asarray(RUNS.columns["N"]))
    assert most > 20
    np.testing.assert_array_equal(
        by_size["loss"], plain["loss"]
    )  # 20 tokens for each are among those of the runs


@pytest.mark.parametrize(("drift", "reached"), [(0.002, 1.0), (0.02, None)])
def test_the_compute_of_a_loss_solved_for_each_draw(drift, reached):
    found = compute_for(FIT, 1.95, backtest=record(drift))
    least = lambda C: closed_form(C, **BESIROGLU)[2]  # noqa: E731
    expected = np.array([first(least, 1.95, drift, turn) for turn in TURNS])
    assert reached in (None, np.isfinite(expected).mean())
    np.testing.assert_array_equal(np.isinf(np.sort(found["C"])), np.isinf(expected))
    there = np.isfinite(expected)
    np.testing.assert_allclose(np.sort(found["C"])[there], expected[there], rtol=1e-3)
    low, middle, high = compute_for(FIT, 1.95).interval("C")
    assert low == middle == high
    assert found.interval("C")[0] < middle < found.interval("C")[2]
    assert found.asked == {"loss": 1.95}
    assert 0 < found.regret.mean() < 1  # draws differ now, and the run that is chosen allows for it


def test_inside_the_runs_nothing_drifts():
    plain = compute_for(FIT, 3.0)
    np.testing.assert_array_equal(compute_for(FIT, 3.0, backtest=record(0.02))["C"], plain["C"])
    np.testing.assert_array_equal(
        compute_for(FIT, 1.95, backtest=record(0.0))["C"], compute_for(FIT, 1.95)["C"]
    )


def test_tokens_and_parameters_of_a_loss_and_a_law_of_compute():
    A, B, E, alpha, beta = (BESIROGLU[p] for p in ("A", "B", "E", "alpha", "beta"))
    of_tokens = lambda C: E + A * 7e10**-alpha + B * (C / (6 * 7e10)) ** -beta  # noqa: E731
    of_sizes = lambda C: E + A * (C / (6 * 2e12)) ** -alpha + B * 2e12**-beta  # noqa: E731
    for ask, at, loss_of in ((data_for, {"N": 7e10}, of_tokens), (params_for, {"D": 2e12}, of_sizes)):
        found = ask(FIT, 1.96, at=at, backtest=record(0.003))
        expected = [first(loss_of, 1.96, 0.003, turn) for turn in TURNS]
        np.testing.assert_allclose(np.sort(found["C"]), expected, rtol=1e-3)
    along = models.load("power").along("C")
    law = fit_of(along, {"A": np.full(400, 26.58), "alpha": np.full(400, 0.05)}, runs=RUNS)
    found = compute_for(law, 1.6, backtest=record(0.01, law="power"))
    expected = [first(lambda C: 26.58 * C**-0.05, 1.6, 0.01, turn) for turn in TURNS]
    np.testing.assert_allclose(np.sort(found["C"]), expected, rtol=1e-3)


def test_the_loss_of_a_split_drifts_and_the_split_does_not():
    fit = fit_of("chinchilla", some(BESIROGLU, sd=0.01))
    plain, found = compute_optimal(fit, 1e25), compute_optimal(fit, 1e25, backtest=record(0.02))
    for quantity in ("N", "D", "a"):
        np.testing.assert_array_equal(found[quantity], plain[quantity])
    np.testing.assert_array_equal(found.regret, plain.regret)
    spread = np.sqrt(np.log(plain["loss"]).var() + (0.02 * gap_of(1e25)) ** 2)
    assert np.log(found["loss"]).std() == pytest.approx(spread, rel=0.1)


def test_what_became_of_forecasts_over_such_a_gap_is_said():
    (plain,) = predict_loss(FIT, {"C": 20 * MOST, "N": 1e10}).findings
    assert "bayescale backtest RUNS --law chinchilla -o tested.json" in plain.action
    assert "--backtest tested.json, or backtest= in Python" in plain.action
    (one,) = predict_loss(FIT, {"C": 20 * MOST, "N": 1e10}, backtest=record(0.02)).findings
    assert (
        "; in the back-test by C over 1 to 1.5 decades the 90% intervals of its 20 forecasts held 60% of the time, and "
        "95% with the drift"
    ) in one.message
    assert (
        one.action
        == "Take the interval as it is: it has the drift of 0.02 a decade that forecasts called for"
    )
    (steady,) = predict_loss(FIT, {"C": 20 * MOST, "N": 1e10}, backtest=record(0.0)).findings
    assert steady.message.endswith("held 60% of the time")
    assert steady.action == (
        "Take the interval as too narrow, which those of such forecasts were; add larger runs"
    )
    far = compute_optimal(FIT, 1e27, backtest=record(0.02)).findings[0]
    assert "; in the back-test by C no forecast reached as far" in far.message
    assert far.action == (
        "Take the interval as a guess, the drift of 0.02 a decade with it: nothing was tested so far out; add larger "
        "runs first"
    )
    point = compute_optimal(
        published(models.load("chinchilla"), BESIROGLU, runs=RUNS), 1e25, backtest=record(0.02)
    )
    assert point.findings[0].action.startswith("Take a fit with draws")
    # What takes no back-test does not ask for one.
    pair = {"N": 7e10, "D": 1.4e12}, {"N": 2.8e11, "D": 3e11}
    assert relative_efficiency(FIT, *pair).findings[0].action == (
        "See how forecasts over such a gap did in a back-test (bayescale backtest RUNS --law chinchilla)"
    )
    along = fit_of(models.load("power").along("D"), {"A": 26.58, "alpha": 0.05})
    assert "bayescale backtest RUNS --law power --along D --hold-out D -o" in (
        data_for(along, 1.5).findings[0].action
    )


def test_the_record_of_a_back_test_is_that_of_what_is_printed_of_it():
    found = by_hand(0.02, off=0.05)
    fit = fit_of(models.load("power_floor").along("C"), {"E": 1.6, "A": 95.18, "alpha": 0.0941})
    known = record_of(found, fit)
    assert known == record_of(json.loads(json.dumps(plain(found.to_dict()))), fit)
    assert known.drift == found.drift
    assert known.at(1.2).count == next(r for r in found.by_gap if r.said == "1 to 1.5 decades").ours.count
    assert (
        str(Held("0 to 0.5 decades", 3, np.nan, np.nan))
        == "its 3 forecasts over 0 to 0.5 decades had no intervals"
    )


def test_how_far_out_was_looked_is_said_where_the_drift_decides_what_is_within_reach():
    below = [f for f in compute_for(FIT, 1.75, backtest=record(0.02)).findings if f.code == "UNREACHABLE"]
    assert below[0].action.startswith("With the drift this is of 12 decades beyond the runs")
    alone = [f for f in compute_for(FIT, 1.75).findings if f.code == "UNREACHABLE"]
    assert alone[0].action.startswith("Ask for a loss farther above the floor")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            record(0.02, law="kaplan"),
            "the back-test is of kaplan, and the fit of chinchilla; give one of its law",
        ),
        (
            record(0.02) | {"by": "corpus", "by_gap": [], "with_drift": {"by_gap": []}},
            "left out levels of corpus",
        ),
        ({"verdict": "so"}, "this is not what `bayescale backtest -o` writes"),
        (record(float("nan")), "this is not what `bayescale backtest -o` writes"),
        (record(-0.5), "this is not what `bayescale backtest -o` writes"),
        (
            record(0.02, by="N"),
            "the back-test went along N, and this needs one along C: bayescale backtest --hold-out C",
        ),
    ],
)
def test_what_is_refused(given, said):
    for ask in (
        lambda: compute_for(FIT, 1.95, backtest=given),
        lambda: compute_optimal(FIT, 1e25, backtest=given),
    ):
        with pytest.raises(ValueError, match=said):
            ask()


def test_on_the_command_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save(FIT, tmp_path / "fit.nc")
    (tmp_path / "tested.json").write_text(json.dumps(record(0.02)))

    def run(*arguments, code=0):
        result = CliRunner().invoke(main, arguments, catch_exceptions=False)
        assert result.exit_code == code, result.output
        return result.output

    asked = ("--backtest", "tested.json", "--json")
    (point,) = json.loads(run("predict", "fit.nc", "--at", "N=7e10,D=1.4e12", *asked))["points"]
    expected = predict_loss(FIT, {"N": 7e10, "D": 1.4e12}, backtest=record(0.02)).interval("loss")
    assert [point[q] for q in ("q5", "q50", "q95")] == pytest.approx(list(expected))
    text = run(
        "predict", "fit.nc", "--at", "N=1e10,D=5e11", "--at", "N=1e9,D=2e9", "--backtest", "tested.json"
    )
    assert "N = 10B, D = 500B: in the back-test by C no forecast reached as far" in text
    assert "N = 1B, D = 2B: among the runs, where nothing drifts" in text
    for verb, option, ask in (
        ("target", ("--loss", "1.95"), compute_for(FIT, 1.95, backtest=record(0.02))),
        ("allocate", ("--compute", "1e25"), compute_optimal(FIT, 1e25, backtest=record(0.02))),
    ):
        (found,) = json.loads(run(verb, "fit.nc", *option, *asked))["decisions"]
        quantity = "C" if verb == "target" else "loss"
        row = next(one for one in found["quantities"] if one["quantity"] == quantity)
        assert (row["low"], row["median"]) == pytest.approx(ask.interval(quantity)[:2])
    said = run("target", "fit.nc", "--loss", "1.95", "--inference", "1T", *asked, code=2)
    assert "--backtest has no say where --inference is given; leave one of them out" in said
    assert "there is no file no.json" in run(
        "predict", "fit.nc", "--at", "N=1e9,D=1e9", "--backtest", "no.json", code=2
    )
