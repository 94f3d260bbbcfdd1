"""Pooling: deviations have the distribution they are said to have, and which factors share a shock."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from numpyro import handlers
from numpyro.infer.util import log_density
from scipy import stats

from bayescale.model import repeated
from bayescale.pooling import Effect, Local, Pooling, conditional, deviations, shifted, unshifted
from bayescale.priors import LogitNormal
from bayescale.runs import Runs

pytestmark = pytest.mark.usefixtures("workbench")

SCALES = np.array([0.3, 1.7])
CENTRE = np.array([0.4, -1.0])


def local_of(levels):
    rng = np.random.default_rng(0)
    root = rng.normal(size=(levels, 2, 2))
    precision = root @ root.swapaxes(1, 2) * np.array([1e-3, 1.0, 1e4])[:levels, None, None]
    return Local(rng.normal(size=(levels, 2)), precision)


LOCALS = {"none": None, "some": local_of(3), "nothing": Local(np.zeros((3, 2)), np.zeros((3, 2, 2)))}


@pytest.mark.parametrize("name", LOCALS)
def test_the_density_of_deviations_does_not_depend_on_what_the_data_say(name):
    """By hand: the density of what is sampled, over the volume it is mapped onto, is the normal one."""
    local = LOCALS[name]
    raw = jax.random.normal(jax.random.key(1), (3, 2))

    def of_raw(flat):
        with handlers.block(), handlers.substitute(data={"g_raw": flat.reshape(3, 2)}):
            return deviations("g", jnp.asarray(SCALES), 3, centre=CENTRE, local=local).ravel()

    def model():
        deviations("g", jnp.asarray(SCALES), 3, centre=CENTRE, local=local)

    total = log_density(model, (), {}, {"g_raw": raw})[0]
    volume = np.linalg.slogdet(np.asarray(jax.jacobian(of_raw)(raw.ravel())))[1]
    expected = stats.norm(0, SCALES).logpdf(np.asarray(of_raw(raw.ravel())).reshape(3, 2)).sum()
    assert float(total) - volume == pytest.approx(expected, rel=1e-9)


def test_the_conditional_is_the_posterior_of_a_normal_with_a_normal_prior():
    """What a level's data say is an observation of centre + deviation; by the textbook's covariance form."""
    local = local_of(3)
    mean, root = conditional(jnp.asarray(SCALES), CENTRE, local)
    for level in range(3):
        noise, prior = np.linalg.inv(local.precision[level]), np.diag(SCALES**2)
        gain = prior @ np.linalg.inv(prior + noise)
        np.testing.assert_allclose(mean[level], gain @ (local.estimate[level] - CENTRE), rtol=1e-6, atol=1e-9)
        covariance = np.linalg.inv(root[level] @ root[level].T)
        np.testing.assert_allclose(covariance, prior - gain @ prior, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(
    ("prior", "response", "expected"),
    [
        (dist.LogNormal(0.0, 1.0), "loss", 0.3 * np.exp(0.2)),
        (dist.Normal(0.0, 1.0), "loss", 0.5),
        (LogitNormal(0.0, 1.0), "success", 1 / (1 + np.exp(-(np.log(0.3 / 0.7) + 0.2)))),
        (LogitNormal(0.0, 1.0), "loss", 0.3 * np.exp(0.2)),  # a floor, by factors
    ],
)
def test_the_space_where_levels_differ(prior, response, expected):
    assert float(shifted(prior, 0.3, 0.2, response)) == pytest.approx(expected)
    assert float(shifted(prior, 0.3, -unshifted(prior, 0.3, response), response)) == pytest.approx(
        float(shifted(prior, 0.6, -unshifted(prior, 0.6, response), response))
    )


@pytest.mark.parametrize("vary", ["E", ()])
def test_vary_is_a_tuple(vary):
    with pytest.raises(ValueError, match=r"^vary is .*; it is a tuple of the names of parameters, such as"):
        Pooling(vary, by="corpus")


def test_the_priors_of_scales():
    half = dist.HalfNormal(3.0)
    assert Pooling(("E",), "corpus", half).prior_of_scale("E", {"E": 0.1}) is half
    assert float(Pooling(("E",), "corpus").prior_of_scale("E", {"E": 0.1}).scale) == 0.1
    assert float(Pooling(["E"], "corpus").prior_of_scale("E", {}).scale) == 0.5
    assert Effect("run", half).prior_of_scale("loss") is half
    assert float(Effect("run").prior_of_scale("loss").scale) == 0.01
    assert float(Effect("run").prior_of_scale("success").scale) == 0.5


# Which factors share a shock by default.


def table(**factors):
    count = len(next(iter(factors.values())))
    values = np.arange(1.0, count + 1)
    return Runs.make(
        {"N": values * 1e8, "D": values * 1e9, "loss": 4 / values, **factors}, factors=list(factors)
    )


@pytest.mark.parametrize(
    ("factors", "expected"),
    [
        ({"model": list("aabbcc")}, ["model"]),
        ({"model": list("aabbcd")}, ["model"]),  # four of six share
        ({"model": list("aabcde")}, []),  # two of six share
        ({"model": list("aaabbb")}, []),  # two levels tell nothing of a scale
        ({"corpus": list("aabbcc")}, []),
        ({"run": list("aabbcc"), "model": list("xxyyzz")}, ["run"]),  # alike
        ({"run": list("aabbcc"), "model": list("zzxxyy")}, ["run"]),
        ({"run": list("aabbcc"), "model": list("xyzxyz")}, ["run", "model"]),
    ],
)
def test_the_factors_whose_levels_share_a_shock(factors, expected):
    assert [e.by for e in repeated(table(**factors))] == expected
