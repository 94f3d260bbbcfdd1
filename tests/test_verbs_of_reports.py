"""`bayescale report`: what it writes, checks and refuses; and that what a page says to type makes the same fit."""

import json
import shlex
from pathlib import Path

import jax
import numpy as np
import numpyro.distributions as dist
import pytest
from click.testing import CliRunner

import bayescale as bs
from bayescale import models, noise, storage
from bayescale.check.findings import Finding
from bayescale.cli import main
from bayescale.model import Model
from bayescale.page import of_findings, reproduce
from bayescale.recipe import law_in
from bayescale.runs import Runs
from tests.made import BESIROGLU
from tests.reports import COLUMNS, N, fit_of, seen
from tests.reports import _unrefitted as _unrefitted
from tests.reports import undrawn as undrawn

# ---- To make it again


def test_what_makes_the_fit_again_makes_the_same_fit(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = [
        f"{n:.9g},{d:g},{c},{1.8 + 400 * n**-0.34 + 1500 * d**-0.36:.6f}"
        for n, d, c in zip(N, COLUMNS["D"], "xy" * 6, strict=True)
    ]
    (tmp_path / "runs.csv").write_text("\n".join(["N,D,corpus,loss", *lines]))
    model = Model(models.load("chinchilla_tied"), noise.huber(1e-3), effects=())
    fit = bs.optimize(jax.random.key(5), model, Runs.read("runs.csv", where="D > 2e9"), priors=False)
    (typed, python) = reproduce.fitting(fit)
    space: dict = {}
    exec(python[1], space)
    np.testing.assert_array_equal(space["fit"].draws["alpha"], fit.draws["alpha"])
    assert len(space["runs"]) == 8
    words = shlex.split(typed[1])
    assert words[:2] == ["bayescale", "fit"]
    assert CliRunner().invoke(main, words[1:], catch_exceptions=False).exit_code == 0
    np.testing.assert_array_equal(storage.load("fit.nc").draws["alpha"], fit.draws["alpha"])


def test_what_no_command_can_say_is_said_in_python():
    law = models.load("chinchilla").replace(priors={"alpha": dist.LogNormal(-1.0, 0.25)})
    ((title, text),) = reproduce.fitting(fit_of(law, by="corpus"))
    assert title == "The fit, in Python"
    assert "models.load('chinchilla').replace(priors={'alpha': dist.LogNormal(-1, 0.25)})" in text
    assert "pooling=[bs.Pooling(('A',), by='corpus')]" in text
    assert "bs.laplace(jax.random.key(3), model, runs, draws=200)" in text
    compile(text, "reproduce", "exec")
    typed = dict(reproduce.fitting(fit_of(by="corpus")))["The fit, on the command line"]
    assert "--vary A --by corpus --effect none --method laplace --seed 3 --chains 1 --draws 200" in typed
    ((_, text),) = reproduce.fitting(fit_of(key=[17, 4]))
    assert "jax.random.wrap_key_data(np.uint32([17, 4]))" in text
    ((_, text),) = reproduce.fitting(fit_of(method="bootstrap", replicates=9, unfinished=0))
    assert "made by other means" in text
    sampled = fit_of(
        method="nuts", attempt=2, warmup=1000, target=0.995, diverging=np.zeros((1, 200)), draws=200
    )
    ((_, text), *_) = [one for one in reproduce.fitting(sampled) if "Python" in one[0]]
    assert "chains=1, draws=100, warmup=500)" in text  # a second try takes twice as many


# ---- On the command line


@pytest.fixture
def fit_file(tmp_path):
    storage.save(fit_of(), tmp_path / "fit.nc")
    return str(tmp_path / "fit.nc")


def test_the_verb_writes_the_page(fit_file, tmp_path, undrawn):
    page = tmp_path / "page.html"
    options = ["--compute", "1e22", "--loss", "2.1", "-o", str(page)]
    done = CliRunner().invoke(main, ["report", fit_file, *options], catch_exceptions=False)
    assert done.exit_code == 0
    assert "Spend 1e22 FLOP on" in done.output
    assert f"bayescale report {fit_file} --compute 1e22 --loss 2.1 --seed 0 -o {page}" in seen(
        page.read_text()
    )
    told = json.loads(CliRunner().invoke(main, ["report", fit_file, *options, "--json"]).output)
    assert told["file"] == str(page)
    assert told["answers"][0]["text"] in done.output
    assert [one["question"] for one in told["numbers"]] == ["compute_optimal", "compute_for"]


SUPPORT = Finding("SUPPORT", "severe", "alpha moves", 2.0, "Look")


def test_the_verb_checks_with_refits_unless_it_is_to_be_quick(fit_file, tmp_path, undrawn, monkeypatch):
    monkeypatch.setattr(of_findings, "all_findings", lambda key, fit: (SUPPORT,))
    page = tmp_path / "page.html"
    typed = ["report", fit_file, "--compute", "1e22", "-o", str(page)]
    done = CliRunner().invoke(main, typed, catch_exceptions=False)
    assert "Severe finding stands against this answer: SUPPORT" in done.output
    assert "Severe finding stands against this answer: SUPPORT" in seen(page.read_text())
    assert f"--compute 1e22 --seed 0 -o {page}" in seen(page.read_text())
    done = CliRunner().invoke(main, [*typed, "--quick"], catch_exceptions=False)
    assert "Not checked: CLUSTER, SUPPORT, IRRELEVANT" in done.output
    text = seen(page.read_text())
    assert "Not checked: CLUSTER, SUPPORT, IRRELEVANT" in text
    assert "they take refits, which were left out" in text
    assert "alpha moves" not in text


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["nothing.nc"], "there is no file nothing.nc"),
        (["FIT", "FIT"], "a fit is named twice; name each once"),
        (["FIT", "--compute", "much"], "--compute is 'much'; it is a positive number, such as 7e10 or 70B"),
        (["FIT", "--loss", "nan"], "--loss is 'nan'; it is a positive number"),
        (["FIT", "--hold", "U=-3"], "--hold is '-3'; it is a positive number"),
        (["FIT", "-o", "no/where.html"], "no/where.html: there is no folder"),
        (
            ["FIT", "--comparison", "none.json"],
            "there is no file none.json; give what `bayescale compare -o comparison.json` wrote",
        ),
        (["FIT", "--backtest", "FIT"], "is not JSON"),
        (["FIT", "--comparison", "list.json"], "list.json is not what `bayescale compare` wrote"),
    ],
)
def test_bad_input_gives_one_line(options, said, fit_file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "list.json").write_text("[]")
    given = [fit_file if one == "FIT" else one for one in options]
    done = CliRunner().invoke(main, ["report", *given], catch_exceptions=False)
    assert done.exit_code == 2
    assert said in done.output
    assert len(done.output.strip().splitlines()) == 1


def test_a_fit_of_a_law_of_ones_own_is_read_with_its_file(tmp_path, undrawn):
    text = Path(models.load("chinchilla").mean.__code__.co_filename).read_text()
    (tmp_path / "mine.py").write_text(text.replace('name="chinchilla"', 'name="mine"'))
    storage.save(fit_of(law_in(tmp_path / "mine.py"), BESIROGLU), tmp_path / "mine.nc")
    storage.save(fit_of(), tmp_path / "ours.nc")
    files = [str(tmp_path / name) for name in ("mine.nc", "ours.nc")]
    page = str(tmp_path / "page.html")
    done = CliRunner().invoke(main, ["report", *files, "--law", str(tmp_path / "mine.py"), "-o", page])
    assert done.exit_code == 0, done.output
    assert "mine: Spend" in done.output
    bare = CliRunner().invoke(main, ["report", files[0], "-o", page])
    assert bare.exit_code == 2
    assert "none of bayescale.models" in bare.output
