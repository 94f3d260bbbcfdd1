"""Runs off the optimum: against closed forms, and each other."""

import numpy as np
import pytest

from bayescale import models
from bayescale.check.published import published
from bayescale.decide.allocate import compute_optimal
from bayescale.decide.efficiency import efficiency, regret
from tests.made import BESIROGLU, closed_form, fit_of, some

POINT = published(models.load("chinchilla"), BESIROGLU)
COMPUTE = 5.76e23


def test_gopher_and_chinchilla():
    gopher, chinchilla = efficiency(POINT, N=280e9, D=300e9), efficiency(POINT, N=70e9, D=1.4e12)
    assert gopher["efficiency"][0] == pytest.approx(0.497, abs=5e-4)
    assert chinchilla["efficiency"][0] == pytest.approx(0.999, abs=5e-4)
    assert gopher["loss"][0] == pytest.approx(1.9996, abs=6e-5)
    assert chinchilla["loss"][0] == pytest.approx(1.9739, abs=6e-5)
    assert gopher["deadweight loss"][0] == 1 - gopher["efficiency"][0]
    assert gopher["C needed"][0] == pytest.approx(0.497 * 5.04e23, rel=1e-3)


def test_what_twice_the_best_size_costs():
    """The excess is near (L* - E) alpha beta u^2 / 2 and C / C_eq - 1 near (alpha + beta) u^2 / 2, u = ln(N / N*)."""
    N, D, least = closed_form(COMPUTE, **BESIROGLU)
    found = efficiency(POINT, N=2 * N, D=D / 2)
    alpha, beta, E = BESIROGLU["alpha"], BESIROGLU["beta"], BESIROGLU["E"]
    near = (least - E) * alpha * beta * np.log(2) ** 2 / 2
    assert found["excess loss"][0] == pytest.approx(0.00485, abs=6e-6)
    assert found["excess loss"][0] == pytest.approx(near, rel=0.02)
    assert 1 / found["efficiency"][0] - 1 == pytest.approx(0.186, abs=5e-4)
    assert (alpha + beta) * np.log(2) ** 2 / 2 == pytest.approx(0.171, abs=5e-4)


def test_the_efficiency_of_every_draw_has_a_closed_form():
    natural = some(BESIROGLU)
    found = efficiency(fit_of("chinchilla", natural), N=3e10, D=2e12)
    A, B, alpha, beta = (natural[p] for p in ("A", "B", "alpha", "beta"))
    G, gamma = (alpha * A / (beta * B)) ** (1 / (alpha + beta)), alpha * beta / (alpha + beta)
    K = A * G**-alpha + B * G**beta
    needed = 6 * (K / (A * 3e10**-alpha + B * 2e12**-beta)) ** (1 / gamma)
    np.testing.assert_allclose(found["C needed"], needed, rtol=1e-9)


def test_a_best_run_wastes_nothing():
    best = compute_optimal(POINT, 1e22)
    found = efficiency(POINT, N=best["N"][0], D=best["D"][0])
    assert 0 <= found["deadweight loss"][0] < 1e-9
    assert found["excess loss"][0] == pytest.approx(0, abs=1e-12)


def test_the_regret_curve_is_the_deadweight_loss_of_each_size():
    fit = fit_of("chinchilla", some(BESIROGLU, sd=0.02))
    sizes = np.geomspace(1e10, 1e12, 9)
    found = regret(fit, COMPUTE, N=sizes)
    assert found["deadweight loss"].shape == (200, 9)
    for i in (0, 4, 8):
        one = efficiency(fit, N=sizes[i], D=COMPUTE / 6 / sizes[i])
        # A cubic between 65 budgets.
        np.testing.assert_allclose(found["deadweight loss"][:, i], one["deadweight loss"], atol=1e-6)
        np.testing.assert_allclose(found["excess loss"][:, i], one["excess loss"], rtol=1e-9, atol=1e-14)
    best = compute_optimal(fit, COMPUTE)
    at_choice = regret(fit, COMPUTE, N=[best.choice["N"]])
    np.testing.assert_allclose(at_choice["deadweight loss"][:, 0], best.regret, atol=1e-6)


def test_what_is_refused():
    with pytest.raises(ValueError, match="N is 0; it is a positive number"):
        efficiency(POINT, N=0, D=1e9)
