"""What every law must satisfy, run on each file of models/, and what some have to besides."""

import doctest
import importlib
import re

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy.optimize import brentq
from scipy.special import betaln

from bayescale import models
from bayescale.law import Law

DRAWS = 1000
REFERENCE = {
    "N": 8.5e8,
    "D": 1.7e10,
    "U": 1.7e10,
    "experts": 29.0,
    "x": 3e20,
    "loss": 2.5,
    "minutes": 30.0,
}  # U in the unit of D
UNIT = 2.3
# Covariates that are taken as they are, and those of which more makes success harder.
ABSOLUTE = {"chance": (0.0, 0.7), "date": (2019.0, 2027.0), "k": (1.0, 1e4)}
HARDER = ("loss", "minutes")

# Where more of a covariate may make the loss worse: which draws are excused, and why.
EXCUSED = {
    "loglinear": lambda relative, p: p["m"] > 0,  # a null has no opinion on the sign of the trend
    "broken_power": lambda relative, p: p["shift"] < -p["alpha"],  # the exponent after the break is negative
    # The interaction lets experts harm large models and size harm much routed ones, as Clark's law does.
    "inverse": lambda relative, p: np.ones(DRAWS, bool),  # what it is for
    "broken_success": lambda relative, p: p["shift"] < -p["alpha"],
    "routed": lambda relative, p: (
        (p["a"] + p["c"] * saturated(relative, p) > -1e-3)
        | (p["b"] + p["c"] * jnp.log10(relative["N"] * jnp.array([1.0, 1.3])[:, None]).max(0) > -1e-3)
    ),
}


def saturated(relative, p):
    """The largest log10 of the experts that count, at experts and 1.3 times as many."""
    return -jnp.log10(1 / (1.3 * relative["experts"] + p["shift"]) + 1 / p["E_max"])


def prior_draws(law, seed=0, draws=DRAWS):
    keys = jax.random.split(jax.random.key(seed), len(law.priors))
    return {
        name: prior.sample(k, (draws,)) for k, (name, prior) in zip(keys, law.priors.items(), strict=True)
    }


def designs(law, seed=1, draws=DRAWS):
    """Covariates relative to the reference run, three decades to either side; absolute ones in their range."""
    keys = jax.random.split(jax.random.key(seed), max(len(law.covariates), 1))
    found = {}
    for k, c in zip(keys, law.covariates, strict=False):
        low, high = ABSOLUTE.get(c, (-3.0, 3.0))
        drawn = jax.random.uniform(k, (draws,), minval=low, maxval=high)
        found[c] = drawn if c in law.absolute else 10**drawn
    return found


def unit_of(law):
    """The response that counts as 1: of success nothing but 1."""
    return UNIT if law.response == "loss" else 1.0


@pytest.fixture(params=models.names())
def law(request) -> Law:
    return models.load(request.param)


def module(law):
    return importlib.import_module(f"bayescale.models.{law.name}")


def test_the_catalogue():
    assert models.names() == sorted(models.names())
    assert {"chinchilla", "kaplan", "power_floor", "m4", "data_constrained", "routed"} <= set(models.names())
    with pytest.raises(
        KeyError, match="there is no law 'nonesuch'; there are broken_power, broken_success, "
    ):
        models.load("nonesuch")


@pytest.mark.parametrize("name", models.names())
def test_the_name_is_the_name_of_the_file(name):
    assert models.load(name).name == name


def test_it_says_where_it_is_from(law):
    assert law.source


def test_the_docstring_gives_the_formula(law):
    text = module(law).__doc__ or ""
    formulas = re.findall(r"^    (\S.* = .*)$", text, flags=re.MULTILINE)
    assert formulas
    for symbol in (*law.covariates, *law.parameters):
        assert re.search(rf"(?<![A-Za-z_]){symbol}(?![A-Za-z_])", "\n".join(formulas)), (
            f"{symbol} is not in it"
        )


def test_the_docstring_of_mean_has_an_example_that_runs(law):
    (found,) = doctest.DocTestFinder().find(module(law).mean, "mean", globs={"mean": module(law).mean})
    results = doctest.DocTestRunner().run(found)
    assert results.attempted > 0
    assert results.failed == 0


def test_each_parameter_has_a_prior(law):
    assert set(law.priors) == set(law.parameters)
    assert set(law.spread) <= set(law.parameters)
    assert all(isinstance(prior, dist.Distribution) for prior in law.priors.values())
    assert all(prior.batch_shape == () and prior.event_shape == () for prior in law.priors.values())


