"""An approach of the literature beside a law: whether they agree, and what it would find if the law is right."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jax import Array

from bayescale.check.findings import Finding, sorted_by_severity
from bayescale.columns import label
from bayescale.decide.allocate import compute_optimal
from bayescale.decide.decision import Decision
from bayescale.decide.parabola import a2_bias
from bayescale.decide.slices import Optima, power_law
from bayescale.decide.surface import surface
from bayescale.fit import Fit
from bayescale.runs import Runs

DRAWS = 400  # of the fit under which the approach is repeated
UNLIKE = 0.1  # of alpha and beta
BIAS = 0.1  # in ln N: 10% off the optimum wastes some .4% of the compute
SURE = 0.98  # how sure it must be that two optima differ
RARE = 0.02  # how rarely a law that is right gives runs of which an approach says what it said or what is farther off


@dataclass(frozen=True, eq=False, repr=False)
class CrossCheck:
    """The optimum at a compute by an approach of the literature and by a law.

    Attributes:
        approach: what the approach found.
        compute: FLOP.
        found: the optimum at that compute by the approach, of bootstrap replicates.
        law: the optimum by the law, of its draws.
        bias: by how much ln N of the approach is off that of the law on losses of the law without noise, (draws,).
        expected: ln N that the approach finds on losses of the law with noise, (draws,).
        unlike: the median of |alpha - beta| of the law; nan where it has none.
    """

    approach: Optima
    compute: float
    found: Decision
    law: Decision
    bias: np.ndarray
    expected: np.ndarray
    unlike: float

    @property
    def difference(self) -> tuple[float, float, float]:
        """1%, 50% and 99% of ln N by the approach less that by the law, their errors taken as independent.

        They are of the same runs, so they are rather less far apart than that.
        """
        found, law = (np.log(one["N"][np.isfinite(one["N"])]) for one in (self.found, self.law))
        apart = found[:, None] - law[:: max(1, len(law) // DRAWS)]
        low, middle, high = np.quantile(apart, [(1 - SURE) / 2, 0.5, (1 + SURE) / 2]).tolist()
        return low, middle, high

    @property
    def surprise(self) -> float:
        """How rarely, if the law is right, the approach says what it said or what is farther off, of both sides."""
        said = np.log(self.approach.estimate(self.compute)["N"])
        expected = self.expected[np.isfinite(self.expected)]
        below = (np.sum(expected <= said) + 0.5) / (len(expected) + 1)
        return float(2 * min(below, 1 - below))

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """What there is to say of the approach, and of the two together, the most severe first."""
        return sorted_by_severity([*self.approach.findings, *self._biased(), *self._disagree()])

    def _biased(self) -> Iterator[Finding]:
        if self.approach.approach == "parabola" and self.unlike > UNLIKE:
            yield a2_bias(
                "warning",
                f"alpha and beta of the law differ by {self.unlike:.2g}, more than {UNLIKE:g}",
                self.unlike,
            )
        low, middle, high = np.expm1(np.nanquantile(self.bias, (0.05, 0.5, 0.95))).tolist()
        if abs(np.log1p(middle)) > BIAS:
            said = (
                f"on losses of the law itself, without noise, the {self.approach.approach} of these runs is "
                f"{middle:+.0%} (90% {low:+.0%} to {high:+.0%}) off the best N at {label(self.compute)} FLOP"
            )
            yield (
                a2_bias("warning", said, middle)
                if self.approach.approach == "parabola"
                else Finding("A1_BIAS", "warning", said, middle, "Take the optimum from the law")
            )

    def _disagree(self) -> Iterator[Finding]:
        low, _, high = self.difference
        if low <= 0 <= high:
            return
        explained = self.surprise >= RARE
        yield Finding(
            "DISAGREE",
            "note" if explained else "warning",
            f"at {label(self.compute)} FLOP the {self.approach.approach} says {self._apart} as many N as the law"
            + (
                ", as it would if the law is right"
                if explained
                else f", which it would in {self.surprise:.1g} of cases if the law is right"
            ),
            self.difference[1],
            "Take the optimum from the law"
            if explained
            else "Take neither: look for what the law misses (residuals, other laws) and how the runs were trained",
        )

    def rows(self, level: float = 0.9) -> list[dict[str, Any]]:
        """The optimum and its exponents by the approach and by the law, each with its estimate and its interval."""
        found = []
        for name, decision in ((self.approach.approach, self.found), (self.law.question, self.law)):
            estimate = self.approach.estimate(self.compute) if decision is self.found else {}
            for quantity in self.found.draws:
                low, middle, high = decision.interval(quantity, level)
                point = estimate.get(quantity, middle)
                found.append({"by": name, "quantity": quantity, "estimate": point, "low": low, "high": high})
        return found

    def to_dict(self, level: float = 0.9) -> dict[str, Any]:
        """The comparison as plain values, for JSON."""
        low, middle, high = np.nanquantile(self.bias, [(1 - level) / 2, 0.5, (1 + level) / 2]).tolist()
        return {
            "question": "cross_check",
            "approach": self.approach.approach,
            "C": self.compute,
            "verdict": self.verdict,
            "level": level,
            "optimum": self.rows(level),
            "difference": list(self.difference),
            "bias": {"low": low, "median": middle, "high": high},
            "surprise": self.surprise,
            "findings": [vars(finding) for finding in self.findings],
        }

    @property
    def verdict(self) -> str:
        """One sentence: whether the approach and the law agree."""
        low, _, high = self.difference
        same = "agree" if low <= 0 <= high else "disagree"
        told = f"N* at {label(self.compute)} FLOP is {self._apart} what it is by the law"
        return f"{self.approach.approach} and law {same}: by the {self.approach.approach} {told}"

    @property
    def _apart(self) -> str:
        low, middle, high = np.exp(self.difference)
        return f"{middle:.2g} times (98% {low:.2g} to {high:.2g})"

    def __repr__(self) -> str:
        return f"CrossCheck({self.verdict})"


def cross_check(
    key: Array, fit: Fit, approach: Optima, runs: Runs, compute: float, **levels: str
) -> CrossCheck:
    """An approach of the literature beside a law, at a compute.

    The approach is repeated on losses that the law gives for its runs, with noise and without: what it finds there, on
    this very design, is what is known of its bias. Shocks that runs share count as each run's own.

    Args:
        key: the random key.
        fit: a fit of a law of loss in N and D.
        approach: what `parabola` or `envelope` found.
        runs: the runs it was found in, of one recipe.
        compute: where the optima are compared, FLOP.
        levels: the level of each factor by which parameters differ, as corpus="web": the one that the runs are of.

    Raises:
        ValueError: the law is not one of loss in N and D, or a level is missing.
    """
    law = compute_optimal(surface(fit, at=None, centre=False, **levels), compute, strict=False)
    thinned = np.unique(np.linspace(0, len(fit) - 1, DRAWS).astype(int))
    needs = (*fit.model.law.covariates, *fit.model.noise.covariates)
    points = {c: np.asarray(runs.columns[c], float) for c in needs if c in runs.columns}
    log_n = []
    for kind in ("mean", "new_run"):
        losses = fit.predict(points, kind=kind, key=key, **levels)[thinned]
        log_n.append(power_law(approach.budgets, approach.again(losses)["N"], compute)[1])
    parameters = fit.parameters(
        **{by: v for by, v in levels.items() if by in {p.by for p in fit.model.pooling}}
    )
    both = {"alpha", "beta"} <= set(parameters)
    unlike = float(np.median(np.abs(parameters["alpha"] - parameters["beta"]))) if both else float("nan")
    bias = log_n[0] - np.log(law["N"][thinned])
    return CrossCheck(approach, float(compute), approach.at(compute), law, bias, log_n[1], unlike)
