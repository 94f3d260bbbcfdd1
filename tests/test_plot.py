"""Figures of every kind: either theme can be read, nothing hides a number, and what has not converged is marked."""

import io
import itertools

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from bayescale import plot, plot_themes
from bayescale.plot_style import written
from tests.figures import BY_FAMILY, fit_of, known, lines


def drawn(figure):
    figure.savefig(io.BytesIO(), format="png", dpi=40)  # what is drawn lazily is drawn
    return figure


def hidden(figure):
    """Numbers and names of axes that lie over each other, or outside the figure."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    boxes = []
    for axes in figure.axes:
        if not axes.axison:
            continue
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            ticks = zip(axis.get_majorticklocs(), axis.get_ticklabels(), strict=False)
            boxes += [
                (text.get_text(), text.get_window_extent(renderer))
                for at, text in ticks
                if low <= at <= high and text.get_visible() and text.get_text()
            ]
            if axis.label.get_text():
                boxes.append((axis.label.get_text(), axis.label.get_window_extent(renderer)))
        if axes.get_title():
            boxes.append((axes.get_title(), axes.title.get_window_extent(renderer)))
    within = figure.bbox.padded(2)
    outside = [
        text
        for text, box in boxes
        if not (within.contains(box.x0, box.y0) and within.contains(box.x1, box.y1))
    ]
    pairs = itertools.combinations(boxes, 2)
    return outside + [
        f"{a} over {b}" for (a, one), (b, other) in pairs if one.padded(-1).overlaps(other.padded(-1))
    ]


# ---- Themes


def luminance(colour):
    """Of WCAG 2.1."""
    c = np.array(to_rgb(colour))
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722]


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", plot_themes.THEMES.values(), ids=plot_themes.THEMES)
def test_everything_stands_out_from_its_page(theme):
    assert min(contrast(c, theme.paper) for c in (theme.ink, theme.muted, theme.alarm)) >= 4.5  # text
    assert min(contrast(c, theme.paper) for c in theme.colours) >= 3.0  # what is no text
    assert min(contrast(c, theme.paper) for c in plot_themes.shades(theme, np.geomspace(1, 100, 9))) >= 3.0
    assert contrast("#FFFFFF", "#000000") == pytest.approx(21)


# What the colour-blind see, for linear RGB: Machado, Oliveira and Fernandes 2009, doi:10.1109/TVCG.2009.113, table 1.
SEEN = {
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
    "all": np.eye(3),
}
XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)


def lab(linear):
    """CIE L*a*b* of linear sRGB."""
    t = XYZ @ np.clip(linear, 0, 1) / [0.95047, 1.0, 1.08883]
    f = np.where(t > (6 / 29) ** 3, np.cbrt(t), t / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("theme", plot_themes.THEMES.values(), ids=plot_themes.THEMES)
@pytest.mark.parametrize("sight", SEEN)
def test_the_colour_blind_tell_groups_apart(theme, sight):
    rgb = np.array([to_rgb(c) for c in theme.colours])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = [lab(np.array(SEEN[sight]) @ c) for c in linear]
    # 2.3 is just noticed side by side; of the colours of Okabe and Ito the nearest are 17 apart.
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)) > 15


def test_a_theme_is_of_the_axes_and_not_of_the_moment():
    before = str(mpl.rcParams)
    with plot.style("dark"):
        dark = Figure(layout="constrained").subplots()
    assert str(mpl.rcParams) == before
    plot.loss_curves(fit_of(), dark)
    theme = plot_themes.DARK
    assert to_rgb(dark.get_legend().get_texts()[0].get_color()) == pytest.approx(to_rgb(theme.ink))
    assert lines(dark, "runs")[0].get_color() == theme.colours[0]
    assert to_rgb(dark.figure.get_facecolor()) == pytest.approx(to_rgb(theme.paper))
    light = plot.loss_curves(fit_of())
    assert lines(light, "runs")[0].get_color() == plot_themes.LIGHT.colours[0]
    with mpl.rc_context({"axes.labelcolor": "white"}):  # a style of the user's own
        assert plot_themes.theme_of(Figure().subplots()) is theme
    with (
        pytest.raises(ValueError, match="there is no theme 'sepia'; there are light and dark"),
        plot.style("sepia"),
    ):
        pass


@pytest.mark.parametrize(
    ("covariate", "value", "text"),
    [
        ("N", 7e9, "7B"),
        ("D", 1.4e12, "1.4T"),
        ("C", 5.76e23, "5.76e23"),
        ("C", 1e14, "1e14"),
        ("D/N", 20, "20"),
    ],
)
def test_numbers_are_written_as_people_do(covariate, value, text):
    assert written(covariate, value) == text


# ---- All of them


def test_axes_given_are_the_axes_drawn_on():
    fit = known()[0]
    for draw in (plot.loss_curves, plot.isoflop, plot.contours, plot.optimum, plot.residuals):
        axes = Figure().subplots()
        assert draw(fit, axes) is axes


@pytest.mark.parametrize(("theme", "pooling"), [("light", BY_FAMILY), ("dark", ())], ids=["light", "dark"])
def test_no_number_hides_another(theme, pooling):
    fit = known(pooling=pooling)[0]
    with plot.style(theme):
        figures = [plot.loss_curves(fit, covariate=c).figure for c in ("C", "N", "D", "D/N", "width")]
        figures += [draw(fit).figure for draw in (plot.isoflop, plot.contours, plot.optimum, plot.residuals)]
        figures += [plot.figure(fit), plot.residual_panels(fit), plot.pairs(fit)[0, 0].figure]
        figures += [plot.parameters(fit, names=fit.model.law.parameters)[0].figure]
        figures += [plot.regret(fit, compute=1e22).figure]
        if pooling:
            figures.append(plot.forest(fit)[0].figure)
    for figure in figures:
        assert not hidden(figure)


def test_what_is_hidden_would_be_found():
    figure = Figure(figsize=(2, 2), dpi=100)
    axes = figure.subplots()
    axes.set_xticks(np.linspace(0, 1, 30), [f"number {i}" for i in range(30)])
    assert hidden(figure)


def test_a_fit_that_has_not_converged_is_marked_on_every_figure():
    fit = known(pareto_k=0.9, pooling=BY_FAMILY)[0]
    marked = [
        plot.loss_curves(fit),
        plot.isoflop(fit),
        plot.contours(fit),
        plot.optimum(fit),
        plot.residuals(fit),
    ]
    marked += [
        plot.regret(fit, compute=1e22),
        *plot.parameters(fit),
        *plot.forest(fit),
        plot.pairs(fit)[1, 1],
    ]
    for axes in marked:
        assert "NOT CONVERGED" in [text.get_text() for text in axes.texts]
    good = plot.loss_curves(known()[0])
    assert "NOT CONVERGED" not in [text.get_text() for text in good.texts]


@pytest.mark.parametrize("law", ["chinchilla", "kaplan", "constant"])
def test_a_figure_says_its_verdict(law):
    figure = drawn(plot.figure(fit_of(law)))
    assert tuple(figure.get_size_inches()) == (10, 7)
    assert "converged (laplace)" in figure.get_suptitle()
    bad = drawn(plot.figure(fit_of(law, pareto_k=0.9)))
    assert bad.get_suptitle() == "NOT CONVERGED"
    assert "Pareto-k 0.90" in bad.axes[0].get_title()


def test_a_point_fit_and_a_pooled_one_can_be_drawn():
    for fit in (fit_of(draws=1, method="map"), fit_of(pooling=BY_FAMILY)):
        figure = drawn(plot.figure(fit))
        # Every run has its mark, and every panel has something in it.
        marked = [line for line in figure.axes[0].lines if line.get_marker() in ("o", "s")]
        assert sum(len(line.get_xdata()) for line in marked) == len(fit.runs)
        assert all(axes.lines or axes.patches or axes.collections for axes in figure.axes)
