"""Overlap: against its closed forms, simulated outcomes, and what it refuses."""

import re

import numpy as np
import pytest
from scipy.special import expit

from bayescale.tasks.overlap import dimensions, diversity, overlap, overlap_budget, suite_width

TASKS = 100


def suites(rho, count=3000, slope=20.0, families=1, seed=0):
    """Success at the middle of the thresholds, of suites of `families` families, (suites, tasks)."""
    rng = np.random.default_rng(seed)
    shared = np.repeat(rng.normal(size=(count, families)), TASKS // families, axis=1)
    threshold = np.sqrt(rho) * shared + np.sqrt(1 - rho) * rng.normal(size=(count, TASKS))
    return expit(-slope * threshold)


def outcomes(p, seed=1):
    return np.random.default_rng(seed).random(p.shape) < p


@pytest.mark.parametrize(
    ("rho", "sd", "effective"), [(0.0, 0.048, 100), (0.1, 0.133, 13.9), (0.5, 0.290, 3.0), (1.0, 0.480, 1.1)]
)
def test_the_variance_identity(rho, sd, effective):
    """The bounds of acceptance: 5% of sd and 10% of n_eff, against the table of the study; and against outcomes.

    The standard deviation of 3,000 suites has an error of 1.3%, so that a false alarm is rarer than 1e-3.
    """
    p = suites(rho)
    found = overlap(p)
    # The study's sd is of the expected score, without the luck of one attempt.
    assert np.sqrt(found.variance - np.mean(p * (1 - p)) / TASKS) == pytest.approx(sd, rel=0.05)
    assert found.effective == pytest.approx(effective, rel=0.1)
    assert np.sqrt(found.variance) == pytest.approx(outcomes(p).mean(axis=1).std(), rel=0.05)


@pytest.mark.parametrize("rho", [0.1, 0.5, 0.9])
def test_of_steps_it_is_the_arcsine_of_the_correlation_of_thresholds(rho):
    """Within 0.02, which is three standard errors of 3,000 suites or more."""
    assert overlap(suites(rho, slope=200.0)).omega == pytest.approx(2 / np.pi * np.arcsin(rho), abs=0.02)


def test_omega_is_the_mean_correlation_of_outcomes():
    p = suites(0.4, count=20_000)
    correlation = np.corrcoef(outcomes(p).T)
    # 4,950 pairs, each to 0.007, that share suites: the mean is good to some 0.005
    assert overlap(p).omega == pytest.approx(correlation[np.triu_indices(TASKS, 1)].mean(), abs=0.015)


def test_copies_of_a_task_are_worth_one():
    found = overlap(np.repeat(np.array([[0.0], [1.0]] * 50), 7, axis=1))
    assert found.omega == pytest.approx(1, rel=0.02)  # the variance of 100 draws has 99 degrees of freedom
    assert found.effective == pytest.approx(1, rel=0.02)


def test_independent_tasks_are_worth_themselves():
    found = overlap(np.full((10, 30), 0.25))
    assert found.omega == pytest.approx(0, abs=1e-12)
    assert found.effective == pytest.approx(30)
    assert found.shares["alone"] == pytest.approx(1)
    assert found.verdict == "30 tasks are worth 30 independent ones, overlap 0; they share nothing"


def test_families_of_steps_are_worth_their_number():
    """Ten families of ten, each a step: the design effect of Kish is 10."""
    p = suites(1.0, slope=1e4, families=10, count=4000)
    found = overlap(p, families=[str(i // 10) for i in range(TASKS)])
    assert found.effective == pytest.approx(10, rel=0.1)
    assert found.shares["thresholds of families"] == pytest.approx(1, abs=0.05)
    assert found.shares["curve"] == pytest.approx(0, abs=0.05)


# The shares, against the law of total variance on a linear model, where every part is known.

SCALES = {
    "models": 0.05,
    "families of models": 0.06,
    "thresholds of families": 0.07,
    "thresholds": 0.2,
    "curve": 0.03,
}


def simulated(draws=6000, models=8, families=5, seed=2):
    rng = np.random.default_rng(seed)
    each = 20 // families
    p = 0.5 + SCALES["curve"] * rng.normal(size=(draws, 1, 1))
    p = p + SCALES["models"] * rng.normal(size=(draws, models, 1))
    own = SCALES["families of models"] * rng.normal(size=(draws, models, families))
    own = own + SCALES["thresholds of families"] * rng.normal(size=(draws, 1, families))
    p = p + np.repeat(own, each, axis=2)
    p = p + SCALES["thresholds"] * np.clip(rng.normal(size=(draws, 1, 20)), -1, 1)
    return np.clip(p, 0, 1), [str(i // each) for i in range(20)]


def test_each_share_is_that_of_the_part_that_made_it():
    p, families = simulated()
    found = overlap(p, families=families)
    clipped = np.clip(np.random.default_rng(0).normal(size=200_000), -1, 1).var()
    expected = {
        "models": SCALES["models"] ** 2,
        "families of models": SCALES["families of models"] ** 2 / 5,
        "thresholds of families": SCALES["thresholds of families"] ** 2 / 5,
        "thresholds": SCALES["thresholds"] ** 2 * clipped / 20,
        "curve": SCALES["curve"] ** 2,
    }
    for name, variance in expected.items():
        # 6,000 draws: the variance of a score is good to 2%, and what is a fifth of it to some 10%; three of that.
        assert found.shares[name] * found.variance == pytest.approx(variance, rel=0.3), name
    assert sum(found.shares.values()) == pytest.approx(1)
    assert outcomes(p[:, 0]).mean(axis=1).var() == pytest.approx(found.variance, rel=0.2)
    assert found.verdict.startswith("20 tasks are worth ")


def test_given_a_draw_only_models_count():
    p, families = simulated()
    found = overlap(p, families=families)
    within = (SCALES["models"] ** 2 + SCALES["families of models"] ** 2 / 5) * 20**2
    alone = np.mean(np.sum(p * (1 - p), axis=2))
    assert np.median(found.given) == pytest.approx(20 * 20 * 0.25 / (within + alone), rel=0.15)
    assert len(overlap(p[:, 0]).given) == 0


def test_with_one_model_a_draw_nothing_is_told_of_models():
    found = overlap(simulated()[0][:, :1])
    assert found.shares["models"] == 0
    assert found.shares["families of models"] == 0


def test_few_models_a_draw_do_not_count_as_what_is_not_known():
    """The mean over models of the variance between draws is unbiased: two models say what eight do."""
    p, families = simulated()
    many, few = (overlap(p[:, :count], families=families).shares for count in (8, 2))
    assert few["curve"] == pytest.approx(many["curve"], abs=0.02)
    assert few["models"] == pytest.approx(many["models"], abs=0.03)


def test_certain_success_has_no_overlap():
    found = overlap(np.ones((5, 3)))
    assert np.isnan(found.omega)
    assert np.isnan(found.effective)
    assert found.success == 1


@pytest.mark.parametrize(
    ("success", "families", "message"),
    [
        (np.ones(5), None, "success is (5,); it is (draws, models, tasks), of two draws and tasks at least"),
        (
            np.ones((1, 5)),
            None,
            "success is (1, 5); it is (draws, models, tasks), of two draws and tasks at least",
        ),
        (np.array([[0.5, 1.2]] * 2), None, "success goes from 0.5 to 1.2; each is between 0 and 1"),
        (np.array([[0.5, np.nan]] * 2), None, "success goes from nan to nan; each is between 0 and 1"),
        (np.ones((2, 3)), ["a"], "there are 1 families for 3 tasks; give the family of each task"),
    ],
)
def test_what_is_refused(success, families, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        overlap(success, families=families)


# The budget.


@pytest.mark.parametrize(
    ("error", "rows"),
    [
        (0.02, {0.5: (625, 0.0016), 0.2: (400, 0.0025), 0.1: (225, 0.0044)}),
        (0.05, {0.5: (100, 0.010), 0.2: (64, 0.016), 0.1: (36, 0.028)}),
        (0.10, {0.5: (25, 0.040), 0.2: (16, 0.062), 0.1: (9, 0.111)}),
    ],
)
def test_the_table_of_budgets(error, rows):
    for success, (required, most) in rows.items():
        found = overlap_budget(success, error)
        assert found.required == pytest.approx(required)
        assert found.most == pytest.approx(most, abs=0.0006)  # printed to two digits


def test_a_suite_at_its_budget_has_the_error():
    found = overlap_budget(0.3, 0.05, tasks=200)
    assert 200 / (1 + 199 * found.most) == pytest.approx(found.required)
    assert overlap_budget(0.5, 0.01, tasks=50).most < 0


@pytest.mark.parametrize("values", [(0.0, 0.1), (1.0, 0.1), (0.5, 0.0), (0.5, 5.0)])
def test_a_budget_is_of_shares(values):
    with pytest.raises(ValueError, match=r"both are between 0 and 1, as 0\.05 for five points"):
        overlap_budget(*values)


def test_a_budget_of_one_task():
    with pytest.raises(ValueError, match="tasks is 1; overlap is of two tasks at least"):
        overlap_budget(0.5, 0.1, tasks=1)


# Companions.


@pytest.mark.parametrize("slope", [20.0, 4.0, 1.5])
def test_the_width_of_a_suite(slope):
    """From 10% to 90% of the average of many curves; that it is as of a normal curve costs 3%."""
    thresholds = np.random.default_rng(0).normal(size=20_000)
    x = np.linspace(-8, 8, 1601)
    score = np.array([expit(slope * (one - thresholds)).mean() for one in x])
    width = np.interp(0.9, score, x) - np.interp(0.1, score, x)
    assert suite_width(1.0, slope) == pytest.approx(width, rel=0.03)


def test_diversity_is_between_nothing_and_everything():
    assert diversity(0.0, 2.0) == 0
    assert diversity(1.0, 1e6) == pytest.approx(1)
    assert diversity(1.0, np.pi / np.sqrt(3)) == pytest.approx(0.5)


def test_dimensions():
    assert dimensions(np.eye(7)) == pytest.approx((7, 7))
    assert dimensions(np.ones((7, 7))) == pytest.approx((1, 1))
    assert dimensions(np.diag([2.0, 1.0, 1.0]))[0] == pytest.approx(16 / 6)
