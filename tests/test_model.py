"""Model: its log density against one written by hand, its weights, its draws, and what it refuses."""

import jax
import numpy as np
import numpyro.distributions as dist
import pytest
from numpyro import handlers
from numpyro.infer import Predictive
from numpyro.infer.util import log_density
from scipy import stats

from bayescale import models, noise
from bayescale.model import Model
from bayescale.pooling import Effect, Pooling
from bayescale.runs import Runs

pytestmark = pytest.mark.usefixtures("workbench")

N = np.array([1e8, 3e8, 1e9, 1e9, 3e9, 8e9])
D = np.array([2e9, 9e9, 1e10, 4e10, 3e10, 2e11])
LOSS = np.array([3.4, 3.0, 2.8, 2.6, 2.5, 2.2])
CORPUS = [0, 1, 0, 1, 0, 1]
RUN = [0, 0, 1, 1, 2, 2]
TRUTH = {"E": 0.7, "A": 0.2, "B": 0.25, "alpha": 0.3, "beta": 0.35}


def table(**changes):
    columns = {"N": N, "D": D, "loss": LOSS, "corpus": list("xyxyxy"), "run": list("aabbcc"), **changes}
    return Runs.make(columns, factors=["corpus", "run"])


@pytest.fixture(scope="module")
def runs():
    return table()


def chinchilla(**changes):
    return Model(**{"law": models.load("chinchilla"), "noise": noise.log_normal, "effects": (), **changes})


def test_the_log_density_is_that_written_by_hand(runs):
    model = chinchilla(pooling=[Pooling(("E", "A"), by="corpus")], effects=[Effect("run")])
    scales = {"E": 0.08, "A": 0.4}
    raw = np.array([[0.3, -1.2], [-0.5, 0.8]])
    shocks = np.array([0.4, -1.0, 1.5])
    values = TRUTH | {"sigma": 0.02, "E_by_corpus_scale": 0.08, "A_by_corpus_scale": 0.4, "corpus_raw": raw}
    values |= {"run_effect_scale": 0.015, "run_raw": shocks[:, None]}
    ours = log_density(model, (runs,), {}, values)[0]

    E = TRUTH["E"] * np.exp(scales["E"] * raw[CORPUS, 0])
    A = TRUTH["A"] * np.exp(scales["A"] * raw[CORPUS, 1])
    n, d = N / stats.gmean(N), D / stats.gmean(D)
    mean = 2.2 * (E + A * n**-0.3 + TRUTH["B"] * d**-0.35) * np.exp(0.015 * shocks[RUN])
    logit = np.log(0.7 / 0.3)
    expected = (
        stats.norm(1, 1.5).logpdf(logit) - np.log(0.7 * 0.3)
        + sum(stats.lognorm(1.0, scale=np.exp(-1.6)).logpdf(TRUTH[p]) for p in "AB")
        + sum(stats.lognorm(0.5, scale=np.exp(-1.2)).logpdf(TRUTH[p]) for p in ("alpha", "beta"))
        + stats.lognorm(1.0, scale=0.01).logpdf(0.02)
        + stats.halfnorm(scale=0.1).logpdf(0.08)
        + stats.halfnorm(scale=0.5).logpdf(0.4)
        + stats.halfnorm(scale=0.01).logpdf(0.015)
        + stats.norm.logpdf(raw).sum() + stats.norm.logpdf(shocks).sum()
        + stats.lognorm(0.02, scale=mean).logpdf(LOSS).sum()
    )  # fmt: skip
    assert float(ours) == pytest.approx(expected, rel=1e-10)


def test_a_shock_of_success_is_on_the_logit():
    runs = Runs.make(
        {"N": N, "successes": [1.0, 2, 4, 5, 7, 9], "trials": [10.0] * 6, "model": list("aabbcc")},
        factors=["model"],
    )
    law = models.load("power").along("N").replace(response="success", priors={"A": dist.Uniform(0.0, 1.0)})
    model = Model(law, noise.binomial, effects=[Effect("model")])
    raw = np.array([0.5, -1.0, 2.0])
    values = {"A": 0.4, "alpha": 0.1, "model_effect_scale": 0.6, "model_raw": raw[:, None]}
    with handlers.substitute(data=values), handlers.trace() as trace:
        model(runs)
    mean = 0.4 * (N / stats.gmean(N)) ** -0.1
    expected = 1 / (1 + np.exp(-(np.log(mean / (1 - mean)) + 0.6 * raw[RUN])))
    np.testing.assert_allclose(trace["response"]["fn"].probs, expected, rtol=1e-10)


def test_a_weight_of_two_is_the_run_twice(runs):
    values = TRUTH | {"sigma": 0.02}
    weighted = runs.replace(weight=np.array([2.0, 1, 1, 0, 1, 3]))
    rows = np.array([0, 0, 1, 2, 4, 5, 5, 5])
    # The reference run and the unit stay those of the table, as in a bootstrap.
    repeated = runs.replace(
        columns={name: np.asarray(v)[rows] for name, v in runs.columns.items()},
        factors={name: np.asarray(v)[rows] for name, v in runs.factors.items()},
        response=LOSS[rows],
        weight=np.ones(8),
    )
    # Compiled, as all fits are: NumPyro refuses a weight of 0 that it can see.
    density = jax.jit(lambda runs: log_density(chinchilla(), (runs,), {}, values)[0])
    one, other = density(weighted), density(repeated)
    assert float(one) == pytest.approx(float(other), rel=1e-12)


