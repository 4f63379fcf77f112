"""What the benchmarks share: fair timing, the machine's own limits, a table and one JSON line."""

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
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


def product_seconds(dim: int) -> float:
    """Best time of one (dim, dim) matrix product in float64: the limit of anything made of products."""
    matrix = jnp.asarray(np.random.default_rng(0).normal(size=(dim, dim)))
    multiply = jax.jit(lambda a: jnp.matmul(a, a, precision="highest"))
    jax.block_until_ready(multiply(matrix))
    times = []
    for _ in range(30):
        start = time.perf_counter()
        jax.block_until_ready(multiply(matrix))
        times.append(time.perf_counter() - start)
    return min(times)


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
