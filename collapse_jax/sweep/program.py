"""One compiled program that works through any chunk of a sweep, on one device or on each device of a mesh.

What changes from chunk to chunk are arguments, so that a sweep compiles once whatever its axes. Inside, batches of points are
evaluated by ``vmap`` in a loop whose length is the number of points left to do.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from collapse_jax.sweep.layout import layout_of

CHUNK_BATCHES = 16
NEAR = (1, 1.25, 1.5, 2, 0.75, 0.5)  # sizes of a chunk that are tried, the wanted one first
FEWEST_SEEDS = 8  # before a standard error is trusted to stop a point
USED = "seeds_used"


class Size(NamedTuple):
    """Static sizes of a chunk: its points and seeds, and how many of each are worked on together."""

    points: int
    batch: int
    seeds: int
    together: int


class Work(NamedTuple):
    """What one chunk works on; for the program, with a leading axis of devices."""

    numbers: dict[str, Any]  # (points,) each
    positions: dict[str, Any]  # (points,) each, along the axes of pytrees
    keys: Any  # (seeds, words) key data, or None
    count: Any  # () points that count; the rest is padding


class Program(NamedTuple):
    """A compiled chunk: ``run`` takes one Work a device and returns arrays (devices, points, seeds, ...) by name."""

    run: Callable[[list[Work]], dict[str, jax.Array]]
    size: Size
    devices: int
    compile_seconds: float


def named_results(point: Callable[..., Any]) -> Callable[..., dict[str, jax.Array]]:
    """``point`` with its result as arrays by name: the leaves of the pytree, and its properties such as ``Risk.total``."""

    def evaluate(key: jax.Array | None, arguments: Mapping[str, Any]) -> dict[str, jax.Array]:
        result = point(**arguments) if key is None else point(key, **arguments)
        named: dict[str, jax.Array] = {}
        leaves = jax.tree_util.tree_flatten_with_path(result)[0]
        for path, leaf in leaves:
            parts = (str(getattr(k, "name", getattr(k, "key", getattr(k, "idx", k)))) for k in path)
            name = "_".join(parts) or "value"
            if name in named:
                raise ValueError(f"point returns two leaves that are both called {name}; rename one")
            named[name] = jnp.asarray(leaf)
        if is_dataclass(result):
            for name, member in vars(type(result)).items():
                if isinstance(member, property) and isinstance(value := getattr(result, name), jax.Array):
                    named[name] = value
        if not named:
            raise ValueError(f"point returned {result!r}; it must return at least one array")
        return named

    return evaluate


def specimen(numbers: dict[str, np.ndarray], trees: dict[str, Any]) -> dict[str, Any]:
    """Shapes and dtypes of one point's arguments."""
    dtype = jnp.result_type(float)
    values = {name: jax.ShapeDtypeStruct((), dtype) for name in numbers}
    return values | jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), trees)


