"""Files that are written whole or not at all, on a disk that has no room left as well."""

import errno
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jax
import matplotlib.pyplot as plt
import numpy as np
import pytest
from click.testing import CliRunner

from bayescale import files, models, noise, storage
from bayescale.cli import main
from bayescale.infer.optimize import laplace
from bayescale.model import Model
from bayescale.runs import Runs

LIMIT = 5000  # bytes of a file, and not one more: what comes of it is what comes of a full disk


@pytest.fixture(scope="module")
def fit_file(tmp_path_factory):
    N = np.geomspace(1e7, 1e9, 12)
    loss = 3.0 * (N / 1e9) ** -0.08 * np.exp(0.01 * np.random.default_rng(0).standard_normal(12))
    model = Model(models.load("power").along("N"), noise.log_normal, effects=())
    file = tmp_path_factory.mktemp("fit") / "fit.nc"
    storage.save(laplace(jax.random.key(0), model, Runs.make({"N": N, "loss": loss})), file)
    return file


def test_a_file_is_as_it_was_or_as_it_should_be(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    files.put(path, "first\n")
    path.chmod(0o640)
    files.put(path, b"second")
    assert path.read_bytes() == b"second"
    assert path.stat().st_mode & 0o777 == 0o640

    def broken(*_):
        raise OSError(5, "Input/output error")

    for step in ("fsync", "replace"):
        with monkeypatch.context() as patched:
            patched.setattr(os, step, broken)
            with pytest.raises(OSError, match=r"a\.txt was not written: Input/output error"):
                files.put(path, "third")
    assert path.read_bytes() == b"second"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_link_is_followed_and_a_pipe_stays_one(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "folder" / "file")
    files.put(tmp_path / "link", "text")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "folder" / "file").read_text() == "text"
    os.mkfifo(tmp_path / "pipe")
    with ThreadPoolExecutor() as pool:
        read = pool.submit((tmp_path / "pipe").read_text)
        files.put(tmp_path / "pipe", "text")
        assert read.result() == "text"
    assert (tmp_path / "pipe").is_fifo()


def test_what_a_process_prints_to_goes_on_where_it_was(tmp_path):
    script = "from bayescale import files; print('one'); files.put('/dev/stdout', 'two\\n'); print('three')"
    with (tmp_path / "log").open("w") as log:
        subprocess.run([sys.executable, "-c", script], stdout=log, check=True)
    assert (tmp_path / "log").read_text() == "one\ntwo\nthree\n"
    piped = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, check=True)
    assert piped.stdout == "one\ntwo\nthree\n"


@pytest.mark.parametrize("number", [errno.EACCES, errno.EBUSY])
def test_a_file_that_cannot_be_replaced_is_written_in_place(tmp_path, monkeypatch, number):
    def refused(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(files, "replace", refused)
    (tmp_path / "there").write_text("before")
    files.put(tmp_path / "there", "after")
    assert (tmp_path / "there").read_text() == "after"
    with pytest.raises(OSError, match="new was not written"):
        files.put(tmp_path / "new", "after")


def test_a_file_that_is_write_protected_stays(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    path.write_text("before")
    monkeypatch.setattr(os, "access", lambda place, _: Path(place) != path)
    with pytest.raises(PermissionError, match=r"a\.txt: it is write-protected"):
        files.put(path, "after")
    assert path.read_text() == "before"


@pytest.mark.parametrize("kind", ["png", "pdf", "svg"])
def test_a_figure_is_of_the_kind_that_its_name_says(kind, tmp_path):
    figure = plt.figure()
    files.put_figure(figure, tmp_path / f"a.{kind}")
    plt.close(figure)
    begins = {"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml"}[kind]
    assert (tmp_path / f"a.{kind}").read_bytes().startswith(begins)


@pytest.fixture
def no_room(monkeypatch):
    """Files cannot grow while one is put in its place."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    real = files.replace

    def limited(path, data):
        resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, hard))
        try:
            real(path, data)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    monkeypatch.setattr(files, "replace", limited)


@pytest.mark.usefixtures("no_room")
def test_what_was_found_is_printed_where_it_cannot_be_kept(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    asked = "calibrate --law power --along C --method laplace --replicates 2 --csv table.csv"
    monkeypatch.setitem(globals(), "LIMIT", 10)
    done = CliRunner().invoke(main, asked.split())
    assert done.exit_code == 2
    assert "2 of 2 fits converged" in done.output
    assert done.output.splitlines()[-1] == "bayescale: table.csv was not written: File too large"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("no_room")
def test_a_fit_for_which_there_is_no_room(tmp_path, fit_file):
    fit = storage.load(fit_file)
    with pytest.raises(OSError, match=r"a\.nc was not written: File too large"):
        storage.save(fit, tmp_path / "a.nc")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("no_room")
@pytest.mark.parametrize(
    "arguments",
    [
        "simulate runs --law chinchilla --size 2000 -o runs.csv",
        "report {fit} -o report.html",
        "plot {fit} --kind loss --covariate N -o fit.svg",
    ],
    ids=["simulate", "report", "plot"],
)
def test_a_full_disk_is_one_sentence_and_leaves_nothing(arguments, tmp_path, fit_file, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, arguments.format(fit=fit_file).split())
    assert done.exit_code == 2, done.output
    assert f"{arguments.split()[-1]} was not written: File too large" in done.output
    assert list(tmp_path.iterdir()) == []
