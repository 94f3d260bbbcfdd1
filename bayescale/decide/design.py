"""Design: which runs to do next, by what each is expected to tell of a target for its compute."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from jax import Array, random

from bayescale.check.clusters import again
from bayescale.decide import candidates as prospects
from bayescale.decide import nested
from bayescale.decide.designed import Design
from bayescale.decide.targets import Target, target_of
from bayescale.decide.updates import Joint, joint, removed, told_of_law
from bayescale.fit import Fit
from bayescale.forecast import meant
from bayescale.law import AXIS, Law
from bayescale.runs import Runs

CHECKED = 3  # how many of the first candidates are worked out by nested Monte Carlo too
OUTCOMES = 500  # of the runs, there: the share that goes is then known to 6% of itself, or to 0.5% of all
ENOUGH = 100  # draws with a target

Score = Callable[[Sequence[int]], float]  # a batch of candidates -> the share of what is uncertain that goes


class View(NamedTuple):
    """The candidates as one fit sees them.

    Attributes:
        name: of the fit, among its rivals.
        fit: the fit, with the draws that have a target.
        points: the candidates, measured as its runs are.
        levels: those that the new runs and the target are of, as far as the fit knows them.
        values: the target, (draws,).
        moments: of the target and of what the candidates would show.
        defined: the share of the draws that have a target.
    """

    name: str
    fit: Fit
    points: Runs
    levels: dict[str, str]
    values: np.ndarray
    moments: Joint
    defined: float


def design(
    fit: Fit,
    target: str | Target,
    budget: float,
    *,
    candidates: Mapping[str, npt.ArrayLike] | None = None,
    batch: int = 1,
    rivals: Sequence[Fit] = (),
    weights: Sequence[float] | None = None,
    key: Array | None = None,
    at: Mapping[str, float] | None = None,
    **levels: str,
) -> Design:
    """Candidate runs by what they are expected to tell of a target, and the batch of them to do next.

        Var(t) - Var(t | y) = Cov(t, f)^2 / (Var f + sigma^2)

    t is the target and f what a run would show but for noise, over the draws of the fit. That is how it is where
    everything is jointly normal; `updates` says what is left out elsewhere. With a key the first candidates and the
    batch are worked out by nested Monte Carlo too, which leaves nothing out.

    Args:
        fit: a fit of a law of loss.
        target: what is to be known: "N@1e24", "loss@N=70B,D=1.4T", "better@N=10B,D=1.7T:N=100B,D=170B" or "law".
        budget: for all runs of the batch together, FLOP.
        candidates: covariate -> (candidates,), natural units; by default a grid over D/N and compute within the budget.
        batch: the most runs there may be.
        rivals: fits of other laws, or with other noise, to the same runs, under which all is worked out too; `rival_of`
            makes one. Without any, a finding says that this was not asked.
        weights: for "law", the probabilities of the fit and of its rivals before; all the same if None.
        key: the random key of nested Monte Carlo; without one it is left out.
        at: further covariates of a law, column -> the value they are held at, for the target and where candidates do
            not say.
        levels: the level of each factor by which parameters differ, as corpus="web": of new runs and of the target.

    Raises:
        ValueError: there is no such target or level, "law" has no rivals, a rival is of other runs, or no candidate is
            within the budget.

    Source:
        Chaloner and Verdinelli 1995, doi:10.1214/ss/1177009939, for the criteria.
    """
    target = target_of(target) if isinstance(target, str) else target
    if batch < 1:
        raise ValueError(f"batch is {batch}; it is the most runs there may be, 1 or more")
    fits = (fit, *rivals)
    _check(fits, target, levels, at or {})
    shares = _shares(weights, len(fits), target)
    table = prospects.points_of(fits, budget, candidates, batch, at or {})
    views = [
        _view(
            name, one, target, table, at or {}, {by: v for by, v in levels.items() if by in one.model.factors}
        )
        for name, one in zip(names_of(fits), fits, strict=True)
    ]
    if target.kind == "law":
        scores: list[Score] = [partial(told_of_law, [view.moments for view in views], shares)]
    else:
        scores = [partial(removed, view.moments, sign=target.kind == "better") for view in views]
    cost = prospects.cost(table)
    alone = [np.array([score([i]) for i in range(len(cost))]) for score in scores]
    batches = [greedy(score, cost, budget, batch) for score in scores]
    exact: dict[tuple[int, ...], nested.Told] = {}
    if key is not None and batches[0]:  # where no run tells anything there is nothing to work out better
        first = [(int(i),) for i in np.argsort(-alone[0] / cost, kind="stable")[:CHECKED]]
        for which in dict.fromkeys([*first, batches[0]]):
            key, used = random.split(key)
            exact[which] = _exact(used, views, target, shares, which)
    names = [view.name for view in views][: len(scores)]
    return Design(
        target=target,
        budget=float(budget),
        points=prospects.told(table),
        cost=cost,
        removed=dict(zip(names, alone, strict=True)),
        batch=batches[0],
        together={name: score(batches[0]) for name, score in zip(names, scores, strict=True)},
        best={name: score(own) for name, score, own in zip(names, scores, batches, strict=True)},
        exact=exact,
        fit=fit,
        defined=views[0].defined,
        spread=float(np.sqrt(views[0].moments.variance)),
        chance=float(np.mean(views[0].values < 0)),
        trouble=tuple(
            f"{view.name}: {why}" for view, one in zip(views, fits, strict=True) for why in one.trouble
        ),
    )


def greedy(score: Score, cost: np.ndarray, budget: float, batch: int) -> tuple[int, ...]:
    """The batch of candidates that tells most within a budget, one run after the other.

    Three rules are followed, and the best of what they come to is taken: the run that adds most, the run that adds most
    for its compute, and the run that adds most of those that take an equal share of the budget.

    Args:
        score: what a batch tells.
        cost: of each candidate, (candidates,).
        budget: for all together.
        batch: the most runs there may be.

    Source:
        Leskovec et al. 2007, doi:10.1145/1281192.1281239, for taking the better of the first two.
    """
    found: list[tuple[int, ...]] = []
    for per, most in ((np.ones_like(cost), budget), (cost, budget), (np.ones_like(cost), budget / batch)):
        chosen: tuple[int, ...] = ()
        left, now = budget, 0.0
        while len(chosen) < batch:
            within = np.flatnonzero(cost <= min(left, most) * (1 + 1e-9))
            gains = np.array([score([*chosen, i]) - now for i in within.tolist()])
            if not (gains > 0).any():
                break
            best = int(within[np.argmax(gains / per[within])])
            chosen = (*chosen, best)
            left, now = left - cost[best], score(chosen)
        found.append(chosen)
    return max(found, key=score)


def rival_of(key: Array, fit: Fit, law: Law) -> Fit:
    """Another law, fitted to the runs of a fit as that was, with its noise, its shocks and what levels may differ in.

    Args:
        key: the random key.
        fit: the fit.
        law: the other law; one in one axis is put along that of the law of the fit. Levels differ in those of its
            parameters that they differ in by the fit.

    Raises:
        ValueError: the fit has no draws of a posterior, or the law does not suit it or its runs.
    """
    if fit.method not in ("nuts", "laplace"):
        raise ValueError(
            f"the fit is one of {fit.method}, and a rival is fitted as it was, with draws of a posterior; give a fit "
            "of the other law instead"
        )
    if AXIS in law.covariates:
        if not fit.model.law.columns:
            raise ValueError(f"{law.name} is a law in one axis: give it along a column, or a fit of it")
        law = law.along(next(iter(fit.model.law.columns.values())))
    shared = [(p, tuple(name for name in p.vary if name in law.parameters)) for p in fit.model.pooling]
    pooling = tuple(replace(p, vary=kept) for p, kept in shared if kept)
    return again(key, fit, fit.model.replace(law=law, pooling=pooling), fit.runs)


def names_of(fits: Sequence[Fit]) -> list[str]:
    """The fits in few words: the law, and what else tells one from another."""
    found: list[str] = []
    for fit in fits:
        model = fit.model
        effects = ", ".join(effect.by for effect in model.effects or ())
        more = (f", {model.noise.name}", f", effect of {effects}" if effects else ", no effects")
        alike = [one for one in fits if one is not fit and one.model.law.name == model.law.name]
        noises = any(one.model.noise.name != model.noise.name for one in alike)
        shocks = any(one.model.effects != model.effects for one in alike)
        name = model.law.name + (more[0] if noises else "") + (more[1] if shocks else "")
        found.append(name if name not in found else f"{name} ({len(found) + 1})")
    return found


def _check(fits: Sequence[Fit], target: Target, levels: Mapping[str, str], at: Mapping[str, float]) -> None:
    if target.kind == "law" and len(fits) < 2:
        raise ValueError("which law is right is a question to several fits; give rivals")
    for one in fits:
        if one.model.law.response != "loss":
            raise ValueError(
                f"law {one.model.law.name} is of {one.model.law.response}; a design is of losses"
            )
        if one.runs.measured != fits[0].runs.measured:
            raise ValueError(
                f"{one.model.law.name} was fitted to other runs than {fits[0].model.law.name}; a rival is a fit to the "
                "same"
            )
        one.require({by: level for by, level in levels.items() if by in one.model.factors})
    axes = {c for one in fits for c in meant(one.model)}
    if target.kind != "optimum" and (unknown := {c for point in target.at for c in point} - axes):
        raise ValueError(f"no law is in {sorted(unknown)[0]}; leave it out of the target {target.name}")
    covariates = {c for one in fits for c in (*one.model.law.covariates, *one.model.noise.covariates)}
    if unknown := set(at) - covariates:
        raise ValueError(
            f"{sorted(unknown)[0]} cannot be held; the laws are in {', '.join(sorted(covariates))}"
        )
    factors = {by for one in fits for by in one.model.factors}
    if unknown := set(levels) - factors:
        known = ", ".join(sorted(factors)) or "no factor"
        raise ValueError(f"nothing differs by {sorted(unknown)[0]}; the models have {known}")


def _shares(weights: Sequence[float] | None, count: int, target: Target) -> np.ndarray:
    if weights is not None and target.kind != "law":
        raise ValueError(f"weights are of laws, and the target is {target.name}; leave them out")
    shares = np.full(count, 1 / count) if weights is None else np.asarray(weights, float)
    if len(shares) != count or not (np.isfinite(shares) & (shares > 0)).all():
        raise ValueError(
            f"weights are {shares.tolist()}; they are the probabilities of {count} fits, all positive"
        )
    return shares / shares.sum()


def _view(
    name: str, fit: Fit, target: Target, table: Runs, at: Mapping[str, float], levels: dict[str, str]
) -> View:
    own = {by: level for by, level in levels.items() if by in {p.by for p in fit.model.pooling}}
    held = {c: v for c, v in at.items() if c in fit.model.law.covariates}
    if target.kind in ("loss", "better"):  # each law is asked at the covariates that it is in
        points = [{c: v for c, v in point.items() if c in meant(fit.model)} for point in target.at]
        target = replace(target, at=tuple(points))
    values = np.zeros(len(fit)) if target.kind == "law" else target.draws(fit, at=held, **own)
    there = np.isfinite(values)
    if there.sum() < ENOUGH:
        raise ValueError(
            f"{target.name} is a number in {there.sum()} of {len(there)} draws of {name}, and a design needs {ENOUGH}; "
            "take a fit with more draws, or another target"
        )
    if target.kind != "law" and np.ptp(values[there]) == 0:
        raise ValueError(
            f"{target.name} is the same in every draw of {name}; there is nothing to be learned of it"
        )
    if not there.all():
        flat = {site: fit.flat(site)[there][None] for site in fit.draws}
        fit, values = fit.replace(draws=flat), values[there]
    points = prospects.measured(fit, table)
    shown, shared = prospects.shown(fit, points, levels), prospects.shared(fit, points, levels)
    spread = np.sqrt(shown.var(axis=0) + np.diagonal(shared))
    own_variance = prospects.own_variance(fit, points, levels, spread)
    moments = joint(values, shown, shared, own_variance)
    return View(name, fit, points, levels, values, moments, float(there.mean()))


def _exact(
    key: Array, views: Sequence[View], target: Target, shares: np.ndarray, batch: Sequence[int]
) -> nested.Told:
    runs = [prospects.chosen(view.points, batch) for view in views]
    if target.kind == "law":
        fits, levels = [view.fit for view in views], [view.levels for view in views]
        return nested.of_laws(key, fits, shares, runs, levels, OUTCOMES)
    own = views[0]
    found = nested.outcomes(key, own.fit, runs[0], own.levels, OUTCOMES)
    return nested.of_values(own.values, found, sign=target.kind == "better")
