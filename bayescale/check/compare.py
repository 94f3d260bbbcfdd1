"""Laws side by side: which one the runs speak for, by how much, and whether that holds for the middle of them too."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jax import Array, random
from scipy.special import logsumexp

from bayescale.check.findings import Finding, sorted_by_severity
from bayescale.check.relevance import DECISIVE
from bayescale.check.sensitivity import covariate, inner
from bayescale.infer.evidence import Evidence, log_evidence
from bayescale.infer.nuts import nuts
from bayescale.infer.optimize import optimize
from bayescale.law import Law
from bayescale.model import Model
from bayescale.models import load
from bayescale.runs import Runs

ERRORS = 2.0  # standard errors: a difference of fewer is none, as is one that is not decisive
SUPPORT = ("D/N", "C", "N", "D")  # a tenth of the runs is cut at both ends of each
SHARE = 0.1
Report = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Candidate:
    """A model, and what the runs say of it.

    Attributes:
        name: what tells it from the others.
        evidence: the log marginal likelihood, with the fit it is of.
        log_likelihood: the greatest, in nats; None where levels have deviations, of which there is none.
        size: how many parameters law and noise have.
    """

    name: str
    evidence: Evidence
    log_likelihood: float | None
    size: int

    @property
    def aic(self) -> float | None:
        """Akaike's information criterion, for reference."""
        return None if self.log_likelihood is None else 2 * self.size - 2 * self.log_likelihood

    @property
    def bic(self) -> float | None:
        """Schwarz's information criterion, for reference."""
        if self.log_likelihood is None:
            return None
        runs = float(np.sum(self.evidence.fit.runs.weight))
        return self.size * float(np.log(runs)) - 2 * self.log_likelihood


@dataclass(frozen=True, eq=False)
class Comparison:
    """Candidates for one table, the best first.

    Attributes:
        candidates: the models, by evidence.
        null: the name of the one in which nothing matters.
        support: what was left out -> the candidates for the other runs, by evidence.
    """

    candidates: tuple[Candidate, ...]
    null: str
    support: Mapping[str, tuple[Candidate, ...]]

    def __getitem__(self, name: str) -> Candidate:
        """The candidate of that name."""
        found = {one.name: one for one in self.candidates}
        if name not in found:
            raise KeyError(f"there is no candidate {name!r}; there are {', '.join(found)}")
        return found[name]

    @cached_property
    def probabilities(self) -> dict[str, float]:
        """The posterior probability of each candidate, all of them as likely before; nothing where one is in doubt."""
        if self.trouble:
            return {}
        logs = np.array([one.evidence.value for one in self.candidates])
        return {
            one.name: float(p) for one, p in zip(self.candidates, np.exp(logs - logsumexp(logs)), strict=True)
        }

    @property
    def trouble(self) -> tuple[str, ...]:
        """Why there are no Bayes factors, in words; empty where there are."""
        return tuple(f"{one.name}: {why}" for one in self.candidates for why in one.evidence.trouble)

    def log_bayes_factor(self, one: str, other: str) -> tuple[float, float]:
        """By how many nats the evidence of one candidate exceeds that of another, and the standard error.

        Raises:
            KeyError: there is no such candidate.
            ValueError: one of both evidences is in doubt.
        """
        first, second = self[one].evidence, self[other].evidence
        if trouble := (*first.trouble, *second.trouble):
            raise ValueError(f"there is no Bayes factor of {one} and {other}: {trouble[0]}")
        return first.value - second.value, float(np.hypot(first.error, second.error))

    @cached_property
    def best(self) -> tuple[str, ...]:
        """The names of those that are not told from the best; more than one where none is the best."""
        return tied(self.candidates)

    @property
    def verdict(self) -> str:
        """One sentence: which law, if any, and the probabilities behind it."""
        if self.trouble:
            return f"No verdict: {self.trouble[0]}"
        names = ", ".join(f"{name} ({self.probabilities[name]:.2g})" for name in self.best)
        if self.null in self.best:
            return (
                f"No evidence of a law: {self.null} has the probability {self.probabilities[self.null]:.2g}"
            )
        if any(one.code == "SUPPORT" for one in self.findings):
            return f"Inconsistent: {names} by all runs, but not by the middle of them"
        best, *others = self.best
        if others:
            return f"A law, but which one is not told: {names}"
        lead, error = self.log_bayes_factor(best, self.candidates[1].name)
        return (
            f"A consistent law: {names}, {lead:.1f} nats (error {error:.2g}) before {self.candidates[1].name}"
        )

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """What there is to say of the comparison, the most severe first."""
        return sorted_by_severity([*self._doubted(), *self._flipped(), *self._by_prior()])

    def _doubted(self):
        for trouble in self.trouble:
            yield Finding(
                "EVIDENCE",
                "severe",
                f"the evidence of {trouble}",
                float(len(self.trouble)),
                "Take no Bayes factor from it; draw longer, or give priors or runs that narrow the posterior",
            )

    def _flipped(self):
        if self.trouble:
            return
        for left_out, others in self.support.items():
            if any(one.evidence.trouble for one in others):
                yield Finding(
                    "SUPPORT_UNKNOWN",
                    "warning",
                    f"without {left_out} the evidence is in doubt, so that nothing is known of the others",
                    float(len(others)),
                    "Compare again with more draws",
                )
                continue
            now = tied(others)
            if set(now) == set(self.best):
                continue
            lead, flips = _lead(others, self.best[0]), not set(now) & set(self.best)
            yield Finding(
                "SUPPORT" if flips else "SUPPORT_WEAK",
                "warning" if flips else "note",
                f"all runs speak for {' or '.join(self.best)}, and without {left_out} they speak for "
                f"{' or '.join(now)}: there {self.best[0]} is {lead:+.1f} nats from the best other",
                lead,
                "Trust the choice of the law only where runs like yours decide it"
                if flips
                else "It is the runs at the ends that decide",
            )

    def _by_prior(self):
        if self.trouble or len(self.candidates) < 2:
            return
        first, second = (one.evidence for one in self.candidates[:2])
        lead = first.value - second.value
        for block in dict.fromkeys([*first.sensitivity, *second.sensitivity]):
            for i, said in enumerate(("halved", "doubled")):
                changes = [
                    of.sensitivity[block][i].value if block in of.sensitivity else 0.0
                    for of in (first, second)
                ]
                if lead > DECISIVE and lead + changes[0] - changes[1] < 0:
                    yield Finding(
                        "PRIOR_SENSITIVE",
                        "warning",
                        f"with the scale of the prior of {', '.join(block)} {said}, {self.candidates[1].name} "
                        f"overtakes {self.candidates[0].name}",
                        lead + changes[0] - changes[1],
                        "Say why the prior is as wide as it is, or call them undecided",
                    )


