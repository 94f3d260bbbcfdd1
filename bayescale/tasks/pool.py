"""Forecasts put together: what each of several is worth, by how well the like of it has done."""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.optimize import minimize
from scipy.special import softmax

from bayescale.check.scores import PROBABILITIES

POINTS = 40  # quantiles that stand for a forecast where it is compared with others
OF_LOSS = 0.5  # what a forecast by way of the loss is worth at first: more is known of losses than of success
NO_LAW = 0.25  # what success that does not change is worth, beside a law
PRIOR = 12.0  # targets that what is believed before counts for
COOL = 0.25  # the power of the evidence: laws are wrong in the same places, so runs do not count as so many


def lifted(evidence: Mapping[str, float]) -> dict[str, float]:
    """What the evidence leaves of the weight of each member: all of the best, of one 10 nats behind a twelfth.

    Args:
        evidence: member -> nats; what is no number is left nothing.
    """
    best = max((value for value in evidence.values() if np.isfinite(value)), default=0.0)
    return {
        name: float(np.exp(COOL * (value - best))) if np.isfinite(value) else 0.0
        for name, value in evidence.items()
    }


def before(names: Sequence[str], of_loss: Sequence[str], no_law: Sequence[str]) -> dict[str, float]:
    """The weights of members before anything has been forecast, and before their evidence.

    Args:
        names: all members.
        of_loss: those among them that forecast the loss first.
        no_law: those that say that nothing changes.
    """
    share = OF_LOSS if of_loss else 0.0
    rest = {name: NO_LAW if name in no_law else 1.0 for name in names if name not in of_loss}
    found = {name: (1 - share) * part / sum(rest.values()) for name, part in rest.items()}
    return found | {name: share / len(of_loss) for name in of_loss}


def mixed(quantiles: Sequence[np.ndarray], weights: np.ndarray) -> np.ndarray:
    """The quantiles of a mixture of forecasts, each given by its own, (quantiles, forecasts).

    Args:
        quantiles: of each member, (quantiles, forecasts).
        weights: of each, (members, forecasts); they need not add to 1.
    """
    stack = np.concatenate([np.asarray(one) for one in quantiles])
    weights = np.asarray(weights, float)
    weights = weights / weights.sum(axis=0)
    share = np.concatenate(
        [np.broadcast_to(w / len(q), (len(q), len(w))) for w, q in zip(weights, quantiles, strict=True)]
    )
    order = np.argsort(stack, axis=0)
    values, own = (np.take_along_axis(one, order, axis=0) for one in (stack, share))
    middle = np.cumsum(own, axis=0) - own / 2  # a quantile stands for what is about it
    return np.stack(
        [np.interp(PROBABILITIES, middle[:, i], values[:, i]) for i in range(values.shape[1])], axis=1
    )


def stacked(
    forecasts: Mapping[str, np.ndarray],
    lift: Mapping[str, np.ndarray],
    truth: np.ndarray,
    unit: np.ndarray,
    prior: Mapping[str, float],
) -> dict[str, float]:
    """The weights of members with which their mixture would have had the least CRPS, times what evidence leaves them.

    The CRPS of a mixture is sum_m w_m E|X_m - y| - sum_mn w_m w_n E|X_m - X_n| / 2. Its mean over the targets, of which
    the forecasts of one count as one, is taken for a scale that is not known: the logarithm of it counts once for each
    target, beside a Dirichlet prior about the weights before.

    Args:
        forecasts: member -> (quantiles, forecasts).
        lift: member -> what its evidence left of its weight in each, (forecasts,).
        truth: what came, (forecasts,).
        unit: the target of each forecast, (forecasts,).
        prior: member -> its weight where nothing has been forecast.

    Source:
        Yao, Vehtari, Simpson and Gelman 2018, doi:10.1214/17-BA1091, with the CRPS for a score.
    """
    names = list(forecasts)
    if not len(truth):
        return dict(prior)
    first = np.array([prior[name] for name in names])
    thin = np.linspace(0, len(next(iter(forecasts.values()))) - 1, POINTS).round().astype(int)
    drawn = np.stack([np.asarray(forecasts[name])[thin] for name in names])  # (members, points, forecasts)
    raised = np.stack([np.asarray(lift[name], float) for name in names])
    index = np.unique(unit, return_inverse=True)[1]
    targets = index.max() + 1
    each = 1 / np.bincount(index)[index] / targets  # one target counts once, whatever it was forecast from
    far = np.abs(drawn - truth).mean(axis=1)
    apart = np.zeros((len(names), len(names), len(truth)))
    for m in range(len(names)):
        for n in range(m):
            apart[m, n] = apart[n, m] = np.abs(drawn[m][:, None] - drawn[n][None]).mean(axis=(0, 1))
        apart[m, m] = np.abs(drawn[m][:, None] - drawn[m][None]).mean(axis=(0, 1))

    def misfit(free):
        share = softmax(free)
        w = share[:, None] * raised
        w = w / np.maximum(w.sum(axis=0), 1e-300)
        crps = (np.sum(w * far, axis=0) - np.einsum("mf,mnf,nf->f", w, apart, w) / 2) @ each
        return targets * np.log(max(crps, 1e-300)) - PRIOR * first @ np.log(np.maximum(share, 1e-300))

    found = minimize(misfit, np.log(np.maximum(first, 1e-6)), method="L-BFGS-B")
    return dict(zip(names, softmax(found.x).tolist(), strict=True))
