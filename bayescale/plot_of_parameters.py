"""Parameters: prior and posterior, the posterior beside a bootstrap, and in pairs."""

from collections.abc import Sequence

import jax
import numpy as np
from jax import random
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from bayescale import parallel
from bayescale.columns import label
from bayescale.fit import Fit
from bayescale.infer.study import Study
from bayescale.plot_style import BAND, LEVEL, bare, legend, mark, panels, spans, value_axis
from bayescale.plot_themes import theme_of

SHOWN = ("E", "alpha", "beta")
GREEK = {"alpha": "α", "beta": "β", "gamma": "γ", "sigma": "σ", "nu": "ν"}
PRIOR_DRAWS = 20_000
KERNELS = 4000  # draws in a density: more would not show
SCATTERED = 800  # draws in a cloud
ENDS = (0.001, 0.999)  # of a cloud: one draw far off would make it a point
HALF = (0.25, 0.75)  # the middle of an interval
NEAR = 5.0  # times itself, how much of the prior is drawn about a point


def parameters(
    fit: Fit, axes: Sequence[Axes] | np.ndarray | None = None, *, names: Sequence[str] | None = None
) -> np.ndarray:
    """Prior and posterior densities of parameters, in natural units, a panel for each.

    The prior is dashed, the posterior filled and its 90% interval marked below; a point fit is a line. The
    title gives the contraction: 1 where the data taught everything, 0 where they taught nothing.

    Args:
        fit: the fit. Where parameters differ by a factor, those are shown that levels differ from.
        axes: as many as there are names; by default new ones.
        names: parameters of the law or the noise; by default E, alpha and beta, or else the first three.

    Raises:
        ValueError: there are more or fewer axes than parameters to show, or no such parameter.
    """
    names = chosen(fit, names)
    found = panels(axes, names)
    prior, posterior, summary = _prior(fit), drawn(fit), fit.summary()
    for axes_of, name in zip(found, names, strict=True):
        contraction = summary[name].contraction
        _draw_density(axes_of, prior[name], posterior[name])
        said = "" if contraction is None else f"   contraction {contraction:.2f}"
        axes_of.set_title(f"{spoken(name)}{said}", fontsize=11)
        mark(fit.trouble, axes_of)
    legend(found[0])
    return np.array(found, dtype=object)


def _draw_density(axes: Axes, prior: np.ndarray, posterior: np.ndarray) -> None:
    theme = theme_of(axes)
    colour = theme.colours[0]
    prior_ends = np.quantile(prior, (0.01, 0.99))
    low, middle, high = np.quantile(posterior, BAND)
    reach = 3 * (high - low) if posterior.size > 1 else NEAR * abs(middle)
    left = max(min(prior_ends[0], posterior.min()), middle - reach)
    right = min(max(prior_ends[1], posterior.max()), middle + reach)
    grid = np.linspace(left, right, 300)
    before = density(prior, grid)
    axes.plot(grid, before, color=theme.muted, linestyle="--", linewidth=1.4, label="prior")
    if posterior.size > 1:
        after = density(posterior, grid)
        axes.fill_between(grid, after, color=colour, alpha=0.45, linewidth=0, label="posterior")
        axes.plot(grid, after, color=colour, linewidth=1.0)
        bar = [-0.05 * max(after.max(), before.max())] * 2
        axes.plot([low, high], bar, color=colour, linewidth=3.5, solid_capstyle="butt", label=LEVEL)
        axes.set_xlabel(f"{label(middle)}  ({LEVEL}: {label(low)} to {label(high)})", fontsize=10)
    else:
        axes.axvline(middle, color=colour, linewidth=2.5, label="estimate")
        axes.set_xlabel(label(middle), fontsize=10)
    _plain(axes)


def _plain(axes: Axes) -> None:
    """An axis of values, and none of densities."""
    axes.yaxis.set_major_locator(NullLocator())
    axes.xaxis.set_major_locator(MaxNLocator(5, prune="both"))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: label(value)))
    bare(axes)
    axes.spines["left"].set_visible(False)


