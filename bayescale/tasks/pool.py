"""Forecasts put together: what each of several is worth, by how well the like of it has done."""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.optimize import minimize
from scipy.special import softmax

from bayescale.check.scores import PROBABILITIES

POINTS = 40  # quantiles that stand for a forecast where it is compared with others
BY_EVIDENCE = "by evidence"
# What the mixture by evidence is worth before anything has been forecast, and a forecast by way of the loss, of which
# more is known than of success; the rest all others have alike.
TRUST, OF_LOSS = 0.25, 0.5
PRIOR = 12.0  # targets that what is believed before counts for
COOL = 0.25  # the power of the evidence: laws are wrong in the same places, so runs do not count as so many


def by_evidence(evidence: Mapping[str, float], pareto_k: Mapping[str, float]) -> dict[str, float]:
    """The weight of each member by the evidence for it, adding to 1; less where that is not to be trusted.

    Args:
        evidence: member -> nats.
        pareto_k: member -> of the weights that it was found with.
    """
    names = [name for name in evidence if np.isfinite(evidence[name])]
    logs = np.array([COOL * evidence[name] for name in names])
    found = dict(zip(names, softmax(logs), strict=True))
    return {name: float(found.get(name, 0.0)) for name in evidence}


def before(names: Sequence[str], of_loss: Sequence[str]) -> dict[str, float]:
    """The weights of members and of their mixture by evidence before anything has been forecast.

    Args:
        names: all members.
        of_loss: those among them that forecast the loss first.
    """
    share = OF_LOSS if of_loss else 0.0
    rest = [name for name in names if name not in of_loss]
    found = {name: (1 - TRUST - share) / len(rest) for name in rest}
    return found | {name: share / len(of_loss) for name in of_loss} | {BY_EVIDENCE: TRUST}


def mixed(quantiles: Sequence[np.ndarray], weights: Sequence[float]) -> np.ndarray:
    """The quantiles of a mixture of forecasts, each given by its own, (quantiles, forecasts)."""
    stacked = np.concatenate([np.asarray(one) for one in quantiles])
    share = np.repeat(np.asarray(weights, float) / np.sum(weights), [len(one) for one in quantiles])
    share = share / np.concatenate([np.full(len(one), len(one)) for one in quantiles])
    order = np.argsort(stacked, axis=0)
    values, reached = np.take_along_axis(stacked, order, axis=0), np.cumsum(share[order], axis=0)
    middle = reached - share[order] / 2  # a quantile stands for what is about it
    return np.stack(
        [np.interp(PROBABILITIES, middle[:, i], values[:, i]) for i in range(values.shape[1])], axis=1
    )


def stacked(
    forecasts: Mapping[str, np.ndarray],
    truth: np.ndarray,
    unit: np.ndarray,
    before: Mapping[str, float],
) -> dict[str, float]:
    """The weights of members with which their mixture would have had the least CRPS.

    The CRPS of a mixture is sum_m w_m E|X_m - y| - sum_mn w_m w_n E|X_m - X_n| / 2. Its mean over the targets, of which
    the forecasts of one count as one, is taken for a scale that is not known: the logarithm of it counts once for each
    target, beside a Dirichlet prior about the weights before.

    Args:
        forecasts: member -> (quantiles, forecasts).
        truth: what came, (forecasts,).
        unit: the target of each forecast, (forecasts,).
        before: member -> its weight where nothing has been forecast.

    Source:
        Yao, Vehtari, Simpson and Gelman 2018, doi:10.1214/17-BA1091, with the CRPS for a score.
    """
    names = list(forecasts)
    prior = np.array([before[name] for name in names])
    if not len(truth):
        return dict(before)
    thin = np.linspace(0, len(next(iter(forecasts.values()))) - 1, POINTS).round().astype(int)
    drawn = np.stack([np.asarray(forecasts[name])[thin] for name in names])  # (members, points, forecasts)
    index = np.unique(unit, return_inverse=True)[1]
    each = 1 / np.bincount(index)[index]  # one target counts once, whatever it was forecast from
    far = np.abs(drawn - truth).mean(axis=1) @ each
    apart = np.zeros((len(names), len(names)))
    for m in range(len(names)):
        for n in range(m + 1):
            gaps = np.abs(drawn[m][:, None] - drawn[n][None]).mean(axis=(0, 1)) @ each
            apart[m, n] = apart[n, m] = gaps
    targets = index.max() + 1

    def misfit(free):
        w = softmax(free)
        crps = max(w @ far - w @ apart @ w / 2, 1e-300)
        slope = targets * (far - apart @ w) / crps - PRIOR * prior / np.maximum(w, 1e-12)
        return targets * np.log(crps) - PRIOR * prior @ np.log(np.maximum(w, 1e-300)), w * (slope - w @ slope)

    found = minimize(misfit, np.log(np.maximum(prior, 1e-6)), jac=True, method="L-BFGS-B")
    return dict(zip(names, softmax(found.x).tolist(), strict=True))
