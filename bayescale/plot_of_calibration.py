"""The figure of a study of calibration: ranks against the band of even ones, and how often intervals held."""

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from bayescale.check.calibrated import BAND, LEVELS, RANKS, Calibration, band
from bayescale.plot_style import bare, legend, made
from bayescale.plot_themes import theme_of

ACROSS = 4  # panels in a row


def calibration(found: Calibration) -> Figure:
    """Ranks of every quantity, a panel each, and how often intervals held; the verdict above."""
    names = found.quantities
    rows = math.ceil((len(names) + 1) / ACROSS)
    across = min(len(names) + 1, ACROSS)
    drawn = Figure(figsize=(3.2 * across, 2.5 * rows + 0.6), layout="constrained")
    panels = drawn.subplots(rows, across, squeeze=False).ravel()
    for name, axes in zip(names, panels, strict=False):
        ranks(found, name, axes)
    coverage(found, panels[len(names)])
    for axes in panels[len(names) + 1 :]:
        axes.set_axis_off()
    theme = theme_of(panels[0])
    said = found.verdict
    if found.own:
        said += f"\nshaded: where {BAND:.0%} of sound studies stay in every panel"
    drawn.suptitle(said, fontsize=11, color=theme.alarm if found.uneven else theme.ink)
    return drawn


def ranks(found: Calibration, quantity: str, axes: Axes | None = None) -> Axes:
    """How far the share of ranks up to each is from that of even ranks, and the band that even ones stay in.

    Above the band at the left: the truth lies too often below the draws. As an S through the middle: intervals are too
    wide, or turned over too narrow.

    Args:
        found: the study.
        quantity: one of its quantities.
        axes: where to draw.

    Source:
        Sailynoja, Burkner and Vehtari 2022, arXiv:2103.10522.
    """
    axes = made(axes, 4.2, 3.2)
    theme, own = theme_of(axes), found.ranks(quantity)
    at = np.arange(1, RANKS + 1) / (RANKS + 1)
    if found.own and len(own):
        low, high = band(len(own), found.band_level)
        axes.fill_between(at, low - at, high - at, color=theme.muted, alpha=0.2, linewidth=0)
    if len(own):
        share = np.cumsum(np.bincount(own, minlength=RANKS + 1))[:-1] / len(own)
        colour = theme.alarm if quantity in found.uneven else theme.colours[0]
        axes.step(at, share - at, where="post", color=colour, linewidth=1.4)
    axes.axhline(0, color=theme.muted, linewidth=0.8)
    axes.set_title(quantity, fontsize=9)
    axes.set_xlim(0, 1)
    axes.set_xlabel("rank of the truth", fontsize=8)
    axes.set_ylabel("share below, less even", fontsize=8)
    axes.tick_params(labelsize=8)
    bare(axes)
    return axes


def coverage(found: Calibration, axes: Axes | None = None) -> Axes:
    """How often central intervals held the truth, a point for each quantity with its 95% interval.

    Args:
        found: the study.
        axes: where to draw.
    """
    axes = made(axes, 4.2, 3.2)
    theme = theme_of(axes)
    count = len(found.quantities)
    for k, level in enumerate(LEVELS):
        shares = [found.coverage(name, level) for name in found.quantities]
        middle, low, high = (
            np.array([getattr(share, part) for share in shares]) for part in ("value", "low", "high")
        )
        place = k + (np.arange(count) - (count - 1) / 2) * 0.7 / max(count, 1)
        axes.vlines(place, low, high, color=theme.colours[0], linewidth=1, alpha=0.6)
        axes.plot(place, middle, "o", color=theme.colours[0], markersize=2.5)
        said = "as they say" if not k else ""
        axes.hlines(level, k - 0.45, k + 0.45, color=theme.colours[1], linewidth=1.4, label=said)
    axes.set_xticks(range(len(LEVELS)), [f"{100 * level:g}%" for level in LEVELS])
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.set_title("how often intervals held", fontsize=9)
    axes.tick_params(labelsize=8)
    legend(axes, fontsize=8, loc="lower right")
    bare(axes)
    return axes
