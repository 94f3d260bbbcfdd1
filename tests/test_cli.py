"""The command line: what each verb prints, and that bad input gives one clear line and exit status 2."""

import csv
import json
import math
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner

from bayescale import models
from bayescale.cli import main

TABLE = "N,D,corpus,loss\n" + "\n".join(
    f"{n:g},{d:g},{c},{1.7 + 400 * n**-0.34 + 1500 * d**-0.36 + e:.6f}"
    for c in ("web", "code")
    for (n, d), e in zip(
        [
            (1e8, 2e9),
            (1e8, 2e10),
            (3e8, 6e9),
            (3e8, 6e10),
            (1e9, 2e10),
            (1e9, 2e11),
            (3e9, 6e10),
            (3e9, 6e11),
        ],
        [0.004, -0.003, 0.002, -0.005, 0.001, 0.003, -0.002, 0.0],
        strict=True,
    )
)


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "runs.csv"
    path.write_text(TABLE)
    return path


def run(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments], catch_exceptions=False)


def read(file) -> list[dict]:
    with open(file, newline="") as opened:
        return list(csv.DictReader(opened))


def refused(*arguments) -> str:
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    return result.output


def test_help_is_quick_and_imports_neither_jax_nor_numpyro():
    code = "import sys; from bayescale.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
    names = ("jax", "numpyro", "numpy", "rich", "arviz", "pandas", "matplotlib")
    code += f"print([m for m in {names} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert "demo" in done.stdout


def test_laws_lists_every_law_with_its_formula():
    found = json.loads(run("laws", "--json").output)["laws"]
    assert [law["name"] for law in found] == models.names()
    assert all("=" in law["formula"] for law in found)
    assert "chinchilla_tied" in run("laws").output


def test_lists_and_descriptions_are_tables_of_csv_too(tmp_path):
    file = tmp_path / "table.csv"
    assert f"the table is in {file}" in run("laws", "--csv", file).output
    laws = json.loads(run("laws", "--json").output)["laws"]
    # A formula that begins with a minus has a quote before it, so that a spreadsheet takes it for text.
    assert [{name: text.removeprefix("'") for name, text in row.items()} for row in read(file)] == laws
    run("laws", "chinchilla", "--csv", file, "--json")
    (one,) = read(file)
    assert one["priors.alpha"] == "LogNormal(-1.2, 0.5)"
    assert "the table is in" in run("data", "--csv", file).output
    known = json.loads(run("data", "--json").output)["data"]
    assert [row["name"] for row in read(file)] == [entry["name"] for entry in known]
    for verb in ("laws", "data"):
        assert "--csv /nowhere/x.csv: there is no folder /nowhere" in refused(verb, "--csv", "/nowhere/x.csv")


def test_a_law_is_described_with_priors_and_source():
    text = run("laws", "chinchilla").output
    assert "L(N, D) = E + A N^-alpha + B D^-beta" in text
    assert "LogitNormal(1, 1.5)" in text
    assert "2203.15556" in text
    assert json.loads(run("laws", "chinchilla", "--json").output)["priors"]["alpha"] == "LogNormal(-1.2, 0.5)"


def test_an_unknown_law_lists_those_there_are():
    assert "there is no law 'chinchila'; there are broken_power, broken_success, chinchilla" in refused(
        "laws", "chinchila"
    )


def test_data_lists_describes_and_checks(table):
    assert "pile_families_2023" in run("data").output
    assert any(e["name"] == "pile_families_2023" for e in json.loads(run("data", "--json").output)["data"])
    assert "Cerebras" in run("data", "show", "pile_families_2023").output
    checked = run("data", "check", table).output
    assert "C = 6ND is derived" in checked
    assert json.loads(run("data", "check", table, "--json").output)["runs"] == 16


