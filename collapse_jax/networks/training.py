"""Stochastic gradient descent for many two-layer networks at once: data on the device, steps in one compiled loop.

Networks come in groups. A group is one seed: its images, their order and its initial weights; the networks of a group differ
in labels alone, such as those of different synthetic fractions. On a CPU groups take turns, and large ones are taken apart,
because what fits the cache is quicker alone; on an accelerator, and over a mesh of devices, all are a batch.
"""

import hashlib
import math
import os
import time
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from collapse_jax import checks
from collapse_jax.networks.checkpoint import Checkpoint
from collapse_jax.networks.memory import free_memory
from collapse_jax.networks.two_layer import TwoLayer

STRETCH = 256  # steps in one call of the compiled loop
ROWS = 1024  # images evaluated at once
UNITS = 2048  # hidden units that a CPU works on at once
SAVE_SECONDS = 30.0  # between two checkpoints


class Lessons(NamedTuple):
    """What G groups of F networks learn from.

    Attributes:
        images: (T, d) all images, held once.
        rows: (G, N) which of them each group trains on, in random order: the first n are a training set of n.
        outputs: (G, N, F, c) their labels, of each network.
        validation_rows: (G, V) images by which the best weights are chosen.
        validation_outputs: (G, V, F, c) their labels.
    """

    images: jax.Array
    rows: jax.Array
    outputs: jax.Array
    validation_rows: jax.Array
    validation_outputs: jax.Array


class Recipe(NamedTuple):
    """How networks are trained; the defaults are those of *Strong Model Collapse*, Appendix A.2.

    Attributes:
        epochs: passes over the training images, > 0, whole or not.
        batch: images a step. Batches run on over the ends of epochs, so all are full, even where n is smaller.
        learning_rate: > 0, constant.
        evaluations: how often, at equal distances, the validation error is taken and the best weights are kept, >= 1.
    """

    epochs: float = 400.0
    batch: int = 128
    learning_rate: float = 0.1
    evaluations: int = 40


class Trained(NamedTuple):
    """Networks with the weights of their best evaluation.

    Attributes:
        weights: of all (G, F) networks; :func:`predictions` evaluates them.
        validation: (G, F) their validation errors: squared, summed over outputs, mean over images.
        step: (G, F) when they had it; 0 is before the first step.
        diverged: (G, F) the step at which the loss ceased to be finite; 0 for networks where it never did.
        steps: (E,) the evaluations; ``losses`` (E, G, F) mean training loss since the one before, and ``errors`` (E, G, F)
            validation errors.
    """

    weights: Any
    validation: np.ndarray
    step: np.ndarray
    diverged: np.ndarray
    steps: np.ndarray
    losses: np.ndarray
    errors: np.ndarray


class _State(NamedTuple):
    """All that a training is in the middle of; leaves begin with (G, F), those of the record with (E, G, F)."""

    weights: Any
    best: Any
    best_error: jax.Array
    best_step: jax.Array
    diverged: jax.Array
    losses: jax.Array
    errors: jax.Array


