"""Figures of losses and of surfaces: what is on them is what the fit says, in either theme, and nothing hides it."""

import io
import itertools

import jax
import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from bayescale import models, noise, parallel, plot, plot_themes
from bayescale.fit import Fit
from bayescale.law import Law
from bayescale.model import Model
from bayescale.plot_style import written
from bayescale.pooling import Pooling
from bayescale.runs import Runs

GOOD = {"at_bound": [], "mode_converged": True, "pareto_k": 0.1, "mode_agreed": 9, "mode_starts": 9}
RUNS = Runs.make(
    {
        "N": np.tile(np.geomspace(1e8, 1e10, 6), 2),
        "D": np.repeat([20, 200], 6) * np.tile(np.geomspace(1e8, 1e10, 6), 2),
        "loss": np.concatenate([np.linspace(3.3, 2.3, 6), np.linspace(3.1, 2.2, 6)]),
        "width": np.tile(np.geomspace(512, 8192, 6), 2),
        "family": ["one"] * 6 + ["two"] * 6,
    }
)
BY_FAMILY = (Pooling(("A",), by="family"),)
# The best D/N is 56, within the runs.
TRUTH = {"E": 1.69, "A": 406.4, "B": 1600.0, "alpha": 0.34, "beta": 0.34}


def fit_of(law: str | Law = "chinchilla", *, draws=200, pooling=(), method="laplace", runs=RUNS, **stats):
    """A fit whose draws are those of the prior."""
    law = models.load(law) if isinstance(law, str) else law
    model = Model(law, noise.log_normal, pooling, effects=())
    with parallel.workbench():
        found = {
            name: np.asarray(of.sample(jax.random.fold_in(jax.random.key(1), i), (1, draws)))
            for i, (name, of) in enumerate(model.priors.items())
        }
    for p in pooling:
        found[f"{p.vary[0]}_by_{p.by}"] = np.tile([0.1, -0.1], (1, draws, 1))
        found[f"{p.vary[0]}_by_{p.by}_scale"] = np.linspace(0.05, 0.2, draws)[None]
    return Fit(model, runs, found, method, GOOD | stats)


def known(draws=200, **options):
    """A fit of the Chinchilla law whose draws are about TRUTH, and those draws."""
    fit, random = fit_of(draws=draws, **options), np.random.default_rng(0)
    own = {p: v * np.exp(0.03 * random.standard_normal(draws)) for p, v in TRUTH.items()}
    with parallel.workbench():
        relative = fit.model.law.to_reference(own, RUNS.reference, RUNS.unit)
    sites = {p: np.asarray(v)[None] for p, v in relative.items()} | {"sigma": np.full((1, draws), 0.02)}
    return fit.replace(draws=fit.draws | sites), own


def loss_of(own, N, D):
    columns = {p: v[:, None] for p, v in own.items()}
    return columns["E"] + columns["A"] * N ** -columns["alpha"] + columns["B"] * D ** -columns["beta"]


def best_n(own, C):
    """The closed form of Hoffmann et al. 2022, equation 4."""
    a, b = own["alpha"], own["beta"]
    return (a * own["A"] / (b * own["B"])) ** (1 / (a + b)) * (C / 6) ** (b / (a + b))


def lines(axes, label):
    return [line for line in axes.get_lines() if line.get_label() == label]


def dashed(axes):
    return [line for line in axes.get_lines() if line.get_linestyle() == "--" and len(xs(line)) > 1]


def xs(line):
    return np.asarray(line.get_xdata(), float)


def ys(line):
    return np.asarray(line.get_ydata(), float)


def band(axes, label):
    """The x, the lower and the upper end of a band."""
    (found,) = [c for c in axes.collections if c.get_label() == label]
    path = found.get_paths()[0].vertices
    x = np.unique(path[:, 0])
    ends = np.array([[path[path[:, 0] == at, 1].min(), path[path[:, 0] == at, 1].max()] for at in x])
    return x, ends[:, 0], ends[:, 1]


def names(axes):
    return axes.get_legend_handles_labels()[1]


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


# ---- Losses


