"""The progress bar of a terminal."""

import contextlib
from collections.abc import Iterator

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
