"""Repeated sampling: success in at least one of k attempts, of one problem and of many, and the mean log pass rate."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from jax import Array, random
from scipy.special import betainc, expit, expm1, gammaln, log_expit, logsumexp
from scipy.stats import norm

from bayescale.infer.importance import Mixture, importance

# Priors of the rates of problems, scale Beta(alpha, beta), as the mean and standard deviation of the logarithm; the
# scale, the largest rate that there is, may be anything from 0 to 1.
ALPHA = (np.log(0.4), 0.6)  # 90% between 0.15 and 1.07; -log pass@k falls as k^-alpha
BETA = (np.log(3.0), 1.5)  # 90% between 0.25 and 35
CELLS, INSIDE = 120, 24  # of rates, even in the logit, and places in each
DEEPEST, HIGHEST = -22.0, 10.0  # logits of rates: one in four billion, and all but one in twenty thousand
DRAWS = 1000


@dataclass(frozen=True, eq=False)
class Passes:
    """What repeated sampling says of a set of problems, each quantity (draws,).

    Attributes:
        problems: how many there are.
        unsolved: of how many no attempt succeeded.
        alpha: the exponent with which -log pass@k falls for many attempts.
        beta: how seldom rates near the largest are.
        scale: the largest rate.
        log_rate: the mean over the problems that were tried of the logarithm of their rates, the mean log pass rate.
        pareto_k: of the weights of the draws; above 0.7 they are not to be trusted.
    """

    problems: int
    unsolved: int
    alpha: np.ndarray
    beta: np.ndarray
    scale: np.ndarray
    log_rate: np.ndarray
    pareto_k: float

    def at(self, k: npt.ArrayLike) -> np.ndarray:
        """pass@k of a new problem like these, for each number of attempts, (draws, ks)."""
        return covered(np.atleast_1d(np.asarray(k, float)), self.alpha, self.beta, self.scale)


def pass_at_k(successes: npt.ArrayLike, trials: npt.ArrayLike, k: npt.ArrayLike) -> np.ndarray:
    """The unbiased estimate of success in at least one of k attempts, 1 - C(n - c, k) / C(n, k).

    It is not a number where there were fewer attempts than k: no estimate is unbiased there; see `passes`.

    Args:
        successes: c of each problem, (problems,).
        trials: n of each problem, (problems,) or one number.
        k: numbers of attempts, (ks,) or one number.

    Returns:
        (problems, ks); (problems,) for one number of attempts.

    Raises:
        ValueError: successes are not from 0 to the trials, or k is less than one.

    Source:
        Chen et al. 2021, arXiv:2107.03374, equation 1.

    >>> pass_at_k([0, 5, 10], 10, 1).round(9).tolist()
    [0.0, 0.5, 1.0]
    """
    c, n = _counts(successes, trials)
    ks = np.asarray(k, float)
    if not (np.isfinite(ks) & (ks >= 1)).all():
        raise ValueError(f"k is {k}; it is a number of attempts, one or more")
    c, n, wanted = c[:, None], n[:, None], np.atleast_1d(ks)[None]
    left = n - c
    with np.errstate(invalid="ignore"):
        # Each logarithm is of a ratio of factorials; without failures enough the k attempts have one success for sure.
        log_none = (
            gammaln(left + 1)
            - gammaln(np.maximum(left - wanted, 0) + 1)
            - gammaln(n + 1)
            + gammaln(np.maximum(n - wanted, 0) + 1)
        )
        found = np.where(left < wanted, 1.0, -np.expm1(np.minimum(log_none, 0.0)))
    found = np.where(wanted > n, np.nan, found) + 0.0  # no negative nought
    return found[:, 0] if ks.ndim == 0 else found


def covered(k: np.ndarray, alpha: np.ndarray, beta: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """1 - E (1 - p)^k where p = scale x and x ~ Beta(alpha, beta), (draws, ks), by quadrature over x."""
    k, alpha, beta, scale = np.atleast_1d(k), *(np.atleast_1d(v)[:, None] for v in (alpha, beta, scale))
    places = _places()[None]
    edges = _edges()
    below = betainc(alpha, beta, edges)
    mass = np.diff(below, axis=1)
    mass[:, 0] += below[:, 0]
    mass[:, -1] += 1 - below[:, -1]
    found = []
    for one in k:
        solved = -expm1(one * np.log1p(-scale[..., None] * places))  # (draws, cells, places)
        found.append(np.sum(mass * solved.mean(axis=2), axis=1))
    return np.stack(found, axis=1)


def passes(key: Array, successes: npt.ArrayLike, trials: npt.ArrayLike) -> Passes:
    """The distribution of the rates of problems, scale Beta(alpha, beta), from counts with any numbers of attempts.

    Problems without a success count for what they say, and sampling that went on until there were some does too: the
    likelihood is binomial whatever the rule by which it was stopped.

    Args:
        key: the random key.
        successes: of each problem, (problems,).
        trials: of each problem, (problems,) or one number.

    Raises:
        ValueError: there are fewer than two problems, or successes are not from 0 to the trials.

    Source:
        Schaeffer et al. 2025, arXiv:2502.17578, for the distribution and its exponent.
    """
    c, n = _counts(successes, trials)
    if len(c) < 2:
        raise ValueError(
            f"there are {len(c)} problems; their rates have a distribution where there are several"
        )
    log_p, log_rest = np.log(_places()), np.log1p(-_places())
    # What the attempts at each problem say of each cell, (problems, cells), and of log rates there; the most is 1.
    unlike, rates = np.empty((2, len(c), CELLS))
    for i in range(len(c)):
        told = c[i] * log_p + (n[i] - c[i]) * log_rest
        likely = np.exp(told - told.max())
        unlike[i] = likely.mean(axis=1)
        rates[i] = np.sum(likely * log_p, axis=1) / np.maximum(likely.sum(axis=1), 1e-300)
    rng = np.random.default_rng(np.asarray(random.key_data(key)))

    def mass(points: np.ndarray) -> np.ndarray:
        """Of each cell for parameters in the unconstrained space, (points, cells)."""
        alpha, beta, scale = _constrained(points)
        below = betainc(alpha[:, None], beta[:, None], np.minimum(_edges() / scale[:, None], 1.0))
        found = np.diff(below, axis=1)
        found[:, 0] += below[:, 0]
        found[:, -1] += 1 - below[:, -1]
        return np.maximum(found, 0.0)

    def log_density(points: np.ndarray) -> np.ndarray:
        likelihood = np.log(np.maximum(mass(points) @ unlike.T, 1e-300)).sum(axis=1)
        # Log-normal alpha and beta, and a uniform scale, whose logit is the third.
        first, second = (norm.logpdf(points[:, i], *prior) for i, prior in enumerate((ALPHA, BETA)))
        return likelihood + first + second + log_expit(points[:, 2]) + log_expit(-points[:, 2])

    begin = Mixture(
        np.ones(1), np.array([[ALPHA[0], BETA[0], 0.0]]), np.diag([ALPHA[1], BETA[1], 1.5])[None], 5.0
    )
    found = importance(rng, log_density, begin, precise=0.1, rounds=3, most=2**13)
    weight = np.exp(found.logs - logsumexp(found.logs))
    points = found.points[rng.choice(len(weight), DRAWS, p=weight)]
    alpha, beta, scale = _constrained(points)
    of_rates = mass(points)
    mean = np.zeros(DRAWS)
    for one, logs in zip(unlike, rates, strict=True):  # each problem has a rate of its own
        reached = np.cumsum(of_rates * one, axis=1)
        cell = np.sum(reached < rng.random((DRAWS, 1)) * reached[:, -1:], axis=1)
        mean += logs[cell] / len(c)
    return Passes(len(c), int(np.sum(c == 0)), alpha, beta, scale, mean, found.pareto_k)


def mean_log_pass_rate(key: Array, successes: npt.ArrayLike, trials: npt.ArrayLike) -> tuple[np.ndarray, int]:
    """The mean over problems of the logarithm of their pass rates, (draws,), and how many had no success.

    E log p of every problem is that under its own posterior, so that none has to be left out for having no success, as
    OpenAI's report leaves those out that not every model solves.

    Args:
        key: the random key.
        successes: of each problem, (problems,).
        trials: of each problem, (problems,) or one number.

    Source:
        OpenAI 2023, arXiv:2303.08774, section 3.2.
    """
    found = passes(key, successes, trials)
    return found.log_rate, found.unsolved


def _counts(successes: npt.ArrayLike, trials: npt.ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    c = np.atleast_1d(np.asarray(successes, float))
    n = np.broadcast_to(np.asarray(trials, float), c.shape)
    if not ((c >= 0) & (c <= n) & (n >= 1) & (c % 1 == 0) & (n % 1 == 0)).all():
        raise ValueError(
            "successes are whole numbers from 0 to the trials, of which there is one at least for each problem"
        )
    return c, n


def _edges() -> np.ndarray:
    """The edges of the cells of rates, (cells + 1,)."""
    return expit(np.linspace(DEEPEST, HIGHEST, CELLS + 1))


def _places() -> np.ndarray:
    """Rates inside the cells, (cells, places)."""
    z = np.linspace(DEEPEST, HIGHEST, CELLS + 1)
    return expit(z[:-1, None] + (z[1] - z[0]) * (np.arange(INSIDE) + 0.5) / INSIDE)


def _constrained(points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return np.exp(points[:, 0]), np.exp(points[:, 1]), 1 / (1 + np.exp(-points[:, 2]))
