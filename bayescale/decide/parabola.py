"""Approach 2: a parabola through the losses of each slice of equal compute, and a power law through their minima.

The losses of a slice are no parabola in ln N: the sides of their valley are unlike where alpha and beta are. What the
parabola takes for the optimum is off it, by more the wider a slice is and the farther its middle is off. So this is a
cross-check of a law and no replacement for one.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
import numpy.typing as npt
from jax import Array
from scipy.optimize import minimize_scalar
from scipy.stats import chi2

from bayescale.check.findings import Finding
from bayescale.columns import label
from bayescale.decide.slices import SIZES, TOLERANCE, Optima, budget_of, middles, power_law, slices
from bayescale.runs import Runs

Loss = Callable[..., npt.ArrayLike]  # of N and D, elementwise
OFF, WIDE = 2.0, 8.0  # beyond either factor D*(1e24) is off by 1% to 4% on the surface of Hoffmann et al.
SCATTERED = 0.01  # how rarely minima of one power law are as far from it
GRID = 401  # points in ln N, to find the valley of a law in
REACH = (
    2.0  # half ranges of a slice from its middle: what lies farther is no minimum that anything is known of
)


def parabola(
    key: Array, runs: Runs, *, by: str | None = None, tolerance: float = TOLERANCE, replicates: int = 1000
) -> Optima:
    """The best N and D at each budget, by a parabola of the loss in ln N and one in ln D.

        loss = c0 + c1 ln N + c2 (ln N)^2 at one C,    N*(C) = exp(-c1 / 2 c2) ~ C^a

    Intervals are of a bootstrap of residuals, those of all slices together, each made larger by what its parabola has
    taken off it. They hold what noise within slices does, and not the bias of a parabola. On simulated runs without
    bias 90% intervals of the exponent held in 88 to 93.5%, with slices of five sizes in 85%.

    Args:
        key: the random key.
        runs: a table of losses with N and D, of one recipe.
        by: a column that says the budget of each run; C if None.
        tolerance: how far, as a share, neighbours of one budget may be apart.
        replicates: of the bootstrap.

    Raises:
        ValueError: the table has no two slices of equal compute of four sizes or more, or no two of them a minimum.

    Source:
        Hoffmann et al. 2022, arXiv:2203.15556, section 3.2.
    """
    parts = slices(runs, by, tolerance)
    budgets = middles(budget_of(runs, by), parts)
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))
    loss = np.asarray(runs.response, float)
    logs = {name: np.log(np.asarray(runs.columns[name], float)) for name in ("N", "D")}
    best = {name: values[0] for name, values in _optima(logs, parts, loss[None]).items()}
    again = {}
    drawn = rng.integers(
        sum(map(len, parts)), size=(replicates, len(loss))
    )  # one residual of all for each run
    for name, own in logs.items():
        fitted, left = np.full(len(loss), np.nan), []
        for part in parts:
            fitted[part], residuals = _fitted(own[part], loss[part])
            left.append(residuals)
        again[name] = _optima({name: own}, parts, fitted * (1 + np.concatenate(left)[drawn]))[name]
    if (told := int(np.isfinite(best["N"] * best["D"]).sum())) < 2:
        raise ValueError(
            f"{runs.source}: {told} of {len(parts)} slices has a minimum, and a power law goes through two or more; "
            "add sizes on both sides, or fit a law"
        )
    found = (*_off_design(runs, parts, budgets, best["N"]), *_scattered(budgets, best["N"], again["N"]))
    return Optima("parabola", budgets, best["N"], best["D"], again, partial(_optima, logs, parts), found)


def _optima(
    logs: Mapping[str, np.ndarray], parts: Sequence[np.ndarray], loss: np.ndarray
) -> dict[str, np.ndarray]:
    """The minima of the parabolas of each slice in each covariate, (rows, budgets), of losses (rows, runs)."""
    return {
        name: np.stack([vertex(own[part], loss[:, part]) for part in parts], axis=1)
        for name, own in logs.items()
    }


def vertex(logs: np.ndarray, loss: np.ndarray) -> np.ndarray:
    """The place where the least-squares parabola in `logs`, (sizes,), is least, as exp of it, (rows,).

    It is nan where a parabola has no minimum, or one that is as far outside the sizes as their middle is inside.

    Args:
        logs: the covariate.
        loss: (rows, sizes).
    """
    middle, half = _scale(logs)
    _, linear, square = np.linalg.pinv(_powers(logs)) @ loss.T
    with np.errstate(divide="ignore", invalid="ignore"):
        place = -linear / (2 * square)
    told = (square > 0) & (np.abs(place) <= REACH)
    return np.exp(np.where(told, middle + half * place, np.nan))


def _fitted(logs: np.ndarray, loss: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The losses of the parabola of a slice, and the relative residuals as large as the noise is, each (sizes,)."""
    powers = _powers(logs)
    hat = powers @ np.linalg.pinv(powers)
    fitted = hat @ loss
    return fitted, (loss - fitted) / fitted / np.sqrt(np.clip(1 - np.diagonal(hat), 1e-6, None))


def _scale(logs: np.ndarray) -> tuple[float, float]:
    return (logs.max() + logs.min()) / 2, np.ptp(logs) / 2


def _powers(logs: np.ndarray) -> np.ndarray:
    """1, u and u^2, (sizes, 3), of u that goes from -1 to 1."""
    middle, half = _scale(logs)
    return np.vander((logs - middle) / half, 3, increasing=True)


# ---- What there is to say against it


def a2_bias(severity: str, message: str, number: float) -> Finding:
    """What makes approach 2 miss the optimum."""
    return Finding(
        "A2_BIAS", severity, message, number, "Fit a law to all runs, and take the optimum from it"
    )


