"""Back-tests of suites: nothing is known of what is forecast, and no forecast is outside 0 and 1."""

import re

import jax
import numpy as np
import pytest
from scipy.special import expit

from bayescale import models, noise
from bayescale.check.backtested import Backtest, measured
from bayescale.check.folds import Fold
from bayescale.check.forecasts import Forecasts
from bayescale.check.scores import PROBABILITIES
from bayescale.fit import Fit
from bayescale.model import Model
from bayescale.runs import Runs
from bayescale.tasks.backtest import SuiteBacktest, backtest_suite
from bayescale.tasks.forecast import forecast_suite, through_loss
from bayescale.tasks.members import members
from bayescale.tasks.rivals import rivals
from bayescale.tasks.series import suite_scores
from bayescale.tasks.suite_folds import Suite, family_folds, scale_folds
from tests.made import BESIROGLU, fit_of, some

KEY = jax.random.key(0)


def suite_of(models=14, trials=500, seed=0, after=None):
    """Scores on a logistic curve in log compute; those beyond 1e22 may be replaced."""
    rng = np.random.default_rng(seed)
    compute = np.geomspace(1e19, 1e23, models)
    p = expit(1.2 * (np.log10(compute) - 21.5) + 0.05 * rng.standard_normal(models))
    wins = rng.binomial(trials, p).astype(float)
    if after is not None:
        wins[compute > 1e22] = after
    columns = {"C": compute, "successes": wins, "trials": np.full(models, float(trials))}
    names = [f"m{i}" for i in range(models)]
    return Runs.make(
        {**columns, "model": names, "lab": ["a", "b"] * (models // 2)},
        response="successes",
        factors=["model", "lab"],
    )


@pytest.fixture(scope="module")
def found():
    return backtest_suite(KEY, suite_of(), Suite(family="lab"), cuts=(5e21,))


def test_forecasts_are_probabilities_that_hold(found):
    row = found.backtest.total
    assert found.backtest.quantiles.min() >= 0
    assert found.backtest.quantiles.max() <= 1
    assert (
        row.ours.error < 0.15
    )  # before anything has been forecast all laws count about alike, and one is no law
    assert row.ours.count == len(found.backtest.index)
    assert set(found.skills) == {"C up to 5e21"}
    assert found.refuse == (found.skills["C up to 5e21"] <= 0)


def test_nothing_is_known_of_what_is_forecast(found):
    """The forecasts are the same to the last bit whatever comes."""
    other = backtest_suite(KEY, suite_of(after=3.0), Suite(family="lab"), cuts=(5e21,))
    assert (other.backtest.quantiles == found.backtest.quantiles).all()
    assert (other.backtest.truth != found.backtest.truth).any()
    assert other.refuse


def test_a_forecast_of_models_that_are_not_there(found):
    ahead = forecast_suite(KEY, suite_of(), found, {"C": [1e22, 1e24]}, lab="a")
    low, middle, high = ahead.interval()
    assert (low >= 0).all()
    assert (high <= 1).all()
    assert middle[1] > middle[0]
    assert ahead.gap == pytest.approx([0.0, 1.0])
    assert sum(ahead.weights.values()) == pytest.approx(1)
    with pytest.raises(ValueError, match=re.escape("lab has no level 'c'; it has a, b")):
        forecast_suite(KEY, suite_of(), found, {"C": 1e24}, lab="c")
    with pytest.raises(ValueError, match="each point needs C, along which the suite is forecast"):
        forecast_suite(KEY, suite_of(), found, {"x": 1.0})


def test_cutoffs_are_found_by_models():
    parts = scale_folds(suite_of(), Suite(), None)
    for fold in parts:
        assert fold.known.sum() >= 9
        assert fold.asked.sum() >= 2
        values = np.asarray(suite_of().columns["C"])
        assert values[fold.asked].min() > 1.5 * values[fold.known].max()
    with pytest.raises(ValueError, match="no back-test along C is possible with 10 models"):
        scale_folds(suite_of(models=10), Suite(), None)
    with pytest.raises(ValueError, match="there is no column date"):
        scale_folds(suite_of(), Suite(along="date"), None)


def test_families_are_left_out_but_for_their_smallest_models():
    runs = suite_of(models=20)
    for shown in (0, 2):
        parts = family_folds(runs, Suite(family="lab"), shown)
        assert [fold.name for fold in parts] == ["without lab a", "without lab b"]
        for level, fold in enumerate(parts):
            mine = np.asarray(runs.factors["lab"]) == level
            assert (fold.known == ~fold.asked).all()
            assert fold.known[mine].sum() == shown
            assert np.flatnonzero(mine)[:shown].tolist() == np.flatnonzero(fold.known & mine).tolist()
    with pytest.raises(ValueError, match="name the family of the models"):
        family_folds(runs, Suite(), 0)
    with pytest.raises(ValueError, match="shown is -1"):
        family_folds(runs, Suite(family="lab"), -1)
    with pytest.raises(
        ValueError, match="no lab can be left out: none has more than 0 models beside 9 others"
    ):
        family_folds(suite_of(models=10), Suite(family="lab"), 0)


@pytest.mark.slow
def test_a_family_that_is_left_out_is_forecast():
    """In the same shapes as above, so that nothing is compiled anew."""
    found = backtest_suite(KEY, suite_of(models=20), Suite(family="lab"), shown=1).backtest
    assert found.by == "lab"
    assert np.isfinite(found.quantiles).all()
    assert len(found.index) == 18
    assert np.abs(np.median(found.quantiles, axis=0) - found.truth).mean() < 0.05


def test_members_are_those_that_columns_allow():
    runs = suite_of()
    assert "two_step" not in [m.name for m in members(runs)]
    sized = runs.replace(
        columns={**runs.columns, "N": np.geomspace(1e7, 1e10, 14), "D": np.geomspace(1e9, 1e12, 14)}
    )
    assert "two_step" in [m.name for m in members(sized)]
    assert [m.loss for m in members(sized, "val")][-1] == "chinchilla"
    assert [m.loss for m in members(runs, "val")][-1] == "power_floor"


def made(middle, truth=None, known=9):
    """A back-test whose forecasts are given: normal about `middle` for models beyond the ninth."""
    runs = suite_of()
    index = np.arange(known, 14)
    quantiles = np.clip(
        middle + 0.05 * np.sort(np.random.default_rng(0).standard_normal((200, 1)), axis=0), 0, 1
    )
    quantiles = np.broadcast_to(quantiles, (len(PROBABILITIES), len(index)))
    mask = np.arange(14) < known
    gap = np.log10(np.asarray(runs.columns["C"]) / float(np.asarray(runs.columns["C"])[known - 1]))
    fold = Fold("C up to 4e21", mask, ~mask, gap)
    flat = np.full((len(PROBABILITIES), len(index)), measured(runs)[known - 1])
    one = Forecasts(fold, "logistic", (), (), index, quantiles, np.zeros(len(index)), {"best so far": flat})
    own = {"logistic": 0.7, "by evidence": 0.3}
    return SuiteBacktest(Backtest(runs, "C", (one,)), (own,), np.zeros(1), own, 0.0, {}, Suite())


def test_forecasts_without_skill_are_refused():
    assert made(0.05).refuse
    assert not made(0.75).refuse


@pytest.mark.parametrize("loss", [False, True])
def test_rivals_find_the_curves_they_are_made_for(loss):
    compute = np.geomspace(1e18, 1e23, 24)
    known, asked = np.arange(18), np.arange(18, 24)
    losses = 1.7 + 3 * (compute / 1e18) ** -0.12
    p = (
        0.25 + 0.75 * 0.9 * expit(3.0 * (2.6 - losses))
        if loss
        else 0.25 + 0.7 * expit(1.5 * (np.log10(compute) - 21))
    )
    found = rivals(
        "C",
        compute,
        p,
        np.zeros(24, int),
        known,
        asked,
        chance=0.25,
        sizes=compute[:, None],
        loss=losses if loss else None,
    )
    name = "two stages" if loss else "logistic in C"
    assert np.median(found[name], axis=0) == pytest.approx(p[asked], abs=0.03)
    assert found["mean"][0] == pytest.approx(p[known].mean())
    power = np.exp(-4 * (compute / 1e18) ** -0.15)
    direct = rivals("C", compute, power, np.zeros(24, int), known, asked)["direct power law in C"]
    assert np.median(direct, axis=0) == pytest.approx(power[asked], abs=1e-6)


def test_the_mean_over_tasks_has_the_error_of_its_tasks():
    rng = np.random.default_rng(0)
    model, task = np.repeat(np.arange(5), 6), np.tile(np.arange(6), 5)
    trials = rng.integers(20, 400, 30).astype(float)
    wins = rng.binomial(trials.astype(int), 0.4).astype(float)
    keep = np.arange(30) < 28  # the last model misses two tasks of six
    runs = Runs.make(
        {
            "C": 10.0 ** (19 + model[keep]),
            "successes": wins[keep],
            "trials": trials[keep],
            "chance": np.where(task[keep] % 2, 0.25, 0.0),
            "model": [f"m{i}" for i in model[keep]],
            "task": [f"t{i}" for i in task[keep]],
        },
        response="successes",
        factors=["model", "task"],
    )
    found = suite_scores(runs)
    assert len(found) == 4
    assert any("1 models measured on fewer than 90% of the tasks left out" in note for note in found.notes)
    own = model == 0
    share = wins[own] / trials[own]
    assert measured(found)[0] == pytest.approx(share.mean())
    p = (wins[own] + 0.5) / (trials[own] + 1)
    variance = np.sum(p * (1 - p) / trials[own]) / 36
    assert p.mean() * (1 - p.mean()) / float(np.asarray(found.columns["trials"])[0]) == pytest.approx(
        variance
    )
    assert np.asarray(found.columns["chance"]) == pytest.approx(0.125)
    assert "task" not in found.levels
    with pytest.raises(ValueError, match="there is no factor problem; there are model, task"):
        suite_scores(runs, task="problem")


def link_of(draws, scatter=0.0):
    """A fit of success in the loss, whose slope differs between draws."""
    runs = Runs.make(
        {"loss": np.linspace(2, 4, 8), "successes": np.arange(8.0), "trials": np.full(8, 10.0)},
        response="successes",
    )
    runs = runs.replace(
        columns={**runs.columns, "loss": np.linspace(2, 4, 8)}, reference={**runs.reference, "loss": 3.0}
    )
    law = models.load("success_of_loss")
    values = {
        "halfway": 0.9,
        "slope": 6.0 * np.exp(scatter * np.linspace(-1, 1, draws)),
        "floor": 0.25,
        "lapse": 0.1,
    }
    held = {n: np.broadcast_to(np.asarray(v, float), draws).reshape(1, draws) for n, v in values.items()}
    held["concentration"] = np.full((1, draws), 1e6)
    stats = {"at_bound": [], "mode_converged": True}
    return Fit(Model(law, noise.beta_binomial, (), ()), runs, held, "map", stats)


def test_success_by_way_of_the_loss_is_the_link_of_the_loss():
    points = {"N": np.array([1e8, 1e10]), "D": np.array([2e9, 2e11])}
    loss = fit_of("chinchilla", {p: np.full(40, v) for p, v in BESIROGLU.items()})
    found = through_loss(KEY, loss, link_of(40), points)
    L = np.asarray(models.load("chinchilla").mean(points["N"], points["D"], **BESIROGLU))
    exact = 0.25 + 0.75 * 0.9 * expit(2.0 * (2.7 - L))
    assert found.shape == (40, 2)
    assert found == pytest.approx(np.broadcast_to(exact, (40, 2)), abs=1e-6)


def test_what_is_not_known_of_either_goes_through():
    points = {"N": 1e9, "D": 2e10}
    sure = fit_of("chinchilla", {p: np.full(400, v) for p, v in BESIROGLU.items()})
    unsure = fit_of("chinchilla", some(BESIROGLU, draws=400, sd=0.02))
    first = np.std(through_loss(KEY, unsure, link_of(400), points))
    second = np.std(through_loss(KEY, sure, link_of(400, 0.3), points))
    both = np.std(through_loss(KEY, unsure, link_of(400, 0.3), points))
    assert first > 0.005
    # Independent, and nearly linear here; standard deviations of 400 draws are good to 4%.
    assert both == pytest.approx(np.hypot(first, second), rel=0.15)
    tried = through_loss(KEY, sure, link_of(400), {**points, "trials": 50.0}, kind="new_run")
    p = through_loss(KEY, sure, link_of(400), points).mean()
    assert tried.mean() == pytest.approx(p, abs=0.02)
    assert tried.std() > np.sqrt(p * (1 - p) / 50) * 0.85
    assert np.abs(tried * 50 - np.rint(tried * 50)).max() < 1e-9
    with pytest.raises(ValueError, match="they are of a loss, and of success in the loss"):
        through_loss(KEY, sure, sure, points)


def test_a_model_measured_twice_on_half_of_the_tasks_is_left_out():
    model, task = (one.ravel() for one in np.indices((4, 6)))
    half = (model < 3) | (task < 3)
    rows = np.concatenate([np.flatnonzero(half), np.flatnonzero((model == 3) & (task < 3))])
    runs = Runs.make(
        {
            "C": 10.0 ** (19 + model[rows]),
            "successes": np.arange(len(rows)) % 5 + 1.0,
            "trials": np.full(len(rows), 8.0),
            "model": [f"m{i}" for i in model[rows]],
            "task": [f"t{i}" for i in task[rows]],
        },
        response="successes",
        factors=["model", "task"],
        duplicates="keep",
    )
    scores = suite_scores(runs)
    assert scores.levels["model"] == ("m0", "m1", "m2")
    assert scores.notes[-1] == "1 models measured on fewer than 90% of the tasks left out"
