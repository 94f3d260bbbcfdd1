"""Input as it comes: whole numbers of 64 bits and of Python, success at its edges, dates, averages, chance levels."""

import jax
import numpy as np
import pytest
from scipy.stats import norm

from bayescale import models, noise
from bayescale.fit import Fit
from bayescale.model import Model
from bayescale.runs import Runs
from bayescale.tasks.overlap import overlap

N, D = 12_000_000_000, 300_000_000_000  # 6ND is more than 64 bits hold


@pytest.mark.parametrize("kind", [np.int64, object, np.float32, np.float64])
def test_compute_of_whole_numbers_does_not_overflow(kind):
    columns = {name: np.array([value, value // 2], dtype=kind) for name, value in {"N": N, "D": D}.items()}
    runs = Runs.make({**columns, "successes": [1, 0], "trials": [3, 3]})
    # 32 bits hold seven digits
    assert runs.columns["C"][0] == pytest.approx(2.16e22, rel=1e-6)


def test_compute_of_points_does_not_overflow():
    law = models.load("logistic").along("C")
    runs = Runs.make({"C": [1e20, 1e21, 1e22, 1e23], "successes": [1, 2, 3, 4], "trials": [5] * 4})
    fit = by_hand(Model(law, noise.binomial, effects=()), runs)
    whole = fit.predict({"N": np.array([N]), "D": np.array([D], dtype=object)})
    np.testing.assert_allclose(whole, fit.predict({"C": [2.16e22]}))


def by_hand(model, runs, draws=200):
    """A fit with draws of the prior in place of a posterior."""
    keys = jax.random.split(jax.random.key(0), len(model.priors))
    drawn = {
        name: np.asarray(prior.sample(key, (1, draws)), np.float64)
        for key, (name, prior) in zip(keys, model.priors.items(), strict=True)
    }
    return Fit(model, runs, drawn, "map", {"at_bound": [], "mode_converged": True})


@pytest.mark.parametrize("name", [n for n in models.names() if models.load(n).response == "success"])
def test_no_prediction_is_outside_zero_and_one(name):
    """Far from the runs, and new runs with noise too."""
    law = models.load(name)
    law = law.along("C") if "x" in law.covariates else law
    columns = {
        "C": 10.0 ** np.arange(19, 27),
        "N": 10.0 ** np.arange(8, 16),
        "D": 10.0 ** np.arange(9, 17),
        "loss": np.linspace(4, 2, 8),
        "minutes": 2.0 ** np.arange(8),
        "date": 2020.0 + np.arange(8),
        "chance": np.array([0, 0.25, 0.5, 0, 0.25, 0.5, 0, 1.0]),
        "k": 10.0 ** np.arange(8),
    }
    counts = {"successes": np.array([0, 0, 1, 2, 3, 3, 7, 7]), "trials": np.array([1, 9, 5, 2, 3, 4, 7, 7])}
    runs = Runs.make({**columns, **counts}, response="successes")
    far = {c: columns[c] * np.array([1e-6, 1e6, *[1.0] * 6]) for c in ("C", "N", "D", "loss", "minutes")}
    points = {**far, **{c: columns[c] for c in ("date", "chance", "k")}}
    points = {c: v for c, v in points.items() if c in law.covariates} or {"trials": np.ones(8)}
    mean = by_hand(Model(law, noise.binomial, effects=()), runs).predict(points)
    assert ((mean >= 0) & (mean <= 1)).all()
    if name != "logistic_chance":
        return
    for scatter in (noise.binomial, noise.beta_binomial, noise.logit_normal, noise.average):
        fit = by_hand(Model(law, scatter, effects=()), runs)
        new = fit.predict({**points, "trials": 7.0}, kind="new_run", key=jax.random.key(1))
        assert ((new >= 0) & (new <= 7)).all()
        assert new.max() > 1


def test_dates_are_read_in_years_and_chance_as_it_is():
    table = {
        "minutes": [1.0, 30, 400, 7],
        "release_date": ["2023-03-14", "2024-07-02", "2025-01-01", "2025-12-31"],
        "chance": [0.0, 0.25, 0.0, 0.5],
        "successes": [3, 1, 0, 2],
        "trials": [3, 3, 4, 4],
    }
    runs = Runs.make(table, names={"date": "release_date"})
    np.testing.assert_allclose(runs.columns["date"], [2023.197, 2024.5, 2025, 2025.997], atol=1e-3)
    model = Model(models.load("time_horizon"), noise.binomial, effects=())
    model.specialise(runs)
    parameters = {"horizon": 10.0, "doubling": 0.5, "slope": 0.6}
    relative = {**parameters, "horizon": 10.0 / runs.reference["minutes"]}
    ours = model.mean(runs, relative)
    np.testing.assert_allclose(ours, model.law(runs.columns, parameters), rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "columns", "message"),
    [
        (
            "time_horizon",
            {"minutes": [1.0] * 4, "date": [20240101.0] * 4},
            "column date has 2.0?2401e.07; law",
        ),
        ("logistic_chance", {"C": [1e20] * 4, "chance": [0.25, 25, 0, 0]}, "column chance has 25; law"),
        ("pass_at_k", {"k": [1, 2, 0, 4]}, "column k has 0; law pass_at_k takes it as it is, from 1 to inf"),
        ("success_of_loss", {"loss": [2.0, 1.0, -1.0, 3.0]}, "column loss has values that are not positive"),
    ],
)
def test_columns_that_a_law_cannot_take(name, columns, message):
    law = models.load(name)
    law = law.along("C") if "x" in law.covariates else law
    runs = Runs.make({**columns, "successes": [0, 1, 2, 3], "trials": [4] * 4}, response="successes")
    with pytest.raises(ValueError, match=message):
        Model(law, noise.binomial).specialise(runs)


def test_points_that_a_law_cannot_take():
    runs = Runs.make({"k": [1.0, 2, 4, 8], "successes": [1, 2, 2, 3], "trials": [5] * 4})
    fit = by_hand(Model(models.load("pass_at_k"), noise.binomial, effects=()), runs)
    with pytest.raises(ValueError, match=r"^k at a point is \[0\.5\]; law pass_at_k takes 1 to inf$"):
        fit.predict({"k": [0.5]})


def test_averages_are_counts_where_they_are_whole():
    shares = {"N": [1e9, 2e9, 3e9], "accuracy": [0.29, 1.0, 0.3333], "n_items": [100, 7, 10]}
    runs = Runs.make(shares, response="accuracy")
    np.testing.assert_allclose(runs.response, [29, 7, 3.333])
    assert runs.response[0] == 29
    assert "accuracy read as the share of successes" in runs.notes


def test_averages_of_nobody_knows_how_many():
    runs = Runs.make({"N": [1e9, 2e9], "accuracy": [0.25, 0.5]}, response="accuracy")
    assert any("averages are taken as of many items" in note for note in runs.notes)
    with pytest.raises(
        ValueError, match="there are averages and not counts of successes, which beta_binomial noise"
    ):
        Model(models.load("constant_success"), noise.beta_binomial).specialise(runs)
    likelihood = noise.average(np.full(2, 0.25), runs, {"sigma": 0.02})
    density = likelihood.log_prob(runs.response) + np.log(runs.columns["trials"])
    # Of a million items the scatter is that of the noise: sqrt(.25 .75 / 1e6) is 2% of it.
    np.testing.assert_allclose(density, norm(0.25, 0.02).logpdf([0.25, 0.5]), rtol=2e-3)


def test_a_factor_is_no_law_of_success():
    from bayescale.law import irrelevant

    with pytest.raises(
        ValueError, match="law logistic_chance is of success, which times a factor may be above 1"
    ):
        irrelevant(models.load("logistic_chance"), "gpus")


def test_a_family_of_one_task_has_an_overlap():
    p = np.random.default_rng(0).uniform(size=(50, 20, 4))
    found = overlap(p, families=["alone", "a", "a", "b"])
    assert np.isfinite([found.omega, found.effective, *found.shares.values()]).all()
    one = overlap(p[..., :2], families=["a", "a"])
    assert one.shares["families of models"] == pytest.approx(0)
    assert np.isfinite(one.omega)
