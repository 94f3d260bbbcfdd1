"""Item response: the default model, counts added up, and what a fit says of a suite, against the parts by hand."""

import jax
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import stats
from scipy.special import expit

from bayescale import noise
from bayescale.fit import Fit
from bayescale.infer.nuts import nuts
from bayescale.pooling import Effect, Pooling
from bayescale.runs import Runs
from bayescale.tasks.companions import companions, effective_tasks, thresholds, unresolved
from bayescale.tasks.items import aggregated, crossed, item_response
from bayescale.tasks.overlap import dimensions
from bayescale.tasks.suite import new_models

TASKS, MODELS, DRAWS = 6, 5, 40
FAMILY = np.array([0, 0, 0, 1, 1, 2])
LN10 = np.log(10)


def table(tries=4, **columns):
    model, task = (index.ravel() for index in np.indices((MODELS, TASKS)))
    return Runs.make(
        {
            "C": 10.0 ** (20 + model),
            "successes": (3 * model + task) % (tries + 1),
            "trials": np.full(len(model), tries),
            "model": [f"m{i}" for i in model],
            "lab": ["ab"[i % 2] for i in model],
            "task": [f"t{i}" for i in task],
            "family": [f"f{FAMILY[i]}" for i in task],
            **{name: of(task) for name, of in columns.items()},
        },
        factors=["model", "lab", "task", "family"],
    )


def fit_of(items, given, seed=0):
    """A fit whose draws are the numbers given; deviations are drawn."""
    rng, draws = np.random.default_rng(seed), {}
    for name in items.model.priors:
        draws[name] = np.full((1, DRAWS), given.get(name, 0.5))
    for by, names in items.model.factors.items():
        for name in names:
            draws[f"{name}_scale"] = np.full((1, DRAWS), given.get(f"{name}_scale", 0.3))
            draws[name] = given.get(f"{name}_scale", 0.3) * rng.normal(
                size=(1, DRAWS, len(items.runs.levels[by]))
            )
    return Fit(items.model, items.runs, draws, "map", {"at_bound": [], "mode_converged": True})


# ---- The default model


def test_what_varies_by_what():
    items = item_response(table(), family="family", lab="lab")
    assert items.model.varying == {"threshold": ("task", "model", "family", "lab"), "slope": ("task",)}
    assert [effect.by for effect in items.model.effects] == ["model:family"]
    assert len(items.runs.levels["model:family"]) == MODELS * 3
    assert items.model.noise is noise.binomial
    np.testing.assert_array_equal(items.runs.columns["chance"], 0)
    items.model.specialise(items.runs)
    assert items.model.law is item_response(table()).model.law  # nothing is compiled anew


def test_without_families_and_with_many_tries():
    items = item_response(table(tries=100, chance=lambda task: np.where(task < 2, 0.25, 0.0)))
    assert items.model.varying == {"threshold": ("task", "model"), "slope": ("task",)}
    assert items.model.effects == ()
    assert items.model.noise is noise.logit_normal
    assert np.asarray(items.runs.columns["chance"]).max() == 0.25


def test_the_priors_are_what_they_are_said_to_be():
    pooling = {(p.vary, p.by): p for p in item_response(table(), family="family", lab="lab").model.pooling}
    rng, count = jax.random.key(0), 20_000
    own, shared = (
        np.asarray(pooling[("threshold",), by].scale.sample(key, (count,)))
        for by, key in zip(("task", "family"), jax.random.split(rng), strict=True)
    )
    # The root mean square is 1.5 decades; of 20,000 it is good to 1%.
    assert np.sqrt(np.mean(own**2 + shared**2)) / LN10 == pytest.approx(1.5, rel=0.03)
    assert float(pooling[("threshold",), "model"].scale.icdf(0.5)) == pytest.approx(0.3 * LN10)
    slope = item_response(table()).model.law.priors["slope"]
    assert [float(slope.icdf(q)) for q in (0.05, 0.95)] == pytest.approx([0.56, 4.0], rel=0.01)


@pytest.mark.parametrize("factor", ["task", "model", "family", "lab"])
def test_a_factor_that_is_not_there(factor):
    with pytest.raises(ValueError, match="there is no factor skill; there are model, lab, task, family"):
        item_response(table(), **{factor: "skill"})


# ---- Counts added up


