"""Training a transformer on windows of tokens: AdamW, warm-up and cosine, resumed bit for bit, over a mesh of devices."""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from collapse_jax import checks
from collapse_jax.networks import updates
from collapse_jax.networks.checkpoint import Checkpoint
from collapse_jax.networks.gpt import GPT, Shape, graph_of, parameters
from collapse_jax.networks.lesson import Lesson, check_lesson, lesson, stacked
from collapse_jax.networks.memory import free_memory

STRETCH = 16  # steps in one call of the compiled loop
SAVE_SECONDS = 60.0  # between two checkpoints
Batches = Callable[[int], Iterator[Any]]  # from a step on: a Lesson, or (batch, length + 1) tokens, for each step


class Schooling(NamedTuple):
    """How a transformer is trained.

    Attributes:
        steps: updates, >= 1.
        learning_rate: the highest; reached after ``warmup`` of the steps, then falling along a cosine to a tenth.
        warmup: share of the steps, in [0, 1).
        weight_decay: of matrices; norms and biases have none.
        clip: largest norm of a gradient.
        beta1: decay of AdamW's first moments, and ``beta2`` of the second.
        accumulate: passes whose gradients make one update; it divides the batch.
        evaluations: how often, at equal distances, the loss on held-out windows is taken.
    """

    steps: int
    learning_rate: float = 1e-3
    warmup: float = 0.05
    weight_decay: float = 0.1
    clip: float = 1.0
    beta1: float = 0.9
    beta2: float = 0.95
    accumulate: int = 1
    evaluations: int = 10


class Schooled(NamedTuple):
    """A trained transformer and its history.

    Attributes:
        model: with its last weights.
        steps: (E,) the evaluations.
        tokens: (E,) tokens seen until then.
        losses: (E,) mean training loss since the one before, nats a token; ``held_out`` (E,) the same on the held-out
            windows, each counted token weighing alike.
    """

    model: GPT
    steps: np.ndarray
    tokens: np.ndarray
    losses: np.ndarray
    held_out: np.ndarray


class Progress(NamedTuple):
    """What a training has done so far; ``flops`` is 6 operations a parameter and token."""

    step: int
    steps: int
    loss: float
    tokens_per_second: float
    flops: float
    seconds_left: float


def school(
    key: jax.Array,
    shape: Shape,
    batches: Batches,
    held_out: Any,
    schooling: Schooling,
    *,
    mesh: Mesh | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    made_by: Mapping[str, Any] | None = None,
    save_seconds: float = SAVE_SECONDS,
    report: Callable[[Progress], object] | None = None,
    watch: Callable[[int, GPT], object] | None = None,
) -> Schooled:
    """Train a transformer from random weights on the mean cross entropy of the next token.

    Args:
        key: a ``jax.random.key``: weights and dropout.
        shape: of the transformer.
        batches: ``batches(start)`` gives, for the steps from ``start`` on, (batch, length + 1) windows of tokens, such as
            :meth:`collapse_jax.data.tokens.Mixture.batches`, or a :class:`collapse_jax.networks.lesson.Lesson` of them.
        held_out: (E, length + 1) windows, or a lesson, to evaluate on.
        schooling: steps, rates, batches.
        mesh: with the axes "data", over which batches are divided, and "model", over which matrices are.
        checkpoint: folder to save to at an evaluation, ``save_seconds`` after the last time or later. A training that finds its
            own checkpoint there goes on from it, data included, and ends with the same weights, bit for bit.
        made_by: what else the training is made of, such as a digest of its data; a checkpoint of another is refused.
        save_seconds: see ``checkpoint``; 0 saves at every evaluation.
        report: called with :class:`Progress` at each evaluation.
        watch: called with the step and the transformer at each evaluation, before it is saved: what is measured then is
            there when a killed training goes on.

    Raises:
        ValueError: for numbers out of range, windows longer than the context, or another training's checkpoint.
        MemoryError: where the training would not fit the device, with what would.
        FloatingPointError: where the loss ceases to be finite, with the step; the last checkpoint is kept.

    Source: the recipe of Radford et al. (2019) with AdamW; *Strong Model Collapse*, Section 4.2, for its numbers.

    Example:
        >>> from itertools import repeat
        >>> window = np.tile(np.arange(4), 3)[None, :9]                          # 0 1 2 3 0 1 2 3 0
        >>> shape = Shape(vocabulary=4, context=8, width=16, layers=1, heads=2)
        >>> schooling = Schooling(steps=60, learning_rate=0.01, evaluations=2)
        >>> found = school(jax.random.key(0), shape, lambda start: repeat(window), window, schooling)
        >>> found.held_out.shape, bool(found.held_out[-1] < 0.3)
        ((2,), True)
    """
    keeper = _Keeper(checkpoint, made_by, save_seconds, report, watch)
    state, steps, tokens = _train(key, shape, batches, held_out, schooling, mesh, keeper)
    return Schooled(nnx.merge(graph_of(shape), state.weights), steps, tokens, *map(np.asarray, state[2:]))


