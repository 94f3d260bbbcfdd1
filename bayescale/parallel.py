"""Devices and precision: the only file that knows of them."""

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, PartitionSpec

from bayescale import compiled

ON_ACCELERATOR = 16  # blocks at once on each accelerator, which takes hardly longer for them than for one


@contextlib.contextmanager
def workbench() -> Iterator[None]:
    """The bench on the processor, for the work of one fit.

    One fit of a table of runs is many small steps, and an accelerator would be slower at it; batches of fits are
    another matter.
    """
    with bench(), jax.default_device(jax.devices("cpu")[0]):
        yield


@contextlib.contextmanager
def bench() -> Iterator[None]:
    """Double precision, and compiled code kept between processes.

    What NumPy computes there overflows as silently as what JAX does; whoever needs finite numbers checks. The user's
    settings are left as they were.
    """
    random_bits = jax.threefry_partitionable(True)  # the same whatever the user's environment says
    with jax.enable_x64(True), random_bits, compiled.kept(), np.errstate(all="ignore"):
        yield


def accelerated() -> bool:
    """Whether what is computed here and now runs on an accelerator."""
    device = jax.config.jax_default_device or jax.local_devices()[0]
    return (device if isinstance(device, str) else device.platform) != "cpu"


def devices() -> int:
    """How many devices of this process share the work of a batch."""
    return jax.local_device_count()


def exhausted(error: Exception) -> bool:
    """Whether it says that memory, of the device or beside it, was not enough."""
    return isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error)


def cores() -> int:
    """How many cores this process has; by `NPROC`, which JAX reads as well, they may be fewer than the machine's."""
    every = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    said = os.environ.get("NPROC", "")
    return min(int(said) if said.isdecimal() and int(said) else every, every)


def together() -> int:
    """How many blocks of a batch are computed in one call."""
    return devices() * (ON_ACCELERATOR if accelerated() else 1)


def spread(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of some numbers and of what is shared, as one of the numbers of all devices.

    Each device does its share with the same compiled code, and stops when its own share is done, so that what comes
    out for a number does not depend on how many devices there are.

    Args:
        function: (numbers, *shared) -> a tree of arrays, each with the numbers in front.

    Returns:
        The same for a multiple of as many numbers as there are devices.
    """
    # With automatic axes a while loop on one device would wait for those on the others.
    mesh = jax.make_mesh((devices(),), ("devices",), axis_types=(AxisType.Auto,), devices=jax.local_devices())

    def of_all(numbers, *shared):
        specs = (PartitionSpec("devices"), *(PartitionSpec() for _ in shared))
        mapped = jax.shard_map(
            function, mesh=mesh, in_specs=specs, out_specs=PartitionSpec("devices"), check_vma=False
        )
        return mapped(numbers, *shared)

    return jax.jit(of_all)
