"""How far a decision lies outside the runs, and the findings that say so."""

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

from bayescale.check.backtested import SHORT
from bayescale.check.findings import Finding, sorted_by_severity
from bayescale.check.published import rounded
from bayescale.check.record import Record
from bayescale.columns import label
from bayescale.decide.decision import Decision
from bayescale.decide.surface import FLOP, Surface
from bayescale.fit import Fit
from bayescale.law import Law

FAR, TOO_FAR = 1.0, 2.0  # decades of compute beyond the runs
OVERTRAINED = np.log10(3.0)  # decades of D/N outside the runs: a factor of three
LIKELY = 0.5  # a target that is less likely to be within reach than not has no finite median answer
TESTED = (
    "compute_optimal",
    "compute_for",
    "data_for",
    "params_for",
    "predict_loss",
)  # these take a back-test
FARTHEST = 12.0  # decades beyond the runs that are looked at for a target: what lies farther is out of reach
DRAWS, RUNS = 500, 200  # a standard deviation of so many draws is good to 3%

UNITS = {
    "N": "parameters",
    "D": "tokens",
    "U": "tokens",
    "C": "FLOP",
    "D/N": "tokens for each parameter",
    "loss": "nats for each token",
    "excess loss": "nats for each token",
    "difference": "nats for each token",
}


def decision(
    question: str,
    surface: Surface,
    asked: Mapping[str, float | str],
    draws: Mapping[str, np.ndarray],
    point: Mapping[str, npt.ArrayLike],
    *,
    choice: Mapping[str, float | str] | None = None,
    regret: np.ndarray | None = None,
    units: Mapping[str, str] | None = None,
    findings: tuple[Finding, ...] = (),
    record: Record | None = None,
) -> Decision:
    """The decision, with what there is to say of where it lies.

    Args:
        question: the function that was asked.
        surface: the law that answered; what it holds is added to what was asked.
        asked: what was given.
        draws: quantity -> (draws,).
        point: where the law was asked, covariate -> a number or (draws,).
        choice: what to do.
        regret: what it wastes, (draws,).
        units: of quantities that have names of their own.
        findings: more of them.
        record: of the back-test whose drift the answer has.
    """
    far = beyond(surface.fit, {**surface.at, **point})
    every = {**UNITS, **(units or {})}
    return Decision(
        question=question,
        asked={**asked, **surface.asked},
        draws=dict(draws),
        units={name: every.get(name, "") for name in (*draws, *(choice or {}))},
        beyond=far,
        choice=dict(choice or {}),
        regret=regret,
        findings=sorted_by_severity(
            [
                *_extrapolated(question, surface, far, point, record),
                *_overtrained(surface.fit, far),
                *rounded(surface.fit),
                *findings,
            ]
        ),
        trouble=surface.fit.trouble,
    )


def beyond(fit: Fit, point: Mapping[str, npt.ArrayLike]) -> dict[str, float]:
    """The decades by which a point lies outside the range of the runs, in each covariate and in C and D/N.

    Args:
        fit: the fit.
        point: covariate -> a number or (draws,), of which the median counts; infinite draws are the largest.

    Returns:
        0 inside the range; infinite where the median is, which is out of reach; nan where nothing is known of
        the runs or of the point.
    """
    of_runs = _derived({c: np.asarray(v, float) for c, v in fit.runs.columns.items()})
    of_point = _derived({c: np.asarray(v, float) for c, v in point.items()})
    return {c: _outside(of_point[c], of_runs[c]) for c in of_point if c in of_runs}


def unreachable(answer: np.ndarray, record: Record | None = None) -> tuple[Finding, ...]:
    """UNREACHABLE, where in some draws the answer to a target is infinite; (draws,), nan where it is not known.

    With the drift of a back-test it depends on how far out one looks, which is said.
    """
    known = answer[~np.isnan(answer)]
    share = float(np.mean(known < np.inf)) if len(known) else 1.0
    if share == 1:
        return ()
    return (
        Finding(
            "UNREACHABLE",
            "severe" if share < LIKELY else "warning",
            f"the probability that what is asked can be reached at all is {share:.3g}",
            share,
            "Ask for a loss farther above the floor of the law, or add runs that tell where the floor is"
            if record is None or not record.drift
            else f"With the drift this is of {FARTHEST:g} decades beyond the runs, and would be another of fewer or "
            "more: ask for a loss that is nearer, or add larger runs",
        ),
    )


