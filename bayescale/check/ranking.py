"""Candidates for one table, ranked by evidence; those whose evidence is in doubt cost only their own Bayes factors."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import logsumexp

from bayescale.check.loo import Predictive
from bayescale.check.relevance import DECISIVE
from bayescale.infer.evidence import Evidence

ERRORS = 2.0  # standard errors: a difference of fewer is none, as is one that is not decisive
BEHIND = (
    10.0  # nats, and as many times as far as its estimates are apart: more, and doubt cannot make up for it
)


@dataclass(frozen=True, eq=False)
class Candidate:
    """A model, and what the runs say of it.

    Attributes:
        name: what tells it from the others.
        evidence: the log marginal likelihood, with the fit it is of.
        log_likelihood: the greatest, in nats; None where levels have deviations, of which there is none.
        size: how many parameters law and noise have.
        predictive: what was left out -> the log predictive densities: "run", a factor, "future".
    """

    name: str
    evidence: Evidence
    log_likelihood: float | None
    size: int
    predictive: dict[str, Predictive]

    @property
    def trouble(self) -> tuple[str, ...]:
        """Why it has no Bayes factors, in words."""
        return self.evidence.trouble

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
class Ranking:
    """Candidates, those without trouble first, by evidence.

    Attributes:
        candidates: the models.
    """

    candidates: tuple[Candidate, ...]

    def __post_init__(self):
        ranked = sorted(self.candidates, key=lambda one: (bool(one.trouble), -one.evidence.value))
        object.__setattr__(self, "candidates", tuple(ranked))

    @cached_property
    def sound(self) -> tuple[Candidate, ...]:
        """Those whose evidence is not in doubt."""
        return tuple(one for one in self.candidates if not one.trouble)

    @cached_property
    def open(self) -> tuple[Candidate, ...]:
        """Those in doubt that might yet be the best: not so far behind that no doubt could make up for it."""
        if not self.sound:
            return self.candidates
        best = self.sound[0].evidence.value
        return tuple(one for one in self.candidates if one.trouble and best - _most(one) < BEHIND)

    @cached_property
    def probabilities(self) -> dict[str, float]:
        """The posterior probability of each sound candidate, all as likely before; nothing while others are open."""
        if self.open:
            return {}
        logs = np.array([one.evidence.value for one in self.sound])
        return {one.name: float(p) for one, p in zip(self.sound, np.exp(logs - logsumexp(logs)), strict=True)}

    @cached_property
    def best(self) -> tuple[str, ...]:
        """The names of the sound ones that are not told from the best; more than one where none is the best."""
        if not self.sound:
            return ()
        first, *others = (one.evidence for one in self.sound)
        found = [self.sound[0].name]
        for one, candidate in zip(others, self.sound[1:], strict=True):
            if first.value - one.value <= max(DECISIVE, ERRORS * np.hypot(first.error, one.error)):
                found.append(candidate.name)
        return tuple(found)

    def lead(self, name: str) -> float:
        """By how many nats a sound candidate exceeds the best of the others; nan where it is not sound or alone."""
        own = [one.evidence.value for one in self.sound if one.name == name]
        others = [one.evidence.value for one in self.sound if one.name != name]
        return own[0] - max(others) if own and others else float("nan")


def _most(one: Candidate) -> float:
    """The most that an evidence in doubt can be believed to be."""
    both = one.evidence.bridge.value, one.evidence.importance.value
    if not np.isfinite(both).all():
        return np.inf
    return max(both) + BEHIND * abs(both[0] - both[1])