def school_together(
    keys: jax.Array,
    shape: Shape,
    batches: Batches,
    held_out: Any,
    schooling: Schooling,
    *,
    mesh: Mesh | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    made_by: Mapping[str, Any] | None = None,
    save_seconds: float = SAVE_SECONDS,
    report: Callable[[Progress], object] | None = None,
) -> list[Schooled]:
    """:func:`school` for several networks at once: one program, in which small networks fill an accelerator.

    Args:
        keys: (G,) a key for each network.
        shape: of all of them.
        batches: as there, with a leading axis G: each network has its own windows.
        held_out: the same for all.
        schooling: as there.
        mesh: over whose axis "data" the networks are divided.
        checkpoint: as there, and so are ``made_by``, ``save_seconds``, ``report``; the loss is the mean.

    Raises:
        ValueError: as there, and where the first axis of a batch is not that of ``keys``.
        MemoryError, FloatingPointError: as there, the latter where one of the losses ceases to be finite.

    Example:
        >>> from itertools import repeat
        >>> window = np.tile(np.arange(4), 3)[None, :9]
        >>> shape = Shape(vocabulary=4, context=8, width=16, layers=1, heads=2)
        >>> schooling = Schooling(steps=60, learning_rate=0.01, evaluations=2)
        >>> keys, both = jax.random.split(jax.random.key(0)), np.stack([window, window])
        >>> [bool(one.held_out[-1] < 0.3) for one in school_together(keys, shape, lambda _: repeat(both), window, schooling)]
        [True, True]
    """
    if keys.ndim != 1:
        raise ValueError(f"keys has shape {keys.shape}; it must be (networks,): a key for each network")
    keeper = _Keeper(checkpoint, made_by, save_seconds, report)
    state, steps, tokens = _train(keys, shape, batches, held_out, schooling, mesh, keeper)
    found = []
    for i in range(len(keys)):
        own = jax.tree.map(lambda leaf, i=i: leaf[i], state)
        found.append(Schooled(nnx.merge(graph_of(shape), own.weights), steps, tokens, *map(np.asarray, own[2:])))
    return found


class _Keeper(NamedTuple):
    """Where a training is saved, and who is told of it."""

    checkpoint: str | os.PathLike[str] | None
    made_by: Mapping[str, Any] | None
    save_seconds: float
    report: Callable[[Progress], object] | None
    watch: Callable[[int, GPT], object] | None = None


