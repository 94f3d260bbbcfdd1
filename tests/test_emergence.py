"""Emergence: the evidence for breaks against quadrature, forecasts against simulation, and the verdicts."""

import itertools
import re

import numpy as np
import pytest
from scipy import integrate, stats

from bayescale.tasks import breaks
from bayescale.tasks.emergence import early_warning, emergence, exact_match

X = np.array([-2.0, -1.1, -0.4, 0.3, 1.2, 2.0])
Y = np.array([0.9, 0.62, 0.35, 0.1, -0.6, -0.85])


def evidence(design):
    """The evidence of a normal regression, from the covariance of the values and 801 noises."""
    scales = np.array([breaks.LEVEL, breaks.SLOPE, breaks.CHANGE])[: design.shape[1]]
    middle, scale = breaks.SIGMA
    log_sigma = middle + scale * np.linspace(-4, 4, 801)
    covariance = (design * scales**2) @ design.T + np.exp(2 * log_sigma)[:, None, None] * np.eye(len(Y))
    away = Y @ np.linalg.inv(covariance) @ Y
    likelihood = np.exp(-away / 2) / np.sqrt(np.linalg.det(2 * np.pi * covariance))
    return integrate.simpson(likelihood * stats.norm(middle, scale).pdf(log_sigma), log_sigma)


def test_the_evidence_of_a_line():
    # What lies beyond four standard deviations of the noise is left out of both; 41 nodes are good to 1e-3.
    straight = np.stack([np.ones_like(X), X], axis=1)
    assert breaks.line(X, Y).log_evidence == pytest.approx(np.log(evidence(straight)), abs=2e-3)


def test_the_evidence_for_breaks():
    """The place of the break by another rule than ours, the trapezoidal one on 25 points."""
    straight = np.stack([np.ones_like(X), X], axis=1)
    alone = np.log(evidence(straight))
    found = breaks.log_bayes_factors(X, Y)
    # A jump between the same two models is the same, wherever it is.
    jumps = [evidence(np.column_stack([straight, (a + b) / 2 < X])) for a, b in itertools.pairwise(X)]
    expected = np.log(np.sum(np.array(jumps) * np.diff(X)) / np.ptp(X)) - alone
    assert found[1] == pytest.approx(expected, abs=0.05)  # the share of places between two models: 1 in 64
    some = np.linspace(X[0], X[-1], 25)
    kinks = [evidence(np.column_stack([straight, np.maximum(X - place, 0)])) for place in some]
    expected = np.log(integrate.trapezoid(kinks, some) / np.ptp(X)) - alone
    assert found[0] == pytest.approx(expected, abs=0.02)


def test_the_posterior_of_a_line_is_that_of_least_squares():
    """With so many values that priors do not matter."""
    rng = np.random.default_rng(0)
    x = np.linspace(-2, 2, 400)
    y = 0.3 - 0.5 * x + 0.03 * rng.normal(size=400)
    found = breaks.line(x, y)
    mean = found.weight @ found.mean
    slope, level = np.polyfit(x, y, 1)
    np.testing.assert_allclose(mean, [level, slope], atol=1e-4)
    at, scale = found.at(np.array([3.0]))
    assert found.weight @ at[:, 0] == pytest.approx(level + 3 * slope, abs=1e-3)
    assert found.weight @ scale[:, 0] == pytest.approx(0.03, rel=0.1)


@pytest.fixture(scope="module")
def study(benchmark):
    return benchmark("emergence")


@pytest.mark.parametrize(
    ("truth", "expected"), [("smooth", "artefact"), ("jump", "real jump"), ("kink", "real jump")]
)
def test_what_ladders_are_of(study, truth, expected):
    """Of 100 smooth ladders some 15 are undecided, of others none; the seeds are fixed."""
    verdicts = [study.measure(truth, 8, seed).verdict for seed in range(8)]
    assert verdicts.count(expected) >= 6
    assert set(verdicts) <= {expected, "undecided"}


def ladder(nll, tokens=40, items=200, decades=None):
    decades = np.linspace(19, 23, len(nll)) if decades is None else decades
    link = exact_match(tokens)
    return emergence(10**decades, {"nll": nll}, np.rint(items * link(nll)), items, link)


def smooth(models=9):
    x = np.linspace(19, 23, models)
    wiggle = 0.02 * np.cos(3.0 * np.arange(models))  # scatter that is no break
    return np.exp(np.log(0.0163) - 0.85 * (x - 23) + wiggle)


