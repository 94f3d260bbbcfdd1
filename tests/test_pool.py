"""Mixtures of forecasts: against draws, and weights against the mixture that is known to be best."""

import numpy as np
import pytest
from scipy.stats import norm

from bayescale.check.scores import PROBABILITIES, crps
from bayescale.tasks import pool

RNG = np.random.default_rng(0)


def normal(middle, sd):
    return np.asarray(middle)[None] + sd * norm.ppf(PROBABILITIES)[:, None]


def test_a_mixture_has_the_quantiles_of_draws_of_it():
    first, second = normal([0.0], 1.0), normal([3.0], 0.5)
    found = pool.mixed([first, second], [0.25, 0.75])
    drawn = np.where(RNG.random(200_000) < 0.25, RNG.normal(0, 1, 200_000), RNG.normal(3, 0.5, 200_000))
    # Of 200,000 draws quantiles are good to 0.01 where the density is not small.
    assert np.abs(found[:, 0] - np.quantile(drawn, PROBABILITIES))[5:-5].max() < 0.1
    assert np.median(found) == pytest.approx(np.quantile(drawn, 0.5), abs=0.03)


def test_a_mixture_of_one_is_that_one():
    one = normal([1.0, 2.0], 0.3)
    assert np.abs(pool.mixed([one, one], [0.3, 0.7]) - one).max() < 0.02


def test_the_member_that_was_right_is_weighted():
    truth = RNG.normal(0, 1, 60)
    said = {"right": normal(truth + RNG.normal(0, 0.1, 60), 0.1), "off": normal(truth + 2.0, 0.1)}
    before = {"right": 0.5, "off": 0.5}
    found = pool.stacked(said, truth, np.arange(60), before)
    assert found["right"] > 0.8
    assert sum(found.values()) == pytest.approx(1)
    few = pool.stacked({n: q[:, :2] for n, q in said.items()}, truth[:2], np.arange(2), before)
    assert 0.5 < few["right"] < found["right"]  # what is believed before counts while there is little
    assert pool.stacked({n: q[:, :0] for n, q in said.items()}, truth[:0], np.arange(0), before) == before


def test_forecasts_of_one_target_count_once():
    truth = np.zeros(40)
    said = {
        "a": normal(np.r_[np.zeros(20), 3.0 * np.ones(20)], 0.2),
        "b": normal(np.r_[3.0 * np.ones(20), np.zeros(20)], 0.2),
    }
    before = {"a": 0.5, "b": 0.5}
    alone = pool.stacked(said, truth, np.arange(40), before)
    assert alone["a"] == pytest.approx(0.5, abs=0.02)
    together = pool.stacked(said, truth, np.r_[np.zeros(20, int), np.arange(1, 21)], before)
    assert together["b"] > 0.6  # twenty forecasts of one target, in which a was right


def test_the_crps_of_a_mixture_is_what_is_made_small():
    truth, first, second = RNG.normal(0, 1, 30), normal(np.zeros(30), 1.0), normal(np.zeros(30), 3.0)
    found = pool.stacked({"a": first, "b": second}, truth, np.arange(30), {"a": 0.5, "b": 0.5})
    best = crps(pool.mixed([first, second], list(found.values())), truth).mean()
    assert best <= crps(pool.mixed([first, second], [0.1, 0.9]), truth).mean()


def test_what_members_are_worth_before():
    found = pool.before(["x", "y", "z"], ["z"])
    assert sum(found.values()) == pytest.approx(1)
    assert found["z"] == pool.OF_LOSS
    assert found["x"] == found["y"] == (1 - pool.TRUST - pool.OF_LOSS) / 2
    assert pool.before(["x", "y"], [])["x"] == (1 - pool.TRUST) / 2


def test_evidence_that_is_no_number_counts_for_nothing():
    found = pool.by_evidence({"a": -10.0, "b": -14.0, "c": float("nan")}, {"a": 0.1, "b": 0.1, "c": 2.0})
    assert found["c"] == 0
    assert found["a"] / found["b"] == pytest.approx(np.exp(pool.COOL * 4))
