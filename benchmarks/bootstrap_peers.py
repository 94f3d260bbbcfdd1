"""The peers of `benchmarks/bootstrap.py`: one refit of the Chinchilla law with Huber's loss, as others do it.

    sum of H(log L(N, D) - log loss),    L(N, D) = exp(a) N^-alpha + exp(b) D^-beta + exp(e)

with H quadratic within DELTA and linear beyond. A peer is given which runs were drawn, (runs,), some of them more
than once, and returns A, B, E, alpha and beta.
"""

import importlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import optimize

DELTA = 1e-3
# The estimate of Hoffmann et al. 2022 before it was rounded, where the notebook begins: a, b, e, alpha, beta.
HOFFMANN = np.array([6.0073404, 6.0179186, 0.5267228, 0.33917084, 0.2849083])

Peer = Callable[[np.ndarray], np.ndarray]


class Points(NamedTuple):
    """Parameters, training tokens and loss, each (runs,)."""

    N: np.ndarray
    D: np.ndarray
    loss: np.ndarray


def published(count: int, runs: int) -> np.ndarray:
    """Which runs the first replicates of Besiroglu et al. 2024 are made of, (count, runs)."""
    generator = np.random.RandomState(42)
    return np.stack([generator.choice(runs, runs) for _ in range(count)])


def objective(parameters: np.ndarray, points: Points, drawn: np.ndarray) -> np.ndarray:
    """What all minimise, of each replicate, (replicates,), at its own parameters, (replicates, 5)."""
    A, B, E, alpha, beta = (column[:, None] for column in parameters.T)
    mean = E + A * points.N**-alpha + B * points.D**-beta
    size = np.abs(np.log(mean / points.loss))
    each = np.where(size <= DELTA, size**2 / 2, DELTA * (size - DELTA / 2))
    return np.take_along_axis(each, drawn, axis=1).sum(axis=1)


def natural(found: np.ndarray) -> np.ndarray:
    """A, B, E, alpha and beta of a, b, e, alpha and beta."""
    return np.concatenate([np.exp(found[:3]), found[3:]])


def bfgs(points: Points) -> Peer:
    """SciPy's BFGS with the defaults and the start of the notebook, the gradient written out in NumPy."""
    x, y, z = np.log(points.N), np.log(points.D), np.log(points.loss)

    def value_and_gradient(at, x, y, z):
        a, b, e, alpha, beta = at
        of_n, of_d, floor = np.exp(a - alpha * x), np.exp(b - beta * y), np.exp(e)
        mean = of_n + of_d + floor
        residual = np.log(mean) - z
        slope = np.clip(residual, -DELTA, DELTA)
        value = slope @ (residual - slope / 2)
        share = slope / mean
        of_n, of_d = share * of_n, share * of_d
        return value, np.array([of_n.sum(), of_d.sum(), floor * share.sum(), -(of_n @ x), -(of_d @ y)])

    def fit(drawn: np.ndarray) -> np.ndarray:
        own = x[drawn], y[drawn], z[drawn]
        return natural(optimize.minimize(value_and_gradient, HOFFMANN, args=own, jac=True, method="BFGS").x)

    return fit


def bfgs_autograd(points: Points) -> Peer:
    """The same with a gradient by autograd, as the notebook has it."""
    xp, grad = importlib.import_module("autograd.numpy"), importlib.import_module("autograd").grad

    def value(at, N, D, loss):
        a, b, e, alpha, beta = at
        mean = xp.exp(a - alpha * xp.log(N)) + xp.exp(b - beta * xp.log(D)) + xp.exp(e)
        residual = xp.log(loss) - xp.log(mean)
        size = xp.abs(residual)
        return xp.sum(xp.where(size <= DELTA, residual**2 / 2, DELTA * (size - DELTA / 2)))

    gradient = grad(value)

    def fit(drawn: np.ndarray) -> np.ndarray:
        own = points.N[drawn], points.D[drawn], points.loss[drawn]
        return natural(optimize.minimize(value, HOFFMANN, args=own, jac=gradient, method="BFGS").x)

    return fit


def least_squares(points: Points) -> Peer:
    """SciPy's `least_squares` with Huber's loss, written as well as it can be.

    Covariates are centred, the Jacobian is written out and makes use of what the residuals computed, a refit begins
    at the fit of all runs, and a run drawn several times is one residual whose loss counts as often: that takes four
    fifths of the time of residuals that are repeated.
    """
    x, y, z = np.log(points.N), np.log(points.D), np.log(points.loss)
    centre = np.array([x.mean(), y.mean()])
    x, y = x - centre[0], y - centre[1]

    def minimum(counts: np.ndarray, start: np.ndarray) -> np.ndarray:
        drawn = counts > 0
        times, own_x, own_y, own_z = counts[drawn].astype(float), x[drawn], y[drawn], z[drawn]
        slopes = np.empty((5, len(times)))

        def residuals(at):
            a, b, e, alpha, beta = at
            np.exp(a - alpha * own_x, out=slopes[0])
            np.exp(b - beta * own_y, out=slopes[1])
            slopes[2] = np.exp(e)
            mean = slopes[0] + slopes[1] + slopes[2]
            slopes[:3] /= mean
            return np.log(mean) - own_z

        def jacobian(_):  # where the residuals were last computed
            slopes[3], slopes[4] = -slopes[0] * own_x, -slopes[1] * own_y
            return slopes.T.copy()

        def huber(square):
            size = np.sqrt(np.maximum(square, 1))
            return times * np.stack(
                [np.minimum(square, 2 * size - 1), 1 / size, (square > 1) * -0.5 / size**3]
            )

        return optimize.least_squares(residuals, start, jac=jacobian, loss=huber, f_scale=DELTA).x  # pyright: ignore

    first = HOFFMANN.copy()
    first[:2] -= HOFFMANN[3:] * centre
    start = minimum(np.ones(len(z), int), first)

    def fit(drawn: np.ndarray) -> np.ndarray:
        found = minimum(np.bincount(drawn, minlength=len(z)), start)
        found[:2] += found[3:] * centre
        return natural(found)

    return fit
