"""How far a sweep has come: a bar on a terminal, or a call for notebooks and programs."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import jax


class Progress(NamedTuple):
    """What a sweep has done so far; a point with several seeds counts once a seed."""

    done: int
    total: int
    seconds: float
    memory: int

    @property
    def rate(self) -> float:
        """Points a second."""
        return self.done / max(self.seconds, 1e-9)

    @property
    def seconds_left(self) -> float:
        return (self.total - self.done) / max(self.rate, 1e-9)


Report = Callable[[Progress], object]


@contextmanager
def reporting(progress: bool | Report, total: int, already: int) -> Iterator[Callable[[int], None]]:
    """A function to call with the number of points just done; ``already`` of the total came from a store."""
    if callable(progress):
        yield _counter(progress, total - already)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]:,.0f} points/s"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[memory]:.2f} GiB"),
    )
    with Bar(*columns, console=console, disable=not (progress and console.is_terminal), transient=True) as bar:
        task = bar.add_task("points", total=total, completed=already, rate=0.0, memory=memory_in_use() / 2**30)

        def show(now: Progress) -> None:
            bar.update(task, completed=already + now.done, rate=now.rate, memory=now.memory / 2**30)

        yield _counter(show, total - already)


def memory_in_use() -> int:
    """Bytes that the first device holds, or this process where the device is the CPU; 0 where nobody tells."""
    device = jax.local_devices()[0]
    if device.platform != "cpu":
        return int((device.memory_stats() or {}).get("bytes_in_use", 0))
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def _counter(report: Report, total: int) -> Callable[[int], None]:
    started, done = time.perf_counter(), 0

    def advance(points: int) -> None:
        nonlocal done
        done += points
        report(Progress(done, total, time.perf_counter() - started, memory_in_use()))

    return advance
