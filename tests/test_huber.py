"""Huber's density against quadrature, its limits, its draws, and the estimate that is its mode."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, optimize, stats

from bayescale import noise
from bayescale.densities import HuberDistribution
from bayescale.runs import Runs

pytestmark = pytest.mark.usefixtures("workbench")


def huber_loss(residual, delta):
    """Huber's loss as Huber 1964 writes it."""
    size = np.abs(residual)
    return np.where(size <= delta, size**2 / 2, delta * (size - delta / 2))


@pytest.mark.parametrize("scale", [0.004, 1.0, 30.0])
@pytest.mark.parametrize("ratio", [1e-3, 0.1, 1.0, 3.0, 50.0])
def test_hubers_density_integrates_to_one(scale, ratio):
    density = HuberDistribution(0.3, scale, ratio * scale)
    width = scale * max(1.0, 1 / ratio)
    pieces = [0.3 - 60 * width, 0.3 - ratio * scale, 0.3, 0.3 + ratio * scale, 0.3 + 60 * width]
    points = np.concatenate([np.linspace(a, b, 8)[:-1] for a, b in itertools.pairwise(pieces)])
    points = np.append(points, pieces[-1])

    def total(low, high):
        nodes, weights = np.polynomial.legendre.leggauss(40)
        at = low + (high - low) * (nodes + 1) / 2
        return (high - low) / 2 * (weights @ np.exp(np.asarray(density.log_prob(at))))

    # Gauss-Legendre with 40 nodes on short smooth pieces is exact to rounding; e^-60 lies outside.
    whole = sum(total(a, b) for a, b in itertools.pairwise(points))
    assert whole == pytest.approx(1, rel=1e-9)


def test_hubers_density_by_adaptive_quadrature():
    density = HuberDistribution(0.0, 1.0, 0.7)
    whole, error = integrate.quad(lambda x: float(jnp.exp(density.log_prob(x))), -60, 60, points=[-0.7, 0.7])
    assert whole == pytest.approx(1, abs=1e-8 + error)


def test_hubers_density_is_the_exponential_of_minus_the_loss():
    x = np.linspace(-5, 5, 41)
    ours = HuberDistribution(0.0, 2.0, 0.9).log_prob(x)
    expected = -huber_loss(x, 0.9) / 2.0**2
    np.testing.assert_allclose(np.diff(ours), np.diff(expected), atol=1e-13)


def test_hubers_density_tends_to_a_normal():
    x = np.linspace(-3, 4, 20)
    np.testing.assert_allclose(
        HuberDistribution(0.5, 0.8, 40.0).log_prob(x), stats.norm(0.5, 0.8).logpdf(x), rtol=1e-12
    )


def test_hubers_density_tends_to_a_laplace():
    x = np.linspace(-3, 4, 20)
    scale, delta = 0.8, 1e-5
    laplace = stats.laplace(0.5, scale**2 / delta)
    # They differ by the middle, of relative width delta^2 / scale^2.
    np.testing.assert_allclose(HuberDistribution(0.5, scale, delta).log_prob(x), laplace.logpdf(x), rtol=1e-9)


@pytest.mark.parametrize("ratio", [0.05, 0.5, 1.5, 8.0])
def test_draws_follow_the_density(ratio):
    """False-alarm rate: 1e-4 for each of four Kolmogorov-Smirnov tests, at a fixed seed."""
    scale, delta = 2.0, 2.0 * ratio
    draws = np.asarray(HuberDistribution(-1.0, scale, delta).sample(jax.random.key(0), (20_000,)))
    # The distribution function from a fine grid of SciPy's cumulative sums of the unnormalised density.
    width = scale * max(1.0, 1 / ratio)
    grid = np.union1d(np.linspace(-40 * width, 40 * width, 400_001), [-delta, delta])
    mass = integrate.cumulative_trapezoid(np.exp(-huber_loss(grid, delta) / scale**2), grid, initial=0)
    assert stats.kstest(draws, lambda x: np.interp(x + 1.0, grid, mass / mass[-1])).pvalue > 1e-4
    assert np.isfinite(draws).all()


def test_draws_have_the_shape_of_samples_then_batch():
    density = HuberDistribution(jnp.zeros(3), 1.0, jnp.ones((2, 1)))
    assert density.sample(jax.random.key(0), (5,)).shape == (5, 2, 3)
    assert density.log_prob(jnp.zeros((5, 2, 3))).shape == (5, 2, 3)


def test_the_draw_nearest_zero_is_finite_in_single_precision(monkeypatch):
    """Uniform draws include 0, of which the normal quantile is infinite where delta is many scales."""
    with jax.enable_x64(False):
        least = jax.random.uniform

        def smallest(key, shape, **bounds):
            return jnp.full_like(least(key, shape, **bounds), bounds.get("minval", 0.0))

        monkeypatch.setattr(jax.random, "uniform", smallest)
        draw = HuberDistribution(0.0, 1.0, 50.0).sample(jax.random.key(0))
        assert draw.dtype == jnp.float32
        assert -15 < draw < -10


def test_the_mode_of_huber_noise_is_the_huber_estimate():
    """Whatever sigma is: here of a constant, against SciPy's minimum of Huber's loss."""
    rng = np.random.default_rng(0)
    loss = 2.0 * np.exp(0.02 * rng.standard_t(2, 40))
    runs = Runs.make({"N": np.arange(1.0, 41), "loss": loss})
    expected = optimize.minimize_scalar(
        lambda m: huber_loss(np.log(loss) - m, 0.01).sum(),
        bounds=(0, 2),
        method="bounded",
        options={"xatol": 1e-10},
    ).x

    def slope(log_mean, sigma):
        def total(log_mean):
            return (
                noise.huber(0.01)(jnp.full(40, jnp.exp(log_mean)), runs, {"sigma": sigma})
                .log_prob(loss)
                .sum()
            )

        return jax.grad(total)(log_mean)

    for sigma in (0.003, 0.1):
        # The slope changes sign within the tolerance of the minimum found, which is some 1e-8.
        assert slope(expected - 1e-6, sigma) > 0 > slope(expected + 1e-6, sigma)