def train(
    keys: jax.Array,
    lessons: Lessons,
    n: int | None = None,
    *,
    width: int,
    recipe: Recipe = Recipe(),  # noqa: B008 - a tuple of numbers
    mesh: Mesh | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    save_seconds: float = SAVE_SECONDS,
    report: Callable[[int, int], object] | None = None,
) -> Trained:
    """Train G x F two-layer networks by SGD on the mean squared error, and keep the weights that validate best.

    The loss is the mean over batch and outputs, as PyTorch's ``MSELoss``. One program is compiled for a width and a size of the
    data; it serves every n, learning rate and number of epochs.

    Args:
        keys: (G,) ``jax.random.key`` of each group: its initial weights and the order of its images.
        lessons: images and labels.
        n: training images, the first n rows of each group; all when None.
        width: hidden units.
        recipe: batch, learning rate, epochs, evaluations.
        mesh: one-dimensional mesh of devices to spread the groups over, or the networks of each, whichever divides evenly.
        checkpoint: folder to save to at an evaluation, ``save_seconds`` after the last time or later. A training that finds its
            own checkpoint there goes on from it and ends with the same weights, bit for bit.
        save_seconds: see ``checkpoint``; 0 saves at every evaluation.
        report: called with (steps done, steps in all) at each evaluation.

    Returns:
        :class:`Trained`. Networks whose loss ceases to be finite keep their best weights, and a warning names them; the others
        are not affected.

    Raises:
        ValueError: for shapes that do not fit, n beyond the rows, a recipe out of range, or another training's checkpoint.
        MemoryError: where the networks do not fit the device, with how many would.

    Source: *Strong Model Collapse*, Section 4.1 and Appendix A.2.

    Example:
        >>> images = jax.random.normal(jax.random.key(0), (300, 4))
        >>> labels = jnp.stack([images[:, :1], -images[:, :1]], 1)[None]             # one group of two networks
        >>> rows = jnp.arange(300)[None]
        >>> lessons = Lessons(images, rows[:, 100:], labels[:, 100:], rows[:, :100], labels[:, :100])
        >>> trained = train(jax.random.split(jax.random.key(1), 1), lessons, width=16, recipe=Recipe(epochs=60))
        >>> trained.validation.shape, bool((trained.validation < 0.1).all())
        ((1, 2), True)
    """
    n = _checked(keys, lessons, n, width, recipe)
    steps = max(1, math.ceil(recipe.epochs * n / recipe.batch))
    edges = np.unique(np.ceil(steps * np.arange(recipe.evaluations + 1) / recipe.evaluations).astype(int))
    _check_memory(lessons, width, recipe, 1 if mesh is None else mesh.size)
    groups, networks = lessons.outputs.shape[0], lessons.outputs.shape[2]
    together = mesh is not None or jax.default_backend() != "cpu"
    made_by = _made_by(keys, lessons, n, width, recipe) if checkpoint is not None else {}
    lessons, keys = _placed(lessons, keys, mesh)
    if not together:
        lessons, keys = _apart(lessons, keys, width)
    state = _start(keys, lessons, width, len(edges) - 1)
    done, store = 0, None
    if checkpoint is not None:
        store = Checkpoint(checkpoint, made_by)
        found = store.load(state)
        done, state = (0, state) if found is None else found
    orders = [_Order(key, n, recipe.batch) for key in np.asarray(jax.random.key_data(keys))]
    saved = time.monotonic()
    for turn in range(int(np.searchsorted(edges, done)), len(edges) - 1):
        weights, total = state.weights, jnp.zeros_like(state.best_error)
        diverged = state.diverged
        for start in range(edges[turn], edges[turn + 1], STRETCH):
            size = min(STRETCH, edges[turn + 1] - start)
            picks = jnp.asarray(np.stack([order.steps(start, STRETCH) for order in orders]))
            weights, total, diverged = _stretch(
                weights, total, diverged, lessons, picks, start, size, recipe.learning_rate, together
            )
        loss = total / (edges[turn + 1] - edges[turn])
        state = _evaluated(state, weights, loss, diverged, lessons, turn, int(edges[turn + 1]), together)
        if store is not None and time.monotonic() - saved >= save_seconds:
            store.save(int(edges[turn + 1]), state)
            saved = time.monotonic()
        if report is not None:
            jax.block_until_ready(state.errors)
            report(int(edges[turn + 1]), steps)
    return _finished(state, edges[1:], recipe.learning_rate, groups, networks)


@jax.jit
def predictions(weights: Any, images: jax.Array, rows: jax.Array) -> jax.Array:
    """(G, t, F, c) outputs of G groups of F networks on images (T, d) of which each group sees its rows (G, t)."""
    return jax.lax.map(lambda group: _outputs(group[0], images, group[1]), (weights, rows))


# One group --------------------------------------------------------------------------------------------------------------------


def _graph() -> Any:
    """What Flax needs beside the weights to make a model of them; the same for all sizes."""
    return nnx.split(nnx.eval_shape(lambda: TwoLayer(1, 1, 1, 1, rngs=nnx.Rngs(0))))[0]


