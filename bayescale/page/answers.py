"""What a report is asked, and what its fits answer: decisions, each in a sentence and in tables."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from bayescale.columns import label
from bayescale.decide.allocate import WIDE, compute_optimal
from bayescale.decide.data_limited import data_limited_optimal
from bayescale.decide.decision import Decision
from bayescale.decide.inference import inference_optimal
from bayescale.decide.invert import compute_for
from bayescale.decide.support import decision
from bayescale.fit import Fit
from bayescale.page.explore import UNIQUE, Case, compute_of
from bayescale.page.sentences import advice, attempt, finished, split, within
from bayescale.page.tables import interval

BOUNDS = WIDE  # parameters considered, here and by the sliders
AHEAD = 10.0  # where no budget is named, the largest run times this
DRAWS = 1000  # for tables of many decisions: their quantiles are then good to 5% of an sd
DECADES = (-2, -1, 0, 1, 2)  # of compute about the budget, for the table of budgets


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
        said = {n: getattr(self, n) for n in ("compute", "target", "inference", "unique")}
        for name, value in {**said, **self.at}.items():
            if value is not None and not (np.isfinite(value) and value > 0):
                raise ValueError(f"{name} is {value}; it is a positive number")

    def of(self, fits: Mapping[str, Fit]) -> "Question":
        """The question with a budget, if the compute of any run is known.

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
        if not most and any(splits(fit) or curve(fit) for fit in fits.values()):
            raise ValueError(
                "there are no runs that could say what budget is asked about; give compute, as 1e24"
            )
        return replace(self, compute=float(f"{AHEAD * max(most):.1g}")) if most else self


@dataclass(frozen=True)
class Answer:
    """The answer of one case to one question.

    Attributes:
        case: which fit, and at which levels.
        title: what was asked, for the head of a table.
        decision: the answer.
        sentence: the same in words, with its intervals.
        more: what to do, and what that may cost; nothing where nothing is chosen.
        call: how it is asked in Python.
    """

    case: Case
    title: str
    decision: Decision
    sentence: str
    more: str
    call: str


def splits(fit: Fit) -> bool:
    """Whether a fit can say how a budget is split."""
    return fit.model.law.response == "loss" and {"N", "D"} <= set(fit.model.law.covariates)


def curve(fit: Fit) -> bool:
    """Whether a fit can say what compute buys, and no more."""
    return fit.model.law.response == "loss" and fit.model.law.covariates == ("C",)


def answers(case: Case, question: Question) -> tuple[list[Answer], list[str]]:
    """What a case answers, the main thing first, and why the rest of the question has no answer."""
    found: list[Answer] = []
    refused: list[str] = []
    for ask in _questions(case, question, found):
        try:
            found.append(ask())
        except ValueError as error:
            refused.append(str(error))
    return found, [*dict.fromkeys(refused), *_unfit(case.fit, question)]


def _questions(case: Case, question: Question, found: list[Answer]) -> Iterator[Callable[[], Answer]]:
    """What a case is asked; `found` are the answers so far, since a later question may be of an earlier answer."""
    if curve(case.fit):
        yield lambda: expectation(case, question)
        if question.target:
            yield lambda: reach(case, question)
    if not splits(case.fit):
        return
    yield lambda: allocation(case, question)
    if question.unique and "U" in case.fit.model.law.covariates:
        yield lambda: _limited(case, question)
    if question.inference and (question.target or main(found)):
        yield lambda: _served(case, question, found)
    elif question.target:
        yield lambda: reach(case, question)


def _unfit(fit: Fit, question: Question) -> Iterator[str]:
    """What is asked that the law has no say in."""
    law = fit.model.law
    if not (splits(fit) or curve(fit)):
        axes = ", ".join(law.covariates) or "no covariate"
        yield f"a budget cannot be split, because the law {law.name} is of {law.response} in {axes}"
        return
    if question.unique and "U" not in law.covariates:
        yield (
            f"{label(question.unique)} unique tokens change nothing of this answer, because the law {law.name} has no "
            "unique tokens U; fit a law in U, such as data_constrained"
        )
    if question.inference and not splits(fit):
        yield (
            f"{label(question.inference)} tokens of inference cost what the parameters say, and the law {law.name} is "
            "in C alone; fit a law in N and D, such as chinchilla"
        )


def main(found: list[Answer]) -> Answer | None:
    """The answer to the budget itself, if there is one with a number."""
    own = (one for one in found if one.decision.question in ("compute_optimal", "predict_loss"))
    return next((one for one in own if one.decision.defined("loss") > 0), None)


