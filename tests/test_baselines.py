"""Baselines, against least squares done otherwise."""

import numpy as np
import pytest
from scipy.stats import t

from bayescale.check.baselines import baselines
from bayescale.check.scores import PROBABILITIES


def of(response, x, train, test, *, group=None, covariates=None, kind="loss"):
    group = np.zeros(len(x), int) if group is None else group
    return baselines(
        "C", x, covariates or {"C": x}, response, group, np.array(train), np.array(test), kind=kind
    )


def test_last_and_best_so_far():
    x = np.array([1.0, 2.0, 4.0, 4.0, 8.0])
    found = of(np.array([3.0, 2.0, 2.6, 2.4, 1.0]), x, [0, 1, 2, 3], [4])
    assert found["the last run"] == pytest.approx(2.5)
    assert found["the last run"].shape == (200, 1)
    assert found["the best so far"] == pytest.approx(2.0)
    up = of(np.array([0.1, 0.4, 0.2, 0.3, 1.0]), x, [0, 1, 2, 3], [4], kind="success")
    assert up["the best so far"] == pytest.approx(0.4)


def test_the_line_is_that_of_polyfit_with_its_t_intervals():
    rng = np.random.default_rng(0)
    x = 10 ** rng.uniform(18, 22, 12)
    y = 3 * (x / 1e20) ** -0.1 * np.exp(0.02 * rng.standard_normal(12))
    found = of(y, x, range(10), [10, 11])["log-linear in C"]
    (slope, level), covariance = np.polyfit(np.log(x[:10]) - 46, np.log(y[:10]), 1, cov=True)
    there = np.log(x[10:]) - 46
    middle = level + slope * there
    residual = np.log(y[:10]) - level - slope * (np.log(x[:10]) - 46)
    noise = np.sum(residual**2) / 8
    spread = np.sqrt(noise + covariance[1, 1] + there**2 * covariance[0, 0] + 2 * there * covariance[0, 1])
    wanted = np.exp(middle + spread * t.ppf(PROBABILITIES, 8)[:, None])
    assert found == pytest.approx(wanted, rel=1e-6)


def test_the_power_law_finds_a_power_law():
    x = np.logspace(18, 23, 20)
    y = 1.7 + 0.8 * (x / 1e20) ** -0.2
    found = of(y, x, range(15), range(15, 20))["power law in C"]
    assert found == pytest.approx(np.repeat(y[None, 15:], 200, axis=0), rel=1e-4)
    grown = of(1 - y / 4, x, range(15), range(15, 20), kind="success")["power law in C"]
    assert grown == pytest.approx(np.repeat(1 - y[None, 15:] / 4, 200, axis=0), rel=1e-4)


def test_groups_have_their_own_lines_where_they_have_runs_enough():
    x = np.logspace(18, 22, 12)
    group = np.array([0, 1] * 5 + [0, 2])
    y = np.where(group == 1, 3.0, 2.0) * (x / 1e20) ** -0.05
    found = of(y, x, range(10), [10, 11], group=group)["log-linear in C"]
    assert found[:, 0] == pytest.approx(np.full(200, y[10]), rel=1e-6)
    assert np.ptp(found[:, 1]) > 0.1  # of a group not seen: a line through all
    assert (np.median(found[:, 1]) > y[10]).all()


def test_the_covariates_of_the_law_have_a_line_of_their_own():
    rng = np.random.default_rng(1)
    n, d = np.exp(rng.normal(size=(2, 12)))
    y = 2 * n**-0.1 * d**-0.3
    found = of(y, n * d, range(10), [10, 11], covariates={"N": n, "D": d})
    assert set(found) == {
        "the last run",
        "the best so far",
        "log-linear in C",
        "power law in C",
        "log-linear in N and D",
    }
    assert found["log-linear in N and D"] == pytest.approx(np.repeat(y[None, 10:], 200, axis=0), rel=1e-6)
