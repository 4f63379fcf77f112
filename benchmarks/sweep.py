"""Points a second through ``sweep`` beside the bare batched kernel, and what a sweep costs besides: memory, store, devices.

python benchmarks/sweep.py [--size smoke]
"""

import itertools
import math
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from measure import alone, alternated, arguments, compiled, peak_memory, product_seconds, report
from theory import pass_seconds

import collapse_jax as cj
from collapse_jax.sweep import Progress

RIDGE = 1e-3
Axes = dict[str, Any]
Rows = list[list[Any]]


def problem(dim: int) -> cj.Mixture:
    spectrum = cj.spectra.power_law(dim)
    return cj.real_and_synthetic(spectrum, 1 / dim, 0.5 / dim / spectrum, 0.1, 0.1)


def theory_point(mixture: cj.Mixture) -> Callable[..., cj.Risk]:
    return lambda n, width, fraction: cj.theory.risk(mixture, cj.split(n, fraction), RIDGE, width)


def simulation_point(mixture: cj.Mixture) -> Callable[..., cj.Risk]:
    return lambda key, n, width, fraction: cj.simulate.risk(key, mixture, cj.split(n, fraction), RIDGE, width)


def grid(points: int) -> Axes:
    """About ``points`` points over n, width and fraction, as many along each."""
    side = round(points ** (1 / 3))
    return {
        "n": np.geomspace(30, 1e5, side),
        "width": np.geomspace(30, 1e4, side),
        "fraction": np.linspace(0, 1, round(points / side**2)),
    }


def seeded(seeds: int | None) -> dict[str, Any]:
    return {} if seeds is None else {"key": jax.random.key(0), "seeds": seeds}


def bare(point: Callable[..., cj.Risk], axes: Axes, seeds: int | None, batch: int) -> Callable[[], float]:
    """Seconds of ``jax.lax.map`` over all points at once, and over the seeds around it: the loop one would write in JAX."""
    columns = np.meshgrid(*axes.values(), indexing="ij")
    inputs = {name: jnp.asarray(column.ravel()) for name, column in zip(axes, columns, strict=True)}

    def results(*key: jax.Array) -> Any:
        def one(numbers: dict[str, jax.Array]) -> tuple[cj.Risk, jax.Array]:
            risk = point(*key, **numbers)
            return risk, risk.total

        return lambda given: jax.lax.map(one, given, batch_size=batch)

    if seeds is None:
        program, _ = compiled(results(), inputs)
        call = (inputs,)
    else:
        keys = jax.random.split(jax.random.key(0), seeds)
        program, _ = compiled(lambda k, given: jax.lax.map(lambda key: results(key)(given), k), keys, inputs)
        call = (keys, inputs)

    def measured() -> float:
        start = time.perf_counter()
        jax.block_until_ready(program(*call))
        return time.perf_counter() - start

    measured()
    return measured


def against_bare(point: Callable[..., cj.Risk], axes: Axes, seeds: int | None, repeats: int) -> dict[str, float]:
    """A sweep beside the bare kernel at its batch size: best times of each, called in turn."""
    points = math.prod(map(len, axes.values())) * (seeds or 1)
    whole: list[float] = []
    batches: list[int] = []
    ticks: list[Progress] = []

    def swept() -> float:
        ticks.clear()
        start = time.perf_counter()
        dataset = cj.sweep(point, progress=ticks.append, **seeded(seeds), **axes)
        whole.append(time.perf_counter() - start)
        batches.append(dataset.attrs["batch_size"])
        return dataset.attrs["run_seconds"]

    swept()
    times = alternated(repeats, bare=bare(point, axes, seeds, batches[0]), sweep=swept)
    chunks = np.diff([0.0, *(tick.seconds for tick in ticks)])
    pairs = [b / s for b, s in zip(times["bare"], times["sweep"], strict=True)]
    return {
        "points": points,
        "batch_size": batches[0],
        "points_per_second": points / min(times["sweep"]),
        "bare_points_per_second": points / min(times["bare"]),
        "ratio": min(times["bare"]) / min(times["sweep"]),
        "median_ratio_of_pairs": statistics.median(pairs),
        "whole_call_seconds": whole[0],
        "chunks": len(ticks),
        "chunk_seconds": statistics.median(chunks),
    }


def loop_rate(point: Callable[..., cj.Risk], axes: Axes, count: int) -> float:
    """Points a second of a Python loop that calls the compiled point."""
    points = list(itertools.islice(itertools.product(*axes.values()), count))
    program = jax.jit(lambda *numbers: point(*numbers).total)
    float(program(*points[0]))
    start = time.perf_counter()
    for numbers in points:
        float(program(*numbers))
    return len(points) / (time.perf_counter() - start)


