"""Laws side by side: which one the runs speak for, by how much, and whether that holds for the middle of them too."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from jax import Array, random

from bayescale.check.backtest import log_scores, of_folds
from bayescale.check.compared import Comparison
from bayescale.check.folds import folds
from bayescale.check.loo import Predictive, leave_one_cluster_out, leave_one_out
from bayescale.check.ranking import Candidate, Ranking
from bayescale.check.sensitivity import covariate, inner
from bayescale.fit import Fit
from bayescale.infer.evidence import log_evidence
from bayescale.infer.many import nuts_each
from bayescale.infer.optimize import optimize
from bayescale.law import Law
from bayescale.model import EFFECTS, Model
from bayescale.models import load
from bayescale.runs import Runs

SUPPORT = ("D/N", "C", "N", "D")  # a tenth of the runs is cut at both ends of each
SHARE = 0.1
FUTURE = ("C", "D", "N")  # the future is larger in the first of these that there is
CUTOFFS = 4  # folds of the future
Report = Callable[[str], None]


def compare(
    key: Array,
    runs: Runs,
    models: Sequence[Model],
    *,
    null: Law | None = None,
    support: Mapping[str, float] | None = None,
    cluster: str | None = None,
    future: str | None = None,
    predictive: bool = True,
    third: bool = False,
    report: Report | None = None,
    **sampler: Any,
) -> Comparison:
    """Models side by side by the evidence of a table, and by how they predict what they are not shown.

    Args:
        key: the random key.
        runs: the table.
        models: the models: laws, noises, pooling and effects may all differ.
        null: the law of no law, which is compared with the noise and the effects of the first model; the constant of
            `bayescale.models`, if None.
        support: covariate, or ratio such as "D/N" -> the share of the runs that is left out at either end, and the
            comparison done again; a tenth by D/N, C, N and D where the table has them, if None.
        cluster: the factor of which one level after the other is left out; the first of run, model and size that the
            table has repeated levels of, if None.
        future: the covariate along which small runs predict large ones; the first of C, D and N that the table has
            and allows four folds or fewer along, if None.
        predictive: whether to leave anything out at all.
        third: whether sequential Monte Carlo is asked too; see `log_evidence`.
        report: called with what is being fitted.
        sampler: arguments of `nuts`.

    Raises:
        ValueError: there is no model, two are the same, or a model does not suit the table.
    """
    if not models:
        raise ValueError("there is no model to compare")
    first, every = models[0], list(models)
    null = null or load("constant")
    if null.response != runs.kind:
        raise ValueError(
            f"{runs.source}: {null.name} is a law of {null.response}; say what the null of {runs.kind} is"
        )
    if not any(one.law.name == null.name for one in every):
        every.append(Model(null, first.noise, effects=first.effects))
    own = [one.specialise(runs) for one in every]
    names = names_of(own)
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"two models are {sorted(twice)[0]}; leave one of them out")
    cuts = default_support(runs) if support is None else support
    # Runs that are left out have the weight 0: reference run, unit and priors stay, and nothing is compiled anew.
    tables = {
        f"{share:.0%} of the runs at either end of {by}": runs.replace(
            weight=np.asarray(runs.weight) * inner(runs, by, share)
        )
        for by, share in cuts.items()
    }
    by_cluster = cluster or default_cluster(runs) if predictive else None
    parts = default_future(runs, own, future) if predictive else []
    rankings: list[list[Candidate]] = [[] for _ in range(1 + len(tables))]
    for number, (name, model) in enumerate(zip(names, own, strict=True)):
        if report is not None:
            report(name)
        key_fits, key_greatest, key_future, key_evidence = random.split(random.fold_in(key, number), 4)
        fits = nuts_each(key_fits, model, [runs, *tables.values()], **sampler)
        held = _predictive(fits[0], by_cluster) if predictive else {}
        if parts:
            # Which effects the small runs call for is not known from all of them.
            ahead = of_folds(key_future, every[number], runs, parts, **sampler)
            held["future"] = _future(ahead, parts)
        for k, (fit, ranking) in enumerate(zip(fits, rankings, strict=True)):
            evidence = log_evidence(random.fold_in(key_evidence, k), fit, third=third and k == 0)
            greatest = None if k else _greatest(key_greatest, fit.model, fit.runs)
            ranking.append(Candidate(name, evidence, greatest, len(model.priors), {} if k else held))
    whole, *others = (Ranking(tuple(ranking)) for ranking in rankings)
    name = next(n for n, m in zip(names, every, strict=True) if m.law.name == null.name)
    return Comparison(whole, name, dict(zip(tables, others, strict=True)))


def _predictive(fit: Fit, by: str | None) -> dict[str, Predictive]:
    found = {"run": leave_one_out(fit)}
    return found | {by: leave_one_cluster_out(fit, by)} if by else found


def _future(fits: Sequence[Fit], parts) -> Predictive:
    """Of each run that was predicted the log densities of all folds together: what is of one run hangs together."""
    index = [np.flatnonzero(fold.asked) for fold in parts]
    each = [log_scores(fit, mine) for fit, mine in zip(fits, index, strict=True)]
    owner = np.unique(np.concatenate(index), return_inverse=True)[1]
    found = np.bincount(owner, weights=np.concatenate(each))
    trouble = tuple(why for fit in fits for why in fit.trouble)
    return Predictive("future", found, np.full(len(found), np.nan), trouble)


def _greatest(key: Array, model: Model, runs: Runs) -> float | None:
    """The greatest log likelihood; None where there is none, or no start reached it."""
    if model.factors:
        return None
    fit = optimize(key, model, runs, priors=False)
    reached = np.isfinite(fit.stats["log_density"]) and (fit.stats["mode_converged"] or fit.stats["at_bound"])
    return float(fit.stats["log_density"]) if reached else None


def names_of(models: Sequence[Model]) -> list[str]:
    """The models in few words, as "chinchilla, student_t, effect of size"; what all have in common is left out."""
    parts = []
    for model in models:
        law = model.law.name
        if len(model.law.covariates) == 1:
            law += f" in {model.law.covariates[0]}"
        own = [law, f"{model.noise.name} noise"]
        own += [f"{', '.join(p.vary)} varies by {p.by}" for p in model.pooling]
        parts.append([*own, *(f"effect of {e.by}" for e in model.effects or ())])
    common = set.intersection(*(set(own[1:]) for own in parts))
    return [", ".join(part for part in own if part == own[0] or part not in common) for own in parts]


def default_support(runs: Runs) -> dict[str, float]:
    """The cuts that a table allows: those by what it has, where it moves."""
    there = [by for by in SUPPORT if set(by.split("/")) <= set(runs.columns)]
    return {by: SHARE for by in there if _moves(covariate(runs, by))}


def _moves(values: np.ndarray) -> bool:
    """Whether a covariate changes by more than rounding."""
    return bool((values > 0).all() and np.ptp(np.log(values)) > 1e-6)


def default_cluster(runs: Runs) -> str | None:
    """The first of run, model and size of which levels repeat."""
    return next((by for by in EFFECTS if by in runs.levels and 1 < len(runs.levels[by]) < len(runs)), None)


def default_future(runs: Runs, models: Sequence[Model], by: str | None):
    """The folds along the covariate, or along the first of C, D and N that allows any; none where none does."""
    parameters = max(len(one.law.parameters) for one in models)
    if by is not None:
        if by in runs.levels:
            raise ValueError(
                f"the future is along a covariate, and {by} is a factor; leave it out as a cluster"
            )
        return folds(runs, by, parameters, CUTOFFS)
    for one in FUTURE:
        if one in runs.columns and np.isfinite(runs.reference[one]):
            try:
                return folds(runs, one, parameters, CUTOFFS)
            except ValueError:  # too few runs, or all of one size
                continue
    return []