def test_bad_cells_are_named_by_file_row_and_column(table):
    table.write_text(TABLE.replace("1e+08,2e+09,web", "1e+08,,web"))
    said = refused("fit", table, "--law", "chinchilla")
    assert "runs.csv" in said
    assert "row 2" in said
    assert "D" in said


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--law", "chinchila"], "there is no law 'chinchila'"),
        (["--law", "power"], "power is a law in one axis: say which column, as --along C"),
        (["--law", "chinchilla", "--along", "C"], "only a law in one axis can be put along a column"),
        (["--law", "routed"], "routed needs the column experts"),
        (["--law", "chinchilla", "--noise", "cauchy"], "there is no noise 'cauchy'"),
        (
            ["--law", "chinchilla", "--noise", "binomial"],
            "law chinchilla is of loss and binomial noise of success",
        ),
        (["--law", "chinchilla", "--vary", "E"], "give each --vary its --by"),
        (
            ["--law", "chinchilla", "--vary", "E", "--by", "recipe"],
            "there is no factor recipe; there are corpus",
        ),
        (["--law", "chinchilla", "--vary", "F", "--by", "corpus"], "F cannot vary by corpus"),
        (["--law", "chinchilla", "--effect", "seed"], "there is no factor seed"),
        (["--law", "./nothing.py"], "there is no such file"),
        (["--law", "chinchilla", "--name", "N"], "--name is 'N'; write it as N=params_total"),
        (["--law", "chinchilla", "-o", "/nowhere/fit.nc"], "there is no folder /nowhere"),
        (["--law", "chinchilla", "--target-accept", "1.5"], "the target acceptance is 1.5"),
        (["--law", "chinchilla", "--noise", "huber", "--delta", "-1"], "Huber's delta is -1.0"),
    ],
)
def test_mistakes_are_refused_in_one_line(table, options, message):
    assert message in refused("fit", table, *options)


