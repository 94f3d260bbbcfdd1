"""What levels of a factor have of their own: forests of parameters and of shocks."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jax import random
from matplotlib.axes import Axes

from bayescale import forecast, parallel
from bayescale.fit import Fit
from bayescale.model import effect_of, varies_by
from bayescale.plot_of_parameters import HALF, spoken
from bayescale.plot_style import BAND, bare, mark, panels, value_axis
from bayescale.plot_themes import theme_of


class Levels(NamedTuple):
    """A parameter of each level, (levels, draws), of the centre, and of a level not seen yet, (draws,)."""

    each: np.ndarray
    centre: np.ndarray
    unseen: np.ndarray


def forest(
    fit: Fit,
    axes: Sequence[Axes] | np.ndarray | None = None,
    *,
    by: str | None = None,
    relative: bool = False,
) -> np.ndarray:
    """What levels of a factor have of their own, a row for each and a panel for each parameter.

    Thin lines are 90% intervals, thick ones 50%; the dashed line is the median of what levels differ from, and the
    last row is what a level not seen yet may have. Shocks are in percent of the loss, or on the logit of success.

    Args:
        fit: the fit.
        axes: as many as there are parameters, and shocks, that differ by the factor; by default new ones.
        by: the factor; by default the first.
        relative: whether parameters are divided, draw by draw, by what levels differ from: that shows how they
            differ where all of them together are uncertain.

    Raises:
        ValueError: nothing differs by the factor, or there are more or fewer axes than parameters.
    """
    factors = fit.model.factors
    if not factors or (by is not None and by not in factors):
        known = ", ".join(factors) or "no factor"
        raise ValueError(f"nothing differs by {by or 'any factor'}; the model has {known}")
    by = by or next(iter(factors))
    found, levels = by_level(fit, by, relative=relative), fit.runs.levels[by]
    order = np.argsort(-np.median(next(iter(found.values())).each, axis=1))
    every = panels(axes, list(found), 2.0 + 3.4 * len(found), 1.2 + 0.26 * (len(levels) + 1))
    for i, (panel, (name, values)) in enumerate(zip(every, found.items(), strict=True)):
        theme, rows = theme_of(panel), [*values.each[order], values.unseen]
        for row, draws in enumerate(rows):
            new = row == len(levels)
            colour = theme.muted if new else theme.colours[0]
            low, middle, high = np.quantile(draws, BAND)
            if len(draws) > 1:
                panel.plot([low, high], [row, row], color=colour, linewidth=1.2)
                panel.plot(
                    np.quantile(draws, HALF), [row, row], color=colour, linewidth=4, solid_capstyle="butt"
                )
            edge = {"markeredgecolor": theme.paper, "markeredgewidth": 0.8, "zorder": 3}
            panel.plot(middle, row, "D" if new else "o", color=colour, markersize=6, **edge)
        panel.axvline(float(np.median(values.centre)), color=theme.ink, linestyle="--", linewidth=0.9)
        panel.set_ylim(len(levels) + 0.6, -0.6)
        said = [*(levels[k] for k in order), "not seen yet"] if i == 0 else [""] * len(rows)
        panel.set_yticks(range(len(rows)), said, fontsize=9)
        panel.set_title(name, fontsize=11)
        value_axis(panel, "x", np.concatenate(rows), 6)
        bare(panel)
        panel.grid(axis="y", color=theme.grid, linewidth=0.5)
        panel.set_axisbelow(True)
        mark(fit.trouble, panel)
    return np.array(every, dtype=object)


def by_level(fit: Fit, by: str, *, relative: bool = False) -> dict[str, Levels]:
    """The parameters that differ by a factor, in natural units or relative to the centre, and its shocks, by name."""
    model, found = fit.model, {}
    varying = [p for pooling in model.pooling if pooling.by == by for p in pooling.vary]
    with parallel.workbench():
        fresh = forecast.new_levels(model, fit.flat, random.key(0))
        own = {name: value for name, value in fresh.items() if name.endswith(varies_by(by))}
        unseen, centre = fit.natural(fit.relative({}, own)), fit.natural(fit.relative({}))
        each = [fit.natural(fit.relative({by: level})) for level in fit.runs.levels[by]]
        for p in varying:
            unit = centre[p] if relative else np.ones(len(fit))
            said = f"{spoken(p)} / typical {spoken(p)}" if relative else spoken(p)
            found[said] = Levels(
                np.stack([one[p] for one in each]) / unit, centre[p] / unit, unseen[p] / unit
            )
        if any(effect.by == by for effect in model.effects or ()):
            unit, said = (
                (100, "shock, % of the loss") if model.law.response == "loss" else (1, "shock, logit")
            )
            scale = fit.flat(f"{effect_of(by)}_scale")
            new = scale * np.asarray(random.normal(random.key(1), scale.shape))
            found[said] = Levels(unit * fit.flat(effect_of(by)).T, np.zeros(1), unit * new)
    return found
