"""Any pure function of named numbers over a grid, as a labelled dataset."""

import math
import time
import warnings
from collections.abc import Callable
from dataclasses import is_dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

CPU_WORKING_SET = 5e6  # bytes: what stays in a core's cache while the batch is worked on
CHUNK_BATCHES = 16  # batches between two looks at the clock


def sweep(
    point: Callable[..., Any],
    *,
    key: jax.Array | None = None,
    seeds: int | None = None,
    batch_size: int | None = None,
    progress: bool = True,
    on_nonfinite: str = "warn",
    **axes: Any,
) -> xr.Dataset:
    """Evaluate ``point`` on the product of ``axes``, compiled once, in batches whose memory does not grow with the grid.

    Args:
        point: a pure function of the axes' names, made of JAX operations: ``point(n, width) -> Risk`` or any pytree of
            arrays of fixed shapes. With ``seeds`` it takes a key first: ``point(key, n, width)``.
        key: a ``jax.random.key`` from which the seeds are drawn; needed with ``seeds``.
        seeds: number of independent repetitions. All points of one seed share its key, so simulations share their
            random numbers: each point is exact in law and curves are smooth.
        batch_size: points worked on together; peak memory grows with it. By default as many as fit a CPU's cache or a
            64th of an accelerator's memory.
        progress: show a progress bar where the output is a terminal.
        on_nonfinite: "warn" or "raise" where results are NaN or infinite; they are kept either way.
        **axes: one sequence of numbers a name.

    Returns:
        ``xarray.Dataset`` with one dimension an axis in the order given, then ``seed``, then the leaves' own; one variable a
        leaf of the result, ``total`` of a :class:`~collapse_jax.Risk` included. Attributes say how it was made.

    Raises:
        ValueError: for an empty axis, one that is not a sequence of numbers, or seeds without a key.
        FloatingPointError: for a result that is not finite, with ``on_nonfinite="raise"``.

    Example:
        >>> import collapse_jax as cj
        >>> mixture = cj.real_and_synthetic(cj.spectra.power_law(20), 1.0, 0.1)
        >>> def point(n, synthetic_fraction):
        ...     return cj.theory.risk(mixture, cj.split(n, synthetic_fraction), ridge=0.1)
        >>> dataset = cj.sweep(point, n=[10, 100], synthetic_fraction=[0.0, 0.5, 1.0], progress=False)
        >>> dict(dataset.sizes), sorted(dataset.data_vars)
        ({'n': 2, 'synthetic_fraction': 3}, ['bias', 'collapse', 'total', 'variance'])
    """
    coordinates = {name: _axis(name, values) for name, values in axes.items()}
    keys = _keys(key, seeds)
    if on_nonfinite not in ("warn", "raise"):
        raise ValueError(f'on_nonfinite is {on_nonfinite!r}; it must be "warn" or "raise"')
    shape = tuple(len(values) for values in coordinates.values())
    points = math.prod(shape)
    evaluate = _evaluator(point, coordinates, shape)
    batch = _batch_size(evaluate, keys, points) if batch_size is None else int(batch_size)
    if batch < 1:
        raise ValueError(f"batch_size is {batch_size}; it must be at least 1")
    chunk = min(points, batch * CHUNK_BATCHES)
    started = time.perf_counter()
    compiled = _compile(evaluate, keys, batch, chunk)
    compiled_at = time.perf_counter()
    leaves, structure = _run(compiled, keys, points, chunk, progress)
    finished = time.perf_counter()
    dataset = _dataset(jax.tree.unflatten(structure, leaves), coordinates, shape, seeds)
    dataset.attrs |= _attributes(key, seeds, batch, compiled_at - started, finished - compiled_at)
    _report_nonfinite(dataset, on_nonfinite)
    return dataset


def mean_and_error(dataset: xr.Dataset) -> tuple[xr.Dataset, xr.Dataset]:
    """Mean over seeds and its standard error.

    Example:
        >>> dataset = xr.Dataset({"total": ("seed", [1.0, 3.0])})
        >>> mean, error = mean_and_error(dataset)
        >>> float(mean.total), float(error.total)
        (2.0, 1.0)
    """
    if "seed" not in dataset.dims:
        raise ValueError("dataset has no seed dimension; make one with sweep(..., key=, seeds=)")
    return dataset.mean("seed"), dataset.std("seed", ddof=1) / math.sqrt(dataset.sizes["seed"])