def test_counts_are_added_up():
    once = table()
    rng = np.random.default_rng(0)
    copies = rng.permutation(np.repeat(np.arange(len(once)), 4))
    split = once.replace(
        columns={name: np.asarray(v)[copies] for name, v in once.columns.items()}
        | {"trials": np.ones(len(copies))},
        factors={name: np.asarray(v)[copies] for name, v in once.factors.items()},
        weight=np.ones(len(copies)),
        response=(rng.random(len(copies)) < 0.5).astype(float),
    )
    found = aggregated(split)
    assert len(found) == len(once)
    assert found.notes[-1] == "120 rows added up to 30 that differ in more than their counts"
    for row in range(len(found)):
        same = np.ones(len(copies), bool)
        for name in found.factors:
            same &= split.factors[name] == found.factors[name][row]
        assert found.response[row] == split.response[same].sum()
        assert found.columns["trials"][row] == 4
        assert found.columns["C"][row] == split.columns["C"][same][0]
    assert aggregated(found) is found


def test_what_cannot_be_added_up():
    with pytest.raises(ValueError, match="the response is loss; only successes can be added up"):
        aggregated(Runs.make({"C": [1e18, 1e19], "loss": [3.0, 2.0]}))
    halves = table().replace(response=np.full(30, 0.5))
    with pytest.raises(
        ValueError, match="there are averages and not counts of successes, which cannot be added up"
    ):
        item_response(halves)


def test_pairs_of_levels_that_occur():
    runs = table()
    both = crossed(runs.subset(np.arange(len(runs)) % 7 > 0), "model", "family")
    assert set(both.levels["model:family"]) <= {f"m{i}:f{j}" for i in range(MODELS) for j in range(3)}
    for row in range(len(both)):
        name = both.levels["model:family"][both.factors["model:family"][row]]
        own = (both.levels[by][both.factors[by][row]] for by in ("model", "family"))
        assert name == ":".join(own)


# ---- What a fit says


def test_companions_by_hand():
    items = item_response(table(), family="family")
    fit = fit_of(
        items,
        {
            "slope": 2.0,
            "threshold_by_task_scale": 0.6 * LN10,
            "threshold_by_family_scale": 0.8 * LN10,
            "threshold_by_model_scale": 0.3 * LN10,
            "model:family_effect_scale": 0.4,
        },
    )
    told = companions(fit, family="family")
    assert told["spread"] == pytest.approx(1.0)
    assert told["rho"] == pytest.approx(0.64)
    assert told["item width"] == pytest.approx(4.394 / 2, rel=1e-3)
    assert told["suite width"] == pytest.approx(2.563 * np.sqrt(1 + 3.29 / 4), rel=1e-3)
    assert told["diversity"] == pytest.approx(1 / (1 + 3.29 / 4), rel=1e-3)
    assert told["model shock"] == pytest.approx(0.6)
    assert not told.trouble
    d = 0
    slopes = 2.0 * np.exp(fit.flat("slope_by_task")[d])
    covariance = 0.3**2 * np.outer(slopes, slopes) + 0.4**2 * (FAMILY[:, None] == FAMILY)
    sd = np.sqrt(np.diag(covariance))
    apart = covariance.sum() - np.trace(covariance)
    assert told["shared"][d] == pytest.approx(apart / (sd.sum() ** 2 - np.trace(covariance)))
    assert (told["dimensions"][d], told["entropy"][d]) == pytest.approx(dimensions(covariance))


def test_thresholds_and_those_beyond_the_largest_model():
    items = item_response(table(), family="family")
    fit = fit_of(items, {"threshold": 10.0, "threshold_by_task_scale": 2.0})
    shift = fit.flat("threshold_by_task") + fit.flat("threshold_by_family")[:, FAMILY]
    expected = 22 + 1 + shift / LN10  # the reference run has 1e22
    np.testing.assert_allclose(thresholds(fit), expected)
    beyond = np.mean(expected > 24, axis=0) > 0.5
    assert unresolved(fit) == [f"t{i}" for i in np.flatnonzero(beyond)]
    np.testing.assert_allclose(companions(fit)["unresolved"], (expected > 24).sum(axis=1))


