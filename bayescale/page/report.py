"""Report: fits, what they answer and what is to be known of that, as one page that needs nothing else."""

import base64
import hashlib
import importlib.resources
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bayescale import words
from bayescale.check.findings import SEVERITIES, Finding, findings
from bayescale.columns import label
from bayescale.fit import Fit
from bayescale.page import answers, contents, explore, figures
from bayescale.page.answers import Question
from bayescale.page.explore import Case
from bayescale.provenance import version

LARGEST = 5_000_000  # bytes of a page that can be mailed
CONTROLS = {
    "C": ("Compute budget", "FLOP"),
    "loss": ("Target loss", "nats"),
    "T": ("Inference tokens", "tokens"),
    "U": ("Unique tokens", "tokens"),
}


def report(
    fits: Fit | Sequence[Fit] | Mapping[str, Fit],
    file: str | Path,
    *,
    compute: float | None = None,
    target: float | None = None,
    inference: float | None = None,
    unique: float | None = None,
    at: Mapping[str, float] | None = None,
    title: str | None = None,
    comparison: Mapping[str, Any] | None = None,
    backtest: Mapping[str, Any] | None = None,
    command: str | None = None,
    **levels: str,
) -> dict[str, Any]:
    """Write a page with what was asked, the answer, findings, figures, tables and sliders.

    The page is one file: it loads nothing, and runs no script but its own. Where the law is one of loss in N and D,
    its sliders recompute the answer from draws that are in the page.

    Args:
        fits: a fit, several, or name -> fit.
        file: the page to write; a file of that name is replaced.
        compute: the budget asked about, in FLOP; by default ten times the largest run.
        target: a loss to be reached.
        inference: tokens to be answered after training.
        unique: the tokens there are to train on, for a law with repeated data.
        at: further covariates of a law, column -> the value they are held at; by default those of the reference run.
        title: of the page.
        comparison: what `bayescale compare --json` printed, or `words_of_comparisons.of_comparison` of a comparison.
        backtest: what `bayescale backtest --json` printed, or `words_of_comparisons.of_backtest` of a back-test.
        command: the command that made the report, to be printed in it.
        levels: the level of each factor by which parameters differ, as corpus="web"; by default what levels differ
            from.

    Returns:
        What the page says first, as plain values: what was asked, answers, findings, and fits that have not converged.

    Raises:
        ValueError: there is no fit, a level or a number is wrong, or the page would be larger than 5 MB.
        OSError: the file cannot be written.
    """
    named = _named(fits)
    held = dict(at or {})
    question = Question(compute, target, inference, unique or held.pop("U", None), held, levels).of(named)
    page = _page(named, question, title, comparison, backtest, command, Path(file).name)
    text = _rendered(page)
    if (size := len(text.encode())) > LARGEST:
        raise ValueError(f"the page would take {size / 1e6:.1f} MB; take fewer fits into one report")
    Path(file).write_text(text, encoding="utf-8", newline="\n")
    return {name: page[name] for name in ("title", "asked", "answers", "findings", "trouble", "unanswered")}


def _named(fits: Fit | Sequence[Fit] | Mapping[str, Fit]) -> dict[str, Fit]:
    if isinstance(fits, Mapping):
        found = {str(name): fit for name, fit in fits.items()}
    else:
        found = {}
        for fit in [fits] if isinstance(fits, Fit) else fits:
            name, number = fit.model.law.name, 2
            while name in found:
                name, number = f"{fit.model.law.name} {number}", number + 1
            found[name] = fit
    if not found:
        raise ValueError("there is no fit to report; give one or more")
    return found


# ---- The page as plain data


