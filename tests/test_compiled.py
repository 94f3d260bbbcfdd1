"""Compiled code that is kept: where, and what becomes of that of which only a part was written."""

import os
import subprocess
import sys
import time
import zlib
from pathlib import Path

import jax
import pytest

from bayescale import compiled

CODE = bytes(range(256)) * 40
SCRIPT = """
import jax.numpy as jnp
from bayescale import parallel

with parallel.workbench():
    print(float(jnp.linalg.det(jnp.eye(3) * 2)))
"""


def test_the_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("BAYESCALE_CACHE", str(tmp_path))
    assert compiled.folder() == tmp_path / "jax"
    monkeypatch.delenv("BAYESCALE_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert compiled.folder().is_relative_to(Path.home())
    assert compiled.folder().parts[-2:] == ("bayescale", "jax")


def entry(folder, name, data):
    file = folder / f"{name}-cache"
    file.write_bytes(data)
    return file


def test_what_is_half_written_is_removed(tmp_path):
    packed = zlib.compress(CODE)
    whole = entry(tmp_path, "jit_whole", packed)
    half = entry(tmp_path, "jit_half", packed[: len(packed) // 2])
    empty = entry(tmp_path, "jit_empty", b"")
    other = entry(tmp_path, "jit_other", packed[:-1] + b"?")
    (tmp_path / "notes.txt").write_text("not ours")
    compiled.swept(str(tmp_path))
    assert whole.read_bytes() == packed
    assert not any(file.exists() for file in (half, empty, other))
    assert (tmp_path / "notes.txt").exists()


def test_only_what_is_new_is_looked_at(tmp_path):
    (tmp_path / compiled.LOOKED).touch()
    old, new = (entry(tmp_path, name, b"half of it") for name in ("jit_old", "jit_new"))
    os.utime(old, (time.time() - 100, time.time() - 100))
    compiled.swept.__wrapped__(str(tmp_path))
    assert old.exists()
    assert not new.exists()
    later = entry(tmp_path, "jit_later", b"half of it")
    compiled.swept.__wrapped__(str(tmp_path))
    assert not later.exists()


def test_a_folder_that_cannot_be_written_is_told_of_once(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("BAYESCALE_CACHE", str(tmp_path / "file"))
    with (
        pytest.warns(UserWarning, match="not kept.*no folder that can be written; set BAYESCALE_CACHE"),
        compiled.kept(),
    ):
        assert jax.config.jax_compilation_cache_dir is None
    with compiled.kept():
        assert jax.config.jax_compilation_cache_dir is None
    monkeypatch.setenv("BAYESCALE_CACHE", str(tmp_path / "made"))
    with compiled.kept():
        assert jax.config.jax_compilation_cache_dir == str(tmp_path / "made" / "jax")


def test_a_folder_that_can_be_read_alone_is_read(tmp_path, monkeypatch):
    (tmp_path / "jax").mkdir()
    monkeypatch.setenv("BAYESCALE_CACHE", str(tmp_path))
    with monkeypatch.context() as patched:
        patched.setattr(os, "access", lambda *_: False)
        with pytest.warns(UserWarning, match="compiled code is not kept"):
            assert not compiled.swept(str(tmp_path / "jax"))
        with compiled.kept():
            assert jax.config.jax_compilation_cache_dir == str(tmp_path / "jax")
            assert jax.config.jax_persistent_cache_min_compile_time_secs == compiled.NEVER
    assert list((tmp_path / "jax").iterdir()) == []


def test_code_that_is_damaged_is_compiled_anew(tmp_path):
    """Without a word, and whole again afterwards."""

    def run():
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env={**os.environ, "BAYESCALE_CACHE": str(tmp_path)},
            cwd=Path(__file__).parents[1],
            capture_output=True,
            text=True,
            check=True,
        )
        assert (done.stdout, done.stderr) == ("8.0\n", "")
        return {file: file.read_bytes() for file in tmp_path.glob("jax/*-cache")}

    first = run()
    assert first
    for file, data in first.items():
        file.write_bytes(data[:100])
    again = run()
    assert again.keys() == first.keys()
    assert run() == again