def _off_design(
    runs: Runs, parts: Sequence[np.ndarray], budgets: np.ndarray, best: np.ndarray
) -> Iterator[Finding]:
    logs = [np.log(np.asarray(runs.columns["N"], float)[part]) for part in parts]
    low, high = np.array([x.min() for x in logs]), np.array([x.max() for x in logs])
    at, half = np.log(best), (high - low) / 2
    with np.errstate(invalid="ignore"):
        off = np.exp(np.abs((high + low) / 2 - at))
        open_ended, aside = ~((low < at) & (at < high)), off > OFF
    wide = half > np.log(WIDE) + 1e-9  # eight times is not more than eight times

    def at_budgets(which: np.ndarray) -> str:
        told = ", ".join(label(c) for c in budgets[which])
        return f"{which.sum()} of {len(budgets)} slices ({told} FLOP)"

    if open_ended.any():
        said = f"{at_budgets(open_ended)} have no minimum between their sizes: it is extrapolated, or there is none"
        yield a2_bias("severe", said, float(open_ended.mean()))
    if (aside := aside & ~open_ended).any():
        most = float(off[aside].max())
        said = f"{at_budgets(aside)} have their middle up to {most:.2g}x off the minimum, more than {OFF:g}x"
        yield a2_bias("warning", said, most)
    if wide.any():
        most = float(np.exp(half[wide].max()))
        said = f"{at_budgets(wide)} reach up to {most:.2g}x to either side, more than {WIDE:g}x"
        yield a2_bias("warning", said, most)


def _scattered(budgets: np.ndarray, best: np.ndarray, again: np.ndarray) -> Iterator[Finding]:
    """Whether the minima are farther from one power law than the noise within slices makes them."""
    there = np.isfinite(best) & (np.isfinite(again).mean(axis=0) > 0.5)  # of the others no spread is known
    if there.sum() < 3:
        return
    x, y = np.log(budgets[there]), np.log(best[there])
    # The spread of a ratio of coefficients has heavy tails: from the middle half, as of a normal distribution.
    low, high = np.nanquantile(np.log(again[:, there]), (0.25, 0.75), axis=0)
    sd = np.maximum((high - low) / 1.349, 1e-6)
    line = np.polynomial.Polynomial.fit(x, y, 1, w=1 / sd)
    off = float((((y - line(x)) / sd) ** 2).sum())
    rare = float(chi2.sf(off, there.sum() - 2))
    if rare < SCATTERED:
        yield Finding(
            "A2_SCATTER",
            "warning",
            "the minima are farther from one power law than the noise of their slices allows (chi-squared "
            f"{off:.0f} for {there.sum()} budgets)",
            rare,
            "Doubt its intervals, which know of the noise within slices only",
        )


# ---- How far it is off a law that is known


class Bias(NamedTuple):
    """How far approach 2 is off the law it is applied to.

    Attributes:
        N: of the best N, as a share: 0.1 is 10% too many.
        D: of the best D, as a share.
        a: of the exponent of N.
    """

    N: float
    D: float
    a: float


def parabola_bias(
    loss: Loss,
    budgets: npt.ArrayLike,
    target: float,
    *,
    width: float = 4.0,
    sizes: int = 15,
    offset: float = 1.0,
    drift: float = 1.0,
    bounds: tuple[float, float] = (1e3, 1e18),
) -> Bias:
    """How far approach 2 is off at a compute, on losses of a known law without any noise.

    Args:
        loss: the law, a function of N and D, elementwise.
        budgets: the compute of each slice, ascending, FLOP.
        target: the compute that is extrapolated to, FLOP.
        width: a slice reaches from 1 / width to width times its middle.
        sizes: how many runs it has, evenly in ln N.
        offset: the tokens at its middle over those of the optimum.
        drift: by what factor that changes from the first budget to the last, evenly in its logarithm.
        bounds: the least and the most N in which the optimum is looked for.

    Raises:
        ValueError: there is no such design.
    """
    computes = np.asarray(budgets, float)
    if len(computes) < 2 or not width > 1 or sizes < SIZES or not (offset > 0 and drift > 0):
        raise ValueError(
            f"{len(computes)} budgets of {sizes} sizes, width {width}, offset {offset}, drift {drift}: take 2 budgets "
            f"or more, {SIZES} sizes or more, a width above 1, and a positive offset and drift"
        )
    off = offset * drift ** np.linspace(0, 1, len(computes))
    best = np.array([_optimum(loss, c, bounds) for c in (*computes, target)])
    steps = np.linspace(-np.log(width), np.log(width), sizes)
    N = best[:-1, None] / off[:, None] * np.exp(steps)
    D = computes[:, None] / (6 * N)
    found = np.array([vertex(np.log(n), np.asarray(loss(n, d))[None])[0] for n, d in zip(N, D, strict=True)])
    (a,), (log_n,) = power_law(computes, found[None], target)
    (true,), _ = power_law(computes, best[None, :-1], target)
    ratio = np.exp(log_n) / best[-1]
    return Bias(float(ratio - 1), float(1 / ratio - 1), float(a - true))


def _optimum(loss: Loss, compute: float, bounds: tuple[float, float]) -> float:
    """The N of least loss at a compute."""

    def at(log_n):
        n = np.exp(log_n)
        return float(np.squeeze(loss(n, compute / (6 * n))))

    grid = np.linspace(np.log(bounds[0]), np.log(bounds[1]), GRID)
    lowest = int(np.clip(np.argmin([at(x) for x in grid]), 1, GRID - 2))
    found: Any = minimize_scalar(at, bracket=tuple(grid[lowest - 1 : lowest + 2]), tol=1e-12)
    return float(np.exp(found.x))
