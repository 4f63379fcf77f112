"""Several trainings at a time, because one small network does not fill the cores."""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TypeVar

import jax

Job = TypeVar("Job")
Result = TypeVar("Result")
MOST_THREADS = 8


def in_threads(jobs: Sequence[Job], work: Callable[[Job, threading.Event], Result]) -> Iterator[tuple[Job, Result]]:
    """Jobs and their results as they come; after an error or Ctrl-C the others stop at their next evaluation.

    On an accelerator one job runs at a time.
    """
    stop = threading.Event()
    most = min(os.cpu_count() or 1, MOST_THREADS) if jax.default_backend() == "cpu" else 1
    with ThreadPoolExecutor(most) as pool:
        futures = {pool.submit(work, job, stop): job for job in jobs}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BaseException:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
