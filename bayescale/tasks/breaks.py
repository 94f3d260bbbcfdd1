"""Lines that may break: the evidence for a kink or a jump, with the place of the break and the noise integrated out."""

import math
from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp

# Standard deviations, in e-folds: of the level, of the slope a decade, and of a break of either. A break worth the name
# takes a score from unseen to seen, for which a few e-folds are needed.
LEVEL, SLOPE, CHANGE = 5.0, 1.0, 3.0
SIGMA = (math.log(0.03), 0.7)  # of the log of the noise, some 3%: 90% between 0.9% and 9%
NODES = 41  # of the noise, over four standard deviations to either side
PLACES = 64  # of a break, over the range of the models


class Line(NamedTuple):
    """What the models say of a line: a mixture of normal distributions over the noise.

    Attributes:
        log_evidence: of the values, in nats.
        weight: of each noise, (nodes,).
        sigma: the noise, (nodes,).
        mean: of level and slope, (nodes, 2).
        covariance: (nodes, 2, 2).
    """

    log_evidence: float
    weight: np.ndarray
    sigma: np.ndarray
    mean: np.ndarray
    covariance: np.ndarray

    def at(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The mean and the standard deviation of a new value at x, (nodes, places)."""
        design = np.stack([np.ones_like(x), x])
        variance = np.einsum("ip,nij,jp->np", design, self.covariance, design)
        return self.mean @ design, np.sqrt(variance + self.sigma[:, None] ** 2)


def line(x: np.ndarray, y: np.ndarray) -> Line:
    """The posterior of a line y = level + slope x with normal noise.

    Level ~ Normal(0, 5) and slope ~ Normal(0, 1); the noise is log-normal about 3%.

    Args:
        x: decades, best measured from their middle, (models,).
        y: logarithms, (models,).
    """
    sigma, prior = _noise()
    logs, mean, covariance = _normal(_design(x)[None], y, sigma, np.array([LEVEL, SLOPE]))
    logs = logs[0] + prior
    total = float(np.asarray(logsumexp(logs)))
    return Line(total, np.exp(logs - total), sigma, mean[0], covariance[0])


def log_bayes_factors(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """By how many nats the values speak for a kink in the line, and for a jump.

    The line goes on with another slope, or at another level; the change is Normal(0, 3) in e-folds, a decade for the
    slope, and its place is uniform over the range of x. Against a break they cannot say more than some 3 nats.

    Args:
        x: decades, best measured from their middle, (models,).
        y: logarithms, (models,).
    """
    sigma, prior = _noise()
    edges = np.linspace(x.min(), x.max(), PLACES + 1)
    beyond = x[None] - (edges[:-1] + edges[1:])[:, None] / 2
    scales = np.array([LEVEL, SLOPE, CHANGE])
    found = []
    for change in (np.maximum(beyond, 0.0), (beyond > 0).astype(float)):
        design = np.concatenate(
            [np.broadcast_to(_design(x), (PLACES, *_design(x).shape)), change[..., None]], axis=2
        )
        logs, _, _ = _normal(design, y, sigma, scales)
        found.append(float(np.asarray(logsumexp(logs + prior))) - math.log(PLACES))
    alone = line(x, y).log_evidence
    return found[0] - alone, found[1] - alone


def _design(x: np.ndarray) -> np.ndarray:
    return np.stack([np.ones_like(x), x], axis=1)


def _noise() -> tuple[np.ndarray, np.ndarray]:
    """The nodes of the noise, and the logarithm of the prior of each."""
    z = np.linspace(-4, 4, NODES)
    weight = -(z**2) / 2
    return np.exp(SIGMA[0] + SIGMA[1] * z), weight - np.asarray(logsumexp(weight))


def _normal(
    design: np.ndarray, y: np.ndarray, sigma: np.ndarray, scales: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The evidence of normal regressions and the posterior of their coefficients, for each design and noise.

    Args:
        design: (designs, models, features).
        y: (models,).
        sigma: (nodes,).
        scales: the prior standard deviation of each coefficient, (features,).

    Returns:
        The log evidence, (designs, nodes); the mean, (designs, nodes, features); and the covariance.
    """
    square = np.einsum("dmi,dmj->dij", design, design)[:, None] / sigma[:, None, None] ** 2
    precision = square + np.diag(scales**-2.0)
    covariance = np.linalg.inv(precision)
    pull = np.einsum("dmi,m->di", design, y)[:, None] / sigma[:, None] ** 2
    mean = np.einsum("dnij,dnj->dni", covariance, pull)
    # log N(y; 0, sigma^2 + design scales^2 design'), by the lemmas of Woodbury and of determinants.
    away = np.sum(y**2) / sigma**2 - np.einsum("dni,dni->dn", pull, mean)
    volume = np.linalg.slogdet(precision)[1] + 2 * np.sum(np.log(scales)) + 2 * len(y) * np.log(sigma)
    return -(away + volume + len(y) * math.log(2 * math.pi)) / 2, mean, covariance
