"""What the benchmarks share: fair timing, the machine's own limits, a table and one JSON line."""

import argparse
import json
import multiprocessing
import platform
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console
from rich.table import Table


def arguments(description: str) -> argparse.Namespace:
    """Command line of a benchmark; float64 is turned on."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--size", choices=("smoke", "full"), default="full", help="smoke: seconds, for a quick look")
    jax.config.update("jax_enable_x64", True)
    return parser.parse_args()


def seconds(function: Callable[[], Any], repeats: int = 5) -> float:
    """Median time of a call, after one that is not counted; waits for the device."""
    jax.block_until_ready(function())
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        jax.block_until_ready(function())
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def compiled(function: Callable[..., Any], *inputs: Any) -> tuple[Callable[..., Any], float]:
    """The compiled function and the seconds that tracing and compiling took."""
    start = time.perf_counter()
    program = jax.jit(function).lower(*inputs).compile()
    return program, time.perf_counter() - start


def alternated(repeats: int, **measured: Callable[[], float]) -> dict[str, list[float]]:
    """What each function measures, one after the other and again, so that a slow minute of the machine hits all alike."""
    found: dict[str, list[float]] = {name: [] for name in measured}
    for _ in range(repeats):
        for name, measure in measured.items():
            found[name].append(measure())
    return found


def quicker(measure: Callable[[], Any]) -> Any:
    """The lesser of what a baseline measures with its library's threads and with one.

    Waiting threads of NumPy's BLAS and JAX's own take turns on the cores, so that one thread can be the faster by far.
    """
    from threadpoolctl import threadpool_limits

    found = []
    for threads in (None, 1):
        with threadpool_limits(threads):
            found.append(measure())
    return min(found)


def alone(function: Callable[..., Any], *inputs: Any) -> Any:
    """What ``function`` returns in a process of its own, whose memory and devices are its own."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *inputs).result()


def peak_memory() -> float:
    """MiB of memory that this process held at most; nan where nobody tells."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) / 2**10 for line in lines if line.startswith("VmHWM:")), float("nan"))


def product_seconds(dim: int, together: int = 1) -> float:
    """Best time of one (dim, dim) matrix product in the default precision: the limit of anything made of products.

    Of ``together`` products at once, for accelerators, which one small product does not fill.
    """
    shape = (dim, dim) if together == 1 else (together, dim, dim)
    matrix = jnp.asarray(np.random.default_rng(0).normal(size=shape))
    multiply = jax.jit(lambda a: jnp.matmul(a, a, precision="highest"))
    jax.block_until_ready(multiply(matrix))
    times = []
    for _ in range(30):
        start = time.perf_counter()
        jax.block_until_ready(multiply(matrix))
        times.append(time.perf_counter() - start)
    return min(times) / together


def report(title: str, columns: list[str], rows: list[list[Any]], results: dict[str, Any]) -> None:
    """Print the table, the machine, and the results as one JSON line last."""
    table = Table(*columns, title=title)
    for row in rows:
        table.add_row(*(f"{cell:,.4g}" if isinstance(cell, float) else str(cell) for cell in row))
    Console(width=140).print(table)
    machine = {
        "device": jax.devices()[0].device_kind,
        "platform": jax.devices()[0].platform,
        "python": platform.python_version(),
        "jax": jax.__version__,
        "numpy": np.__version__,
    }
    print(json.dumps({"benchmark": title, **results, "machine": machine}))
