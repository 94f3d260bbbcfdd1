"""Horizons by date: recovered where they are known, and forecasts that know nothing of what comes."""

import numpy as np
import pytest
from scipy.special import expit

from bayescale.check.scores import read_off
from bayescale.runs import Runs
from bayescale.tasks import trend
from bayescale.tasks.trend import Horizon


def runs_of(log2, tasks=400, slope=0.6, seed=0):
    rng = np.random.default_rng(seed)
    minutes = 2 ** rng.uniform(-2, 10, tasks)
    rows = [
        (f"m{i}", 2022.0 + i / 2, minutes, rng.binomial(1, expit(slope * (h - np.log2(minutes)))))
        for i, h in enumerate(log2)
    ]
    columns = {
        "model": np.repeat([r[0] for r in rows], tasks),
        "date": np.repeat([r[1] for r in rows], tasks),
        "minutes": np.concatenate([r[2] for r in rows]),
        "successes": np.concatenate([r[3] for r in rows]).astype(float),
        "trials": np.ones(tasks * len(rows)),
        "family": np.tile([f"f{k % 40}" for k in range(tasks)], len(rows)),
    }
    return Runs.make(columns, response="successes", factors=["model", "family"], duplicates="keep")


def test_horizons_are_recovered():
    """Four intervals of three standard deviations: one in ninety such data has one that misses."""
    truth = (0.0, 2.0, 4.0, 6.0)
    found = trend.measured_horizons(runs_of(truth), family=None)
    assert [one.model for one in found] == ["m0", "m1", "m2", "m3"]
    for one, log2 in zip(found, truth, strict=True):
        assert abs(one.log2 - log2) < 3 * one.error
        assert one.error < 0.5


def test_tasks_of_one_family_tell_less():
    runs = runs_of((2.0,) * 2)
    alone, together = (trend.measured_horizons(runs, family=f)[0] for f in (None, "family"))
    # Forty families of ten count as forty times sqrt(10): errors are 10^(1/4) as large.
    assert together.error / alone.error == pytest.approx(10**0.25, rel=0.1)


def line(dates, growth=2.0, error=0.2):
    return [Horizon(f"m{i}", d, growth * (d - 2023.0), error) for i, d in enumerate(dates)]


def test_a_straight_line_is_carried_on():
    dates = np.array([2024.5, 2025.0])
    drawn = trend.forecast_horizons(line(np.linspace(2021, 2024, 12)), dates, np.full(2, 0.2))
    low, middle, high = read_off(drawn, (0.05, 0.5, 0.95))
    assert middle == pytest.approx(2.0 * (dates - 2023.0), abs=0.35)
    assert (low < 2.0 * (dates - 2023.0)).all()
    assert (high > 2.0 * (dates - 2023.0)).all()
    assert high[1] - low[1] > high[0] - low[0]


def test_growth_that_changed_is_followed_and_bands_are_wider():
    dates = np.linspace(2021, 2024, 12)
    bent = [Horizon(o.model, o.date, o.log2 + 2.0 * max(o.date - 2023.0, 0.0), o.error) for o in line(dates)]
    ahead = np.array([2025.0])
    plain = trend.forecast_horizons(line(dates), ahead, np.full(1, 0.2))
    drawn = trend.forecast_horizons(bent, ahead, np.full(1, 0.2))
    straight = trend.baselines_of_horizons(bent, ahead)["line on the date"]
    truth = 4.0 + 4.0
    assert abs(np.median(drawn) - truth) < abs(np.median(straight) - truth)
    assert np.ptp(drawn) > np.ptp(plain)


def test_a_back_test_knows_nothing_of_what_comes():
    found = line(np.linspace(2021, 2024, 10))
    changed = [Horizon(o.model, o.date, o.log2 + (5.0 if o.date >= 2023 else 0.0), o.error) for o in found]
    first, second = (trend.backtest_horizons(one, (2023.0,))["2023.00"] for one in (found, changed))
    assert first["ours"].width90 == pytest.approx(second["ours"].width90)
    assert second["ours"].bias == pytest.approx(first["ours"].bias - 5.0)
    assert first["known"] == 6
    assert trend.backtest_horizons(found, (2020.0, 2030.0)) == {}


def test_what_one_model_gained_later_ones_keep(monkeypatch):
    """After one model that is three doublings above the line, forecasts begin nearer to it than without the walk."""
    dates = np.linspace(2021, 2024, 12)
    jumped = [Horizon(o.model, o.date, o.log2 + 3.0 * (o.date > 2023.9), o.error) for o in line(dates, 0.5)]

    def ahead():
        return np.median(trend.forecast_horizons(jumped, np.array([2024.1]), np.full(1, 0.2)))

    walking = ahead()
    monkeypatch.setattr(trend, "WALKS", np.full(1, 1e-4))
    assert ahead() + 0.3 < walking
    assert walking < jumped[-1].log2


def test_a_task_counts_once_however_many_rows_it_has():
    rng = np.random.default_rng(0)
    model, task = (one.ravel() for one in np.indices((3, 12)))
    columns = {
        "minutes": 2.0 ** (task % 8),
        "date": 2023.0 + model,
        "successes": rng.integers(0, 9, 36).astype(float),
        "trials": np.full(36, 8.0),
    }
    names = {
        "model": [f"m{i}" for i in model],
        "task": [f"t{i}" for i in task],
        "family": [f"f{i % 4}" for i in task],
    }
    once = Runs.make(columns | names, response="successes", factors=list(names))
    halves = np.repeat(
        np.arange(36), np.where(task == 0, 2, 1)
    )  # the first task in two rows, of half the tries
    part = np.where(np.isin(halves, np.flatnonzero(task == 0)), 0.5, 1.0)
    won = np.asarray(columns["successes"])[halves]
    rows = {n: np.asarray(v)[halves] for n, v in (columns | names).items()}
    rows |= {"successes": np.where(part < 1, 0.0, won), "trials": 8.0 * part}
    first = np.flatnonzero(np.r_[True, np.diff(halves) != 0])
    rows["successes"][first] = np.minimum(won[first], rows["trials"][first])
    second = np.setdiff1d(np.arange(len(halves)), first)
    rows["successes"][second] = won[second] - rows["successes"][second - 1]
    twice = Runs.make(rows, response="successes", factors=list(names), duplicates="keep")
    assert len(twice) == 39
    for one, other in zip(trend.measured_horizons(once), trend.measured_horizons(twice), strict=True):
        assert one.log2 == pytest.approx(other.log2, abs=1e-9)