def test_levels_differ_by_colour_and_by_marker_and_the_frontier_goes_a_decade_on():
    fit, own = known(pooling=BY_FAMILY)
    axes = plot.loss_curves(fit)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        "one",
        "two",
        "compute-optimal, typical family",
        "fitted at the runs, 90% of the mean",
        "90% of the mean curve",
        "extrapolated",
        "largest run",
    ]
    points = [line for line in axes.get_lines() if line.get_label() in ("one", "two")]
    assert len({line.get_color() for line in points}) == len({str(line.get_marker()) for line in points}) == 2
    np.testing.assert_array_equal(points[0].get_ydata(), np.asarray(RUNS.response)[:6])
    (beyond,) = [line for line in dashed(axes) if xs(line).max() > 1e24]
    assert xs(beyond).max() == pytest.approx(10 * np.max(RUNS.columns["C"]))
    inside = [np.median(best_n(own, C)) <= 1e10 for C in xs(beyond)]  # the best N is one of a run
    assert inside == [True] + [False] * (len(inside) - 1)
    assert axes.get_xscale() == "log"
    assert axes.get_xlabel() == "training compute in FLOP"


def test_the_frontier_is_the_closed_form_with_its_band():
    fit, own = known()
    axes = plot.loss_curves(fit)
    x, low, high = band(axes, "90% of the mean curve")
    least = np.stack(
        [loss_of(own, best_n(own, C)[:, None], C / (6 * best_n(own, C)[:, None]))[:, 0] for C in x], axis=1
    )
    np.testing.assert_allclose([low, high], np.quantile(least, (0.05, 0.95), axis=0), rtol=1e-9)
    every = lines(axes, "compute-optimal") + dashed(axes)
    drawn_at, place = np.unique(np.concatenate([xs(line) for line in every]), return_index=True)
    np.testing.assert_allclose(drawn_at, x, rtol=1e-12)
    middle = np.concatenate([ys(line) for line in every])[place]
    np.testing.assert_allclose(middle, np.median(least, axis=0), rtol=1e-9)


def test_where_no_run_has_the_best_ratio_the_frontier_is_extrapolated():
    fit, own = known()
    few = RUNS.subset(np.asarray(RUNS.columns["D"]) / np.asarray(RUNS.columns["N"]) > 100)  # all at 200
    assert np.median(6 * best_n(own, 1e20) ** 2 / 1e20) > 1 / 100  # the best is at less than 100
    axes = plot.loss_curves(fit.replace(runs=few.replace(reference=RUNS.reference, unit=RUNS.unit)))
    (beyond,) = lines(axes, "extrapolated")
    assert xs(beyond).min() == pytest.approx(np.min(few.columns["C"]))


def test_slices_hold_the_other_covariate_where_runs_are():
    fit, own = known()
    axes = plot.loss_curves(fit, covariate="N")
    held = np.unique(np.quantile(RUNS.columns["D"], (0.1, 0.5, 0.9), method="nearest"))
    texts = [text.get_text() for text in axes.texts]
    assert sorted(texts) == sorted(f"D = {written('D', value)}" for value in held)
    ends = {text.get_text(): text.xy for text in axes.texts}
    for value in held:
        N, loss = ends[f"D = {written('D', value)}"]
        assert pytest.approx(10 * np.max(RUNS.columns["N"])) == N
        assert loss == pytest.approx(np.median(loss_of(own, N, value)), rel=1e-9)
    assert axes.get_xlabel() == "parameters"
    assert "chinchilla" in names(axes)


def test_slices_are_dashed_exactly_where_there_are_no_such_runs():
    axes = plot.loss_curves(known()[0], covariate="D/N")
    N, D = (np.asarray(RUNS.columns[c]) for c in ("N", "D"))
    held = np.unique(np.quantile(6 * N * D, (0.1, 0.5, 0.9), method="nearest"))
    curves = [line for line in axes.get_lines() if line.get_linestyle() in ("-", "--") and len(xs(line)) > 1]
    for C, colour in zip(held, dict.fromkeys(line.get_color() for line in curves), strict=True):
        mine = [line for line in curves if line.get_color() == colour]
        solid = np.concatenate([xs(line) for line in mine if line.get_linestyle() == "-"])
        every = np.unique(np.concatenate([xs(line) for line in mine]))
        size = np.sqrt(C / (6 * every))
        inside = (size >= N.min()) & (size <= N.max()) & (every >= 19.99) & (every <= 200.01)
        inside &= (every * size >= D.min()) & (every * size <= D.max())
        np.testing.assert_array_equal(np.unique(solid), every[inside])


