"""Law: what it takes from a signature, what it refuses, and irrelevant covariates."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from jax.test_util import check_grads
from numpyro.distributions import constraints

from bayescale import models
from bayescale.law import AXIS, Law, irrelevant, logaddexp
from bayescale.priors import LogitNormal


def line(N, D, *, c, m):
    return c + m * N + 0 * D


PRIORS = {"c": dist.Normal(0.0, 1.0), "m": dist.Normal(0.0, 1.0)}


def make(**changes):
    return Law(**{"name": "line", "mean": line, "priors": PRIORS, "source": "a test", **changes})


def test_the_signature_is_the_specification():
    law = make()
    assert law.covariates == ("N", "D")
    assert law.parameters == ("c", "m")
    assert law({"D": 0.0, "N": 2.0}, {"m": 3.0, "c": 1.0}) == 7.0


def test_a_parameter_without_a_prior():
    with pytest.raises(ValueError, match=r"^law line: parameter m has no prior$"):
        make(priors={"c": PRIORS["c"]})


def test_a_prior_without_a_parameter():
    with pytest.raises(ValueError, match=r"^law line: the prior of k has no parameter in mean\(\)$"):
        make(priors={**PRIORS, "k": PRIORS["c"]})


def test_both_at_once():
    with pytest.raises(
        ValueError, match=r"parameter m has no prior; the prior of k has no parameter in mean\(\)$"
    ):
        make(priors={"c": PRIORS["c"], "k": PRIORS["c"]})


def test_a_response_that_is_neither():
    with pytest.raises(ValueError, match=r"^law line: response is 'accuracy'; it is 'loss' or 'success'$"):
        make(response="accuracy")


def test_a_law_cannot_be_changed():
    law = make()
    with pytest.raises(TypeError):
        law.priors["c"] = dist.Normal(1.0, 1.0)  # pyright: ignore
    with pytest.raises(AttributeError):
        law.name = "other"  # pyright: ignore


def test_it_does_not_follow_a_dictionary_that_changes():
    priors = dict(PRIORS)
    law = make(priors=priors)
    priors["c"] = dist.Normal(9.0, 1.0)
    assert law.priors["c"] is PRIORS["c"]


def test_replace_lays_priors_over_those_there_are():
    wide = dist.Normal(0.0, 10.0)
    law = make().replace(priors={"m": wide}, source="another")
    assert law.priors["m"] is wide
    assert law.priors["c"] is PRIORS["c"]
    assert law.source == "another"
    assert make().priors["m"] is PRIORS["m"]


def test_replace_refuses_a_prior_without_a_parameter():
    with pytest.raises(ValueError, match="the prior of k has no parameter"):
        make().replace(priors={"k": PRIORS["c"]})


def test_along_puts_a_law_in_one_axis_along_a_column():
    power = models.load("power")
    assert power.covariates == (AXIS,)
    law = power.along("C")
    assert law.covariates == ("C",)
    assert law.along("D").covariates == ("D",)
    parameters = {"A": 2.0, "alpha": 0.5}
    assert law({"C": 4.0, "D": 9.0}, parameters) == 1.0
    assert law.along("D")({"C": 9.0, "D": 4.0}, parameters) == 1.0
    assert law.to_natural(parameters, {"C": 4.0, "D": 9.0}, 1.0)["A"] == pytest.approx(4.0)


def test_along_refuses_a_law_in_two_axes():
    with pytest.raises(
        ValueError, match=r"^law chinchilla is in N, D; only a law in one axis can be put along a column"
    ):
        models.load("chinchilla").along("C")


def test_along_refuses_a_law_without_an_axis():
    with pytest.raises(ValueError, match=r"^law constant is in no covariate; only"):
        models.load("constant").along("C")


def test_parameters_stay_as_they_are_without_a_change_of_units():
    reference = {"N": 10.0, "D": 10.0}
    assert make().to_natural({"c": 1.0, "m": 2.0}, reference, 5.0) == {"c": 1.0, "m": 2.0}
    assert make().to_reference({"c": 1.0, "m": 2.0}, reference, 5.0) == {"c": 1.0, "m": 2.0}


# Irrelevant covariates.

TRUTH = {"E": 0.7, "A": 0.2, "B": 0.3, "alpha": 0.34, "beta": 0.28}
AT = {"N": np.array([0.1, 1.0, 30.0]), "D": np.array([2.0, 0.01, 1.0]), "gpus": np.array([8.0, 1.0, 0.25])}


def test_an_irrelevant_covariate_multiplies_the_law():
    base = models.load("chinchilla")
    law = irrelevant(base, "gpus")
    assert law.covariates == ("N", "D", "gpus")
    assert law.parameters == (*base.parameters, "gamma_gpus")
    assert law.name == "chinchilla"
    value = law(AT, {**TRUTH, "gamma_gpus": 0.2})
    np.testing.assert_allclose(value, base(AT, TRUTH) * AT["gpus"] ** 0.2, rtol=1e-6)
    np.testing.assert_allclose(law(AT, {**TRUTH, "gamma_gpus": 0.0}), base(AT, TRUTH), rtol=1e-6)


def test_its_prior_is_five_percent_for_each_e_fold():
    prior = irrelevant(models.load("power"), "gpus").priors["gamma_gpus"]
    assert (float(prior.mean), float(prior.variance) ** 0.5) == pytest.approx((0.0, 0.05))


def test_two_irrelevant_covariates():
    law = irrelevant(irrelevant(models.load("chinchilla"), "gpus"), "nodes")
    assert law.covariates == ("N", "D", "gpus", "nodes")
    at = {**AT, "nodes": np.array([3.0, 1.0, 5.0])}
    value = law(at, {**TRUTH, "gamma_gpus": 0.2, "gamma_nodes": -0.1})
    expected = models.load("chinchilla")(AT, TRUTH) * AT["gpus"] ** 0.2 * at["nodes"] ** -0.1
    np.testing.assert_allclose(value, expected, rtol=1e-6)


def test_an_irrelevant_covariate_of_a_law_without_covariates():
    law = irrelevant(models.load("constant"), "gpus")
    assert law.covariates == ("gpus",)
    np.testing.assert_allclose(law({"gpus": np.array([1.0, 4.0])}, {"c": 2.0, "gamma_gpus": 0.5}), [2.0, 4.0])


@pytest.mark.parametrize("names", [("gpus",), ("gpus", "nodes")])
def test_an_irrelevant_covariate_in_natural_units(names):
    with jax.enable_x64(True):
        law, parameters = models.load("chinchilla"), dict(TRUTH)
        for i, name in enumerate(names):
            law, parameters = irrelevant(law, name), {**parameters, f"gamma_{name}": 0.2 - 0.3 * i}
        reference = {"N": 8.5e8, "D": 1.7e10, "gpus": 64.0, "nodes": 5.0}
        at = {**AT, "nodes": np.array([3.0, 1.0, 5.0])}
        natural = law.to_natural(parameters, reference, 2.3)
        units = {c: v * reference[c] for c, v in at.items()}
        np.testing.assert_allclose(law(units, natural), 2.3 * law(at, parameters), rtol=1e-12)
        back = law.to_reference(natural, reference, 2.3)
        assert {p: float(v) for p, v in back.items()} == pytest.approx(parameters, rel=1e-12)


def test_a_covariate_of_the_law_is_not_irrelevant():
    with pytest.raises(ValueError, match=r"^law chinchilla is in D already$"):
        irrelevant(models.load("chinchilla"), "D")
    with pytest.raises(ValueError, match=r"^law power is in C already$"):
        irrelevant(models.load("power").along("C"), "C")
    with pytest.raises(ValueError, match=r"^law power is in gpus already$"):
        irrelevant(irrelevant(models.load("power"), "gpus"), "gpus")


# The priors that NumPyro has no name for.


def test_logit_normal_is_a_normal_logit():
    prior = LogitNormal(1.0, 1.5)
    assert prior.support is constraints.unit_interval
    x = np.array([0.02, 0.5, 0.93])
    logit = np.log(x / (1 - x))
    expected = dist.Normal(1.0, 1.5).log_prob(logit) - np.log(x * (1 - x))
    np.testing.assert_allclose(prior.log_prob(x), expected, rtol=1e-5)


def test_logit_normal_has_the_quantiles_that_laws_claim():
    quantiles = 1 / (1 + np.exp(-(1.0 + 1.5 * np.array([-1.645, 1.645]))))
    np.testing.assert_allclose(quantiles, [0.19, 0.97], atol=0.005)
    draws = LogitNormal(1.0, 1.5).sample(jax.random.key(0), (20_000,))
    # The standard error of a 5% quantile of 20,000 draws is 0.0035 at the lower end.
    np.testing.assert_allclose(np.quantile(draws, [0.05, 0.95]), quantiles, atol=0.014)


def test_logit_normal_is_differentiable_in_its_arguments():
    check_grads(lambda loc, scale: LogitNormal(loc, scale).log_prob(0.3), (1.0, 1.5), order=1, rtol=1e-2)


def test_logit_normal_can_be_batched():
    prior = LogitNormal(np.array([0.0, 1.0]), 1.0)
    assert prior.batch_shape == (2,)
    both = prior.log_prob(0.3)
    np.testing.assert_allclose(both, [LogitNormal(m, 1.0).log_prob(0.3) for m in (0.0, 1.0)], rtol=1e-6)


@pytest.mark.parametrize("step", [0.0, 1e-9, 0.3, -2.0, 40.0, -800.0])
def test_logaddexp_is_that_of_jax_to_its_second_derivatives(step):
    with jax.enable_x64(True):
        for of in (lambda f: f, lambda f: jax.grad(f, (0, 1)), lambda f: jax.hessian(f, (0, 1))):
            own, known = (of(f)(1.5 + step, 1.5) for f in (logaddexp, jnp.logaddexp))
            jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12), own, known)
