"""How figures are drawn: axes with units as people write them, bands, lines, legends and marks."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from bayescale.columns import MEANINGS, label
from bayescale.plot_themes import theme_of

BAND = (0.05, 0.5, 0.95)  # the 90% interval and the median, of every band there is
LEVEL = "90%"
DRAWS = 1000  # for a band: its edges are then good to a line's width
WIDTH = 110  # characters of a line of a title
LEGEND = 14  # groups; more would be no legend but a list
INSIDE = 6  # entries of a legend; more would hide the data
# What comes last in a legend, and in which order: what belongs to all curves.
LAST = ("best split", "fitted at", "smooth", "50%", LEVEL, "extrapolated", "largest run", "20 tokens")
DECADE = 10.0  # from the least to the greatest value, from which on an axis is logarithmic
NARROW = 1.5  # times its least value, under which an axis would have no number on it
LETTER = 6.5  # points, the width of a letter with its share of the space about a label
LINE = 11.0  # points from one line of text to the next
DASHES = (0, (4, 2))  # of whatever lies beyond the runs
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">", "h")  # 11 by 6: 66 pairs before one comes again
STYLES = ("-", (0, (5, 1)), (0, (1, 1)), (0, (3, 1, 1, 1)), (0, (7, 2)), (0, (3, 1, 1, 1, 1, 1)))


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
    more = {"D/N": "training tokens per parameter", "loss": "loss (nats for each token)"}
    return more.get(covariate) or (MEANINGS[covariate][0] if covariate in MEANINGS else covariate)


def written(covariate: str, value: float) -> str:
    """A value as people write it, FLOP always as powers of ten.

    >>> written("N", 7e9), written("C", 1e14), written("D/N", 20)
    ('7B', '1e14', '20')
    """
    return f"{value:.3g}".replace("e+", "e") if covariate == "C" else label(value)


def axis_of(axes: Axes, which: str) -> Axis:
    """The x axis or the y axis."""
    return {"x": axes.xaxis, "y": axes.yaxis}[which]


def log_axis(axes: Axes, which: str, covariate: str) -> None:
    """A logarithmic axis of a column; call it when everything is drawn, since ticks depend on the range."""
    axes.set(**{f"{which}label": meaning(covariate)})
    log_ticks(axes, which, covariate)


def log_ticks(axes: Axes, which: str, covariate: str = "") -> None:
    """Numbers of a logarithmic axis, as people write them, as many as there is room for."""
    axes.set(**{f"{which}scale": "log"})
    axis = axis_of(axes, which)
    low, high = sorted(axis.get_view_interval())
    if high / low < NARROW:  # one value, or nearly: about it
        low, high = low / NARROW, high * NARROW
        axes.set(**{f"{which}lim": (low, high)})
    decades = np.log10(high / low)
    # Four labels or so: in a decade 1, 2, 3, 5, in under two and a half 1 and 3, else the decades.
    subs = (1.0, 2.0, 3.0, 5.0) if decades < 1.2 else (1.0, 3.0) if decades < 2.5 else (1.0,)
    axis.set_major_locator(LogLocator(subs=subs, numticks=10))
    axis.set_major_formatter(FuncFormatter(lambda value, _: written(covariate, value)))
    axis.set_minor_formatter(NullFormatter())


def value_axis(axes: Axes, which: str, values: np.ndarray, ticks: int = 4) -> None:
    """An axis of values as people write them: logarithmic where most of them are positive and span a decade."""
    if spans(values):
        return log_ticks(axes, which)
    axis_of(axes, which).set_major_locator(MaxNLocator(ticks, prune="both"))
    axis_of(axes, which).set_major_formatter(FuncFormatter(lambda value, _: label(value)))


def spans(values: np.ndarray) -> bool:
    """Whether values are positive and all but the ends of them span a decade."""
    low, high = np.quantile(values, (0.01, 0.99))
    return bool(low > 0 and high / low > DECADE)


def bare(axes: Axes) -> None:
    """No frame where nothing is to be read."""
    axes.spines[["top", "right"]].set_visible(False)


def legend(axes: Axes, *, beside: bool | None = None, loc: str = "best", **options: Any) -> None:
    """The legend, if there is anything in it, in the ink of the axes.

    Args:
        axes: the axes.
        beside: whether it stands beside them; by default where it is long.
        loc: where it stands inside them.
        options: more of what `Axes.legend` takes.
    """
    handles, names = entries(axes)
    if not handles:
        return
    theme = theme_of(axes)
    frame = {"facecolor": theme.paper, "edgecolor": "none", "framealpha": 0.85, "labelcolor": theme.ink}
    place: dict[str, Any] = {"loc": loc}
    if beside or (beside is None and len(names) > INSIDE):
        place = {"loc": "upper left", "bbox_to_anchor": (1.01, 1.0), "borderaxespad": 0.0}
    drawn = axes.legend(handles, names, **({"fontsize": 9} | frame | place | options))
    drawn.get_title().set_color(theme.ink)


def entries(axes: Axes) -> tuple[list, list[str]]:
    """The handles and the names of a legend; what belongs to all curves, as their bands, comes last."""
    handles, names = axes.get_legend_handles_labels()
    rank = [next((k for k, start in enumerate(LAST, 1) if name.startswith(start)), 0) for name in names]
    order = np.argsort(rank, kind="stable").tolist()
    return [handles[i] for i in order], [names[i] for i in order]


def end_labels(axes: Axes, labels: Mapping[str, tuple[float, float]]) -> None:
    """Labels to the right of the ends of curves on a log axis, text -> (x, y), for which the axis is made longer.

    They are moved up where one would hide another. Call it when everything is drawn.
    """
    points = 72 / axes.figure.dpi
    width = axes.get_window_extent().width * points
    share = min(0.4, LETTER * max(map(len, labels)) / width)
    low, high = np.log(axes.get_xlim())
    furthest = np.log(max(x for x, _ in labels.values()))
    axes.set_xlim(right=float(np.exp(max(high, low + (furthest - low) / (1 - share)))))
    below = -np.inf  # the place of the label before, in points
    for text, end in sorted(labels.items(), key=lambda item: item[1][1]):
        place = axes.transData.transform(end)[1] * points
        below = max(place, below + LINE)
        to = (5, below - place)
        ink = theme_of(axes).ink
        axes.annotate(text, end, xytext=to, textcoords="offset points", va="center", fontsize=9, color=ink)


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


def mark(trouble: Sequence[str], axes: Axes) -> None:
    """Write across the axes that a fit has not converged, where there is trouble with it."""
    if trouble:
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