def test_the_order_of_the_models_does_not_matter():
    nll, decades = smooth(), np.linspace(19, 23, 9)
    mixed = np.random.default_rng(0).permutation(9)
    one, other = ladder(nll), ladder(nll[mixed], decades=decades[mixed])
    assert one.verdict == other.verdict == "artefact"
    np.testing.assert_array_equal(one.before[mixed], other.before)
    np.testing.assert_allclose(one.forecast, other.forecast)
    assert one.ladder[0].kink == pytest.approx(other.ladder[0].kink)


def test_nothing_seen_is_not_yet():
    found = ladder(smooth() * 8)
    assert found.verdict == "not yet"
    assert found.why.startswith("no score is more than 5% above chance; nll has ")
    assert found.forecast.shape == (3, 0)


def test_too_few_before_the_onset_are_undecided():
    found = ladder(smooth(5)[1:] / 4)
    assert found.verdict == "undecided"
    assert found.why.startswith("fewer than 4 models are before the onset; nll has ")


def test_a_coarser_metric_without_a_break_makes_it_undecided_unless_forecasts_miss():
    nll, decades = smooth(), np.linspace(19, 23, 9)
    broken = nll * np.where(decades > 21, 0.2, 1.0)
    link = exact_match(40)
    both = {"nll": broken, "brier": smooth()}
    kept = emergence(10**decades, both, np.rint(200 * link(nll)), 200, link)
    assert [metric.breaks for metric in kept.ladder] == [True, False]
    assert kept.verdict == "undecided"
    missed = emergence(
        10**decades, {"nll": nll, "brier": smooth()}, np.where(decades > 21.9, 199, 0), 200, link
    )
    assert missed.verdict == "real jump"
    assert missed.why.startswith("the models before the onset miss the score of the largest")


def test_forecasts_are_the_quantiles_of_scores_drawn_from_the_line():
    """40,000 draws: the error of a quantile is below one answer of 200."""
    nll, decades = smooth(), np.linspace(19, 23, 9)
    found = ladder(nll)
    before = found.before
    known = breaks.line(decades[before] - decades.mean(), np.log(nll[before]))
    rng = np.random.default_rng(1)
    at, scale = known.at(decades[~before] - decades.mean())
    node = rng.choice(len(known.weight), 40_000, p=known.weight)
    drawn = np.exp(at[node] + scale[node] * rng.normal(size=(40_000, (~before).sum())))
    scores = rng.binomial(200, exact_match(40)(drawn)) / 200
    np.testing.assert_allclose(found.forecast, np.quantile(scores, (0.05, 0.5, 0.95), axis=0), atol=0.011)
    measured = np.rint(200 * exact_match(40)(nll[~before])) / 200
    tail = 2 * np.minimum((scores <= measured).mean(axis=0), (scores >= measured).mean(axis=0))
    np.testing.assert_allclose(found.tail, np.minimum(tail, 1), atol=0.03)
    np.testing.assert_array_equal(found.covered, found.tail > 0.1)


def test_early_warning_is_in_decades():
    assert early_warning(1.5, 128 * 1e4) == pytest.approx(7.4, abs=0.05)
    assert early_warning(1.5, 128) == pytest.approx(1.24, abs=0.01)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"compute": [1e20, 1e21]}, "compute is (2,); it is (models,), of 4 models at least"),
        ({"compute": [1e20] * 4}, "every model has the same compute, along which nothing can emerge"),
        ({"compute": [1e20, 1e21, -1.0, 1e22]}, "compute is (4,), least -1; it is (4,) positive numbers"),
        ({"metrics": {}}, "metrics is empty; give the finest there is"),
        ({"metrics": {"nll": [1.0, 0.0, 1.0, 1.0]}}, "nll is (4,), least 0; it is (4,) positive numbers"),
        ({"successes": [0, 0, 0, 11]}, "successes are from 0 to the trials, of which there is one at least"),
    ],
)
def test_what_is_refused(changes, message):
    given = {
        "compute": [1e20, 1e21, 1e22, 1e23],
        "metrics": {"nll": [0.4, 0.3, 0.2, 0.1]},
        "successes": [0, 0, 0, 1],
        "trials": 10,
    }
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        emergence(**{**given, **changes}, link=exact_match(5))
