"""What a report is asked, and what its fits answer: decisions, each in a sentence and in tables."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from bayescale.columns import label
from bayescale.decide.allocate import compute_optimal
from bayescale.decide.decision import Decision
from bayescale.fit import Fit
from bayescale.page.explore import UNIQUE, Case, compute_of

BOUNDS = (1e3, 1e20)  # wide enough for the best N of every draw
AHEAD = 10.0  # where no budget is named, the largest run times this
DRAWS = 1000  # for tables of many decisions
DECADES = (-2, -1, 0, 1, 2)  # of compute about the budget, for the table of budgets
NAMES = {
    "N": "parameters N*",
    "D": "tokens D*",
    "D/N": "tokens per parameter",
    "loss": "loss, nats per token",
    "a": "exponent a of N* in C",
    "b": "exponent b of D* in C",
}
FORMS = {"loss": ".4f", "a": ".4f", "b": ".4f"}
ALLOCATES = {"N", "D"}  # the covariates of a law that splits a budget


@dataclass(frozen=True)
class Question:
    """What is asked of every fit.

    Attributes:
        compute: the budget, in FLOP; where nothing is said, ten times the largest run.
        target: a loss to be reached.
        inference: tokens to be answered afterwards.
        unique: the tokens there are to train on.
        at: further covariates of a law, column -> the value they are held at.
        levels: the level of each factor by which parameters differ.
    """

    compute: float | None = None
    target: float | None = None
    inference: float | None = None
    unique: float | None = None
    at: Mapping[str, float] = field(default_factory=dict)
    levels: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self):
        said = {
            "compute": self.compute,
            "target": self.target,
            "inference": self.inference,
            "unique": self.unique,
        }
        for name, value in {**said, **self.at}.items():
            if value is not None and not (np.isfinite(value) and value > 0):
                raise ValueError(f"{name} is {value}; it is a positive number")

    def of(self, fits: Mapping[str, Fit]) -> "Question":
        """The question with a budget, if any fit has a law that could use one.

        Raises:
            ValueError: a level or a covariate is of no fit.
        """
        factors = {by for fit in fits.values() for by in fit.model.factors}
        columns = {c for fit in fits.values() for c in fit.model.law.covariates}
        for what, known, given in (("factor", factors, self.levels), ("covariate", columns, self.at)):
            if unknown := sorted(set(given) - known):
                raise ValueError(
                    f"no fit has the {what} {unknown[0]}; there are {', '.join(sorted(known)) or 'none'}"
                )
        if self.compute is not None:
            return self
        most = [np.max(found) for fit in fits.values() if (found := compute_of(fit)) is not None]
        return replace(self, compute=float(f"{AHEAD * max(most):.1g}")) if most else self


@dataclass(frozen=True)
class Answer:
    """The answer of one case.

    Attributes:
        case: which fit, and at which levels.
        decision: the answer.
        sentence: the same in words, with its intervals.
        more: what to do, and what that may cost.
        call: how it is asked in Python.
    """

    case: Case
    decision: Decision
    sentence: str
    more: str
    call: str


def held(case: Case, question: Question) -> dict[str, float]:
    """The covariates of the law of a case beside N, D and C, and where they are held: as asked, or at the reference run.

    Unique tokens that nobody has counted are more than a budget pays for.
    """
    law, runs = case.fit.model.law, case.fit.runs
    found = {c: float(np.asarray(runs.reference[c])) for c in law.covariates if c not in ("N", "D", "C")}
    if "U" in found:
        found["U"] = question.unique or UNIQUE[1]
    return found | {c: v for c, v in question.at.items() if c in found}


def splits(fit: Fit) -> bool:
    """Whether a fit can say how a budget is split."""
    return fit.model.law.response == "loss" and set(fit.model.law.covariates) >= ALLOCATES


def allocation(case: Case, question: Question, compute: float | None = None) -> Answer:
    """The split of a budget; by default of that which is asked about."""
    compute = compute or question.compute
    assert compute is not None
    at = held(case, question)
    levels: dict[str, Any] = case.levels or ({"centre": True} if case.fit.model.pooling else {})
    decision = compute_optimal(case.fit, compute, at=at, bounds=BOUNDS, strict=False, **levels)
    given = [f"{compute:g}", f"bounds=({BOUNDS[0]:g}, {BOUNDS[1]:g})", "strict=False"]
    given += [f"at={at!r}"] if at else []
    given += [f"{name}={value!r}" for name, value in levels.items()]
    return Answer(
        case, decision, _split(decision), _advice(decision), f"bs.compute_optimal(fit, {', '.join(given)})"
    )


def _split(decision: Decision) -> str:
    said = (
        f"Spend {label(float(decision.asked['C']))} FLOP on {interval(decision, 'N', 'parameters')} and "
        f"{interval(decision, 'D', 'tokens')}, {interval(decision, 'D/N', 'tokens per parameter')}; expect a loss of "
        f"{interval(decision, 'loss', 'nats per token')}."
    )
    if len(decision) == 1:
        return f"{said} This is a point estimate: it comes with no interval."
    share = decision.defined("N")
    return said if share == 1 else f"{said} In {1 - share:.1%} of the draws no such split is best."


def _advice(decision: Decision) -> str:
    if not decision.choice:
        return ""
    said = f"If one size has to be chosen: {label(decision.choice['N'])} parameters on {label(decision.choice['D'])} tokens"
    regret = None if decision.regret is None else decision.regret[np.isfinite(decision.regret)]
    if regret is None or len(regret) < 2:
        return f"{said}."
    mean, high = regret.mean(), np.quantile(regret, 0.95)
    return f"{said}. That wastes {mean:.1%} of the budget on average, and less than {high:.1%} in 95% of the draws."


def interval(decision: Decision, quantity: str, unit: str) -> str:
    """A quantity with its 90% interval, as 70B parameters (90%: 60B to 80B)."""
    cell = _cell(decision, quantity)
    return f"{cell['median']} {unit}" + (f" (90%: {cell['interval']})" if cell["interval"] else "")


def thinned(case: Case) -> Case:
    """The case with so many draws as a table of many decisions needs: its quantiles are then good to 5% of an sd."""
    fit = case.fit
    step = -(-len(fit) // DRAWS)
    return case._replace(
        fit=fit.replace(draws={site: values[:, ::step] for site, values in fit.draws.items()})
    )


# ---- Tables


def table_of(answer: Answer, caption: str) -> dict[str, Any]:
    """Every quantity of a decision."""
    rows = []
    for row in answer.decision.rows():
        form = FORMS.get(row["quantity"])
        numbers = [f"{row[q]:{form}}" if form else label(row[q]) for q in ("median", "low", "high")]
        rows.append([NAMES.get(row["quantity"], row["quantity"]), *numbers, f"{row['defined']:.1%}"])
    far = [f"{c} by {v:.1f} decades" for c, v in answer.decision.beyond.items() if v > 0]
    note = f"Outside the range of the runs, at the median: {', '.join(far)}." if far else ""
    headings = ["", "median", "5%", "95%", "defined in"]
    return {"caption": caption, "headings": headings, "rows": rows, "note": note}


def table_of_splits(named: Iterable[tuple[str, Answer]], caption: str) -> dict[str, Any]:
    """One decision after the other, in a line each."""
    rows, counts = [], set()
    for name, answer in named:
        decision, regret = answer.decision, answer.decision.regret
        wasted = "" if regret is None or len(regret) < 2 else f"{np.nanmean(regret):.1%}"
        counts.add(len(decision))
        rows.append([name, *(_cell(decision, q) for q in ("N", "D", "D/N", "loss")), wasted])
    few = (
        f" Lines of fewer than {max(counts)} draws are of {min(counts)}."
        if len(counts) > 1 and min(counts) > 1
        else ""
    )
    note = f"Medians, with 90% intervals below them.{few}"
    headings = ["", "parameters N*", "tokens D*", "tokens per parameter", "loss", "mean waste of the choice"]
    return {"caption": caption, "headings": headings, "rows": rows, "note": note}


def _cell(decision: Decision, quantity: str) -> dict[str, str]:
    form = FORMS.get(quantity)
    low, middle, high = (f"{v:{form}}" if form else label(v) for v in decision.interval(quantity))
    return {"median": middle, "interval": "" if len(decision) == 1 else f"{low} to {high}"}
