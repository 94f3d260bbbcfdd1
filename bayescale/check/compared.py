"""What a comparison of models says: probabilities, Bayes factors, predictions, findings and a verdict."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
from jax import Array, random

from bayescale.check.as_data import of_comparison
from bayescale.check.finding import Finding, sorted_by_severity
from bayescale.check.findings import findings as findings_of_fit
from bayescale.check.loo import said_of, stacking
from bayescale.check.ranking import Candidate, Ranking
from bayescale.check.relevance import DECISIVE
from bayescale.forecast import meant

Weights = Literal["evidence", "stacking"]
UNITS = 6  # left out one by one: with fewer the error of a difference is not told


@dataclass(frozen=True, eq=False)
class Comparison:
    """Models for one table.

    Attributes:
        whole: the candidates by all runs.
        null: the name of the one in which nothing matters.
        support: what was left out -> the candidates by the other runs.
    """

    whole: Ranking
    null: str
    support: Mapping[str, Ranking]

    def __getitem__(self, name: str) -> Candidate:
        """The candidate of that name."""
        found = {one.name: one for one in self.candidates}
        if name not in found:
            raise KeyError(f"there is no candidate {name!r}; there are {', '.join(found)}")
        return found[name]

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """The models, by evidence; those in doubt come last."""
        return self.whole.candidates

    @property
    def probabilities(self) -> dict[str, float]:
        """The posterior probability of each candidate that is not in doubt, all of them as likely before."""
        return self.whole.probabilities

    @property
    def best(self) -> tuple[str, ...]:
        """The names of those that are not told from the best; more than one where none is the best."""
        return self.whole.best

    @property
    def trouble(self) -> tuple[str, ...]:
        """Why there is no verdict, in words; empty where there is one."""
        return tuple(f"{one.name}: {why}" for one in self.whole.open for why in one.trouble)

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

    # ---- Predictions

    @cached_property
    def stacking(self) -> dict[str, float]:
        """The weight of each candidate with which their predictions, mixed, do best on runs left out.

        Those in doubt have none, nor those whose densities are: a Pareto-k above 0.7.
        """
        held = {one.name: one.predictive["run"] for one in self.whole.sound if "run" in one.predictive}
        held = {name: one for name, one in held.items() if not one.doubtful}
        return dict(zip(held, stacking(list(held.values())).tolist(), strict=True)) if held else {}

    def predict(
        self,
        key: Array,
        points: Mapping[str, npt.ArrayLike],
        *,
        weights: Weights = "evidence",
        kind: str = "mean",
        **levels: str,
    ) -> np.ndarray:
        """What the candidates predict together, (draws, points): draws of each, as many as its weight.

        Args:
            key: the random key.
            points: covariate -> (points,), natural units, all that any of the candidates needs.
            weights: "evidence", the posterior probabilities; "stacking", what does best on runs left out.
            kind: as in `Fit.predict`.
            levels: as in `Fit.predict`; a candidate whose parameters do not differ by a factor does without it.

        Raises:
            ValueError: there are no such weights, a covariate is missing, or a level is.
        """
        if weights not in get_args(Weights):
            raise ValueError(f"weights is {weights!r}; it is one of {', '.join(get_args(Weights))}")
        factors = {by for one in self.candidates for by in one.evidence.fit.model.factors}
        if unknown := set(levels) - factors:
            raise ValueError(f"nothing differs by {sorted(unknown)[0]} in any of the models")
        axes = {c for one in self.candidates for c in meant(one.evidence.fit.model)}
        if unknown := set(points) - axes:
            raise ValueError(f"none of the models is in {sorted(unknown)[0]}; leave it out")
        weight = self.probabilities if weights == "evidence" else self.stacking
        if not weight:
            why = (
                self.trouble[0]
                if weights == "evidence"
                else "no run was left out, or all of that is in doubt"
            )
            raise ValueError(f"there are no weights by {weights}: {why}")
        count = len(self.candidates[0].evidence.fit)
        key_count, *keys = random.split(key, 1 + len(weight))
        rng = np.random.default_rng(np.asarray(random.key_data(key_count)))
        taken = rng.multinomial(count, np.array(list(weight.values())) / sum(weight.values()))
        # A constant is a function of nothing, at as many points as the others.
        many_points = np.ones(np.broadcast_shapes(*(np.shape(v) for v in points.values())))
        parts = []
        for own, name, many in zip(keys, weight, taken, strict=True):
            if many:
                fit = self[name].evidence.fit
                known = {by: level for by, level in levels.items() if by in fit.model.factors}
                own_points = {c: v for c, v in points.items() if c in meant(fit.model)} or {
                    "trials": many_points
                }
                drawn = fit.predict(own_points, kind=kind, key=own, **known)
                parts.append(drawn[rng.choice(len(drawn), many, replace=many > len(drawn))])
        return np.concatenate(parts)

    # ---- Words

    @property
    def verdict(self) -> str:
        """One sentence: which law, if any, and the probabilities behind it."""
        if self.trouble:
            return f"No verdict: {self.trouble[0]}"
        names = ", ".join(f"{name} (probability {_share(self.probabilities[name])})" for name in self.best)
        if self.null in self.best:
            return f"No evidence of a law: {self.null} has the probability {_share(self.probabilities[self.null])}"
        codes = {one.code for one in self.findings}
        if "SUPPORT" in codes:
            return f"Inconsistent: {names} by all runs, but not by the middle of them"
        if "PREDICTS_WORSE" in codes:
            return f"Inconsistent: {names} by the evidence, but another predicts better what it is not shown"
        best, *others = self.best
        if others:
            return f"A law, but which one is not told: {names}"
        if len(self.whole.sound) < 2:
            return f"No verdict: there is nothing sound to compare {best} with"
        second = self.whole.sound[1].name
        lead, error = self.log_bayes_factor(best, second)
        said = f"{names}, {lead:.1f} nats (error {error:.2g}) before {second}"
        if codes & {"PRIOR_SENSITIVE", "SUPPORT_UNKNOWN"}:
            return f"A law, but see the findings: {said}"
        return f"A consistent law: {said}" if self.support else f"A law, by all runs: {said}"

    def to_dict(self) -> dict[str, Any]:
        """The comparison as plain values, for JSON; numbers may be nan or infinite."""
        return of_comparison(self)

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """What there is to say of the comparison, the most severe first."""
        found = [
            *self._doubted(),
            *self._flipped(),
            *self._by_prior(),
            *self._at_odds(),
            *self._not_told(),
            *self._of_the_best(),
        ]
        return sorted_by_severity(found)

    def _doubted(self):
        for one in self.candidates:
            for why in one.trouble:
                lost = one in self.whole.open
                behind = "" if lost else "; it is too far behind for that to matter"
                yield Finding(
                    "EVIDENCE",
                    "severe" if lost else "note",
                    f"the evidence of {one.name}: {why}{behind}",
                    float(len(one.trouble)),
                    "Take no Bayes factor from it; draw longer, or give priors or runs that narrow the posterior",
                )

    def _flipped(self):
        if self.trouble:
            return
        for left_out, others in self.support.items():
            if others.open:
                yield Finding(
                    "SUPPORT_UNKNOWN",
                    "warning",
                    f"without {left_out} the evidence of {others.open[0].name} is in doubt, so that nothing is known "
                    "of the others",
                    float(len(others.open)),
                    "Compare again with more draws",
                )
                continue
            if set(others.best) == set(self.best):
                continue
            lead, flips = others.lead(self.best[0]), not set(others.best) & set(self.best)
            apart = (
                f"is {abs(lead):.1f} nats {'before' if lead > 0 else 'behind'} the best other"
                if np.isfinite(lead)
                else "is in doubt, far behind"
            )
            yield Finding(
                "SUPPORT" if flips else "SUPPORT_WEAK",
                "warning" if flips else "note",
                f"all runs speak for {' or '.join(self.best)}, and without {left_out} they speak for "
                f"{' or '.join(others.best)}: there {self.best[0]} {apart}",
                lead,
                "Trust the choice of the law only where runs like yours decide it"
                if flips
                else "It is the runs at the ends that decide",
            )

    def _by_prior(self):
        if self.trouble or len(self.whole.sound) < 2:
            return
        first, second = (one.evidence for one in self.whole.sound[:2])
        names = [one.name for one in self.whole.sound[:2]]
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
                        f"with the scale of the prior of {', '.join(block)} {said}, {names[1]} overtakes {names[0]}",
                        lead + changes[0] - changes[1],
                        "Say why the prior is as wide as it is, or call them undecided",
                    )

    def _at_odds(self):
        """Where what predicts best is not what the evidence is for, by more than twice the error."""
        if self.trouble:
            return
        best = self[self.best[0]]
        for unit, own in best.predictive.items():
            for one in self.whole.sound:
                ahead, error = one.predictive[unit].less(own)
                told = len(own.pointwise) >= UNITS and not own.doubtful + one.predictive[unit].doubtful
                if one.name not in self.best and told and ahead > max(2 * error, DECISIVE):
                    yield Finding(
                        "PREDICTS_WORSE",
                        "warning",
                        f"{best.name} has the evidence, but {one.name} predicts {said_of(unit)} better, by {ahead:.1f} "
                        f"nats (error {error:.1f})",
                        ahead,
                        f"For forecasts weigh {one.name}, or take the stacking weights",
                    )

    def _not_told(self):
        """Where densities of what was left out are not to be believed."""
        for unit in self.candidates[0].predictive:
            every = {one.name: one.predictive[unit] for one in self.candidates}
            said = [
                f"of {name} for {own.doubtful} of {len(own.pointwise)} ({(*own.trouble, 'Pareto-k above 0.7')[0]})"
                for name, own in every.items()
                if own.doubtful
            ]
            if said:
                yield Finding(
                    "LEFT_OUT_DOUBTFUL",
                    "note",
                    f"the densities of {said_of(unit)} are in doubt, those {'; '.join(said)}",
                    float(sum(own.doubtful for own in every.values())),
                    "Take no difference from them",
                )

    def _of_the_best(self):
        """What there is to say of the fits that the runs speak for."""
        for name in self.best:
            for one in findings_of_fit(self[name].evidence.fit):
                yield Finding(one.code, one.severity, f"{name}: {one.message}", one.number, one.action)


def _share(probability: float) -> str:
    return "above 0.99" if probability > 0.99 else f"{probability:.2g}"
