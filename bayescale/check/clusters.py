"""Whether what a fit leaves of its runs hangs together by run, model or size."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, random
from numpyro.distributions import biject_to
from scipy.special import ndtri

from bayescale import parallel
from bayescale.check.finding import Finding
from bayescale.check.residuals import residuals
from bayescale.columns import grouping
from bayescale.factors import sizes
from bayescale.fit import Fit
from bayescale.infer.nuts import nuts
from bayescale.infer.objective import Objective
from bayescale.infer.optimize import laplace, optimize, point
from bayescale.infer.plan import plan_of
from bayescale.infer.point import Point
from bayescale.infer.refit import minima
from bayescale.infer.resample import Resampling
from bayescale.model import EFFECTS, Model, repeated
from bayescale.runs import Runs

CHANCE = 0.01  # the probability that runs that share nothing look as if they did
ORDERS = 999  # in which the runs are put, for that probability
BETWEEN = 0.5  # of the variance within groups, that between them
WIDER = 1.3  # the bootstrap by groups than the posterior
GROUPS = 12  # with fewer, resampling groups is no bootstrap, and Webb's signs are
REPLICATES = 1024  # a standard error to 2%
DRAWS = 100  # with fewer, a posterior has no width to compare with
ENDED = 0.9  # of the replicates: with fewer, those that did are no sample
ADDED = "; it was added for shocks that the residuals call for"  # a note of a factor that the table had not
MIDDLE = (0.16, 0.84)  # between these quantiles lie two standard deviations of a normal distribution


class Hang(NamedTuple):
    """How the residuals of a fit hang together.

    Attributes:
        by: the factor whose levels hang together.
        between: the variance between its levels, over that within.
        chance: how often that much is seen where runs are put in any order.
        wider: how many times as far parameters scatter, resampled by it, as the posterior says; nan where not asked.
    """

    by: str
    between: float
    chance: float
    wider: float = float("nan")

    def finding(self, severity: str, action: str) -> Finding:
        """CLUSTER, for this factor."""
        known = np.isfinite(self.wider)
        resampled = f"; resampled by {self.by}, parameters scatter {self.wider:.1f} times as far as the posterior says"
        return Finding(
            "CLUSTER",
            severity,
            f"runs of one {self.by} hang together: between levels of {self.by} the variance of the residuals is "
            f"{self.between:.2g} times that within{resampled if known else ''}",
            self.wider if known else self.between,
            action,
        )


def clusters(key: Array, fit: Fit) -> list[Finding]:
    """The factors of which runs of one level hang together more than the model of a fit allows for."""
    found = []
    for one in hanging_together(key, fit):
        factor = "" if one.by in fit.runs.factors else f"--factor {one.by} "
        say = f"Let the runs of one {one.by} share a shock ({factor}--effect {one.by})"
        found.append(one.finding("severe", say))
    return found


def again(key: Array, fit: Fit, model: Model, runs: Runs) -> Fit:
    """Another model of a table, fitted as a fit was."""
    if fit.method == "laplace":
        return laplace(key, model, runs, draws=len(fit))
    if fit.method != "nuts":
        return optimize(key, model, runs)
    chains, draws = next(iter(fit.draws.values())).shape[:2]
    second = fit.stats["attempt"] > 1  # which took twice as many
    return nuts(
        key,
        model,
        runs,
        chains=chains,
        draws=draws // 2 if second else draws,
        warmup=fit.stats["warmup"] // 2 if second else fit.stats["warmup"],
        target=fit.stats["target"],
        depth=fit.stats["depth"],
    )


# ---- What hangs together


def hanging_together(key: Array, fit: Fit) -> list[Hang]:
    """The factors whose levels hang together by more than chance, and by so much that the posterior is too narrow."""
    found, runs = [], grouped(fit.runs)
    for number, by in enumerate(_untold(fit, runs)):
        own = random.fold_in(key, number)
        one = hanging(own, fit, runs, by)
        # A bootstrap takes seconds, and is asked only where there is something to ask about.
        if one is not None and one.chance <= CHANCE:
            one = one._replace(wider=times_wider(own, fit, runs, by))
            if one.between > BETWEEN or one.wider > WIDER:
                found.append(one)
    return found


def grouped(runs: Runs) -> Runs:
    """The table with the groups of one size, where it has none and sizes repeat."""
    if "size" in runs.factors or "N" not in runs.columns:
        return runs
    (index, names), note = sizes(np.asarray(runs.columns["N"], float))
    return runs.replace(
        factors={**runs.factors, "size": index},
        levels={**runs.levels, "size": names},
        notes=(*runs.notes, f"{note}{ADDED}"),
    )


def _untold(fit: Fit, runs: Runs) -> list[str]:
    """The factors whose levels repeat and share nothing in the model, each grouping once."""
    own = {one.by for one in (*fit.model.pooling, *(fit.model.effects or ()))}
    by_custom = [effect.by for effect in repeated(runs)]
    by_custom += [by for by in runs.factors if grouping(by) in EFFECTS and by not in EFFECTS]
    return [by for by in by_custom if by not in own]


def hanging(key: Array, fit: Fit, runs: Runs, by: str) -> Hang | None:
    """How what the law leaves of runs hangs together by a factor; None where too few levels have several runs.

    Where the model has shocks already, what is grouped are the levels of those, each by the mean of its runs.
    """
    left = residuals(fit, shocks=True)
    if left is None:
        return None
    there = np.asarray(runs.weight) > 0
    shocks = [np.asarray(runs.factors[e.by])[there] for e in fit.model.effects or ()]
    group = np.asarray(runs.factors[by])[there]
    if shocks:
        _, first, unit = np.unique(np.stack([*shocks, group]), axis=1, return_index=True, return_inverse=True)
        value = np.bincount(unit, left[there]) / np.bincount(unit)
        group = group[first]
    else:
        value = left[there]
    _, group, counts = np.unique(group, return_inverse=True, return_counts=True)
    if (counts > 1).sum() < 3 or (counts[group] > 1).mean() < 0.5:
        return None
    # Ranks as normal scores: a run far off does not decide what groups do.
    score = ndtri((np.argsort(np.argsort(value)) + 1) / (len(value) + 1))
    seen = _apart(score, group, counts)
    generator = np.random.default_rng(np.asarray(random.key_data(key)))
    more = sum(_apart(generator.permutation(score), group, counts) >= seen for _ in range(ORDERS))
    return Hang(by, _between(score, group, counts), (1 + more) / (1 + ORDERS))


def _apart(score: np.ndarray, group: np.ndarray, counts: np.ndarray) -> float:
    """The sum of squares of the means of groups."""
    return float(np.sum(np.bincount(group, score) ** 2 / counts))


def _between(score: np.ndarray, group: np.ndarray, counts: np.ndarray) -> float:
    """The variance between groups over that within, by one-way analysis of variance with unequal groups."""
    means = np.bincount(group, score) / counts
    total, groups = len(score), len(counts)
    within = np.sum((score - means[group]) ** 2) / (total - groups)
    among = np.sum(counts * (means - score.mean()) ** 2) / (groups - 1)
    size = (total - np.sum(counts**2) / total) / (groups - 1)
    return float(max(among - within, 0) / size / within)


def times_wider(key: Array, fit: Fit, runs: Runs, by: str) -> float:
    """How many times as far the parameters of a law scatter, resampled by a factor, as a posterior says; the median.

    nan where the fit is a point, or replicates do not come to an end. It is the bootstrap of `bayescale.bootstrap` with
    the priors, but for the starts: replicates begin at the mode alone, which is a fifth of what is compiled.
    """
    if len(fit) < DRAWS:
        return float("nan")
    alone = fit.model.replace(effects=())
    with parallel.workbench():
        objective = Objective.of(alone, runs, priors=True)
        found = point(key, objective, alone, runs)
        changes = _resampled(key, objective, found, runs, by)
        start = jnp.broadcast_to(jnp.asarray(found.position), (REPLICATES, len(found.position)))
        ends = jax.device_get(
            minima(objective, start, jnp.asarray(found.bases[-1]), runs, changes, mixed=False)
        )
        if ends.converged.mean() < ENDED:
            return float("nan")
        ratios = []
        for name in alone.law.parameters:
            place = int(np.flatnonzero(objective.places == objective.density.place(name))[0])
            inverse = biject_to(alone.law.priors[name].support).inv
            posterior = np.asarray(inverse(jnp.asarray(fit.flat(name))))
            wide, narrow = (
                float(np.diff(np.quantile(values, MIDDLE))[0])
                for values in (ends.position[ends.converged, place], posterior)
            )
            ratios.append(wide / narrow)
    return float(np.median(ratios))


def _resampled(key: Array, objective: Objective, found: Point, runs: Runs, by: str) -> dict[str, Array]:
    """The weights, or with few levels the responses, of replicates resampled by a factor, (replicates, runs)."""
    few = len(np.unique(np.asarray(runs.factors[by]))) < GROUPS
    wild = few and objective.density.model.noise.residuals is not None
    resampling = Resampling("wild", (by,), "webb") if wild else Resampling(cluster=(by,))
    plan = plan_of(objective, found.position[None], found.bases, runs, resampling.units(runs))

    def one(key: Array) -> dict[str, Array]:
        return resampling.changes(key, runs, plan.about, objective.density.model)

    return jax.vmap(one)(random.split(key, REPLICATES))
