"""Back-tests: a law is fitted to the small runs and predicts the large ones, which are known."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from jax import Array, random
from scipy.special import logsumexp

from bayescale.check.backtested import Backtest, measured
from bayescale.check.baselines import baselines
from bayescale.check.folds import CUTOFFS, Fold, folds
from bayescale.check.forecasts import Forecasts
from bayescale.check.scores import quantiles_of
from bayescale.check.sensitivity import covariate
from bayescale.fit import Fit
from bayescale.infer.evidence import log_evidence
from bayescale.infer.many import nuts_each
from bayescale.infer.pointwise import log_likelihood, responses
from bayescale.model import Model
from bayescale.runs import Runs


def backtest(
    key: Array,
    models: Model | Sequence[Model],
    runs: Runs,
    *,
    by: str = "C",
    cutoffs: int = CUTOFFS,
    report: Callable[[str], None] | None = None,
    **sampler: Any,
) -> Backtest:
    """Fit the small runs, predict the large ones, and score the predictions; or leave out one level after the other.

    Nothing is known in a fold of the runs that it predicts: reference run, unit, effects and, of several models, the
    choice by evidence are of the known runs alone.

    Args:
        key: the random key.
        models: the model; of several each fold takes the one that its known runs have the most evidence for.
        runs: the table.
        by: a covariate, or a ratio such as "D/N"; or a factor, such as a corpus.
        cutoffs: how many folds along a covariate.
        report: called with what is being done.
        sampler: arguments of `nuts`.

    Raises:
        ValueError: there is no such covariate or factor, the table allows no fold, or a model does not suit it.
    """
    every = [models] if isinstance(models, Model) else list(models)
    if not every:
        raise ValueError("there is no model to test")
    for one in every:
        one.specialise(runs)
    parts = folds(runs, by, max(len(one.law.parameters) for one in every), cutoffs)
    key_choice, key_drawn, *keys = random.split(key, 2 + len(every))
    fits = []
    for own, model in zip(keys, every, strict=True):
        if report is not None:
            report(f"{model.law.name}, {len(parts)} folds")
        fits.append(of_folds(own, model, runs, parts, **sampler))
    made = []
    for k, (fold, *mine) in enumerate(zip(parts, *fits, strict=True)):
        fit, doubt = _chosen(random.fold_in(key_choice, k), mine)
        rivals = _rivals(every, fold, runs, by)
        made.append(forecasts_of(random.fold_in(key_drawn, k), fit, fold, rivals, doubt))
    return Backtest(runs, by, tuple(made))


def of_folds(key: Array, model: Model, runs: Runs, parts: Sequence[Fold], **sampler: Any) -> list[Fit]:
    """The fits of a model to the known runs of each fold."""
    own = [fold.model(model, runs) for fold in parts]
    found: dict[int, Fit] = {}
    for one in dict.fromkeys(own):
        mine = [k for k, other in enumerate(own) if other == one]
        fits = nuts_each(random.fold_in(key, mine[0]), one, [parts[k].table(runs) for k in mine], **sampler)
        found |= dict(zip(mine, fits, strict=True))
    return [found[k] for k in range(len(parts))]


def _chosen(key: Array, fits: Sequence[Fit]) -> tuple[Fit, tuple[str, ...]]:
    """The fit of the model with the most evidence, and why that is in doubt.

    It is one of those whose evidence is not in doubt, where there are any.
    """
    if len(fits) == 1:
        return fits[0], ()
    known = [log_evidence(random.fold_in(key, k), fit) for k, fit in enumerate(fits)]
    best = max(known, key=lambda one: (not one.trouble, np.nan_to_num(one.value, nan=-np.inf)))
    return best.fit, best.trouble


def log_scores(fit: Fit, index: np.ndarray) -> np.ndarray:
    """The log density of what was measured in some runs, which the fit knows nothing of, (forecasts,)."""
    density = log_likelihood(fit)[:, index]
    return logsumexp(density, axis=0) - np.log(len(density))


def forecasts_of(
    key: Array, fit: Fit, fold: Fold, rivals: Mapping[str, np.ndarray], doubt: tuple[str, ...] = ()
) -> Forecasts:
    """What a fit to the known runs of a fold predicts of the others; `doubt`: why it was not the one to take."""
    index, runs = np.flatnonzero(fold.asked), fit.runs
    drawn = responses(key, fit)[:, index]
    if runs.kind == "success":
        drawn = drawn / np.asarray(runs.columns["trials"], float)[index]
    return Forecasts(
        fold,
        fit.model.law.name,
        fit.trouble,
        doubt,
        index,
        quantiles_of(drawn),
        log_scores(fit, index),
        rivals,
    )


def _rivals(models: Sequence[Model], fold: Fold, runs: Runs, by: str) -> dict[str, np.ndarray]:
    """The baselines, the same ones whatever model a fold takes: they know what any of the models knows."""
    used = dict.fromkeys(c for one in models for c in one.law.covariates)
    along = by
    if by in runs.levels:  # levels have no order; what they are compared along is the scale of the runs
        along = next(
            (c for c in ("C", *used, *runs.columns) if np.isfinite(runs.reference.get(c, np.nan))), ""
        )
        if not along:
            raise ValueError(
                f"{runs.source}: no column is positive throughout, along which baselines could go"
            )
    factors = sorted({p.by for one in models for p in one.pooling})
    levels = np.stack([np.zeros(len(runs), int), *(np.asarray(runs.factors[f]) for f in factors)], axis=1)
    return baselines(
        along,
        covariate(runs, along),
        {c: np.asarray(runs.columns[c], float) for c in used},
        measured(runs),
        np.unique(levels, axis=0, return_inverse=True)[1].ravel(),
        np.flatnonzero(fold.known),
        np.flatnonzero(fold.asked),
        kind=runs.kind,
    )