def test_the_share_of_the_shock_is_that_of_a_mixed_model():
    """With one slope it is s^2 / (s^2 + e^2): 0.90 and 0.60 logits, as of GSM8K, give 0.69."""
    items = item_response(table(tries=100))
    one = items.model.replace(pooling=tuple(p for p in items.model.pooling if p.vary != ("slope",)))
    given = {"slope": 1.18, "scatter": 0.60, "threshold_by_model_scale": 0.90 / 1.18 * LN10}
    told = companions(fit_of(items._replace(model=one), given))
    assert told["shared"] == pytest.approx(0.9**2 / (0.9**2 + 0.6**2))
    assert "rho" not in told.draws


def test_where_models_share_nothing():
    items = item_response(table())
    alone = items.model.replace(pooling=tuple(p for p in items.model.pooling if p.by == "task"))
    told = companions(fit_of(items._replace(model=alone), {}))
    assert np.isnan(told["shared"]).all()
    assert not told["model shock"].any()


def test_a_shock_on_the_logit_is_as_large_as_it_says():
    items = item_response(table())
    pooling = (Pooling(("threshold",), "task", dist.HalfNormal(1.0)),)
    told = companions(
        fit_of(items._replace(model=items.model.replace(pooling=pooling, effects=(Effect("model"),))), {})
    )
    assert told["model shock"] == pytest.approx(0.3)
    assert told["shared"] == pytest.approx(1.0)


def test_a_law_without_thresholds():
    items = item_response(table())
    alone = items.model.replace(pooling=(Pooling(("slope",), "task", dist.HalfNormal(1.0)),))
    with pytest.raises(
        ValueError, match="a suite has thresholds that differ by task; law logistic_chance has thresh"
    ):
        companions(fit_of(items._replace(model=alone), {}))


def test_what_metrs_families_are_worth():
    """36 families of 83 tasks; at a correlation of 0.46 they are worth 46 tasks."""
    sizes = np.array([1] * 19 + [2] * 5 + [3] * 5 + [5] * 4 + [6, 6, 7])
    assert sizes.sum() == 83
    worth = effective_tasks(np.array([0.0, 0.28, 0.46, 0.63, 1.0]), sizes)
    np.testing.assert_allclose(worth, [83, 53.5, 46.2, 41.8, 36], atol=0.05)


def test_items_scatter_from_model_to_model():
    """Of new models too, by the scatter of the noise. False-alarm rate: 1e-4, of one test."""
    items = item_response(table(tries=100))
    fit = fit_of(items, {"scatter": 0.8, "threshold_by_model_scale": 1e-9, "lapse": 1e-9})
    p = new_models(jax.random.key(0), fit, {"C": 1e22}, models=400)
    logits = np.log(p / (1 - p))
    own = (logits - logits.mean(axis=1, keepdims=True)).ravel() * np.sqrt(400 / 399)
    assert stats.kstest(own, stats.norm(0, 0.8).cdf).pvalue > 1e-4


# ---- A fit


def test_what_tasks_share_is_recovered():
    """60 tasks in 12 families, once. False-alarm rate: 3% for three intervals of 99%, at a fixed seed."""
    rng, tasks, families, models = np.random.default_rng(5), 60, 12, 7
    family = np.repeat(np.arange(families), tasks // families)
    where = 21 + np.sqrt(0.7) * rng.normal(size=families)[family] + np.sqrt(0.3) * rng.normal(size=tasks)
    x = np.linspace(19, 23, models)
    won = rng.binomial(4, expit(4 * (x[:, None] + 0.2 * rng.normal(size=(models, 1)) - where)))
    model, task = (index.ravel() for index in np.indices(won.shape))
    runs = Runs.make(
        {
            "C": 10 ** x[model],
            "successes": won.ravel(),
            "trials": np.full(won.size, 4),
            "model": [f"m{i}" for i in model],
            "task": [f"t{i}" for i in task],
            "family": [f"f{family[i]}" for i in task],
        },
        factors=["model", "task", "family"],
    )
    fit = nuts(
        jax.random.key(0),
        *item_response(runs, family="family"),
        draws=150,
        warmup=150,
        retry=False,
        target=0.9,
    )
    assert not fit.stats["diverging"].any()
    assert max(values[..., 0].max() for values in fit.diagnostics.values()) < 1.08  # 600 draws of 300 numbers
    told = companions(fit, family="family")
    for name, truth in (("rho", 0.7), ("spread", 1.0), ("slope", 4.0)):
        low, _, high = told.interval(name, 0.99)
        assert low < truth < high, name
