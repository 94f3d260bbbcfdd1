"""Themes of figures: for paper and for dark pages, legible for the colour-blind on both."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb


@dataclass(frozen=True)
class Theme:
    """The colours of a page.

    Attributes:
        name: "light" or "dark".
        ink, muted, alarm: of text and of what is drawn without a colour of its own; contrast with paper 4.5 or more.
        grid: of lines that only guide the eye.
        paper: the background.
        colours: of groups, which the colour-blind tell apart; contrast with paper 3 or more.
        shades: the part of the colour map of ordered values that stands out from paper.
    """

    name: str
    ink: str
    muted: str
    alarm: str
    grid: str
    paper: str
    colours: tuple[str, ...]
    shades: tuple[float, float]


# Okabe and Ito's colours. Paper loses their orange, sky blue and yellow, for which a brown and an indigo stand; a dark
# page loses their blue and black.
LIGHT = Theme(
    name="light",
    ink="#000000",
    muted="#666666",
    alarm="#B00000",
    grid="#DDDDDD",
    paper="#FFFFFF",
    colours=("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#6B4A00", "#332288"),
    shades=(0.0, 0.62),
)
DARK = Theme(
    name="dark",
    ink="#E8E8E8",
    muted="#A0A0A0",
    alarm="#FF7B72",
    grid="#3A3F46",
    paper="#14171C",
    colours=("#56B4E9", "#E69F00", "#009E73", "#CC79A7", "#F0E442", "#D55E00"),
    shades=(0.42, 1.0),
)
THEMES = {theme.name: theme for theme in (LIGHT, DARK)}


@contextmanager
def style(name: str = "light") -> Iterator[Theme]:
    """A context in which figures are made for a page of that theme.

        with style("dark"):
            axes = loss_curves(fit)

    Everything drawn later takes its colours from the axes it is drawn on, wherever they were made: see `theme_of`.

    Args:
        name: "light" or "dark".

    Raises:
        ValueError: there is no such theme.
    """
    if name not in THEMES:
        raise ValueError(f"there is no theme {name!r}; there are {' and '.join(THEMES)}")
    theme = THEMES[name]
    inked = (
        "text.color",
        "axes.labelcolor",
        "axes.titlecolor",
        "axes.edgecolor",
        "xtick.color",
        "ytick.color",
    )
    settings: Any = dict.fromkeys(inked, theme.ink) | {
        "figure.facecolor": theme.paper,
        "axes.facecolor": theme.paper,
        "savefig.facecolor": "auto",
        "pdf.fonttype": 42,  # letters stay letters in print
    }
    with mpl.rc_context(settings):
        yield theme


def theme_of(axes: Axes) -> Theme:
    """The theme that axes were made for, by their ink: also of a figure that has a style of its own."""
    red, green, blue = to_rgb(axes.xaxis.label.get_color())
    return DARK if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.5 else LIGHT  # the weights of Rec. 709


def shades(theme: Theme, values: np.ndarray) -> list[tuple[float, ...]]:
    """A colour for each of ordered values, by their logarithms, (values,)."""
    x = np.log(values)
    share = (x - x.min()) / np.ptp(x) if np.ptp(x) > 0 else np.full(x.shape, 0.5)
    low, high = theme.shades
    return [tuple(c) for c in mpl.colormaps["plasma"](low + (high - low) * share)]
