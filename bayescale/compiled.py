"""Compiled code, which is kept between processes."""

import contextlib
import functools
import importlib
import os
import time
import warnings
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
from jax.experimental.compilation_cache import compilation_cache

LOOKED = "looked"  # its time is that of the last look at what is kept
EARLIER = 10**9  # ns that clocks of files and of processes may be apart
NEVER = 1e9  # seconds of compilation, from which on its code is kept
ZSTD = b"\x28\xb5\x2f\xfd"  # what begins so is packed by it, where JAX finds it; all else by zlib


def folder() -> Path:
    """Where compiled code is kept: under `BAYESCALE_CACHE`, or else the user's cache folder."""
    import pooch

    return Path(os.environ.get("BAYESCALE_CACHE") or pooch.os_cache("bayescale")) / "jax"


@contextlib.contextmanager
def kept() -> Iterator[None]:
    """Code that is compiled is kept, in the folder of this package or where the user wants it."""
    place = str(folder())
    if jax.config.jax_compilation_cache_dir is not None:  # the user's own choice stands
        yield
        return
    writable = swept(place)
    if not os.path.isdir(place):
        yield
        return
    settings = {
        "jax_compilation_cache_dir": place,
        "jax_persistent_cache_min_compile_time_secs": 0.0 if writable else NEVER,
        "jax_persistent_cache_min_entry_size_bytes": 0,
    }
    before = {name: getattr(jax.config, name) for name in settings}
    try:
        for name, value in settings.items():
            jax.config.update(name, value)
        yield
    finally:
        for name, value in before.items():
            jax.config.update(name, value)
        compilation_cache.reset_cache()  # or what the user compiles next would be kept in our folder


@functools.cache  # once in a process
def swept(place: str) -> bool:
    """Whether the folder can be written; code of which only a part is there is removed from it.

    It is of a process that was killed or had no room on the disk. JAX writes an entry without a draft and replaces
    none: it would compile anew in every process, with a warning each time. What came since the last look is looked at.
    """
    with contextlib.suppress(OSError):
        Path(place).mkdir(parents=True, exist_ok=True)
    if not (os.path.isdir(place) and os.access(place, os.W_OK)):
        warnings.warn(
            f"compiled code is not kept, so that every start takes longer: {place} is no folder that can be "
            "written; set BAYESCALE_CACHE to one",
            stacklevel=2,
        )
        return False
    stamp, now = Path(place) / LOOKED, time.time_ns()
    since = 0
    with contextlib.suppress(OSError):  # never looked
        since = stamp.stat().st_mtime_ns
    for file in Path(place).glob("*-cache"):
        with contextlib.suppress(OSError):  # removed by another process, or another user's
            if file.stat().st_mtime_ns >= since and not _whole(file.read_bytes()):
                file.unlink()
    with contextlib.suppress(OSError):
        stamp.unlink(missing_ok=True)  # another user's can be removed, but not be given a time
        stamp.touch()
        os.utime(stamp, ns=(now - EARLIER, now - EARLIER))
    return True


def _whole(entry: bytes) -> bool:
    unpack = _unpacker() if entry.startswith(ZSTD) else zlib.decompress
    try:
        return unpack is None or bool(unpack(entry))
    except Exception:  # each library has errors of its own
        return False


@functools.cache
def _unpacker() -> Callable[[bytes], bytes] | None:
    """Of zstd, where it is installed; where it is not, JAX does not read such entries either."""
    for name in ("compression.zstd", "zstandard"):
        with contextlib.suppress(ImportError):
            return importlib.import_module(name).decompress
    return None
