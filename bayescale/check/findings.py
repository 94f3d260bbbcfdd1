"""Findings: what the statistics have to say of a fit and of the design behind it."""

import numpy as np

from bayescale.check.finding import SEVERITIES as SEVERITIES
from bayescale.check.finding import Finding as Finding
from bayescale.check.finding import sorted_by_severity as sorted_by_severity
from bayescale.check.of_fits import of_fit
from bayescale.check.of_runs import of_table
from bayescale.check.published import rounded
from bayescale.fit import Fit


def findings(fit: Fit) -> tuple[Finding, ...]:
    """What there is to say of a fit and of its runs without fitting anything anew, the most severe first."""
    model = fit.model
    if fit.method == "published":  # nothing was sampled, and what was fitted to it may not be known
        return tuple(rounded(fit))
    shared = {one.by for one in (*model.pooling, *(model.effects or ()))}
    at = {p: float(np.median(fit.flat(p))) for p in model.law.parameters}
    return sorted_by_severity([*of_fit(fit), *of_table(fit.runs, model.law, shared, at)])
