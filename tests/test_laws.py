"""What every law must satisfy, run on each file of models/."""

import doctest
import importlib
import re

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

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
