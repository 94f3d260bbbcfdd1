"""Blocks: what is a block, those in memory, and how they are computed here and by workers that may die."""

import multiprocessing
import os
import time
from concurrent.futures import CancelledError, Future, ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import pytest

from bayescale.blocks import Memory, compute
from bayescale.ledger import Ledger
from tests.studies import assert_complete, block, work


def work_until_five(numbers):
    if 5 in numbers:
        raise ZeroDivisionError("five")
    return work(numbers)


def work_and_die(numbers):
    if 5 in numbers:
        os._exit(1)
    return work(numbers)


# ---- What is kept


def test_memory():
    store, made = Memory(), block(0)
    compute(work, store, 5, together=3)
    assert_complete(store, 5)
    assert store.missing(7) == [5, 6]
    store.write(0, made)
    made["alpha"] = 0
    store.read(0)["alpha"] = 0
    assert store.read(0).tobytes() == block(0).tobytes()
    with pytest.raises(ValueError, match="block 6 is not there; it was not computed yet"):
        store.read(6)


@pytest.mark.parametrize("kept", [True, False])
def test_what_is_no_block_is_refused(tmp_path, kept):
    store = Ledger.open(tmp_path, {}, resume=False) if kept else Memory()
    text = np.zeros(1024, [("a", object)])
    for bad, said in {
        "list": ([1.0], "block 1 is list; a block is a structured array of numbers"),
        "plain": (np.zeros(1024), r"block 1 is float64, \(1024,\); a block is a structured array"),
        "objects": (text, r"a block is a structured array of numbers"),
        "short": (block(1)[:-1], r"block 1 is .*, \(1023,\); a block has 1024 records, \(1024,\)"),
        "deep": (block(1).reshape(2, 512), r"\(2, 512\); a block has 1024 records"),
    }.values():
        with pytest.raises(ValueError, match=said):
            store.write(1, bad)
    with pytest.raises(ValueError, match="the number of a block is -1; blocks are numbered from 0"):
        store.write(-1, block(1))
    store.write(0, block(0))
    with pytest.raises(ValueError, match=r"block 1 has the fields .*'alpha'.*; the other blocks have .*'ok'"):
        store.write(1, block(1)[["alpha"]])
    assert store.missing(2) == [1]
    if isinstance(store, Ledger):
        store.close()


# ---- Workers


@pytest.fixture(scope="module")
def pool():
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        yield pool


def test_what_work_raises_loses_nothing(tmp_path, pool):
    for executor in (None, pool):
        folder = tmp_path / str(executor is None)
        with Ledger.open(folder, {}, resume=False) as ledger:
            with pytest.raises(ZeroDivisionError, match="five"):
                compute(work_until_five, ledger, 8, executor=executor, in_flight=2)
            left = ledger.missing(8)
            assert 5 in left
            assert len({0, 1, 2, 3, 4} & set(left)) <= 1  # what was in flight together with 5
            compute(work, ledger, 8, executor=executor)
            assert_complete(ledger, 8)


@pytest.mark.parametrize("kept", [True, False])
def test_a_worker_that_dies(tmp_path, kept):
    store = Ledger.open(tmp_path, {}, resume=False) if kept else Memory()
    compute(work, store, 3)
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as dying:
        with pytest.raises(ChildProcessError, match="a worker died, often for want of memory") as caught:
            compute(work_and_die, store, 8, executor=dying, in_flight=1)
        assert type(caught.value) is ChildProcessError
        goes_on = r"the study may be resumed (resume=True, --resume)" if kept else "they are in memory only; "
        assert f"5 of 8 blocks are safe, and {goes_on}" in str(caught.value)
        with pytest.raises(
            ChildProcessError, match="5 of 8 blocks are safe"
        ):  # a pool that is broken already
            compute(work, store, 8, executor=dying)
    compute(work, store, 8)
    assert_complete(store, 8)
    if isinstance(store, Ledger):
        store.close()


class KilledWorker(Exception):  # noqa: N818
    """As Dask's is called."""