def test_a_level_named_shows_its_runs_and_its_curve():
    fit, own = known(pooling=BY_FAMILY)
    axes = plot.loss_curves(fit, family="two")
    assert "one" not in names(axes)
    assert "compute-optimal, two" in names(axes)
    two = own | {"A": own["A"] * np.exp(-0.1)}
    x, low, _ = band(axes, "90% of the mean curve")
    N = best_n(two, x[0])
    assert low[0] == pytest.approx(np.quantile(loss_of(two, N[:, None], x[0] / (6 * N[:, None]))[:, 0], 0.05))


def test_a_band_of_a_new_run_has_the_noise_in_it():
    fit, _ = known(draws=4000)
    law = models.load("power_floor").along("C")
    fit = fit_of(law, draws=4000)
    sites = {"E": 0.5, "A": 0.4, "alpha": 0.2, "sigma": 0.05}
    fit = fit.replace(draws={name: np.full((1, 4000), value) for name, value in sites.items()})
    axes = plot.loss_curves(fit, kind="new_run")
    x, low, high = band(axes, "90% of a new run")
    mean = fit.predict({"C": x})[0]
    # 4000 draws: an end is good to 1.3% of its distance from the middle times some 1.6.
    np.testing.assert_allclose(np.log(high / mean), 1.645 * 0.05, rtol=0.1)
    np.testing.assert_allclose(np.log(low / mean), -1.645 * 0.05, rtol=0.1)
    assert "90% of the mean curve" not in names(axes)


def test_a_point_has_no_band():
    fit, own = known(draws=1, method="map")
    for covariate in ("C", "N"):
        axes = plot.loss_curves(fit, covariate=covariate)
        assert not any("90%" in name for name in names(axes))
        assert not [c for c in axes.collections if c.get_label().startswith("90%")]
    axes = plot.loss_curves(fit)
    at_runs = np.concatenate([ys(line) for line in lines(axes, "fitted at the runs")])
    expected = loss_of(own, np.asarray(RUNS.columns["N"]), np.asarray(RUNS.columns["D"]))[0]
    np.testing.assert_allclose(np.sort(at_runs), np.sort(expected), rtol=1e-9)


def test_a_law_in_one_covariate_is_a_curve():
    axes = plot.loss_curves(fit_of(models.load("power_floor").along("C")))
    assert set(names(axes)) == {"runs", "power_floor", "90% of the mean curve", "extrapolated"}


def test_a_law_in_one_covariate_that_differs_by_group_has_a_curve_for_each():
    fit = fit_of(models.load("power_floor").along("C"), pooling=BY_FAMILY)
    axes = plot.loss_curves(fit)
    curves = [line for line in axes.get_lines() if line.get_linestyle() == "-" and len(xs(line)) > 5]
    for level, line in zip(("one", "two"), curves, strict=True):
        expected = np.median(fit.predict({"C": xs(line)}, family=level), axis=0)
        np.testing.assert_allclose(ys(line), expected, rtol=1e-9)


def test_any_other_column_shows_what_is_fitted():
    axes = plot.loss_curves(fit_of(), covariate="width")
    assert axes.get_xlabel() == "width"
    assert "runs" in names(axes)
    assert any("fitted" in name for name in names(axes))


def test_an_optimum_that_is_nowhere_is_said():
    fit = fit_of(draws=4)
    flat = fit.draws | {"A": np.full((1, 4), 1e-30), "B": np.full((1, 4), 1.0)}
    axes = plot.loss_curves(fit.replace(draws=flat))
    assert "no compute-optimal frontier" in names(axes)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"covariate": "U"}, "the runs have no column U; they have N, D, C, width"),
        ({"covariate": "D/U"}, "the runs have no column U"),
        ({"kind": "new"}, "kind is 'new'; it is one of mean, new_run"),
        ({"kind": "new_run"}, "A differ by family; say which family: one of one, two"),
        ({"family": "three"}, "family has no level 'three'; it has one, two"),
        ({"at": {"U": 1e9}}, "law chinchilla is in N, D; U cannot be held"),
    ],
)
def test_what_losses_cannot_be_drawn_of(options, message):
    with pytest.raises(ValueError, match=message):
        plot.loss_curves(fit_of(pooling=BY_FAMILY), **options)


# ---- Surfaces


