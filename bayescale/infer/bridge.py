"""Bridge sampling: the integral of a density from draws of it and draws of a distribution laid over them."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp

from bayescale import diagnostics

LogDensity = Callable[[np.ndarray], np.ndarray]  # (points, size) -> (points,)
ITERATIONS, SETTLED = 1000, 1e-10


class Estimate(NamedTuple):
    """The logarithm of an integral, in nats.

    Attributes:
        value: the estimate.
        error: its standard error.
        effective: how many independent draws it is worth.
    """

    value: float
    error: float
    effective: float


def bridge(rng: np.random.Generator, log_density: LogDensity, draws: np.ndarray) -> Estimate:
    """The log integral of a density, from draws of it.

    One half of each chain says where the density is and how wide, the other meets as many draws of that normal
    distribution; then the halves change places. The density is made symmetric about its mean before, so that
    skewness, which the normal distribution has none of, costs nothing.

    Args:
        rng: random numbers.
        log_density: the density, not normalised, a batch at a time.
        draws: draws of it, (chains, draws, size), not independent.

    Raises:
        ValueError: there are too few draws for a covariance.

    Source:
        Meng and Schilling 2002, doi:10.1198/106186002457 (the symmetric warp, III); Wang et al. 2022,
        doi:10.1214/20-BA1237 (the halves); Fruehwirth-Schnatter 2004, doi:10.1111/j.1368-423X.2004.00125.x (the error).
    """
    chains, count, size = draws.shape
    half = count // 2
    if chains * half < 10 * (size + 1):
        raise ValueError(
            f"{chains * count} draws are too few for an integral in {size} dimensions; take {20 * (size + 1)}"
        )
    halves = draws[:, :half], draws[:, count - half :]
    found = [_half(rng, log_density, *pair) for pair in (halves, halves[::-1])]
    values, of_drawn, of_own, effective = (np.array(column) for column in zip(*found, strict=True))
    # What the moments of one half miss in the other they miss the other way round too: those errors do not cancel.
    error = np.sqrt((of_drawn**2).sum() / 4 + of_own.mean() ** 2)
    return Estimate(float(values.mean()), float(error), float(effective.sum()))


def _half(
    rng: np.random.Generator, log_density: LogDensity, seen: np.ndarray, met: np.ndarray
) -> tuple[float, float, float, float]:
    """The integral from the draws `met`, where those `seen` say where it is.

    Returns:
        The estimate, its errors from the draws of the normal distribution and from those of the density, and how many
        independent ones the latter are worth.
    """
    chains, count, size = met.shape
    flat = seen.reshape(-1, size)
    middle, root = flat.mean(axis=0), np.linalg.cholesky(np.atleast_2d(np.cov(flat.T)))

    def over_normal(vectors):
        """The density made symmetric over the normal distribution, at coordinates of the latter."""
        both = log_density(np.concatenate([middle + vectors @ root.T, middle - vectors @ root.T]))
        symmetric = np.logaddexp(*np.split(np.nan_to_num(both, nan=-np.inf), 2)) - np.log(2)
        return symmetric + np.log(np.diagonal(root)).sum() - _log_normal(vectors)

    drawn = over_normal(rng.standard_normal((chains * count, size)))
    own = over_normal(np.linalg.solve(root, (met.reshape(-1, size) - middle).T).T)
    shift = float(np.median(own))
    drawn, own = drawn - shift, own - shift
    independent = diagnostics.ess_mean(_tell(own, 0.0, 0.5).reshape(chains, count))
    share = independent / (independent + len(drawn))  # of the draws of the density
    value = 0.0
    for _ in range(ITERATIONS):
        before = value
        above = logsumexp(drawn - _mixed(drawn, value, share)) - np.log(len(drawn))
        below = logsumexp(-_mixed(own, value, share)) - np.log(len(own))
        value = float(above - below)
        if abs(value - before) < SETTLED:
            break
    of_drawn = np.exp(drawn - value - _mixed(drawn, value, share) + value)
    of_own = _tell(own, value, share)
    independent = diagnostics.ess_mean(of_own.reshape(chains, count))
    return (
        value + shift,
        np.sqrt(_relative(of_drawn) / len(drawn)),
        np.sqrt(_relative(of_own) / independent),
        independent,
    )


def _mixed(ratio: np.ndarray, value: float, share: float) -> np.ndarray:
    """The log of the mixture of density and normal distribution over the latter, where the integral is exp(value)."""
    return np.logaddexp(np.log(share) + ratio, np.log1p(-share) + value)


def _tell(ratio: np.ndarray, value: float, share: float) -> np.ndarray:
    """What each draw of the density adds to the bridge, between 0 and 1 / (1 - share)."""
    return np.exp(value - _mixed(ratio, value, share))


def _relative(values: np.ndarray) -> float:
    return float(np.var(values) / np.mean(values) ** 2)


def _log_normal(vectors: np.ndarray) -> np.ndarray:
    return -0.5 * (vectors**2).sum(axis=1) - 0.5 * vectors.shape[1] * np.log(2 * np.pi)