def test_a_law_with_terms_is_their_sum(law):
    if not law.terms:
        assert law.floor is None
        return
    draws, relative = prior_draws(law), designs(law)
    total = draws[law.floor] if law.floor else 0.0
    for term in law.terms:
        amplitude, power = draws[term.amplitude], relative[term.covariate] ** -draws[term.exponent]
        total += (amplitude ** draws[term.exponent] if term.inside else amplitude) * power
    np.testing.assert_allclose(law(relative, draws), total, rtol=1e-5)


def test_draws_of_the_prior_have_a_density(law):
    for name, values in prior_draws(law).items():
        assert np.all(np.isfinite(law.priors[name].log_prob(values))), name


def test_it_is_elementwise(law):
    draws, relative = prior_draws(law, draws=20), designs(law, draws=20)
    at_once = np.broadcast_to(law(relative, draws), (20,))
    one_by_one = [
        law({c: v[i] for c, v in relative.items()}, {p: v[i] for p, v in draws.items()}) for i in range(20)
    ]
    assert all(np.shape(one) == () for one in one_by_one)
    # Summing a vector takes other roundings than summing numbers.
    np.testing.assert_allclose(at_once, one_by_one, rtol=2e-5)


def test_it_broadcasts_draws_against_runs(law):
    draws, relative = prior_draws(law, draws=3), designs(law, draws=5)
    value = law(relative, {p: v[:, None] for p, v in draws.items()})
    assert np.broadcast_to(value, (3, 5)).shape == (3, 5)


@pytest.mark.parametrize("of", ["parameters", "covariates"])
def test_it_is_finite_with_a_finite_gradient_in_single_precision(law, of):
    draws, relative = prior_draws(law), designs(law)
    if not law.covariates and of == "covariates":
        return
    argument = 1 if of == "parameters" else 0
    both = jax.jit(jax.vmap(jax.value_and_grad(lambda c, p: jnp.asarray(law(c, p)), argnums=argument)))
    values, gradients = both(relative, draws)
    assert values.dtype == jnp.float32
    assert np.all(np.isfinite(values))
    for name, gradient in gradients.items():
        assert np.all(np.isfinite(gradient)), name


def test_more_never_makes_it_worse(law):
    draws, relative = prior_draws(law), designs(law)
    excused = EXCUSED.get(law.name, lambda relative, p: np.zeros(DRAWS, bool))(relative, draws)
    worse_if_excused = False
    for covariate in law.covariates:
        less = law(relative, draws)
        changed = relative[covariate] + 1 if covariate == "date" else 1.3 * relative[covariate]
        more = law({**relative, covariate: changed}, draws)
        if (law.response == "success") != (covariate in HARDER):
            less, more = more, less
        # Single precision, after some ten operations; of a success near 1 the logit has no more digits than that.
        worse = np.asarray(more > less * (1 + 1e-5))
        assert not np.any(worse & ~np.asarray(excused)), covariate
        worse_if_excused |= bool(np.any(worse))
    assert worse_if_excused == (law.name in EXCUSED), "an excuse that is not needed"


def reference_of(law):
    return {c: REFERENCE[c] for c in law.covariates if c not in law.absolute}


def test_natural_parameters_are_the_same_law_in_natural_units(law):
    with jax.enable_x64(True):
        draws, relative, reference = prior_draws(law), designs(law), reference_of(law)
        natural = law.to_natural(draws, reference, unit_of(law))
        assert set(natural) == set(law.parameters)
        units = {c: v * reference.get(c, 1.0) for c, v in relative.items()}
        # Amplitudes take the reference to the power of an exponent: a few more roundings than the law itself.
        np.testing.assert_allclose(law(units, natural), unit_of(law) * law(relative, draws), rtol=1e-10)


def test_relative_parameters_are_the_inverse_of_natural_ones(law):
    with jax.enable_x64(True):
        draws, reference = prior_draws(law), reference_of(law)
        back = law.to_reference(law.to_natural(draws, reference, unit_of(law)), reference, unit_of(law))
        for name, values in draws.items():
            np.testing.assert_allclose(back[name], values, rtol=1e-9, atol=1e-12, err_msg=name)


def test_natural_units_in_single_precision(law):
    """What the engine's plots and decisions use when nobody asked for double precision."""
    draws = {p: jnp.median(v) for p, v in prior_draws(law).items()}
    reference = reference_of(law)
    fixed = {c: ABSOLUTE[c][1] for c in law.absolute}
    natural = law.to_natural(draws, reference, unit_of(law))
    # A N^alpha and N^-alpha, each good to 1e-6 in single precision
    np.testing.assert_allclose(
        law({**reference, **fixed}, natural),
        unit_of(law) * law({**dict.fromkeys(reference, 1.0), **fixed}, draws),
        rtol=1e-4,
    )


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