def _derived(columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    if {"N", "D"} <= set(columns):
        with np.errstate(invalid="ignore"):
            columns = {"C": FLOP * columns["N"] * columns["D"]} | columns
            columns["D/N"] = columns["D"] / columns["N"]
    return columns


def _outside(point: np.ndarray, runs: np.ndarray) -> float:
    point = point[point > 0]  # what is not known, nan, is not
    if not (point.size and runs.size and (runs > 0).all()):
        return float("nan")
    middle = np.log10(np.median(point))
    return float(max(middle - np.log10(runs.max()), np.log10(runs.min()) - middle, 0.0))


def _extrapolated(
    question: str,
    surface: Surface,
    far: Mapping[str, float],
    point: Mapping[str, npt.ArrayLike],
    record: Record | None,
) -> Iterator[Finding]:
    covariates = [c for c in ("C",) if c in far] or [c for c in far if c != "D/N"]
    for c in covariates:
        if not far[c] > FAR:
            continue
        if np.isinf(far[c]):
            yield Finding(
                "EXTRAP",
                "severe",
                f"the median answer lies beyond any {c}",
                far[c],
                "Ask for what the law says is within reach",
            )
            continue
        ratio = _leverage(surface, point)
        wider = (
            f"; the posterior sd of the loss there is {ratio:.1f} times that at the runs" if ratio > 1 else ""
        )
        tested = f"; {record.said(far[c])}" if record and record.by == c else ""
        advice = _carried(record, far[c], len(surface)) if record and tested else None
        yield Finding(
            "EXTRAP",
            "severe" if far[c] > TOO_FAR else "warning",
            f"the answer lies {far[c]:.1f} decades of {c} outside the runs{wider}{tested}",
            far[c],
            advice or _untested(question, surface.law, c),
        )


def _carried(record: Record, gap: float, draws: int) -> str:
    """What to do about a distance, where a law was tested along that covariate."""
    if draws == 1:
        return "Take a fit with draws: a single number has no interval that a drift could widen"
    held = record.at(gap)
    if held is None:
        with_it = f", the drift of {record.drift:.2g} a decade with it" if record.drift else ""
        return f"Take the interval as a guess{with_it}: nothing was tested so far out; add larger runs first"
    if not held.with_drift >= SHORT:
        with_it = "even with the drift " if record.drift else ""
        return (
            f"Take the interval as too narrow, which {with_it}those of such forecasts were; add larger runs"
        )
    if record.drift:
        return f"Take the interval as it is: it has the drift of {record.drift:.2g} a decade that forecasts called for"
    return "Take the interval as it is: forecasts called for no drift"


def _untested(question: str, law: Law, along: str) -> str:
    """What to do about a distance of which nothing is known but what the law says."""
    options = "".join(f" --along {column}" for column in law.columns.values())
    options += "" if along == "C" else f" --hold-out {along}"
    command = f"bayescale backtest RUNS --law {law.name}{options}"
    if question not in TESTED:
        return f"See how forecasts over such a gap did in a back-test ({command})"
    return (
        f"Test the law over such a gap ({command} -o tested.json), and give the answer the drift that forecasts "
        "call for: --backtest tested.json, or backtest= in Python"
    )


def _overtrained(fit: Fit, far: Mapping[str, float]) -> Iterator[Finding]:
    if far.get("D/N", 0.0) > OVERTRAINED:
        ratios = np.asarray(fit.runs.columns["D"], float) / np.asarray(fit.runs.columns["N"], float)
        yield Finding(
            "OVERTRAIN",
            "warning",
            f"the tokens for each parameter of the answer are {10 ** far['D/N']:.2g} times outside those of the runs, "
            f"{label(ratios.min())} to {label(ratios.max())}, where exponents are known to change",
            10 ** far["D/N"],
            "Add runs with so many tokens for each parameter, or take the answer as a guess",
        )


def _leverage(surface: Surface, point: Mapping[str, npt.ArrayLike]) -> float:
    """The posterior sd of the log loss at a point, in units of that at a typical run; nan where nothing is known."""
    needs, runs = surface.law.covariates, surface.fit.runs
    there = {c: np.median(np.asarray(v, float)) for c, v in point.items() if c in needs}
    known = set(needs) <= {*runs.columns, *surface.at} and set(needs) <= {*there, *surface.at}
    if len(surface) < 2 or not known or not all(np.isfinite(v) for v in there.values()):
        return float("nan")
    fewer = Surface(surface.fit, surface.levels, {}, surface.thinned(DRAWS).own)
    shown = slice(None, None, max(1, len(runs) // RUNS))
    columns = {c: np.asarray(runs.columns[c], float)[shown] for c in needs if c in runs.columns}
    at_runs = np.log(fewer.loss(**{**surface.at, **columns})).std(axis=0)
    at_point = np.log(fewer.loss(**{**surface.at, **there})).std(axis=0)
    typical = float(np.sqrt(np.mean(at_runs**2)))
    return float(at_point[0]) / typical if typical > 0 else float("nan")