def _train(
    key: jax.Array,
    shape: Shape,
    batches: Batches,
    held_out: Any,
    schooling: Schooling,
    mesh: Mesh | None,
    keeper: _Keeper,
) -> tuple[updates.State, np.ndarray, np.ndarray]:
    """State after training, the steps of its evaluations, and the tokens that each network had seen."""
    held_out = jax.tree.map(jnp.asarray, lesson(held_out))
    _check_schooling(schooling)
    check_lesson("held_out", held_out, shape)
    edges, graph, numbers = (
        _edges(schooling),
        graph_of(shape),
        updates.Numbers(*map(np.float32, schooling[: len(updates.Numbers._fields)])),
    )
    state = _placed(updates.start(key, shape, numbers, len(edges) - 1), mesh, key.ndim == 1)
    done, store = 0, None
    if keeper.checkpoint is not None:
        store = Checkpoint(keeper.checkpoint, _made_by(key, shape, schooling, keeper.made_by))
        done, state = store.load(state) or (0, state)
    source = batches(done)
    saved = began = time.monotonic()
    first, size = done, 0
    for turn in range(int(np.searchsorted(edges, done)), len(edges) - 1):
        weights, moments, total = state.weights, state.moments, jnp.zeros(key.shape, jnp.float32)
        for start in range(edges[turn], edges[turn + 1], STRETCH):
            lessons = stacked(islice(source, min(STRETCH, edges[turn + 1] - start)))
            if not size:
                _check_memory(shape, lessons, schooling, mesh)
            size = lessons.tokens.shape[-2] * (lessons.tokens.shape[-1] - 1)
            _check_lessons(lessons, shape, schooling, key)
            lessons = _spread(lessons, mesh)
            weights, moments, total = updates.steps(
                graph, schooling.accumulate, numbers, weights, moments, total, lessons, key, start
            )
        losses = total / int(edges[turn + 1] - edges[turn])
        _check_finite(losses, edges[turn : turn + 2], schooling, store)
        found = updates.held_out_loss(graph, weights, held_out, key.ndim == 1)
        state = updates.State(
            weights, moments, state.losses.at[..., turn].set(losses), state.held_out.at[..., turn].set(found)
        )
        step = int(edges[turn + 1])
        if keeper.watch is not None:
            keeper.watch(step, nnx.merge(graph, weights))
        if store is not None and time.monotonic() - saved >= keeper.save_seconds:
            store.save(step, state)
            saved = time.monotonic()
        if keeper.report is not None:
            rate = (step - first) / (time.monotonic() - began)
            speed = size * rate * key.size
            left = (schooling.steps - step) / rate
            flops = 6.0 * parameters(shape) * speed
            keeper.report(Progress(step, schooling.steps, float(losses.mean()), speed, flops, left))
    if size == 0 and len(edges) > 1:  # all of it was done before
        lessons = stacked(islice(source, 1))
        size = lessons.tokens.shape[-2] * (lessons.tokens.shape[-1] - 1)
    return state, edges[1:], edges[1:] * size


def _edges(schooling: Schooling) -> np.ndarray:
    """The steps of the evaluations, after 0; whole stretches where there are many, because each length is compiled."""
    stretch = STRETCH if schooling.steps >= 2 * STRETCH * schooling.evaluations else 1
    edges = schooling.steps * np.arange(schooling.evaluations + 1) / schooling.evaluations
    return np.unique([*(stretch * np.ceil(edges[:-1] / stretch)).astype(int), schooling.steps])


# Devices ----------------------------------------------------------------------------------------------------------------------


def _spread(lessons: Lesson, mesh: Mesh | None) -> Lesson:
    """(K, B, ...) or (K, networks, B, ...) arrays, the second axis divided over "data"."""
    place = None if mesh is None else NamedSharding(mesh, PartitionSpec(None, "data"))
    return jax.tree.map(lambda leaf: jax.device_put(leaf, place), lessons)


def _placed(state: updates.State, mesh: Mesh | None, together: bool) -> updates.State:
    """Networks divided over "data"; of one network, each matrix over "model" along its longest axis that divides."""
    if mesh is None:
        return state
    if set(mesh.axis_names) != {"data", "model"}:
        raise ValueError(f'mesh has the axes {mesh.axis_names}; it must have "data" and "model"')
    count = mesh.shape["model"]

    def place(leaf: jax.Array) -> jax.Array:
        spec: list[str | None] = [None] * leaf.ndim
        axes = [axis for axis in range(leaf.ndim) if leaf.ndim > 1 and leaf.shape[axis] % count == 0]
        if together:
            spec[0] = "data"
        elif axes:
            spec[max(axes, key=lambda axis: leaf.shape[axis])] = "model"
        return jax.device_put(leaf, NamedSharding(mesh, PartitionSpec(*spec)))

    return jax.tree.map(place, state)


