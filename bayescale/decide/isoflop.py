"""Curves of equal compute: the loss over N at a fixed C, for each draw of a fit of any law in N and D."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bayescale.decide.allocate import BOUNDS, compute_optimal
from bayescale.decide.decision import Curve, curve, quantiles
from bayescale.decide.surface import FLOP, surface
from bayescale.fit import Fit

WIDTH, POINTS = (
    8.0,
    61,
)  # how far a curve goes to either side of the median optimum: as far as a parabola is any good


@dataclass(frozen=True, eq=False, repr=False)
class IsoFlop:
    """The loss over N at each of several budgets, for each draw, and where each draw has its optimum.

    Attributes:
        budgets: (budgets,), FLOP.
        N: (budgets, points), evenly in the logarithm about the median optimum of each budget.
        loss: (draws, budgets, points), nats for each token.
        optima: the answer of `compute_optimal` at each budget.
        trouble: why the fit is no result; empty where it has converged.
    """

    budgets: np.ndarray
    N: np.ndarray
    loss: np.ndarray
    optima: Curve
    trouble: tuple[str, ...]

    @property
    def D(self) -> np.ndarray:
        """The tokens that go with N, (budgets, points)."""
        return self.budgets[:, None] / (FLOP * self.N)

    def interval(self, level: float = 0.9) -> np.ndarray:
        """Low, median and high of the loss, (3, budgets, points)."""
        return np.quantile(self.loss, [(1 - level) / 2, 0.5, (1 + level) / 2], axis=0)

    def rows(self, level: float = 0.9) -> list[dict[str, Any]]:
        """Each point of each curve with the interval of its loss."""
        low, middle, high = self.interval(level)
        return [
            {
                "C": float(self.budgets[i]),
                "N": float(self.N[i, j]),
                "D": float(self.D[i, j]),
                "low": float(low[i, j]),
                "median": float(middle[i, j]),
                "high": float(high[i, j]),
            }
            for i, j in np.ndindex(self.N.shape)
        ]

    def __repr__(self) -> str:
        trouble = f"; NOT CONVERGED ({'; '.join(self.trouble)})" if self.trouble else ""
        return f"IsoFlop({len(self.budgets)} budgets of {self.N.shape[1]} points{trouble})"


def isoflop(
    fit: Fit,
    computes: Iterable[float],
    *,
    at: Mapping[str, float] | None = None,
    points: int = POINTS,
    width: float = WIDTH,
    bounds: tuple[float, float] = BOUNDS,
    centre: bool = False,
    **levels: str,
) -> IsoFlop:
    """The loss over N at each budget, with D = C / 6N, for each draw.

    Args:
        fit: a fit of a law of loss in N and D.
        computes: the budgets, FLOP.
        at: further covariates of the law, column -> the value they are held at.
        points: of each curve.
        width: how far it goes, as a factor, to either side of the median optimum.
        bounds: the least and the most parameters considered for the optimum.
        centre: whether to take the parameters that levels differ from, instead of those of a level.
        levels: the level of each factor by which parameters differ, as corpus="web".

    Raises:
        ValueError: there are no budgets, the law is not one of loss in N and D, or a level is missing.
    """
    if points < 2 or not width > 1:
        raise ValueError(
            f"{points} points within a factor of {width}: take 2 points or more and a width above 1"
        )
    own = surface(fit, at=at, centre=centre, **levels)
    optima = curve(lambda C: compute_optimal(own, C, bounds=bounds, strict=False), C=computes)
    middles = [quantiles(decision["N"], (0.5,))[0] for decision in optima.decisions]
    if not np.isfinite(middles).all():
        lost = optima.points[~np.isfinite(middles)][0]
        raise ValueError(
            f"at {lost:.3g} FLOP the optimum of every draw is at a bound; give wider ones than bounds={bounds}"
        )
    N = np.array(middles)[:, None] * np.geomspace(1 / width, width, points)
    D = optima.points[:, None] / (FLOP * N)
    loss = own.loss(N=N.ravel(), D=D.ravel()).reshape(len(own), *N.shape)
    return IsoFlop(optima.points, N, loss, optima, fit.trouble)
