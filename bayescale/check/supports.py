"""Whether what a fit says hangs on the runs at the ends of its design."""

from collections.abc import Iterator

import jax.numpy as jnp
import numpy as np
from jax import Array

from bayescale import parallel
from bayescale.check.finding import Finding
from bayescale.check.floors import exponents_of, floor_of
from bayescale.check.sensitivity import covariate, inner
from bayescale.fit import Fit
from bayescale.infer.density import Density
from bayescale.infer.frame import Mode
from bayescale.infer.mode import find

SHARES = (0.1, 0.2, 0.25)  # that are left out at either end: the least that leaves anything out
DROPPED = 0.05  # of the runs at least
LEFT = 4  # runs for each parameter at least: with fewer, a curvature is no error
# Posterior sd that a parameter moves by; standard errors of such a move where the law holds. Those are of normal
# posteriors: floors are skewed, and beyond 3 is 3% of clean tables of 48 runs in one covariate.
MOVED, SURE = 2.0, 3.5
SOME = 0.5  # of the variance of the whole: what that of the move is at least, where noise differs along the design


def support(key: Array, fit: Fit) -> Iterator[Finding]:
    """The parameter that moves most when the tails of D/N, or of the covariate of a law in one, are left out.

    A mode without some of the runs has, where the law holds, a variance that exceeds that of the mode of all by the
    variance of their difference (Hausman 1978, doi:10.2307/1913827).
    """
    by = _along(fit)
    if by is None:
        return
    cut = _cut(fit, by)
    if cut is None:
        return
    share, kept = cut
    weight = np.asarray(fit.runs.weight, float)
    with parallel.workbench():
        density = Density.of(fit.model, fit.runs)
        whole = find(density, fit.runs, key)
        middle = find(density, fit.runs.replace(weight=weight * kept), key)
        if not (whole.stats["mode_converged"] and middle.stats["mode_converged"]):
            return
        relative = [density.constrain(jnp.asarray(m.position)) for m in (whole, middle)]
        values = [fit.natural({p: np.asarray(v)[None] for p, v in one.items()}) for one in relative]
        # An amplitude moves along with its exponent, and says nothing more.
        names = dict.fromkeys([*exponents_of(fit), *filter(None, [floor_of(fit.model.law)])])
        moves = {p: _move(whole, middle, density.place(p)) for p in names}
    name = max(moves, key=lambda p: min(moves[p][0] / MOVED, moves[p][1] / SURE))
    moved, sure = moves[name]
    if moved > MOVED and sure > SURE:
        before, after = (float(one[name][0]) for one in values)
        yield Finding(
            "SUPPORT",
            "severe",
            f"{name} hangs on the ends of the design: without {share:.0%} of the runs at either end of {by} it is "
            f"{after:.3g} instead of {before:.3g}, {moved:.1f} posterior sd away, and {sure:.1f} of its errors if "
            "the law held",
            moved,
            f"Compare other laws (bayescale compare), and use this one only where {by} is as in most of the runs",
        )


def _along(fit: Fit) -> str | None:
    """What has tails: D/N of a law in both, or its one covariate."""
    axes = [c for c in fit.model.law.covariates if c not in fit.model.law.irrelevant]
    if {"N", "D"} <= set(axes):
        return "D/N"
    return axes[0] if len(axes) == 1 else None


def _cut(fit: Fit, by: str) -> tuple[float, np.ndarray] | None:
    """The least share that leaves runs out, and the runs that are left, (runs,); None where too few are."""
    there = np.asarray(fit.runs.weight) > 0
    values = covariate(fit.runs, by)
    if np.ptp(np.log(values[there])) < 1e-6:
        return None
    for share in SHARES:
        kept = inner(fit.runs, by, share) & there
        if kept.sum() <= (1 - DROPPED) * there.sum():
            enough = kept.sum() >= LEFT * len(fit.model.priors)
            return (share, kept) if enough else None
    return None


def _move(whole: Mode, middle: Mode, place: int) -> tuple[float, float]:
    """How far a parameter moves: in posterior standard deviations of all runs, and in errors of the move."""
    change = abs(float(middle.position[place] - whole.position[place]))
    own, other = (float(m.covariance[place, place]) for m in (whole, middle))
    return change / np.sqrt(own), change / np.sqrt(max(other - own, SOME * own))