def memory_needed(shape: Shape, batch: int, length: int) -> float:
    """Bytes that one pass of a training holds: weights, moments and gradients, and what the backward pass reads again.

    XLA's compiler for CPUs undoes rematerialisation, so there ``shape.remat`` saves nothing.

    Example:
        >>> f"{memory_needed(Shape(), 8, 512) / 2**30:.0f} GiB"
        '10 GiB'
    """
    width, item = shape.width, jnp.dtype(shape.dtype).itemsize
    remat, scores = shape.remat and jax.default_backend() != "cpu", 3 * shape.heads * length
    kept = width if remat else 16 * width + scores
    once = 16 * width + scores if remat else 0
    logits = 3 * 4 * shape.vocabulary
    return 20.0 * parameters(shape) + batch * length * (item * (shape.layers * kept + once) + logits)


# Checks -----------------------------------------------------------------------------------------------------------------------


def _check_schooling(schooling: Schooling) -> None:
    for name in ("steps", "accumulate", "evaluations"):
        value = getattr(schooling, name)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"{name} is {value!r}; it must be a whole number of at least 1")
    checks.above_zero("learning_rate", schooling.learning_rate)
    checks.above_zero("clip", schooling.clip)
    checks.at_least_zero("weight_decay", schooling.weight_decay)
    if not 0 <= schooling.warmup < 1:
        raise ValueError(f"warmup is {schooling.warmup}; it must lie in [0, 1): it is a share of the steps")


def _check_lessons(lessons: Lesson, shape: Shape, schooling: Schooling, key: jax.Array) -> None:
    check_lesson("batches", lessons, shape)
    sizes = lessons.tokens.shape[1:-1]
    if len(sizes) != key.ndim + 1 or (key.ndim and sizes[0] != len(key)):
        wanted = "(networks, batch, length + 1)" if key.ndim else "(batch, length + 1)"
        raise ValueError(
            f"batches gives shape {lessons.tokens.shape[1:]} a step; it must be {wanted} for {key.size} networks"
        )
    if sizes[-1] % schooling.accumulate:
        raise ValueError(f"accumulate is {schooling.accumulate}; it must divide the batch, {sizes[-1]}")


def _check_memory(shape: Shape, lessons: Lesson, schooling: Schooling, mesh: Mesh | None) -> None:
    networks = lessons.tokens.shape[1] if lessons.tokens.ndim == 4 else 1
    batch, length = lessons.tokens.shape[-2], lessons.tokens.shape[-1] - 1
    free = free_memory() * (1 if mesh is None else mesh.size) / networks
    needed = memory_needed(shape, batch // schooling.accumulate, length)
    if needed <= free:
        return
    least = memory_needed(shape, 0, length)
    each = memory_needed(shape, 1, length) - least
    fit = int((free - least) // each)
    if fit >= 1:
        way_out = f"{fit} windows at a time fit: use accumulate={-(-batch // fit)} or more"
    else:
        way_out = "Use fewer layers, a smaller width, or a mesh of more devices"
    raise MemoryError(
        f"training {networks} network(s) of {parameters(shape):,} parameters on {batch // schooling.accumulate} windows of "
        f"{length} tokens at a time needs about {networks * needed / 2**30:.2g} GiB, and there are "
        f"{networks * free / 2**30:.2g} GiB left. {way_out}"
    )


def _check_finite(losses: jax.Array, steps: np.ndarray, schooling: Schooling, store: Checkpoint | None) -> None:
    found = np.atleast_1d(np.asarray(losses))
    if np.isfinite(found).all():
        return
    which = int(np.flatnonzero(~np.isfinite(found))[0])
    network = f" of network {which}" if losses.ndim else ""
    kept = "no checkpoint was asked for" if store is None else f"the checkpoint in {store.folder} is kept"
    raise FloatingPointError(
        f"the loss{network} is {found[which]} between steps {steps[0]} and {steps[1]} with learning_rate "
        f"{schooling.learning_rate:g}; {kept}. Use a smaller learning_rate or a longer warmup"
    )


def _made_by(key: jax.Array, shape: Shape, schooling: Schooling, more: Mapping[str, Any] | None) -> dict[str, Any]:
    sizes = {name: str(value) for name, value in vars(shape).items()}
    words = np.asarray(jax.random.key_data(key)).ravel().tolist()
    return {**sizes, **schooling._asdict(), "key": words, **(more or {})}
