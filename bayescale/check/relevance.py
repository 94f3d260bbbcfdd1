"""Whether a covariate matters once others are known: the number of GPUs at fixed compute should not."""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from jax import Array, random
from numpyro.distributions import Distribution

from bayescale.check.as_data import of_relevance
from bayescale.check.finding import Finding
from bayescale.infer.evidence import Evidence, log_evidence
from bayescale.infer.nuts import nuts
from bayescale.law import Law, irrelevant
from bayescale.model import Model
from bayescale.runs import Runs

DECISIVE = float(np.log(3))  # nats; less is not worth more than a bare mention, Kass and Raftery 1995
TRACKS = 0.7  # the correlation, given the law, beyond which one covariate may stand for another
LARGE = 50.0  # nats: what is said of more, and can be written as a number
OWN = 0.05  # the share of its variance that a covariate must have for itself


@dataclass(frozen=True, eq=False)
class Relevance:
    """What a table says of a covariate that a law does without.

    Attributes:
        covariate: its name.
        without: the evidence for the law.
        within: the evidence for the law times exp(gamma x), x the logarithm of the covariate.
        own: the share of the variance of the covariate that does not follow those of the law.
        tracked: what the covariate may stand for, column -> correlation, given the covariates of the law.
    """

    covariate: str
    without: Evidence
    within: Evidence
    own: float
    tracked: dict[str, float]

    @property
    def log_bayes_factor(self) -> tuple[float, float]:
        """By how many nats the runs speak for the covariate, and the standard error.

        Raises:
            ValueError: an evidence is in doubt, or the covariate may stand for another.
        """
        if self.findings:
            raise ValueError(f"there is no Bayes factor for {self.covariate}: {self.findings[0].message}")
        return self.within.value - self.without.value, float(np.hypot(self.within.error, self.without.error))

    @cached_property
    def gamma(self) -> tuple[float, float, float]:
        """5%, 50% and 95% of the exponent of the covariate."""
        draws = self.within.fit.flat(f"gamma_{self.covariate}")
        low, middle, high = np.quantile(draws, (0.05, 0.5, 0.95)).tolist()
        return low, middle, high

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """Why there is no verdict; empty where there is one."""
        held = " and ".join(self.without.fit.model.law.covariates)
        found = [
            Finding(
                "CONFOUNDED",
                "severe",
                f"{self.covariate} moves with {other}, which the law leaves out: given the law their correlation is "
                f"{value:.2f}",
                value,
                f"Choose a law in {other} too, or make runs in which {self.covariate} moves alone",
            )
            for other, value in self.tracked.items()
        ]
        if self.own < OWN:
            found.append(
                Finding(
                    "CONFOUNDED",
                    "severe",
                    f"{self.covariate} hardly moves but with {held}: {self.own:.1%} of its variance is its own",
                    self.own,
                    f"Make runs in which {self.covariate} moves at fixed {held}",
                )
            )
        found += [
            Finding("EVIDENCE", "severe", f"the evidence is in doubt: {why}", 1.0, "Draw longer")
            for one in (self.without, self.within)
            for why in one.trouble
        ]
        return tuple(found)

    def to_dict(self) -> dict[str, Any]:
        """What was found as plain values, for JSON; numbers may be nan or infinite."""
        return of_relevance(self)

    @property
    def verdict(self) -> str:
        """One sentence: whether the covariate matters, with the probability for equal odds before."""
        if self.findings:
            return f"No verdict on {self.covariate}: {self.findings[0].message}"
        lead, error = self.log_bayes_factor
        said = f"probability {1 / (1 + np.exp(-lead)):.2g}, {lead:+.2f} nats (error {error:.2g})"
        if abs(lead) <= max(DECISIVE, 2 * error):
            return f"Whether {self.covariate} matters is not told: {said}"
        low, middle, high = self.gamma
        if lead < 0:
            return f"{self.covariate} does not matter: {said}"
        return f"{self.covariate} matters: {said}; its exponent is {middle:.3g} ({low:.3g} to {high:.3g})"


def relevance(
    key: Array, model: Model, runs: Runs, covariate: str, *, prior: Distribution | None = None, **sampler: Any
) -> Relevance:
    """Whether a covariate matters given those of a law, or whether the table cannot tell.

    Args:
        key: the random key.
        model: the model without the covariate.
        runs: the table.
        covariate: a column of positive numbers.
        prior: of its exponent, gamma; that of `irrelevant`, Normal(0, 0.05), if None. What is looked for is part of the
            question: the wider the prior, the more a table without an effect speaks against one.
        sampler: arguments of `nuts`.

    Raises:
        ValueError: the law has the covariate already, or the model with it does not suit the table.
    """
    more = model.replace(law=_within(model.law, covariate, prior))
    more.specialise(runs)
    keys = random.split(key, 4)
    without, within = (
        log_evidence(keys[i + 2], nuts(keys[i], one, runs, **sampler)) for i, one in enumerate((model, more))
    )
    own, others = tracked(runs, model.law.covariates, covariate)
    return Relevance(covariate, without, within, own, others)


def irrelevance(covariate: str, law: str, lead: float) -> Finding:
    """IRRELEVANT: the runs speak against a covariate by so many nats."""
    return Finding(
        "IRRELEVANT",
        "warning",
        f"there is no law in {covariate}: the runs are {np.exp(min(lead, LARGE)):.3g} times as likely where {law} does "
        f"without it",
        float(np.exp(min(lead, LARGE))),
        f"Choose a law without {covariate}, or make runs in which it moves further",
    )


@lru_cache
def _within(law: Law, covariate: str, prior: Distribution | None) -> Law:
    law = irrelevant(law, covariate)
    return law if prior is None else law.replace(priors={f"gamma_{covariate}": prior})


def tracked(runs: Runs, held: tuple[str, ...], covariate: str) -> tuple[float, dict[str, float]]:
    """What a covariate may stand for, by the logarithms of the columns.

    Args:
        runs: the table.
        held: the covariates of the law.
        covariate: the one in question.

    Returns:
        The share of the variance of the covariate that does not follow those of the law; and the other columns that
        move with it, given those of the law, each with the correlation.
    """
    weight = np.sqrt(np.asarray(runs.weight, float))
    logs = {
        name: np.log(np.asarray(values, float)) * weight
        for name, values in runs.columns.items()
        if np.isfinite(runs.reference[name])
    }

    def given(values: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
        known = np.stack([weight, *(logs[name] for name in names)], axis=1)
        return values - known @ np.linalg.lstsq(known, values, rcond=None)[0]

    own = given(logs[covariate], held)
    share = np.sum(own**2) / max(np.sum(given(logs[covariate], ()) ** 2), 1e-300)
    found = {}
    for name, values in logs.items():
        other = given(values, held)
        # What is made of the covariates of the law, as C is of N and D, says nothing more.
        if name == covariate or np.sum(other**2) <= 1e-9 * np.sum(given(values, ()) ** 2):
            continue
        correlation = np.sum(own * other) / np.sqrt(np.sum(own**2) * np.sum(other**2))
        if abs(correlation) > TRACKS:
            found[name] = float(correlation)
    return float(share), found