def size_of(
    shape: tuple[int, ...], seeds: int, batch: int, most: int, largest: int, devices: int, target: bool
) -> Size:
    """Sizes of a chunk that keep every device busy and lose little when one is lost.

    About ``most`` points, at most ``largest``, so that chunks of a grid of this shape are filled with few rows of padding.
    """
    together = min(seeds, FEWEST_SEEDS) if target else 1
    batch, most, largest = (max(1, number // together) for number in (batch, most, largest))
    share = -(-math.prod(shape) // devices)
    choices = [max(1, min(int(factor * most), largest, share)) for factor in NEAR]
    chunk = math.prod(layout_of(shape, 1, min(choices, key=lambda points: _rows_of(shape, points, batch)), 1).block)
    even = _evenly(chunk, batch)
    if target:
        return Size(chunk, even, seeds, together)
    # Few points leave room in a chunk, and in a batch, for several seeds.
    room = min(seeds, max(1, min(most, largest) // chunk))
    return Size(chunk, even, room, min(room, max(1, min(batch, most // CHUNK_BATCHES) // chunk)))


def _evenly(points: int, most: int) -> int:
    """The size of as many batches as are needed, all alike."""
    return -(-points // -(-points // most))


def _rows_of(shape: tuple[int, ...], points: int, batch: int) -> int:
    """Rows that all chunks of a grid evaluate, padding included."""
    layout = layout_of(shape, 1, points, 1)
    even = _evenly(math.prod(layout.block), batch)
    filled = np.ones((), np.int64)
    for size, block in zip(shape, layout.block, strict=True):
        filled = np.multiply.outer(filled, np.diff(np.append(np.arange(0, size, block), size)))
    return int((-(-filled // even)).sum()) * even


def compile_program(
    evaluate: Callable[..., dict[str, jax.Array]],
    arguments: tuple[dict[str, np.ndarray], dict[str, np.ndarray], dict[str, Any]],
    key: jax.Array | None,
    size: Size,
    mesh: Mesh | None,
    target: Mapping[str, float] | None,
) -> Program:
    """The program for chunks of this size, with ``arguments`` (numbers, positions, pytrees) as specimens."""
    numbers, positions, trees = arguments
    dtype = jnp.result_type(float)
    devices = 1 if mesh is None else mesh.size
    impl = None if key is None else str(jax.random.key_impl(key))
    words = None if key is None else np.zeros((size.seeds, *jax.random.key_data(key).shape), np.uint32)
    blank = Work(
        {name: np.zeros(size.points, dtype) for name in numbers},
        {name: np.zeros(size.points, np.int32) for name in positions},
        words,
        np.zeros((), np.int32),
    )
    local = partial(_chunk, evaluate, size, impl, target)

    def on_each(trees: dict[str, Any], work: Work) -> dict[str, jax.Array]:
        one = local(trees, jax.tree.map(lambda leaf: leaf[0], work))
        return jax.tree.map(lambda leaf: leaf[None], one)

    started = time.perf_counter()
    if mesh is None:
        place = partial(jax.tree.map, jnp.asarray)
        program = jax.jit(on_each)
    else:
        spread, whole = PartitionSpec(mesh.axis_names), PartitionSpec()
        program = jax.jit(
            jax.shard_map(on_each, mesh=mesh, in_specs=(whole, spread), out_specs=spread, check_vma=False)
        )
        place = partial(_place, NamedSharding(mesh, spread))
        trees = _place(NamedSharding(mesh, whole), jax.tree.map(_host, trees)) if trees else trees

    stacked = jax.tree.map(lambda leaf: np.broadcast_to(leaf, (devices, *leaf.shape)), blank)
    compiled = program.lower(trees, place(stacked)).compile()

    def run(works: list[Work]) -> dict[str, jax.Array]:
        works = works + [works[-1]._replace(count=np.zeros((), np.int32))] * (devices - len(works))
        padded = [jax.tree.map(_padded, work, blank) for work in works]
        return compiled(trees, place(jax.tree.map(lambda *leaves: np.stack(leaves), *padded)))

    return Program(run, size, devices, time.perf_counter() - started)


def _chunk(
    evaluate: Callable[..., dict[str, jax.Array]],
    size: Size,
    impl: str | None,
    target: Mapping[str, float] | None,
    trees: dict[str, Any],
    work: Work,
) -> dict[str, jax.Array]:
    """Results (points, seeds, ...) of one chunk: group after group of seeds, for the points that still need them."""
    rows = -(-size.points // size.batch) * size.batch
    groups = -(-size.seeds // size.together)
    keys = None if work.keys is None else jax.random.wrap_key_data(_tiled(work.keys, groups * size.together), impl=impl)

    def at(key: jax.Array | None, numbers: dict[str, jax.Array], positions: dict[str, jax.Array]) -> Any:
        chosen = {name: jax.tree.map(lambda leaf, i=i: leaf[i], trees[name]) for name, i in positions.items()}
        return evaluate(key, numbers | chosen)

    over_points = jax.vmap(at, (None, 0, 0), axis_size=size.batch)

    def batch_of(first: jax.Array, chosen: jax.Array) -> dict[str, jax.Array]:
        """Results (batch, together, ...) of these rows for the seeds from ``first`` on."""
        numbers, positions = jax.tree.map(lambda leaf: leaf[chosen], (work.numbers, work.positions))
        if keys is None:
            return jax.tree.map(lambda leaf: leaf[:, None], over_points(None, numbers, positions))
        if size.together == 1:
            return jax.tree.map(lambda leaf: leaf[:, None], over_points(keys[first], numbers, positions))
        group = jax.lax.dynamic_slice_in_dim(keys, first, size.together)
        return jax.vmap(over_points, (0, None, None), out_axes=1)(group, numbers, positions)

    shapes = jax.eval_shape(batch_of, jnp.zeros((), jnp.int32), jnp.zeros(size.batch, jnp.int32))
    results = {
        name: jnp.full((rows, groups * size.together, *shape.shape[2:]), _blank(shape.dtype), shape.dtype)
        for name, shape in shapes.items()
    }

    def work_through(first: jax.Array, order: jax.Array, active: jax.Array, results: dict[str, jax.Array]):
        def one_batch(b: jax.Array, results: dict[str, jax.Array]) -> dict[str, jax.Array]:
            chosen = jax.lax.dynamic_slice_in_dim(order, b * size.batch, size.batch)
            found = batch_of(first, jnp.minimum(chosen, size.points - 1))
            if target is None:
                return {
                    name: jax.lax.dynamic_update_slice(
                        leaf, found[name], (b * size.batch, first, *[jnp.int32(0)] * (leaf.ndim - 2))
                    )
                    for name, leaf in results.items()
                }
            # Rows that need no more seeds fill up the last batch; what they got there is dropped.
            kept = jnp.where(b * size.batch + jnp.arange(size.batch) < active, chosen, rows)
            columns = first + jnp.arange(size.together)
            return {
                name: leaf.at[kept[:, None], columns[None, :]].set(found[name], mode="drop")
                for name, leaf in results.items()
            }

        return jax.lax.fori_loop(0, -(-active // size.batch), one_batch, results)

    if target is None:

        def all_points(group: jax.Array, results: dict[str, jax.Array]) -> dict[str, jax.Array]:
            return work_through(group * size.together, jnp.arange(rows), work.count, results)

        results = jax.lax.fori_loop(0, jnp.int32(groups), all_points, results)
        return {name: leaf[: size.points, : size.seeds] for name, leaf in results.items()}

    def going(state: Any) -> jax.Array:
        return (state[0] < size.seeds) & (state[1] > 0).any()

    def more_seeds(state: Any) -> Any:
        first, waiting, used, results = state
        order = jnp.argsort(waiting == 0, stable=True)
        results = work_through(first, order, waiting.sum(), results)
        last = first + size.together
        used = jnp.where(waiting > 0, jnp.minimum(last, size.seeds), used)
        return last, waiting * ~_settled(results, last, target), used, results

    zero = jnp.zeros((), jnp.int32)
    waiting = (jnp.arange(rows) < work.count).astype(jnp.int32)
    _, _, used, results = jax.lax.while_loop(going, more_seeds, (zero, waiting, jnp.zeros_like(waiting), results))
    results = {name: leaf[: size.points, : size.seeds] for name, leaf in results.items()}
    return results | {USED: used[: size.points, None]}


def _settled(results: dict[str, jax.Array], seeds: jax.Array, target: Mapping[str, float]) -> jax.Array:
    """Rows whose every targeted mean over the first ``seeds`` has its standard error within the target.

    A mean that is not finite settles too: more seeds cannot mend it.
    """
    settled = jnp.ones(next(iter(results.values())).shape[0], bool)
    for name, relative in target.items():
        values = results[name].reshape(*results[name].shape[:2], -1)
        counted = (jnp.arange(values.shape[1]) < seeds)[None, :, None]
        mean = jnp.where(counted, values, 0).sum(1) / seeds
        spread = jnp.where(counted, values - mean[:, None, :], 0)
        error = jnp.sqrt((spread**2).sum(1) / (seeds * jnp.maximum(seeds - 1, 1)))
        settled &= ~(error > relative * jnp.abs(mean)).any(-1)
    return settled


def _tiled(keys: jax.Array, count: int) -> jax.Array:
    """The keys, the last repeated up to ``count``: surplus seeds, whose results are dropped."""
    return jnp.concatenate([keys, jnp.repeat(keys[-1:], count - keys.shape[0], axis=0)])


def _blank(dtype: Any) -> Any:
    return np.nan if jnp.issubdtype(dtype, jnp.inexact) else 0


def _padded(leaf: Any, like: np.ndarray) -> np.ndarray:
    """``leaf`` with its last entry repeated up to the length of ``like``, in its dtype."""
    leaf = np.asarray(leaf, like.dtype)
    short = len(like) - len(leaf) if like.ndim else 0
    return np.concatenate([leaf, np.repeat(leaf[-1:], short, axis=0)]) if short else leaf


def _host(leaf: Any) -> Any:
    return leaf if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else np.asarray(leaf)


def _place(sharding: NamedSharding, tree: Any) -> Any:
    """Arrays that every process holds, laid out over the devices of all processes."""

    def one(leaf: Any) -> jax.Array:
        if not isinstance(leaf, np.ndarray):  # random keys, which only their own process can lay out
            return jax.random.wrap_key_data(one(np.asarray(jax.random.key_data(leaf))), impl=jax.random.key_impl(leaf))
        return jax.make_array_from_callback(leaf.shape, sharding, lambda index: leaf[index])

    return jax.tree.map(one, tree)
