"""Verdicts: on simulated suites of which it is known what they are, and what they say."""

import re

import jax
import numpy as np
import pytest

from bayescale.tasks.verdict import KINDS, Verdict, predictable, verdict

KEY = jax.random.key(0)
X = 10 ** np.linspace(19, 23, 8)


@pytest.fixture(scope="module")
def study(benchmark):
    return benchmark("verdicts")


@pytest.mark.parametrize("truth", ["diverse", "sharp", "flat", "erratic", "inverse"])
def test_what_a_simulated_suite_is(study, truth):
    """The seeds are fixed; of all suites of the study one in a hundred or fewer are called otherwise."""
    found = study.measure(truth, 0)
    assert found.kind == study.TRUTHS[truth]
    assert sum(found.probabilities.values()) == pytest.approx(1)
    assert tuple(found.probabilities) == KINDS


def test_what_a_step_is_called(study):
    found = study.measure("sharp", 0)
    assert str(found).startswith(("no smooth law; step: ", "not told: no smooth law; step: "))
    assert found.width[1] < 0.35


def test_a_step_that_is_not_seen_yet_is_not_predictable():
    """A hundred copies of one task, of which the largest model does none."""
    found = verdict(KEY, X, np.zeros(8), 100)
    assert found.kind == "not yet"
    labelled, why = predictable(found, 100.0, 25.0, {"1e20": 0.3, "1e21": 0.3})
    assert not labelled
    assert any("points above chance, under 5" in one for one in why)
    assert "no model is told from guessing" in why


def test_all_at_chance_is_not_yet():
    wins = np.array([24, 26, 25, 23, 27, 25, 24, 26])
    found = verdict(KEY, X, wins, 100, chance=0.25)
    assert found.kind == "not yet"
    assert found.best == pytest.approx(0.02)
    assert str(found) == "not yet: no model is told from guessing"


@pytest.mark.parametrize("wins", [np.full(8, 100), np.array([0, 0, 0, 0, 50, 50, 50, 50])])
def test_certain_success_and_unequal_attempts_have_a_verdict(wins):
    trials = np.array([100, 300, 100, 700, 100, 100, 50, 900])
    found = verdict(KEY, X, np.minimum(wins, trials), trials)
    assert np.isfinite(list(found.probabilities.values())).all()


def made(kind, probability=0.97, **changes):
    rest = (1 - probability) / (len(KINDS) - 1)
    named = "constant" if kind == "not yet" else kind
    told = {one: probability if one == named else rest for one in KINDS}
    given = {
        "kind": kind,
        "probabilities": told,
        "log_evidence": {one: float(np.log(value)) for one, value in told.items()},
        "width": np.array([1.0, 2.0, 3.0]) if kind in ("sharp", "smooth") else np.full(3, np.nan),
        "best": 0.6,
        "trouble": (),
    }
    return Verdict(**{**given, **changes})


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (made("smooth"), "a smooth law: 2 decades (1 to 3) from 10% to 90% (probability 0.97)"),
        (made("sharp"), "no smooth law; step: 2 decades (1 to 3) from 10% to 90% (probability 0.97)"),
        (made("constant"), "no law: success does not change (probability 0.97)"),
        (made("not yet"), "not yet: no model is told from guessing"),
        (
            made("erratic"),
            "no law: success differs from model to model and follows nothing (probability 0.97)",
        ),
        (made("inverse"), "inverse: success falls (probability 0.97)"),
        (made("broken", 0.6), "not told: a law that turns (probability 0.6)"),
        (
            made("constant", trouble=("x", "y")),
            "NOT TO BE USED: x; y; no law: success does not change (probability 0.97)",
        ),
    ],
)
def test_what_verdicts_say(found, expected):
    assert str(found) == expected


def test_a_suite_is_predictable_if_everything_speaks_for_it():
    skills = {"1e19": -0.1, "1e20": 0.2, "1e21": 0.1}
    assert predictable(made("smooth"), 40.0, 25.0, skills) == (True, ())
    for change, message in (
        ((made("smooth", 0.9), 40.0, 25.0, skills), "the probability of a smooth law is 0.9, under 0.95"),
        (
            (made("smooth", best=0.03), 40.0, 25.0, skills),
            "the best score is 3 points above chance, under 5",
        ),
        (
            (made("smooth"), 4.0, 25.0, skills),
            "its tasks are worth 4 independent ones, and the error wanted takes 25",
        ),
        (
            (made("smooth"), float("nan"), 25.0, skills),
            "how many independent tasks it is worth is not known",
        ),
        (
            (made("smooth"), 40.0, 25.0, {"1e19": 0.1, "1e20": -0.2}),
            "forecasts beat the best baseline at 1 cutoffs of 2; it takes two",
        ),
        ((made("smooth", trouble=("odd",)), 40.0, 25.0, skills), "odd"),
    ):
        labelled, why = predictable(*change)
        assert not labelled
        assert why == (message,)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"along": X[:5]}, "there are 5 models; a verdict takes 6"),
        (
            {"along": np.full(8, 1e20)},
            "every model has the same value of the covariate, which nothing can follow",
        ),
        ({"chance": 1.0}, "chance is 1.0; it is the success of guessing, from 0 to 1"),
        ({"successes": np.full(8, 200)}, "table, rows 1, 2, 3 and 5 more: column successes is 200"),
    ],
)
def test_what_is_refused(changes, message):
    given = {"along": X, "successes": np.arange(8), "trials": 100, "chance": 0.0}
    with pytest.raises(ValueError, match=re.escape(message)):
        verdict(KEY, **{**given, **changes})
