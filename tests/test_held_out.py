"""Tasks that are left out: which they are, what needs no model, and what a suite whose truth is known is told."""

import jax
import numpy as np
import pytest
from scipy.special import expit

from bayescale.check.folds import Fold
from bayescale.runs import Runs
from bayescale.tasks.held_out import _groups, _rivals, backtest_tasks
from bayescale.tasks.items import item_response

TASKS, MODELS, TRIES = 20, 6, 4


def suite(seed: int = 0) -> Runs:
    """Tasks of five families whose thresholds differ by a decade, three quarters of the variance by family."""
    rng = np.random.default_rng(seed)
    places = 21 + np.repeat(rng.standard_normal(5), 4) * 0.87 + 0.5 * rng.standard_normal(TASKS)
    model, task = (one.ravel() for one in np.meshgrid(np.arange(MODELS), np.arange(TASKS), indexing="ij"))
    x = np.linspace(19, 23, MODELS)[model]
    return Runs.make(
        {
            "C": 10**x,
            "successes": rng.binomial(TRIES, expit(4 * (x - places[task]))).astype(float),
            "trials": np.full(len(x), float(TRIES)),
            "model": [f"m{i}" for i in model],
            "task": [f"t{i:02d}" for i in task],
            "family": [f"f{i // 4}" for i in task],
        },
        response="successes",
        factors=["model", "task", "family"],
    )


def test_every_task_is_left_out_once():
    runs, rng = suite(), np.random.default_rng(0)
    for way in ("tasks", "families"):
        groups = _groups(rng, runs, way, "task", "family")
        assert len(groups) == 5
        assert sorted(np.concatenate(list(groups.values()))) == list(range(TASKS))
    kin = np.arange(TASKS) // 4
    for out in groups.values():
        assert len(np.unique(kin[out])) * 4 == len(out)  # whole families


def test_the_hardest_are_those_done_least():
    runs = suite()
    (out,) = _groups(np.random.default_rng(0), runs, "hardest", "task", None).values()
    of, share = np.asarray(runs.factors["task"]), np.asarray(runs.response) / TRIES
    done = np.array([share[of == one].mean() for one in range(TASKS)])
    assert len(out) == 4
    assert done[out].max() <= np.delete(done, out).min()


def test_what_needs_no_model_knows_nothing_of_the_tasks_left_out():
    runs = suite()
    asked = np.asarray(runs.factors["task"]) < 2
    fold = Fold("", ~asked, asked, np.full(len(runs), np.nan))
    other = runs.replace(response=np.where(asked, 0.0, np.asarray(runs.response)))
    for name, drawn in _rivals(runs, fold, "model", "family").items():
        assert drawn == pytest.approx(_rivals(other, fold, "model", "family")[name])
    share, model = np.asarray(runs.response) / TRIES, np.asarray(runs.factors["model"])
    drawn = _rivals(runs, fold, "model", None)["mean of the model's other tasks"]
    assert drawn[0, 0] == pytest.approx(share[~asked & (model == model[np.flatnonzero(asked)[0]])].mean())


def test_what_cannot_be_left_out():
    items = item_response(suite())
    with pytest.raises(ValueError, match="labs is not left out; tasks, families, hardest are"):
        backtest_tasks(jax.random.key(0), items, "labs")
    with pytest.raises(ValueError, match="name the factor of families of tasks"):
        backtest_tasks(jax.random.key(0), items, "families")
    few = item_response(suite().subset(np.asarray(suite().factors["task"]) < 5))
    with pytest.raises(ValueError, match="4 tasks are left; it takes 5"):
        backtest_tasks(jax.random.key(0), few, "hardest")


@pytest.mark.slow
def test_tasks_and_families_that_are_left_out_are_forecast_and_the_hardest_are_not():
    """Intervals of whole families hold; that hard tasks are as others is not so, and the bias says it.

    20 tasks count as some 5 to 20 independent ones: of 90% intervals 70% or more hold in all but 1 of 100 suites.
    """
    runs = suite()
    items = item_response(runs, family="family")
    found = {
        way: backtest_tasks(jax.random.key(1), items, way, family="family", draws=300, warmup=300)
        for way in ("tasks", "families", "hardest")
    }
    for way in ("tasks", "families"):
        total = found[way].total
        assert len(found[way].index) == len(runs)
        assert total.ours.cover90 >= 0.7
        assert abs(total.ours.bias) < 0.15
    assert found["tasks"].total.skill > 0
    assert found["hardest"].total.ours.bias > 0.1
