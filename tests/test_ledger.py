"""Ledgers: a study survives kill -9, full disks and damage, and comes out the same to the bit."""

import contextlib
import errno
import hashlib
import inspect
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from bayescale import ledger as ledgers
from bayescale.blocks import compute
from bayescale.ledger import Ledger

ROOT = Path(__file__).resolve().parents[1]
SETTINGS = {"seed": 1, "code": "0" * 64, "fit": {"law": "chinchilla", "step": 0.1}}


def block(number):
    fields = [("alpha", "<f8"), ("pair", "<f4", (2,)), ("ok", "?")]
    made = np.zeros(1024, fields)
    rng = np.random.default_rng(number)
    made["alpha"], made["pair"], made["ok"] = rng.normal(size=1024), rng.random((1024, 2)), number % 2
    made["alpha"][number % 1024] = np.nan
    return made


def work(numbers):
    return [block(number) for number in numbers]


@pytest.fixture
def folder(tmp_path):
    """A study of four blocks."""
    with Ledger.open(tmp_path / "study", SETTINGS, resume=False) as ledger:
        compute(work, ledger, 4)
    return tmp_path / "study"


def path_of(folder, number):
    return folder / "blocks" / "000" / f"{number:06d}.npy"


def contents(folder):
    """Every file of a study but the lock, and its bytes."""
    found = {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    del found["lock"]
    return found


def missing(folder, count=4):
    return Ledger.read_only(folder).missing(count)


def assert_complete(store, count):
    assert store.missing(count) == []
    for number in range(count):
        assert store.read(number).tobytes() == block(number).tobytes()


def python(script, *arguments, **options):
    head = "import os, signal, sys, time\nimport numpy as np\n"
    head += "from bayescale.blocks import compute\nfrom bayescale.ledger import Ledger\n"
    head += f"{inspect.getsource(block)}\n{inspect.getsource(work)}\n"
    command = [sys.executable, "-c", head + script, *(str(a) for a in arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, **options)


# ---- What is kept


def test_comes_back_as_it_was(tmp_path):
    told = []
    with Ledger.open(tmp_path / "new" / "study", SETTINGS, resume=False) as ledger:
        compute(work, ledger, 3, report=lambda *said: told.append(said))
        assert told == [(0, 3), (1, 3), (2, 3), (3, 3)]
        assert_complete(ledger, 3)
        assert ledger.missing(5) == [3, 4]
    ledger = Ledger.read_only(tmp_path / "new" / "study")
    assert_complete(ledger, 3)
    assert ledger.settings == SETTINGS
    assert np.load(path_of(ledger.folder, 2), allow_pickle=False).tobytes() == block(2).tobytes()


def test_each_thousand_has_its_folder(tmp_path):
    with Ledger.open(tmp_path, {}, resume=True) as ledger:
        for number in (999, 1000, 123_456):
            ledger.write(number, block(number))
    assert [p.name for p in sorted(tmp_path.glob("blocks/*/*"))] == ["000999.npy", "001000.npy", "123456.npy"]
    assert (tmp_path / "blocks/123/123456.npy").is_file()
    assert Ledger.read_only(tmp_path).missing(1002) == [*range(999), 1001]


def test_the_same_bytes_whatever_the_layout(tmp_path):
    """What stands between the fields, strides and the order of bytes do not show in the hash."""
    inner = np.dtype([("a", "i1"), ("b", "<f8")], align=True)
    aligned = np.dtype([("x", "i1"), ("inner", inner, (2,)), ("y", ">f8")], align=True)
    bytes_of = set()
    for i, fill in enumerate((0, 255)):
        made = np.frombuffer(bytes([fill]) * aligned.itemsize * 2048, aligned).copy()[::2]
        made["x"], made["y"] = 7, np.arange(1024)
        made["inner"]["a"], made["inner"]["b"] = 1, 2.5
        with Ledger.open(tmp_path / str(i), {}, resume=False) as ledger:
            ledger.write(0, made)
        np.testing.assert_array_equal(Ledger.read_only(tmp_path / str(i)).read(0)["y"], made["y"])
        bytes_of.add(path_of(tmp_path / str(i), 0).read_bytes())
    assert len(bytes_of) == 1


def test_the_same_bytes_whatever_the_way(folder, tmp_path):
    with Ledger.open(tmp_path / "b", SETTINGS, resume=False) as ledger:
        compute(work, ledger, 1)
        compute(work, ledger, 4, together=2)
    assert contents(folder) == contents(tmp_path / "b")


def test_a_pool_gives_the_same_bytes(folder, tmp_path):
    told = []
    with (
        ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool,
        Ledger.open(tmp_path / "b", SETTINGS, resume=False) as ledger,
    ):
        compute(work, ledger, 1)
        compute(work, ledger, 4, executor=pool, together=2, report=lambda *said: told.append(said))
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    one, other = contents(folder), contents(tmp_path / "b")
    assert sorted(one.pop("manifest.jsonl").split()) == sorted(other.pop("manifest.jsonl").split())
    assert one == other


def test_a_block_may_be_written_again(folder):
    with Ledger.open(folder, SETTINGS, resume=True) as ledger:
        ledger.write(1, block(9))
        assert ledger.read(1).tobytes() == block(9).tobytes()
    found = Ledger.read_only(folder)
    assert found.missing(4) == []
    assert found.read(1).tobytes() == block(9).tobytes()


def test_other_fields_are_refused_also_later(folder):
    ledger = Ledger.open(folder, SETTINGS, resume=True)
    with ledger, pytest.raises(ValueError, match="block 4 has the fields"):
        ledger.write(4, block(4)[["alpha"]])


# ---- Begin and resume


def test_resumes(folder):
    before = contents(folder)
    asked = []

    def more(numbers):
        asked.extend(numbers)
        return work(numbers)

    with Ledger.open(folder, SETTINGS, resume=True) as ledger:
        compute(more, ledger, 6)
        assert_complete(ledger, 6)
    assert asked == [4, 5]
    after = contents(folder)
    assert after["manifest.jsonl"].startswith(before.pop("manifest.jsonl"))
    assert before.items() <= after.items()


def test_a_study_is_not_written_over(folder):
    before = contents(folder)
    with pytest.raises(FileExistsError, match=r"holds a study already; pass resume=True \(--resume\)"):
        Ledger.open(folder, SETTINGS, resume=False)
    assert contents(folder) == before
    Ledger.open(folder, SETTINGS, resume=True).close()  # and the lock was let go


def test_other_settings_are_named(folder):
    other = {"seed": 2, "code": "0" * 50 + "f" * 14, "fit": {"law": "chinchilla", "step": 0.2}, "new": [1.0]}
    with pytest.raises(ValueError, match="was begun") as caught:
        Ledger.open(folder, other, resume=True)
    said = str(caught.value)
    assert "with seed 1, and now it is 2; " in said
    assert "with fit.step 0.1, and now it is 0.2; " in said
    assert f"with code ...{'0' * 17}..., and now it is ...00000{'f' * 12}...; " in said
    assert "without new, and now it is [1.0]. Resume with the settings it was begun with" in said
    assert "law" not in said
    with pytest.raises(
        ValueError, match=r"other bits \(algorithm None, and now it is 2\). Resume with that version"
    ):
        Ledger.open(folder, {**SETTINGS, "algorithm": 2}, resume=True)
    with pytest.raises(
        ValueError, match=r"with fit.law .*, and now it is not given; without fit, and now it is 3"
    ):
        Ledger.open(folder, {**SETTINGS, "fit": 3}, resume=True)
    with pytest.raises(ValueError, match="with seed 1, and now it is true"):
        Ledger.open(folder, {**SETTINGS, "seed": True}, resume=True)
    Ledger.open(folder, dict(reversed(SETTINGS.items())), resume=True).close()


def test_a_long_value_that_differs_at_once(folder):
    with pytest.raises(ValueError, match=r'with code "0{16}\.\.\., and now it is "a0{15}\.\.\.'):
        Ledger.open(folder, {**SETTINGS, "code": "a" + "0" * 63}, resume=True)


def test_settings_come_back_exactly(tmp_path):
    settings = {"x": 0.1 + 0.2, "tiny": 5e-324, "n": 2**70, "name": "é", "empty": {}, "shape": (1, 2)}
    Ledger.open(tmp_path, settings, resume=False).close()
    assert Ledger.read_only(tmp_path).settings == {**settings, "shape": [1, 2]}
    Ledger.open(tmp_path, settings, resume=True).close()


@pytest.mark.parametrize("bad", [np.int64(1), float("nan"), {1, 2}])
def test_settings_that_json_cannot_hold(tmp_path, bad):
    with pytest.raises(ValueError, match="the settings of a study are what JSON can hold, and finite"):
        Ledger.open(tmp_path / "a", {"x": bad}, resume=False)
    assert not (tmp_path / "a").exists()


def test_a_folder_of_other_things(tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(FileExistsError, match=r"holds other files \('thesis.tex'\) and no study.json"):
        Ledger.open(tmp_path, {}, resume=True)
    assert os.listdir(tmp_path) == ["thesis.tex"]
    with pytest.raises(NotADirectoryError, match="is no folder; give the folder of the study"):
        Ledger.open(tmp_path / "thesis.tex", {}, resume=True)
    with pytest.raises(OSError, match=r"the study in .* cannot be written: .*thesis.tex"):
        Ledger.open(tmp_path / "thesis.tex" / "study", {}, resume=True)


def test_a_beginning_that_was_killed(tmp_path):
    (tmp_path / "lock").touch()
    (tmp_path / f".{'a1' * 8}.tmp").write_text('{"form')
    for resume in (False, True):
        with Ledger.open(tmp_path, {}, resume=resume):
            assert sorted(os.listdir(tmp_path)) == ["blocks", "lock", "manifest.jsonl", "study.json"]


def test_drafts_are_removed(folder):
    draft = f".{'0' * 16}.tmp"
    for place in (folder, folder / "blocks/000"):
        (place / draft).touch()
    (folder / "notes.tmp").touch()
    Ledger.read_only(folder).missing(4)
    assert (folder / draft).exists()
    Ledger.open(folder, SETTINGS, resume=True).close()
    assert [p.name for p in folder.rglob("*.tmp")] == ["notes.tmp"]


def test_a_damaged_study_file(folder):
    study = folder / "study.json"
    whole = study.read_bytes()
    nested = b"[" * 100_000
    for bad in (
        b"",
        whole[:40],
        b"[]",
        b"\xff",
        nested,
        whole.replace(b'"seed": 1', b'"seed": 3'),
        b'{"format": 1}',
    ):
        study.write_bytes(bad)
        for look in (Ledger.read_only, lambda f: Ledger.open(f, SETTINGS, resume=True)):
            with pytest.raises(
                ValueError, match=r"study.json is damaged .*; put back a copy, or begin again"
            ):
                look(folder)
    study.write_bytes(whole.replace(b'"format": 1', b'"format": 2'))
    with pytest.raises(ValueError, match="the format is 2, and this version of bayescale reads 1"):
        Ledger.read_only(folder)
    study.write_bytes(whole)
    assert missing(folder) == []


def test_looking_writes_nothing(folder, tmp_path):
    (folder / "lock").unlink()

    def state():
        return {p: (p.stat().st_mtime_ns, p.stat().st_size) for p in [folder, *folder.rglob("*")]}

    before = state()
    ledger = Ledger.read_only(folder)
    assert_complete(ledger, 4)
    with pytest.raises(ValueError, match=r"is closed, or open for reading only; use Ledger.open"):
        ledger.write(4, block(4))
    assert state() == before
    for nothing in (tmp_path, tmp_path / "no"):
        with pytest.raises(FileNotFoundError, match=r"holds no study: there is no file study.json in it"):
            Ledger.read_only(nothing)


def test_looking_while_it_is_written(tmp_path):
    with Ledger.open(tmp_path, {}, resume=False) as ledger:
        compute(work, ledger, 1)
        assert missing(tmp_path, 2) == [1]


# ---- One writer


def test_one_writer(folder):
    with Ledger.open(folder, SETTINGS, resume=True) as ledger:
        with pytest.raises(
            BlockingIOError, match=r"another process is writing to the study in .*; wait for it"
        ):
            Ledger.open(folder, SETTINGS, resume=True)
        ledger.write(4, block(4))
    with Ledger.open(folder, SETTINGS, resume=True) as again:
        assert again.missing(5) == []
    with pytest.raises(ValueError, match="is closed"):
        ledger.write(5, block(5))


def test_where_there_are_no_locks(folder, monkeypatch):
    def refuse(*_):
        raise OSError(code, "no")

    monkeypatch.setattr(ledgers.fcntl, "flock", refuse)
    code = errno.ENOSYS
    Ledger.open(folder, SETTINGS, resume=True).close()
    code = errno.EIO
    with pytest.raises(OSError, match=r"cannot be written: .*no"):
        Ledger.open(folder, SETTINGS, resume=True)
    monkeypatch.setattr(ledgers, "fcntl", None)
    Ledger.open(folder, SETTINGS, resume=True).close()


def test_a_forked_worker_does_not_keep_the_lock(tmp_path):
    script = """
ledger = Ledger.open(sys.argv[1], {}, resume=True)
if not os.fork():
    print(os.getpid(), flush=True)
    os.kill(os.getppid(), signal.SIGKILL)
time.sleep(60)
"""
    process = python(script, tmp_path)
    assert process.stdout is not None
    child = int(process.stdout.readline())
    try:
        assert process.wait(30) == -signal.SIGKILL
        Ledger.open(tmp_path, {}, resume=True).close()
    finally:
        os.kill(child, signal.SIGKILL)
        process.stdout.close()


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
