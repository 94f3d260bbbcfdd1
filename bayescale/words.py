"""What the command line says of laws, fits and predictions, as plain values."""

import inspect
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from bayescale import models
from bayescale.check.as_data import plain
from bayescale.check.record import Record
from bayescale.columns import label
from bayescale.fit import Fit
from bayescale.forecast import complete
from bayescale.infer.study import Quantity, Study
from bayescale.intervals import Interval
from bayescale.law import Law
from bayescale.priors import prior_in_words
from bayescale.quantiles import Number

COMPUTE = ("C", "N", "D")  # what a forecast goes beyond: compute where it is known


def laws() -> list[dict[str, Any]]:
    """Every law in a line."""
    return [law(models.load(name), short=True) for name in models.names()]


def law(one: Law, *, short: bool = False) -> dict[str, Any]:
    """A law: its formula, covariates, parameters, priors and source."""
    text = inspect.cleandoc(getattr(one.mean, "__globals__", {}).get("__doc__") or "")
    formula = next((line.strip() for line in text.splitlines() if line.startswith("    ")), "")
    found: dict[str, Any] = {
        "name": one.name,
        "response": one.response,
        "covariates": ", ".join(one.covariates) or "-",
        "parameters": ", ".join(one.parameters),
        "formula": formula,
    }
    if short:
        return found
    priors = {name: prior_in_words(prior) for name, prior in one.priors.items()}
    return {**found, "text": text, "priors": priors, "source": one.source}


def describe(one: Mapping[str, Any]) -> str:
    """A law as a page of text."""
    priors = [f"  {name:<9} {prior}" for name, prior in one["priors"].items()]
    head = "priors, where the reference run is 1 and so is the least response measured:"
    return "\n".join([one["name"], "", one["text"], "", head, *priors, "", f"source: {one['source']}"])


def of_fit(fit: Fit) -> dict[str, Any]:
    """A fit for JSON: nothing that is not a number or a text, and null for what is not known."""
    summary = fit.summary().to_dict()
    stats = {name: value for name, value in fit.stats.items() if not isinstance(value, np.ndarray)}
    return plain(
        {
            **summary,
            "converged": fit.converged,
            "method": fit.method,
            "notes": fit.runs.notes,
            "effects": [effect.by for effect in fit.model.effects or ()],
            "runs_hash": fit.runs.hash,
            "stats": stats,
        }
    )


def of_study(
    study: Study, quantities: Mapping[str, Quantity], *, kind: str, level: float
) -> list[dict[str, Any]]:
    """Estimate, standard error and interval of quantities, each but the first with its Monte-Carlo error."""
    rows = []
    for name, quantity in quantities.items():
        refused = None
        try:
            interval = study.interval(quantity, kind=kind, level=level)
        except ValueError as error:  # of this quantity; the others have theirs
            unknown = Number(math.nan, math.nan)
            interval, refused = Interval(unknown, unknown, level, kind), str(error)
        (median,) = study.quantiles(quantity, [0.5])
        rows.append(
            {
                "quantity": name,
                "estimate": study.estimate(quantity),
                "standard_error": study.describe(quantity).sd._asdict(),
                "low": interval.low._asdict(),
                "median": median._asdict(),
                "high": interval.high._asdict(),
                "left_out": interval.left_out,
                "refused": refused,
            }
        )
    return rows


def with_error(value: Mapping[str, float]) -> str:
    """A number and its Monte-Carlo error, to the digits that the error leaves."""
    number, error = value["value"], value["error"]
    if not math.isfinite(number):
        return str(number)
    if not (math.isfinite(error) and error > 0):
        return f"{number:.4g}"
    digits = max(2, math.floor(math.log10(abs(number) / error)) + 2) if number else 2
    return f"{number:.{min(digits, 8)}g} ± {error:.1g}"


def of_findings(findings: Iterable) -> list[dict[str, Any]]:
    """Findings for JSON."""
    return [plain(vars(finding)) for finding in findings]


def of_predictions(
    fit: Fit, columns: Mapping[str, Sequence[float]], draws: np.ndarray, record: Record | None = None
) -> list[dict[str, Any]]:
    """The quantiles of predictions, how far beyond the runs each point lies, and what a back-test says of that."""
    completed = {c: np.atleast_1d(v) for c, v in complete(columns).items()}
    rows = []
    for i in range(draws.shape[1]):
        q5, q50, q95 = np.quantile(draws[:, i], [0.05, 0.5, 0.95]).tolist()
        point = ", ".join(f"{c} = {label(v[i])}" for c, v in columns.items())
        beyond = beyond_runs(fit, {c: float(v[i]) for c, v in completed.items()})
        # A point fit has no spread: one number is no interval.
        low, high = (q5, q95) if len(draws) > 1 else (math.nan, math.nan)
        at = {c: float(v[i]) for c, v in columns.items()}
        rows.append({"point": point, **at, "q5": low, "q50": q50, "q95": high, "beyond": beyond})
    if record:
        for row, gap in zip(rows, record.gap(fit, columns).tolist(), strict=True):
            row["tested"] = record.said(gap) if gap > 0 else "among the runs, where nothing drifts"
    return rows


def beyond_runs(fit: Fit, point: Mapping[str, float]) -> str:
    """How many decades a point lies beyond the largest run."""
    for name in COMPUTE:
        if name in point and name in fit.runs.columns:
            decades = math.log10(point[name] / float(np.max(np.asarray(fit.runs.columns[name]))))
            return f"{decades:.1f} decades of {name}" if decades > 0 else "no"
    return "unknown"
