"""What runs not yet made would tell, if everything were jointly normal: the update of variances, and of entropies.

The normal approximation has the means, variances and covariances of the posterior draws. What it leaves out: that
target and losses are no linear functions of each other, so that what is learned depends on what is measured; and that
noise has tails, which counts as the normal noise that would leave as much unknown of the loss it is added to. Where all
is linear and normal it is exact. With the true variance of the noise in place of that it would be what the best linear
prediction of the target leaves unknown, and so promise too little; `nested` says how much there is to it.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import entr, ndtr
from scipy.stats import norm, qmc

NODES = 64  # of the Gauss-Hermite rule for what an uncertain mean does to a probability: exact to 1e-6
SETTLED = 1e-12  # nats: of a sign that is as sure as that nothing is left to be learned
LATTICE = 1024  # points of the lattice for the entropy of which law is right: exact to about 1% of a nat


class Joint(NamedTuple):
    """The moments of a target and of what candidate runs would show.

    Attributes:
        mean: of the target.
        variance: of the target.
        cross: the covariance of the target and of what each run would show, (candidates,).
        shows: the means of the latter, (candidates,).
        between: their covariance without what each run has for itself, (candidates, candidates).
        own: the variance that each run has for itself, (candidates,).
    """

    mean: float
    variance: float
    cross: np.ndarray
    shows: np.ndarray
    between: np.ndarray
    own: np.ndarray

    def explained(self, batch: Sequence[int]) -> float:
        """By how much a batch of candidates, some perhaps twice, lowers the variance of the target.

        Var(t) - Var(t | y) = c' (K + R)^-1 c
        """
        at = np.asarray(batch, int)
        between = self.between[np.ix_(at, at)] + np.diag(self.own[at])
        return float(self.cross[at] @ np.linalg.solve(between, self.cross[at])) if len(at) else 0.0


def joint(target: np.ndarray, shows: np.ndarray, shared: np.ndarray, own: np.ndarray) -> Joint:
    """The moments of draws.

    Args:
        target: (draws,).
        shows: what each candidate would show but for noise, (draws, candidates).
        shared: the covariance of shocks that the draws do not hold, (candidates, candidates).
        own: the variance that each run has for itself, (candidates,).
    """
    moved, aside = target - target.mean(), shows - shows.mean(axis=0)
    count = len(target) - 1
    return Joint(
        float(target.mean()),
        float(moved @ moved / count),
        moved @ aside / count,
        shows.mean(axis=0),
        aside.T @ aside / count + shared,
        own,
    )


def removed(before: Joint, batch: Sequence[int], *, sign: bool = False) -> float:
    """The share of what is uncertain of the target that a batch is expected to remove.

    Args:
        before: the moments.
        batch: the candidates that are run.
        sign: whether what is uncertain is the sign of the target, measured by its entropy, and not its value, measured
            by its variance.
    """
    share = min(before.explained(batch) / before.variance, 1.0)
    if not sign:
        return share
    whole = _entropy(before, 0.0)
    return 1 - _entropy(before, share) / whole if whole > SETTLED else 0.0


def _entropy(before: Joint, share: float) -> float:
    """The expected entropy of the sign of the target once a share of its variance is explained, in nats."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(NODES)
    far = before.mean / np.sqrt(before.variance)
    p = ndtr(-(far + np.sqrt(share) * nodes) / np.sqrt(max(1 - share, 1e-12)))
    return float((entr(p) + entr(1 - p)) @ weights / weights.sum())


def told_of_law(laws: Sequence[Joint], weights: np.ndarray, batch: Sequence[int]) -> float:
    """The share of the entropy of which law is right that a batch of runs is expected to remove.

    Args:
        laws: the moments under each law; their targets do not matter.
        weights: the probabilities of the laws before, (laws,).
        batch: the candidates that are run, some perhaps twice.
    """
    if not batch:
        return 0.0
    at = np.asarray(batch)
    lattice = (qmc.Sobol(len(at), scramble=False).random(LATTICE) + 0.5 / LATTICE) % 1.0
    normal = norm.ppf(lattice)
    means = [one.shows[at] for one in laws]
    roots = [np.linalg.cholesky(one.between[np.ix_(at, at)] + np.diag(one.own[at])) for one in laws]
    left = 0.0
    for own, mean, root in zip(weights, means, roots, strict=True):
        y = mean + normal @ root.T
        logs = np.stack(
            [np.log(w) + _log_normal(y, m, r) for w, m, r in zip(weights, means, roots, strict=True)]
        )
        left += own * float(np.mean(expected_entropy(logs)))
    return 1 - left / float(entr(weights).sum())


def expected_entropy(logs: np.ndarray) -> np.ndarray:
    """The entropy of probabilities proportional to exp(logs), over the first axis, in nats."""
    p = np.exp(logs - logs.max(axis=0))
    return entr(p / p.sum(axis=0)).sum(axis=0)


def _log_normal(points: np.ndarray, mean: np.ndarray, root: np.ndarray) -> np.ndarray:
    """The log density of a normal distribution but for a constant, (points,)."""
    far = np.linalg.solve(root, (points - mean).T)
    return -0.5 * (far**2).sum(axis=0) - np.log(np.diagonal(root)).sum()
