"""The progress bars of a terminal."""

import contextlib
import time
from collections.abc import Callable, Iterator

from bayescale.infer.nuts import Progress, Report


@contextlib.contextmanager
def bar() -> Iterator[Report]:
    """A bar that tells the chains, the draw, the divergences and the time left."""
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[said]}"))
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task("compiling", total=None, said="")

        def report(progress: Progress) -> None:
            warming = progress.iteration <= progress.warmup
            bars.update(
                task,
                description="warm-up" if warming else "sampling",
                total=progress.total,
                completed=progress.iteration,
                said=(
                    f"chains 1-{progress.chains}, draw {progress.iteration} of {progress.total}, "
                    f"{progress.divergences} divergences, {progress.seconds_left:.0f} s left"
                ),
            )

        yield report


@contextlib.contextmanager
def bar_of_blocks(size: int) -> Iterator[Callable[[int, int], None]]:
    """A bar that tells how many replicates there are, in blocks of a size, how fast they come and the time left."""
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[said]}"))
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task("replicates", total=None, said="compiling")
        begun: list[tuple[float, int]] = []

        def report(done: int, total: int) -> None:
            if len(begun) < 2:  # what was there before, and the first, which was compiled for
                begun.append((time.monotonic(), done))
            since, before = begun[-1]
            rate = (done - before) * size / max(time.monotonic() - since, 1e-9)
            left = f"{(total - done) * size / rate:.0f} s left" if rate > 0 else "compiling"
            said = f"{done * size:,} of {total * size:,}, {rate:,.0f} a second, {left}"
            bars.update(task, total=total, completed=done, said=said)

        yield report


@contextlib.contextmanager
def line() -> Iterator[Callable[[str], None]]:
    """A line that tells what is being done."""
    from rich.console import Console

    with Console(stderr=True).status("") as status:
        yield status.update
