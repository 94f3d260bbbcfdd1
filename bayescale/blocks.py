"""Blocks: a long study in numbered parts, each computed and kept by itself."""

import contextlib
import operator
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Executor, Future, wait
from itertools import islice
from typing import Any, Protocol

import numpy as np

from bayescale.parallel import exhausted

Work = Callable[[tuple[int, ...]], Sequence[np.ndarray]]
BLOCK = 1024  # records, where a study says nothing else


class Store(Protocol):
    """Where blocks are kept: `Memory`, or a folder by way of `bayescale.ledger.Ledger`."""

    def missing(self, count: int) -> list[int]:
        """Of the blocks 0 to count - 1 those that have to be computed."""
        ...

    def write(self, number: int, block: np.ndarray) -> None:
        """Keep a block."""
        ...

    def read(self, number: int) -> np.ndarray:
        """A block, (records,)."""
        ...


class Memory:
    """A study that is not kept: the blocks of a `Ledger`, without its folder."""

    def __init__(self, records: int = BLOCK):
        self._blocks: dict[int, np.ndarray] = {}
        self._records = records

    def missing(self, count: int) -> list[int]:
        """Of the blocks 0 to count - 1 those that are not there."""
        return [number for number in range(count) if number not in self._blocks]

    def write(self, number: int, block: np.ndarray) -> None:
        """Keep a copy of a block.

        Raises:
            ValueError: it is no block, or not of the same fields as the others.
        """
        natural(number)
        dtype = next((other.dtype for other in self._blocks.values()), None)
        self._blocks[number] = plain(block, number, dtype, self._records)

    def read(self, number: int) -> np.ndarray:
        """A copy of a block, (records,).

        Raises:
            ValueError: the block is not there.
        """
        if number not in self._blocks:
            raise ValueError(f"block {number} is not there; it was not computed yet")
        return self._blocks[number].copy()


def compute(
    work: Work,
    store: Store,
    count: int,
    *,
    executor: Executor | None = None,
    together: int = 1,
    in_flight: int = 4,
    report: Callable[[int, int], None] | None = None,
) -> None:
    """Compute those of the blocks 0 to count - 1 that are missing, and keep each as soon as it is there.

    Args:
        work: the blocks of some numbers, in their order. What a block holds depends on its number alone.
        store: where blocks are kept; only this process writes to it.
        count: how many blocks the study has.
        executor: where `work` runs, a process pool or Dask's `client.get_executor(pure=False)`, say; here if None.
        together: the most blocks of one call of `work`; where memory is not enough for them, halves are tried.
        in_flight: the most calls submitted and not finished.
        report: told how many blocks are there, and of how many: at the start and after each block.

    Raises:
        ValueError: `work` gave something else than the blocks asked for.
        ChildProcessError: a worker died, or the executor was shut down. Dask tries elsewhere first, a few times.
        OSError: a block cannot be kept.
        Exception: what `work` raises. Whatever the error, the blocks that were finished are kept.
    """
    if together < 1 or in_flight < 1:
        raise ValueError(f"together is {together} and in_flight is {in_flight}; both are 1 or more")
    todo = store.missing(count)
    calls = (tuple(todo[i : i + together]) for i in range(0, len(todo), together))
    done = count - len(todo)
    report = report or (lambda done, total: None)
    report(done, count)
    results = (
        ((n, _halved(work, n)) for n in calls)
        if executor is None
        else _spread(work, calls, executor, in_flight)
    )
    try:
        with contextlib.closing(results):
            for numbers, blocks in results:
                if len(blocks) != len(numbers):
                    raise ValueError(
                        f"work gave {len(blocks)} blocks for the numbers {numbers}; it has to give each"
                    )
                for number, block in zip(numbers, blocks, strict=True):
                    store.write(number, block)
                    done += 1
                    report(done, count)
    except Exception as error:
        if executor is None or not lost(error):
            raise
        goes_on = "the study may be resumed (resume=True, --resume)"
        if isinstance(store, Memory):
            goes_on = "they are in memory only; a study in a folder may be resumed"
        raise ChildProcessError(
            f"a worker died, often for want of memory, or the workers were shut down; {done} of {count} blocks are "
            f"safe, and {goes_on}"
        ) from error


def _halved(work: Work, numbers: tuple[int, ...]) -> list[np.ndarray]:
    """The blocks of these numbers, in halves where memory is not enough for all of them at once."""
    try:
        return list(work(numbers))
    except Exception as error:
        if not exhausted(error) or len(numbers) == 1:
            raise
    middle = len(numbers) // 2
    return _halved(work, numbers[:middle]) + _halved(work, numbers[middle:])


def lost(error: Exception) -> bool:
    """Whether it says that a worker died, or that there are no workers any more."""
    return (
        isinstance(error, BrokenExecutor | CancelledError) or type(error).__name__ == "KilledWorker"
    )  # Dask's


def _spread(work, calls, executor: Executor, in_flight: int) -> Generator[tuple[tuple[int, ...], Any]]:
    """Numbers and blocks of each call, as they finish; when this is closed, what waits is cancelled."""
    waiting: dict[Future, tuple[int, ...]] = {}
    failure = None
    try:
        while failure is None:
            for numbers in islice(calls, in_flight - len(waiting)):
                waiting[executor.submit(_halved, work, numbers)] = numbers
            if not waiting:
                return
            for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                numbers = waiting.pop(future)
                try:
                    blocks = future.result()
                except Exception as error:  # after those that finished with it
                    failure = failure or error
                else:
                    yield numbers, blocks
        raise failure
    finally:
        for future in waiting:
            future.cancel()


# ---- Blocks


def natural(number: int) -> None:
    """Refuse what cannot be the number of a block."""
    if operator.index(number) < 0:
        raise ValueError(f"the number of a block is {number}; blocks are numbered from 0")


def plain(block: Any, number: int, dtype: np.dtype | None, records: int = BLOCK) -> np.ndarray:
    """A copy of a block whose bytes follow from its values: fields side by side, numbers little-endian."""
    said = f"{block.dtype}, {block.shape}" if isinstance(block, np.ndarray) else type(block).__name__
    if not isinstance(block, np.ndarray) or block.dtype.names is None or block.dtype.hasobject:
        raise ValueError(f"block {number} is {said}; a block is a structured array of numbers")
    if block.shape != (records,):
        raise ValueError(f"block {number} is {said}; a block has {records} records, ({records},)")
    block = block.astype(_packed(block.dtype))
    if dtype is not None and block.dtype != dtype:
        raise ValueError(f"block {number} has the fields {block.dtype}; the other blocks have {dtype}")
    return block


def _packed(dtype: np.dtype) -> np.dtype:
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        return np.dtype((_packed(base), shape))
    if dtype.names is not None:
        return np.dtype([(name, _packed(dtype[name])) for name in dtype.names])
    return dtype.newbyteorder("<")
