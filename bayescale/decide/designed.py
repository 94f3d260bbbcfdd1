"""Design: what came of the question which runs to do next, and the words for it."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from bayescale.check.findings import Finding, sorted_by_severity
from bayescale.columns import label
from bayescale.decide.nested import Told
from bayescale.decide.support import FAR, OVERTRAINED, beyond
from bayescale.decide.targets import Target
from bayescale.fit import Fit

DIFFER, ERRORS = 0.25, 3.0  # by a quarter, and by more than three standard errors, two numbers differ
KEPT = 0.5  # of what its own best batch tells, below which a batch is a bad one for a rival
KNOWN = 0.005  # a probability as small: less than a twentieth of a bit is to be learned
FEW = 100.0  # effective draws, below which nested Monte Carlo is in doubt
NOT_ASKED = "not asked"  # what runs would tell if another law is right
OTHER = {"coupled": "chinchilla"}  # the law to ask beside a law, where it is not coupled
UNTOLD = 5.0  # the square of a correlation of nothing is 1 / draws on average, and rarely five times that


@dataclass(frozen=True, eq=False, repr=False)
class Design:
    """What candidate runs are expected to tell of a target.

    Attributes:
        target: what is to be known.
        budget: for the batch, FLOP.
        points: the candidates, covariate -> (candidates,), with D/N where there are N and D.
        cost: of each, (candidates,), FLOP.
        removed: fit -> the share of what is uncertain that each candidate alone is expected to remove, (candidates,),
            in the normal approximation; the fit itself first, then its rivals.
        batch: the candidates to run, some perhaps twice.
        together: fit -> what the batch is expected to remove.
        best: fit -> what the best batch found for that fit would remove.
        exact: candidates -> what they are expected to remove by nested Monte Carlo.
        fit: the fit.
        defined: the share of its draws in which the target is a number.
        spread: the standard deviation of the target now; of "law" it means nothing.
        chance: for "better", the probability now that the first is.
        trouble: why a fit is no result; empty where all have converged.
    """

    target: Target
    budget: float
    points: dict[str, np.ndarray]
    cost: np.ndarray
    removed: dict[str, np.ndarray]
    batch: tuple[int, ...]
    together: dict[str, float]
    best: dict[str, float]
    exact: dict[tuple[int, ...], Told]
    fit: Fit
    defined: float
    spread: float
    chance: float
    trouble: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.cost)

    @property
    def own(self) -> np.ndarray:
        """The share of what is uncertain that each candidate alone is expected to remove, (candidates,)."""
        return next(iter(self.removed.values()))

    @property
    def order(self) -> np.ndarray:
        """The candidates by what they remove for each FLOP, the best first."""
        return np.argsort(-self.own / self.cost, kind="stable")

    def rows(self) -> list[dict[str, Any]]:
        """Each candidate, the best for its compute first.

        It has the covariates; C, the FLOP it takes; removed, and per_flop, that over C; exact, by nested Monte Carlo,
        and its error, None where that was not asked; the same share under each rival; beyond, the decades of the
        covariate or ratio in which it is farthest outside the runs; and how many times it is in the batch.
        """
        times = Counter(self.batch)
        own, *rivals = self.removed
        found = []
        for i in self.order.tolist():
            told = self.exact.get((i,))
            found.append(
                {
                    **{c: float(v[i]) for c, v in self.points.items()},
                    "C": float(self.cost[i]),
                    "removed": float(self.removed[own][i]),
                    "per_flop": float(self.removed[own][i] / self.cost[i]),
                    "exact": told.removed if told else None,
                    "error": told.error if told else None,
                    **{f"removed by {name}": float(self.removed[name][i]) for name in rivals},
                    "beyond": self._beyond(i),
                    "batch": times[i],
                }
            )
        return found

    def to_dict(self) -> dict[str, Any]:
        """The design as plain values, for JSON."""
        told = self.exact.get(self.batch)
        return {
            "question": "design",
            "target": self.target.name,
            "of": self.target.said,
            "budget": self.budget,
            "verdict": self.verdict,
            "batch": [{c: float(v[i]) for c, v in self.points.items()} for i in self.batch],
            "removed": dict(self.together),
            "best": dict(self.best),
            "rivals": list(self.together)[1:] or NOT_ASKED,
            "exact": told._asdict() if told else None,
            "spread": None if self.target.kind == "law" else self.spread,
            "chance": self.chance if self.target.kind == "better" else None,
            "defined": self.defined,
            "candidates": self.rows(),
            "findings": [vars(finding) for finding in self.findings],
            "trouble": list(self.trouble),
        }

    @property
    def verdict(self) -> str:
        """One sentence: which runs to do, and what they are expected to remove."""
        if not self.batch:
            return f"No candidate is expected to tell anything of {self.target.said}"
        runs = []
        for i, times in Counter(self.batch).items():
            runs.append(self._said(i) if times == 1 else f"{times} times {self._said(i)}")
        share = next(iter(self.together.values()))
        told = self.exact.get(self.batch)
        exactly = f" ({told.removed:.2%} ± {told.error:.2%} by nested Monte Carlo)" if told else ""
        said = (
            f"Run {'; '.join(runs)}: {label(float(self.cost[list(self.batch)].sum()))} FLOP are expected to take "
            f"{share:.2%}{exactly} off {self.target.said}"
        )
        if len(self.together) > 1:
            others = list(self.together.items())[1:]
            said += "; " + ", ".join(f"{value:.2%} if it is {name}" for name, value in others)
        return f"NOT CONVERGED ({'; '.join(self.trouble)}): {said}" if self.trouble else said

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """What there is to say of the design, the most severe first."""
        of = (self._approximate, self._untold, self._settled, self._undefined, self._outside, self._by_rivals)
        return sorted_by_severity([finding for check in of for finding in check()])

    def _approximate(self) -> Iterator[Finding]:
        for which, told in self.exact.items():
            fast = next(iter(self.together.values())) if which == self.batch else float(self.own[which[0]])
            what = "the batch" if which == self.batch else f"the candidate of {self._said(which[0])}"
            if told.effective < FEW:
                yield Finding(
                    "NESTED_DOUBTFUL",
                    "note",
                    f"once {what} is run {told.effective:.0f} draws keep weight: nested Monte Carlo is in doubt",
                    told.effective,
                    "Take a fit with more draws",
                )
            elif abs(fast - told.removed) > max(DIFFER * told.removed, ERRORS * told.error):
                yield Finding(
                    "NOT_NORMAL",
                    "warning",
                    f"{what} removes {told.removed:.2%} (error {told.error:.2%}) by nested Monte Carlo and {fast:.2%} "
                    "in the normal approximation, by which all are ranked",
                    told.removed,
                    "Believe the former, and ranks where they are far apart only",
                )
        if not self.exact and self.batch:
            yield Finding(
                "NORMAL",
                "note",
                "what runs remove is worked out as if target and losses were jointly normal",
                float(len(self.fit)),
                "Pass a key to have the first of them checked by nested Monte Carlo",
            )

    def _untold(self) -> Iterator[Finding]:
        least = UNTOLD / len(self.fit)
        if self.target.kind != "law" and self.own.max() < least:
            yield Finding(
                "NOTHING_TOLD",
                "warning",
                f"no candidate removes more than {self.own.max():.2g}, which {len(self.fit)} draws do not tell from 0",
                float(self.own.max()),
                "Allow a larger budget or other candidates, or take a fit with more draws",
            )

    def _settled(self) -> Iterator[Finding]:
        if self.target.kind == "better" and not KNOWN < self.chance < 1 - KNOWN:
            yield Finding(
                "SETTLED",
                "note",
                f"which is better is known: the first is with the probability {self.chance:.2g}",
                self.chance,
                "Spend the budget on something else",
            )

    def _undefined(self) -> Iterator[Finding]:
        if self.defined < 1:
            yield Finding(
                "UNDEFINED",
                "warning",
                f"{self.target.name} is a number in {self.defined:.1%} of the draws, and all this is of those",
                self.defined,
                "Choose a target that the fit tells, such as a loss",
            )

    def _outside(self) -> Iterator[Finding]:
        far = [
            beyond(self.fit, {c: v[i] for c, v in self.points.items() if c != "D/N"}) for i in set(self.batch)
        ]
        for code, c, most, unit in (
            ("EXTRAP", "C", FAR, "decades of C"),
            ("OVERTRAIN", "D/N", OVERTRAINED, "decades of D/N"),
        ):
            worst = max((one.get(c, 0.0) for one in far), default=0.0)
            if worst > most:
                yield Finding(
                    code,
                    "warning",
                    f"a run of the batch lies {worst:.1f} {unit} outside the runs: what it tells hangs on the law",
                    worst,
                    "See what the batch tells under rival laws, or let the runs there test the law first",
                )

    def _by_rivals(self) -> Iterator[Finding]:
        own, *rivals = self.together
        if not rivals and self.target.kind != "law":
            yield Finding(
                "ONE_LAW",
                "note",
                f"what runs remove is so if {own} is right; what they would tell if it is not was not asked",
                1.0,
                f"Ask what they tell under another law: --rival {OTHER.get(own, 'coupled')}, which is then fitted too, "
                "or --rival other.nc; in Python rivals=[rival_of(key, fit, law)]",
            )
        for name in rivals:
            kept = self.together[name] / self.best[name] if self.best[name] > 0 else 1.0
            if kept < KEPT:
                yield Finding(
                    "DESIGN_SENSITIVE",
                    "warning",
                    f"if it is {name} the batch removes {self.together[name]:.2%}, and another of the same budget "
                    f"{self.best[name]:.2%}",
                    kept,
                    "Take runs that tell something under each law, or first those that tell the laws apart",
                )

    def _beyond(self, i: int) -> float:
        far = beyond(self.fit, {c: v[i] for c, v in self.points.items() if c != "D/N"})
        return max((d for d in far.values() if not np.isnan(d)), default=float("nan"))

    def _said(self, i: int) -> str:
        values = {c: float(v[i]) for c, v in self.points.items()}
        return ", ".join(f"{c} = {f'{v:.4g}' if c == 'D/N' else label(v)}" for c, v in values.items())

    def __repr__(self) -> str:
        return f"Design({self.verdict})"