def tied(candidates: Sequence[Candidate]) -> tuple[str, ...]:
    """The names of those that are not told from the best, by evidence, the best first."""
    best = max(candidates, key=lambda one: one.evidence.value)
    found = [best.name]
    for one in candidates:
        behind = best.evidence.value - one.evidence.value
        error = np.hypot(best.evidence.error, one.evidence.error)
        if one is not best and behind <= max(DECISIVE, ERRORS * error):
            found.append(one.name)
    return tuple(found)


def _lead(candidates: Sequence[Candidate], name: str) -> float:
    own = next(one.evidence.value for one in candidates if one.name == name)
    return own - max(one.evidence.value for one in candidates if one.name != name)


def compare(
    key: Array,
    runs: Runs,
    models: Sequence[Model],
    *,
    null: Law | None = None,
    support: Mapping[str, float] | None = None,
    report: Report | None = None,
    **sampler: Any,
) -> Comparison:
    """Models side by side by the evidence of a table, with what the middle of the table says.

    Args:
        key: the random key.
        runs: the table.
        models: the models: laws, noises, pooling and effects may all differ.
        null: the law of no law, which is compared with the noise and the effects of the first model; the constant of
            `bayescale.models`, if None.
        support: covariate, or ratio such as "D/N" -> the share of the runs that is left out at either end, and the
            comparison done again; a tenth by D/N, C, N and D where the table has them, if None.
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
    every = [one.specialise(runs) for one in every]
    names = names_of(every)
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"two models are {sorted(twice)[0]}; leave one of them out")
    cuts = default_support(runs) if support is None else support
    tables = {
        f"a share of {share:g} at both ends of {by}": inner(runs, by, share) for by, share in cuts.items()
    }
    key_whole, *keys = random.split(key, 1 + len(tables))

    def candidates(key: Array, table: Runs, said: str) -> tuple[Candidate, ...]:
        found = []
        for number, (name, model) in enumerate(zip(names, every, strict=True)):
            if report is not None:
                report(f"{name}{said}")
            own = random.fold_in(key, number)
            fit = nuts(random.fold_in(own, 0), model, table, **sampler)
            evidence = log_evidence(random.fold_in(own, 1), fit)
            size = len(model.priors)
            found.append(Candidate(name, evidence, _greatest(random.fold_in(own, 2), model, table), size))
        return tuple(sorted(found, key=lambda one: -one.evidence.value))

    whole = candidates(key_whole, runs, "")
    # Runs that are left out have the weight 0: reference run, unit and priors stay, and nothing is compiled anew.
    parts = {
        left_out: candidates(k, runs.replace(weight=np.asarray(runs.weight) * kept), f", without {left_out}")
        for k, (left_out, kept) in zip(keys, tables.items(), strict=True)
    }
    return Comparison(
        whole, next(n for n, m in zip(names, every, strict=True) if m.law.name == null.name), parts
    )


def _greatest(key: Array, model: Model, runs: Runs) -> float | None:
    """The greatest log likelihood; None where there is none, or no start reached it."""
    if model.factors:
        return None
    fit = optimize(key, model, runs, priors=False)
    return float(fit.stats["log_density"]) if np.isfinite(fit.stats["log_density"]) else None


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
    return {by: SHARE for by in there if np.ptp(covariate(runs, by)) > 0}
