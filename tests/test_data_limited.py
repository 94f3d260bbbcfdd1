"""The data wall: the optimum of Muennighoff's law, by scipy too, and where it is none."""

import re

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from bayescale import models
from bayescale.check.published import published
from bayescale.decide.allocate import compute_optimal
from bayescale.decide.data_limited import data_limited_optimal
from tests.made import BESIROGLU
from tests.test_surface import MUENNIGHOFF

FIT = published(models.load("data_constrained"), MUENNIGHOFF)


def loss_by_hand(N, D, U, *, E, A, B, alpha, beta, R_D, R_N):
    U = min(U, D)
    G = (alpha * A / (beta * B)) ** (1 / (alpha + beta))
    N_U = G * (G * U) ** (beta / alpha)
    worth = [
        unique + unique * R * (1 - np.exp(-(used / unique - 1) / R)) if used > unique else used
        for used, unique, R in ((N, N_U, R_N), (D, U, R_D))
    ]
    return E + A * worth[0] ** -alpha + B * worth[1] ** -beta


def test_the_data_wall():
    found = data_limited_optimal(FIT, 1e22, 25e9)
    assert found["D"][0] == pytest.approx(2.37209e11, rel=1e-3)
    assert found["epochs"][0] == pytest.approx(9.488, rel=1e-3)
    assert found["N"][0] == pytest.approx(7.02616e9, rel=1e-3)
    assert found["loss"][0] == pytest.approx(2.222129, abs=1e-6)
    by_scipy = minimize_scalar(
        lambda x: loss_by_hand(np.exp(x), 1e22 / 6 / np.exp(x), 25e9, **MUENNIGHOFF),
        bounds=(21, 25),
        method="bounded",
        options={"xatol": 1e-10},
    )
    assert np.log(found["N"][0]) == pytest.approx(by_scipy.x, abs=1e-5)
    assert found["loss"][0] == pytest.approx(by_scipy.fun, rel=1e-12)
    assert found.choice["epochs"] == pytest.approx(9.488, rel=1e-3)
    assert found.asked == {"C": 1e22, "U": 25e9}
    assert found.regret[0] < 1e-9


def test_a_budget_far_beyond_the_wall():
    found = data_limited_optimal(FIT, 1e24, 1e11)
    assert found["epochs"][0] == pytest.approx(27.2, abs=0.05)
    assert found["N"][0] == pytest.approx(6.13e10, rel=1e-3)
    # What repeating costs: with new tokens the same loss would take so much less compute, by the tied closed form.
    A, B, E, alpha = (MUENNIGHOFF[p] for p in ("A", "B", "E", "alpha"))
    K = 2 * np.sqrt(A * B)
    needed = 6 * (K / (found["loss"][0] - E)) ** (2 / alpha)
    assert found["cost of repeating"][0] == pytest.approx(1 - needed / 1e24, rel=1e-8)
    assert found["excess loss"][0] == pytest.approx(
        found["loss"][0] - E - K * (1e24 / 6) ** (-alpha / 2), rel=1e-9
    )


def test_where_there_are_enough_tokens_it_is_the_compute_optimum():
    found = data_limited_optimal(FIT, 1e22, 1e13)
    plain = published(models.load("chinchilla"), {p: MUENNIGHOFF[p] for p in BESIROGLU})
    best = compute_optimal(plain, 1e22)
    assert found["N"] == pytest.approx(best["N"], rel=1e-6)
    assert found["loss"] == pytest.approx(best["loss"], rel=1e-12)
    assert found["epochs"][0] < 1
    assert found["excess loss"][0] == pytest.approx(0, abs=1e-12)
    held = compute_optimal(FIT, 1e22, at={"U": 25e9})
    assert held["N"] == pytest.approx(data_limited_optimal(FIT, 1e22, 25e9)["N"], rel=1e-9)


def test_what_is_refused():
    plain = published(models.load("chinchilla"), BESIROGLU)
    with pytest.raises(ValueError, match="law chinchilla does not know of unique tokens; fit one in U"):
        data_limited_optimal(plain, 1e22, 1e11)
    with pytest.raises(ValueError, match="unique is 0; it is a positive number"):
        data_limited_optimal(FIT, 1e22, 0)
    with pytest.raises(ValueError, match="the best N for 1e22 FLOP is at or beyond the bound 1B"):
        data_limited_optimal(FIT, 1e22, 1e11, bounds=(1e6, 1e9))
    with pytest.raises(ValueError, match=re.escape("hold U, as at={'U': 1e11}")):
        compute_optimal(FIT, 1e22)
