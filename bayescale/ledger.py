"""Ledgers: studies in folders, of whose blocks none is lost when the process or the machine dies."""

import contextlib
import errno
import hashlib
import io
import json
import os
import re
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bayescale import files
from bayescale.blocks import BLOCK, natural, plain
from bayescale.settings import FORMAT, as_json, check_same, digest_of, read_study

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

_NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK)  # some file systems of clusters have none
_LINE = re.compile(rb'\{"block":(0|[1-9][0-9]{0,17}),"sha256":"([0-9a-f]{64})"\}')


class Ledger:
    """A study in a folder: what it was begun with, its blocks, and the hash of each.

        study.json              the settings
        manifest.jsonl          {"block":123,"sha256":"..."}, a line for each block written
        blocks/000/000123.npy   1,024 records, or as many as the settings say; a folder for each 1,000 blocks

    A block counts once its line is there and its bytes have the hash that the line says; any other is computed
    again. One process writes at a time. Made by `open` or `read_only`.

    Attributes:
        folder: where the study is.
        settings: what it was begun with.
    """

    def __init__(self, folder: Path, settings: dict[str, Any], lock: io.BufferedWriter | None):
        self.folder, self.settings = folder, settings
        self._lock = lock
        self._records = settings.get("records", BLOCK)
        self._hashes, self._end = _manifest(folder / "manifest.jsonl")
        self._dtype: np.dtype | None = None

    @classmethod
    def open(cls, folder: str | Path, settings: Mapping[str, Any], *, resume: bool) -> "Ledger":
        """Begin a study in a new or empty folder, or go on with the one that is there.

        Args:
            folder: where; it is made if need be.
            settings: all that the blocks depend on, as JSON can hold it.
            resume: go on with a study that is there. Where there is none, one is begun all the same.

        Raises:
            FileExistsError: a study is there and is not to be resumed, or other files are.
            BlockingIOError: another process is writing to the study.
            ValueError: the study was begun with other settings or is damaged, or JSON cannot hold the settings.
            OSError: the folder cannot be written.
        """
        folder, settings = Path(folder).absolute(), as_json(settings)
        if folder.exists() and not folder.is_dir():
            raise NotADirectoryError(f"{folder} is no folder; give the folder of the study")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with contextlib.ExitStack() as undo:
                lock = undo.enter_context(_lock_file(folder))
                _lock(lock, folder)
                _settle(folder, settings, resume)
                ledger = cls(folder, settings, lock)
                undo.pop_all()  # all went well: the lock stays
        except OSError as error:
            if error.errno is None:  # a sentence of ours
                raise
            raise OSError(f"the study in {folder} cannot be written: {error}") from error
        if hasattr(os, "register_at_fork"):
            # A forked worker would keep the lock after this process is killed.
            this = weakref.ref(ledger)
            os.register_at_fork(after_in_child=lambda: (found := this()) and found.close())
        return ledger

    @classmethod
    def read_only(cls, folder: str | Path) -> "Ledger":
        """Look at a study as it is now, also while it is being written; nothing in the folder is touched.

        Raises:
            FileNotFoundError: there is no study.
            ValueError: study.json is damaged.
        """
        folder = Path(folder).absolute()
        if not (folder / "study.json").is_file():
            raise FileNotFoundError(f"{folder} holds no study: there is no file study.json in it")
        return cls(folder, read_study(folder / "study.json"), None)

    def missing(self, count: int) -> list[int]:
        """Of the blocks 0 to count - 1 those that are not there or are damaged; each file is read and hashed."""
        return [number for number in range(count) if not self._intact(number)]

    def leading(self) -> int:
        """How many blocks are there, from the first on, as far as the manifest says; none is read."""
        return next(number for number in range(len(self._hashes) + 1) if number not in self._hashes)

    def write(self, number: int, block: np.ndarray) -> None:
        """Keep a block: once this returns it is on the disk, and until then what was there before counts.

        Raises:
            ValueError: it is no block, or not of the same fields as the others; or the study is not open to write.
            OSError: it cannot be written, say because the disk is full. All other blocks are safe.
        """
        if self._lock is None:
            raise ValueError(
                f"the study in {self.folder} is closed, or open for reading only; use Ledger.open"
            )
        path = self._path(number)
        if self._dtype is None:  # any block that is there says what the others have to be
            any(self._intact(other) for other in self._hashes)
        block = plain(block, number, self._dtype, self._records)
        held = io.BytesIO()
        np.lib.format.write_array(held, block, allow_pickle=False)
        data = held.getvalue()
        digest = hashlib.sha256(data).hexdigest()
        try:
            if not path.parent.exists():
                path.parent.mkdir()
                files.flush(path.parent.parent)
            _no_link(path.parent)
            files.replace(path, data)
            self._end = _append(self.folder / "manifest.jsonl", self._end, number, digest)
        except OSError as error:
            safe = sum(self._intact(other) for other in self._hashes)
            raise OSError(
                f"block {number} was not written to {self.folder}: {error}. {safe} blocks are safe, and the study "
                "goes on with resume=True (--resume) once there is room"
            ) from error
        self._hashes[number], self._dtype = digest, block.dtype

    def read(self, number: int) -> np.ndarray:
        """A block, (records,), once its bytes have the hash that they were written with.

        Raises:
            ValueError: the block is not there, or is damaged.
        """
        path = self._path(number)
        if number not in self._hashes or not path.is_file():
            raise ValueError(f"{path}: block {number} is not there; resume the study to have it computed")
        damaged = f"{path}: block {number} is damaged; resume the study to have it computed again"
        try:
            data = path.read_bytes()
        except OSError as error:
            raise ValueError(f"{damaged} ({error})") from error
        if hashlib.sha256(data).hexdigest() != self._hashes[number]:
            raise ValueError(f"{damaged} (its bytes are not what was written)")
        try:
            block = np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
            block = plain(block, number, self._dtype, self._records)
        except Exception as error:  # the manifest vouches for what is no block: NumPy raises anything
            raise ValueError(f"{damaged} ({error})") from error
        self._dtype = block.dtype
        return block

    def close(self) -> None:
        """Let another process write; what is there may still be read."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def __enter__(self) -> "Ledger":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _path(self, number: int) -> Path:
        natural(number)
        return self.folder / "blocks" / f"{number // 1000:03d}" / f"{number:06d}.npy"

    def _intact(self, number: int) -> bool:
        try:
            self.read(number)
        except ValueError:
            return False
        return True


# ---- The folder


def _lock_file(folder: Path) -> io.BufferedWriter:
    names = sorted(os.listdir(folder))
    others = [name for name in names if name != "lock" and not files.DRAFT.fullmatch(name)]
    if others and "study.json" not in names:  # the first file of a study
        raise FileExistsError(
            f"{folder} holds other files ({others[0]!a}) and no study.json; choose a new or empty folder"
        )
    for name in ("lock", "manifest.jsonl", "blocks"):
        _no_link(folder / name)
    return (folder / "lock").open("ab")


def _lock(file: io.BufferedWriter, folder: Path) -> None:
    if fcntl is None:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise BlockingIOError(
            f"another process is writing to the study in {folder}; wait for it, or choose another folder"
        ) from None
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise


def _settle(folder: Path, settings: dict[str, Any], resume: bool) -> None:
    """Begin a study or find that it is the same, and leave the folder as `Ledger.write` needs it."""
    study, manifest, blocks = (folder / name for name in ("study.json", "manifest.jsonl", "blocks"))
    if study.exists():
        if not resume:
            raise FileExistsError(
                f"{folder} holds a study already; pass resume=True (--resume) to go on with it, or choose another "
                "folder"
            )
        check_same(folder, read_study(study), settings)
    else:
        held = {"format": FORMAT, "sha256": digest_of(settings), "settings": settings}
        files.replace(study, (json.dumps(held, allow_nan=False, indent=1) + "\n").encode())
        files.flush(folder.parent)
    blocks.mkdir(exist_ok=True)
    manifest.touch()
    _, end = _manifest(manifest)
    if end < manifest.stat().st_size:
        os.truncate(manifest, end)
    for place in (folder, *(p for p in blocks.iterdir() if p.is_dir() and not p.is_symlink())):
        for draft in place.iterdir():
            if files.DRAFT.fullmatch(draft.name):
                draft.unlink()
    files.flush(folder)


def _manifest(path: Path) -> tuple[dict[int, str], int]:
    """Number -> hash, and where the last whole line ends; a line that is damaged is as if it were not there."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return {}, 0
    end = data.rfind(b"\n") + 1
    lines = (_LINE.fullmatch(line) for line in data[:end].split(b"\n"))
    return {int(line[1]): line[2].decode() for line in lines if line}, end


def _append(path: Path, end: int, number: int, digest: str) -> int:
    """Add the line of a block to the manifest, whose last whole line ends at `end`; where it ends now."""
    line = f'{{"block":{number},"sha256":"{digest}"}}\n'.encode()
    with path.open("r+b") as file:
        file.truncate(end)  # half a line may stand there, from a disk that was full
        file.seek(end)
        file.write(line)
        file.flush()
        os.fsync(file.fileno())
    return end + len(line)


def _no_link(path: Path) -> None:
    if path.is_symlink():
        raise ValueError(f"{path} is a link to elsewhere; a study is written to its own folder only")
