"""Decisions as values: quantiles with infinite draws, probabilities, words, curves, and what is refused."""

import json

import numpy as np
import pytest

from bayescale.decide.decision import Curve, Decision, curve, number, quantiles
from bayescale.words import plain


def made(**changes):
    draws = {"C": np.array([1e23, 2e23, 4e23, np.inf, np.nan]), "loss": np.full(5, 1.95)}
    whole = {
        "question": "compute_for",
        "asked": {"loss": 1.95, "corpus": "web"},
        "draws": draws,
        "units": {"C": "FLOP", "loss": "nats for each token"},
        "beyond": {"C": 0.3},
        "choice": {},
        "regret": None,
        "findings": (),
        "trouble": (),
    }
    return Decision(**(whole | changes))


def test_infinite_draws_count_and_unknown_ones_do_not():
    one = made()
    assert one.defined("C") == 0.6
    assert one.interval("C", 0.5) == pytest.approx((1.75e23, 3e23, np.inf))
    assert one.probability("C", below=3e23) == 0.5
    assert one.probability("C", above=3e23) == 0.5  # the infinite one among them
    assert one.probability("C", below=np.inf) == 0.75
    assert one.probability("C", above=1e23, below=4e23) == 0.25
    row = one.rows()[0]
    assert (row["quantity"], row["unit"], row["defined"], row["infinite"]) == ("C", "FLOP", 0.6, 0.2)
    assert quantiles(np.array([np.nan, np.nan]), (0.1, 0.5)) == pytest.approx([np.nan, np.nan], nan_ok=True)
    assert quantiles(np.array([np.inf, np.inf, -np.inf]), (0, 0.5, 1)) == [-np.inf, np.inf, np.inf]


def test_quantiles_of_finite_draws_are_those_of_numpy():
    values = np.random.default_rng(0).lognormal(50, 3, 999)
    np.testing.assert_allclose(quantiles(values, (0.05, 0.5, 0.95)), np.quantile(values, (0.05, 0.5, 0.95)))


def test_one_draw_has_no_interval():
    one = made(draws={"C": np.array([1e23])})
    assert one.interval("C") == pytest.approx((np.nan, 1e23, np.nan), nan_ok=True)
    assert one.verdict == "compute_for(loss = 1.95, corpus = web): C 1e23"


def test_a_verdict_says_the_interval_the_choice_what_it_wastes_and_that_the_fit_is_no_result():
    one = made(
        draws={"N": np.linspace(6e10, 8e10, 101)},
        units={"N": "parameters"},
        choice={"N": 7.04e10, "loss": 1.97441},
        regret=np.linspace(0, 0.1, 101),
    )
    assert one.verdict == (
        "compute_for(loss = 1.95, corpus = web): N 70B (90% 61B to 79B); choose N = 70.4B, loss = 1.974, which wastes "
        "5.0% of the compute on average and 9.5% or less in 95% of the draws"
    )
    bad = one.replace(trouble=("3 divergent draws of 4000",))
    assert bad.verdict.startswith("NOT CONVERGED (3 divergent draws of 4000): compute_for(")
    assert "a finite number in 60.0% of the draws" in made().verdict
    assert repr(one) == f"Decision({one.verdict})"
    assert made().advice == ""
    missed = one.replace(regret=np.where(np.arange(101) < 25, 1.0, 0.2))
    assert missed.advice.endswith(
        "which wastes 39.8% of the compute on average, all of it in 24.8% of the draws"
    )


def test_a_decision_is_json():
    found = json.loads(json.dumps(plain(made(regret=np.array([0.1, np.nan])).to_dict()), allow_nan=False))
    assert found["quantities"][0]["high"] is None  # infinite: see "infinite"
    assert found["quantities"][0]["infinite"] == 0.2
    assert found["regret"] == {"mean": 0.1, "q95": 0.1, "all": 0.0}
    assert found["asked"] == {"loss": 1.95, "corpus": "web"}
    assert plain({"x": [np.inf, -np.inf, np.nan, np.float64(1)]}, infinite=True) == {
        "x": ["inf", "-inf", None, 1.0]
    }


def test_a_curve_asks_the_same_of_each_value():
    asked = []

    def ask(C):
        asked.append(C)
        return made(draws={"gain": np.array([C, 2 * C])})

    found = curve(ask, C=[1.0, 3.0])
    assert asked == [1.0, 3.0]
    assert isinstance(found, Curve)
    assert len(found) == 2
    np.testing.assert_array_equal(found["gain"], [[1, 3], [2, 6]])
    np.testing.assert_allclose(found.interval("gain", 0.5), [[1.25, 3.75], [1.5, 4.5], [1.75, 5.25]])
    np.testing.assert_array_equal(found.probability("gain", above=1.5), [0.5, 1])
    assert [row["C"] for row in found.rows()] == [1.0, 3.0]
    assert repr(found) == "Curve(compute_for at 2 values of C)"


def test_what_is_refused():
    with pytest.raises(KeyError, match="compute_for has no quantity 'N'; it has C, loss"):
        made()["N"]
    with pytest.raises(ValueError, match="level is 90; it is a probability between 0 and 1"):
        made().interval("C", 90)
    with pytest.raises(ValueError, match=r"a curve is along one thing, as C=\[1e20, 1e22\]; given none"):
        curve(lambda C: made())
    with pytest.raises(ValueError, match="C has no values"):
        curve(lambda C: made(), C=[])


def test_numbers_are_written_in_their_unit():
    assert number(1.3e12, "tokens") == "1.3T"
    assert number(18.391, "tokens for each parameter") == "18.39"
    assert number(2.3e5) == "230k"
    assert number(np.inf, "FLOP") == "inf"
    assert number(np.nan) == ""
