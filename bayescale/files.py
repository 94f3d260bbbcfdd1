"""Files that are written whole or not at all."""

import contextlib
import errno
import io
import os
import re
import secrets
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DRAFT = re.compile(r"\.[0-9a-f]{16}\.tmp")  # the name of a file that is not whole yet


def check(path: str | Path) -> None:
    """Refuse a file that could not be written.

    Raises:
        OSError: it is a folder or write-protected, or its folder is not there or cannot be written.
    """
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; give the name of a file")
    if path.exists():
        if not os.access(path, os.W_OK):
            raise PermissionError(f"{path}: it is write-protected")
        return
    folder = Path(os.path.realpath(path)).parent
    if not folder.is_dir():
        raise FileNotFoundError(f"{path}: there is no folder {folder}")
    if not os.access(folder, os.W_OK):
        raise PermissionError(f"{path}: the folder {folder} is not writable")


def put(path: str | Path, data: bytes | str) -> None:
    """Write a file, all of it or nothing, and have it reach the disk; one of that name is replaced.

    A link is followed. What cannot be replaced is written in place: a terminal or a pipe, what this process prints to,
    and a file whose folder cannot be written.

    Raises:
        OSError: it cannot be written; a file that can be replaced is as it was before.
    """
    check(path)
    path, data = Path(path), data.encode() if isinstance(data, str) else data
    try:
        if (stream := _stream(path)) is not None:
            sys.stdout.flush()
            with open(stream, "wb", closefd=False) as file:
                file.write(data)
        elif path.exists() and not path.is_file():
            path.write_bytes(data)
        else:
            _replaced_or_changed(Path(os.path.realpath(path)), data)
    except OSError as error:
        raise OSError(f"{path} was not written: {error.strerror or error}") from error


def _stream(path: Path) -> int | None:
    """The number under which this process prints to the file already, and with it knows where the next byte goes."""
    for number in (1, 2):
        with contextlib.suppress(OSError):
            if os.path.samestat(path.stat(), os.fstat(number)):
                return number
    return None


def _replaced_or_changed(target: Path, data: bytes) -> None:
    try:
        replace(target, data)
    except OSError as error:
        # The folder may not be ours, or the file be mounted alone.
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EBUSY) or not target.exists():
            raise
        target.write_bytes(data)


def put_figure(figure: "Figure", path: str | Path, **given: Any) -> None:
    """Write a figure of the kind that the file's name says; `given` is for matplotlib."""
    held = io.BytesIO()
    figure.savefig(held, format=Path(path).suffix.removeprefix("."), **given)
    put(path, held.getvalue())


def replace(path: Path, data: bytes) -> None:
    """Write a file, all of it or nothing, in place of whatever bears the name."""
    draft = path.parent / f".{secrets.token_hex(8)}.tmp"
    try:
        with draft.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if path.is_file() and not path.is_symlink():
            with contextlib.suppress(OSError):  # not every file system has modes
                shutil.copymode(path, draft)
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    flush(path.parent)


def flush(folder: Path) -> None:
    """Have the names in a folder reach the disk."""
    with contextlib.suppress(OSError):  # not every system can flush a folder
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
