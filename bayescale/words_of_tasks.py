"""What the command line and a report say of a suite of tasks, as plain values."""

from typing import TYPE_CHECKING, Any

from bayescale import words

if TYPE_CHECKING:
    from bayescale.check.forecasts import Row
    from bayescale.tasks.assess import Assessment
    from bayescale.tasks.plateau import Plateau

BACKTEST = (
    "from models",
    "forecasts",
    "CRPS",
    "skill",
    "error",
    "MAE",
    "bias",
    "50%",
    "90%",
    "best baseline",
    "its MAE",
)


def described(found: "Assessment") -> dict[str, Any]:
    """An assessment for JSON."""
    told, ahead = found.verdict, found.forecast
    low, middle, high = ahead.interval()[:, -1].tolist()
    said: dict[str, Any] = {
        "sentence": found.sentence,
        "predictable": found.predictable,
        "why_not": list(found.why),
        "models": len(found.scores),
        "notes": list(found.scores.notes),
        "verdict": {
            "kind": told.kind,
            "said": str(told),
            "probabilities": dict(told.probabilities),
            "width": told.width.tolist(),
            "best_above_chance": told.best,
        },
        "plateau": None if found.plateau is None else _plateau(found.plateau),
        "budget": {"required": found.budget.required, "most_overlap": found.budget.most},
        "overlap": None,
        "forecast": {
            "at": {c: float(v[-1]) for c, v in ahead.points.items()},
            "low": low,
            "median": middle,
            "high": high,
            "weights": ahead.weights,
            "drift": ahead.drift,
            "refused": ahead.refused,
            "rival": ahead.rival,
            "rival_interval": ahead.rival_interval[:, -1].tolist(),
            "doubt": list(ahead.doubt),
        },
        "backtest": [],
        "untested": found.untested,
        "left_out": {
            name: [_row(row) for row in (*one.by_fold, one.total)] for name, one in found.left_out.items()
        },
        "findings": words.of_findings(found.findings),
    }
    if found.overlap is not None:
        one = found.overlap
        said["overlap"] = {
            "tasks": one.tasks,
            "omega": one.omega,
            "effective": one.effective,
            "shares": one.shares,
            "unresolved": list(found.unresolved),
            "companions": found.companions.rows() if found.companions is not None else [],
            "verdict": one.verdict,
        }
    if found.backtest is not None:
        rows = (*found.backtest.backtest.by_fold, found.backtest.backtest.total)
        said["backtest"] = [_row(row) for row in rows]
        said["by_gap"] = [_row(row) for row in found.backtest.backtest.by_gap]
    return said


def _plateau(found: "Plateau") -> dict[str, Any]:
    numbers = {"rise": found.rise, "before": found.before, "slowed": found.slowed}
    return {"flagged": found.flagged, "said": str(found)} | {n: list(v) for n, v in numbers.items()}


def _row(row: "Row") -> dict[str, Any]:
    ours = row.ours
    values = (
        row.said,
        ours.count,
        ours.crps,
        row.skill,
        row.error,
        ours.error,
        ours.bias,
        ours.cover50,
        ours.cover90,
    )
    return dict(zip(BACKTEST, (*values, row.rival, row.theirs.error), strict=True))