def bootstrap(
    fit: Fit,
    study: Study,
    axes: Sequence[Axes] | np.ndarray | None = None,
    *,
    names: Sequence[str] | None = None,
) -> np.ndarray:
    """The posterior of parameters and their bootstrap, a panel for each.

    The posterior is filled and the bootstrap a line; the title gives the standard error of the bootstrap in posterior
    standard deviations: well above 1 the posterior claims to know too much.

    Args:
        fit: a posterior.
        study: a bootstrap of the same law and runs.
        axes: as many as there are names; by default new ones.
        names: parameters of the law; by default E, alpha and beta, or else the first three.

    Raises:
        ValueError: they are of different laws or runs; there are more or fewer axes than parameters, or no such
            parameter.
    """
    if fit.model.law.name != study.point.model.law.name or fit.runs.hash != study.point.runs.hash:
        raise ValueError("a posterior is compared with a bootstrap of the same law and the same runs")
    names = chosen(fit, names)
    found = panels(axes, names)
    posterior = fit.centre()
    for axes_of, name in zip(found, names, strict=True):
        theme, replicates = theme_of(axes_of), study.values(name)
        ends = np.array([np.quantile(v, (0.002, 0.998)) for v in (posterior[name], replicates)])
        grid = np.linspace(ends[:, 0].min(), ends[:, 1].max(), 300)
        axes_of.fill_between(
            grid,
            density(posterior[name], grid),
            color=theme.colours[0],
            alpha=0.45,
            linewidth=0,
            label="posterior",
        )
        axes_of.plot(
            grid, density(replicates, grid), color=theme.colours[1], linewidth=1.8, label="bootstrap"
        )
        axes_of.axvline(
            study.estimate(name), color=theme.colours[1], linestyle=":", linewidth=1.2, label="estimate"
        )
        ratio = replicates.std(ddof=1) / posterior[name].std(ddof=1)
        axes_of.set_title(f"{spoken(name)}   bootstrap / posterior sd {ratio:.2f}", fontsize=10)
        _plain(axes_of)
        mark(fit.trouble, axes_of)
    legend(found[0])
    return np.array(found, dtype=object)


