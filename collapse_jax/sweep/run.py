"""Any pure function of named numbers over a grid, as a labelled dataset."""

import math
import time
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jax
import numpy as np
import xarray as xr
from jax.experimental import multihost_utils
from jax.sharding import Mesh

from collapse_jax.sweep import identity as identities
from collapse_jax.sweep.axes import Grid, grid
from collapse_jax.sweep.cost import cost_of
from collapse_jax.sweep.layout import Layout, layout_of
from collapse_jax.sweep.nonfinite import Nonfinite
from collapse_jax.sweep.program import (
    CHUNK_BATCHES,
    USED,
    Program,
    Size,
    Work,
    compile_program,
    named_results,
    size_of,
    specimen,
)
from collapse_jax.sweep.progress import Report, reporting
from collapse_jax.sweep.refinement import more_points
from collapse_jax.sweep.store import PROGRESS, Memory, Store, Variable, stored


def sweep(
    point: Callable[..., Any],
    *,
    key: jax.Array | None = None,
    seeds: int | None = None,
    batch_size: int | None = None,
    mesh: Mesh | None = None,
    store: str | Path | None = None,
    part: tuple[int, int] | None = None,
    relative_error: float | Mapping[str, float] | None = None,
    refine: Mapping[str, int] | None = None,
    progress: bool | Report = True,
    on_nonfinite: str = "warn",
    **axes: Any,
) -> xr.Dataset:
    """Evaluate ``point`` on the product of ``axes``: compiled once, in batches whose memory does not grow with the grid.

    Args:
        point: a pure function of the axes' names, made of JAX operations: ``point(n, width) -> Risk`` or any pytree of
            arrays of fixed shapes. With ``seeds`` it takes a key first: ``point(key, n, width)``.
        key: a ``jax.random.key`` from which the seeds are drawn; needed with ``seeds``.
        seeds: number of independent repetitions. All points of one seed share its key, so simulations share their
            random numbers: each point is exact in law and curves are smooth.
        batch_size: points worked on together; peak memory grows with it. By default as many as fit a CPU's cache or a
            64th of an accelerator's memory.
        mesh: a ``jax.sharding.Mesh`` over whose devices the points are spread, such as
            ``jax.make_mesh((jax.device_count(),), ("points",))``. Under ``jax.distributed`` every process makes the same
            call; each gets the whole dataset.
        store: path of a zarr store to which results are written as they come. The same call goes on where a killed one
            stopped, and reads the dataset from there.
        part: (i, of) does only the i-th of ``of`` shares of the store, i from 0: for machines without a network. Shared
            or copied together, the stores of all shares are the whole one. Other points are NaN (integers 0).
        relative_error: stop the seeds of a point once the standard error of its mean is this part of the mean: of ``total``
            where the result has it, else of every variable; or by variable: ``{"collapse": 0.01}``. ``seeds`` is then
            the most that a point may use; ``seeds_used`` says how many it did, 8 or more, and the others are NaN.
        refine: ``{axis: points}`` adds points along one axis of numbers where the curves bend, until there are so many.
        progress: show a progress bar where the output is a terminal; or a function to call with a
            :class:`~collapse_jax.sweep.progress.Progress`.
        on_nonfinite: "warn" or "raise" where results are NaN or infinite; they are kept when warned of.
        **axes: one sequence a name: numbers (floats in ``point``), arrays or pytrees with a leading axis, lists of
            equal pytrees, or :func:`zipped` sequences that vary together.

    Returns:
        ``xarray.Dataset`` with one dimension an axis in the order given, then ``seed``, then the leaves' own; one variable a
        leaf of the result, ``total`` of a :class:`~collapse_jax.Risk` included. Attributes say how it was made.

    Raises:
        ValueError: for an axis that is empty or neither numbers nor pytrees, seeds without a key, settings that do not go
            together, or a store that another sweep made (the message says what differs).
        FloatingPointError: for a result that is not finite, with ``on_nonfinite="raise"``.
        OSError: for a store that cannot be written; what is finished is kept.

    Example:
        >>> import collapse_jax as cj
        >>> mixture = cj.real_and_synthetic(cj.spectra.power_law(20), 1.0, 0.1)
        >>> def point(n, synthetic_fraction):
        ...     return cj.theory.risk(mixture, cj.split(n, synthetic_fraction), ridge=0.1)
        >>> dataset = cj.sweep(point, n=[10, 100], synthetic_fraction=[0.0, 0.5, 1.0], progress=False)
        >>> dict(dataset.sizes), sorted(dataset.data_vars)
        ({'n': 2, 'synthetic_fraction': 3}, ['bias', 'collapse', 'total', 'variance'])
    """
    whole = grid(axes)
    keys = _keys(key, seeds)
    _check_settings(store, part, on_nonfinite)
    if refine:
        _check_refine(refine, store, whole)
    path = None if store is None else Path(store)
    if batch_size is not None and int(batch_size) < 1:
        raise ValueError(f"batch_size is {batch_size}; it must be at least 1")
    evaluate = jax.jit(named_results(point), inline=True)  # one trace for shapes, batch size, digest and program
    one_key = None if keys is None else keys[0]
    arguments = specimen(*_numbers_and_trees(whole))
    shapes = jax.eval_shape(lambda given: evaluate(one_key, given), arguments)
    _check_names(whole, shapes, path is not None)
    target = _target(relative_error, seeds, shapes)
    cost = cost_of(evaluate, one_key, arguments)
    begun = {} if path is None else stored(path)  # goes on as it began, on other devices too
    batch = int(batch_size or begun.get("batch_size") or cost.batch())
    repeats = 1 if keys is None else len(keys)
    most, largest = cost.chunk() if batch_size is None else 2 * [min(cost.chunk()[0], batch * CHUNK_BATCHES)]
    devices = 1 if mesh is None else mesh.size
    size = size_of(whole.shape, repeats, batch, most, largest, devices, target is not None)
    size = Size(*begun.get("chunk", size))
    made = identities.identity(point, whole, key, seeds, batch, target)
    sample = (*whole.arguments(np.zeros(1, int)), whole.trees)
    program = cache(lambda: compile_program(evaluate, sample, key, size, mesh, target))

    def over(points: Grid) -> xr.Dataset:
        layout = layout_of(points.shape, repeats, size.points, size.seeds)
        variables = _variables(points, shapes, seeds, target is not None)
        coordinates = {name: (axis.name, values) for axis in points.axes for name, values in axis.coordinates().items()}
        if seeds is not None:
            coordinates["seed"] = ("seed", np.arange(seeds))
        unusual = Nonfinite(points, seeds is not None, on_nonfinite)
        keeper: Memory | Store = Memory(layout, variables, coordinates)
        if path is not None:
            digests = identities.fingerprints(evaluate, arguments, one_key, whole)
            keeper = _open_store(path, layout, variables, coordinates, made | digests | {"chunk": list(size)})
        seconds = _run(program, points, layout, keys, keeper, part, unusual, progress)
        dataset = keeper.dataset()[list(variables)]
        dataset.attrs = made | {
            "compile_seconds": round(program().compile_seconds, 3) if program.cache_info().currsize else 0.0,
            "run_seconds": round(seconds, 3),
            **({"chunks": keeper.completeness()} if isinstance(keeper, Store) else {}),
            **unusual.report(),
        }
        return dataset

    dataset = over(whole)
    for axis, total in (refine or {}).items():
        dataset = _refined(over, axes, dataset, axis, total)
    return dataset


