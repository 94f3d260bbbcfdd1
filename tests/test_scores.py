"""Scores of forecasts, against closed forms and by hand."""

import numpy as np
import pytest
from scipy.stats import norm

from bayescale.check.discrepancy import drift_of, drifted
from bayescale.check.scores import PROBABILITIES, bootstrap_error, crps, pit, quantiles_of, scores

NORMAL = norm.ppf(PROBABILITIES)[:, None]


def test_crps_of_a_normal_forecast_is_the_closed_form():
    """Gneiting and Raftery 2007, equation 5; 200 quantiles leave a thousandth of the standard deviation."""
    truth = np.array([0.0, 0.7, -2.0, 4.0])
    exact = truth * (2 * norm.cdf(truth) - 1) + 2 * norm.pdf(truth) - 1 / np.sqrt(np.pi)
    assert crps(np.repeat(NORMAL, 4, axis=1), truth) == pytest.approx(exact, abs=1e-3)
    assert crps(0.1 * np.repeat(NORMAL, 4, axis=1), 0.1 * truth) == pytest.approx(0.1 * exact, abs=1e-4)


def test_a_forecast_that_is_one_number_has_its_absolute_error_and_no_intervals():
    one = scores(np.full((200, 2), 3.0), np.array([1.0, 4.0]))
    assert (one.crps, one.error, one.bias) == pytest.approx((1.5, 1.5, 0.5))
    assert np.isnan([one.cover50, one.cover90, one.width90]).all()


def test_intervals_and_bias_by_hand():
    truth = np.array([0.0, 0.5, 1.0, 2.0])
    found = scores(np.repeat(NORMAL, 4, axis=1), truth, np.array([-1.0, -1.0, -2.0, -4.0]))
    assert found.cover50 == 0.5
    assert found.cover90 == 0.75
    assert found.width90 == pytest.approx(2 * norm.ppf(0.95), abs=0.05)
    assert found.bias == pytest.approx(-0.875, abs=1e-9)
    assert found.log_score == -2.0
    assert scores(np.empty((200, 0)), np.empty(0)).count == 0


def test_what_has_no_mean_has_a_score():
    """The loss whose logarithm is Student t with one degree of freedom."""
    draws = np.exp(np.clip(np.random.default_rng(0).standard_cauchy((4000, 3)), -700, 700))
    assert np.isfinite(crps(quantiles_of(draws), np.ones(3))).all()


def test_the_probability_integral_transform_of_what_was_forecast_is_uniform():
    truth = np.random.default_rng(1).standard_normal(4000)
    found = pit(np.repeat(NORMAL, 4000, axis=1), truth)
    counts = np.histogram(found, np.linspace(0, 1, 11))[0]
    # Each bar is within 4 standard deviations of 400: false alarm 1 in 1,600.
    assert np.abs(counts - 400).max() < 4 * np.sqrt(400 * 0.9)
    assert pit(np.array([[1.0], [1.0]]), np.array([1.0])) == 0.5


def test_the_error_of_a_skill_is_that_over_units_drawn_anew():
    rng = np.random.default_rng(2)
    unit = np.repeat(np.arange(50), 4)
    own, theirs = rng.exponential(size=50)[unit], 2 * rng.exponential(size=50)[unit]
    found = bootstrap_error(np.random.default_rng(3), own, theirs, unit)

    def skill(drawn):
        return 1 - own[drawn].sum() / theirs[drawn].sum()

    known = np.std([skill(4 * rng.integers(0, 50, 50)) for _ in range(4000)])
    assert found == pytest.approx(known, rel=0.1)
    assert found > 1.5 * bootstrap_error(np.random.default_rng(3), own, theirs, np.arange(200))
    assert np.isnan(bootstrap_error(rng, own[:1], theirs[:1], unit[:1]))


@pytest.mark.parametrize("kind", ["loss", "success"])
def test_a_drift_is_found_and_makes_intervals_hold(kind):
    """500 forecasts: the drift to 4 standard errors of a standard deviation, 1 / sqrt(1000); coverage likewise."""
    rng = np.random.default_rng(4)
    gap = rng.uniform(0.2, 2.0, 500)
    scale = np.sqrt(0.02**2 + (0.1 * gap) ** 2)
    own = 0.02 * NORMAL + 0.3 * rng.standard_normal(500)
    came = np.median(own, axis=0) + scale * rng.standard_normal(500)
    of = np.exp if kind == "loss" else lambda x: 1 / (1 + np.exp(-x))
    drift = drift_of(of(own), of(came), gap, kind)
    assert drift == pytest.approx(0.1, rel=4 / np.sqrt(1000))
    assert scores(of(own), of(came)).cover90 < 0.5
    wider = drifted(of(own), gap, drift, kind)
    assert scores(wider, of(came)).cover90 == pytest.approx(0.9, abs=4 * np.sqrt(0.09 / 500))
    assert drift_of(of(own), of(np.median(own, axis=0)), gap, kind) == pytest.approx(0, abs=1e-3)