class ByHand(ThreadPoolExecutor):
    """Finishes a call when the next is submitted after it; the third ends with an error."""

    def __init__(self, error):
        super().__init__(1)
        self.error, self.futures, self.most = error, [], 0

    def submit(self, fn, /, *args, **kwargs):
        future = Future()
        self.futures.append(future)
        if len(self.futures) == 3:
            first, second, third = self.futures
            first.set_result(fn(*args))
            third.set_exception(self.error)
            assert not second.done()
        return future


@pytest.mark.parametrize("error", [KilledWorker("w"), CancelledError(), KeyboardInterrupt(), OSError("x")])
def test_errors_of_other_executors(error):
    """The call that finished with the failed one is kept, and what waits is cancelled."""
    store, executor = Memory(), ByHand(error)
    ours = isinstance(error, KilledWorker | CancelledError)
    with pytest.raises(ChildProcessError if ours else type(error)) as caught:
        compute(work, store, 9, executor=executor, in_flight=3)
    assert (caught.value.__cause__ if ours else caught.value) is error
    if not isinstance(error, KeyboardInterrupt):  # whoever interrupts does not wait
        assert store.missing(9) == list(range(1, 9))
    first, second, third, *more = executor.futures
    assert not first.cancelled()
    assert not third.cancelled()
    assert second.cancelled()
    assert not more


def test_an_interruption_while_a_block_is_kept():
    store, executor = Memory(), ThreadPoolExecutor(1)

    def interrupt(done, total):
        if done == 2:
            raise KeyboardInterrupt

    with executor, pytest.raises(KeyboardInterrupt):
        compute(work, store, 50, executor=executor, in_flight=9, report=interrupt)
    assert len(store.missing(50)) == 48


def test_no_more_in_flight_than_asked():
    running, most = set(), []

    class Counting(ThreadPoolExecutor):
        def submit(self, fn, /, *args, **kwargs):
            future = super().submit(fn, *args, **kwargs)
            running.add(future)
            most.append(len([f for f in running if not f.done()]))
            return future

    def slowly(numbers):
        assert len(numbers) <= 3
        time.sleep(0.002)
        return work(numbers)

    store = Memory()
    with Counting(2) as executor:
        compute(slowly, store, 40, executor=executor, together=3, in_flight=5)
    assert_complete(store, 40)
    assert len(running) == 14
    assert max(most) <= 5


@pytest.mark.parametrize("threads", [0, 1])
def test_work_has_to_give_each_block(threads):
    with (
        ThreadPoolExecutor(1) as executor,
        pytest.raises(ValueError, match=r"work gave 1 blocks for the numbers \(0, 1\); it has to give each"),
    ):
        compute(lambda n: work(n)[:1], Memory(), 4, together=2, executor=executor if threads else None)


def test_arguments_of_compute():
    for wrong in ({"together": 0}, {"in_flight": 0}):
        with pytest.raises(ValueError, match=r"together is \d and in_flight is \d; both are 1 or more"):
            compute(work, Memory(), 4, **wrong)


@pytest.mark.parametrize("threads", [False, True])
def test_where_memory_is_not_enough_halves_are_tried(threads):
    asked = []

    def scarce(numbers):
        asked.append(numbers)
        if len(numbers) > 2:
            raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 160 bytes")
        return [block(number) for number in numbers]

    store = Memory()
    with ThreadPoolExecutor(1) as pool:
        compute(scarce, store, 8, together=8, executor=pool if threads else None)
    assert asked == [tuple(range(8)), (0, 1, 2, 3), (0, 1), (2, 3), (4, 5, 6, 7), (4, 5), (6, 7)]
    assert all(store.read(n).tobytes() == block(n).tobytes() for n in range(8))


def test_what_is_too_much_for_one_block_is_an_error():
    def scarce(numbers):
        raise MemoryError("no memory")

    with pytest.raises(MemoryError):
        compute(scarce, Memory(), 4, together=4)