def _page(
    fits: dict[str, Fit],
    question: Question,
    title: str | None,
    comparison,
    backtest,
    command: str | None,
    file: str,
) -> dict[str, Any]:
    cases = {name: explore.cases_of(fit, name, question.levels) for name, fit in fits.items()}
    splitting = [name for name, fit in fits.items() if answers.splits(fit)]
    # A fit that has not converged is not asked.
    asked = {name: answers.allocation(cases[name][0], question) for name in splitting if fits[name].converged}
    told = [*_findings(fits, asked), *_of_checks(comparison, backtest)]
    sources = list(dict.fromkeys(Path(fit.runs.source).name or fit.runs.source for fit in fits.values()))
    laws = list(dict.fromkeys(fit.model.law.name for fit in fits.values()))
    several = len(fits) > 1
    parts = {
        "title": title or f"{_listed(laws)} fitted to {_listed(sources)}",
        "source": "; ".join(_source(fit) for fit in {fit.runs.hash: fit for fit in fits.values()}.values()),
        "trouble": [{"name": n, "text": "; ".join(fit.trouble)} for n, fit in fits.items() if fit.trouble],
        "asked": _asked(fits, question, splitting, cases),
        "answers": [
            {"name": n if several else "", "text": one.sentence, "more": one.more} for n, one in asked.items()
        ],
        "unanswered": [
            f"{n}: a budget cannot be split, because the law {fit.model.law.name} is of {fit.model.law.response} in "
            f"{', '.join(fit.model.law.covariates) or 'no covariate'}."
            for n, fit in fits.items()
            if n not in splitting
        ],
        "counted": _counted(told),
        "findings": told,
        **_explored(fits, cases, question, asked),
        "decisions": _decisions(cases, question, asked),
        "figures": [image for name, fit in fits.items() for image in figures.of_fit(fit, name)],
        "sections": [
            contents.section("fits", "Fits", tables=[contents.of_fits(fits)]),
            contents.parameters(fits),
            contents.runs(fits),
            *_sections_of_checks(comparison, backtest),
            contents.methods(fits),
            contents.reproduction(fits, _codes(fits, question, asked, command, file)),
        ],
    }
    own = {"answer": "Answer" if parts["answers"] else "Question", "findings": "Findings"}
    own |= {"explore": "Sliders"} if parts["explored"] else {}
    own |= {name: name.capitalize() for name in ("decisions", "figures") if parts[name]}
    return parts | {"contents": [*own.items(), *((one["id"], one["title"]) for one in parts["sections"])]}


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _source(fit: Fit) -> str:
    return f"{len(fit.runs)} runs of {Path(fit.runs.source).name}, {fit.runs.kind} {label(np.min(fit.runs.response))} to {label(np.max(fit.runs.response))}"


def _asked(fits, question: Question, splitting: list[str], cases: dict[str, list[Case]]) -> str:
    if not splitting:
        return "What the fits say of the runs; no budget can be split with their laws."
    said = f"How should {label(question.compute)} FLOP be split between parameters and training tokens"
    levels = [one for one in dict.fromkeys(cases[name][0].said for name in splitting) if one]
    said += f", {' or '.join(levels)}" if levels else ""
    held = {c: v for name in splitting for c, v in answers.held(cases[name][0], question).items()}
    said += "".join(f", with {c} = {label(v)}" for c, v in held.items() if c != "U" or question.unique)
    return f"{said}?"


def _findings(fits: dict[str, Fit], asked) -> list[dict[str, Any]]:
    found: dict[Finding, list[str]] = {}
    for name, fit in fits.items():
        own = asked[name].decision.findings if name in asked else ()
        for finding in dict.fromkeys([*findings(fit), *own]):
            found.setdefault(finding, []).append(name)
    return [
        _told(words.plain(vars(finding)), ", ".join(names) if len(fits) > 1 else "")
        for finding, names in sorted(found.items(), key=lambda pair: -SEVERITIES.index(pair[0].severity))
    ]


def _told(finding: Mapping[str, Any], of: str) -> dict[str, Any]:
    number = finding.get("number")
    severity = finding.get("severity")
    return {
        "code": str(finding.get("code", "")),
        "severity": severity if severity in SEVERITIES else SEVERITIES[0],  # it becomes a class of the page
        "message": str(finding.get("message", "")).rstrip("."),
        "action": str(finding.get("action", "")).rstrip("."),
        "number": "" if number is None else label(float(number)),
        "of": of,
    }


def _counted(told: list[dict[str, Any]]) -> str:
    counts = [(sum(one["severity"] == s for one in told), s) for s in reversed(SEVERITIES)]
    said = [f"{n} {s}" if s == "severe" or n == 1 else f"{n} {s}s" for n, s in counts if n]
    return f"{len(told)} in all: {', '.join(said)}." if told else ""


def _decisions(cases, question: Question, asked) -> list[dict[str, Any]]:
    tables, budget = [], label(question.compute) if question.compute else ""
    for name, answer in asked.items():
        case = answer.case
        of = f"{name}, {case.said}" if case.said else name
        tables.append(answers.table_of(answer, f"{of}: the best split of {budget} FLOP"))
        few = answers.thinned(case)
        computes = [float(question.compute * 10**step) for step in answers.DECADES]
        others = [answer if c == question.compute else answers.allocation(few, question, c) for c in computes]
        lines = [(f"{label(c)} FLOP", one) for c, one in zip(computes, others, strict=True)]
        tables.append(answers.table_of_splits(lines, f"{of}: other budgets"))
        if len(cases[name]) > 1:
            others = [
                answer,
                *(answers.allocation(answers.thinned(one), question) for one in cases[name][1:]),
            ]
            lines = [(one.case.said, one) for one in others]
            tables.append(answers.table_of_splits(lines, f"{name}: {budget} FLOP at each level"))
    if len(asked) > 1:
        tables.insert(0, answers.table_of_splits(asked.items(), f"{budget} FLOP under each fit"))
    return tables


