"""How figures look: themes for paper and for dark pages, axes with units as people write them, bands, marks, legends."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from bayescale.columns import MEANINGS, label
from bayescale.fit import Fit

BAND = (0.05, 0.5, 0.95)  # the 90% interval and the median, of every band there is
LEVEL = "90%"
DRAWS = 1000  # for a band: its edges are then good to a line's width
WIDTH = 110  # characters of a line of a title
LEGEND = 14  # groups; more would be no legend but a list
INSIDE = 7  # entries of a legend; more would hide the data
LAST = ("fitted at", LEVEL, "extrapolated", "largest run", "best split", "20 tokens", "smooth")  # of a legend
DECADE = 10.0  # from the least to the greatest value, from which on an axis is logarithmic
LINE = 11.0  # points from one line of text to the next
DASHES = (0, (4, 2))  # of whatever lies beyond the runs
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">", "h")  # 11 by 6: 66 pairs before one comes again
STYLES = ("-", (0, (5, 1)), (0, (1, 1)), (0, (3, 1, 1, 1)), (0, (7, 2)), (0, (3, 1, 1, 1, 1, 1)))


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


# Okabe and Ito's colours. On paper yellow is left out, and the last two are darker than theirs, since print loses both;
# on a dark page it is their blue and black that are lost.
LIGHT = Theme(
    name="light",
    ink="#000000",
    muted="#666666",
    alarm="#B00000",
    grid="#DDDDDD",
    paper="#FFFFFF",
    colours=("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#A87400", "#3A96C8"),
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
    """Inside, figures are made for a page of that theme: `with style("dark"): axes = loss_curves(fit)`.

    Everything drawn later takes its colours from the axes it is drawn on, wherever they were made: see `theme_of`.

    Args:
        name: "light" or "dark".

    Raises:
        ValueError: there is no such theme.
    """
    if name not in THEMES:
        raise ValueError(f"there is no theme {name!r}; there are {' and '.join(THEMES)}")
    theme = THEMES[name]
    inked = ("text.color", "axes.labelcolor", "axes.titlecolor", "axes.edgecolor", "xtick.color", "ytick.color")
    settings = dict.fromkeys(inked, theme.ink) | {
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


def made(axes: Axes | None, width: float = 7.0, height: float = 4.6) -> Axes:
    """The axes, or those of a new figure of so many inches."""
    return axes if axes is not None else Figure(figsize=(width, height), layout="constrained").subplots()


def panels(
    axes: Sequence[Axes] | np.ndarray | None, names: Sequence[str], width: float = 0.0, height: float = 2.6
) -> list[Axes]:
    """As many axes as there are names, those given or in a row of a new figure.

    Raises:
        ValueError: there are more or fewer axes than names.
    """
    if axes is None:
        width = width or max(10.0, 2.6 * len(names))
        axes = np.atleast_1d(Figure(figsize=(width, height), layout="constrained").subplots(1, len(names)))
    found = list(np.atleast_1d(np.asarray(axes, dtype=object)).ravel())
    if len(found) != len(names):
        raise ValueError(f"{len(found)} axes for {', '.join(names)}; give {len(names)}")
    return found


# ---- Axes


def meaning(covariate: str) -> str:
    """A column or ratio in words."""
    if covariate == "D/N":
        return "training tokens per parameter"
    return MEANINGS[covariate][0] if covariate in MEANINGS else covariate


def written(covariate: str, value: float) -> str:
    """A value as people write it, FLOP always as powers of ten.

    >>> written("N", 7e9), written("C", 1e14), written("D/N", 20)
    ('7B', '1e14', '20')
    """
    return f"{value:.3g}".replace("e+", "e") if covariate == "C" else label(value)


def log_axis(axis: Axis, covariate: str) -> None:
    """A logarithmic axis of a column; call it when everything is drawn, since ticks depend on the range."""
    getattr(axis.axes, f"set_{axis.axis_name}label")(meaning(covariate))
    log_ticks(axis, covariate)


def log_ticks(axis: Axis, covariate: str = "") -> None:
    """Numbers of a logarithmic axis, as people write them, as many as there is room for."""
    getattr(axis.axes, f"set_{axis.axis_name}scale")("log")
    low, high = sorted(axis.get_view_interval())
    decades = np.log10(high / low)
    # Four labels or so: in under a decade 1, 2, 3, 5, in under two and a half 1 and 3, else the decades.
    subs = (1.0, 2.0, 3.0, 5.0) if decades < 1.2 else (1.0, 3.0) if decades < 2.5 else (1.0,)
    axis.set_major_locator(LogLocator(subs=subs, numticks=10))
    axis.set_major_formatter(FuncFormatter(lambda value, _: written(covariate, value)))
    axis.set_minor_formatter(NullFormatter())


def value_axis(axis: Axis, values: np.ndarray, ticks: int = 4) -> None:
    """An axis of values as people write them: logarithmic where most of them are positive and span a decade."""
    low, high = np.quantile(values, (0.01, 0.99))
    if low > 0 and high / low > DECADE:
        log_ticks(axis)
        return
    axis.set_major_locator(MaxNLocator(ticks, prune="both"))
    axis.set_major_formatter(FuncFormatter(lambda value, _: label(value)))


def bare(axes: Axes) -> None:
    """No frame where nothing is to be read."""
    axes.spines[["top", "right"]].set_visible(False)


def legend(axes: Axes, **options) -> None:
    """The legend, if there is anything in it, in the ink of the axes; beside them where it is long."""
    handles, names = entries(axes)
    if not handles:
        return
    beside = {"loc": "upper left", "bbox_to_anchor": (1.01, 1.0), "borderaxespad": 0.0}
    theme = theme_of(axes)
    frame = {"facecolor": theme.paper, "edgecolor": "none", "framealpha": 0.85, "labelcolor": theme.ink}
    given = {"fontsize": 9} | frame | (beside if len(names) > INSIDE else options)
    axes.legend(handles, names, **given)


def entries(axes: Axes) -> tuple[list, list[str]]:
    """The handles and the names of a legend; what belongs to all curves, as their bands, comes last."""
    handles, names = axes.get_legend_handles_labels()
    order = sorted(range(len(names)), key=lambda i: names[i].startswith(LAST))
    return [handles[i] for i in order], [names[i] for i in order]


def end_labels(axes: Axes, labels: Mapping[str, tuple[float, float]]) -> None:
    """Labels to the right of the ends of curves, text -> (x, y); moved up where one would hide another.

    Call it when the limits of the axes are final.
    """
    below = -np.inf  # the place of the label before, in points
    for text, end in sorted(labels.items(), key=lambda item: item[1][1]):
        place = axes.transData.transform(end)[1] * 72 / axes.figure.dpi
        below = max(place, below + LINE)
        axes.annotate(
            text,
            end,
            xytext=(5, below - place),
            textcoords="offset points",
            va="center",
            fontsize=9,
            color=theme_of(axes).ink,
            annotation_clip=False,
        )


def once(axes: Axes, name: str) -> str | None:
    """The name, or nothing where the legend of the axes has it already."""
    return None if name in axes.get_legend_handles_labels()[1] else name


# ---- What is drawn of draws


def curve(
    axes: Axes, x: np.ndarray, values: np.ndarray, seen: np.ndarray, *, colour, name: str | None, band: str
) -> np.ndarray:
    """The median over draws against x, dashed where nothing was seen, and its 90% band; a point fit has none.

    Args:
        axes: where to draw.
        x: (points,), ascending.
        values: (draws, points).
        seen: whether there are runs like it, (points,).
        colour: of line and band.
        name: of the line, in the legend.
        band: of what the band is, as "the mean curve".

    Returns:
        The median, (points,).
    """
    low, middle, high = np.quantile(values, BAND, axis=0)
    if len(values) > 1:
        said = once(axes, f"{LEVEL} of {band}")
        axes.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0, label=said)
    line(axes, x, middle, seen, colour=colour, name=name)
    return middle


def line(axes: Axes, x: np.ndarray, y: np.ndarray, seen: np.ndarray, *, colour, name: str | None) -> None:
    """A line, dashed where nothing was seen; everything as for `curve`."""
    for mask, dashes, said in ((seen, "-", name), (~seen, DASHES, "extrapolated")):
        for first, last in stretches(mask):
            if dashes != "-":  # dashes begin where the line ends
                first, last = max(first - 1, 0), min(last + 1, len(x))
            part, said = slice(first, last), once(axes, said) if said else None
            axes.plot(x[part], y[part], color=colour, linewidth=1.7, linestyle=dashes, label=said)
    if name and not seen.any():  # or else it would have no name
        axes.plot([], [], color=colour, linewidth=1.7, label=name)


def stretches(mask: np.ndarray) -> list[tuple[int, int]]:
    """Where a mask, (points,), is true: the first of each stretch, and one past its last.

    >>> stretches(np.array([True, True, False, True]))
    [(0, 2), (3, 4)]
    """
    ends = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(int)))
    return list(zip(ends[::2].tolist(), ends[1::2].tolist(), strict=True))


def mark(fit: Fit, axes: Axes) -> None:
    """Write across the axes that the fit has not converged, where it has not."""
    if not fit.converged:
        width = axes.get_window_extent().width / axes.figure.dpi  # inches
        axes.text(
            0.5,
            0.5,
            "NOT CONVERGED",
            transform=axes.transAxes,
            ha="center",
            va="center",
            rotation=15,
            fontsize=max(6.0, min(30.0, 5.5 * width)),
            fontweight="bold",
            color=theme_of(axes).alarm,
            alpha=0.5,
            zorder=10,
        )