def _run(
    program: Callable[[], Program],
    points: Grid,
    layout: Layout,
    keys: jax.Array | None,
    keeper: Memory | Store,
    part: tuple[int, int] | None,
    unusual: Nonfinite,
    progress: bool | Report,
) -> float:
    """Work through the chunks that are missing, the next step running while the last is kept; seconds that it took."""
    todo = list(range(layout.chunks))[slice(None) if part is None else slice(part[0], None, part[1])]
    mine, already = todo, 0
    if isinstance(keeper, Store):
        finished = set(keeper.finished())
        mine = [chunk for chunk in todo if chunk not in finished]
        for chunk in sorted(set(todo) & finished):
            already += _entries(layout, chunk)
            unusual.look(keeper.read(chunk), layout.points(chunk), layout.seeds_of(chunk))
        if jax.process_count() > 1:
            multihost_utils.sync_global_devices("all processes know what is finished")
    elsewhere = set(mine)  # chunks that other processes do
    words = None if keys is None else np.asarray(jax.random.key_data(keys))
    if mine:
        program()  # compiles, before the clock starts
    started = time.perf_counter()

    def launch(chunks: list[int]) -> tuple[list[int], Any]:
        works = []
        for chunk in chunks:
            numbers, positions = points.arguments(np.asarray(layout.points(chunk)))
            seeds = layout.seeds_of(chunk)
            count = np.asarray(len(layout.points(chunk)), np.int32)
            works.append(Work(numbers, positions, None if words is None else words[seeds.start : seeds.stop], count))
        return chunks, program().run(works)

    def keep(chunks: list[int], results: dict[str, jax.Array]) -> int:
        for row, arrays in _rows(results, len(chunks), gather=isinstance(keeper, Memory)):
            chunk = chunks[row]
            inside = len(layout.points(chunk)), len(layout.seeds_of(chunk))
            arrays = {name: array[: inside[0], : inside[1]] for name, array in arrays.items()}
            unusual.look(arrays, layout.points(chunk), layout.seeds_of(chunk))
            keeper.write(chunk, arrays)
            elsewhere.discard(chunk)
        return sum(_entries(layout, chunk) for chunk in chunks)

    devices = program().devices if mine else 1
    with reporting(progress, sum(_entries(layout, chunk) for chunk in todo), already) as advance:
        waiting = None
        for start in range(0, len(mine), devices):
            if waiting is not None:  # two programs at once would take turns on a CPU's cores and in its cache
                jax.block_until_ready(waiting[1])
            launched = launch(mine[start : start + devices])
            if waiting is not None:
                advance(keep(*waiting))
            waiting = launched
        if waiting is not None:
            advance(keep(*waiting))
    if isinstance(keeper, Store) and jax.process_count() > 1:
        multihost_utils.sync_global_devices("all processes have written their chunks")
        for chunk in sorted(elsewhere):
            unusual.look(keeper.read(chunk), layout.points(chunk), layout.seeds_of(chunk))
    return time.perf_counter() - started


