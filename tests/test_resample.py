"""Resampling: what replicates are, against the distributions that define each kind."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayescale import models, noise
from bayescale.infer.resample import SIGNS, About, Resampling, residuals
from bayescale.model import Model
from bayescale.pooling import Effect
from bayescale.runs import Runs

pytestmark = pytest.mark.usefixtures("workbench")

COUNT, MANY = 24, 4000
MODEL = Model(models.load("power").along("N"), noise.log_normal, effects=())


@pytest.fixture(scope="module")
def runs():
    rng = np.random.default_rng(0)
    N = 10 ** rng.uniform(7, 10, COUNT)
    loss = 3 * (N / 1e9) ** -0.1 * np.exp(0.02 * rng.normal(size=COUNT))
    columns = {
        "N": N,
        "loss": loss,
        "corpus": ["a", "b", "c"] * 8,
        "family": [f"f{i // 6}" for i in range(COUNT)],
    }
    return Runs.make(columns, factors=["corpus", "family"])


def about(runs, model=MODEL, **values):
    mean = 3 * (np.asarray(runs.columns["N"]) / 1e9) ** -0.1
    residual = residuals(jnp.asarray(mean), runs, model.noise.residuals)
    values = {k: jnp.asarray(v) for k, v in values.items()}
    return lambda r: About([jnp.asarray(u) for u in r.units(runs)], jnp.asarray(mean), residual, values)


def drawn(resampling, runs, model=MODEL, many=MANY, **values):
    keys = jax.random.split(jax.random.key(1), many)
    facts = about(runs, model, **values)(resampling)
    found = jax.jit(jax.vmap(lambda k: resampling.changes(k, runs, facts, model)))(keys)
    return {name: np.asarray(value) for name, value in found.items()}


# The means and variances below are sample moments of 4,000 draws: at 5 standard errors the false-alarm rate of
# each comparison is under 1e-6.


def test_pairs_are_multinomial_counts(runs):
    (weight,) = drawn(Resampling(), runs).values()
    assert (weight.sum(axis=1) == COUNT).all()
    np.testing.assert_allclose(weight.mean(axis=0), 1, atol=5 * MANY**-0.5)
    np.testing.assert_allclose(weight.var(axis=0), 1 - 1 / COUNT, atol=5 * (3 / MANY) ** 0.5)


def test_clusters_come_and_go_as_a_whole(runs):
    (weight,) = drawn(Resampling(cluster=["corpus"]), runs).values()
    corpus = np.asarray(runs.factors["corpus"])
    for level in range(3):
        assert (weight[:, corpus == level] == weight[:, [np.argmax(corpus == level)]]).all()
    assert (weight.sum(axis=1) == COUNT).all()


def test_crossed_clusters_multiply(runs):
    (weight,) = drawn(Resampling(cluster=["corpus", "family"]), runs).values()
    corpus, family = (np.asarray(runs.factors[by]) for by in ("corpus", "family"))
    table = np.zeros((MANY, 3, 4))
    table[:, corpus, family] = weight
    # A table of products has rank one.
    np.testing.assert_array_equal(table[:, 0, 0] * table[:, 1, 1], table[:, 0, 1] * table[:, 1, 0])
    # Owen 2007: the variance of a product of independent counts, (1 + v) (1 + w) - 1.
    expected = (1 + 2 / 3) * (1 + 3 / 4) - 1
    assert weight.var() == pytest.approx(expected, rel=0.1)


def test_bayesian_weights_are_dirichlet(runs):
    (weight,) = drawn(Resampling("bayesian"), runs).values()
    np.testing.assert_allclose(weight.sum(axis=1), COUNT)
    np.testing.assert_allclose(weight.mean(axis=0), 1, atol=5 * MANY**-0.5)
    np.testing.assert_allclose(weight.var(axis=0), (COUNT - 1) / (COUNT + 1), atol=5 * (8 / MANY) ** 0.5)


def test_residuals_move_and_wild_ones_stay_and_turn(runs):
    facts = about(runs)(Resampling())
    residual, mean = np.asarray(facts.residual), np.asarray(facts.mean)
    (moved,) = drawn(Resampling("residual"), runs).values()
    nearest = np.abs(np.log(moved / mean)[..., None] - residual).min(axis=2)
    assert nearest.max() < 1e-12
    for signs, values in SIGNS.items():
        (turned,) = drawn(Resampling("wild", signs=signs), runs).values()
        ratio = np.log(turned / mean) / residual
        assert np.abs(ratio[..., None] - np.array(values)).min(axis=2).max() < 1e-9
        np.testing.assert_allclose(ratio.mean(axis=0), 0, atol=5 * MANY**-0.5)
        np.testing.assert_allclose(ratio.var(axis=0), 1, atol=5 * MANY**-0.5)


def test_a_wild_cluster_turns_as_a_whole(runs):
    (turned,) = drawn(Resampling("wild", ["family"], "webb"), runs).values()
    facts = about(runs)(Resampling())
    ratio = np.log(turned / np.asarray(facts.mean)) / np.asarray(facts.residual)
    for level in range(4):
        same = ratio[:, np.asarray(runs.factors["family"]) == level]
        np.testing.assert_allclose(same, same[:, [0]] * np.ones(same.shape[1]), atol=1e-8)


def test_parametric_responses_are_those_of_the_noise(runs):
    (response,) = drawn(Resampling("parametric"), runs, A=1.3, alpha=0.1, sigma=0.05).values()
    scatter = np.log(response)
    np.testing.assert_allclose(scatter.std(axis=0), 0.05, rtol=5 * (2 * MANY) ** -0.5)
    relative = np.asarray(runs.columns["N"]) / np.asarray(runs.reference["N"])
    mean = np.log(1.3 * relative**-0.1 * np.asarray(runs.unit))
    np.testing.assert_allclose(scatter.mean(axis=0), mean, atol=5 * 0.05 * MANY**-0.5)


def test_parametric_shocks_are_drawn_anew(runs):
    model = MODEL.replace(effects=(Effect("family"),))
    values = {
        "A": 1.3,
        "alpha": 0.1,
        "sigma": 1e-4,
        "family_effect_scale": 0.05,
        "family_raw": np.zeros((4, 1)),
    }
    (response,) = drawn(Resampling("parametric"), runs, model, **values).values()
    scatter = np.log(response) - np.log(response).mean(axis=0)
    family = np.asarray(runs.factors["family"])
    np.testing.assert_allclose(scatter[:, family == 0].std(axis=0), 0.05, rtol=5 * (2 * MANY) ** -0.5)
    assert np.abs(scatter[:, family == 0] - scatter[:, [0]]).max() < 1e-3


@pytest.mark.parametrize("resampling", [Resampling(), Resampling("bayesian"), Resampling(cluster=["corpus"])])
def test_runs_without_weight_are_not_there(runs, resampling):
    kept = np.asarray(runs.factors["corpus"]) != 1
    (weight,) = drawn(resampling, runs.replace(weight=kept.astype(float))).values()
    assert (weight[:, ~kept] == 0).all()
    np.testing.assert_allclose(weight.sum(axis=1), kept.sum())
    np.testing.assert_allclose(weight[:, kept].mean(), 1)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"kind": "jackknife"}, "there is no bootstrap 'jackknife'; there are pairs, bayesian, residual"),
        ({"kind": "wild", "signs": "mammen"}, "there are no signs 'mammen'; there are rademacher, webb"),
        (
            {"kind": "residual", "cluster": ["size"]},
            "a residual bootstrap takes runs to be independent and has no",
        ),
        (
            {"kind": "wild", "cluster": ["a", "b"]},
            "a wild bootstrap has one cluster; take pairs for clusters that",
        ),
        ({"cluster": ["a", "a"]}, "a cluster is named twice; name it once"),
    ],
)
def test_what_cannot_be_resampled_so(given, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        Resampling(**given)


def test_tables_that_cannot_be_resampled_so(runs):
    with pytest.raises(
        ValueError, match=r"^table: there is no factor recipe to resample by; there are corpus, family"
    ):
        Resampling(cluster=["recipe"]).check(MODEL, runs)
    one = runs.subset(np.asarray(runs.factors["corpus"]) == 0)
    with pytest.raises(
        ValueError, match=r"^table: factor corpus has one level; there is nothing to resample$"
    ):
        Resampling(cluster=["corpus"]).check(MODEL, one)
    success = MODEL.replace(law=MODEL.law.replace(response="success"), noise=noise.binomial)
    with pytest.raises(
        ValueError, match=r"^binomial noise has no residuals to resample; take pairs or parametric$"
    ):
        Resampling("wild").check(success, runs)
