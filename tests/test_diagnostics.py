"""Diagnostics against those of ArviZ, on chains that are easy and on chains that are not."""

import numpy as np
import pytest

from bayescale.diagnostics import e_bfmi, ess_bulk, ess_tail, pareto_k, r_hat

pytestmark = pytest.mark.usefixtures("workbench")


def ar1(rho, *, chains=4, draws=1000, seed=0):
    rng = np.random.default_rng(seed)
    x = np.zeros((chains, draws))
    x[:, 0] = rng.normal(size=chains)
    for i in range(1, draws):
        x[:, i] = rho * x[:, i - 1] + np.sqrt(1 - rho**2) * rng.normal(size=chains)
    return x


RNG = np.random.default_rng(1)
CHAINS = {
    "independent": RNG.normal(size=(4, 1000)),
    "slow": ar1(0.9),
    "very slow": ar1(0.99),
    "antithetic": ar1(-0.7),
    "odd": ar1(0.5, draws=501),
    "short": ar1(0.3, draws=40),
    "two": ar1(0.5, chains=2),
    "heavy": RNG.standard_cauchy((4, 800)),
    "ties": np.round(ar1(0.6)),
    "coin": (ar1(0.6) > 0).astype(float),
    "one high chain": ar1(0.2) + np.array([[0], [0], [0], [1.5]]),
    "one wide chain": ar1(0.2) * np.array([[1], [1], [1], [4]]),
    "trend": ar1(0.2) + np.linspace(0, 2, 1000),
    "large": 1e9 + ar1(0.5),
}


@pytest.fixture(scope="module")
def stats():
    return pytest.importorskip("arviz_stats", reason="ArviZ is not installed").base.array_stats


@pytest.mark.parametrize("name", CHAINS)
def test_r_hat(stats, name):
    assert r_hat(CHAINS[name]) == pytest.approx(float(stats.rhat(CHAINS[name])), rel=1e-9)


@pytest.mark.parametrize("name", CHAINS)
def test_ess_bulk(stats, name):
    expected = float(stats.ess(CHAINS[name], method="bulk"))
    assert ess_bulk(CHAINS[name]) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("name", CHAINS)
def test_ess_tail(stats, name):
    expected = float(stats.ess(CHAINS[name], method="tail", prob=(0.05, 0.95)))
    if name == "coin":  # where the 95% quantile is the largest value; ArviZ takes it for independent draws
        expected = min(expected, float(stats.ess(CHAINS[name] <= 0, method="mean")))
    assert ess_tail(CHAINS[name]) == pytest.approx(expected, rel=1e-6)


def test_e_bfmi(stats):
    energy = ar1(0.8).cumsum(axis=1)
    np.testing.assert_allclose(e_bfmi(energy), stats.bfmi(energy), rtol=1e-9)


@pytest.mark.parametrize("shape", [-0.5, 0.1, 0.5, 0.9, 2.0])
@pytest.mark.parametrize("draws", [100, 225, 226, 4000])
def test_pareto_k(stats, shape, draws):
    uniform = np.random.default_rng(3).uniform(size=draws)
    weights = (uniform**-shape - 1) / shape + 1e-3
    expected = stats.psislw(-np.log(weights))[1]
    assert pareto_k(np.log(weights)) == pytest.approx(float(expected), rel=1e-6, abs=1e-9)
    assert pareto_k(np.log(weights) + 1e4) == pytest.approx(float(expected), rel=1e-6, abs=1e-6)


# Without ArviZ.


def test_the_sample_size_of_an_autoregression():
    """In theory draws (1 - rho) / (1 + rho); the error of the estimate is some 10%."""
    assert ess_bulk(ar1(0.5, draws=20_000)) == pytest.approx(80_000 / 3, rel=0.1)
    assert ess_bulk(ar1(-0.5, draws=20_000)) == pytest.approx(80_000 * 3, rel=0.1)


def test_the_shape_of_a_known_tail():
    uniform = np.random.default_rng(0).uniform(size=100_000)
    # The standard error of the shape is (1 + k) / sqrt(949), the draws in the tail: 0.05.
    assert pareto_k(-0.5 * np.log(uniform)) == pytest.approx(0.5, abs=0.2)


@pytest.mark.parametrize("diagnostic", [r_hat, ess_bulk, ess_tail])
def test_nothing_is_said_where_nothing_can_be(diagnostic):
    assert np.isnan(diagnostic(np.full((4, 100), 2.0)))
    assert np.isnan(diagnostic(np.full((4, 3), 2.0)))
    draws = ar1(0.5, draws=100)
    draws[2, 7] = np.nan
    assert np.isnan(diagnostic(draws))


def test_chains_that_stand_still_apart():
    still = np.repeat([[0.0], [1.0], [2.0], [3.0]], 50, axis=1)
    assert r_hat(still) == np.inf
    assert ess_bulk(still) < 10


def test_weights_without_a_tail():
    assert pareto_k(np.zeros(1000)) == -np.inf
    assert pareto_k(np.repeat([0.0, 1.0], [950, 50])) == np.inf
    assert pareto_k(np.append(np.zeros(999), np.inf)) == np.inf
    assert pareto_k(np.append(np.zeros(999), np.nan)) == np.inf
    assert pareto_k(np.full(1000, -np.inf)) == np.inf


def test_weights_of_too_few_draws():
    with pytest.raises(
        ValueError, match=r"^24 draws are too few for the tail of their weights; take 100 or more$"
    ):
        pareto_k(np.zeros(24))
