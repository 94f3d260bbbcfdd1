"""`bayescale allocate`, `target` and `gain`: what they print, as tables, JSON and CSV, and what they refuse."""

import csv
import json

import numpy as np
import pytest
from click.testing import CliRunner

from bayescale import models
from bayescale.check.published import published
from bayescale.cli import main
from bayescale.decide.allocate import compute_optimal
from bayescale.decide.decision import number
from bayescale.decide.gain import compute_equivalent_gain
from bayescale.decide.inference import Price, inference_optimal
from bayescale.decide.invert import compute_for
from bayescale.decide.rules import rule_of_thumb
from bayescale.decide.surface import surface
from bayescale.pooling import Pooling
from bayescale.storage import save
from tests.made import BESIROGLU, RUNS, fit_of, some
from tests.test_surface import MUENNIGHOFF

DRAWS = some(BESIROGLU, sd=0.01)


def leveled():
    shifts = np.stack([np.full(200, -0.01), np.full(200, 0.01)], axis=1)[None]
    deviations = {"A_by_corpus": shifts, "A_by_corpus_scale": np.full((1, 200), 0.3)}
    return fit_of("chinchilla", DRAWS, pooling=(Pooling(("A",), by="corpus"),), deviations=deviations)


FITS = {
    "plain": fit_of("chinchilla", DRAWS),
    "other": fit_of("coupled", DRAWS | {"k": np.full(200, 0.5)}),
    "leveled": leveled(),
    "point": published(models.load("chinchilla"), BESIROGLU, runs=RUNS),
    "repeated": published(models.load("data_constrained"), MUENNIGHOFF),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("fits")
    for name, fit in FITS.items():
        save(fit, path / f"{name}.nc")
    return path


@pytest.fixture
def run(folder, monkeypatch):
    monkeypatch.chdir(folder)

    def invoke(*arguments, code=0):
        result = CliRunner().invoke(main, [str(a) for a in arguments], catch_exceptions=False)
        assert result.exit_code == code, result.output
        assert "Traceback" not in result.output
        return result.output

    return invoke


def answers(output):
    return json.loads(output)["decisions"]


def row(decision, quantity):
    return next(one for one in decision["quantities"] if one["quantity"] == quantity)


def test_budgets_are_split(run):
    text = run("allocate", "plain.nc", "point.nc", "--compute", "5.76e23,1e25", "--ratio", "20")
    assert text.count("compute_optimal, C = ") == text.count("rule_of_thumb, C = ") == 4
    assert "Choose N = 72" in text
    assert "which wastes" in text
    assert "SEVERE EXTRAP: the answer lies 2.9 decades of C outside the runs" in text
    best, rule = answers(run("allocate", "plain.nc", "--compute", "5.76e23", "--ratio", "20", "--json"))
    expected = compute_optimal(FITS["plain"], 5.76e23)
    assert (row(best, "N")["low"], row(best, "N")["high"]) == pytest.approx(expected.interval("N")[::2])
    assert best["choice"]["N"] == pytest.approx(expected.choice["N"])
    assert best["regret"]["mean"] == pytest.approx(expected.regret.mean(), rel=1e-6)
    assert [f["code"] for f in best["findings"]] == ["EXTRAP"]
    assert rule["regret"]["mean"] == pytest.approx(
        rule_of_thumb(5.76e23, fit=FITS["plain"]).regret.mean(), rel=1e-6
    )


def test_the_table_is_written_too(run, folder):
    out = run("allocate", "plain.nc", "--compute", "1e22", "--csv", "split.csv")
    assert "the table is in split.csv" in out
    with (folder / "split.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [r["quantity"] for r in rows] == ["N", "D", "D/N", "loss", "a", "b"]
    assert float(rows[0]["median"]) == pytest.approx(np.median(compute_optimal(FITS["plain"], 1e22)["N"]))
    assert (rows[0]["fit"], rows[0]["unit"], rows[0]["defined"]) == ("plain", "parameters", "1.0")
    run("target", "point.nc", "--loss", "1.8", "--csv", "target.csv")
    with (folder / "target.csv").open() as file:
        one = next(csv.DictReader(file))
    assert (one["low"], one["median"], one["high"]) == ("", "inf", "")
    assert "there is no folder" in run(
        "allocate", "plain.nc", "--compute", "1e22", "--csv", "no/x.csv", code=2
    )


def test_levels_and_probabilities(run):
    (x,) = answers(run("allocate", "leveled.nc", "--compute", "1e22", "--level", "corpus=x", "--json"))
    assert x["asked"] == {"C": 1e22, "corpus": "x"}
    (wide,) = answers(
        run("allocate", "leveled.nc", "--compute", "1e22", "--centre", "--probability", "0.99", "--json")
    )
    assert wide["level"] == 0.99
    low, _, high = compute_optimal(FITS["leveled"], 1e22, centre=True).interval("N", 0.99)
    assert (row(wide, "N")["low"], row(wide, "N")["high"]) == pytest.approx((low, high))
    assert "A differ by corpus; say which corpus" in run(
        "allocate", "leveled.nc", "--compute", "1e22", code=2
    )


def test_unique_tokens_and_inference(run):
    (wall,) = answers(run("allocate", "repeated.nc", "--compute", "1e22", "--unique", "25B", "--json"))
    assert row(wall, "epochs")["median"] == pytest.approx(9.488, rel=1e-3)
    (held,) = answers(run("allocate", "repeated.nc", "--compute", "1e22", "--hold", "U=25B", "--json"))
    assert row(held, "N")["median"] == pytest.approx(row(wall, "N")["median"])
    (served,) = answers(run("allocate", "point.nc", "--compute", "1e24", "--inference", "2T", "--json"))
    expected = inference_optimal(FITS["point"], 2e12, budget=1e24)
    assert row(served, "N")["median"] == pytest.approx(expected["N"][0])
    prices = ("--price", 2, "--peak", 1e15, "--utilisation", 0.4, "--serving-utilisation", 0.2)
    (money,) = answers(run("allocate", "point.nc", "--money", "2M", "--inference", "2T", *prices, "--json"))
    bought = inference_optimal(
        FITS["point"], 2e12, budget=2e6, training=Price(2, 1e15, 0.4), serving=Price(2, 1e15, 0.2)
    )
    assert row(money, "N")["median"] == pytest.approx(bought["N"][0])
    assert row(money, "total")["unit"] == "money"
    (plain,) = answers(run("allocate", "point.nc", "--money", "2M", *prices, "--json"))
    assert plain["asked"]["C"] == pytest.approx(2e6 * 3600 * 1e15 * 0.4 / 2)


def test_targets(run):
    text = run("target", "plain.nc", "--loss", "1.95,1.8")
    assert "The probability of the loss being within reach is 1.000." in text
    best = compute_for(FITS["plain"], 1.95)
    chosen = ", ".join(f"{name} = {number(best.choice[name], best.units[name])}" for name in "CND")
    assert f"Choose {chosen}, which wastes {best.regret.mean():.1%} of the compute on average, all of" in text
    (found,) = answers(run("target", "plain.nc", "--loss", "1.95", "--json"))
    assert found["probability"] == 1
    (tokens,) = answers(run("target", "point.nc", "--loss", "1.95", "--hold", "N=100B", "--json"))
    (parameters,) = answers(run("target", "point.nc", "--loss", "1.95", "--hold", "D=10T", "--json"))
    assert (tokens["question"], parameters["question"]) == ("data_for", "params_for")
    (served,) = answers(run("target", "point.nc", "--loss", "1.95", "--inference", "2T", "--json"))
    assert row(served, "share saved")["median"] > 0


def test_gains(run):
    levels = ("gain", "leveled.nc", "--of", "corpus=x", "--over", "corpus=y", "--compute", "1e21,1e22")
    text = run(*levels)
    assert "The probability of a gain above 1 is 1.000." in text
    assert "Choose recipe = corpus=x, which wastes 0.0% of the compute on average" in text
    one, _ = answers(run(*levels, "--json"))
    expected = compute_equivalent_gain(
        surface(FITS["leveled"], corpus="x"), surface(FITS["leveled"], corpus="y"), 1e21
    )
    assert row(one, "gain")["median"] == pytest.approx(np.median(expected["gain"]))
    assert one["fit"] == "leveled: corpus=x over corpus=y"
    (two,) = answers(run("gain", "plain.nc", "other.nc", "--compute", "1e22", "--json"))
    assert two["fit"] == "plain over other"


def test_runs_are_compared_and_fits_that_do_not_agree_are_named(run):
    pair = ("--of", "N=10B,D=1.7T", "--over", "N=100B,D=170B")
    text = run("gain", "plain.nc", "other.nc", *pair)
    assert text.count("Choose N = 10B, D = 1.7T, which wastes") == 2
    assert text.count("Choose N = 10B, D = 1.7T, excess loss = 0.00") == 2
    assert "The probability of the first being better is 0.71 by plain, elpd " in text
    assert " nats; 0.62 by other, elpd " in text
    found = json.loads(run("gain", "plain.nc", "point.nc", *pair, "--json"))
    assert found["probabilities"].keys() == {"plain", "point"}
    assert [d["question"] for d in found["decisions"]] == ["relative_efficiency", "better"] * 2
    assert found["findings"] == []
    assert found["elpd"].keys() == {"plain"}  # of one draw nothing is said


def test_each_fit_gets_the_levels_of_its_own_factors(run):
    asked = ("allocate", "leveled.nc", "plain.nc", "--compute", "1e22", "--level", "corpus=x", "--json")
    one, other = answers(run(*asked))
    assert one["asked"] == {"C": 1e22, "corpus": "x"}
    assert other["asked"] == {"C": 1e22}
    said = run("allocate", "plain.nc", "--compute", "1e22", "--level", "corpus=x", code=2)
    assert "--level corpus=x: nothing differs by corpus; there is no factor" in said


def test_what_is_out_of_reach_is_told_from_what_is_not_known(run, folder):
    (found,) = answers(run("target", "point.nc", "--loss", "1.8", "--json"))
    assert row(found, "C")["median"] == "inf"
    assert row(found, "C")["low"] is None  # of one draw
    assert found["probability"] == 0
    assert "UNREACHABLE" in {f["code"] for f in found["findings"]}
    run("target", "point.nc", "--loss", "1.8", "--csv", "infinite.csv")
    with (folder / "infinite.csv").open() as file:
        assert next(csv.DictReader(file))["infinite"] == "1.0"


def test_two_models_of_one_recipe_are_no_two_recipes(run):
    assert "WARNING SAME_RUNS: both fits are of the same 12 runs" in run(
        "gain", "plain.nc", "other.nc", "--compute", "1e22"
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("allocate", "plain.nc"), "give the budgets with --compute, in FLOP, or with --money, one of them"),
        (("allocate", "plain.nc", "--money", "1e6"), "--money needs --price, --peak and --utilisation"),
        (("allocate", "plain.nc", "--compute", "1e22", "--price", "2"), "give all three"),
        (("allocate", "plain.nc", "--compute", "-1"), "--compute is '-1'; it is a positive number"),
        (("allocate", "plain.nc", "--compute", "1e22,much"), "--compute is 'much'; it is a positive number"),
        (("allocate", "repeated.nc", "--compute", "1e22"), "hold U, as at={'U': 1e11}"),
        (("allocate", "plain.nc", "--compute", "1e22", "--unique", "1e11"), "does not know of unique tokens"),
        (
            ("allocate", "repeated.nc", "--compute", "1e22", "--unique", "1B", "--inference", "1T"),
            "two questions",
        ),
        (("allocate", "nothing.nc", "--compute", "1e22"), "there is no file nothing.nc"),
        (
            ("allocate", "plain.nc", "--compute", "1e22", "--bounds", "1e6,1e8"),
            "allocate --bounds 1000,1e+11",
        ),
        (
            ("allocate", "plain.nc", "--compute", "1e22", "--bounds", "1e6"),
            "write the least and the most N as",
        ),
        (("allocate", "plain.nc", "--compute", "1e22", "--bounds", "1e9,1e6"), "the least and the most N"),
        (("allocate", "plain.nc", "plain.nc", "--compute", "1e22"), "a fit is given twice"),
        (("target", "plain.nc", "--loss", "low"), "--loss is 'low'"),
        (("target", "plain.nc", "--loss", "2", "--hold", "experts=8"), "experts cannot be held"),
        (("gain", "plain.nc", "--of", "N=1e10,D=1e12"), "give both --of and --over, or neither"),
        (
            ("gain", "plain.nc", "--of", "N=1e10,D=x", "--over", "N=1e10,D=1e12"),
            "--of D=x: x is not a number",
        ),
        (("allocate", "plain.nc", "--compute", "1e22", "--hold", "N=1e9"), "N is what is asked; it cannot"),
        (("target", "plain.nc", "--loss", "2", "--hold", "N=1e9,D=1e9"), "D is what is asked; it cannot"),
        (("allocate", "repeated.nc", "--compute", "1e22"), "or --hold U=1e11"),
        (("allocate", "leveled.nc", "--compute", "1e22"), "or --level corpus=x"),
        (
            ("gain", "plain.nc", "--of", "N=7e10", "--over", "N=7e10,D=1e12"),
            "--of: D of the run is missing; write it as N=7e10,D=1.4e12",
        ),
        (
            ("gain", "plain.nc", "--of", "N=7e10,D=1e12,zz=1", "--over", "N=7e10,D=1e12"),
            "law chinchilla is in N, D; leave zz out",
        ),
        (
            ("gain", "leveled.nc", "--of", "N=7e10,corpus=x", "--over", "N=7e10,D=1e12"),
            "--of and --over are two runs or two levels; corpus is a factor",
        ),
        (("gain", "plain.nc", "other.nc"), "recipes are compared at a compute; give --compute"),
        (("gain", "plain.nc", "--compute", "1e22"), "give two fits; or one fit with two levels"),
        (
            ("gain", "leveled.nc", "--of", "corpus=x", "--over", "corpus=z", "--compute", "1e22"),
            "no level 'z'",
        ),
    ],
)
def test_what_is_refused(run, arguments, said):
    assert said in run(*arguments, code=2)


def test_text_that_a_spreadsheet_would_run_is_quoted(tmp_path):
    from bayescale.printed import write_csv

    write_csv(
        tmp_path / "t.csv", ["corpus", "gain"], [("=HYPERLINK(1)", -2.5), ("web", 1.0), ("@x", float("nan"))]
    )
    assert (tmp_path / "t.csv").read_text() == "corpus,gain\n'=HYPERLINK(1),-2.5\nweb,1.0\n'@x,\n"
