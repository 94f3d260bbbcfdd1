"""NUTS: the same key gives the same bits, a second try is made where it is needed, and nothing global changes."""

import json
import subprocess
import sys
from functools import partial

import jax
import numpy as np
import pytest

from bayescale import models, noise, parallel
from bayescale.infer import nuts as module
from bayescale.infer.many import nuts_each
from bayescale.infer.nuts import RETRY, Tried, again, begin, nuts
from bayescale.infer.optimize import laplace
from bayescale.model import Model
from bayescale.runs import Runs

LAW = models.load("power").along("N")
MODEL = Model(LAW, noise.log_normal, effects=())
SHORT = {"chains": 2, "draws": 60, "warmup": 40, "retry": False}


def simulated(count=30, seed=0):
    rng = np.random.default_rng(seed)
    N = 10 ** rng.uniform(7, 10, count)
    return Runs.make({"N": N, "loss": 3 * (N / 1e9) ** -0.08 * np.exp(0.02 * rng.normal(size=count))})


RUNS = simulated()


@pytest.fixture(scope="module")
def fit():
    """A fit at the defaults."""
    seen = []
    found = nuts(jax.random.key(0), MODEL, RUNS, report=seen.append)
    return found.replace(stats=found.stats | {"seen": seen})


def test_the_posterior_of_a_straight_line(fit):
    """In logs the law is a straight line: with priors this weak its slope is that of least squares.

    The prior of alpha moves it by under a fifth of its error, and Monte Carlo by under a twentieth.
    """
    assert fit.converged, fit.verdict
    assert fit.stats["attempt"] == 1
    (slope, _), covariance = np.polyfit(np.log(RUNS.columns["N"]), np.log(RUNS.response), 1, cov=True)
    error = np.sqrt(covariance[0, 0])
    assert fit.flat("alpha").mean() == pytest.approx(-slope, abs=0.25 * error)
    assert fit.flat("alpha").std() == pytest.approx(error, rel=0.15)


def test_a_fit_says_how_it_was_made(fit):
    assert (fit.method, len(fit)) == ("nuts", 4000)
    assert fit.draws["A"].shape == (4, 1000)
    assert fit.draws["A"].dtype == np.float64
    stats = fit.stats
    assert {"versions", "device", "key", "target", "depth", "warmup", "mode_starts"} <= set(stats)
    assert stats["key"] == jax.random.key_data(jax.random.key(0)).tolist()
    assert stats["versions"]["jax"] == jax.__version__
    assert len(stats["e_bfmi"]) == 4
    assert min(stats["e_bfmi"]) > 0.3
    assert np.all(stats["num_steps"] < 2.0 ** stats["tree_depth"])
    for name in ("diverging", "num_steps", "accept_prob", "energy", "tree_depth"):
        assert stats[name].shape == (4, 1000)
    assert stats["gradients"] == stats["num_steps"].sum()
    # The target of acceptance is met on average, within what 500 steps of warm-up can do.
    assert stats["accept_prob"].mean() == pytest.approx(0.95, abs=0.06)


def test_progress_is_told(fit):
    seen = fit.stats["seen"]
    assert [p.iteration for p in seen] == list(range(50, 1501, 50))
    assert {(p.chains, p.total, p.warmup) for p in seen} == {(4, 1500, 500)}
    assert seen[-1].seconds_left == 0
    assert all(p.seconds_left > 0 for p in seen[:-1])
    assert seen[-1].divergences == fit.stats["diverging"].sum()


def bits(fit):
    return {name: values.tobytes() for name, values in fit.draws.items()}


def test_the_same_key_gives_the_same_bits_in_chunks_of_any_length(monkeypatch):
    one = nuts(jax.random.key(3), MODEL, RUNS, **SHORT)
    assert bits(nuts(jax.random.key(3), MODEL, RUNS, **SHORT)) == bits(one)
    assert bits(nuts(jax.random.key(4), MODEL, RUNS, **SHORT)) != bits(one)
    monkeypatch.setattr(module, "CHUNK", 7)
    module._compiled.cache_clear()
    try:
        other = nuts(jax.random.key(3), MODEL, RUNS, **SHORT)
    finally:
        module._compiled.cache_clear()
    assert bits(other) == bits(one)
    assert (other.stats["num_steps"] == one.stats["num_steps"]).all()


def test_chains_differ_and_are_not_their_start():
    fit = nuts(jax.random.key(5), MODEL, RUNS, **SHORT)
    chains = fit.draws["alpha"]
    assert len({chain.tobytes() for chain in chains}) == 2
    assert chains.std(axis=1).min() > 0


def test_a_second_try_is_longer_more_careful_and_recorded():
    seen = []
    fit = nuts(jax.random.key(6), MODEL, RUNS, **(SHORT | {"retry": True}), report=seen.append)
    # 120 draws cannot have an effective sample size of 400 unless they are antithetic, nor can 240.
    assert fit.stats["attempt"] == 2
    assert fit.stats["target"] == RETRY
    assert fit.stats["warmup"] == 2 * SHORT["warmup"]
    assert fit.draws["A"].shape == (2, 2 * SHORT["draws"])
    assert [p.total for p in seen] == [100] * 2 + [200] * 4
    assert not fit.converged
    assert "NOT CONVERGED" in repr(fit)
    alone = nuts(jax.random.key(6), MODEL, RUNS, **SHORT)
    assert (alone.stats["attempt"], alone.stats["target"]) == (1, 0.95)
    assert "NOT CONVERGED" in repr(alone)