def _outputs(weights: Any, images: jax.Array, rows: jax.Array) -> jax.Array:
    """(t, F, c) in blocks, so that memory does not grow with the number of images."""
    model = nnx.merge(_graph(), weights)
    return jax.lax.map(lambda row: model(images[row][None])[0], rows, batch_size=min(ROWS, len(rows)))


def _walk(
    weights: Any,
    total: jax.Array,
    diverged: jax.Array,
    rows: jax.Array,
    outputs: jax.Array,
    picks: jax.Array,
    images: jax.Array,
    start: jax.Array,
    size: jax.Array,
    learning_rate: jax.Array,
) -> tuple[Any, jax.Array, jax.Array]:
    """``size`` steps of the networks of one group; adds up their losses and notes when one is no number."""

    def losses_of(weights: Any, inputs: jax.Array, labels: jax.Array) -> tuple[jax.Array, jax.Array]:
        errors = nnx.merge(_graph(), weights)(inputs) - labels
        losses = (errors**2).mean((0, 2))
        return losses.sum(), losses

    def step(i: jax.Array, carry: tuple[Any, jax.Array, jax.Array]) -> tuple[Any, jax.Array, jax.Array]:
        weights, total, diverged = carry
        chosen = picks[i]
        gradients, losses = jax.grad(losses_of, has_aux=True)(weights, images[rows[chosen]], outputs[chosen])
        weights = jax.tree.map(lambda w, g: w - learning_rate * g, weights, gradients)
        diverged = jnp.where((diverged == 0) & ~jnp.isfinite(losses), start + i + 1, diverged)
        return weights, total + losses, diverged

    return jax.lax.fori_loop(0, size, step, (weights, total, diverged))


# All groups -------------------------------------------------------------------------------------------------------------------


def _each_group(function: Callable[..., Any], groups: tuple[Any, ...], together: bool) -> Any:
    """``function`` of each group: a batch, or one after the other."""
    if together:
        return jax.vmap(function)(*groups)
    return jax.lax.map(lambda group: function(*group), groups)


@partial(jax.jit, static_argnums=8, donate_argnums=(0, 1))
def _stretch(
    weights: Any,
    total: jax.Array,
    diverged: jax.Array,
    lessons: Lessons,
    picks: jax.Array,
    start: Any,
    size: Any,
    learning_rate: Any,
    together: bool,
) -> tuple[Any, jax.Array, jax.Array]:
    start, size = jnp.asarray(start, jnp.int32), jnp.asarray(size, jnp.int32)
    rate = jnp.asarray(learning_rate, total.dtype)
    groups = (weights, total, diverged, lessons.rows, lessons.outputs, picks)
    walk = partial(_walk, images=lessons.images, start=start, size=size, learning_rate=rate)
    return _each_group(walk, groups, together)


@partial(jax.jit, static_argnums=7, donate_argnums=0)
def _evaluated(
    state: _State,
    weights: Any,
    loss: jax.Array,
    diverged: jax.Array,
    lessons: Lessons,
    turn: Any,
    step: Any,
    together: bool,
) -> _State:
    """The state after an evaluation: better networks replace the best."""
    error = _validation(weights, lessons, together)
    better = error < state.best_error  # false for NaN
    best = jax.tree.map(
        lambda new, old: jnp.where(better.reshape(*better.shape, *(1,) * (new.ndim - 2)), new, old), weights, state.best
    )
    return _State(
        weights,
        best,
        jnp.where(better, error, state.best_error),
        jnp.where(better, jnp.asarray(step, jnp.int32), state.best_step),
        diverged,
        state.losses.at[turn].set(loss),
        state.errors.at[turn].set(error),
    )


def _validation(weights: Any, lessons: Lessons, together: bool) -> jax.Array:
    def error(weights: Any, rows: jax.Array, outputs: jax.Array) -> jax.Array:
        return ((_outputs(weights, lessons.images, rows) - outputs) ** 2).sum(2).mean(0)

    groups = (weights, lessons.validation_rows, lessons.validation_outputs)
    return _each_group(error, groups, together)


