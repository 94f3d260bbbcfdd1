"""Convergence of chains and reliability of importance weights, in NumPy: they must not need ArviZ.

Source:
    Vehtari, Gelman, Simpson, Carpenter and Buerkner 2021, doi:10.1214/20-BA1221 (R-hat, effective size);
    Vehtari, Simpson, Gelman, Yao and Gabry 2024, arXiv:1507.02646 (Pareto-smoothed importance sampling).
"""

import numpy as np
from scipy.special import ndtri


def _split(draws: np.ndarray) -> np.ndarray:
    """Each chain as two: (chains, draws) -> (2 chains, draws / 2); a middle draw is left out."""
    half = draws.shape[1] // 2
    return np.concatenate([draws[:, :half], draws[:, draws.shape[1] - half :]])


def _ranked(draws: np.ndarray) -> np.ndarray:
    """Normal scores of the ranks, ties averaged, of (chains, draws)."""
    _, inverse, counts = np.unique(draws, return_inverse=True, return_counts=True)
    rank = np.cumsum(counts) - (counts - 1) / 2
    return np.asarray(ndtri((rank[inverse.reshape(draws.shape)] - 0.375) / (draws.size + 0.25)), float)


def _untold(chains: np.ndarray) -> bool:
    """Whether there is nothing to be said: not a number, all the same, or under 4 draws a chain."""
    return chains.shape[1] < 2 or bool(np.isnan(chains).any()) or chains.min() == chains.max()


def _ratio_of_scales(chains: np.ndarray) -> float:
    within = chains.var(axis=1, ddof=1).mean()
    between = chains.mean(axis=1).var(ddof=1)
    count = chains.shape[1]
    if within <= 1e-24 * between:  # every chain stands still, but for rounding
        return float("inf" if between > 0 else "nan")
    return float(np.sqrt(((count - 1) / count * within + between) / within))


def r_hat(draws: np.ndarray) -> float:
    """Rank-normalised split R-hat of (chains, draws): the larger of those of location and of scale."""
    halves = _split(np.asarray(draws, float))
    if _untold(halves):
        return float("nan")
    folded = np.abs(halves - np.median(halves))
    return max(_ratio_of_scales(_ranked(halves)), _ratio_of_scales(_ranked(folded)))


def _autocovariance(chains: np.ndarray) -> np.ndarray:
    count = chains.shape[1]
    length = 2 ** int(np.ceil(np.log2(2 * count)))
    spectrum = np.fft.rfft(chains - chains.mean(axis=1, keepdims=True), length)
    return np.fft.irfft(np.abs(spectrum) ** 2, length)[:, :count] / count


def _effective(chains: np.ndarray) -> float:
    """Effective sample size by Geyer's initial monotone sequence, of chains already split."""
    number, count = chains.shape
    covariance = _autocovariance(chains)
    within = (covariance[:, 0] * count / (count - 1)).mean()
    total = within * (count - 1) / count
    if number > 1:
        total += chains.mean(axis=1).var(ddof=1)
    correlation = 1 - (within - covariance.mean(axis=0)) / total
    correlation[0] = 1
    pairs = correlation[: count // 2 * 2].reshape(-1, 2).sum(axis=1)
    last = max((count - 3) // 2, 0)  # where the chains tell of no end, as those that never meet, it ends here
    positive = last if (pairs[:last] > 0).all() else int(np.argmax(pairs <= 0))
    kept = np.minimum.accumulate(pairs[:positive])
    # The first lag after the sequence of pairs still tells of antithetic chains.
    tail = correlation[2 * positive] if 2 * positive < count and correlation[2 * positive] > 0 else 0.0
    time = max(-1 + 2 * kept.sum() + tail, 1 / np.log10(number * count))
    return float(number * count / time)


def ess_bulk(draws: np.ndarray) -> float:
    """Effective sample size of (chains, draws) for the centre of the distribution."""
    halves = _split(np.asarray(draws, float))
    return float("nan") if _untold(halves) else _effective(_ranked(halves))


def ess_mean(draws: np.ndarray) -> float:
    """Effective sample size of (chains, draws) for their mean, which must have a variance."""
    halves = _split(np.asarray(draws, float))
    return float("nan") if _untold(halves) else _effective(halves)


def ess_tail(draws: np.ndarray) -> float:
    """Effective sample size of (chains, draws) for the 5% and 95% quantiles, whichever is less."""
    draws = np.asarray(draws, float)
    if _untold(_split(draws)):
        return float("nan")
    below = [_split((draws <= np.quantile(draws, q)).astype(float)) for q in (0.05, 0.95)]
    # With ties the 95% quantile can be the largest value of all, and then tells nothing.
    return min((_effective(b) for b in below if not _untold(b)), default=float("nan"))


def e_bfmi(energy: np.ndarray) -> np.ndarray:
    """Estimated Bayesian fraction of missing information of each chain, from energies (chains, draws)."""
    energy = np.asarray(energy, float)
    return np.square(np.diff(energy, axis=1)).mean(axis=1) / energy.var(axis=1, ddof=1)


def pareto_k(log_weights: np.ndarray) -> float:
    """Shape of the generalised Pareto tail of importance weights; above 0.7 they cannot be trusted.

    Infinite where the tail has no shape: a weight is not finite, or a quarter of the tail is tied.

    Source:
        Zhang and Stephens 2009, doi:10.1198/tech.2009.08017, for the estimate of the shape.
    """
    log_weights = np.sort(np.asarray(log_weights, float))
    count = len(log_weights)
    tail = int(min(0.2 * count, 3 * np.sqrt(count)))
    if tail < 5:
        raise ValueError(f"{count} draws are too few for the tail of their weights; take 100 or more")
    if not np.isfinite(log_weights[-1]):
        return float("inf")
    weights = np.exp(log_weights - log_weights[-1])
    cutoff = weights[-tail - 1]
    excess = weights[-tail:] - cutoff
    if excess[-1] <= 0:
        return float("-inf")
    grid = 30 + int(np.sqrt(tail))
    quartile = excess[int(tail / 4 + 0.5) - 1]
    if quartile <= excess[0]:
        return float("inf")
    theta = 1 / excess[-1] + (1 - np.sqrt(grid / (np.arange(1, grid + 1) - 0.5))) / (3 * quartile)
    shape = np.log1p(-theta[:, None] * excess).mean(axis=1)
    likelihood = tail * (np.log(-theta / shape) - shape - 1)
    share = np.exp(likelihood - likelihood.max())
    best = (theta * share).sum() / share.sum()
    estimate = np.log1p(-best * excess).mean()
    return float((tail * estimate + 10 * 0.5) / (tail + 10))  # a weak prior at 0.5, for short tails
