"""How far a decision lies outside the runs, and the findings that say so."""

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

from bayescale.check.findings import Finding, sorted_by_severity
from bayescale.columns import label
from bayescale.decide.surface import FLOP, Surface
from bayescale.fit import Fit

FAR, TOO_FAR = 1.0, 2.0  # decades of compute beyond the runs
OVERTRAINED = np.log10(3.0)  # decades of D/N outside the runs: a factor of three
DRAWS, RUNS = 500, 200  # a standard deviation of so many draws is good to 3%

UNITS = {
    "N": "parameters",
    "D": "tokens",
    "U": "tokens",
    "C": "FLOP",
    "D/N": "tokens for each parameter",
    "loss": "nats for each token",
}


def beyond(fit: Fit, point: Mapping[str, npt.ArrayLike]) -> dict[str, float]:
    """The decades by which a point lies outside the range of the runs, in each covariate and in C and D/N.

    Args:
        fit: the fit.
        point: covariate -> a number or (draws,), of which the median counts; what is nan is left out of it.

    Returns:
        0 inside the range; nan where nothing is known of the runs or of the point.
    """
    of_runs = _derived({c: np.asarray(v, float) for c, v in fit.runs.columns.items()})
    of_point = _derived({c: np.asarray(v, float) for c, v in point.items()})
    return {c: _outside(of_point[c], of_runs[c]) for c in of_point if c in of_runs}


def of_decision(surface: Surface, far: Mapping[str, float], **point: float) -> tuple[Finding, ...]:
    """The findings of a decision that lies `far` outside the runs, at a point where the law is asked."""
    return sorted_by_severity([*_extrapolated(surface, far, point), *_overtrained(surface.fit, far)])


def _derived(columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    if {"N", "D"} <= set(columns):
        columns = {"C": FLOP * columns["N"] * columns["D"]} | columns
        columns["D/N"] = columns["D"] / columns["N"]
    return columns


def _outside(point: np.ndarray, runs: np.ndarray) -> float:
    point = point[np.isfinite(point)]
    if not (point.size and runs.size and (runs > 0).all()):
        return float("nan")
    middle = np.log10(np.median(point))
    return float(max(middle - np.log10(runs.max()), np.log10(runs.min()) - middle, 0.0))


def _extrapolated(
    surface: Surface, far: Mapping[str, float], point: Mapping[str, float]
) -> Iterator[Finding]:
    covariates = [c for c in ("C",) if c in far] or [c for c in far if c != "D/N"]
    for c in covariates:
        if not far[c] > FAR:
            continue
        ratio = _leverage(surface, point)
        wider = f"; the posterior sd of the loss there is {ratio:.1f} times that at the runs" if ratio else ""
        yield Finding(
            "EXTRAP",
            "severe" if far[c] > TOO_FAR else "warning",
            f"the answer lies {far[c]:.1f} decades of {c} outside the runs{wider}",
            far[c],
            "See how forecasts over such a gap did in a back-test (bayescale backtest), and widen the interval by its drift",
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


def _leverage(surface: Surface, point: Mapping[str, float]) -> float | None:
    """The posterior sd of the log loss at a point, in units of that at a typical run; None where nothing is known."""
    needs, runs = surface.law.covariates, surface.fit.runs
    if len(surface) < 2 or not set(needs) <= {*runs.columns, *surface.at} or not len(runs):
        return None
    step = max(1, len(surface) // DRAWS)
    fewer = Surface(surface.fit, surface.levels, {}, {p: v[::step] for p, v in surface.own.items()})
    shown = slice(None, None, max(1, len(runs) // RUNS))
    columns = {c: np.asarray(runs.columns[c], float)[shown] for c in needs if c in runs.columns}
    at_runs = np.log(fewer.loss(**{**surface.at, **columns})).std(axis=0)
    there = np.log(fewer.loss(**{**surface.at, **point})).std(axis=0)
    typical = float(np.sqrt(np.mean(at_runs**2)))
    return float(there[0]) / typical if typical > 0 and np.isfinite(there[0]) else None
