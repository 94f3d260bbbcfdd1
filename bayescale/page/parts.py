"""The page of a report as plain data: texts, tables and images, in the order of the page."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jax import Array

from bayescale.check.findings import SEVERITIES, Finding
from bayescale.columns import label
from bayescale.fit import Fit
from bayescale.page import answers, contents, explore, figures, of_checks, of_findings, of_tasks, tables
from bayescale.page.answers import Answer, Question
from bayescale.page.explore import Case

NO_START = "what is asked of them has no answer, or is beyond 1e40, so that they have nothing to begin with"
CONTROLS = {
    "C": ("Compute budget", "FLOP"),
    "loss": ("Target loss", "nats"),
    "T": ("Inference tokens", "tokens"),
    "U": ("Unique tokens", "tokens"),
}


def parts(
    fits: Mapping[str, Fit],
    question: Question,
    *,
    file: str,
    title: str | None = None,
    comparison: Mapping[str, Any] | None = None,
    backtest: Mapping[str, Any] | None = None,
    tasks: Mapping[str, Any] | None = None,
    checked: Mapping[str, Iterable[Finding]] | None = None,
    key: Array | None = None,
    command: str | None = None,
) -> dict[str, Any]:
    """Everything that the page says; see `report` for the arguments."""
    cases = {name: explore.cases_of(fit, name, question.levels) for name, fit in fits.items()}
    asked, refused = _answered(fits, cases, question)
    beside = {n: s for n, s in (("comparison", comparison), ("backtest", backtest)) if s is not None}
    checks = of_checks.sections(comparison, backtest, fits)
    of_fits, unchecked = of_findings.of_fits(fits, checked or {}, key)
    of_answers = of_findings.told(of_fits, asked, fits)
    found = [*of_answers, *of_checks.findings(comparison, backtest)]
    found.sort(key=lambda one: -SEVERITIES.index(one["severity"]))
    explored = _explored(fits, cases, question, asked)
    sources = list(dict.fromkeys(Path(fit.runs.source).name or fit.runs.source for fit in fits.values()))
    laws = list(dict.fromkeys(fit.model.law.name for fit in fits.values()))
    several = len(fits) > 1
    said = {
        "title": title or f"{_listed(laws)} fitted to {_listed(sources)}",
        "source": "; ".join(_source(fit) for fit in {fit.runs.hash: fit for fit in fits.values()}.values()),
        "trouble": [{"name": n, "text": "; ".join(fit.trouble)} for n, fit in fits.items() if fit.trouble],
        "asked": _asked(fits, question, cases),
        "answers": [
            {"name": n if several else "", "text": one.sentence, "more": one.more}
            for n in fits
            for one in asked[n]
        ],
        "unanswered": [*refused, *explored.pop("unset")],
        "warned": of_findings.warned(of_answers) if any(asked.values()) else "",
        "counted": _counted(found),
        "findings": found,
        "unchecked": unchecked,
        **explored,
        "decisions": _decisions(cases, question, asked),
        "numbers": [{"fit": n, **one.decision.to_dict()} for n in fits for one in asked[n]],
        "figures": figures.figures(fits, question.levels, _budgets(cases, question, asked)),
        "spared": 0,  # figures that there is no room for
        "sections": [
            contents.fitted(fits),
            contents.parameters(fits),
            contents.runs(fits),
            *checks,
            *of_tasks.sections(tasks),
            contents.methods(fits),
            contents.reproduction(fits, _codes(fits, question, asked, [*beside], command, file)),
        ],
    }
    own = {"answer": "Answer" if said["answers"] else "Question", "findings": "Findings"}
    own |= {"explore": "Sliders"} if said["explored"] else {}
    own |= {name: name.capitalize() for name in ("decisions", "figures") if said[name]}
    return said | {"contents": [*own.items(), *((one["id"], one["title"]) for one in said["sections"])]}


def _answered(fits, cases, question: Question) -> tuple[dict[str, list[Answer]], list[str]]:
    """The answers of each fit, and why others are missing; a fit that has not converged is not asked."""
    asked: dict[str, list[Answer]] = {}
    refused: list[str] = []
    for name, fit in fits.items():
        asked[name], why = answers.answers(cases[name][0], question) if fit.converged else ([], [])
        refused += [f"{name}: {one}." for one in why]
    return asked, refused


def _budgets(cases, question: Question, asked) -> dict[str, figures.Asked]:
    """Of the fits that split the budget, what they were asked."""
    found = {name: answers.main(own) for name, own in asked.items()}
    able = [name for name, one in found.items() if one and answers.splits(one.case.fit)]
    return {name: (question.compute or 0.0, answers.held(cases[name][0], question)) for name in able}


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _source(fit: Fit) -> str:
    if not len(fit.runs):
        return fit.runs.source
    least, most = (label(float(end(fit.runs.response))) for end in (np.min, np.max))
    return f"{len(fit.runs)} runs of {Path(fit.runs.source).name}, {fit.runs.kind} {least} to {most}"


def _asked(fits, question: Question, cases: dict[str, list[Case]]) -> str:
    able = [name for name, fit in fits.items() if answers.splits(fit)]
    curves = [name for name, fit in fits.items() if answers.curve(fit)]
    if not able and not curves:
        return "What the fits say of the runs: their laws answer no question about a budget."
    budget = f"{label(question.compute)} FLOP" if question.compute else "a budget"
    said = (
        f"How should {budget} be split between parameters and training tokens"
        if able
        else f"What do {budget} buy"
    )
    levels = [one for one in dict.fromkeys(cases[name][0].said for name in able or curves) if one]
    said += f", {' or '.join(levels)}" if levels else ""
    held = {c: v for name in able or curves for c, v in answers.held(cases[name][0], question).items()}
    said += "".join(f", with {c} = {label(v)}" for c, v in held.items() if c != "U" or question.unique)
    said += (
        f"; what does a loss of {question.target:g} take"
        if question.target and not question.inference
        else ""
    )
    if question.inference:
        goal = f"a loss of {question.target:g}" if question.target else "that loss"
        said += f"; how is {goal} reached at least cost if {label(question.inference)} tokens are answered afterwards"
    return f"{said}?"


def _counted(told: list[dict[str, Any]]) -> str:
    counts = [(sum(one["severity"] == s for one in told), s) for s in reversed(SEVERITIES)]
    said = [f"{n} {s}" if s == "severe" or n == 1 else f"{n} {s}s" for n, s in counts if n]
    return " and ".join([", ".join(said[:-1]), said[-1]] if said[1:] else said)


def _decisions(cases, question: Question, asked) -> list[dict[str, Any]]:
    found, mains = [], {name: one for name, own in asked.items() if (one := answers.main(own))}
    for name, own in asked.items():
        for one in own:
            of = f"{name}, {one.case.said}" if one.case.said else name
            found.append(tables.of_decision(one.decision, f"{of}: {one.title}"))
        answer = mains.get(name)
        if answer is None or not answers.splits(answer.case.fit):
            continue
        case = answer.case
        of = f"{name}, {case.said}" if case.said else name
        assert question.compute is not None
        few = answers.thinned(case)
        computes = [float(question.compute * 10**step) for step in answers.DECADES]
        others = [answer if c == question.compute else answers.allocation(few, question, c) for c in computes]
        lines = [(f"{label(c)} FLOP", one.decision) for c, one in zip(computes, others, strict=True)]
        found.append(tables.of_splits(lines, f"{of}: other budgets"))
        if len(cases[name]) > 1:
            others = [
                answer,
                *(answers.allocation(answers.thinned(one), question) for one in cases[name][1:]),
            ]
            lines = [(one.case.said, one.decision) for one in others]
            found.append(tables.of_splits(lines, f"{name}: {answer.title} at each level"))
    several = {name: one for name, one in mains.items() if answers.splits(one.case.fit)}
    if len(several) > 1:
        lines = [(name, one.decision) for name, one in several.items()]
        title = next(iter(several.values())).title
        found.insert(0, tables.of_splits(lines, f"Under each fit: {title}"))
    return found


# ---- Sliders


def _explored(fits, cases, question: Question, asked) -> dict[str, Any]:
    refused = {name: why for name, fit in fits.items() if (why := explore.why_not(fit))}
    refused |= dict.fromkeys(_without_start(fits, refused, question, asked), NO_START)
    said = {why: [n for n in refused if refused[n] == why] for why in refused.values()}
    unset = (
        [f"There are no sliders for {_listed(said.pop(NO_START))}: {NO_START}."] if NO_START in said else []
    )
    unexplored = [f"There are no sliders for {n}: {why}." for why, names in said.items() for n in names]
    taken = [case for name in fits if name not in refused for case in cases[name]]
    if not taken:
        return {"explored": None, "unexplored": unexplored, "unset": unset, "laws": []}
    first = answers.main(asked[taken[0].name])
    assert first is not None
    start = {"C": question.compute, "T": question.inference or 0.0, "U": question.unique or explore.UNIQUE[1]}
    start["loss"] = question.target or round(first.decision.interval("loss")[1], 3)
    laws, data = explore.explored(taken, start, question.at)
    for one in data["cases"]:
        parts = [one["name"] if len(fits) > 1 or not one["levels"] else "", one["levels"]]
        one["title"] = ", ".join(part for part in parts if part)
    for control in data["controls"]:
        control["title"], control["unit"] = CONTROLS[control["name"]]
    kept = sorted({(one["count"], one["of"]) for one in data["cases"] if one["of"] > 1}, reverse=True)
    said = ", or ".join(f"{few} of {all} draws" if few < all else f"{all} draws" for few, all in kept)
    return {
        "explored": {**data, "data": data, "kept": said or "one point"},
        "unexplored": unexplored,
        "unset": unset,
        "laws": laws,
    }


def _without_start(fits, refused, question: Question, asked) -> list[str]:
    """The fits that could have sliders, had these an answer to begin with."""
    amounts = (question.compute, question.target, question.inference, question.unique)
    huge = any(one is not None and one >= explore.MOST for one in amounts)
    return [name for name in fits if name not in refused and (huge or not answers.main(asked[name]))]


# ---- To reproduce it


def _codes(
    fits, question: Question, asked, beside: list[str], command: str | None, file: str
) -> list[dict[str, str]]:
    given = {n: getattr(question, n) for n in ("compute", "target", "inference", "unique")}
    given |= {"at": dict(question.at) or None, **question.levels}
    options = "".join(f", {name}={value!r}" for name, value in given.items() if value is not None)
    options += "".join(f", {name}={name}" for name in beside)
    lines = ["import bayescale as bs", ""]
    for name in fits:
        lines += [f"fit = bs.load('fit.nc')  # {name}", *(one.call for one in asked[name])]
    lines += [f"{name} = bs.load_check('{name}.json')" for name in beside]
    fitted = "fit" if len(fits) == 1 else "fits"
    python = "\n".join([*lines, f"bs.report({fitted}, {file!r}{options})"])
    typed = [{"title": "This report, on the command line", "text": command}] if command else []
    return [*typed, {"title": "This report, in Python", "text": python}]
