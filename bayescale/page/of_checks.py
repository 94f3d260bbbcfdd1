"""What a comparison of laws and a back-test said, as sections of a report: out of the plain values of them."""

from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from bayescale.check.as_data import of_runs
from bayescale.check.findings import SEVERITIES
from bayescale.columns import label
from bayescale.fit import Fit
from bayescale.page import figures
from bayescale.page.contents import section
from bayescale.page.tables import table
from bayescale.words_of_comparisons import BACKTEST, MODELS, cells, of_left_out, of_models, rows_of

Said = Mapping[str, Any] | None


def findings(comparison: Said, backtest: Said) -> list[dict[str, Any]]:
    """Their findings, as those of a fit."""
    pairs = (("the comparison", comparison), ("the back-test", backtest))
    names = {str(one["model"]).partition(" ")[0] for one in (comparison or {}).get("models", ())}
    return [told(one, of, names) for of, said in pairs for one in (said or {}).get("findings", ())]


def told(finding: Mapping[str, Any], of: str, names: Collection[str] = ()) -> dict[str, Any]:
    """A finding as texts; `of` says what it is about, and `names` are words that keep their small letters."""
    message = str(finding.get("message", "")).rstrip(".")
    if message.partition(" ")[0].rstrip(":") not in names:
        message = message[:1].upper() + message[1:]
    number, severity = finding.get("number"), finding.get("severity")
    return {
        "code": str(finding.get("code", "")),
        "severity": severity if severity in SEVERITIES else SEVERITIES[0],  # it becomes a class of the page
        "message": message,
        "action": str(finding.get("action", "")).rstrip("."),
        "number": "" if number is None else label(float(number)),
        "of": of,
    }


def sections(comparison: Said, backtest: Said, fits: Mapping[str, Fit]) -> list[dict[str, Any]]:
    """Their sections, with figures; `fits` are those of the report, of whose runs they should be.

    Raises:
        ValueError: one of them is not what `-o` writes.
    """
    found = []
    for said, verb, of in ((comparison, "compare", _comparison), (backtest, "backtest", _backtest)):
        if said is not None:
            found.append(_read(said, verb, of, fits))
    return found


def _read(said: Mapping[str, Any], verb: str, of: Callable, fits: Mapping[str, Fit]) -> dict[str, Any]:
    try:
        if not all(isinstance(one, Mapping) for one in said.get("findings", ())):
            raise TypeError("findings")
        found, done = of(said), "Compared" if verb == "compare" else "Tested"
        found["texts"].append(f"{done} on {_of_runs(said['runs'], fits)}")
        return found
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"this is not what `bayescale {verb} -o` writes ({error!r} in it)") from None


def _of_runs(said: Mapping[str, Any], fits: Mapping[str, Fit]) -> str:
    """Of which runs it is, and where these are others than those of the fits."""
    same = any(of_runs(fit.runs)["hash"] == said["hash"] for fit in fits.values())
    other = "" if same else " These are other runs than those of this report."
    return f"{said['count']} runs of {Path(said['source']).name}.{other}"


def _comparison(said: Mapping[str, Any]) -> dict[str, Any]:
    headings, rows = MODELS, of_models(said)
    troubles = {one["model"]: "; ".join(map(str, one["trouble"])) for one in said["models"] if one["trouble"]}
    note = " ".join(f"{name} is in doubt: {why}." for name, why in troubles.items())
    title = "Log marginal likelihood in nats, all models as likely before"
    tables = [table(title, headings, rows, note, data=rows_of(said))]
    headings, rows = of_left_out(said)
    if headings:
        title = "Log predictive density of what was left out, in nats behind the first model"
        note = "± is the standard error; ? stands where some densities are in doubt."
        tables.append(table(title, headings, rows, note, data=rows_of(said)))
    support = [f"Without {left_out}: {one['said']}" for left_out, one in said["support"].items()]
    lists = [{"title": "Without the ends of the design", "items": support}] if support else []
    texts = [f"{said['verdict']}."]
    drawn = figures.of_comparison(said)
    return section("comparison", "Comparison of laws", texts=texts, figures=drawn, tables=tables, lists=lists)


def _backtest(said: Mapping[str, Any]) -> dict[str, Any]:
    def scored(
        caption: str, part: Mapping[str, Any], more: Iterable[Mapping[str, Any]] = ()
    ) -> dict[str, Any]:
        rows = [list(cells(_whole(row))) for row in (part["total"], *part["by_gap"], *more)]
        return table(caption, list(BACKTEST), rows, data=rows_of(said))

    tables = [scored("Forecasts of the runs that were held out", said, said["by_fold"])]
    if drift := said["with_drift"]:
        tables.append(scored(f"The same with a drift of {said['drift']:.3g} a decade", drift))
    drawn = figures.of_backtest(said)
    return section("backtest", "Back-test", texts=[f"{said['verdict']}."], figures=drawn, tables=tables)


def _whole(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row with the numbers that JSON has as null."""
    whole = {k: _whole(v) if isinstance(v, Mapping) else v for k, v in row.items()}
    return {k: float("nan") if v is None else v for k, v in whole.items()}
