"""Figures: each takes and returns matplotlib Axes, and none touches pyplot. All of them are here by name.

    with bs.plot.style("dark"):
        bs.plot.isoflop(fit, compute=[1e22, 1e23]).figure.savefig("isoflop.svg")

Figures of comparisons and back-tests are in `plot_of_checks`.
"""

import textwrap
from pathlib import Path

from matplotlib.figure import Figure

from bayescale.fit import Fit
from bayescale.plot_of_decisions import answer as answer
from bayescale.plot_of_decisions import answers as answers
from bayescale.plot_of_decisions import optimum as optimum
from bayescale.plot_of_decisions import regret as regret
from bayescale.plot_of_designs import design as design
from bayescale.plot_of_designs import optima as optima
from bayescale.plot_of_levels import forest as forest
from bayescale.plot_of_losses import loss_curves as loss_curves
from bayescale.plot_of_parameters import bootstrap as bootstrap
from bayescale.plot_of_parameters import chosen, parameters
from bayescale.plot_of_parameters import pairs as pairs
from bayescale.plot_of_residuals import residual_panels as residual_panels
from bayescale.plot_of_residuals import residuals as residuals
from bayescale.plot_of_runs import column as column
from bayescale.plot_of_surfaces import contours as contours
from bayescale.plot_of_surfaces import isoflop as isoflop
from bayescale.plot_style import WIDTH
from bayescale.plot_themes import style as style
from bayescale.plot_themes import theme_of


def figure(fit: Fit) -> Figure:
    """The loss curves over the parameters, with the verdict on the fit; 10 by 7 inches."""
    drawn = Figure(figsize=(10, 7), layout="constrained")
    names = chosen(fit, None)
    rows = drawn.add_gridspec(2, 1, height_ratios=(2.3, 1))
    loss_curves(fit, drawn.add_subplot(rows[0]))
    below = rows[1].subgridspec(1, len(names))
    parameters(fit, [drawn.add_subplot(below[i]) for i in range(len(names))])
    what = f"{fit.model.law.name}, {fit.model.noise.name} noise, {len(fit.runs)} runs of {Path(fit.runs.source).name}"
    theme = theme_of(drawn.axes[0])
    if fit.converged:
        drawn.suptitle(f"{what}\n{textwrap.fill(fit.verdict, WIDTH)}", fontsize=11, color=theme.ink)
    else:
        drawn.suptitle("NOT CONVERGED", color=theme.alarm, fontsize=20, fontweight="bold")
        trouble = textwrap.fill("; ".join(fit.trouble), WIDTH)
        drawn.axes[0].set_title(f"{trouble}\n{what}", fontsize=11)
    return drawn
