"""What `bayescale tasks` said of a suite, as a section of a report: out of what `--json` prints of it."""

from collections.abc import Mapping
from typing import Any

from bayescale.columns import label
from bayescale.page.contents import section
from bayescale.page.tables import table

POINTS = ("CRPS", "MAE", "bias", "its MAE")  # told in points of a hundred
SHARES = ("50%", "90%")


def sections(said: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Its section, if there is one.

    Raises:
        ValueError: it is not what `--json` prints.
    """
    if said is None:
        return []
    try:
        return [_section(said)]
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"this is not what `bayescale tasks --json` prints ({error!r} in it)") from None


def _section(said: Mapping[str, Any]) -> dict[str, Any]:
    verdict = said["verdict"]
    tables = [
        table(
            "Whether there is a law, by the evidence for each kind of answer, all as likely before",
            ["", *verdict["probabilities"]],
            [["probability", *(f"{float(p):.2g}" for p in verdict["probabilities"].values())]],
            str(verdict["said"]),
        )
    ]
    if overlap := said["overlap"]:
        rows = [["overlap", _short(overlap["omega"])], ["tasks", str(overlap["tasks"])]]
        rows += [["worth so many independent ones", _short(overlap["effective"])]]
        rows += [["needed for the error that is wanted", _short(said["budget"]["required"])]]
        rows += [["turn on beyond the largest model", str(len(overlap["unresolved"]))]]
        rows += [
            [f"share of the variance: {name}", f"{max(float(v), 0.0):.0%}"]
            for name, v in overlap["shares"].items()
        ]
        tables.append(
            table("Overlap, of a new model where the forecast is", ["", ""], rows, str(overlap["verdict"]))
        )
        beside = [
            [str(row["quantity"]), str(row["unit"]), *(_short(row[q]) for q in ("low", "median", "high"))]
            for row in overlap["companions"]
        ]
        tables.append(table("The suite", ["", "unit", "5%", "median", "95%"], beside))
    if rows := said["backtest"]:
        headings = list(rows[0])
        cells = [[_cell(name, row[name]) for name in headings] for row in rows]
        caption = "Models beyond each cutoff, forecast from those up to it; errors in points"
        tables.append(table(caption, headings, cells))
    for name, rows in said["left_out"].items():
        headings = ["left out", *list(rows[0])[1:]]
        cells = [[_cell(n, v) for n, v in row.items()] for row in rows]
        tables.append(
            table(f"Of {name} that are left out, from the others; errors in points", headings, cells)
        )
    texts = [str(said["sentence"])]
    texts += [f"{one['code']}: {one['message']}. {one['action']}." for one in said["findings"]]
    ahead = said["forecast"]
    where = ", ".join(f"{name} = {label(float(value))}" for name, value in ahead["at"].items())
    texts.append(f"The forecast is at {where}.")
    if said["untested"]:
        texts.append(f"No back-test: {said['untested']}.")
    return section("tasks", "Task success", texts=texts, tables=tables)


def _short(value: Any) -> str:
    return "–" if value is None else f"{float(value):.3g}"


def _cell(name: str, value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, str):
        return value
    if name in POINTS:
        return f"{100 * float(value):.2f}"
    return f"{float(value):.0%}" if name in SHARES else f"{float(value):.3g}"
