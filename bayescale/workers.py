"""Workers: processes of this machine, or those of a Dask cluster, that share the blocks of a study."""

import contextlib
import os
from collections.abc import Iterator
from concurrent.futures import Executor

AHEAD = 2  # calls that wait for each worker, so that none has to wait for us
PATIENCE = 10  # seconds until a scheduler that does not answer is given up


@contextlib.contextmanager
def of(processes: int | None, dask: str | None) -> Iterator[tuple[Executor | None, int]]:
    """An executor, or None for this process, and how many calls to give it at a time.

    Args:
        processes: how many processes of this machine.
        dask: the address of a Dask scheduler, as tcp://10.0.0.1:8786.

    Raises:
        ValueError: both are given, or Dask is not installed.
        OSError: the scheduler does not answer.
    """
    if processes and dask:
        raise ValueError("--workers and --dask contradict each other; give one of them")
    if dask:
        yield from _dask(dask)
    elif processes:
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor

        from bayescale import parallel

        own = max(1, parallel.cores() // processes)
        # A forked child of a process that has used JAX can hang.
        spawned = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(processes, spawned, initializer=_has_cores, initargs=(own,)) as pool:
            yield pool, AHEAD * processes
    else:
        yield None, AHEAD


def _has_cores(count: int) -> None:
    """Told to a worker before JAX begins: threads of every worker on every core would be in each other's way."""
    os.environ["NPROC"] = str(count)


def _dask(address: str) -> Iterator[tuple[Executor, int]]:
    try:
        from distributed import Client
    except ImportError:
        raise ValueError("Dask is not installed; pip install 'bayescale[cluster]'") from None
    try:
        client = Client(address, timeout=PATIENCE)
    except (OSError, TimeoutError) as error:
        raise OSError(f"no Dask scheduler answers at {address}; start one with `dask scheduler`") from error
    with client:
        # Not pure: a block that failed once is to be tried again.
        threads = sum(
            worker["nthreads"] for worker in client.scheduler_info(n_workers=-1)["workers"].values()
        )
        yield client.get_executor(pure=False), AHEAD * max(threads, 1)