def memory_of(dim: int, points: int) -> dict[str, float]:
    """Peak memory and seconds of a theory sweep; for a process of its own."""
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_enable_x64", True)
    mixture = problem(dim)
    jax.block_until_ready(mixture.spectra)
    before, start = peak_memory(), time.perf_counter()
    dataset = cj.sweep(theory_point(mixture), progress=False, **grid(points))
    return {
        "points": dataset["total"].size,
        "libraries_MiB": before,
        "peak_MiB": peak_memory(),
        "dataset_MiB": dataset.nbytes / 2**20,
        "run_seconds": dataset.attrs["run_seconds"],
        "whole_call_seconds": time.perf_counter() - start,
    }


def compile_once(cache: str) -> None:
    """Keep compiled programs in this folder, so that repeated measurements do not compile again."""
    jax.config.update("jax_compilation_cache_dir", cache)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)


def devices_of(
    devices: int, cache: str, theory: tuple[int, int], simulation: tuple[int, int, int], repeats: int
) -> dict[str, float]:
    """Points a second over so many CPU devices; for a process of its own."""
    compile_once(cache)
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", devices)
    jax.config.update("jax_enable_x64", True)
    mesh = jax.make_mesh((devices,), ("points",))
    rates = {}
    for name, point, (dim, points, *seeds) in (
        ("theory", theory_point, theory),
        ("simulation", simulation_point, simulation),
    ):
        made, axes = point(problem(dim)), grid(points)
        given = seeded(seeds[0] if seeds else None) | axes
        runs = [cj.sweep(made, mesh=mesh, progress=False, **given) for _ in range(repeats)]
        rates[name] = runs[0]["total"].size / min(run.attrs["run_seconds"] for run in runs)
    return rates


