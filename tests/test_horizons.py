"""Time horizons, against closed forms and draws of tasks at random, of fits made by hand."""

import numpy as np
import pytest
from scipy.special import expit, logit

from bayescale import noise
from bayescale.fit import Fit
from bayescale.runs import Runs
from bayescale.tasks.horizons import horizon_items, horizons

AGENTS, TASKS, DRAWS = 3, 8, 50
DATES = np.array([2023.2, 2024.4, 2025.0])
LN2 = np.log(2)


@pytest.fixture(scope="module")
def runs():
    agent, task = (index.ravel() for index in np.indices((AGENTS, TASKS)))
    return Runs.make(
        {
            "minutes": 4.0 ** (task - 3.5),
            "date": DATES[agent],
            "successes": (agent + task) % 5,
            "trials": np.full(len(agent), 4),
            "agent": [f"a{i}" for i in agent],
            "task": [f"t{i}" for i in task],
            "family": [f"f{i // 3}" for i in task],
        },
        factors=["agent", "task", "family"],
    )


def fit_of(items, given):
    rng = np.random.default_rng(0)
    defaults = {"horizon": 8.0, "doubling": 0.5, "slope": 0.6, "shape": 0.6, "change": 2024.3}
    draws = {
        name: np.full((1, DRAWS), given.get(name, defaults.get(name, 0.5))) for name in items.model.priors
    }
    draws["horizon"] = draws["horizon"] * np.exp(0.2 * rng.normal(size=(1, DRAWS)))
    for by, names in items.model.factors.items():
        for name in names:
            draws[f"{name}_scale"] = np.full((1, DRAWS), given.get(f"{name}_scale", 0.3))
            draws[name] = 0.3 * rng.normal(size=(1, DRAWS, len(items.runs.levels[by])))
    return Fit(items.model, items.runs, draws, "map", {"at_bound": [], "mode_converged": True})


def test_the_default_model(runs):
    items = horizon_items(runs, family="family")
    assert items.model.varying == {"horizon": ("agent", "task", "family"), "slope": ("agent",)}
    assert [effect.by for effect in items.model.effects] == ["agent:family"]
    assert items.model.noise is noise.binomial
    items.model.specialise(items.runs)
    plain = horizon_items(runs, law="time_survival", task=None)
    assert plain.model.varying == {"horizon": ("agent",), "shape": ("agent",)}


def test_horizons_where_tasks_of_one_length_are_alike(runs):
    """log2 of the horizon at p is that at a half less logit(p) / slope."""
    fit = fit_of(horizon_items(runs, task=None), {})
    told = horizons(fit, levels=(0.5, 0.8))
    for i, date in enumerate(DATES):
        half = fit.flat("horizon") * np.exp(fit.flat("horizon_by_agent")[:, i]) * 2 ** ((date - 2024) / 0.5)
        np.testing.assert_allclose(told[f"a{i} at 50%"], half, rtol=1e-9)
        slope = 0.6 * np.exp(fit.flat("slope_by_agent")[:, i])
        np.testing.assert_allclose(told[f"a{i} at 80%"], half * 2 ** (-logit(0.8) / slope), rtol=1e-9)
    np.testing.assert_allclose(told["doubling"], 0.5 * 365.25)
    np.testing.assert_allclose(told["residual"], 0.3 / LN2)
    assert not told["difficulty"].any()
    assert told.units["a0 at 50%"] == "minutes"
    assert told.units["doubling"] == "days"


def test_horizons_over_tasks_at_random(runs):
    """Against many tasks of one length, harder and easier, of which 80% are done at the horizon."""
    given = {"horizon_by_task_scale": 1.2, "horizon_by_family_scale": 0.9, "agent:family_effect_scale": 0.7}
    fit = fit_of(horizon_items(runs, family="family"), given)
    told, rng = horizons(fit, levels=(0.5, 0.8)), np.random.default_rng(1)
    np.testing.assert_allclose(told["difficulty"], 1.5 / LN2)
    half = fit.flat("horizon") * np.exp(fit.flat("horizon_by_agent")[:, 1]) * 2 ** ((DATES[1] - 2024) / 0.5)
    np.testing.assert_allclose(told["a1 at 50%"], half, rtol=1e-6)
    slope = 0.6 * np.exp(fit.flat("slope_by_agent")[0, 1])
    harder, better = 1.5 * rng.normal(size=400_000), 0.7 * rng.normal(size=400_000)
    p = expit(slope * (np.log(half[0] / told["a1 at 80%"][0]) - harder) / LN2 + better)
    assert p.mean() == pytest.approx(
        0.8, abs=0.003
    )  # of 400,000 the mean is good to 0.0005, the nodes to 0.001


def test_a_line_with_a_break(runs):
    fit = fit_of(horizon_items(runs, law="time_horizon_break"), {"before": 0.6, "after": 0.3})
    told = horizons(fit, dates=(2026.0,), levels=(0.5,))
    np.testing.assert_allclose(told["before"], 0.6 * 365.25)
    np.testing.assert_allclose(told["after"], 0.3 * 365.25)
    np.testing.assert_allclose(told["change"], 2024.3)
    # From 2024 to the change in 0.6 years a doubling, then in 0.3.
    doublings = 0.3 / 0.6 + 1.7 / 0.3
    new = np.log2(told["2026 at 50%"] / fit.flat("horizon")) - doublings
    assert abs(new.mean()) < 4 * 0.3 / LN2 / np.sqrt(DRAWS)
    assert new.std() == pytest.approx(0.3 / LN2, rel=0.5)


def test_horizons_of_survival(runs):
    """At 80% it is (log2(1 / 0.8))^(1 / shape) of that at a half."""
    fit = fit_of(horizon_items(runs, law="time_survival", task=None), {})
    told = horizons(fit)
    shape = 0.6 * np.exp(fit.flat("shape_by_agent")[:, 0])
    np.testing.assert_allclose(told["a0 at 80%"] / told["a0 at 50%"], np.log2(1.25) ** (1 / shape), rtol=1e-9)


def test_what_is_refused(runs):
    with pytest.raises(ValueError, match="there is no factor skill; there are agent, task, family"):
        horizon_items(runs, family="skill")
    with pytest.raises(
        ValueError, match="law logistic has no horizon; take time_horizon, time_horizon_break or"
    ):
        horizon_items(runs, law="logistic")
    items = horizon_items(runs)
    with pytest.raises(
        ValueError, match=r"levels are \[0.5, 80\]; each is a probability of success between 0 and 1"
    ):
        horizons(fit_of(items, {}), levels=(0.5, 80))
    with pytest.raises(ValueError, match="horizons do not differ by lab in this fit; horizon, slope varies"):
        horizons(fit_of(items, {}), agent="lab")
    moving = items.runs.replace(
        columns=items.runs.columns | {"date": 2024 + np.arange(len(items.runs)) / 100}
    )
    with pytest.raises(ValueError, match="agent a0 has 8 dates; a horizon is of one"):
        horizons(fit_of(items._replace(runs=moving), {}))
