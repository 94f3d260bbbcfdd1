"""The script `run` where it cannot go on: what it says, and that it leaves nothing behind."""

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SHELL = shutil.which("dash") or shutil.which("sh") or ""

pytestmark = pytest.mark.skipif(not SHELL, reason="there is no POSIX shell")


@pytest.fixture
def copy(tmp_path):
    """The script with what it reads, in a folder with a space in its name."""
    folder = tmp_path / "a folder"
    folder.mkdir()
    for name in ("run", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, folder)
    return folder


@pytest.fixture
def tools(tmp_path):
    """A folder for PATH with what the script needs, and no Python and no uv."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("cat", "cksum", "dirname", "rm"):
        (folder / name).symlink_to(shutil.which(name) or name)
    return folder


def program(folder: Path, name: str, script: str) -> None:
    """A shell script in `folder`, so that it is found as `name`."""
    file = folder / name
    file.write_text(f"#!{SHELL}\n{script}\n")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)


def run(copy: Path, tools: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess:
    environment = {"PATH": str(tools), "HOME": str(tools.parent)} | variables
    return subprocess.run(
        [SHELL, str(copy / "run"), *arguments], env=environment, capture_output=True, text=True, check=False
    )


def made(copy: Path, extra: str, **programs: str) -> Path:
    """A .venv that is up to date, whose programs are shell scripts."""
    folder = copy / ".venv" / "bin"
    folder.mkdir(parents=True)
    for name, script in programs.items():
        program(folder, name, script)
    files = [copy / "pyproject.toml", copy / "constraints.txt"]
    content = b"".join(file.read_bytes() for file in files)
    checksum = (
        subprocess.run(["cksum"], input=content, capture_output=True, check=True).stdout.decode().strip()
    )
    (copy / ".venv" / ".made-from").write_text(f"{extra} {copy} {checksum}\n")
    return folder


def test_the_script_can_be_run():
    assert os.access(ROOT / "run", os.X_OK)


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_usage(copy, tools, arguments):
    done = run(copy, tools, *arguments)
    assert done.returncode == 0
    assert done.stdout.startswith("usage: ./run demo | ./run test")
    assert not (copy / ".venv").exists()


@pytest.mark.parametrize("verb", ["demo", "test"])
def test_no_python_is_refused_in_one_line(copy, tools, verb):
    done = run(copy, tools, verb)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "run: bayescale needs Python 3.12 or newer; there is none on PATH or in ~/.pyenv, nor uv"
    ]
    assert not (copy / ".venv").exists()


def test_an_old_python_is_refused(copy, tools):
    for name in ("python", "python3"):
        program(tools, name, "exit 1")
    program(tools, "python3.12", "echo 'pyenv: python3.12: command not found' >&2; exit 127")
    done = run(copy, tools, "demo")
    assert done.returncode == 1
    assert "needs Python 3.12 or newer" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_uv_is_left_out_where_told(copy, tools):
    program(tools, "uv", "echo uv was asked >&2; exit 1")
    assert "uv found no Python 3.12 or newer" in run(copy, tools, "demo").stderr
    told = run(copy, tools, "demo", BAYESCALE_RUN_WITHOUT_UV="1").stderr
    assert "uv was asked" not in told
    assert "needs Python 3.12 or newer" in told


def test_uv_is_given_the_python_that_was_found(copy, tools):
    program(tools, "python3", "echo /a/python3")
    program(tools, "uv", 'echo "$@" >&2; exit 1')
    told = run(copy, tools, "demo").stderr
    assert f"venv --quiet --python /a/python3 {copy}/.venv" in told


def test_a_failed_installation_is_tried_again(copy, tools):
    program(tools, "python3", "echo /a/python3")
    program(tools, "uv", 'echo "$@" >&2; [ "$1" = venv ]')
    for _ in range(2):
        done = run(copy, tools, "test")
        assert done.returncode == 1
        assert f"--editable {copy}[test] --python {copy}/.venv/bin/python" in done.stderr
        assert done.stderr.splitlines()[-1] == "run: the installation failed"


def test_a_verb_goes_to_bayescale_as_it_is(copy, tools):
    made(copy, "", python="exit 3", bayescale='printf "%s|" "$@"')
    done = run(copy, tools, "fit", "my runs.csv", "--law", "a b")
    assert (done.returncode, done.stdout, done.stderr) == (0, "fit|my runs.csv|--law|a b|", "")


def test_the_tests_are_given_their_options(copy, tools):
    made(copy, "[test]", python='printf "%s|" "$PWD" "$@"')
    done = run(copy, tools, "test", "-k", "a or b")
    assert done.stdout == f"{copy}|-m|pytest|-k|a or b|"


def test_the_exit_status_is_that_of_the_verb(copy, tools):
    made(copy, "[test]", python="exit 5", bayescale="exit 2")
    assert run(copy, tools, "fit").returncode == 2
    assert run(copy, tools, "test").returncode == 5


@pytest.mark.parametrize("changed", ["pyproject.toml", "constraints.txt"])
def test_a_change_of_what_is_needed_refreshes(copy, tools, changed):
    made(copy, "", python="exit 0", bayescale="echo old")
    assert run(copy, tools, "laws").stdout == "old\n"
    with (copy / changed).open("a") as file:
        file.write("\n")
    program(tools, "uv", "echo uv was asked; exit 0")
    done = run(copy, tools, "laws")
    assert done.stdout == "uv was asked\nold\n"
    assert "installing" in done.stderr
    assert run(copy, tools, "laws").stdout == "old\n"


def test_the_tests_need_more_than_a_verb(copy, tools):
    made(copy, "", python="echo ran", bayescale="echo ran")
    program(tools, "uv", 'echo "$@"')
    assert "[test]" in run(copy, tools, "test").stdout
    # And what serves the tests serves a verb.
    assert run(copy, tools, "laws").stdout == "ran\n"
