"""Where a fit comes from: versions, device, seed."""

import importlib.metadata
from functools import cache
from typing import Any

import jax
from jax import Array

PACKAGES = ("bayescale", "jax", "jaxlib", "numpyro", "numpy")


def provenance(key: Array) -> dict[str, Any]:
    """The versions of what computed, the device it ran on, and the bits of the random key."""
    return {
        "versions": {name: version(name) for name in PACKAGES},
        "device": jax.devices("cpu")[0].device_kind,
        "key": jax.random.key_data(key).tolist(),
    }


@cache  # it is read from disk
def version(name: str) -> str:
    """The version of a package that is installed."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:  # run from a checkout that is not installed
        return "not installed"