def _rows(results: dict[str, jax.Array], count: int, gather: bool) -> list[tuple[int, dict[str, np.ndarray]]]:
    """Each chunk's arrays by its row: of all processes when gathered, else of this process' devices."""
    if jax.process_count() == 1 or gather:
        if jax.process_count() > 1:
            results = multihost_utils.process_allgather(results, tiled=True)
        held = {name: np.asarray(array) for name, array in results.items()}
        return [(row, {name: array[row] for name, array in held.items()}) for row in range(count)]
    rows: dict[int, dict[str, np.ndarray]] = {}
    for name, array in results.items():
        for shard in array.addressable_shards:
            rows.setdefault(shard.index[0].start or 0, {})[name] = np.asarray(shard.data)[0]
    return [(row, arrays) for row, arrays in sorted(rows.items()) if row < count]


def _entries(layout: Layout, chunk: int) -> int:
    return len(layout.points(chunk)) * len(layout.seeds_of(chunk))


def _open_store(
    path: Path,
    layout: Layout,
    variables: dict[str, Variable],
    coordinates: dict[str, tuple[str, np.ndarray]],
    made: dict[str, Any],
) -> Store:
    """The store, made by the first process before the others open it."""
    try:
        if jax.process_index() == 0:
            return Store(path, layout, variables, coordinates, made)
    finally:  # where the first process fails, the others see why rather than wait
        if jax.process_count() > 1:
            multihost_utils.sync_global_devices("the store is there")
    return Store(path, layout, variables, coordinates, made)


def _refined(
    over: Callable[[Grid], xr.Dataset], axes: dict[str, Any], dataset: xr.Dataset, axis: str, total: int
) -> xr.Dataset:
    """The dataset with more points along one axis, evaluated by the program that is there."""
    dataset = dataset.sortby(axis)
    while (new := more_points(dataset, axis, total)).size:
        more = over(grid(axes | {axis: new}))
        attributes = _joined(dataset.attrs, more.attrs)
        dataset = xr.concat([dataset, more], axis, data_vars="minimal", join="exact", combine_attrs="override")
        dataset = dataset.sortby(axis).assign_attrs(attributes)
    return dataset.assign_attrs({"refined": f"{axis} to {dataset.sizes[axis]} points"})


