"""Ledgers survive damage, full disks and kill -9: what is lost is found to be, and is made again to the bit."""

import contextlib
import errno
import hashlib
import json
import os
import random
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest

from bayescale.blocks import compute
from bayescale.ledger import Ledger
from tests.studies import SETTINGS, assert_complete, block, contents, missing, path_of, python, work
from tests.studies import folder as folder

# ---- Damage


def test_a_flipped_byte_is_found(folder):
    path, rng = path_of(folder, 1), random.Random(0)
    whole = path.read_bytes()
    for at in [0, 5, 30, 127, 128, len(whole) - 1, *rng.sample(range(len(whole)), 30)]:
        bad = bytearray(whole)
        bad[at] ^= 1 << rng.randrange(8)
        path.write_bytes(bad)
        assert missing(folder) == [1]
    with pytest.raises(ValueError, match=r"000001.npy: block 1 is damaged; resume .* not what was written"):
        Ledger.read_only(folder).read(1)
    with Ledger.open(folder, SETTINGS, resume=True) as ledger:
        compute(work, ledger, 4)
        assert_complete(ledger, 4)
    assert path.read_bytes() == whole


def test_a_flipped_byte_in_the_manifest_is_found(folder):
    manifest, rng = folder / "manifest.jsonl", random.Random(0)
    whole = manifest.read_bytes()
    for at in range(len(whole)):
        bad = bytearray(whole)
        bad[at] ^= 1 << rng.randrange(8)
        manifest.write_bytes(bad)
        assert whole[:at].count(b"\n") in missing(folder)
        assert len(missing(folder)) <= 2  # the line, and the next or the one that it now claims to be
    with Ledger.open(folder, SETTINGS, resume=True) as ledger:
        compute(work, ledger, 4)
    assert_complete(Ledger.read_only(folder), 4)


@pytest.mark.parametrize(
    "line", [b"", b"null", b'{"block":1}', b"\0" * 90, b"[" * 100_000, b'{"block":1,"sha']
)
def test_a_damaged_line_is_as_if_it_were_not_there(folder, line):
    manifest = folder / "manifest.jsonl"
    lines = manifest.read_bytes().splitlines()
    manifest.write_bytes(b"\n".join([lines[0], line, *lines[2:], b""]))
    assert missing(folder) == [1]


def test_truncated_and_missing_files(folder):
    path = path_of(folder, 2)
    whole = path.read_bytes()
    for size in (0, 10, 128, 129, len(whole) - 1):
        path.write_bytes(whole[:size])
        assert missing(folder) == [2]
    path.write_bytes(whole + b"\0")
    assert missing(folder) == [2]
    path.unlink()
    path_of(folder, 3).unlink()
    path_of(folder, 3).mkdir()
    with pytest.raises(ValueError, match=r"000002.npy: block 2 is not there; resume the study"):
        Ledger.read_only(folder).read(2)
    assert missing(folder) == [2, 3]
    with Ledger.open(folder, SETTINGS, resume=True) as ledger:
        with pytest.raises(OSError, match=r"block 3 was not written .*\. 3 blocks are safe"):
            compute(work, ledger, 4)
        path_of(folder, 3).rmdir()
        compute(work, ledger, 4)
        assert_complete(ledger, 4)
    (folder / "manifest.jsonl").unlink()
    assert missing(folder) == [0, 1, 2, 3]


def test_a_file_that_cannot_be_read(folder, monkeypatch):
    def refuse(_):
        raise OSError(errno.EIO, "bad sector")

    ledger = Ledger.read_only(folder)
    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(ValueError, match=r"000000.npy: block 0 is damaged; .*bad sector"):
        ledger.read(0)


def test_a_manifest_that_vouches_for_no_block(folder):
    pickled = np.array([{}], object)
    header = b"\x93NUMPY\x01\x00\x76\x00" + b"{(" * 59  # NumPy says TokenError
    for bad in (b"nonsense", b"", header, "pickle", block(0)[:5], np.zeros(1024), block(0)[["alpha"]]):
        path = path_of(folder, 3)
        if isinstance(bad, bytes):
            path.write_bytes(bad)
        else:
            np.save(path, pickled if isinstance(bad, str) else bad)
        with (folder / "manifest.jsonl").open("a") as file:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            file.write(json.dumps({"block": 3, "sha256": digest}, separators=(",", ":")) + "\n")
        assert missing(folder) == [3]
        found = Ledger.read_only(folder)
        found.read(0)
        with pytest.raises(ValueError, match="block 3 is damaged"):
            found.read(3)


def test_a_torn_line_is_mended(folder):
    manifest = folder / "manifest.jsonl"
    whole = manifest.read_bytes()
    last = whole.rindex(b"\n", 0, -1) + 1
    for end in range(last, len(whole)):
        manifest.write_bytes(whole[:end])
        assert missing(folder) == [3]
        Ledger.open(folder, SETTINGS, resume=True).close()
        assert manifest.read_bytes() == whole[:last]
    with Ledger.open(folder, SETTINGS, resume=True) as ledger:
        compute(work, ledger, 4)
    assert manifest.read_bytes() == whole