def _axis(name: str, values: Any) -> np.ndarray:
    array = np.asarray(values)
    if array.ndim != 1 or not array.size or not np.issubdtype(array.dtype, np.number):
        raise ValueError(f"axis {name} is {values!r}; it must be a sequence of at least one number")
    return array


def _keys(key: jax.Array | None, seeds: int | None) -> jax.Array | None:
    if seeds is None:
        if key is not None:
            raise ValueError("key is given without seeds; say how many repetitions, such as seeds=16")
        return None
    if key is None:
        raise ValueError(f"seeds is {seeds} without a key; pass key=jax.random.key(0)")
    if int(seeds) < 1:
        raise ValueError(f"seeds is {seeds}; it must be at least 1")
    return jax.random.split(key, int(seeds))


def _evaluator(point: Callable[..., Any], coordinates: dict[str, np.ndarray], shape: tuple[int, ...]):
    """A function of (key or None, flat index) that evaluates one point of the grid."""
    dtype = jnp.result_type(float)
    values = {name: jnp.asarray(array, dtype) for name, array in coordinates.items()}

    def evaluate(key: jax.Array | None, index: jax.Array) -> Any:
        positions = jnp.unravel_index(index, shape) if shape else ()
        numbers = {name: array[at] for (name, array), at in zip(values.items(), positions, strict=True)}
        result = point(**numbers) if key is None else point(key, **numbers)
        return jax.tree.map(jnp.asarray, result)

    return evaluate


def _compile(evaluate: Callable[..., Any], keys: jax.Array | None, batch: int, chunk: int) -> Any:
    def run(key: jax.Array | None, start: jax.Array, last: jax.Array) -> Any:
        # The last chunk runs past the grid; its surplus repeats the last point and is dropped.
        indices = jnp.minimum(start + jnp.arange(chunk), last)
        return jax.lax.map(lambda index: evaluate(key, index), indices, batch_size=min(batch, chunk))

    first = None if keys is None else keys[0]
    return jax.jit(run).lower(first, jnp.asarray(0), jnp.asarray(0)).compile()


def _run(
    compiled: Any, keys: jax.Array | None, points: int, chunk: int, progress: bool
) -> tuple[list[np.ndarray], Any]:
    """Leaves with axes (points, seeds, ...): every chunk of every seed, the next one running while the last is fetched."""
    repeats: list[Any] = [None] if keys is None else list(keys)
    jobs = [(seed, start) for seed in range(len(repeats)) for start in range(0, points, chunk)]
    leaves: list[np.ndarray] = []
    structure = None

    def collect(seed: int, start: int, result: Any) -> int:
        nonlocal structure
        arrays, structure = jax.tree.flatten(result)
        if not leaves:
            leaves.extend(np.empty((points, len(repeats), *a.shape[1:]), a.dtype) for a in arrays)
        size = min(chunk, points - start)
        for leaf, array in zip(leaves, arrays, strict=True):
            leaf[start : start + size, seed] = np.asarray(array)[:size]
        return size

    console = Console(stderr=True)
    with _bar(console, progress and console.is_terminal) as bar:
        task = bar.add_task("points", total=points * len(repeats))
        waiting = None
        for seed, start in jobs:
            result = compiled(repeats[seed], jnp.asarray(start), jnp.asarray(points - 1))
            if waiting is not None:
                bar.advance(task, collect(*waiting))
            waiting = (seed, start, result)
        if waiting is not None:
            bar.advance(task, collect(*waiting))
    return leaves, structure


def _bar(console: Console, shown: bool) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, TimeRemainingColumn(), console=console, disable=not shown, transient=True)