def test_responses_are_drawn_where_there_are_none(runs):
    """False-alarm rate 1e-4 for each of six runs, at a fixed seed."""
    values = {name: np.full(2000, value) for name, value in (TRUTH | {"sigma": 0.1}).items()}
    draws = Predictive(chinchilla(), values)(jax.random.key(0), runs.replace(response=None))["response"]
    n, d = N / stats.gmean(N), D / stats.gmean(D)
    mean = 2.2 * (0.7 + 0.2 * n**-0.3 + 0.25 * d**-0.35)
    assert draws.shape == (2000, 6)
    for run in range(6):
        score = np.log(np.asarray(draws[:, run]) / mean[run]) / 0.1
        assert stats.kstest(score, stats.norm.cdf).pvalue > 1e-4


def test_the_mean_is_the_law_in_natural_units(runs):
    model = chinchilla()
    natural = {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28}
    relative = model.law.to_reference(natural, runs.reference, runs.unit)
    expected = 1.69 + 406.4 / N**0.34 + 410.7 / D**0.28
    np.testing.assert_allclose(model.mean(runs, relative), expected, rtol=1e-10)


def test_effects_are_chosen_where_nothing_is_said(runs):
    found = chinchilla(effects=None).specialise(runs)
    assert found.effects is not None
    assert [e.by for e in found.effects] == ["run"]
    assert chinchilla().specialise(runs).effects == ()


def test_a_parameter_that_varies_by_two_factors(runs):
    model = chinchilla(pooling=[Pooling(("E",), "corpus"), Pooling(("E", "A"), "run")])
    assert model.varying == {"E": ("corpus", "run"), "A": ("run",)}
    assert model.factors == {"corpus": ("E_by_corpus",), "run": ("E_by_run", "A_by_run")}


# What is refused.


def test_a_law_and_noise_of_different_responses():
    with pytest.raises(ValueError, match=r"^law chinchilla is of loss and binomial noise of success$"):
        Model(models.load("chinchilla"), noise.binomial)


def test_a_law_and_noise_that_share_a_parameter():
    other = noise.log_normal.replace(
        likelihood=lambda mean, runs, *, E: None, priors={"E": dist.Normal(0.0, 1.0)}
    )
    with pytest.raises(ValueError, match=r"^law chinchilla and log_normal noise both have E$"):
        Model(models.load("chinchilla"), other)


def test_a_parameter_that_the_law_does_not_have():
    with pytest.raises(
        ValueError, match=r"^gamma cannot vary by corpus: law chinchilla has the parameters E, A, B"
    ):
        chinchilla(pooling=[Pooling(("gamma",), by="corpus")])


def test_a_prior_of_several_numbers_is_refused():
    law = models.load("power").replace(priors={"A": dist.LogNormal(np.zeros(1), 0.5)})
    with pytest.raises(
        ValueError, match=r"^the prior of A is of the shape \(1,\); a parameter is one number$"
    ):
        Model(law, noise.log_normal)
    wide = Pooling(("A",), by="corpus", scale=dist.HalfNormal(np.ones(2)))
    with pytest.raises(ValueError, match=r"^the prior of the scale of A_by_corpus is of the shape \(2,\)"):
        Model(models.load("power"), noise.log_normal, (wide,))


def test_a_parameter_that_varies_twice():
    with pytest.raises(ValueError, match=r"^a parameter varies twice by the same factor; name it once$"):
        chinchilla(pooling=[Pooling(("E",), by="corpus"), Pooling(("A", "E"), by="corpus")])


@pytest.mark.parametrize(
    ("model", "changes", "message"),
    [
        (
            Model(models.load("power").along("U"), noise.log_normal),
            {},
            "power needs the column U; there are N, D",
        ),
        (chinchilla(noise=noise.log_normal.scaled("U")), {}, "chinchilla needs the column U; there are N, D"),
        (
            Model(models.load("power").along("step"), noise.log_normal),
            {"step": [0.0, 1, 2, 3, 4, 5]},
            "column step has values that are not positive; a law cannot use it",
        ),
        (chinchilla(effects=[Effect("lab")]), {}, "there is no factor lab; there are corpus, run"),
    ],
)
def test_a_table_that_a_model_cannot_be_fitted_to(model, changes, message):
    with pytest.raises(ValueError, match=f"^table: {message}"):
        model.specialise(table(**changes))


def test_a_factor_of_which_one_level_is_left(runs):
    left = runs.subset(np.array(CORPUS) == 0)
    with pytest.raises(ValueError, match=r"^table: factor corpus has one level, x; nothing can vary by it$"):
        chinchilla(pooling=[Pooling(("E",), by="corpus")]).specialise(left)


def test_a_table_of_another_response():
    tasks = Runs.make({"N": N, "successes": [1.0, 1, 1, 2, 1, 1], "trials": [2.0] * 6})
    with pytest.raises(ValueError, match=r"^table: the response is success, and law chinchilla is of loss$"):
        chinchilla().specialise(tasks)


def test_a_table_without_factors():
    runs = Runs.make({"N": N, "D": D, "loss": LOSS}).replace(factors={}, levels={})
    with pytest.raises(
        ValueError, match=r"there is no factor lab; there are none; name grouping columns as factors$"
    ):
        chinchilla(effects=[Effect("lab")]).specialise(runs)


def test_a_table_with_too_few_runs(runs):
    few = runs.subset(np.arange(6) < 4)
    with pytest.raises(
        ValueError, match=r"4 runs cannot teach the 5 parameters of chinchilla \(E, A, B, alpha, beta"
    ):
        chinchilla().specialise(few)