@pytest.mark.parametrize("against", ["N", "D", "D/N"])
def test_curves_of_equal_compute_and_the_band_of_their_best(against):
    fit, own = known()
    budgets = [1e20, 1e21]
    axes = plot.isoflop(fit, compute=budgets, against=against)
    of = {"N": lambda N, C: N, "D": lambda N, C: C / (6 * N), "D/N": lambda N, C: C / (6 * N**2)}[against]
    back = {"N": lambda x, C: x, "D": lambda x, C: C / (6 * x), "D/N": lambda x, C: np.sqrt(C / (6 * x))}[
        against
    ]
    ends = {text.get_text(): text.xy for text in axes.texts}
    for C in budgets:
        x, loss = ends[f"{written('C', C)} FLOP"]
        N = back(x, C)
        assert loss == pytest.approx(np.median(loss_of(own, N, C / (6 * N))), rel=1e-9)
    (best,) = lines(axes, "best split")
    for C, place in ((budgets[0], 0), (budgets[1], -1)):
        assert xs(best)[place] == pytest.approx(np.median(of(best_n(own, C), C)), rel=1e-6)
    (found,) = [c for c in axes.collections if c.get_label() == "90% of the best split"]
    x = found.get_paths()[0].vertices[:, 0]
    low, high = np.quantile(of(best_n(own, 1e20), 1e20), (0.05, 0.95))
    assert np.min(np.abs(x / low - 1)) < 1e-6
    assert np.min(np.abs(x / high - 1)) < 1e-6


def test_runs_are_drawn_with_the_curve_that_they_are_near():
    fit, _ = known()
    C = float(np.asarray(RUNS.columns["C"])[3])
    axes = plot.isoflop(fit, compute=[C])
    shown = np.concatenate([c.get_offsets() for c in axes.collections if len(c.get_offsets())])
    near = np.abs(np.log(np.asarray(RUNS.columns["C"]) / C)) < np.log(1.25)
    assert {tuple(p) for p in np.asarray(shown)} >= set(
        zip(np.asarray(RUNS.columns["N"])[near], np.asarray(RUNS.response)[near], strict=True)
    )


def test_budgets_are_in_the_range_of_the_runs_where_none_is_given():
    axes = plot.isoflop(known()[0])
    budgets = sorted(float(text.get_text().removesuffix(" FLOP")) for text in axes.texts)
    C = np.asarray(RUNS.columns["C"])
    assert len(budgets) == 5
    assert C.min() / 2 < budgets[0] < budgets[-1] < 2 * C.max()


def test_contours_are_of_the_median_loss_and_the_frontier_is_the_closed_form():
    fit, own = known()
    axes = plot.contours(fit)
    (frontier,) = lines(axes, "efficient frontier")
    C = 6 * xs(frontier) * ys(frontier)
    np.testing.assert_allclose(xs(frontier), [np.median(best_n(own, c)) for c in C], rtol=1e-6)
    checked = 0
    for drawn_at in axes.collections:
        if not hasattr(drawn_at, "levels"):
            continue
        for level, path in zip(drawn_at.levels, drawn_at.get_paths(), strict=True):
            for N, D in path.vertices[:: max(1, len(path.vertices) // 5)]:
                # Between 121 points of the axis the loss is taken as straight.
                assert np.median(loss_of(own, N, D)) == pytest.approx(level, abs=2e-3)
                checked += 1
    assert checked > 20
    ratio = lines(axes, "20 tokens per parameter")[0]
    np.testing.assert_allclose(ys(ratio) / xs(ratio), 20)


@pytest.mark.parametrize("draw", [plot.isoflop, plot.contours, plot.optimum])
def test_surfaces_are_of_laws_of_loss_in_parameters_and_tokens(draw):
    with pytest.raises(ValueError, match="law power_floor is of loss in C; this needs a law of loss in N, D"):
        draw(fit_of(models.load("power_floor").along("C")))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"against": "C"}, "against is 'C'; it is one of N, D, D/N"),
        ({"compute": [1e21, -1]}, "give positive numbers of FLOP"),
        ({"compute": []}, "give positive numbers of FLOP"),
    ],
)
def test_what_curves_of_equal_compute_cannot_be_drawn_of(options, message):
    with pytest.raises(ValueError, match=message):
        plot.isoflop(known(draws=2)[0], **options)


def test_a_budget_without_a_best_split_has_no_curve():
    fit = fit_of(draws=4)
    flat = fit.replace(draws=fit.draws | {"A": np.full((1, 4), 1e-30), "B": np.full((1, 4), 1.0)})
    with pytest.raises(ValueError, match="1e21 FLOP have no best split"):
        plot.isoflop(flat, compute=[1e21])
    assert len(xs(lines(plot.contours(flat), "efficient frontier")[0])) == 0  # and its contours no frontier


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