def _joined(attributes: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """Attributes of a dataset and of points added to it: what was counted and timed of both."""
    sums = {name: attributes.get(name, 0) + more.get(name, 0) for name in ("run_seconds", "nonfinite_values")}
    told = [part["nonfinite"] for part in (attributes, more) if "nonfinite" in part]
    return (
        attributes
        | {"run_seconds": round(sums["run_seconds"], 3)}
        | ({"nonfinite": "; then ".join(told), "nonfinite_values": sums["nonfinite_values"]} if told else {})
    )


def _variables(
    points: Grid, shapes: dict[str, jax.ShapeDtypeStruct], seeds: int | None, target: bool
) -> dict[str, Variable]:
    dims = (*points.dims, *(() if seeds is None else ("seed",)))
    lead = (*points.shape, *(() if seeds is None else (seeds,)))
    made = {}
    for name, like in shapes.items():
        own = tuple(f"{name}_{axis}" for axis in range(len(like.shape)))
        made[name] = Variable((*dims, *own), (*lead, *like.shape), np.dtype(like.dtype))
    return made | ({USED: Variable(points.dims, points.shape, np.dtype(np.int32))} if target else {})


def _numbers_and_trees(points: Grid) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    return {name: values for axis in points.axes for name, values in axis.numbers.items()}, points.trees


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


def _target(relative_error: Any, seeds: int | None, shapes: Mapping[str, Any]) -> dict[str, float] | None:
    """The relative standard error asked of each variable."""
    if relative_error is None:
        return None
    if seeds is None:
        raise ValueError("relative_error is given without seeds; say how many a point may use, such as seeds=1000")
    if not isinstance(relative_error, Mapping):
        names = ["total"] if "total" in shapes else list(shapes)
        relative_error = dict.fromkeys(names, relative_error)
    for name, value in relative_error.items():
        if name not in shapes:
            raise ValueError(f"relative_error names {name!r}; point returns {', '.join(shapes)}")
        if not 0 < float(value) < math.inf:
            raise ValueError(f"relative_error of {name} is {value!r}; it must be a positive number, such as 0.01")
    return {name: float(value) for name, value in relative_error.items()}


def _check_settings(store: Any, part: Any, on_nonfinite: str) -> None:
    if on_nonfinite not in ("warn", "raise"):
        raise ValueError(f'on_nonfinite is {on_nonfinite!r}; it must be "warn" or "raise"')
    if part is not None:
        if store is None:
            raise ValueError(f"part is {part!r} without a store; pass store=, so that the shares come together")
        if len(np.atleast_1d(part)) != 2 or not 0 <= part[0] < part[1]:
            raise ValueError(
                f"part is {part!r}; it must be (i, of) with 0 <= i < of: the first of three shares is (0, 3)"
            )


def _check_refine(refine: Mapping[str, int], store: Any, points: Grid) -> None:
    if store is not None:
        raise ValueError("refine does not go with a store; refine first, then sweep the axis it found into the store")
    if len(refine) > 1:
        raise ValueError(f"refine names {', '.join(refine)}; it must name one axis")
    sizes = {
        axis.name: axis.size for axis in points.axes if [*axis.numbers, *axis.trees] == [*axis.numbers] == [axis.name]
    }
    for name, total in refine.items():
        if sizes.get(name, 0) < 3:
            raise ValueError(f"refine names {name!r}; it must be an axis of at least three numbers")
        if int(total) <= sizes[name]:
            raise ValueError(f"refine asks for {total} points of {name}, which has {sizes[name]}; ask for more")


def _check_names(points: Grid, shapes: Mapping[str, Any], stored: bool) -> None:
    taken = {name for axis in points.axes for name in axis.coordinates()} | {"seed", USED}
    clash = taken & set(shapes)
    if clash:
        raise ValueError(f"point returns {min(clash)}, which is also the name of an axis; rename one")
    for name in {*taken, *shapes} if stored else ():
        if name == PROGRESS or "/" in name:
            raise ValueError(f"{name} cannot be the name of an array in a store; rename it")