def test_a_file_that_defines_no_law_is_refused(table, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("x = 1\n")
    assert "defines no law" in refused("fit", table, "--law", file)
    file.write_text("1/0\n")
    assert "ZeroDivisionError" in refused("fit", table, "--law", file)


def test_fit_predict_and_a_law_of_ones_own(table, tmp_path):
    law = tmp_path / "mine.py"
    law.write_text(
        '"""Loss falls with compute.\n\n    L(C) = A C^-alpha\n"""\n'
        "import numpyro.distributions as dist\nfrom bayescale.law import Law\n\n"
        "def mean(C, *, A, alpha):\n    return A * C**-alpha\n\n"
        "law = Law(name='mine', mean=mean, source='here',\n"
        "    priors={'A': dist.LogNormal(0.3, 0.5), 'alpha': dist.LogNormal(-2.5, 0.5)})\n"
    )
    fit = tmp_path / "fit.nc"
    result = run("fit", table, "--law", law, "--method", "map", "--quick", "-o", fit, "--json")
    answer = json.loads(result.output)
    assert result.exit_code == 0
    assert answer["converged"] is True
    assert answer["rows"][0]["name"] == "A"
    assert "pass" in refused("predict", fit, "--at", "C=1e21")  # the law is not one of ours
    said = json.loads(run("predict", fit, "--law", law, "--at", "N=1e10,D=2e11", "--json").output)
    assert said["points"][0]["beyond"] == "0.0 decades of C" or "decades" in said["points"][0]["beyond"]
    assert said["points"][0]["q5"] is None  # a point fit has no interval


def test_a_posterior_from_the_command_line(table, tmp_path):
    fit = tmp_path / "fit.nc"
    options = [
        "--law",
        "chinchilla",
        "--vary",
        "E",
        "--by",
        "corpus",
        "--effect",
        "none",
        "--method",
        "laplace",
    ]
    text = run("fit", table, *options, "--quick", "-o", fit, "--csv", tmp_path / "parameters.csv").output
    assert "contraction" in text
    assert f"the fit is in {fit}, and the table in {tmp_path / 'parameters.csv'}" in text.replace("\n", " ")
    parameters = read(tmp_path / "parameters.csv")
    assert [row["name"] for row in parameters[:2]] == ["E", "A"]
    assert float(parameters[0]["q5"]) < float(parameters[0]["mean"]) < float(parameters[0]["q95"])
    assert "E differ by corpus; say which corpus: one of web, code" in refused(
        "predict", fit, "--at", "N=1e9,D=1e10"
    )
    asked = ("predict", fit, "--at", "N=7B,D=140B", "--level", "corpus=web", "--kind", "new_run")
    out = run(*asked, "--csv", tmp_path / "points.csv").output
    assert "N = 7B, D = 140B" in out
    assert "beyond the runs" in out
    assert f"the table is in {tmp_path / 'points.csv'}" in out
    (point,) = json.loads(run(*asked, "--json").output)["points"]
    (row,) = read(tmp_path / "points.csv")
    assert list(row) == list(point) == ["point", "N", "D", "q5", "q50", "q95", "beyond"]
    assert [float(row[name]) for name in ("N", "D", "q50")] == [7e9, 1.4e11, point["q50"]]


def test_missing_files_are_one_line(tmp_path):
    assert "nothing.csv" in refused("fit", tmp_path / "nothing.csv", "--law", "chinchilla")
    assert "nothing.nc" in refused("predict", tmp_path / "nothing.nc", "--at", "N=1")


# Bootstraps.


def simulated_file(folder):
    rng = np.random.default_rng(0)
    N = 10 ** rng.uniform(7, 10, 64)
    loss = 3 * (N / 1e9) ** -0.1 * np.exp(0.02 * rng.normal(size=64))
    rows = [f"{n:.6g},{value:.6g},c{i % 16}" for i, (n, value) in enumerate(zip(N, loss, strict=True))]
    file = folder / "runs.csv"
    file.write_text("\n".join(["params,loss,corpus", *rows]) + "\n")
    return str(file)


POWER = ("--law", "power", "--along", "N")


def test_a_bootstrap_from_the_command_line(tmp_path):
    runs, out = simulated_file(tmp_path), str(tmp_path / "study")
    first = run(
        "bootstrap",
        runs,
        *POWER,
        "--replicates",
        "1500",
        "--cluster",
        "corpus",
        "--out",
        out,
        "--at",
        "N=1e10",
        "--csv",
        tmp_path / "study.csv",
    )
    assert first.exit_code == 0, first.output
    assert "1500 replicates: 1500 converged, 0 with a parameter at its bound, 0 unfinished" in first.output
    assert "loss at N=1e10" in first.output
    rows = {row["quantity"]: row for row in read(tmp_path / "study.csv")}
    assert rows.keys() == {"A", "alpha", "loss at N=1e10"}
    assert float(rows["alpha"]["low.value"]) < float(rows["alpha"]["estimate"])
    assert float(rows["alpha"]["low.error"]) > 0
    assert "±" in first.output
    again = run("bootstrap", runs, *POWER, "--replicates", "1500", "--cluster", "corpus", "--out", out)
    assert again.exit_code == 2
    assert "holds a study already; pass resume=True (--resume)" in again.output
    other = ("--replicates", "3000", "--cluster", "corpus", "--out", out, "--resume", "--json")
    more = run("bootstrap", runs, *POWER, *other)
    found = json.loads(more.stdout)
    assert found["counts"] == {"converged": 3000, "at_bound": 0, "unfinished": 0}
    (alpha,) = [row for row in found["quantities"] if row["quantity"] == "alpha"]
    assert alpha["low"]["value"] < alpha["estimate"] < alpha["high"]["value"]
    assert alpha["standard_error"]["error"] < alpha["standard_error"]["value"] / 10
    seed = run("bootstrap", runs, *POWER, *other, "--seed", "1")
    assert seed.exit_code == 2
    assert "was begun with key" in seed.output


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            ("--replicates", "some"),
            "--replicates is 'some'; it is a whole number from 1 on, such as 1000000 or 1M",
        ),
        (("--cluster", "recipe"), "recipe"),
        (("--kind", "wild", "--cluster", "a", "--cluster", "b"), "a wild bootstrap has one cluster"),
        (("--resume",), "--resume goes on with the study in a folder; say which, as --out study/"),
        (
            ("--compute", "1e21"),
            "--compute: law power is not a law in N and D, which a budget could be split into",
        ),
        (("--compute", "lots"), "--compute is 'lots'; it is a number of FLOP, such as 5.76e23"),
        (("--workers", "2", "--dask", "tcp://localhost:1"), "--workers and --dask contradict each other"),
        (("--interval", "studentised"), "--interval studentised needs the standard errors of --errors"),
    ],
)
def test_bootstraps_that_cannot_be(tmp_path, given, message):
    found = run("bootstrap", simulated_file(tmp_path), *POWER, *given)
    assert found.exit_code == 2
    assert message in found.output
    assert "Traceback" not in found.output


def test_a_scheduler_that_does_not_answer(monkeypatch):
    distributed = pytest.importorskip("distributed")
    from bayescale import workers

    assert distributed.__version__
    monkeypatch.setattr(workers, "PATIENCE", 1)
    message = r"^no Dask scheduler answers at tcp://127.0.0.1:9; start one with"
    with pytest.raises(OSError, match=message), workers.of(None, "tcp://127.0.0.1:9"):
        pass


def test_numbers_are_shown_to_the_digits_their_error_leaves():
    from bayescale.words import with_error

    assert with_error({"value": 0.0151093, "error": 7e-5}) == "0.01511 ± 7e-05"
    assert with_error({"value": 1353.0, "error": 41.9}) == "1.35e+03 ± 4e+01"
    assert with_error({"value": 2.5, "error": 0.0}) == "2.5"
    assert with_error({"value": math.inf, "error": math.nan}) == "inf"
