"""Whether the noise of a fit is wider for some runs than for others, along what the runs were planned in."""

from collections.abc import Iterator
from itertools import combinations
from typing import NamedTuple

import numpy as np
from scipy.stats import mannwhitneyu

from bayescale.check.finding import Finding
from bayescale.check.residuals import residuals, spread
from bayescale.fit import Fit

RUNS = 24  # with fewer, a fifth of them has no spread
CHANCE = 1e-3  # how often noise of one scale looks so, all directions together
TIMES = 1.5  # as wide, at least; less does not change intervals much
SHARE, ENDS = 0.2, ("lowest", "highest")  # of the runs, beside the others


class Uneven(NamedTuple):
    """Where the noise of a fit is wider than elsewhere.

    Attributes:
        along: a covariate of the law, or a ratio of two.
        end: "lowest" or "highest".
        chance: how often noise of one scale looks so.
        times: as wide as elsewhere.
    """

    along: str
    end: str
    chance: float
    times: float

    def finding(self, action: str) -> Finding:
        """NOISE_SCALE, for this end."""
        return Finding(
            "NOISE_SCALE",
            "warning",
            f"residuals are {self.times:.1f} times as wide in the {self.end} fifth of {self.along} as elsewhere (noise "
            f"of one scale looks so in {self.chance:.1g} of tables): intervals of one scale are too narrow where they "
            "hang on those runs",
            self.times,
            action,
        )


def scatter(fit: Fit) -> Iterator[Finding]:
    """NOISE_SCALE, where residuals are larger at one end of a covariate of the law, or of a ratio of two."""
    if (found := uneven(fit)) is not None:
        yield found.finding(
            f"Let the noise have a scale of its own in each fifth of it (--noise-steps {found.along}), or see whether "
            "the law is off there"
        )


def uneven(fit: Fit) -> Uneven | None:
    """Where the residuals of a fit are wider than elsewhere by more than chance, most clearly; None if nowhere.

    Of checkpoints, several of a run, nothing is said. By the ranks of the sizes of residuals (Mann and Whitney 1947),
    so that heavy tails do not matter. Where the law is off at one end residuals are large there too.
    """
    left, there = residuals(fit), np.asarray(fit.runs.weight) > 0
    if left is None or "sigma" not in fit.model.noise.parameters or there.sum() < RUNS:
        return None
    own = np.asarray(fit.runs.factors.get("run", np.arange(len(there))))[there]
    if len(np.unique(own)) < len(own):  # checkpoints hang together, and their number says nothing of chance
        return None
    seen = [
        Uneven(along, end, *widening(left[there], values[there], end))
        for along, values in directions(fit).items()
        for end in ENDS
    ]
    if not seen:
        return None
    first = min(seen, key=lambda one: one.chance)
    first = first._replace(chance=first.chance * len(seen))
    return first if first.chance <= CHANCE and first.times >= TIMES else None


def directions(fit: Fit) -> dict[str, np.ndarray]:
    """The logarithms of the covariates of the law, and of the ratios of two, that differ between runs and that the
    scale of the noise does not depend on already.
    """
    logs = {c: np.log(np.asarray(fit.runs.columns[c], float)) for c in fit.model.law.covariates}
    ratios = {f"{above}/{below}": logs[above] - logs[below] for above, below in combinations(sorted(logs), 2)}
    known = fit.model.noise.depends_on
    return {
        name: v
        for name, v in (logs | ratios).items()
        if name not in known and np.isfinite(v).all() and np.ptp(v) > 0
    }


def widening(left: np.ndarray, along: np.ndarray, end: str) -> tuple[float, float]:
    """How often residuals would be so much larger at an end if their size had nothing to do with it, by the ranks of
    their sizes, and how many times as wide they are there as elsewhere.

    Args:
        left: residuals, (runs,).
        along: a covariate, (runs,).
        end: "lowest" or "highest".
    """
    along = along if end == "lowest" else -along
    there = along <= np.quantile(along, SHARE)
    if there.mean() > 2 * SHARE or not (elsewhere := spread(left[~there])):
        return 1.0, 1.0
    size = np.abs(left - np.median(left))
    _, chance = mannwhitneyu(size[there], size[~there], alternative="greater")
    return float(np.asarray(chance)), spread(left[there]) / elsewhere
