"""Named data sets: tables of published runs, each with its source, licence, units and steps in datasets.toml.

Some are part of the package. The others may not be redistributed: they are looked for in the folder that the
environment variable BAYESCALE_DATA names, or else in the user cache, where `fetch` puts them.
"""

import copy
import functools
import hashlib
import os
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bayescale.data.constants import constants
from bayescale.data.fetching import fetch

if TYPE_CHECKING:
    from bayescale.runs import Runs

__all__ = ["constants", "describe", "fetch", "folder", "load", "names", "path"]

_HERE = Path(__file__).parent


@functools.cache
def _register() -> dict[str, dict[str, Any]]:
    return tomllib.loads((_HERE / "datasets.toml").read_text(encoding="utf-8"))


def names() -> list[str]:
    """The names of all data sets, embedded or not.

    >>> "pile_families_2023" in names()
    True
    """
    return list(_register())


def describe(name: str) -> dict[str, Any]:
    """What datasets.toml says of a data set: title, source, licence, url, units, steps, rows, columns, ...

    >>> describe("pile_families_2023")["rows"]
    30

    Raises:
        KeyError: there is no such data set.
    """
    register = _register()
    if name not in register:
        raise KeyError(f"there is no data set {name!r}; there are {', '.join(register)}")
    # A copy, so that nobody changes the register by changing what they were given.
    return copy.deepcopy(register[name])


def folder() -> Path:
    """Where data sets that are not embedded lie: BAYESCALE_DATA where it is set, or else the user cache."""
    named = os.environ.get("BAYESCALE_DATA")
    if named:
        return Path(named).expanduser()
    import pooch

    return Path(pooch.os_cache("bayescale"))


def path(name: str) -> Path:
    """The file of a data set.

    Raises:
        KeyError: there is no such data set.
        FileNotFoundError: the data set is not embedded and not yet on this machine.
        ValueError: the file is not the table that is described: its sha256 differs.
    """
    entry = describe(name)
    if entry["embedded"]:
        return _HERE / entry["file"]
    found = folder() / entry["file"]
    if not found.is_file():
        if entry["fetch"]:
            advice = f"get it with `bayescale data fetch {name}`"
        else:
            advice = f"it cannot be fetched; `bayescale data fetch {name}` says where it is published"
        raise FileNotFoundError(f"{name} is not part of bayescale, and {found} is not there; {advice}")
    if sha256(found) != entry["sha256"]:
        raise ValueError(
            f"{found} is not the table that bayescale describes as {name}: its sha256 is {sha256(found)}, "
            f"not {entry['sha256']}; move it away and fetch again, or read it by its path with Runs.read"
        )
    return found


def load(name: str, **options: Any) -> "Runs":
    """The runs of a data set, with the response, factors and rows that its entry suggests.

    Args:
        name: one of `names()`.
        options: what to do otherwise, as in `Runs.read`: response, factors, where, names, ...; `where=None`
            reads all rows.

    Raises:
        ValueError: the data set is no table of runs.
    """
    entry = describe(name)
    if entry["kind"] == "table":
        raise ValueError(f"{name} is no table of runs with a response; read its rows from {path(name)}")
    from bayescale.runs import Runs

    suggested = {
        key: entry[key] for key in ("response", "factors", "where", "names", "duplicates") if key in entry
    }
    return Runs.read(path(name), **(suggested | options)).replace(source=name)


def sha256(file: Path) -> str:
    """The sha256 of a file, in hexadecimal."""
    return hashlib.sha256(file.read_bytes()).hexdigest()
