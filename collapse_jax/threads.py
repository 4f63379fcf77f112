"""Several long computations at a time, because one small network does not fill the cores of a CPU."""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TypeVar

import jax

Job = TypeVar("Job")
Result = TypeVar("Result")
MOST = 8


def in_threads(jobs: Sequence[Job], work: Callable[[Job, threading.Event], Result]) -> Iterator[tuple[Job, Result]]:
    """Each job and its result as they come; on an accelerator one job runs at a time.

    Args:
        jobs: what is to be done.
        work: does one; it should :func:`heed` the event now and then, which is set after an error or Ctrl-C.

    Example:
        >>> sorted(in_threads([1, 2, 3], lambda job, stop: job**2))
        [(1, 1), (2, 4), (3, 9)]
    """
    stop = threading.Event()
    most = min(os.cpu_count() or 1, MOST) if jax.default_backend() == "cpu" else 1
    with ThreadPoolExecutor(most) as pool:
        futures = {pool.submit(work, job, stop): job for job in jobs}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BaseException:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def heed(stop: threading.Event) -> None:
    """Give up where the event is set.

    Raises:
        KeyboardInterrupt: then.
    """
    if stop.is_set():
        raise KeyboardInterrupt
