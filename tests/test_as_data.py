"""Comparisons and back-tests as files: what is read again is what was found, and draws the same figures."""

import io
import json

import numpy as np
import pytest
from click.testing import CliRunner

from bayescale import plot_of_checks
from bayescale.check.as_data import load_check, of_runs, plain, save_check
from bayescale.cli import main
from bayescale.words_of_comparisons import MODELS, of_left_out, of_models, rows_of
from tests.made import RUNS, backtested, compared


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("checks")
    save_check(compared(), path / "comparison.json")
    save_check(backtested(), path / "backtest.json")
    return path


@pytest.mark.parametrize(("name", "make"), [("comparison", compared), ("backtest", backtested)])
def test_what_is_read_is_what_was_found(name, make, folder):
    found = load_check(folder / f"{name}.json", name)
    assert found == plain(make().to_dict())
    assert found == load_check(folder / f"{name}.json")
    assert found["verdict"] == make().verdict
    assert [one["code"] for one in found["findings"]] == [one.code for one in make().findings]


def test_the_runs_are_known_again_whatever_their_factors():
    assert of_runs(RUNS)["hash"] == of_runs(RUNS.replace(factors={}, levels={}))["hash"]
    other = RUNS.replace(response=np.asarray(RUNS.response) + 0.01)
    assert of_runs(RUNS)["hash"] != of_runs(other)["hash"]


def test_every_forecast_is_there_with_what_came():
    test = backtested()
    each = test.to_dict()["each"]
    assert len(each) == len(test.index) == test.total.ours.count
    held = [one["q5"] <= one["measured"] <= one["q95"] for one in each]
    assert np.mean(held) == test.total.ours.cover90
    np.testing.assert_array_equal([one["measured"] for one in each], np.asarray(RUNS.response)[test.index])
    assert {one["fold"] for one in each} == {one.fold.name for one in test.forecasts}


@pytest.mark.parametrize(
    ("draw", "make"), [(plot_of_checks.comparison, compared), (plot_of_checks.backtest, backtested)]
)
def test_a_file_draws_what_the_object_draws(draw, make, folder):
    name = "comparison" if make is compared else "backtest"

    def image(found) -> bytes:
        file = io.BytesIO()
        draw(found).savefig(file, format="png", dpi=50)
        return file.getvalue()

    assert image(make()) == image(load_check(folder / f"{name}.json"))


def test_the_figures_say_what_was_found():
    found, test = compared(), backtested()
    axes = plot_of_checks.evidence(found)
    (line,) = [container for container in axes.containers if container.lines[0].get_ydata()[0] == 1]
    assert line.lines[0].get_xdata()[0] == pytest.approx(-2.5)
    ahead = plot_of_checks.predictive(found, "future").containers[1].lines[0].get_xdata()[0]
    assert ahead == pytest.approx(found["kaplan"].predictive["future"].value, abs=1e-12)  # the first has 0
    with pytest.raises(ValueError, match="no corpus was left out; there is run, future"):
        plot_of_checks.predictive(found, "corpus")
    lines = {line.get_label(): line.get_ydata() for line in plot_of_checks.coverage(test).lines}
    np.testing.assert_allclose(lines["90% intervals"], [row.ours.cover90 for row in test.by_gap])
    skill = plot_of_checks.skill(test).containers[0].lines[0].get_ydata()
    np.testing.assert_allclose(skill, [row.skill for row in test.by_gap])


def test_the_tables_of_a_file_and_of_an_object_are_the_same(folder):
    found, file = compared().to_dict(), load_check(folder / "comparison.json")
    assert of_models(found) == of_models(file)
    assert of_left_out(found) == of_left_out(file)
    rows = dict(zip(MODELS, of_models(found)[1], strict=True))
    assert (rows["behind"], rows["log evidence"]) == ("2.50", "-12.50")
    assert of_models(found)[2][1] == "in doubt"
    assert [row["table"] for row in rows_of(backtested().to_dict())][:2] == ["total", "by_gap"]


@pytest.mark.parametrize(
    ("name", "of", "message"),
    [
        (
            "none.json",
            "comparison",
            "there is no file .*none.json; give what `bayescale compare -o comparison",
        ),
        ("list.json", "backtest", "list.json is not what `bayescale backtest` wrote; give what"),
        ("text.json", None, "text.json is not JSON"),
        ("other.json", None, "other.json is not what `bayescale compare` wrote"),
        ("backtest.json", "comparison", "backtest.json is what `bayescale backtest` wrote; give what"),
    ],
)
def test_what_is_no_such_file_is_refused(name, of, message, folder):
    for other, text in {"list.json": "[]", "text.json": "so", "other.json": '{"of": "fit"}'}.items():
        (folder / other).write_text(text)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        load_check(folder / name, of)


# ---- `bayescale plot`


def plotted(*arguments):
    return CliRunner().invoke(main, ["plot", *map(str, arguments)], catch_exceptions=False)


def test_the_verb_draws_them(folder):
    for name, kind in (("comparison", "evidence"), ("backtest", "backtest")):
        figure = folder / f"{name}.png"
        done = plotted(folder / f"{name}.json", "--kind", kind, "--dark", "--dpi", 40, "-o", figure)
        assert done.exit_code == 0, done.output
        assert f"the figure is in {figure}" in done.output
        first = figure.read_bytes()
        told = json.loads(plotted(folder / f"{name}.json", "--dpi", 40, "-o", figure, "--json").output)
        assert told["files"] == [str(figure)]
        assert figure.read_bytes() != first  # one is dark


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["comparison.json", "--kind", "backtest"],
            "comparison.json is what `bayescale compare` wrote; give what",
        ),
        (["comparison.json", "--kind", "loss"], "loss is of a fit, a file .nc, and not of"),
        (["comparison.json", "--compute", "1e21"], "--compute has no say in a comparison or a back-test"),
        (["fit.nc", "--kind", "evidence"], "there is no file"),
    ],
)
def test_mistakes_are_refused_in_one_line(options, message, folder):
    done = plotted(folder / options[0], *options[1:], "-o", folder / "x.png")
    assert done.exit_code == 2
    assert message in done.output
    assert not (folder / "x.png").exists()