@partial(jax.jit, static_argnums=(2, 3))
def _start(keys: jax.Array, lessons: Lessons, width: int, evaluations: int) -> _State:
    (groups, _, networks, classes), dim = lessons.outputs.shape, lessons.images.shape[1]
    dtype = lessons.images.dtype

    def drawn(key: jax.Array) -> Any:
        return nnx.state(TwoLayer(dim, width, classes, networks, rngs=nnx.Rngs(key), dtype=dtype))

    weights = jax.vmap(drawn)(keys)
    nothing = jnp.zeros((groups, networks), jnp.int32)
    record = jnp.full((evaluations, groups, networks), jnp.nan, dtype)
    copy = jax.tree.map(jnp.copy, weights)  # the loop overwrites the one
    return _State(weights, copy, _validation(weights, lessons, False), nothing, nothing, record, record)


class _Order:
    """The images of each step of one group: every epoch a new order, known from the key and the epoch alone."""

    def __init__(self, key: np.ndarray, n: int, batch: int) -> None:
        self.key, self.n, self.batch = key.tolist(), n, batch

    def steps(self, start: int, count: int) -> np.ndarray:
        """(count, batch) indices below n."""
        first, last = start * self.batch, (start + count) * self.batch
        epochs = range(first // self.n, -(-last // self.n))
        stream = np.concatenate([np.random.default_rng([*self.key, epoch]).permutation(self.n) for epoch in epochs])
        offset = first - epochs.start * self.n
        return stream[offset : offset + count * self.batch].reshape(count, self.batch).astype(np.int32)


def _apart(lessons: Lessons, keys: jax.Array, width: int) -> tuple[Lessons, jax.Array]:
    """Groups of at most ``UNITS`` hidden units, or of one network: each group of the lessons becomes several."""
    groups, _, networks, classes = lessons.outputs.shape
    each = max(size for size in range(1, networks + 1) if networks % size == 0 and size * width <= max(UNITS, width))
    pieces = networks // each

    def split(labels: jax.Array) -> jax.Array:
        parts = labels.reshape(groups, -1, pieces, each, classes).swapaxes(1, 2)
        return parts.reshape(groups * pieces, -1, each, classes)

    repeated = [jnp.repeat(array, pieces, axis=0) for array in (lessons.rows, lessons.validation_rows, keys)]
    outputs, validation = split(lessons.outputs), split(lessons.validation_outputs)
    return Lessons(lessons.images, repeated[0], outputs, repeated[1], validation), repeated[2]


def _finished(state: _State, steps: np.ndarray, learning_rate: float, groups: int, networks: int) -> Trained:
    best = jax.tree.map(lambda leaf: leaf.reshape(groups, networks, *leaf.shape[2:]), state.best)
    validation, step, diverged = (np.asarray(array).reshape(groups, networks) for array in state[2:5])
    losses, errors = (np.asarray(array).reshape(-1, groups, networks) for array in state[5:])
    if diverged.any():
        places = [f"network {f} of group {g} at step {diverged[g, f]}" for g, f in np.argwhere(diverged)]
        shown = ", ".join(places[:3]) + (f" and {len(places) - 3} more" if len(places) > 3 else "")
        warnings.warn(
            f"{len(places)} of {diverged.size} trainings diverged with learning_rate {learning_rate:g}: {shown}. They keep "
            "their best weights so far; use a smaller learning_rate",
            RuntimeWarning,
            stacklevel=3,
        )
    return Trained(best, validation, step, diverged, steps, losses, errors)


# Checks -----------------------------------------------------------------------------------------------------------------------


def _checked(keys: jax.Array, lessons: Lessons, n: int | None, width: int, recipe: Recipe) -> int:
    if lessons.outputs.ndim != 4 or lessons.images.ndim != 2:
        raise ValueError(
            f"images has shape {lessons.images.shape} and outputs {lessons.outputs.shape}; they must be (T, d) and "
            "(groups, N, networks, classes)"
        )
    groups, count, networks, classes = lessons.outputs.shape
    checks.shape("keys", keys, (groups,), "one key a group")
    checks.shape("rows", lessons.rows, (groups, count), "the training images of each group")
    held_out = lessons.validation_rows.shape[-1]
    checks.shape("validation_rows", lessons.validation_rows, (groups, held_out), "the validation images of each group")
    expected = (groups, held_out, networks, classes)
    checks.shape("validation_outputs", lessons.validation_outputs, expected, "(groups, V, networks, classes)")
    if held_out < 1:
        raise ValueError("validation_rows is empty; at least one image must choose the best weights")
    n = count if n is None else n
    for name, value in {"n": n, "width": width, "batch": recipe.batch, "evaluations": recipe.evaluations}.items():
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
            raise ValueError(f"{name} is {value!r}; it must be a whole number of at least 1")
    if n > count:
        raise ValueError(f"n is {n}; it must be at most {count}, the number of training images. Give more rows")
    checks.above_zero("epochs", recipe.epochs)
    checks.above_zero("learning_rate", recipe.learning_rate)
    return int(n)


def memory_needed(lessons: Lessons, width: int, recipe: Recipe) -> float:
    """Bytes that a training holds at once: weights four times (now, next, gradient, best), images, labels, one step's units."""
    groups, _, networks, classes = lessons.outputs.shape
    weights = groups * networks * (width * (lessons.images.shape[1] + classes + 1) + classes)
    units = 4 * networks * width * max(recipe.batch, min(ROWS, lessons.validation_rows.shape[1]))
    units *= 1 if jax.default_backend() == "cpu" else groups
    return lessons.images.dtype.itemsize * (4 * weights + units) + sum(array.nbytes for array in lessons)


def _check_memory(lessons: Lessons, width: int, recipe: Recipe, devices: int) -> None:
    trainings, data = lessons.outputs.shape[0] * lessons.outputs.shape[2], sum(array.nbytes for array in lessons)
    needed, free = memory_needed(lessons, width, recipe), free_memory() * devices
    if needed <= free:
        return
    fit = int((free - data) / (needed - data) * trainings)
    way_out = f"Train at most {fit} at a time" if fit >= 1 else "Use a smaller width, or a device with more memory"
    raise MemoryError(
        f"{trainings} networks of width {width:,} and their data need about {needed / 2**30:.2g} GiB, and there are "
        f"{free / 2**30:.2g} GiB left. {way_out}"
    )


def _placed(lessons: Lessons, keys: jax.Array, mesh: Mesh | None) -> tuple[Lessons, jax.Array]:
    """Data on the devices, all in the images' dtype: whole on one device, or split over groups or networks."""
    outputs, validation = (
        labels.astype(lessons.images.dtype) for labels in (lessons.outputs, lessons.validation_outputs)
    )
    lessons = lessons._replace(outputs=outputs, validation_outputs=validation)
    if mesh is None:
        return lessons, keys
    if len(mesh.axis_names) != 1:
        raise ValueError(f"mesh has the axes {mesh.axis_names}; it must have one")
    groups, networks = lessons.outputs.shape[0], lessons.outputs.shape[2]
    axis = mesh.axis_names[0]
    if groups % mesh.size == 0:
        by_group, by_network = PartitionSpec(axis), PartitionSpec(axis)
    elif networks % mesh.size == 0:
        by_group, by_network = PartitionSpec(), PartitionSpec(None, None, axis)
    else:
        raise ValueError(
            f"mesh has {mesh.size} devices; that must divide the {groups} groups or the {networks} networks of each"
        )
    specs = (PartitionSpec(), by_group, by_network, by_group, by_network)
    placed = [jax.device_put(array, NamedSharding(mesh, spec)) for array, spec in zip(lessons, specs, strict=True)]
    return Lessons(*placed), jax.device_put(keys, NamedSharding(mesh, by_group))


def _made_by(keys: jax.Array, lessons: Lessons, n: int, width: int, recipe: Recipe) -> dict[str, Any]:
    digest = hashlib.sha256()
    for array in lessons:
        digest.update(np.ascontiguousarray(array).tobytes())
    key_words = np.asarray(jax.random.key_data(keys)).ravel().tolist()
    return {"n": n, "width": width, **recipe._asdict(), "keys": key_words, "data": digest.hexdigest()[:16]}