def held(case: Case, question: Question) -> dict[str, float]:
    """The covariates of the law beside N, D and C, and where they are held: as asked, or at the reference run.

    Unique tokens that nobody has counted are more than a budget pays for.
    """
    law, runs = case.fit.model.law, case.fit.runs
    found = {c: float(np.asarray(runs.reference[c])) for c in law.covariates if c not in ("N", "D", "C")}
    if "U" in found:
        found["U"] = question.unique or UNIQUE[1]
    return found | {c: v for c, v in question.at.items() if c in found}


def allocation(case: Case, question: Question, compute: float | None = None) -> Answer:
    """The split of a budget; by default of that which is asked about."""
    compute = compute or question.compute
    assert compute is not None
    found = compute_optimal(_asked(case, question), compute, bounds=BOUNDS, strict=False)
    call = _call("compute_optimal", case, question, f"{compute:g}", bounds=BOUNDS, strict=False)
    return Answer(case, f"the best split of {label(compute)} FLOP", found, split(found), advice(found), call)


def expectation(case: Case, question: Question) -> Answer:
    """What a budget buys, of a law in compute alone."""
    at, compute = _asked(case, question), question.compute
    assert compute is not None
    found = decision("predict_loss", at, {"C": compute}, {"loss": at.each(C=compute)}, {"C": compute})
    said = f"At {label(compute)} FLOP expect a loss of {interval(found, 'loss', 'nats per token')}."
    call = _call("predict_loss", case, question, f"{{'C': {compute:g}}}")
    return Answer(case, f"what {label(compute)} FLOP buy", found, finished(found, said), "", call)


def reach(case: Case, question: Question) -> Answer:
    """What it takes to reach a loss."""
    assert question.target is not None
    found = compute_for(_asked(case, question), question.target)
    where, out = within(found, "C")
    said = f"A loss of {question.target:g} {out}"
    if len(where):
        said += f"takes {interval(where, 'C', 'FLOP of training')}"
        if "N" in found.draws:
            said += f", {interval(where, 'N', 'parameters')} on {interval(where, 'D', 'tokens')}"
    said = f"{said.rstrip()}."
    call = _call("compute_for", case, question, f"{question.target:g}")
    title = f"what a loss of {question.target:g} takes"
    return Answer(case, title, found, finished(found, said), attempt(found), call)


def _limited(case: Case, question: Question) -> Answer:
    assert question.compute is not None and question.unique is not None
    surface = case.surface({c: v for c, v in held(case, question).items() if c != "U"})
    found = data_limited_optimal(surface, question.compute, question.unique, bounds=BOUNDS)
    said = (
        f"With {label(question.unique)} unique tokens that is {interval(found, 'epochs', 'epochs')}; the loss is "
        f"higher than with unlimited ones by {interval(found, 'excess loss', 'nats')}."
    )
    title = f"{label(question.compute)} FLOP with {label(question.unique)} unique tokens"
    call = _call(
        "data_limited_optimal", case, question, f"{question.compute:g}", f"{question.unique:g}", bounds=BOUNDS
    )
    return Answer(case, title, found, said, "", call)


def _served(case: Case, question: Question, before: list[Answer]) -> Answer:
    assert question.inference is not None
    tokens, goal = question.inference, question.target
    if goal is None:
        goal = before[0].decision["loss"]
    found = inference_optimal(_asked(case, question), tokens, loss=goal)
    of = f"a loss of {question.target:g}" if question.target else "the loss of that split"
    where, out = within(found, "N")
    said = f"To reach {of} and answer {label(tokens)} tokens {out}"
    if len(where):
        said += (
            f"costs least with {interval(where, 'N', 'parameters')} on {interval(where, 'D', 'tokens')}, "
            f"{interval(where, 'total', 'FLOP')} in all"
        )
    said = f"{said.rstrip()}."
    loss = f"loss={question.target:g}" if question.target else "loss=found['loss']"
    call = _call("inference_optimal", case, question, f"{tokens:g}", loss)
    title = f"{of}, and {label(tokens)} tokens of inference"
    return Answer(case, title, found, said, attempt(found), call)


def _asked(case: Case, question: Question):
    return case.surface(held(case, question))


def _call(name: str, case: Case, question: Question, *given: str, **options: Any) -> str:
    """A question as it is typed in Python."""
    at = held(case, question)
    if name == "data_limited_optimal":
        at.pop("U", None)
    options |= {"at": at} if at else {}
    options |= case.levels or ({"centre": True} if case.fit.model.pooling else {})
    words = ["fit", *given, *(f"{n}={v!r}" for n, v in options.items())]
    return f"found = bs.{name}({', '.join(words)})"


def thinned(case: Case) -> Case:
    """The case with so many draws as a table of many decisions needs."""
    step = -(-len(case.fit) // DRAWS)
    return case._replace(fit=case.fit.replace(draws={s: v[:, ::step] for s, v in case.fit.draws.items()}))