def test_nothing_is_written_elsewhere(folder, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for name in ("lock", "manifest.jsonl"):
        (folder / name).unlink()
        (folder / name).symlink_to(elsewhere / "made")
        with pytest.raises(
            ValueError, match=f"{name} is a link to elsewhere; a study is written to its own folder"
        ):
            Ledger.open(folder, SETTINGS, resume=True)
        (folder / name).unlink()
    with Ledger.open(folder, SETTINGS, resume=True) as ledger:
        (folder / "blocks/001").symlink_to(elsewhere)
        with pytest.raises(ValueError, match="001 is a link to elsewhere"):
            ledger.write(1000, block(1000))
        (elsewhere / "kept").write_text("x")
        path_of(folder, 0).unlink()
        path_of(folder, 0).symlink_to(elsewhere / "kept")
        compute(work, ledger, 4)
        assert_complete(ledger, 4)
    assert not path_of(folder, 0).is_symlink()
    os.rename(folder / "blocks", elsewhere / "blocks")
    (folder / "blocks").symlink_to(elsewhere / "blocks")
    with pytest.raises(ValueError, match="blocks is a link to elsewhere"):
        Ledger.open(folder, SETTINGS, resume=True)
    assert sorted(os.listdir(elsewhere)) == ["blocks", "kept"]
    assert (elsewhere / "kept").read_text() == "x"


# ---- A full disk


@contextlib.contextmanager
def room_for(size):
    """No file may grow beyond `size` bytes."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk(folder):
    before = contents(folder)
    with Ledger.open(folder, SETTINGS, resume=True) as ledger:
        with room_for(5000), pytest.raises(OSError, match="not written") as caught:
            compute(work, ledger, 6)
        said = str(caught.value)
        assert said.startswith(f"block 4 was not written to {folder}: ")
        assert said.endswith(
            "4 blocks are safe, and the study goes on with resume=True (--resume) once there is room"
        )
        assert contents(folder) == before
        compute(work, ledger, 6)
        assert_complete(ledger, 6)


def test_a_disk_that_is_full_in_the_middle_of_a_line(tmp_path):
    def small(numbers):
        return [np.full(1024, number, [("n", "i1")]) for number in numbers]

    with Ledger.open(tmp_path / "a", {}, resume=False) as ledger:
        compute(small, ledger, 20)
        manifest = tmp_path / "a" / "manifest.jsonl"
        whole = manifest.read_bytes()
        with room_for(len(whole) + 30), pytest.raises(OSError, match="20 blocks are safe"):
            compute(small, ledger, 21)
        assert manifest.read_bytes().startswith(whole)
        assert missing(tmp_path / "a", 21) == [20]
        compute(small, ledger, 21)
    assert missing(tmp_path / "a", 21) == []
    assert manifest.read_bytes().count(b"\n") == 21


def test_a_disk_that_does_not_take_it(folder, monkeypatch):
    before = contents(folder)

    def refuse(_):
        raise OSError(errno.EIO, "bad disk")

    with Ledger.open(folder, SETTINGS, resume=True) as ledger, monkeypatch.context() as patched:
        patched.setattr(os, "fsync", refuse)
        with pytest.raises(OSError, match=r"block 4 was not written .*bad disk.* 4 blocks are safe"):
            ledger.write(4, block(4))
    assert contents(folder) == before


def test_a_line_that_did_not_reach_the_disk(folder, monkeypatch):
    """What it leaves in the manifest is longer than the next line, and is gone with it."""
    before, calls, fsync = (folder / "manifest.jsonl").read_bytes(), [], os.fsync

    def refuse_the_line(handle):
        calls.append(handle)
        if len(calls) == 3:  # after the block and its folder
            raise OSError(errno.EIO, "bad disk")
        fsync(handle)

    with Ledger.open(folder, SETTINGS, resume=True) as ledger:
        monkeypatch.setattr(os, "fsync", refuse_the_line)
        with pytest.raises(OSError, match="block 999 was not written"):
            ledger.write(999, block(999))
        ledger.write(4, block(4))
    after = (folder / "manifest.jsonl").read_bytes()
    assert after.startswith(before + b'{"block":4,')
    assert after.count(b"\n") == 5


# ---- Killed


@pytest.mark.parametrize("way", ["at random", "at each step"])
def test_survives_kill_9(tmp_path, way):
    """A kill between any two steps of beginning and of writing, and at random moments.

    Each process is forked from one that has imported what it takes and holds nothing.
    """
    script = """
import random
left, rng = 0, random.Random(3)
def dying(step):
    def call(*arguments):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return step(*arguments)
    return call
for i in range(15):
    ready, told = os.pipe()
    child = os.fork()
    if not child:
        # From the second start on, 2 steps of opening and 5 of each block.
        left = i + 1 if sys.argv[2] == "at each step" else 0
        for name in ("fsync", "replace", "truncate"):
            setattr(os, name, dying(getattr(os, name)))
        os.write(told, b".")
        with Ledger.open(sys.argv[1], {"seed": 1}, resume=True) as ledger:
            compute(work, ledger, 400)
        os._exit(0)
    os.read(ready, 1)
    if sys.argv[2] == "at random":
        time.sleep(rng.uniform(0, 0.06))
        os.kill(child, signal.SIGKILL)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
    sys.stdin.readline()
"""
    found = []
    with python(script, tmp_path / "a", way, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for _ in range(15):
            assert int(process.stdout.readline()) == -signal.SIGKILL
            if (tmp_path / "a" / "study.json").exists():
                found.append(400 - len(missing(tmp_path / "a", 400)))
            process.stdin.write("\n")
            process.stdin.flush()
    assert found == sorted(found)  # nothing that was there is lost
    assert 1 < found[-1] < 400
    count = found[-1] + 3
    with Ledger.open(tmp_path / "a", {"seed": 1}, resume=True) as ledger:
        compute(work, ledger, count)
    with Ledger.open(tmp_path / "b", {"seed": 1}, resume=False) as ledger:
        compute(work, ledger, count)
    killed, whole = contents(tmp_path / "a"), contents(tmp_path / "b")
    assert set(killed.pop("manifest.jsonl").split()) == set(whole.pop("manifest.jsonl").split())
    assert killed == whole
