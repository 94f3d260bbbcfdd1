"""Report: fits, what they answer and what is to be known of that, as one page that needs nothing else."""

import base64
import hashlib
import importlib.resources
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax

from bayescale import files
from bayescale.check.backtested import Backtest
from bayescale.check.compared import Comparison
from bayescale.check.findings import Finding
from bayescale.fit import Fit
from bayescale.page.answers import BOUNDS, Question
from bayescale.page.parts import parts
from bayescale.provenance import version

FIRST = (
    *(
        "title",
        "asked",
        "answers",
        "warned",
        "numbers",
        "counted",
        "findings",
        "unchecked",
        "trouble",
        "unanswered",
    ),
)
FOLDED = 4_000_000  # bytes of a page that has room for figures that are folded
LARGEST = 5_000_000  # bytes of a page that can be mailed


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
    comparison: Comparison | Mapping[str, Any] | None = None,
    backtest: Backtest | Mapping[str, Any] | None = None,
    tasks: Mapping[str, Any] | None = None,
    checked: Mapping[str, Iterable[Finding]] | None = None,
    deep: bool = True,
    seed: int = 0,
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
        comparison: of laws for the same runs; or what `bayescale compare -o` wrote, as `load_check` gives it.
        backtest: of a law on the same runs; or what `bayescale backtest -o` wrote, in the same way.
        tasks: what `bayescale tasks --json` printed.
        checked: name of a fit -> its findings, such as `all_findings` gives; by default they are found here.
        deep: whether to look for those too that take refits, some seconds to a minute for each fit; the page says
            where that was left out.
        seed: of the refits.
        command: the command that made the report, to be printed in it.
        levels: the level of each factor by which parameters differ, as corpus="web"; by default what levels differ
            from.

    Returns:
        What the page says first, as plain values: what was asked, the answers in words and in numbers, findings, and
        fits that have not converged.

    Raises:
        ValueError: there is no fit, a level or a number is wrong, or the page would be larger than 5 MB.
        OSError: the file cannot be written.
    """
    held = dict(at or {})
    question = Question(compute, target, inference, unique or held.pop("U", None), held, levels)
    given = {
        "title": title,
        "comparison": comparison.to_dict() if isinstance(comparison, Comparison) else comparison,
        "backtest": backtest.to_dict() if isinstance(backtest, Backtest) else backtest,
        "tasks": tasks,
        "checked": checked,
        "key": jax.random.key(seed) if deep else None,
        "command": command,
    }
    return write(fits, file, question, **given)


def write(
    fits: Fit | Sequence[Fit] | Mapping[str, Fit], file: str | Path, question: Question, **given: Any
) -> dict[str, Any]:
    """Write a page; `given` is the rest of what `report` takes."""
    named = _named(fits)
    page = parts(named, question.of(named), file=Path(file).name, **given)
    text = _rendered(page)
    # What few would unfold is left out first, and then all but the first figure of a fit and the last.
    for most, spared in ((FOLDED, lambda one: one.get("folded")), (LARGEST, lambda one: one.get("rank"))):
        if len(text.encode()) > most and any(map(spared, page["figures"])):
            page["spared"] += sum(map(bool, map(spared, page["figures"])))
            page["figures"] = [one for one in page["figures"] if not spared(one)]
            text = _rendered(page)
    if (size := len(text.encode())) > LARGEST:
        raise ValueError(f"the page would take {size / 1e6:.1f} MB; take fewer fits into one report")
    files.put(file, text)
    return {name: page[name] for name in FIRST}


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


def _rendered(page: dict[str, Any]) -> str:
    import jinja2
    from markupsafe import Markup

    def file(name: str) -> str:
        return importlib.resources.files(__package__).joinpath(name).read_text(encoding="utf-8")

    least, most = BOUNDS
    laws = f"const LEAST_N = {least!r}, MOST_N = {most!r}, LAWS = [{','.join(page['laws'])}];"
    script = "\n".join(["'use strict';", "(() => {", laws, file("optimum.js"), file("report.js"), "})();"])
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
            "script": Markup(script),
            "css": Markup(css),
            "version": version("bayescale"),
        }
    )


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
