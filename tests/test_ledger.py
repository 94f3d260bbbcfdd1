"""Ledgers: a study comes out the same to the bit, goes on where it was, and has one writer."""

import errno
import multiprocessing
import os
import signal
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest

from bayescale import ledger as ledgers
from bayescale.blocks import compute
from bayescale.ledger import Ledger
from tests.studies import SETTINGS, assert_complete, block, contents, missing, path_of, python, work
from tests.studies import folder as folder

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
