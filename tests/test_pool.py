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
    found = pool.mixed([first, second], np.array([[0.25], [0.75]]))
    drawn = np.where(RNG.random(200_000) < 0.25, RNG.normal(0, 1, 200_000), RNG.normal(3, 0.5, 200_000))
    # Of 200,000 draws quantiles are good to 0.01 where the density is not small.
    assert np.abs(found[:, 0] - np.quantile(drawn, PROBABILITIES))[5:-5].max() < 0.1
    assert np.median(found) == pytest.approx(np.quantile(drawn, 0.5), abs=0.03)


def test_a_mixture_of_one_is_that_one():
    one = normal([1.0, 2.0], 0.3)
    assert np.abs(pool.mixed([one, one], np.array([[0.3, 3.0], [0.7, 1.0]])) - one).max() < 0.02


def ones(names, count):
    return {name: np.ones(count) for name in names}


def test_the_member_that_was_right_is_weighted():
    truth = RNG.normal(0, 1, 60)
    said = {"right": normal(truth + RNG.normal(0, 0.1, 60), 0.1), "off": normal(truth + 2.0, 0.1)}
    prior = {"right": 0.5, "off": 0.5}
    found = pool.stacked(said, ones(said, 60), truth, np.arange(60), prior)
    assert found["right"] > 0.8
    assert sum(found.values()) == pytest.approx(1)
    part = {n: q[:, :2] for n, q in said.items()}
    few = pool.stacked(part, ones(said, 2), truth[:2], np.arange(2), prior)
    assert 0.5 < few["right"] < found["right"]  # what is believed before counts while there is little
    none = {n: q[:, :0] for n, q in said.items()}
    assert pool.stacked(none, ones(said, 0), truth[:0], np.arange(0), prior) == prior


def test_forecasts_of_one_target_count_once():
    truth, near, far = np.zeros(40), np.zeros(20), 3.0 * np.ones(20)
    said = {"a": normal(np.r_[near, far], 0.2), "b": normal(np.r_[far, near], 0.2)}
    prior = {"a": 0.5, "b": 0.5}
    alone = pool.stacked(said, ones(said, 40), truth, np.arange(40), prior)
    assert alone["a"] == pytest.approx(0.5, abs=0.02)
    unit = np.r_[np.zeros(20, int), np.arange(1, 21)]  # twenty forecasts of one target, in which a was right
    assert pool.stacked(said, ones(said, 40), truth, unit, prior)["b"] > 0.6


def test_the_crps_of_a_mixture_is_what_is_made_small():
    truth, first, second = RNG.normal(0, 1, 30), normal(np.zeros(30), 1.0), normal(np.zeros(30), 3.0)
    said = {"a": first, "b": second}
    found = pool.stacked(said, ones(said, 30), truth, np.arange(30), {"a": 0.5, "b": 0.5})

    def crps_of(a):
        return crps(pool.mixed([first, second], np.outer([a, 1 - a], np.ones(30))), truth).mean()

    assert crps_of(found["a"]) <= crps_of(0.1)


def test_what_evidence_leaves_nothing_of_teaches_nothing():
    """A member without evidence in the forecasts where it was wrong is not blamed for them."""
    truth = np.zeros(40)
    said = {"a": normal(np.zeros(40), 0.3), "b": normal(np.r_[np.zeros(20), 5.0 * np.ones(20)], 0.3)}
    prior = {"a": 0.5, "b": 0.5}
    blamed = pool.stacked(said, ones(said, 40), truth, np.arange(40), prior)
    lift = {"a": np.ones(40), "b": np.r_[np.ones(20), np.zeros(20)]}
    spared = pool.stacked(said, lift, truth, np.arange(40), prior)
    assert blamed["b"] < 0.3
    assert spared["b"] == pytest.approx(0.5, abs=0.05)


def test_what_members_are_worth_before():
    found = pool.before(["x", "y", "z", "flat"], ["z"], ["flat"])
    assert sum(found.values()) == pytest.approx(1)
    assert found["z"] == pool.OF_LOSS
    assert found["x"] == found["y"] == pytest.approx(found["flat"] / pool.NO_LAW)
    assert pool.before(["x", "y"], [], [])["x"] == 0.5


def test_evidence_that_is_no_number_counts_for_nothing():
    found = pool.lifted({"a": -10.0, "b": -14.0, "c": float("nan")})
    assert found == {"a": 1.0, "b": pytest.approx(np.exp(-4 * pool.COOL)), "c": 0.0}
