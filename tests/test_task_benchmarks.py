"""The studies of task success that are committed: what they have to hold, what they miss, and the printed errors."""

import json
from pathlib import Path

import pytest

from bayescale.tasks.forecast import PLATEAU

FOLDER = Path(__file__).parent.parent / "benchmarks" / "results"


def written(name):
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def gates():
    return written("task_backtests")


def test_the_printed_errors_of_gadre_are_reproduced(benchmark):
    """Least squares by their recipe, computed here; within 0.01 of a percent."""
    for found in benchmark("task_backtests").references().values():
        assert found["found"] == pytest.approx(found["printed"], abs=0.01)


def test_what_is_written_is_what_is_computed(gates, benchmark):
    assert gates["references"] == benchmark("task_backtests").references()


# What the gate asks, and whether it is met: a gate that is met may not be lost, one that is missed may be won.
MISSED = {("gadre", "1e18")}


@pytest.mark.parametrize("suite", ["gadre", "gadre_tasks"])
def test_errors_against_the_gate(gates, suite):
    asked = gates["gates"][suite]["error"]
    for cut, most in asked.items():
        line = gates[suite]["cuts"][cut]
        if (suite, cut) not in MISSED:
            assert line["error"] <= most, f"{suite} at {cut}"
        assert line["forecasts"] > 10


@pytest.mark.parametrize("suite", ["gadre", "gadre_tasks", "obsscaling", "pythia"])
def test_no_forecast_is_outside_of_what_success_can_be(gates, suite):
    assert gates[suite]["least"] >= 0
    assert gates[suite]["greatest"] <= 1


def test_ninety_percent_intervals_hold_where_the_gate_is(gates):
    for cut in ("1e18", "1e19", "1e20"):
        assert gates["gadre"]["cuts"][cut]["cover90"] >= 0.8
    for line in gates["pythia"]["cuts"].values():
        assert line["dex"]["cover90"] >= 0.8


def test_forecasts_of_the_mean_have_skill_at_every_gate(gates):
    for cut in ("1e18", "1e19", "1e20"):
        assert gates["gadre"]["cuts"][cut]["skill"] > 0


def test_gsm8k_is_flagged_as_a_plateau_and_the_mean_of_gadre_is_not(gates):
    assert gates["pythia"]["cuts"]["3e21"]["plateau"] > PLATEAU
    for cut in ("1e19", "1e20"):
        assert gates["gadre"]["cuts"][cut]["plateau"] < PLATEAU / 2


def test_horizons(gates):
    """Intervals hold; at two of four dates persistence was nearer, which is a miss of the gate."""
    lines = gates["metr"]["cuts"].values()
    inside = [line["inside"] for line in lines]
    assert sum(held for held, _ in inside) >= 0.8 * sum(count for _, count in inside)
    ahead = [line["error"] <= line["baselines"]["persistence"]["error"] for line in lines]
    assert sum(ahead) >= 2


def test_verdicts_tell_where_a_law_pays():
    found = written("gadre_verdicts")
    for cut in ("1e+19", "1e+20"):
        lines = found["by_cut"][cut]
        assert sum(line["pairs"] for line in lines.values()) == 138
        sure, others = (
            lines["smooth, sure and above chance"],
            [line for name, line in lines.items() if not name.startswith("smooth") and line["pairs"] >= 5],
        )
        assert sure["link_wins"] >= 0.8
        assert all(line["link_wins"] < sure["link_wins"] for line in others)
