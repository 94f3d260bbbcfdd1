"""Whether scores have stopped to rise: the better models of the last decade beside those before it."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import linprog

BETTER = 0.75  # the quantile that is followed: models below it are small, or stopped early, for the compute they had
LAST = 1.0  # decade
FEWEST = 8  # models of either part: a line through the upper quartile of fewer is one of two models
RESAMPLES = 200


@dataclass(frozen=True)
class Plateau:
    """What scores rise by, in logits for each decade, each as 5%, 50% and 95%.

    Attributes:
        rise: of the better models within a decade of the largest.
        before: of those before that.
        slowed: by how much less it is.
    """

    rise: tuple[float, float, float]
    before: tuple[float, float, float]
    slowed: tuple[float, float, float]

    @property
    def flagged(self) -> bool:
        """Whether the rise is not told from none, and told from what it was before."""
        return self.rise[0] <= 0 < self.slowed[0]

    def __str__(self) -> str:
        now, then = (f"{m:.2g} ({low:.2g} to {high:.2g})" for low, m, high in (self.rise, self.before))
        said = "plateau: scores have stopped to rise" if self.flagged else "no plateau is told"
        return f"{said}; in the last decade by {now} logits, before by {then} a decade"


def plateau(
    along: npt.ArrayLike, successes: npt.ArrayLike, trials: npt.ArrayLike, *, seed: int = 0
) -> Plateau | None:
    """How the better models rise in the last decade of a covariate and before, or None with too few models to tell.

    Lines are laid through the upper quartile of the empirical logits by quantile regression, apart in the two parts,
    with intervals from models that are drawn again. Laws of the mean do not see a plateau under early checkpoints.

    Args:
        along: compute, or any positive covariate, of each model, (models,).
        successes: (models,).
        trials: (models,) or one number.
        seed: of what is drawn.

    Source:
        Koenker and Bassett 1978, doi:10.2307/1913643.
    """
    x, won = np.log10(np.asarray(along, float)), np.asarray(successes, float)
    y = np.log(won + 0.5) - np.log(np.asarray(trials, float) - won + 0.5)
    last = x > x.max() - LAST
    parts = [np.flatnonzero(last), np.flatnonzero(~last)]
    if any(len(part) < FEWEST or not np.ptp(x[part]) > 0 for part in parts):
        return None
    rng = np.random.default_rng(seed)
    drawn = [[_slope(x, y, rng.choice(part, len(part))) for part in parts] for _ in range(RESAMPLES)]
    rise, before = np.array(drawn).T

    def of(values: np.ndarray) -> tuple[float, float, float]:
        low, middle, high = np.quantile(values, (0.05, 0.5, 0.95)).tolist()
        return low, middle, high

    return Plateau(of(rise), of(before), of(before - rise))


def _slope(x: np.ndarray, y: np.ndarray, rows: np.ndarray) -> float:
    """Of the line that leaves a quarter of the rows above it; of rows at one place none."""
    if not np.ptp(x[rows]) > 0:
        return 0.0
    design = np.stack([np.ones(len(rows)), x[rows] - x[rows].mean()])
    # The dual of quantile regression, whose multipliers are the line.
    found = linprog(-y[rows], A_eq=design, b_eq=(1 - BETTER) * design.sum(axis=1), bounds=(0, 1))
    return float(-found.eqlin.marginals[1])
