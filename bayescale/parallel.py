"""Devices, precision and compiled code: the only file that knows of them."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
from jax.experimental.compilation_cache import compilation_cache


@contextlib.contextmanager
def workbench() -> Iterator[None]:
    """Double precision, the processor, and compiled code kept between processes, for the work of one fit.

    What NumPy computes there overflows as silently as what JAX does; whoever needs finite numbers checks.

    The user's settings are left as they were. One fit of a table of runs is many small steps, and an
    accelerator would be slower at it; batches of fits are another matter.
    """
    cpu = jax.default_device(jax.devices("cpu")[0])
    with jax.enable_x64(True), cpu, _compilations_kept(), np.errstate(all="ignore"):
        yield


def cache_folder() -> Path:
    """Where compiled code is kept: under `BAYESCALE_CACHE`, or else the user's cache folder."""
    import pooch

    return Path(os.environ.get("BAYESCALE_CACHE") or pooch.os_cache("bayescale")) / "jax"


@contextlib.contextmanager
def _compilations_kept() -> Iterator[None]:
    if jax.config.jax_compilation_cache_dir is not None:  # the user's own choice stands
        yield
        return
    settings = {
        "jax_compilation_cache_dir": str(cache_folder()),
        "jax_persistent_cache_min_compile_time_secs": 0.0,
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
