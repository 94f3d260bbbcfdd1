"""What a comparison of laws and a back-test said, as sections of a report: out of what `--json` prints of them."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from bayescale.check.findings import SEVERITIES
from bayescale.columns import label
from bayescale.page.contents import section
from bayescale.page.tables import table
from bayescale.words_of_comparisons import BACKTEST, cells

Said = Mapping[str, Any] | None


def findings(comparison: Said, backtest: Said) -> list[dict[str, Any]]:
    """Their findings, as those of a fit."""
    pairs = (("the comparison", comparison), ("the back-test", backtest))
    return [told(one, of) for of, said in pairs for one in (said or {}).get("findings", ())]


def told(finding: Mapping[str, Any], of: str, names: Collection[str] = ()) -> dict[str, Any]:
    """A finding as texts; `of` says what it is about, and `names` are words that keep their small letters."""
    message = str(finding.get("message", "")).rstrip(".")
    if message.partition(" ")[0] not in names:
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


def sections(comparison: Said, backtest: Said) -> list[dict[str, Any]]:
    """Their sections.

    Raises:
        ValueError: one of them is not what `--json` prints.
    """
    found = []
    for said, verb, of in ((comparison, "compare", _comparison), (backtest, "backtest", _backtest)):
        if said is not None:
            found.append(_read(said, verb, of))
    return found


def _read(said: Mapping[str, Any], verb: str, of: Callable) -> dict[str, Any]:
    try:
        if not all(isinstance(one, Mapping) for one in said.get("findings", ())):
            raise TypeError("findings")
        return of(said)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"this is not what `bayescale {verb} --json` prints ({error!r} in it)") from None


def _comparison(said: Mapping[str, Any]) -> dict[str, Any]:
    rows = []
    for one in said["models"]:
        numbers = [_number(one[name], digits) for name, digits in (("log_evidence", 2), ("error", 2))]
        numbers += [_number(one.get(name), 2) for name in ("probability", "stacking")]
        rows.append([str(one["model"]), *numbers, "; ".join(map(str, one.get("trouble") or ()))])
    headings = ["model", "log evidence", "error", "probability", "stacking weight", "in doubt"]
    whole = table("Log marginal likelihood in nats, all models as likely before", headings, rows)
    support = [f"Without {left_out}: {one['said']}" for left_out, one in said.get("support", {}).items()]
    lists = [{"title": "Without some of the runs", "items": support}] if support else []
    return section(
        "comparison", "Comparison of laws", texts=[str(said["verdict"])], tables=[whole], lists=lists
    )


def _backtest(said: Mapping[str, Any]) -> dict[str, Any]:
    def scored(caption: str, part: Mapping[str, Any]) -> dict[str, Any]:
        rows = [list(cells(_whole(row))) for row in (part["total"], *part["by_gap"])]
        return table(caption, list(BACKTEST), rows)

    tables = [scored("Forecasts of the runs that were held out", said)]
    if drift := said.get("with_drift"):
        tables.append(scored("The same with a drift", drift))
    return section("backtest", "Back-test", texts=[str(said["verdict"])], tables=tables)


def _number(value: Any, digits: int) -> str:
    return "–" if value is None else f"{float(value):.{digits}f}"


def _whole(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row with the numbers that JSON has as null."""
    whole = {k: _whole(v) if isinstance(v, Mapping) else v for k, v in row.items()}
    return {k: float("nan") if v is None else v for k, v in whole.items()}
