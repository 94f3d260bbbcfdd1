"""What some laws have to satisfy besides: where one is another, and M4, repeated data, routing and success."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import betaln

from bayescale import models
from tests.test_laws import designs, prior_draws

# One law is another where a parameter has a certain value.

TWO_AXES = {"N": jnp.array([0.01, 0.5, 1.0, 40.0]), "D": jnp.array([3.0, 0.02, 1.0, 0.1])}
ONE_AXIS = {"x": jnp.array([0.01, 0.5, 1.0, 40.0])}
TERMS = {"A": 0.2, "B": 0.3, "alpha": 0.34, "beta": 0.28}


@pytest.mark.parametrize(
    ("covariates", "name", "parameters", "other", "others"),
    [
        (TWO_AXES, "coupled", {"E": 0.7, **TERMS, "k": 1.0}, "chinchilla", {"E": 0.7, **TERMS}),
        (TWO_AXES, "coupled", {"E": 0.7, **TERMS, "k": 0.28}, "kaplan_floor", {"E": 0.7, **TERMS}),
        (TWO_AXES, "kaplan_floor", {"E": 0.0, **TERMS}, "kaplan", TERMS),
        (
            TWO_AXES,
            "chinchilla_tied",
            {"E": 0.7, "A": 0.2, "B": 0.3, "alpha": 0.34},
            "chinchilla",
            {"E": 0.7, "A": 0.2, "B": 0.3, "alpha": 0.34, "beta": 0.34},
        ),
        (
            TWO_AXES,
            "kaplan_additive",
            {"E": 0.7, "N_c": 0.2 ** (1 / 0.34), "D_c": 0.3 ** (1 / 0.28), "alpha": 0.34, "beta": 0.28},
            "chinchilla",
            {"E": 0.7, **TERMS},
        ),
        (
            {**TWO_AXES, "U": 1e6 * TWO_AXES["D"]},
            "data_constrained",
            {"E": 0.7, **TERMS, "R_D": 15.0, "R_N": 5.0},
            "chinchilla",
            {"E": 0.7, **TERMS},
        ),
        (
            ONE_AXIS,
            "broken_power",
            {"E": 0.7, "A": 0.2, "alpha": 0.3, "shift": 0.0, "location": 2.0, "sharpness": 0.3},
            "power_floor",
            {"E": 0.7, "A": 0.2, "alpha": 0.3},
        ),
        (ONE_AXIS, "power_floor", {"E": 0.0, "A": 0.2, "alpha": 0.3}, "power", {"A": 0.2, "alpha": 0.3}),
        (
            ONE_AXIS,
            "shifted_power",
            {"A": 0.2, "alpha": 0.3, "gamma": 0.0},
            "power",
            {"A": 0.2, "alpha": 0.3},
        ),
        (
            {**ONE_AXIS, "chance": 0.2},
            "logistic_chance",
            {"threshold": 2.0, "slope": 1.3, "lapse": 0.1},
            "logistic",
            {"threshold": 2.0, "slope": 1.3, "lapse": 0.1, "floor": 0.2},
        ),
        (
            ONE_AXIS,
            "logistic",
            {"threshold": 2.0, "slope": 1.3, "floor": 0.2, "lapse": 0.0},
            "logistic_floor",
            {"threshold": 2.0, "slope": 1.3, "floor": 0.2},
        ),
        (  # 10% to 90% in 4.394 / slope decades
            ONE_AXIS,
            "step",
            {"threshold": 2.0, "width": np.log(81) / 1.3, "floor": 0.2, "rise": 0.9},
            "logistic",
            {"threshold": 2.0, "slope": 1.3, "floor": 0.2, "lapse": 0.1},
        ),
        (
            ONE_AXIS,
            "staircase",
            {"threshold": 2.0, "gap": 50.0, "share": 1.0, "width": 0.3, "floor": 0.2, "rise": 0.9},
            "step",
            {"threshold": 2.0, "width": 0.3, "floor": 0.2, "rise": 0.9},
        ),
        (
            ONE_AXIS,
            "broken_success",
            {"E": 0.0, "A": 0.7, "alpha": 0.1, "shift": 0.0, "location": 2.0, "sharpness": 0.3},
            "success_power",
            {"A": 0.7, "alpha": 0.1},
        ),
        (
            {"minutes": jnp.array([1.0, 9.0]), "date": jnp.array([2023.5, 2024.7])},
            "time_horizon_break",
            {"horizon": 4.0, "before": 0.6, "after": 0.6, "change": 2024.1, "slope": 0.5},
            "time_horizon",
            {"horizon": 4.0, "doubling": 0.6, "slope": 0.5},
        ),
        (  # one minute as likely to end it as the next: log p is a power of 1 / minutes
            {"minutes": 1 / ONE_AXIS["x"], "date": 2024.0, "x": ONE_AXIS["x"]},
            "time_survival",
            {"horizon": 4.0, "doubling": 0.6, "shape": 1.0},
            "success_power",
            {"A": np.log(2) / 4, "alpha": 1.0},
        ),
        (  # with a = 0 there is no chance level in M4, and it is a power law with a floor
            {"x": jnp.array([0.5, 1.0, 40.0])},
            "m4",
            {"E": 0.7, "L0": 5.0, "A": 0.2, "alpha": 0.3, "a": 1e-4},
            "power_floor",
            {"E": 0.7, "A": 0.2, "alpha": 0.3},
        ),
    ],
)
def test_a_law_that_is_another(covariates, name, parameters, other, others):
    value = models.load(name)(covariates, parameters)
    # 1e-4: the a of the last case
    np.testing.assert_allclose(
        value, models.load(other)(covariates, others), rtol=1e-4 if name == "m4" else 1e-5
    )


def test_the_exponents_of_a_broken_power_law():
    with jax.enable_x64(True):
        law = models.load("broken_power")
        p = {"E": 0.0, "A": 2.0, "alpha": 0.5, "shift": 0.3, "location": 7.0, "sharpness": 0.2}
        slope = jax.grad(lambda log_x: jnp.log(law({"x": jnp.exp(log_x)}, p)))
        assert slope(jnp.log(7e-3)) == pytest.approx(-0.5, abs=1e-10)
        assert slope(jnp.log(7.0)) == pytest.approx(-0.65, abs=1e-10)
        assert slope(jnp.log(7e3)) == pytest.approx(-0.8, abs=1e-10)


def test_the_floor_of_a_shifted_power_law():
    assert models.load("shifted_power")({"x": 1e9}, {"A": 2.0, "gamma": 0.25, "alpha": 0.5}) == pytest.approx(
        1.0
    )


# M4 is implicit.

M4 = {"E": 0.7, "L0": 4.0, "A": 0.1, "alpha": 0.4, "a": 1.7}


@pytest.mark.parametrize("a", [0.01, 0.05, 0.3, 1.0, 1.7, 10.0, 100.0])
def test_m4_solves_its_equation(a):
    with jax.enable_x64(True):
        law, p = models.load("m4"), {**M4, "a": a}
        for x in (1e-6, 0.03, 1.0, 70.0, 1e6):

            def levels(t):  # above the floor, and below chance
                return (p["L0"] - p["E"]) / (1 + np.exp([-t, t]))

            def equation(t, x=x):
                above, below = np.log(levels(t))
                return above - a * below - np.log(p["A"]) + p["alpha"] * np.log(x)

            root = p["E"] + levels(brentq(equation, -500, 500, xtol=1e-13))[0]
            assert law({"x": x}, p) == pytest.approx(root, rel=1e-12)


def test_m4_is_between_its_levels():
    law = models.load("m4")
    assert law({"x": 1e-30}, M4) == pytest.approx(4.0)
    assert law({"x": 1e30}, M4) == pytest.approx(0.7)


def test_the_derivatives_of_m4_are_those_of_its_equation():
    with jax.enable_x64(True):
        law = models.load("m4")
        names = list(M4)

        def of(vector, x=3.0):
            return law({"x": x}, dict(zip(names, vector, strict=True)))

        at, step = jnp.array(list(M4.values())), 1e-5
        steps = step * jnp.eye(len(names))
        gradient = [(of(at + s) - of(at - s)) / (2 * step) for s in steps]
        # Central differences: an error of order step squared, and 1e-16 / step of rounding
        np.testing.assert_allclose(jax.grad(of)(at), gradient, rtol=1e-7)
        np.testing.assert_allclose(jax.jacfwd(of)(at), jax.grad(of)(at), rtol=1e-12)
        hessian = [(jax.grad(of)(at + s) - jax.grad(of)(at - s)) / (2 * step) for s in steps]
        np.testing.assert_allclose(jax.jit(jax.hessian(of))(at), hessian, rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(jax.jacrev(jax.grad(of))(at), hessian, rtol=1e-6, atol=1e-8)


def test_m4_in_single_precision_is_m4_in_double():
    law = models.load("m4")
    draws, relative = prior_draws(law), designs(law)
    single = jax.jit(jax.vmap(lambda c, p: law(c, p)))(relative, draws)
    with jax.enable_x64(True):
        wide = [{k: jnp.asarray(np.asarray(v, np.float64)) for k, v in d.items()} for d in (relative, draws)]
        double = law(*wide)
        assert double.dtype == jnp.float64
    np.testing.assert_allclose(single, double, rtol=1e-5)


# Repeated data.

REPEATED = {"E": 0.7, **TERMS, "R_D": 15.0, "R_N": 5.0}


def test_repeated_tokens_change_the_law_without_a_jump_in_the_gradient():
    with jax.enable_x64(True):
        law = models.load("data_constrained")
        G = (0.34 * 0.2 / (0.28 * 0.3)) ** (1 / 0.62)
        best = G * (G * 2.0) ** (0.28 / 0.34)  # the compute-optimal N for U = 2
        slope = jax.grad(lambda d, n, u: law({"N": n, "D": d, "U": u}, REPEATED), argnums=(0, 1, 2))
        for at in ((2.0, 0.1), (0.5, best), (2.0, best)):
            below, above = (slope(at[0] * f, at[1] * f, 2.0) for f in (1 - 1e-9, 1 + 1e-9))
            np.testing.assert_allclose(below, above, rtol=1e-7, atol=1e-9)


def test_the_units_of_tokens_and_of_unique_tokens_are_one():
    law = models.load("data_constrained")
    with pytest.raises(
        ValueError, match=r"D is measured against 3\.0 and U against 2\.0; D/U has to be the number"
    ):
        law.to_natural(REPEATED, {"N": 1.0, "D": 3.0, "U": 2.0}, 1.0)
    inside = jax.jit(lambda d: law.to_natural(REPEATED, {"N": 2.0, "D": d, "U": d}, 1.0))(3.0)
    assert inside["B"] == pytest.approx(0.3 * 3**0.28)


# Routing.


def test_the_experts_of_clark():
    """e is E_start at one expert and E_max at infinitely many."""
    law = models.load("routed")
    p = {"a": 0.0, "b": 1.0, "c": 0.0, "d": 0.0, "shift": 1 / (1 / 1.847 - 1 / 314.5) - 1, "E_max": 314.5}
    assert law({"N": 1.0, "experts": 1.0}, p) == pytest.approx(1.847)
    assert law({"N": 1.0, "experts": 1e12}, p) == pytest.approx(314.5)


# Success.


def test_a_curve_that_falls_is_one_that_rises_upside_down():
    p = {"threshold": 2.0, "slope": 1.3, "floor": 0.0, "lapse": 0.0}
    up, down = (models.load(name)(ONE_AXIS, p) for name in ("logistic", "inverse"))
    np.testing.assert_allclose(up + down, 1, rtol=1e-6)


@pytest.mark.parametrize("k", [1.0, 7.0, 100.0, 1e5])
@pytest.mark.parametrize(("first", "alpha"), [(0.5, 1.0), (0.02, 0.15), (0.3, 0.4), (0.9, 12.0)])
def test_pass_at_k_is_that_of_rates_with_a_beta_distribution(k, first, alpha):
    with jax.enable_x64(True):
        beta = alpha * (1 - first) / first
        failed = np.exp(betaln(alpha, beta + k) - betaln(alpha, beta))
        # SciPy's betaln is the difference of large numbers where k is large.
        assert models.load("pass_at_k")({"k": k}, {"first": first, "alpha": alpha}) == pytest.approx(
            1 - failed, rel=1e-8
        )


def test_pass_at_k_is_the_average_over_problems():
    """False-alarm rate: 1e-6, at a fixed seed."""
    rates = np.random.default_rng(0).beta(0.4, 1.2, 200_000)
    for k in (1, 10, 1000):
        solved = 1 - (1 - rates) ** k
        expected = models.load("pass_at_k")({"k": float(k)}, {"first": 0.25, "alpha": 0.4})
        assert abs(solved.mean() - float(expected)) < 5 * solved.std() / np.sqrt(len(rates))


def test_the_slope_of_pass_at_k_is_alpha():
    with jax.enable_x64(True):
        law, p = models.load("pass_at_k"), {"first": 0.05, "alpha": 0.4}
        slope = jax.grad(lambda log_k: jnp.log(-jnp.log(law({"k": jnp.exp(log_k)}, p))))
        assert slope(jnp.log(1e9)) == pytest.approx(-0.4, abs=1e-3)  # it gets there as k^-0.4


def test_a_horizon_doubles_in_its_time_and_faster_after_a_break():
    with jax.enable_x64(True):
        p = {"horizon": 5.0, "before": 0.6, "after": 0.3, "change": 2024.6, "slope": 0.6}
        law = models.load("time_horizon_break")
        # The corner is rounded: 0.002 of a doubling away after six tenths of a year, 0.1 ln 2 (1 / .3 - 1 / .6) at it.
        for date, minutes in ((2024.0, 5.0), (2025.2, 40.0), (2023.4, 2.5)):
            assert law({"minutes": minutes, "date": date}, p) == pytest.approx(0.5, abs=5e-4)
        corner = 10 * 2 ** (0.1 * np.log(2) / 0.6)
        assert law({"minutes": corner, "date": 2024.6}, p) == pytest.approx(0.5)
