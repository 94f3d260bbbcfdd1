"""The coordinate of thresholds far beyond the data: what it holds, its volume, and where it is not needed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayescale import models, noise, parallel
from bayescale.infer import lean
from bayescale.infer.chart import Chart
from bayescale.infer.density import Density
from bayescale.infer.frame import frame
from bayescale.infer.mode import find
from bayescale.infer.nuts import nuts
from bayescale.model import Model
from bayescale.pooling import Local
from bayescale.runs import Runs
from bayescale.tasks.items import item_response

pytestmark = pytest.mark.usefixtures("workbench")

AT = {"threshold": jnp.array(2e3), "slope": jnp.array(1.2), "lapse": jnp.array(0.1)}


@pytest.fixture(scope="module")
def runs():
    return Runs.make(
        {
            "C": 10.0 ** np.arange(19, 25),
            "chance": np.zeros(6),
            "successes": [0, 0, 1, 0, 2, 5],
            "trials": np.full(6, 1000),
        },
        response="successes",
    )


def density_of(runs):
    return Density.of(Model(models.load("logistic_chance").along("C"), noise.binomial, effects=()), runs)


def test_rare_success_at_the_reference_run_stays_where_it_is():
    """(1 - lapse) exp(-slope log10(threshold)), whatever slope and lapse become."""
    origin = lean.at(AT, 1.0)
    for slope, lapse in ((0.8, 0.1), (1.2, 0.6), (2.0, 0.01)):
        changed = {**AT, "slope": jnp.array(slope), "lapse": jnp.array(lapse)}
        threshold = AT["threshold"] * jnp.exp(lean.shift(origin, changed))
        logit = np.log1p(-lapse) - slope * np.log10(float(threshold))
        assert logit == pytest.approx(np.log1p(-0.1) - 1.2 * np.log10(2e3))
    assert float(lean.shift(lean.at(AT, 0.0), changed)) == 0
    bare = {name: AT[name] for name in ("threshold", "slope")}  # of a law without a ceiling
    assert float(lean.shift(lean.at(bare, 1.0), bare)) == 0


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_the_density_stays_what_it_was(runs, share):
    density = density_of(runs)
    chart = Chart({}, jnp.zeros(()), None, {}, {}, lean.at(AT, share))
    vector = density.unconstrain({"threshold": 500.0, "slope": 0.9, "lapse": 0.3})
    moved = density.recentre(vector, chart)
    before, after = density.values(vector, runs), density.values(moved, runs, chart)
    for name, value in before.items():
        assert float(after[name]) == pytest.approx(float(value), rel=1e-10)
    volume = np.linalg.slogdet(np.asarray(jax.jacfwd(lambda v: density.recentre(v, chart))(vector)))[1]
    difference = density.log_posterior(vector, runs) - density.log_posterior(moved, runs, chart)
    assert float(difference) == pytest.approx(volume, abs=1e-8)


@pytest.fixture(scope="module")
def rare():
    """Twelve checkpoints at 30 problems, of which one in a thousand tries succeeds."""
    rng = np.random.default_rng(0)
    model, task = (index.ravel() for index in np.indices((12, 30)))
    hard, better = rng.normal(0, 1.5, 30), rng.normal(0, 0.5, 12)
    logit = -7 + 1.2 * (np.linspace(-1, 1, 12) + better)[model] + hard[task]
    made = {
        "C": 10 ** np.linspace(19.5, 21.5, 12)[model],
        "successes": rng.binomial(4000, 1 / (1 + np.exp(-logit))),
        "trials": np.full(360, 4000),
        "model": [f"m{i}" for i in model],
        "task": [f"t{i}" for i in task],
    }
    return item_response(Runs.make(made, factors=["model", "task"]))


@pytest.fixture(scope="module")
def framed(rare):
    """The density, its mode and the chart there."""
    with parallel.workbench():
        density = Density.of(rare.model.specialise(rare.runs), rare.runs)
        mode = find(density, rare.runs, jax.random.key(0))
        return density, mode, frame(density, mode, rare.runs).chart


def test_the_density_of_levels_stays_what_it_was(rare, framed):
    """In the coordinates of levels, scales that lean among them."""
    density, mode, chart = framed
    assert float(chart.lean.share) > 0.5
    vector = jnp.asarray(mode.position) + 0.1 * jax.random.normal(jax.random.key(1), (density.size,))
    moved = density.recentre(vector, chart)
    before, after = density.values(vector, rare.runs), density.values(moved, rare.runs, chart)
    for name, value in before.items():
        assert np.asarray(after[name]) == pytest.approx(np.asarray(value), rel=1e-8, abs=1e-10), name
    volume = np.linalg.slogdet(np.asarray(jax.jacfwd(lambda v: density.recentre(v, chart))(vector)))[1]
    difference = density.log_posterior(vector, rare.runs) - density.log_posterior(moved, rare.runs, chart)
    assert float(difference) == pytest.approx(volume, abs=1e-6)


def test_in_those_coordinates_spreads_in_logits_stay_when_the_slope_moves(rare, framed):
    density, _, chart = framed
    chart = chart._replace(lean=chart.lean._replace(share=jnp.ones(())))
    vector = jax.random.normal(jax.random.key(1), (density.size,))
    flatter = vector.at[density.place("slope")].add(-0.5)
    ends = [density.values(at, rare.runs, chart) for at in (vector, flatter)]
    for name in ("threshold_by_task_scale", "threshold_by_model_scale"):
        logits = [float(values["slope"] * values[name]) for values in ends]
        assert logits[0] == pytest.approx(logits[1])
    assert ends[0]["slope_by_task_scale"] == ends[1]["slope_by_task_scale"]


def test_rare_successes_are_sampled_well(rare):
    """Where thresholds lie 5 decades beyond the data: two chains of 250 draws agree."""
    fit = nuts(jax.random.key(0), *rare, chains=2, draws=250, warmup=250, target=0.9, retry=False)
    worst = max(float(values[..., 0].max()) for values in fit.diagnostics.values())
    assert worst < 1.05
    assert fit.stats["gradients"] / 500 < 25
    low, high = np.quantile(fit.flat("slope"), (0.02, 0.98))
    assert low < 1.2 < high


def test_how_far_thresholds_lean():
    slope = 0.04  # the variance of its logarithm
    far = np.array([[1.0, -7.0 * slope], [-7.0 * slope, slope]])
    assert lean.share(7.0, far) == pytest.approx(1.0)
    assert lean.share(14.0, far) == pytest.approx(0.5)
    assert lean.share(-7.0, far) == 0  # they move apart
    assert lean.share(0.3, far) == 0  # amid the data


def test_which_laws_lean():
    assert [name for name in models.names() if lean.leans(models.load(name))] == [
        "inverse",
        "logistic",
        "logistic_chance",
        "logistic_floor",
    ]


def test_what_is_said_of_levels_turns_with_the_slope():
    """The data know slope (turns - threshold), and how well: the slope over the width of the threshold."""
    rng = np.random.default_rng(0)
    precision = np.array([[2.0, 0.3], [0.3, 1.0]]) * np.ones((3, 1, 1))
    known = Local(
        jnp.asarray(rng.normal(size=(3, 2))), jnp.asarray(precision), turns=jnp.array([0.0, 1.0, -2.0])
    )
    origin = lean.at(AT, 0.5)
    new = lean.turned(origin, AT | {"slope": jnp.array(2.4)}, known, 1)
    distance = np.asarray(known.turns - known.estimate[:, 1])
    assert 2.4 * np.asarray(new.turns - new.estimate[:, 1]) == pytest.approx(float(AT["slope"]) * distance)
    assert np.asarray(new.estimate[:, 0]) == pytest.approx(np.asarray(known.estimate[:, 0]))
    assert np.asarray(new.precision) == pytest.approx(precision * np.array([[1.0, 2], [2, 4]]))
    own = lean.turned(origin, AT | {"slope": jnp.array(2.4)}, known, 1, 0)  # of slopes by level
    steeper = 0.5 * np.log(2.4 / float(AT["slope"]))  # as far as thresholds lean
    assert np.asarray(own.estimate[:, 0]) == pytest.approx(np.asarray(known.estimate[:, 0]) + steeper)
