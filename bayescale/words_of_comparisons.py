"""What the command line and a report say of comparisons and back-tests, out of plain values: the cells of tables."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

Said = Mapping[str, Any]
MODELS = ("model", "log evidence", "error", "behind", "probability", "BIC", "AIC")
BACKTEST = ("forecasts", "n", "CRPS", "bias", "50%", "90%", "width", "best baseline", "its CRPS", "skill")
UNTOLD = ("priors", "prior_sensitivity", "findings")  # of JSON, what has no place in a row


def of_models(found: Said) -> list[tuple[str, ...]]:
    """The candidates of a comparison, as what a table prints under `MODELS`."""
    return [
        (
            one["model"],
            "in doubt" if one["trouble"] else f"{one['log_evidence']:.2f}",
            _digits(one["error"], ".2g"),
            "-" if one["trouble"] else f"{one['behind']:.2f}",
            *(
                _digits(one[name], form)
                for name, form in (("probability", ".2g"), ("bic", ".1f"), ("aic", ".1f"))
            ),
        )
        for one in found["models"]
    ]


def of_left_out(found: Said) -> tuple[list[str], list[tuple[str, ...]]]:
    """How the candidates predict what they are not shown: headings and rows; no headings where nothing was left out."""
    units = found["models"][0]["left_out"]
    headings = ["model", "stacking weight", *(one["of"] for one in units.values())] if units else []
    return headings, [
        (
            one["model"],
            _digits(one["stacking"], ".2f"),
            *(_left_out(one["left_out"][unit]) for unit in units),
        )
        for one in found["models"]
    ]


def _left_out(row: Said) -> str:
    told = f"{_digits(row['behind'], '.1f')} ± {_digits(row['error'], '.1f')}"
    if not row["behind"]:  # of the first itself
        told = f"{_digits(row['log_score'], '.1f')} in all"
    return told + ("?" if row["doubtful"] else "")


def _digits(value: float | None, form: str) -> str:
    return "-" if value is None or not np.isfinite(value) else f"{value:{form}}"


def cells(row: Said) -> tuple[str, ...]:
    """A row of a back-test, as what a table prints under `BACKTEST`."""
    baseline = row["best_baseline"]
    return (
        row["forecasts"],
        str(row["count"]),
        f"{row['crps']:.4f}",
        f"{row['bias']:+.4f}",
        f"{row['cover50']:.0%}",
        f"{row['cover90']:.0%}",
        f"{row['width90']:.3f}",
        baseline["name"],
        f"{baseline['crps']:.4f}",
        # What is of one run, or of one level, has no error to be told.
        f"{row['skill']:+.2f}"
        + (f" ± {row['skill_error']:.2f}" if np.isfinite(row["skill_error"]) else " ± ?"),
    )


def rows_of(found: Said) -> list[dict[str, Any]]:
    """The rows of a comparison, of a back-test or of a relevance, for CSV: by the names that they have in JSON."""
    match found["of"]:
        case "comparison":
            return [_told(one) for one in found["models"]]
        case "backtest":
            return [{"table": name, **row} for name, row in _tables(found)]
    parts = {name: _told(found[name]) for name in ("without", "within")}
    return [{**_told(found), **parts}]


def _told(row: Said) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in (*UNTOLD, "of")}


def _tables(found: Said) -> Iterator[tuple[str, Said]]:
    yield "total", found["total"]
    for name in ("by_gap", "by_fold"):
        yield from ((name, row) for row in found[name])
    if drift := found["with_drift"]:
        yield "with_drift.total", drift["total"]
        yield from (("with_drift.by_gap", row) for row in drift["by_gap"])