def store_costs(point: Callable[..., cj.Risk], axes: Axes, repeats: int) -> dict[str, float]:
    """The same sweep in memory and into a store, and a call that finds the store finished."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store"

        def swept(**more: Any) -> float:
            return cj.sweep(point, progress=False, **more, **axes).attrs["run_seconds"]

        def stored() -> float:
            shutil.rmtree(path, ignore_errors=True)
            return swept(store=path)

        def opened(load: bool = False) -> float:
            start = time.perf_counter()
            dataset = cj.sweep(point, progress=False, store=path, **axes)
            if load:
                dataset.load()
            return time.perf_counter() - start

        times = alternated(repeats, memory=swept, store=stored)
        times |= alternated(repeats, opened=opened, loaded=lambda: opened(load=True))
        dataset = cj.sweep(point, progress=False, store=path, **axes)
        results = sum(variable.nbytes for variable in dataset.data_vars.values())
        files = [file.stat().st_size for file in path.rglob("*") if file.is_file()]
    memory, store, opening, loading = (min(times[name]) for name in ("memory", "store", "opened", "loaded"))
    return {
        "memory_seconds": memory,
        "store_seconds": store,
        "overhead_percent": 100 * (store / memory - 1),
        "bytes": sum(files),
        "bytes_of_results": results,
        "files": len(files),
        "open_seconds": opening,
        "open_and_load_seconds": loading,
    }


def accelerator(full: bool) -> dict[str, Any]:
    """The grids on an accelerator in both precisions, in units of its own products, and the largest grid it took."""
    dim, simulated, many = (256, 64, 10**6) if full else (32, 4, 10**4)
    results: dict[str, Any] = {}
    for dtype in ("float32", "float64"):
        jax.config.update("jax_enable_x64", dtype == "float64")
        product = product_seconds(dim, 256)
        card = 2 * 4096**3 / product_seconds(4096) / 1e12
        theory = against_bare(theory_point(problem(600)), grid(many), None, 3)
        simulation = against_bare(simulation_point(problem(dim)), grid(1000), simulated, 3)
        simulation["products"] = 1 / simulation["points_per_second"] / product
        results[dtype] = {
            "product_tflops": card,
            "batched_product_tflops": 2 * dim**3 / product / 1e12,
            "theory": theory,
            "simulation": simulation,
        }
    point, points, seconds = theory_point(problem(600)), many, 0.0
    while seconds < 60:
        start = time.perf_counter()
        size = cj.sweep(point, progress=False, **grid(points))["total"].size
        seconds = time.perf_counter() - start
        used = (jax.local_devices()[0].memory_stats() or {}).get("peak_bytes_in_use", 0) / 2**20
        results["largest grid"] = {"points": size, "whole_call_seconds": seconds, "peak_MiB_of_device": used}
        if not full:
            break
        points *= 10
    return results


def main() -> None:
    options = arguments(__doc__ or "")
    full = options.size == "full"
    with tempfile.TemporaryDirectory() as cache:
        compile_once(cache)
        rows, results = measured(full, cache)
    report("sweep", ["sweep, float64", "", ""], rows, results)


def measured(full: bool, cache: str) -> tuple[Rows, dict[str, Any]]:
    """Rows of the table, and all numbers."""
    dim, simulated_dim = (600, 256) if full else (60, 16)
    theory, axes = theory_point(problem(dim)), grid(10**6 if full else 8_000)
    simulation, few_axes = simulation_point(problem(simulated_dim)), grid(280 if full else 27)
    seeds, repeats = (4, 5) if full else (2, 1)
    rows: Rows = []
    results: dict[str, Any] = {}

    limits = {
        "theory": ("passes", pass_seconds(300_000 if full else 4_096, 1024)),
        "simulation": ("products", product_seconds(simulated_dim)),
    }
    for name, point, at, repeated in (("theory", theory, axes, None), ("simulation", simulation, few_axes, seeds)):
        found = against_bare(point, at, repeated, repeats)
        unit, each = limits[name]
        results[name] = found | {unit: 1 / found["points_per_second"] / each}
        size = f"{found['points']:,} points, batch {found['batch_size']:,}"
        rows += [
            [f"{name}, d = {(dim, simulated_dim)[repeated is not None]}: {size}", "", ""],
            ["  sweep, points / s", found["points_per_second"], f"{100 * found['ratio']:.0f}% of the bare kernel"],
            ["  bare kernel, points / s", found["bare_points_per_second"], ""],
            ["  one sweep with tracing and compiling, s", found["whole_call_seconds"], ""],
            ["  seconds a chunk", found["chunk_seconds"], f"{found['chunks']} chunks"],
            [f"  {unit} a point", results[name][unit], f"{1e6 * each:.3g} us each"],
        ]
    speed = loop_rate(theory, axes, 1000 if full else 100)
    ratio = results["theory"]["points_per_second"] / speed
    results["loop"] = {"points_per_second": speed, "ratio": ratio}
    rows.append(["theory, Python loop over jitted points, points / s", speed, f"sweep is {ratio:,.0f} times faster"])

    results["memory"] = []
    for points in (10**4, 10**5, 10**6) if full else (1_000, 8_000):
        found = alone(memory_of, dim, points)
        results["memory"].append(found)
        over = found["peak_MiB"] - found["libraries_MiB"]
        seconds = f"run {found['run_seconds']:.3g} s, whole call {found['whole_call_seconds']:.3g} s"
        text = f"peak {found['peak_MiB']:,.0f} MiB, results {found['dataset_MiB']:.1f} MiB; {seconds}"
        rows.append([f"memory, {found['points']:,} points: MiB over the libraries' own", over, text])

    found = results["store"] = store_costs(theory, axes, max(1, repeats - 2))
    text = f"{found['memory_seconds']:.3g} s in memory, {found['store_seconds']:.3g} s into the store"
    rows.append(["store: % more time", found["overhead_percent"], text])
    text = f"{found['files']} files for {found['bytes_of_results'] / 2**20:.1f} MiB of results"
    rows.append(["store: MiB on disk", found["bytes"] / 2**20, text])
    text = f"{found['open_and_load_seconds']:.3g} s with all results read"
    rows.append(["store: s to open it once finished", found["open_seconds"], text])

    sizes = ((dim, 10**6 if full else 8_000), (simulated_dim, 280 if full else 27, seeds), max(1, repeats - 2))
    one, two = results["devices"] = [alone(devices_of, devices, cache, *sizes) for devices in (1, 2)]
    for name in ("theory", "simulation"):
        text = f"{two[name] / one[name]:.2f} times one device ({one[name]:,.4g})"
        rows.append([f"{name} over 2 CPU devices, points / s", two[name], text])

    if jax.default_backend() != "cpu":
        results["accelerator"] = accelerator(full)
        for dtype in ("float32", "float64"):
            found = results["accelerator"][dtype]
            text = f"one product runs at {found['product_tflops']:.3g} TFLOP/s"
            rows.append([f"{dtype}: theory, points / s", found["theory"]["points_per_second"], text])
            text = f"{found['simulation']['products']:.3g} products a point"
            rows.append([f"{dtype}: simulation, points / s", found["simulation"]["points_per_second"], text])
        found = results["accelerator"]["largest grid"]
        text = f"points in {found['whole_call_seconds']:.3g} s, {found['peak_MiB_of_device']:,.0f} MiB of the device"
        rows.append(["largest grid", float(found["points"]), text])
    return rows, results


if __name__ == "__main__":
    main()
