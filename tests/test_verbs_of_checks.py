"""`bayescale check`, and the checks of `bayescale fit`."""

import csv
import json
import shlex

import numpy as np
import pytest
from click.testing import CliRunner

from bayescale.cli import main
from bayescale.page.reproduce import fitting
from bayescale.storage import load


def run(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments], catch_exceptions=False)


def refused(*arguments) -> str:
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    return result.output


def written(path, **columns):
    rows = zip(*columns.values(), strict=True)
    path.write_text("\n".join([",".join(columns), *(",".join(f"{v:.9g}" for v in row) for row in rows)]))
    return path


@pytest.fixture
def good(tmp_path):
    rng = np.random.default_rng(0)
    N, D = 10 ** rng.uniform(8, 10, 24), 10 ** rng.uniform(9.5, 12, 24)
    loss = (1.8 + 480 * N**-0.35 + 2085 * D**-0.37) * np.exp(0.004 * rng.normal(size=24))
    return written(tmp_path / "good.csv", N=N, D=D, loss=loss)


@pytest.fixture
def ladder(tmp_path):
    """Twenty tokens for each parameter, eight sizes of which the five runs share a shock."""
    rng = np.random.default_rng(1)
    N = np.repeat(np.geomspace(1e8, 1e10, 8), 5)
    loss = (
        2.5
        * (N / 1e9) ** -0.1
        * np.exp(0.003 * rng.normal(size=40) + np.repeat(0.01 * rng.normal(size=8), 5))
    )
    return written(tmp_path / "ladder.csv", N=N, D=20 * N, seed=np.arange(40), loss=loss)


def test_a_table_is_checked_before_anything_is_fitted(good, ladder):
    said = run("check", good, ladder)
    assert said.exit_code == 0
    assert (
        f"{good}\n  nothing found\n{ladder}\n  WARNING COLLINEAR: N and D of the runs move together"
        in said.output
    )
    said = run("check", ladder, "--law", "chinchilla")
    assert "SEVERE COLLINEAR" in said.output
    assert "nothing found" in run("check", ladder, "--law", "power", "--along", "N").output


def test_findings_as_json_and_csv(good, ladder, tmp_path):
    out = tmp_path / "found.csv"
    said = json.loads(run("check", good, ladder, "--json", "--csv", out).output)["checked"]
    assert [one["file"] for one in said] == [str(good), str(ladder)]
    assert said[0]["findings"] == []
    (one,) = said[1]["findings"]
    assert (one["code"], one["severity"], one["number"]) == ("COLLINEAR", "warning", pytest.approx(1.0))
    with out.open(newline="") as opened:
        (row,) = csv.DictReader(opened)
    assert row["file"] == str(ladder)
    assert row["code"] == "COLLINEAR"
    assert float(row["number"]) == pytest.approx(1.0)
    assert row["action"] == one["action"]


def test_a_fit_is_checked_and_given_the_effect_that_it_lacks(ladder, tmp_path):
    """The factor of sizes is on by itself; without it the residuals call for it."""
    options = ["--law", "power", "--along", "N", "--noise", "log_normal", "--method", "map"]
    bare, own = tmp_path / "bare.nc", tmp_path / "own.nc"
    said = run("fit", ladder, *options, "--effect", "none", "-o", bare).output
    assert "SEVERE CLUSTER: runs of one size hang together" in said
    assert "(--effect size)" in said
    assert load(bare).model.effects == ()
    assert "CLUSTER" not in run("fit", ladder, *options, "--effect", "none", "--quick", "-o", own).output
    assert "CLUSTER" not in run("fit", ladder, *options, "-o", own).output
    assert [one.by for one in load(own).model.effects] == ["size"]
    found = json.loads(run("check", bare, "--json").output)["checked"][0]["findings"]
    assert "CLUSTER" in {one["code"] for one in found}
    said = run("check", own).output
    assert "EFFECTS" in said
    assert "CLUSTER" not in said


def test_sizes_that_are_not_quite_the_same_get_the_effect_too(tmp_path):
    """No two N are equal, so that no factor is there until the residuals call for one."""
    rng = np.random.default_rng(1)
    N = np.repeat(np.exp(np.arange(18, 23, 0.6)), 5) * np.exp(rng.uniform(-0.02, 0.02, 45))
    loss = (
        2.5
        * (N / 1e9) ** -0.1
        * np.exp(0.003 * rng.normal(size=45) + np.repeat(0.01 * rng.normal(size=9), 5))
    )
    table, out = written(tmp_path / "near.csv", N=N, loss=loss), tmp_path / "fit.nc"
    options = ["--law", "power", "--along", "N", "--noise", "log_normal", "--method", "map"]
    said = run("fit", table, *options, "-o", out).output
    assert "WARNING CLUSTER: runs of one size hang together" in said
    assert "A shock of each size is in the model from here on (--effect none leaves it out)." in said
    fit = load(out)
    assert [one.by for one in fit.model.effects] == ["size"]
    assert len(fit.runs.levels["size"]) == 9
    # What is typed to have it again names factor and effect, and gives the same fit.
    (_, typed), (_, python) = fitting(fit)
    assert "--factor size" in typed
    assert "factors=['size']" in python
    other = tmp_path / "again.nc"
    assert run(*shlex.split(typed)[1:], "--quick", "-o", other).exit_code == 0
    assert load(other).runs.hash == fit.runs.hash
    np.testing.assert_allclose(load(other).flat("alpha"), fit.flat("alpha"), rtol=1e-8)
    quick = json.loads(run("fit", table, *options, "--quick", "--json", "-o", out).output)
    assert quick["effects"] == []
    assert "(--factor size --effect size)" in run("check", out).output


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "Missing argument 'RUNS|FIT...'"),
        (["nothing.csv"], "nothing.csv"),
        (["nothing.nc"], "there is no file nothing.nc"),
        (
            ["nothing.nc", "--law", "power"],
            "--law power: nothing.nc has its law; a name is for tables, and a file for",
        ),
        (["{good}", "--law", "power"], "power is a law in one axis: say which column, as --along C"),
        (["{good}", "--csv", "/nowhere/found.csv"], "there is no folder /nowhere"),
    ],
)
def test_what_cannot_be_checked(good, options, message):
    assert message in refused("check", *(option.format(good=good) for option in options))