def test_a_first_try_that_diverges_is_not_drawn_to_its_end():
    """At an acceptance of 1% steps are so large that draws diverge; what counts is the second try, the same as ever."""
    seen = []
    tried = Tried(chains=2, draws=200, warmup=60, target=0.01)
    fit = nuts(jax.random.key(0), MODEL, RUNS, **tried._asdict(), report=seen.append)
    assert [p.iteration for p in seen] == [50, 100, 150, *range(50, 501, 50), 520]
    whole = nuts(jax.random.key(0), MODEL, RUNS, **tried._asdict(), retry=False)
    assert len(whole) == 400
    with parallel.workbench():
        begun = begin(jax.random.key(0), MODEL, RUNS, tried)
        second = again(begun, tried, whole, None)
    assert whole.stats["diverging"].any()
    assert all(np.array_equal(fit.draws[name], second.draws[name]) for name in second.draws)
    assert 0 < fit.stats["discarded_gradients"] < second.stats["discarded_gradients"]
    (of_many,) = nuts_each(jax.random.key(3), MODEL, [RUNS], **tried._asdict())
    alone = nuts(jax.random.fold_in(jax.random.key(3), 0), MODEL, RUNS, **tried._asdict())
    assert of_many.stats["discarded_gradients"] == alone.stats["discarded_gradients"]
    assert all(np.array_equal(of_many.draws[name], alone.draws[name]) for name in alone.draws)


def test_a_second_try_that_diverges_is_drawn_to_its_end(monkeypatch):
    monkeypatch.setattr(module, "RETRY", 0.01)
    fit = nuts(jax.random.key(0), MODEL, RUNS, chains=2, draws=100, warmup=60, target=0.01)
    assert fit.stats["attempt"] == 2
    assert fit.stats["diverging"].any()
    assert len(fit) == 400


def test_a_key_may_be_on_another_device():
    here, elsewhere = (jax.device_put(jax.random.PRNGKey(4), device) for device in jax.devices()[:2])
    ours, theirs = (nuts(key, MODEL, RUNS, **SHORT) for key in (here, elsewhere))
    assert ours.draws["alpha"].tobytes() == theirs.draws["alpha"].tobytes()


def test_a_target_above_that_of_the_second_try_is_kept():
    fit = nuts(jax.random.key(6), MODEL, RUNS, **(SHORT | {"retry": True, "target": 0.997}))
    assert (fit.stats["attempt"], fit.stats["target"]) == (2, 0.997)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"chains": 0}, "0 chains, 1000 draws and 500 warm-up iterations: each is 1 or more"),
        ({"draws": 0}, "4 chains, 0 draws"),
        ({"warmup": -1}, "-1 warm-up iterations"),
        ({"target": 1.0}, "the target acceptance is 1.0; it is between 0 and 1, such as 0.9"),
    ],
)
def test_options_that_cannot_be(options, message):
    with pytest.raises(ValueError, match=message):
        nuts(jax.random.key(0), MODEL, RUNS, **options)


@pytest.mark.parametrize("sampled", [partial(nuts, **SHORT), laplace])
def test_runs_that_no_parameters_can_give(sampled):
    nowhere = LAW.replace(mean=lambda x, *, A, alpha: x * float("nan") + A + alpha)
    with pytest.raises(
        ValueError, match="table: no parameters were found under which power can give these runs"
    ):
        sampled(jax.random.key(0), MODEL.replace(law=nowhere), RUNS)


CLEAN = """
import json, sys
import jax
import numpy as np
before = dict(jax.config.values)
from bayescale import models, noise
from bayescale.infer.nuts import nuts
from bayescale.model import Model
from bayescale.runs import Runs
N = np.logspace(7, 10, 12)
runs = Runs.make({"N": N, "loss": 3 * (N / 1e9) ** -0.08 * (1 + 0.01 * np.cos(np.arange(12)))})
model = Model(models.load("power").along("N"), noise.log_normal, effects=())
fit = nuts(jax.random.key(0), model, runs, chains=2, draws=50, warmup=50, retry=False)
str(fit.summary())
after = dict(jax.config.values)
print(json.dumps({
    "changed": [name for name in before if before[name] != after[name]],
    "double": str(jax.numpy.ones(1).dtype),
    "draws": str(fit.draws["A"].dtype),
    "heavy": [name for name in ("arviz", "pandas", "xarray", "matplotlib", "scipy") if name in sys.modules],
}))
"""


def test_a_fit_leaves_the_users_settings_and_needs_no_arviz():
    done = subprocess.run([sys.executable, "-c", CLEAN], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found["changed"] == []
    assert (found["double"], found["draws"]) == ("float32", "float64")
    assert not {"arviz", "pandas", "xarray", "matplotlib"} & set(found["heavy"])
