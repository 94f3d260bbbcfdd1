"""Residuals against what might explain them, with a smooth, and where noise alone would be."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.special import ndtri

from bayescale.check.quantile_residuals import FURTHEST, alike
from bayescale.check.quantile_residuals import quantile_residuals as of
from bayescale.fit import Fit
from bayescale.plot_of_runs import column, draw_runs
from bayescale.plot_style import LEVEL, bare, entries, legend, log_axis, made, mark
from bayescale.plot_themes import theme_of

AGAINST = ("N", "D", "D/N", "C")
NOISE = float(ndtri(0.95))  # 1.645: 90% of a standard normal lies within
LENGTH = 0.2  # of the range on the log axis, over which a smooth may turn: Gaussian bumps of a half width of so much
POINTS = 41
LEAST = 3  # distinct values, of which there is a smooth


def residuals(
    fit: Fit, axes: Axes | None = None, *, covariate: str = "C", values: np.ndarray | None = None
) -> Axes:
    """Standardised residuals of the runs against a covariate.

    Residuals are on a scale on which the noise of the fit is standard normal, so that 90% lie within the inner band if
    the law is right. The line is a smooth of them, and the darker band is where 90% of such smooths would be at each
    point if there were nothing but noise, and the shocks that runs share: a line that leaves it says that the law
    is off there.

    Args:
        fit: the fit.
        axes: where to draw; by default a new figure.
        covariate: a column of the runs, C for 6ND, or D/N.
        values: the residuals, (runs,), where they are known; by default those of `check.quantile_residuals`.

    Raises:
        ValueError: the runs have no such column; or the noise has no residuals.
    """
    x = column(fit, covariate)
    z = of(fit) if values is None else values
    axes = made(axes, 6.0, 4.0)
    theme = theme_of(axes)
    axes.set_xscale("log")
    axes.axhspan(-NOISE, NOISE, color=theme.muted, alpha=0.12, linewidth=0, label=f"{LEVEL} of the noise")
    axes.axhline(0, color=theme.muted, linewidth=0.8)
    draw_runs(fit, axes, x, z, np.ones(len(z), bool))
    if len(np.unique(x)) >= LEAST:
        points = np.geomspace(x.min(), x.max(), POINTS)
        noise = alike(fit)
        weights = _smoother(np.log(x), np.log(points), noise)
        spread = NOISE * np.sqrt(np.einsum("pi,ij,pj->p", weights, noise, weights))
        said = f"{LEVEL} of smooths of noise"
        axes.fill_between(points, -spread, spread, color=theme.muted, alpha=0.3, linewidth=0, label=said)
        axes.plot(points, weights @ z, color=theme.ink, linewidth=1.8, label="smooth")
    log_axis(axes, "x", covariate)
    axes.set_ylabel("residual (sd of the noise)")
    top = max(3.2, 1.1 * float(np.abs(z).max()))  # one in 700 of a normal lies beyond 3.2
    axes.set_ylim(-top, top)
    if (np.abs(z) >= FURTHEST).any():
        axes.set_title(f"runs at ±{FURTHEST:g} lie there or beyond", fontsize=9, color=theme.alarm)
    bare(axes)
    legend(axes)
    mark(fit.trouble, axes)
    return axes


def residual_panels(fit: Fit, against: Sequence[str] | None = None) -> Figure:
    """Residuals against N, D, D/N and C, or what there is of them, a panel for each and one legend.

    Raises:
        ValueError: the runs have none of these columns.
    """
    names = [c for c in AGAINST if _has(fit, c)] if against is None else list(against)
    if not names:
        raise ValueError(
            f"the runs have none of {', '.join(AGAINST)} to draw residuals against; name a column"
        )
    wide = 2 if len(names) > 1 else 1
    drawn = Figure(figsize=(5.2 * wide, 3.4 * -(-len(names) // wide) + 0.6), layout="constrained")
    found = drawn.subplots(-(-len(names) // wide), wide, squeeze=False).ravel()
    values = of(fit)
    for name, axes in zip(names, found, strict=False):
        residuals(fit, axes, covariate=name, values=values)
    for axes in found[len(names) :]:
        axes.set_axis_off()
    handles, labels = entries(found[0])
    for axes in found[: len(names)]:
        axes.get_legend().remove()
    theme = theme_of(found[0])
    drawn.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=min(len(labels), 4),
        fontsize=9,
        frameon=False,
        labelcolor=theme.ink,
    )
    return drawn


def _has(fit: Fit, covariate: str) -> bool:
    try:
        return len(np.unique(column(fit, covariate))) > 1
    except ValueError:
        return False


def _smoother(x: np.ndarray, points: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """The weights of a smooth: its value at each point is weights @ z, (points, runs).

    It is the mean of a Gaussian process of standard deviation 1, given residuals of covariance `noise`: where there are
    no runs it goes back to 0 instead of swinging.

    Source:
        Rasmussen and Williams 2006, equation 2.25.
    """
    length = LENGTH * np.ptp(x)
    near, far = (np.exp(-0.5 * ((a[:, None] - x) / length) ** 2) for a in (x, points))
    return far @ np.linalg.inv(near + noise)
