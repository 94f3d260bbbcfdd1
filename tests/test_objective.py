"""What a refit minimises: its value and derivatives against the density, differentiated automatically."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayescale import models, noise
from bayescale.infer.objective import Objective, differentiated, opened
from bayescale.infer.partials import partials
from bayescale.infer.powers import as_exponentials
from bayescale.model import Model
from bayescale.pooling import Effect, Pooling
from bayescale.runs import Runs

pytestmark = pytest.mark.usefixtures("workbench")


def simulated(law, seed=0, count=36):
    rng = np.random.default_rng(seed)
    columns = {c: 1e9 * np.exp(rng.normal(size=count)) for c in law.covariates}
    columns |= {"D": 2e10 * np.exp(rng.normal(size=count)), "corpus": ["a", "b", "c"] * (count // 3)}
    if law.response == "loss":
        columns["loss"] = 2.5 * np.exp(0.1 * rng.normal(size=count))
    if "experts" in law.covariates:
        columns["experts"] = np.exp2(rng.integers(1, 6, size=count))
    return Runs.make(columns, factors=["corpus"])


def law_named(name):
    law = models.load(name)
    return law.along("N") if "x" in law.covariates else law


CASES = [
    ("chinchilla", noise.huber(0.05), False),
    ("chinchilla", noise.student_t, True),
    ("chinchilla", noise.gaussian, False),
    ("chinchilla_tied", noise.log_normal, True),
    ("kaplan_additive", noise.log_normal, False),
    ("power_floor", noise.log_normal.scaled("N/D"), False),
    ("coupled", noise.student_t, False),
    ("coupled", noise.log_normal, True),
]


def close(ours, theirs):
    scale = np.abs(np.asarray(theirs.hessian)).max()
    np.testing.assert_allclose(ours.gradient, theirs.gradient, rtol=1e-7, atol=1e-9 * scale)
    np.testing.assert_allclose(ours.hessian, theirs.hessian, rtol=1e-7, atol=1e-9 * scale)


@pytest.mark.parametrize(("name", "scatter", "priors"), CASES, ids=lambda c: getattr(c, "name", str(c)))
def test_derivatives_are_those_of_the_density(name, scatter, priors):
    """Sums of power terms have derivatives of their own; the density is differentiated automatically, all of it."""
    law = law_named(name)
    runs = simulated(law)
    runs = runs.replace(weight=np.arange(len(runs)) % 3.0)
    objective = Objective.of(Model(law, scatter, effects=()), runs, priors=priors)
    density = objective.density

    def whole(free, base):
        vector = base.at[objective.places].set(free)
        return -density.log_likelihood(vector, runs) - (density.log_prior(vector) if priors else 0.0)

    look = jax.jit(lambda free, base: objective.look(free, base, runs))
    reference = jax.jit(lambda free, base: differentiated(lambda v: whole(v, base), free))
    for base in density.prior_draws(jax.random.key(1), 3):
        free = base[objective.places]
        ours, theirs = look(free, base), reference(free, base)
        close(ours, theirs)
        if not objective.scale_follows:
            assert float(ours.value) == pytest.approx(float(theirs.value), rel=1e-10)


def test_without_the_second_derivatives_of_the_law_it_is_what_gauss_and_newton_take():
    """In the log loss normal noise is least squares, whose matrix is J'J / sigma^2 of the log means."""
    law = models.load("coupled")
    runs = simulated(law)
    objective = Objective.of(Model(law, noise.log_normal, effects=()), runs)
    base = jnp.asarray(objective.density.prior_draws(jax.random.key(0), 1)[0])
    free = base[objective.places]
    straight, whole = (
        jax.jit(partial(objective.look, straight=one))(free, base, runs) for one in (True, False)
    )
    np.testing.assert_allclose(straight.value, whole.value)
    np.testing.assert_allclose(straight.gradient, whole.gradient, rtol=1e-10)

    def mean(vector):
        return objective.mean(base.at[objective.places].set(vector), runs)

    slopes = jax.jit(jax.jacfwd(mean))(free)
    log_slopes, sigma = slopes / mean(free)[:, None], np.exp(base[objective.density.place("sigma")])
    # What is left of the noise: the mean bends the log mean, whatever the law.
    residual = np.log(runs.response) - np.log(mean(free))
    expected = (log_slopes * (1 + residual)[:, None]).T @ log_slopes / sigma**2
    np.testing.assert_allclose(straight.hessian, expected, rtol=1e-9)