def pairs(fit: Fit, axes: np.ndarray | None = None, *, names: Sequence[str] | None = None) -> np.ndarray:
    """Draws of parameters against each other below the diagonal, their densities on it, correlations above it.

    Parameters whose draws span a decade are on a log axis, and so are their densities and correlations.

    Args:
        fit: a fit with draws.
        axes: (names, names); by default new ones.
        names: parameters of the law or the noise; by default all of the law.

    Raises:
        ValueError: the fit is a point, or the axes are too many or too few, or there is no such parameter.
    """
    if len(fit) < 2:
        raise ValueError(f"a {fit.method} fit is one point; pairs are of draws, as those of nuts or laplace")
    names = chosen(fit, names or fit.model.law.parameters)
    count = len(names)
    if axes is None:
        size = 1.2 + 1.5 * count
        axes = Figure(figsize=(size, size), layout="constrained").subplots(count, count, squeeze=False)
    axes = np.asarray(axes, dtype=object)
    if axes.shape != (count, count):
        raise ValueError(f"axes are {axes.shape} for {', '.join(names)}; give ({count}, {count})")
    values, some = drawn(fit), slice(None, None, max(1, len(fit) // SCATTERED))
    shown = {name: np.log(v) if spans(v) else v for name, v in values.items()}  # as the axes show them
    for i, below in enumerate(names):
        for j, left in enumerate(names):
            panel, theme = axes[i, j], theme_of(axes[i, j])
            x, y = values[left], values[below]
            if i < j:
                r = float(np.corrcoef(shown[left], shown[below])[0, 1])
                style = {"ha": "center", "va": "center", "fontsize": 9 + 5 * abs(r), "color": theme.ink}
                panel.text(0.5, 0.5, f"{r:.2f}".replace("-0.00", "0.00"), transform=panel.transAxes, **style)
                panel.set_axis_off()
                continue
            if i == j:
                first, last = np.quantile(shown[left], ENDS)
                grid = np.linspace(first, last, 200)
                at, height = np.exp(grid) if spans(x) else grid, density(shown[left], grid)
                panel.fill_between(at, height, color=theme.colours[0], alpha=0.45, linewidth=0)
                panel.yaxis.set_major_locator(NullLocator())
                mark(fit.trouble, panel)
            else:
                cloud = {"color": theme.colours[0], "markersize": 2, "alpha": 0.4, "rasterized": True}
                panel.plot(x[some], y[some], ".", **cloud)
                panel.set_ylim(*np.quantile(y, ENDS))
                value_axis(panel, "y", y)
            panel.set_xlim(*np.quantile(x, ENDS))
            value_axis(panel, "x", x)
            bare(panel)
            _outer(panel, spoken(left), spoken(below), bottom=i == count - 1, side=j == 0 and i > 0)
    return axes


def _outer(axes: Axes, under: str, beside: str, *, bottom: bool, side: bool) -> None:
    """Names and numbers at the outer panels only."""
    axes.tick_params(labelbottom=bottom, labelleft=side, labelsize=8)
    if bottom:
        axes.set_xlabel(under, fontsize=11)
    if side:
        axes.set_ylabel(beside, fontsize=11)


# ---- What there is to draw


def chosen(fit: Fit, names: Sequence[str] | None) -> tuple[str, ...]:
    """The parameters to show.

    Raises:
        ValueError: there is no such parameter.
    """
    own = fit.model.law.parameters
    if names is None:
        return tuple(p for p in SHOWN if p in own) or own[: len(SHOWN)]
    every = (*own, *fit.model.noise.parameters)
    if unknown := [name for name in names if name not in every]:
        raise ValueError(f"there is no parameter {unknown[0]}; there are {', '.join(every)}")
    return tuple(names)


def spoken(name: str) -> str:
    """The name of a parameter as it is written on paper."""
    return GREEK.get(name, name)


def drawn(fit: Fit) -> dict[str, np.ndarray]:
    """The draws of the parameters of law and noise, in natural units, name -> (draws,)."""
    return fit.centre() | {p: fit.flat(p) * _unit(fit, p) for p in fit.model.noise.parameters}


def _unit(fit: Fit, name: str) -> float:
    """What a parameter of the noise is measured in: the least loss, where it is a loss."""
    return float(np.asarray(fit.runs.unit)) if (name, fit.model.noise.name) == ("sigma", "gaussian") else 1.0


def _prior(fit: Fit) -> dict[str, np.ndarray]:
    """Draws of the parameters of law and noise from their prior, in natural units."""
    priors = fit.model.priors
    with parallel.workbench():
        keys = random.split(random.key(0), len(priors))
        sampled = {
            p: np.asarray(jax.device_get(prior.sample(key, (PRIOR_DRAWS,))))
            for (p, prior), key in zip(priors.items(), keys, strict=True)
        }
        return fit.natural(sampled) | {p: sampled[p] * _unit(fit, p) for p in fit.model.noise.parameters}


def density(draws: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """A Gaussian kernel density, with Silverman's width."""
    draws = draws[:: max(1, len(draws) // KERNELS)]
    quartiles = np.quantile(draws, (0.25, 0.75))
    # 1.349 sd lie between the quartiles of a normal.
    scale = min(draws.std(), (quartiles[1] - quartiles[0]) / 1.349) or draws.std() or 1e-9
    width = 0.9 * scale * len(draws) ** -0.2
    kernel = np.exp(-0.5 * ((grid[:, None] - draws) / width) ** 2)
    return kernel.mean(axis=1) / (width * np.sqrt(2 * np.pi))
