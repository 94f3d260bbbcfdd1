"""`bayescale plot`: every kind writes its file, and each mistake gives one clear line and exit status 2."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from matplotlib.image import imread

from bayescale import models, noise, parallel, storage, verbs_of_plots
from bayescale.cli import main
from bayescale.fit import Fit
from bayescale.model import Model
from bayescale.pooling import Pooling
from bayescale.runs import Runs

GOOD = {"at_bound": [], "mode_converged": True, "pareto_k": 0.1, "mode_agreed": 9, "mode_starts": 9}
N = np.tile(np.geomspace(1e8, 1e10, 6), 2)
D = np.repeat([20, 200], 6) * N
RUNS = Runs.make(
    {"N": N, "D": D, "loss": 1.7 + 400 * N**-0.34 + 1600 * D**-0.34, "corpus": ["web", "code"] * 6}
)


def made(folder, law="chinchilla", *, pooled=False, draws=120, **stats):
    """A file of a fit whose draws are about the law of the runs."""
    form = models.load(law) if law == "chinchilla" else models.load(law).along("C")
    model = Model(form, noise.log_normal, (Pooling(("A",), by="corpus"),) if pooled else (), effects=())
    random = np.random.default_rng(0)
    truth = {"E": 1.7, "A": 400.0, "B": 1600.0, "alpha": 0.34, "beta": 0.34}
    own = {p: truth[p] * np.exp(0.02 * random.standard_normal(draws)) for p in form.parameters}
    with parallel.workbench():
        relative = form.to_reference(own, RUNS.reference, RUNS.unit)
    sites = {p: np.asarray(v)[None] for p, v in relative.items()} | {"sigma": np.full((1, draws), 0.02)}
    if pooled:
        sites |= {
            "A_by_corpus": np.tile([0.1, -0.1], (1, draws, 1)),
            "A_by_corpus_scale": np.full((1, draws), 0.1),
        }
    path = folder / "fit.nc"
    storage.save(Fit(model, RUNS, sites, "laplace", GOOD | stats), path)
    return path


@pytest.fixture(scope="module")
def fit(tmp_path_factory):
    return made(tmp_path_factory.mktemp("fit"))


@pytest.fixture(scope="module")
def pooled(tmp_path_factory):
    return made(tmp_path_factory.mktemp("pooled"), pooled=True)


def run(*arguments):
    return CliRunner().invoke(main, ["plot", *map(str, arguments)], catch_exceptions=False)


def refused(*arguments) -> str:
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    return result.output


def test_every_kind_has_its_options():
    known = {option.name for option in verbs_of_plots.plot.params}
    assert {name for names in verbs_of_plots.KINDS.values() for name in names} <= known


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("summary", []),
        ("loss", ["--covariate", "D", "--band", "new_run"]),
        ("isoflop", ["--compute", "1e21,1e22", "--covariate", "D/N"]),
        ("regret", ["--compute", "1e23", "--dark"]),
        ("residuals", ["--covariate", "N"]),
        ("parameters", ["--parameter", "alpha,beta"]),
    ],
)
def test_a_figure_is_written(fit, tmp_path, kind, options):
    file = tmp_path / "figure.png"
    result = run(fit, "--kind", kind, *options, "-o", file, "--dpi", 50)
    assert result.exit_code == 0, result.output
    assert f"the figure is in {file}" in result.output
    picture = imread(file)
    dark = picture[0, 0, :3].mean() < 0.2
    assert dark == ("--dark" in options)
    assert picture[..., :3].std() > 0.02  # something is drawn


@pytest.mark.parametrize("suffix", [".svg", ".pdf"])
def test_vectors_too(fit, tmp_path, suffix):
    file = tmp_path / f"figure{suffix}"
    assert run(fit, "--kind", "loss", "-o", file).exit_code == 0
    assert file.stat().st_size > 3000


def test_all_there_is_goes_into_a_folder(pooled, tmp_path):
    result = run(pooled, "--kind", "all", "-o", tmp_path / "all", "--dpi", 40, "--json")
    answer = json.loads(result.output)
    written = {Path(file).stem for file in answer["files"]}
    assert written == {
        *(
            "summary",
            "loss_C",
            "loss_N",
            "loss_D",
            "loss_D_per_N",
            "isoflop",
            "contours",
            "optimum",
            "regret",
        ),
        *("residuals", "parameters", "pairs", "forest_corpus"),
    }
    assert all(Path(file).is_file() for file in answer["files"])
    assert list(answer["left_out"]) == ["approaches"]  # the runs are no slices of equal compute
    assert "slices of equal compute" in answer["left_out"]["approaches"]


def test_what_a_law_has_not_is_left_out_and_said(tmp_path):
    path = made(tmp_path, "power_floor")
    result = run(path, "--kind", "all", "-o", tmp_path / "all", "--dpi", 40)
    assert result.exit_code == 0
    assert (
        "left out: contours: law power_floor is of loss in C; this needs a law of loss in N, D"
        in result.output
    )
    assert (tmp_path / "all" / "loss_C.png").is_file()


def test_a_fit_that_has_not_converged_says_so(tmp_path):
    path = made(tmp_path, pareto_k=0.9)
    result = run(path, "--kind", "loss", "-o", tmp_path / "loss.png", "--dpi", 40)
    assert "NOT CONVERGED (laplace)" in result.output


def test_levels_of_a_pooled_fit(pooled, tmp_path):
    file = tmp_path / "figure.png"
    assert run(pooled, "--kind", "isoflop", "--level", "corpus=web", "-o", file, "--dpi", 40).exit_code == 0
    assert (
        run(pooled, "--kind", "forest", "--by", "corpus", "--relative", "-o", file, "--dpi", 40).exit_code
        == 0
    )
    assert "A differ by corpus; say which corpus: one of web, code" in refused(
        pooled, "--kind", "loss", "--band", "new_run", "-o", file
    )


def test_the_next_runs(fit, tmp_path):
    file = tmp_path / "design.png"
    result = run(fit, "--kind", "design", "--target", "N@1e24", "--compute", "1e22", "-o", file, "--dpi", 40)
    assert result.exit_code == 0, result.output
    assert file.is_file()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--kind", "violin", "-o", "x.png"], "'violin' is not one of 'summary', 'loss', 'isoflop'"),
        (["-o", "x.bmp"], "--output is 'x.bmp'; its name ends in one of .png, .pdf, .svg, .jpg"),
        (["-o", "/nowhere/x.png"], "/nowhere/x.png: there is no folder /nowhere"),
        (["--compute", "1e21", "-o", "x.png"], "--compute has no say in summary; it takes no such option"),
        (
            ["--kind", "forest", "--hold", "U=1", "-o", "x.png"],
            "--hold has no say in forest; it takes --by, --relative",
        ),
        (["--kind", "bootstrap", "-o", "x.png"], "bootstrap needs --study, as --study study/"),
        (["--kind", "design", "-o", "x.png"], "design needs --target, as --target N@1e24"),
        (["--kind", "forest", "-o", "x.png"], "nothing differs by any factor; the model has no factor"),
        (
            ["--kind", "loss", "--covariate", "U", "-o", "x.png"],
            "the runs have no column U; they have N, D, C",
        ),
        (["--kind", "loss", "--hold", "U=1e9", "-o", "x.png"], "law chinchilla is in N, D; U cannot be held"),
        (["--kind", "loss", "--level", "web", "-o", "x.png"], "--level is 'web'; write it as corpus=web"),
        (
            ["--kind", "isoflop", "--compute", "much", "-o", "x.png"],
            "--compute is 'much'; it is numbers of FLOP",
        ),
        (
            ["--kind", "regret", "--compute", "1e21,1e22", "-o", "x.png"],
            "regret is of one budget; --compute has 2",
        ),
        (
            ["--kind", "parameters", "--parameter", "k", "-o", "x.png"],
            "there is no parameter k; there are E, A",
        ),
        (["--kind", "approaches", "-o", "x.png"], "slices of equal compute"),
        (["--kind", "bootstrap", "--study", "none", "-o", "x.png"], "none"),
    ],
)
def test_mistakes_are_refused_in_one_line(fit, options, message):
    said = refused(fit, *options)
    assert message in said
    assert not Path("x.png").exists()


def test_a_folder_is_needed_for_all(fit, tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    assert "is a file; with --kind all give a folder, as -o figures" in refused(
        fit, "--kind", "all", "-o", file
    )


def test_contours_of_a_law_along_compute_are_refused(tmp_path):
    path = made(tmp_path, "power_floor")
    said = refused(path, "--kind", "contours", "-o", tmp_path / "x.png")
    assert "law power_floor is of loss in C; this needs a law of loss in N, D" in said
