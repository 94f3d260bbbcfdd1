"""Get a data set that may not be redistributed from where its study published it.

The published file is pinned to a commit and checked against its hash; the tidy table is made from it on this
machine, checked against its own hash, and moved into place whole or not at all.
"""

import hashlib
import logging
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

# As pooch calls it: download(url, file to write, the pooch that asks).
Downloader = Callable[[str, str, Any], object]


def fetch(name: str, *, download: Downloader | None = None) -> Path:
    """Fetch a data set into the folder that BAYESCALE_DATA names, or into the user cache.

    Args:
        name: one of `names()`.
        download: how to get a file, in place of HTTPS; see `pooch.retrieve`.

    Returns:
        The file of the table. One that is there already, and is the table described, is not fetched again.

    Raises:
        KeyError: there is no such data set.
        ValueError: it cannot be fetched, or what was published has changed.
        OSError: the published file cannot be reached, or the folder cannot be written.
    """
    from bayescale.data import describe, folder, path, sha256

    entry = describe(name)
    if entry["embedded"]:
        return path(name)
    place = folder()
    target = place / entry["file"]
    if target.is_file() and sha256(target) == entry["sha256"]:
        return target
    if not entry["fetch"]:
        raise ValueError(
            f"{name} cannot be fetched: {entry['why']}. Make {entry['file']} (sha256 {entry['sha256']}) from "
            f"{entry['url']} by the steps of its description, and put it into {place}"
        )
    try:
        place.mkdir(parents=True, exist_ok=True)
        scratch = tempfile.TemporaryDirectory(dir=place, prefix=".fetch-")
    except OSError as error:
        raise OSError(
            f"{place} cannot be written ({error.strerror}); set BAYESCALE_DATA to a folder that can"
        ) from None
    with scratch as within:
        raw = _published(name, entry["raw"], Path(within), download)
        table = Path(within) / entry["file"]
        table.write_bytes(_tidy(name, entry, raw))
        os.replace(table, target)
    return target


def _published(name: str, source: dict[str, str], within: Path, download: Downloader | None) -> str:
    """The text of the published file, checked against its hash."""
    import pooch
    import requests

    url = source["url"]
    if not url.startswith("https://"):
        raise ValueError(f"{name}: {url} is no https address; nothing is fetched from it")
    logger = pooch.get_logger()
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        known = f"sha256:{source['sha256']}"
        get: Any = download or pooch.HTTPDownloader()
        file = pooch.retrieve(url, known, "published", within, downloader=get)
    except (requests.RequestException, OSError) as error:
        answer = getattr(error, "response", None)
        reason = type(error).__name__ if answer is None else f"HTTP {answer.status_code}"
        raise OSError(
            f"{name} could not be fetched from {url} ({reason}); look at the network, or make the table "
            "from that file elsewhere and put it into the folder that BAYESCALE_DATA names"
        ) from None
    except ValueError:
        raise ValueError(
            f"{name}: what {url} gave is not the published file: its sha256 is not {source['sha256']}; "
            "it was not kept"
        ) from None
    finally:
        logger.setLevel(level)
    return Path(file).read_bytes().decode("utf-8")


def _tidy(name: str, entry: dict[str, Any], raw: str) -> bytes:
    """The table made from the published text, checked against its hash."""
    from bayescale.data.convert import CONVERSIONS

    table = CONVERSIONS[entry["raw"]["convert"]](raw).encode()
    found = hashlib.sha256(table).hexdigest()
    if found != entry["sha256"]:
        raise ValueError(
            f"{name}: the published file gives a table with sha256 {found}, not {entry['sha256']}; "
            "it was not kept"
        )
    return table
