"""NUTS in lanes: against closed forms, against NumPyro's NUTS on the same tables, and in calibration."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import chi2, kstest

from bayescale import diagnostics, models, noise, parallel
from bayescale.check import calibration, trial
from bayescale.check.designs import columns_of
from bayescale.infer import lanes, many
from bayescale.infer.density import Density
from bayescale.infer.frames import frames
from bayescale.infer.many import nuts_in_lanes
from bayescale.infer.mode import find
from bayescale.infer.nuts import Tried, nuts
from bayescale.infer.simulated import from_priors, table_of
from bayescale.model import Model
from bayescale.pooling import Effect
from bayescale.runs import Runs

KEY = jax.random.key(0)
KEYS = jax.random.split(KEY, 8)  # of the tables
POWER = Model(models.load("power").along("C"), noise.log_normal, effects=())


@pytest.fixture(scope="module")
def design():
    columns = columns_of("isoflop", np.random.default_rng(0), ("C",))
    return Runs.make({**columns, "loss": np.full(len(columns["N"]), 2.0)})


@pytest.fixture(scope="module")
def simulated(design):
    return from_priors(jax.random.split(KEY, 8), POWER, design)[1]


@pytest.fixture(scope="module")
def fits(design, simulated):
    return nuts_in_lanes(KEYS, POWER, design, simulated, chains=4, draws=500, warmup=200)


def skewed(vector, centre):
    """A normal vector whose second number is bent by the first, with a gamma beside them: nothing is symmetric."""
    one, two, log = vector[0] - centre, vector[1] - vector[0] ** 2 / 4, vector[2]
    return one**2 / 2 + two**2 / 2 - 3 * log + jnp.exp(log)


def test_draws_are_of_the_density():
    """Against the distribution functions of all three; with sound code each p-value is below 1e-3 once in a thousand.

    Of 64 posteriors with 4 chains, every twentieth draw: they are as good as independent.
    """
    centre = jnp.linspace(-2.0, 2.0, 64)
    with parallel.workbench():
        found = lanes.sample(jax.random.split(KEY, 64), skewed, (centre,), (), 3, draws=200, warmup=200)
        at = jnp.einsum("pij,pcnj->pcni", found.root, found.draws)
    at = np.asarray(at)[:, :, ::20]
    first = at[..., 0] - np.asarray(centre)[:, None, None]
    assert kstest(first.ravel(), "norm").pvalue > 1e-3
    assert kstest((at[..., 1] - at[..., 0] ** 2 / 4).ravel(), "norm").pvalue > 1e-3
    assert kstest(2 * np.exp(at[..., 2]).ravel(), chi2(6).cdf).pvalue > 1e-3
    assert not np.asarray(found.diverging).any()
    assert 1 <= np.asarray(found.gradients).min() <= np.asarray(found.gradients).max() <= 2**10 - 1


def test_a_lane_that_takes_too_long_is_given_up(monkeypatch):
    monkeypatch.setattr(lanes, "GRADIENTS", 16)

    def wide(vector, scale):
        return jnp.sum((vector / jnp.array([1.0, scale])) ** 2) / 2

    with parallel.workbench():
        scale = jnp.array([1.0, 1e5])
        found = lanes.sample(KEYS[:2], wide, (scale,), (), 2, draws=64, warmup=64, depth=10)
    unfinished = np.isnan(np.asarray(found.draws)).any(axis=(1, 2, 3))
    assert unfinished.tolist() == [False, True]


def test_a_chain_does_not_begin_where_the_density_is_zero():
    def half(vector, unused):
        return jnp.where(vector[0] > -0.5, vector[0] ** 2 / 2, jnp.inf)

    with parallel.workbench():
        found = lanes.sample(KEYS, half, (jnp.zeros(8),), (), 1, draws=50, warmup=50)
        at = found.draws[..., 0] * found.root[:, 0, 0][:, None, None]
    assert (np.asarray(at) > -0.5).all()


def test_frames_are_of_the_modes_that_a_fit_finds(design, simulated):
    with parallel.workbench():
        density = Density.of(POWER, design)
        one = table_of(design, simulated[0])
        places, found = frames(KEYS, density, one, jnp.asarray(simulated))
        for i, response in enumerate(simulated):
            mode = find(density, table_of(design, response), KEY)
            chart = jax.tree.map(lambda leaf, i=i: leaf[i], places.chart)
            moved = density.recentre(jnp.asarray(mode.position), chart)
            np.testing.assert_allclose(places.position[i], moved, atol=1e-5)
    assert np.asarray(found).all()


def test_posteriors_are_those_of_nuts(design, simulated, fits):
    """Means within 4.5 of their standard errors, of 3 tables and 3 numbers: once in 15,000 with sound code."""
    for i in (0, 3, 6):
        theirs = nuts(KEY, POWER, table_of(design, simulated[i]), draws=1000, retry=False)
        for name in (*POWER.law.parameters, "sigma"):
            ours, other = np.log(fits[i].draws[name]), np.log(theirs.draws[name])
            errors = [np.std(one) / np.sqrt(diagnostics.ess_bulk(one)) for one in (ours, other)]
            assert abs(np.mean(ours) - np.mean(other)) < 4.5 * np.hypot(*errors), name
            # Each standard deviation is known to 5% or better.
            assert np.std(ours) / np.std(other) == pytest.approx(1, abs=0.25)


def test_fits_say_what_they_are(fits, design, simulated):
    assert all(fit.converged for fit in fits)
    assert fits[2].draws["alpha"].shape == (4, 500)
    np.testing.assert_array_equal(fits[2].runs.response, simulated[2])
    assert fits[2].stats["num_steps"].shape == fits[2].stats["diverging"].shape == (4, 500)


def test_calibration_in_lanes(design, monkeypatch):
    """Coverage of 90% intervals in 96 tables, each quantity between 80 and 97%: once in 500 with sound code."""
    monkeypatch.setitem(trial.TABLES, "lanes", 96)
    found = calibration.calibrate(KEY, POWER, design, replicates=96, method="lanes", draws=100, warmup=100)
    assert found.counts["converged"] >= 92
    assert not found.uneven
    for row in found.rows():
        assert 0.8 <= row["cover90"] <= 0.97, row["quantity"]


def test_those_that_did_not_converge_are_tried_once_more(design, simulated, monkeypatch):
    asked = []

    def counted(keys, model, design, responses, **sampler):
        asked.append((len(responses), sampler["draws"], sampler["target"]))
        return nuts_in_lanes(keys, model, design, responses, **sampler)

    monkeypatch.setattr(trial, "nuts_in_lanes", counted)
    sampler = {"chains": 2, "draws": 10, "warmup": 100, "target": 0.9}
    fits = trial._in_lanes(KEY, POWER, design, simulated, sampler)
    assert asked == [(8, 10, 0.9), (8, 20, 0.95)]  # too few draws, whatever they are
    assert {fit.draws["alpha"].shape for fit in fits} == {(2, 20)}


def test_where_memory_is_not_enough_halves_are_tried(design, simulated, monkeypatch):
    asked, whole = [], many._in_one_program

    def scarce(keys, model, design, responses, tried):
        asked.append(len(responses))
        if len(responses) > 2:
            raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 160 bytes")
        return whole(keys, model, design, responses, tried)

    monkeypatch.setattr(many, "_in_one_program", scarce)
    found = nuts_in_lanes(KEYS, POWER, design, simulated, chains=1, draws=5, warmup=20)
    assert asked == [8, 4, 2, 2, 4, 2, 2]
    at_once = whole(KEYS, POWER, design, simulated, Tried(chains=1, draws=5, warmup=20))
    for fit, other, response in zip(found, at_once, simulated, strict=True):
        np.testing.assert_array_equal(fit.runs.response, response)
        np.testing.assert_allclose(fit.draws["alpha"], other.draws["alpha"], rtol=1e-6)


def test_what_makes_no_sense_is_refused(design, simulated):
    with pytest.raises(ValueError, match="the target acceptance is 2"):
        nuts_in_lanes(KEYS, POWER, design, simulated, target=2)


def test_levels_have_no_lanes():
    columns = {"C": 10 ** np.linspace(18, 21, 12), "lab": list("abcd") * 3, "loss": np.full(12, 2.0)}
    runs = Runs.make(columns, factors=["lab"])
    model = POWER.replace(effects=(Effect("lab"),))
    with pytest.raises(ValueError, match="which lanes cannot have; take the method nuts"):
        calibration.calibrate(KEY, model, runs, replicates=1, method="lanes")
