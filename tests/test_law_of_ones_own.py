"""A fit of a law that is in a file of the user's: every verb that asks fits takes that file, where it is needed."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from bayescale import models, storage
from bayescale.check import of_refits
from bayescale.check.findings import findings
from bayescale.cli import main
from bayescale.decide.allocate import compute_optimal
from bayescale.page import figures
from bayescale.recipe import law_in
from tests.made import BESIROGLU, fit_of, some

DRAWS = some(BESIROGLU, sd=0.01)
RUN, OTHER = "N=7e10,D=1.4e12", "N=2.8e11,D=3e11"
ASKED = {
    "predict": ("--at", RUN),
    "allocate": ("--compute", "1e23"),
    "target": ("--loss", "2.1"),
    "gain": ("--of", RUN, "--over", OTHER),
    "design": ("--budget", "1e21", "--target", "N@1e24", "--candidate", "N=1e9,D=2e10"),
    "plot": ("--kind", "loss", "--dpi", "40", "-o", "loss.png"),
    "report": ("--compute", "1e23", "--quick", "-o", "page.html"),
    "check": (),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A law of one's own, in a file; a fit of it, and one of a law of the package."""
    path = tmp_path_factory.mktemp("own")
    text = Path(models.load("chinchilla").mean.__code__.co_filename).read_text()
    (path / "mine.py").write_text(text.replace('name="chinchilla"', 'name="mine"'))
    storage.save(fit_of(law_in(path / "mine.py"), DRAWS), path / "mine.nc")
    storage.save(fit_of("chinchilla", DRAWS), path / "ours.nc")
    return path


@pytest.fixture
def run(folder, monkeypatch):
    """A verb, in that folder; without what takes long and does not hang on the law."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(figures, "figures", lambda *_: [])
    monkeypatch.setattr(of_refits, "all_findings", lambda key, fit: findings(fit))

    def invoke(verb, *arguments, code=0):
        done = CliRunner().invoke(main, [verb, *arguments], catch_exceptions=False)
        assert done.exit_code == code, done.output
        return done.output

    return invoke


@pytest.mark.parametrize("verb", ASKED)
def test_the_verb_takes_the_file_of_the_law_and_asks_for_it(verb, run):
    assert run(verb, "mine.nc", *ASKED[verb], "--law", "mine.py")
    said = run(verb, "mine.nc", *ASKED[verb], code=2)
    assert "law mine is none of bayescale.models; pass law= (--law on the command line)" in said
    assert len(said.strip().splitlines()) == 1


def test_the_answer_is_that_of_the_law(run):
    (mine, ours) = json.loads(
        run("allocate", "mine.nc", "ours.nc", "--compute", "1e23", "--law", "mine.py", "--json")
    )["decisions"]
    assert mine["quantities"] == ours["quantities"]
    N = compute_optimal(fit_of("chinchilla", DRAWS), 1e23).interval("N")[1]
    assert mine["quantities"][0]["median"] == pytest.approx(N)
    (loss,) = json.loads(run("predict", "mine.nc", "--at", RUN, "--law", "mine.py", "--json"))["points"]
    assert loss["q50"] == pytest.approx(1.8172 + 482.01 * 7e10**-0.3478 + 2085.43 * 1.4e12**-0.3658, rel=0.01)


def test_the_pages_and_figures_are_there(run, folder):
    run("report", "mine.nc", "ours.nc", *ASKED["report"], "--law", "mine.py")
    page = (folder / "page.html").read_text()
    assert "The law mine" in page
    assert "Spend 1e23 FLOP" in page
    run("plot", "mine.nc", *ASKED["plot"], "--law", "mine.py")
    assert (folder / "loss.png").stat().st_size > 5_000


@pytest.mark.parametrize("verb", ASKED)
def test_a_file_of_another_law_is_refused(verb, run, folder):
    text = (folder / "mine.py").read_text().replace('name="mine"', 'name="other"')
    (folder / "other.py").write_text(text)
    said = run(verb, "mine.nc", *ASKED[verb], "--law", "other.py", code=2)
    assert "the fit is of law mine, and law= is other" in said
