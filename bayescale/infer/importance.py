"""Importance sampling: the integral of a density from draws of a mixture that has adapted to it."""

from typing import NamedTuple

import numpy as np
from scipy.special import gammaln, logsumexp

from bayescale import diagnostics
from bayescale.infer.bridge import Estimate, LogDensity

TAILS = 5.0  # degrees of freedom, or the dimension where that is more: tails that are too heavy cost draws
AROUND = 4  # components that begin around each mode, in few dimensions
FEW = 12  # dimensions
ROUNDS = 10  # of adaptation
DRAWS, EACH = 4096, 200  # of a round: at least so many, and so many for each dimension
ENOUGH = 20  # effective draws for each dimension, of which a covariance is learned
SPREAD = 1.5  # how far components begin, in standard deviations of the mode
FLAT, ASIDE = (
    0.3,
    0.2,
)  # the power of the density that a part of the draws comes from, and that part: for the tails
PRECISE, MOST = 0.004, 2**17  # nats of error to stop at, and draws


class Mixture(NamedTuple):
    """A mixture of Student's t distributions of several dimensions.

    Attributes:
        share: of each component, (components,).
        location: (components, size).
        root: the Cholesky factors of their scale matrices, (components, size, size).
        df: degrees of freedom of them all.
    """

    share: np.ndarray
    location: np.ndarray
    root: np.ndarray
    df: float

    def draw(self, rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Draws, (count, size), and the component of each, (count,), which has as many as its share says."""
        edges = np.cumsum(self.share) / np.sum(self.share)
        which = np.searchsorted(edges, (np.arange(count) + rng.random(count)) / count)
        which = np.minimum(which, len(self.share) - 1)
        normal = rng.standard_normal((count, self.location.shape[1]))
        wide = np.sqrt(self.df / rng.chisquare(self.df, count))
        moved = self.location[which] + wide[:, None] * np.einsum("nij,nj->ni", self.root[which], normal)
        return moved, which

    def parts(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of each component its log density times its share, and the squared distance, (points, components)."""
        size, df = points.shape[1], self.df
        constant = gammaln((df + size) / 2) - gammaln(df / 2) - size / 2 * np.log(df * np.pi)
        logs, distances = [], []
        for share, location, root in zip(self.share, self.location, self.root, strict=True):
            far = np.linalg.solve(root, (points - location).T)
            distance = (far**2).sum(axis=0)
            log = constant - np.log(np.diagonal(root)).sum() - (df + size) / 2 * np.log1p(distance / df)
            logs.append(np.log(share) + log)
            distances.append(distance)
        return np.stack(logs, axis=1), np.stack(distances, axis=1)


def around(rng: np.random.Generator, modes: np.ndarray, roots: np.ndarray) -> Mixture:
    """The mixture to begin with: components scattered about each mode.

    Args:
        rng: random numbers.
        modes: (modes, size).
        roots: square roots of the covariances there, (modes, size, size).
    """
    size = modes.shape[1]
    each = AROUND if size <= FEW else 1
    location = np.repeat(modes, each, axis=0)
    root = np.repeat(roots, each, axis=0)
    aside = rng.standard_normal(location.shape) * (np.arange(len(location)) % each > 0)[:, None]
    location = location + SPREAD * np.einsum("nij,nj->ni", root, aside) / np.sqrt(size)
    return Mixture(np.full(len(location), 1 / len(location)), location, root, max(TAILS, float(size)))


class Weighted(NamedTuple):
    """Draws of a mixture with their importance weights.

    Attributes:
        points: (draws, size).
        logs: the logarithms of their weights, (draws,).
        part: the component each is drawn from, (draws,).
    """

    points: np.ndarray
    logs: np.ndarray
    part: np.ndarray

    @property
    def estimate(self) -> Estimate:
        """The log integral; as each component has its share of the draws, only what is within them is random."""
        count = len(self.logs)
        value = float(logsumexp(self.logs) - np.log(count))
        weights = np.exp(self.logs - value)
        means = np.bincount(self.part, weights) / np.maximum(np.bincount(self.part), 1)
        error = np.sqrt(np.sum((weights - means[self.part]) ** 2)) / count
        return Estimate(value, float(error), float(count / np.mean(weights**2)))

    @property
    def pareto_k(self) -> float:
        """The shape of the tail of the weights; above 0.7 neither value nor error is to be trusted."""
        return diagnostics.pareto_k(self.logs)


def importance(
    rng: np.random.Generator,
    log_density: LogDensity,
    mixture: Mixture,
    *,
    precise: float = PRECISE,
    rounds: int = ROUNDS,
    most: int = MOST,
) -> Weighted:
    """Draws of a mixture that has adapted to a density, until their weights tell its integral to `precise` nats.

    They are not more than about `most`.

    Some of its components adapt to the density raised to a power, which has the tails that the others would miss.
    Nothing of the adaptation enters the estimate, which therefore has no bias from it.

    Source:
        Cappe, Douc, Guillin, Marin and Robert 2008, doi:10.1007/s11222-008-9059-x, section 5.
    """
    count = max(DRAWS, EACH * mixture.location.shape[1])
    flat = mixture
    for _ in range(rounds):
        flat = _adapted(flat, _weighted(rng, log_density, flat, count), FLAT)
    for _ in range(rounds):
        mixture = _adapted(mixture, _weighted(rng, log_density, mixture, count), 1.0)
    mixture = Mixture(
        np.concatenate([(1 - ASIDE) * mixture.share, ASIDE * flat.share]),
        np.concatenate([mixture.location, flat.location]),
        np.concatenate([mixture.root, flat.root]),
        mixture.df,
    )
    found = _weighted(rng, log_density, mixture, 2 * count)
    while found.estimate.error > precise and len(found.logs) < most:
        more = _weighted(rng, log_density, mixture, len(found.logs))
        found = Weighted(*(np.concatenate(pair) for pair in zip(found, more, strict=True)))
    return found


def _weighted(rng: np.random.Generator, log_density: LogDensity, mixture: Mixture, count: int) -> Weighted:
    points, part = mixture.draw(rng, count)
    at = np.nan_to_num(log_density(points), nan=-np.inf, posinf=np.inf, neginf=-np.inf)
    return Weighted(points, at - logsumexp(mixture.parts(points)[0], axis=1), part)


def _adapted(mixture: Mixture, seen: Weighted, power: float) -> Mixture:
    """One step of expectation and maximisation towards a power of the density, by weighted draws."""
    points, size = seen.points, seen.points.shape[1]
    log_parts, distances = mixture.parts(points)
    log_mixture = np.asarray(logsumexp(log_parts, axis=1, keepdims=True))
    logs = power * seen.logs + (power - 1) * log_mixture[:, 0]
    weights = _tempered(logs, ENOUGH * (size + 1))
    belongs = weights[:, None] * np.exp(log_parts - log_mixture)
    near = belongs * (mixture.df + size) / (mixture.df + distances)
    share = belongs.sum(axis=0)
    effective = share**2 / (belongs**2).sum(axis=0)
    kept = np.flatnonzero((effective > 2 * (size + 1)) & (share > 1e-3))
    if not len(kept):  # too little is known to move
        return mixture
    moments = [_moments(points, near[:, k], share[k]) for k in kept]
    locations, roots = (np.stack(part) for part in zip(*moments, strict=True))
    return Mixture(share[kept] / share[kept].sum(), locations, roots, mixture.df)


def _moments(points: np.ndarray, weights: np.ndarray, total: float) -> tuple[np.ndarray, np.ndarray]:
    """The mean, and the Cholesky factor of the scatter about it over `total`."""
    mean = weights @ points / weights.sum()
    aside = points - mean
    scale = (aside * weights[:, None]).T @ aside / total
    return mean, np.linalg.cholesky(scale + 1e-9 * np.trace(scale) / len(mean) * np.eye(len(mean)))


def _tempered(logs: np.ndarray, enough: float) -> np.ndarray:
    """Weights, raised to the largest power up to 1 at which they are worth enough draws; they sum to 1."""

    def raised(power):
        return np.exp(power * logs - logsumexp(power * logs))

    logs = np.maximum(logs, np.max(logs) - 1e3)  # a draw where there is no density has a logarithm too
    low, high = 0.0, 1.0
    while 1 / np.sum(raised(high) ** 2) < enough and high - low > 1e-3:
        middle = (low + high) / 2
        low, high = (middle, high) if 1 / np.sum(raised(middle) ** 2) >= enough else (low, middle)
    return raised(high)