def _batch_size(evaluate: Callable[..., Any], keys: jax.Array | None, points: int) -> int:
    """As many points as keep the largest array of a batch within the working set."""
    probe = 7919  # a prime that no other axis is likely to have, so that batched arrays show
    key = None if keys is None else keys[0]
    indices = jax.ShapeDtypeStruct((probe,), jnp.asarray(0).dtype)
    jaxpr = jax.make_jaxpr(lambda i: jax.vmap(lambda index: evaluate(key, index))(i))(indices)
    largest = max(_batched_bytes(jaxpr.jaxpr, probe), 8)
    device = jax.devices()[0]
    budget = CPU_WORKING_SET
    if device.platform != "cpu":
        budget = (device.memory_stats() or {}).get("bytes_limit", 64 * CPU_WORKING_SET) / 64
    return max(1, min(points, int(budget / largest)))


def _batched_bytes(jaxpr: Any, probe: int) -> float:
    """Bytes a point of the largest array with a batch axis, inner programs included."""
    largest = 0.0
    for equation in jaxpr.eqns:
        for variable in equation.outvars:
            shape = getattr(variable.aval, "shape", ())
            if probe in shape:
                largest = max(largest, math.prod(shape) / probe * np.dtype(_storage(variable.aval.dtype)).itemsize)
        for inner in jax.tree.leaves(list(equation.params.values()), is_leaf=lambda x: hasattr(x, "eqns")):
            inner = getattr(inner, "jaxpr", inner)
            if hasattr(inner, "eqns"):
                largest = max(largest, _batched_bytes(inner, probe))
    return largest


def _storage(dtype: Any) -> Any:
    """The NumPy dtype that holds an array; random keys are two 32-bit words."""
    return np.uint64 if jnp.issubdtype(dtype, jax.dtypes.prng_key) else dtype


def _dataset(result: Any, coordinates: dict[str, np.ndarray], shape: tuple[int, ...], seeds: int | None) -> xr.Dataset:
    dims = (*coordinates, *(() if seeds is None else ("seed",)))
    variables = {}
    for name, leaf in _named(result).items():
        array = leaf.reshape((*shape, *leaf.shape[1 if seeds is not None else 2 :]))
        own = tuple(f"{name}_{axis}" for axis in range(array.ndim - len(dims)))
        variables[name] = ((*dims, *own), array)
    coords = {name: (name, values) for name, values in coordinates.items()}
    if seeds is not None:
        coords["seed"] = ("seed", np.arange(seeds))
    return xr.Dataset(variables, coords)


def _named(result: Any) -> dict[str, np.ndarray]:
    """Leaves by name, the array-valued properties of a result type included."""
    named = {}
    for path, leaf in jax.tree_util.tree_flatten_with_path(result)[0]:
        named["_".join(str(getattr(k, "name", getattr(k, "key", getattr(k, "idx", k)))) for k in path) or "value"] = (
            leaf
        )
    if is_dataclass(result):
        for name, member in vars(type(result)).items():
            if isinstance(member, property) and isinstance(value := getattr(result, name), np.ndarray):
                named[name] = value
    return named


def _attributes(key: Any, seeds: int | None, batch: int, compile_seconds: float, run_seconds: float) -> dict[str, Any]:
    from collapse_jax import __version__

    attributes = {
        "collapse_jax": __version__,
        "jax": jax.__version__,
        "device": jax.devices()[0].device_kind,
        "dtype": jnp.result_type(float).name,
        "batch_size": batch,
        "compile_seconds": round(compile_seconds, 3),
        "run_seconds": round(run_seconds, 3),
    }
    if key is not None:
        attributes |= {"key": " ".join(map(str, jax.random.key_data(key).ravel().tolist())), "seeds": seeds}
    return attributes


def _report_nonfinite(dataset: xr.Dataset, action: str) -> None:
    for name, variable in dataset.data_vars.items():
        if not np.issubdtype(variable.dtype, np.floating):
            continue
        wrong = np.argwhere(~np.isfinite(variable.values))
        if not len(wrong):
            continue
        where = ", ".join(
            f"{dim}={dataset[dim].values[at]:g}"
            for dim, at in zip(variable.dims, wrong[0], strict=True)
            if dim in dataset.coords
        )
        message = (
            f"{len(wrong)} of {variable.size} values of {name} are not finite, the first at {where or 'the only point'}"
        )
        if action == "raise":
            raise FloatingPointError(message)
        dataset.attrs["nonfinite"] = message
        warnings.warn(f"{message}. Evaluate that point outside the sweep to see why", RuntimeWarning, stacklevel=3)
        return
