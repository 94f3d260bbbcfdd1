"""Runs that a fit cannot take for what the others are."""

from collections.abc import Iterator

import numpy as np

from bayescale.check.finding import Finding
from bayescale.check.loo import leave_one_out
from bayescale.check.residuals import residuals, spread
from bayescale.columns import label
from bayescale.fit import PARETO_K, Fit

HEAVY, LIKELY = 4.0, 0.9  # degrees of freedom of Student's t that there are fewer of; in so many of the draws
FAR = 5.0  # spreads of the residuals; shocks and few runs give a Pareto-k above 0.7 to runs that are nearer
RUNS = 2  # for each parameter: with fewer nothing stands out
DRAWS = 100  # with fewer, the tail of importance weights has no shape
NAMED = 5  # runs that a message names


def outliers(fit: Fit) -> Iterator[Finding]:
    """The runs that are far from the law, where the tails of the noise are heavy or the fit hangs on them."""
    left, there = residuals(fit), np.asarray(fit.runs.weight) > 0
    # A law goes through so few runs, and what it leaves of them is no spread.
    if (
        left is None
        or there.sum() < RUNS * len(fit.model.law.parameters)
        or not (wide := spread(left[there]))
    ):
        return
    far = (np.abs(left) > FAR * wide) & there
    action = "Look at these rows, and see what the answer is without them (bayescale.sensitivity, drop)"
    if "nu" in fit.draws and float(np.mean(fit.flat("nu") < HEAVY)) > LIKELY:
        nu = float(np.median(fit.flat("nu")))
        said = _listed(fit, far, left / wide) if far.any() else "no run stands out alone"
        yield Finding(
            "OUTLIER",
            "warning",
            f"the tails of the noise are heavy, Student's t with {nu:.2g} degrees of freedom: {said}",
            nu,
            action,
        )
    elif far.any() and fit.method in ("nuts", "laplace") and len(fit) >= DRAWS:
        k = np.full(len(fit.runs), -np.inf)
        k[there] = leave_one_out(fit).pareto_k
        hung = far & (k > PARETO_K)
        if hung.any():
            yield Finding(
                "OUTLIER",
                "warning",
                f"the fit hangs on runs far from the others, with a Pareto-k of up to {k[hung].max():.2g} when left "
                f"out: {_listed(fit, hung, left / wide)}",
                float(k[hung].max()),
                f"{action}, or take noise with heavier tails (--noise student_t)",
            )


def _listed(fit: Fit, which: np.ndarray, far: np.ndarray) -> str:
    """The runs by their row in the table, their covariates and how far they are, the farthest first."""
    rows = [int(i) for i in np.argsort(-np.abs(far)) if which[i]]
    columns = fit.runs.columns
    said = []
    for i in rows[:NAMED]:
        at = ", ".join(f"{c} {label(float(np.asarray(columns[c])[i]))}" for c in fit.model.law.covariates)
        said.append(f"row {i + 1} ({at}) by {far[i]:+.0f} spreads")
    more = f" and {len(rows) - NAMED} more" if len(rows) > NAMED else ""
    return f"{'; '.join(said)}{more}"