def test_of_separable_noise_the_objective_is_the_loss_over_the_variance():
    law = law_named("power")
    runs = simulated(law)
    objective = Objective.of(Model(law, noise.log_normal, effects=()), runs)
    base = objective.density.prior_draws(jax.random.key(0), 1)[0]
    mean = jax.jit(objective.mean)(base, runs)
    sigma = float(objective.density.constrain(base)["sigma"])
    expected = np.sum(np.log(np.asarray(runs.response) / np.asarray(mean)) ** 2) / (2 * sigma**2)
    found = jax.jit(objective.look)(base[objective.places], base, runs)
    assert float(found.value) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("scatter", [noise.log_normal, noise.gaussian, noise.huber(0.01), noise.huber(1e-4)])
def test_separable_noise_is_separable_and_its_scale_is_the_most_likely(scatter):
    """Of a given mean the scale that follows maximises the likelihood: no other on a grid is better."""
    law = law_named("power")
    runs = simulated(law)
    objective = Objective.of(Model(law, scatter, effects=()), runs)
    density = objective.density
    base = density.prior_draws(jax.random.key(3), 1)[0]
    for name, value in scatter.settings.items():
        base = base.at[density.place(name)].set(np.log(value))
    value = jax.jit(objective.look)(base[objective.places], base, runs).value
    best = objective.scale(value, base, runs)
    place = density.place("sigma")

    @jax.jit
    def likelihood(log_scale):
        return density.log_likelihood(base.at[place].set(log_scale), runs)

    assert float(jax.jit(jax.grad(likelihood))(best)) == pytest.approx(0, abs=1e-6 * len(runs))
    assert float(likelihood(best)) >= float(jax.vmap(likelihood)(best + jnp.linspace(-3, 3, 61)).max()) - 1e-9


def test_pooled_models_hold_their_scales():
    law = law_named("chinchilla")
    runs = simulated(law)
    model = Model(law, noise.student_t, (Pooling(("E", "A"), by="corpus"),), effects=(Effect("corpus"),))
    objective = Objective.of(model, runs, priors=True)
    held = {"E_by_corpus_scale", "A_by_corpus_scale", "corpus_effect_scale", "sigma", "nu"}
    assert set(objective.held) == held
    density = objective.density
    base = density.prior_draws(jax.random.key(1), 1)[0]
    rng = np.random.default_rng(0)
    base = base.at[density.places("corpus_raw")].set(rng.normal(size=9))
    ours = jax.jit(objective.look)(base[objective.places], base, runs)

    def whole(free):
        return -density.log_posterior(base.at[objective.places].set(free), runs)

    # The Jacobian and the priors of what is held are constants.
    close(ours, jax.jit(lambda free: differentiated(whole, free))(base[objective.places]))
    with pytest.raises(ValueError, match="have no scale; fit them with priors"):
        Objective.of(model, runs)


def test_without_priors_the_floor_may_lie_above_the_least_loss():
    law = law_named("chinchilla")
    model = Model(law, noise.log_normal, effects=())
    free, bound = opened(model, False), opened(model, True)
    assert float(free.law.priors["E"].support(2.0))
    assert not float(bound.law.priors["E"].support(2.0))


@pytest.mark.parametrize("name", models.names())
def test_powers_as_exponentials_change_no_law(name):
    """To rounding: the logarithm is of order 25, so that it takes some 25 times the precision."""
    law = law_named(name)
    rng = np.random.default_rng(1)
    covariates = [np.exp(rng.normal(size=7)) for _ in law.covariates]
    values = {p: float(prior.sample(jax.random.key(i))) for i, (p, prior) in enumerate(law.priors.items())}
    np.testing.assert_allclose(
        as_exponentials(law.mean)(*covariates, **values), law.mean(*covariates, **values), rtol=1e-12
    )


