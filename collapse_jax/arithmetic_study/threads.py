"""Several trainings at a time, because one small network does not fill the cores."""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any

import jax

from collapse_jax.parts import Arrays

MOST_THREADS = 8


def in_threads(jobs: Sequence[Any], work: Callable[[Any, threading.Event], Arrays]) -> Iterator[tuple[Any, Arrays]]:
    """Results as they come; after an error or Ctrl-C the others stop at their next evaluation.

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
