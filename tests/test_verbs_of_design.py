"""`bayescale design` and `bayescale isoflop`: what they print, write and refuse."""

import csv
import json

import numpy as np
import pytest
from click.testing import CliRunner

import bayescale as bs
from bayescale import models, noise, parallel
from bayescale.cli import main
from bayescale.fit import Fit
from bayescale.model import Model
from bayescale.runs import Runs

CHINCHILLA = {
    "A": 482.01,
    "B": 2085.43,
    "E": 1.8172,
    "alpha": 0.3478,
    "beta": 0.3658,
}  # Besiroglu et al. 2024
KAPLAN = {"A": 6.4e13**0.076, "B": 1.8e13**0.103, "alpha": 0.076, "beta": 0.103}
RANDOM = np.random.default_rng(0)


def table(corpus="web", offset=1.0):
    """Four slices of equal compute, of seven sizes each."""
    C = np.repeat([1e19, 1e20, 1e21, 1e22], 7)
    N = np.sqrt(C / 120) * np.tile(np.geomspace(0.25, 4, 7), 4)
    loss = models.load("chinchilla").mean(N, C / (6 * N), **CHINCHILLA) * offset
    noisy = loss * np.exp(0.002 * RANDOM.standard_normal(28))
    return {"N": N, "D": C / (6 * N), "loss": noisy, "corpus": [corpus] * 28}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A table of runs of two corpora, and two fits of one of them."""
    folder = tmp_path_factory.mktemp("design")
    both = [table(), table("code", 0.8)]
    with (folder / "runs.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(both[0])
        for one in both:
            writer.writerows(zip(*one.values(), strict=True))
    runs = Runs.make({c: v for c, v in both[0].items() if c != "corpus"}, source="runs.csv")
    for law, natural in (("chinchilla", CHINCHILLA), ("kaplan", KAPLAN)):
        law = models.load(law)
        drawn = {p: v * np.exp(0.01 * RANDOM.standard_normal(400)) for p, v in natural.items()}
        with parallel.workbench():
            relative = law.to_reference(drawn, runs.reference, runs.unit)
            draws = {p: np.asarray(v, float)[None] for p, v in relative.items()}
        draws["sigma"] = np.full((1, 400), 0.002)
        stats = {"at_bound": [], "mode_converged": True, "pareto_k": 0.1}
        fit = Fit(Model(law, noise.log_normal, effects=()), runs, draws, "laplace", stats)
        bs.save(fit, folder / f"{law.name}.nc")
    return folder


def run(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments], catch_exceptions=False)


def refused(*arguments):
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    return result.output


def test_a_design_is_printed_and_written(folder, tmp_path):
    asked = ("design", folder / "chinchilla.nc", "--budget", "1e21", "--target", "N@1e24", "--batch", 2)
    text = run(*asked, "--csv", tmp_path / "runs.csv").output
    assert "48 candidates by what they remove of the variance of ln N* at 1e24 FLOP" in text
    assert "ONE_LAW" in text
    assert "under rival laws" in text
    assert text.count("not asked") >= 12
    assert "FLOP are expected to take" in text
    with (tmp_path / "runs.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 48
    assert float(rows[0]["per_flop"]) >= float(rows[-1]["per_flop"])
    assert sum(int(row["batch"]) for row in rows) <= 2
    told = json.loads(run(*asked, "--json").output)
    assert told["target"] == "N@1e24"
    assert len(told["candidates"]) == 48
    assert told["exact"]["error"] > 0


def test_a_design_with_a_rival_and_given_candidates(folder):
    asked = ("design", folder / "chinchilla.nc", "--rival", folder / "kaplan.nc", "--budget", "1e21")
    given = ("--candidate", "N=1e9,D=1e11", "--candidate", "N=1B,D=10B", "--json")
    told = json.loads(run(*asked, "--target", "better@N=10B,D=1.7T:N=100B,D=170B", *given).output)
    assert len(told["candidates"]) == 2
    assert "removed by kaplan" in told["candidates"][0]
    assert 0 < told["chance"] < 1
    law = json.loads(run(*asked, "--target", "law", "--weight", "0.7,0.3", *given).output)
    assert law["of"] == "the entropy of which law is right"
    assert law["spread"] is None


def test_a_law_that_is_named_as_a_rival_is_fitted(folder, monkeypatch):
    asked = ("design", folder / "chinchilla.nc", "--budget", "1e21", "--target", "loss@N=70B,D=1.4T")
    assert "power is a law in one axis" in refused(*asked, "--rival", "power")
    other = bs.load(folder / "kaplan.nc")
    fitted = []
    monkeypatch.setattr(
        "bayescale.decide.design.rival_of", lambda key, fit, law: fitted.append(law.name) or other
    )
    text = run(*asked, "--rival", "coupled").output
    assert fitted == ["coupled"]
    assert "removed by kaplan" in text
    assert "not asked" not in text


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("--budget", "lots", "--target", "law"), "--budget is 'lots'; it is a positive number"),
        (
            ("--budget", "1e21", "--target", "law"),
            "which law is right is a question to several fits; give rivals",
        ),
        (("--budget", "1e21", "--target", "E"), "the target is 'E'; it is one of N@1e24"),
        (
            ("--budget", "1e21", "--target", "N@1e24", "--candidate", "N=x"),
            "--candidate N=x: x is not a number",
        ),
        (
            ("--budget", "1e21", "--target", "N@1e24", "--candidate", "N=1e9", "--candidate", "D=1e9"),
            "each --candidate names the same covariates",
        ),
        (
            ("--budget", "1e21", "--target", "N@1e24", "--hold", "experts=8"),
            "experts cannot be held; the laws are in D, N",
        ),
        (("--budget", "1e21", "--target", "N@1e24", "--level", "corpus=web"), "nothing differs by corpus"),
    ],
)
def test_designs_that_cannot_be(folder, given, message):
    assert message in refused("design", folder / "chinchilla.nc", *given)


def test_approaches_1_and_2_beside_laws(folder, tmp_path):
    asked = (
        "isoflop",
        folder / "runs.csv",
        "--compute",
        "1e24",
        "--level",
        "corpus=web",
        "--replicates",
        100,
    )
    laws = ("--fit", folder / "chinchilla.nc", "--fit", folder / "kaplan.nc")
    text = run(*asked, *laws, "--csv", tmp_path / "optimum.csv").output
    assert "approach 2: the minimum of a parabola in each slice" in text
    assert "chinchilla: parabola and law agree" in text
    assert "kaplan: parabola and law disagree" in text
    assert "DISAGREE" in text
    with (tmp_path / "optimum.csv").open(encoding="utf-8") as file:
        rows = {(row["by"], row["quantity"]): row for row in csv.DictReader(file)}
    row = rows["parabola", "N"]
    assert float(row["low"]) < float(row["estimate"]) < float(row["high"])
    assert float(rows["chinchilla", "a"]["estimate"]) == pytest.approx(0.513, abs=0.01)
    told = json.loads(run(*asked, "--json").output)
    assert [row["C"] for row in told["slices"]["parabola"]] == pytest.approx([1e19, 1e20, 1e21, 1e22])


def test_isoflops_that_cannot_be(folder):
    asked = ("isoflop", folder / "runs.csv")
    assert "--compute is 'x'; it is a positive number" in refused(*asked, "--compute", "x")
    assert "there is no factor recipe; there are" in refused(
        *asked, "--compute", "1e24", "--level", "recipe=web"
    )
    assert "corpus has no level 'book'; it has web, code" in refused(
        *asked, "--compute", "1e24", "--level", "corpus=book"
    )
    said = refused(*asked, "--compute", "1e24", "--by", "budget", "--curves", "run")
    assert "neither approach can be followed" in said
    assert "there is no column budget" in said
    assert "there is no factor run" in said