def test_powers_inside_compiled_functions_are_exchanged_too():
    inner = jax.jit(lambda x, y: x**y)
    text = str(jax.make_jaxpr(as_exponentials(lambda x, *, y: 1 + inner(x, y)))(2.0, y=0.5))
    assert "pow" not in text
    assert float(as_exponentials(lambda x, *, y: 1 + inner(x, y))(4.0, y=0.5)) == pytest.approx(3.0)
    assert float(as_exponentials(lambda x: jax.nn.softplus(x) ** 2)(0.0)) == pytest.approx(np.log(2) ** 2)


def test_the_sandwich_is_that_of_a_regression():
    """A power law on the log loss is a linear regression, of which HC1 and CR1 are closed forms."""
    law = law_named("power")
    runs = simulated(law)
    objective = Objective.of(Model(law, noise.log_normal, effects=()), runs)
    density = objective.density
    x = np.log(np.asarray(runs.columns["N"]) / np.asarray(runs.reference["N"]))
    y = np.log(np.asarray(runs.response) / np.asarray(runs.unit))
    design = np.column_stack([np.ones_like(x), -x])
    beta, *_ = np.linalg.lstsq(design, y, rcond=None)
    base = density.unconstrain(
        {"A": np.exp(beta[0]), "alpha": beta[1] if beta[1] > 0 else 0.05, "sigma": 0.1}
    )
    # log A is what is free of the amplitude, and log alpha of the exponent.
    alpha = float(density.constrain(base)["alpha"])
    resid = y - design @ np.array([beta[0], alpha])
    design = design * [1.0, alpha]
    covariance = jax.jit(objective.covariance)
    once, twice = np.ones(len(x)), np.where(np.asarray(runs.factors["corpus"]) == 0, 2.0, 1.0)
    for units in (np.arange(len(runs)), np.asarray(runs.factors["corpus"])):
        for times in (once, twice):  # a unit that was drawn twice is two units
            own = runs.replace(weight=times)
            scores = [(design * resid[:, None])[units == u].sum(axis=0) for u in np.unique(units)]
            drawn = np.array([times[units == u][0] for u in np.unique(units)])
            meat = sum(t * np.outer(s, s) for t, s in zip(drawn, scores, strict=True))
            bread = np.linalg.inv(
                design.T @ (times[:, None] * design) + np.diag([0, np.sum(times * resid * x) * alpha])
            )
            factor = drawn.sum() / (drawn.sum() - 1) * (times.sum() - 1) / (times.sum() - 2)
            ours = covariance(base[objective.places], base, own, jnp.asarray(times), jnp.asarray(units))
            np.testing.assert_allclose(ours, factor * bread @ meat @ bread, rtol=1e-6)


def test_the_scale_of_weights_does_not_matter_to_the_sandwich():
    law = law_named("power")
    runs = simulated(law)
    objective = Objective.of(Model(law, noise.log_normal, effects=()), runs)
    base = objective.density.unconstrain({"A": 2.0, "alpha": 0.1, "sigma": 0.1})
    units, times = jnp.arange(len(runs)), jnp.ones(len(runs))
    free = base[objective.places]
    covariance = jax.jit(objective.covariance)
    whole = covariance(free, base, runs, times, units)
    small = covariance(free, base, runs.replace(weight=np.full(len(runs), 1 / len(runs))), times, units)
    np.testing.assert_allclose(small, whole, rtol=1e-9)


def test_partial_derivatives_are_those_of_jax():
    """Sums, products, powers, a maximum and a branch; and an argument that nothing depends on."""
    x = jnp.linspace(0.5, 2.0, 7)

    def function(a, b, c, d):
        inside = jnp.logaddexp(a - b * jnp.log(x), c * x)
        return jnp.where(x > 1, inside**2, jnp.maximum(a * x, b)), jnp.sum(inside * a) + 0 * d

    at = tuple(jnp.asarray([0.3, 1.2, -0.7, 2.0]))
    value, columns = jax.jit(lambda *at: partials(function, at))(*at)
    theirs = jax.jacfwd(function, argnums=(0, 1, 2, 3))(*at)
    jax.tree.map(np.testing.assert_allclose, value, function(*at))
    for i, column in enumerate(columns):
        for one, other in zip(column, theirs, strict=True):
            np.testing.assert_allclose(one, other[i], rtol=1e-12, atol=1e-12)