# ---- Sliders


def _explored(fits, cases, question: Question, asked) -> dict[str, Any]:
    refused = {name: why for name, fit in fits.items() if (why := explore.why_not(fit))}
    unexplored = [f"There are no sliders for {name}: {why}." for name, why in refused.items()]
    taken = [case for name in fits if name not in refused for case in cases[name]]
    if not taken:
        return {"explored": None, "unexplored": unexplored, "laws": []}
    first = asked[taken[0].name].decision  # whatever has sliders has an answer
    start = {"C": question.compute, "T": question.inference or 0.0, "U": question.unique or explore.UNIQUE[1]}
    start["loss"] = question.target or round(first.interval("loss")[1], 3)
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
        "laws": laws,
    }


# ---- What checks said, as `--json` prints it


def _of_checks(comparison, backtest) -> list[dict[str, Any]]:
    pairs = (("the comparison", comparison), ("the back-test", backtest))
    return [_told(one, of) for of, said in pairs for one in (said or {}).get("findings", ())]


def _sections_of_checks(comparison, backtest) -> list[dict[str, Any]]:
    found = []
    if comparison:
        rows = [[str(one["model"]), _number(one["log_evidence"], 2), _number(one["error"], 2), _number(one["probability"], 3),
                 _number(one.get("stacking"), 2), "; ".join(one.get("trouble") or ())] for one in comparison["models"]]  # fmt: skip
        headings = ["model", "log evidence", "error", "probability", "stacking weight", "in doubt"]
        tables = [
            contents.table("Log marginal likelihood in nats, all models as likely before", headings, rows)
        ]
        support = [
            f"Without {left_out}: {one['said']}" for left_out, one in comparison.get("support", {}).items()
        ]
        lists = [{"title": "Without some of the runs", "items": support}] if support else []
        found.append(
            contents.section(
                "comparison", "Comparison of laws", texts=[comparison["verdict"]], tables=tables, lists=lists
            )
        )
    if backtest:
        from bayescale.words_of_comparisons import BACKTEST, cells

        def rows_of(part):
            return [list(cells(_whole(row))) for row in (part["total"], *part["by_gap"])]

        tables = [
            contents.table("Forecasts of the runs that were held out", list(BACKTEST), rows_of(backtest))
        ]
        if backtest.get("with_drift"):
            tables.append(
                contents.table("The same with a drift", list(BACKTEST), rows_of(backtest["with_drift"]))
            )
        found.append(contents.section("backtest", "Back-test", texts=[backtest["verdict"]], tables=tables))
    return found


def _number(value: Any, digits: int) -> str:
    return "–" if value is None else f"{float(value):.{digits}f}"


def _whole(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row with the numbers that JSON has as null."""
    return {
        k: _whole(v) if isinstance(v, Mapping) else float("nan") if v is None else v for k, v in row.items()
    }


# ---- To reproduce it


def _codes(fits, question: Question, asked, command: str | None, file: str) -> list[dict[str, str]]:
    given = {"compute": question.compute, "target": question.target, "inference": question.inference}
    given |= {"unique": question.unique, "at": dict(question.at) or None, **question.levels}
    options = "".join(f", {name}={value!r}" for name, value in given.items() if value is not None)
    one = next(iter(asked.values()), None)
    lines = ["import bayescale as bs", "", *(f"# fit: {name}" for name in fits), "fit = bs.load('fit.nc')"]
    lines += [one.call] if one else []
    python = "\n".join([*lines, f"bs.report(fit, {file!r}{options})"])
    typed = [{"title": "This report, on the command line", "text": command}] if command else []
    return [*typed, {"title": "This report, in Python", "text": python}]


# ---- As HTML


def _rendered(page: dict[str, Any]) -> str:
    import jinja2
    from markupsafe import Markup

    def file(name: str) -> str:
        return importlib.resources.files(__package__).joinpath(name).read_text(encoding="utf-8")

    script = f"'use strict';\n(() => {{\nconst LAWS = [{','.join(page['laws'])}];\n{file('optimum.js')}\n{file('report.js')}}})();"
    css = file("report.css")
    # No script and no style but these two, no address but images inside the page.
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(css)}'; img-src data:; base-uri 'none'; "
        "form-action 'none'"
    )
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=False)
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False}
    return environment.from_string(file("report.html")).render(
        {
            **page,
            "policy": policy,
            "script": Markup(script),  # noqa: S704
            "css": Markup(css),
            "version": version("bayescale"),
        }
    )


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
