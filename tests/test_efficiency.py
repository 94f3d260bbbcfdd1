"""Runs off the optimum, and rules of thumb: against closed forms, tables of papers, and each other."""

import numpy as np
import pytest

from bayescale import models
from bayescale.check.published import published
from bayescale.decide.allocate import compute_optimal
from bayescale.decide.efficiency import efficiency, regret, rule_of_thumb
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


# Hoffmann et al. 2022, table 3: parameters, FLOP and tokens of the optimum by their approach 1.
TABLE_3 = [
    (400e6, 1.92e19, 8.0e9),
    (1e9, 1.21e20, 20.2e9),
    (10e9, 1.23e22, 205.1e9),
    (67e9, 5.76e23, 1.5e12),
    (175e9, 3.85e24, 3.7e12),
    (280e9, 9.90e24, 5.9e12),
    (520e9, 3.43e25, 11.0e12),
    (1e12, 1.27e26, 21.2e12),
    (10e12, 1.30e28, 216.2e12),
]


@pytest.mark.parametrize(("N", "C", "D"), TABLE_3)
def test_twenty_tokens_for_each_parameter_is_table_3(N, C, D):
    found = rule_of_thumb(C)
    # A row between 19.9 and 22.4 tokens for each parameter: the root of 22.4 / 20 is 1.06.
    assert found["N"][0] == pytest.approx(N, rel=0.06)
    assert found["D"][0] == pytest.approx(D, rel=0.09)  # and tokens of 67B and more have two digits


@pytest.mark.parametrize(("N", "D"), [(1e9, 20e9), (7e9, 140e9), (70e9, 1.4e12), (175e9, 3.5e12)])
def test_the_rule_is_exact_for_its_own_table(N, D):
    found = rule_of_thumb(6 * N * D, 20)
    assert (found["N"][0], found["D"][0], found["D/N"][0]) == pytest.approx((N, D, 20))
    assert found.regret is None


def test_a_rule_is_judged_by_a_fit():
    fit = fit_of("chinchilla", some(BESIROGLU, sd=0.02))
    found = rule_of_thumb(COMPUTE, fit=fit)
    by_size = efficiency(fit, N=found.choice["N"], D=found.choice["D"])
    np.testing.assert_array_equal(found.regret, by_size["deadweight loss"])
    assert found.regret.mean() > compute_optimal(fit, COMPUTE).regret.mean()
    assert found.asked == {"C": COMPUTE, "D/N": 20.0}
    assert set(found["N"]) == {found.choice["N"]}


def test_what_is_refused():
    with pytest.raises(ValueError, match="N is 0; it is a positive number"):
        efficiency(POINT, N=0, D=1e9)
    with pytest.raises(ValueError, match="ratio is -20; it is a positive number"):
        rule_of_thumb(1e22, -20)
    with pytest.raises(ValueError, match="levels and covariates are of a fit; give fit="):
        rule_of_thumb(1e22, corpus="x")
