"""Figures of losses: what is on them is what the fit says, and the closed forms."""

import numpy as np
import pytest

from bayescale import models, plot
from bayescale.plot_style import written
from tests.figures import BY_FAMILY, RUNS, band, best_n, dashed, fit_of, known, lines, loss_of, names, xs, ys


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


def test_a_column_of_one_value_has_an_axis_with_a_number():
    constant = RUNS.replace(columns={**RUNS.columns, "width": np.full(12, 768.0)})
    axes = plot.loss_curves(fit_of(runs=constant), covariate="width")
    low, high = axes.get_xlim()
    assert low < 768 < high
    assert any(low < tick < high for tick in axes.get_xticks())


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
