"""Files that are written whole or not at all."""

import contextlib
import io
import os
import re
import secrets
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DRAFT = re.compile(r"\.[0-9a-f]{16}\.tmp")  # the name of a file that is not whole yet


def put(path: str | Path, data: bytes | str) -> None:
    """Write a file, all of it or nothing, and have it reach the disk; one of that name is replaced.

    A link is followed, and what is no file, such as /dev/stdout, is written to as it is.

    Raises:
        OSError: it cannot be written, and what was there before is as it was.
    """
    path, data = Path(path), data.encode() if isinstance(data, str) else data
    folder = path.absolute().parent
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; give the name of a file")
    if not folder.is_dir():
        raise FileNotFoundError(f"{path} was not written: there is no folder {folder}")
    if path.exists() and not path.is_file():
        path.write_bytes(data)
        return
    if not os.access(folder, os.W_OK):
        raise PermissionError(f"{path} was not written: the folder {folder} is not writable")
    try:
        replace(Path(os.path.realpath(path)), data)
    except OSError as error:
        raise OSError(f"{path} was not written: {error.strerror or error}") from error


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
        if path.is_file():
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
