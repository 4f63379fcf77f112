"""Training a transformer on windows of tokens: AdamW, warm-up and cosine, resumed bit for bit, over a mesh of devices."""

import math
import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from collapse_jax import checks
from collapse_jax.networks.checkpoint import Checkpoint
from collapse_jax.networks.gpt import GPT, Shape, parameters

STRETCH = 16  # steps in one call of the compiled loop
SAVE_SECONDS = 60.0  # between two checkpoints
Batches = Callable[[int], Iterator[np.ndarray]]  # from a step on: (batch, length + 1) tokens a step


class Schooling(NamedTuple):
    """How a transformer is trained.

    Attributes:
        steps: updates, >= 1.
        learning_rate: the highest; reached after ``warmup`` of the steps, then falling along a cosine to a tenth.
        warmup: share of the steps, in [0, 1).
        weight_decay: of matrices; norms and biases have none.
        clip: largest norm of a gradient.
        accumulate: passes whose gradients make one update; it divides the batch.
        betas: decay of AdamW's first and second moments.
        evaluations: how often, at equal distances, the loss on held-out windows is taken.
    """

    steps: int
    learning_rate: float = 1e-3
    warmup: float = 0.05
    weight_decay: float = 0.1
    clip: float = 1.0
    accumulate: int = 1
    betas: tuple[float, float] = (0.9, 0.95)
    evaluations: int = 10


class Schooled(NamedTuple):
    """A trained transformer and its history.

    Attributes:
        model: with its last weights.
        steps: (E,) the evaluations.
        tokens: (E,) tokens seen until then.
        losses: (E,) mean training loss since the one before, nats a token; ``held_out`` (E,) loss on the held-out windows.
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


class _State(NamedTuple):
    weights: Any
    moments: Any
    losses: jax.Array
    held_out: jax.Array


def school(
    key: jax.Array,
    shape: Shape,
    batches: Batches,
    held_out: Any,
    schooling: Schooling,
    *,
    mesh: Mesh | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    made_by: dict[str, Any] | None = None,
    save_seconds: float = SAVE_SECONDS,
    report: Callable[[Progress], object] | None = None,
) -> Schooled:
    """Train a transformer from random weights on the mean cross entropy of the next token.

    Args:
        key: a ``jax.random.key``: weights and dropout.
        shape: of the transformer.
        batches: ``batches(start)`` gives (batch, length + 1) windows of tokens for the steps from ``start`` on, such as
            :meth:`collapse_jax.data.tokens.Mixture.batches`.
        held_out: (E, length + 1) windows to evaluate on.
        schooling: steps, rates, batches.
        mesh: with the axes "data", over which batches are divided, and "model", over which matrices are.
        checkpoint: folder to save to at an evaluation, ``save_seconds`` after the last time or later. A training that finds its
            own checkpoint there goes on from it, data included, and ends with the same weights, bit for bit.
        made_by: what else the training is made of, such as a digest of its data; a checkpoint of another is refused.
        save_seconds: see ``checkpoint``; 0 saves at every evaluation.
        report: called with :class:`Progress` at each evaluation.

    Raises:
        ValueError: for numbers out of range, windows longer than the context, or another training's checkpoint.
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
    held_out = jnp.asarray(held_out, jnp.int32)
    _check(shape, held_out, schooling)
    edges = np.unique(
        np.ceil(schooling.steps * np.arange(schooling.evaluations + 1) / schooling.evaluations).astype(int)
    )
    graph = _graph(shape)
    state = _placed(_start(key, shape, schooling, len(edges) - 1), mesh)
    done, store = 0, None
    if checkpoint is not None:
        store = Checkpoint(checkpoint, _made_by(key, shape, schooling, made_by))
        done, state = store.load(state) or (0, state)
    source, spread = batches(done), _spread(mesh)
    saved = began = time.monotonic()
    first, size, count = done, 0, parameters(shape)
    for turn in range(int(np.searchsorted(edges, done)), len(edges) - 1):
        weights, moments, total = state.weights, state.moments, jnp.zeros((), jnp.float32)
        for start in range(edges[turn], edges[turn + 1], STRETCH):
            windows = np.stack(list(islice(source, min(STRETCH, edges[turn + 1] - start))))
            size = windows.shape[1] * (windows.shape[2] - 1)
            _check_windows(windows, shape, schooling)
            windows = jax.device_put(windows, spread)
            weights, moments, total = _steps(graph, schooling, weights, moments, total, windows, key, start)
        loss = float(total) / int(edges[turn + 1] - edges[turn])
        if not math.isfinite(loss):
            kept = f"the checkpoint in {checkpoint} is kept" if store is not None else "no checkpoint was asked for"
            raise FloatingPointError(
                f"the loss is {loss} between steps {edges[turn]} and {edges[turn + 1]} with learning_rate "
                f"{schooling.learning_rate:g}; {kept}. Use a smaller learning_rate or a longer warmup"
            )
        found = _held_out(graph, weights, held_out)
        state = _State(
            weights, moments, state.losses.at[turn].set(loss), state.held_out.at[turn].set(found.astype(jnp.float32))
        )
        step = int(edges[turn + 1])
        if store is not None and time.monotonic() - saved >= save_seconds:
            store.save(step, state)
            saved = time.monotonic()
        if report is not None:
            rate = (step - first) / (time.monotonic() - began)
            flops = 6.0 * count * size * rate
            report(Progress(step, schooling.steps, loss, size * rate, flops, (schooling.steps - step) / rate))
    steps = edges[1:]
    model = nnx.merge(graph, state.weights)
    return Schooled(model, steps, steps * size, np.asarray(state.losses), np.asarray(state.held_out))


def loss_of(model: GPT, windows: jax.Array, key: jax.Array | None = None) -> jax.Array:
    """(B,) mean cross entropy of the next token in (B, length + 1) windows, in nats; with a ``key``, under dropout."""
    logits = model(windows[:, :-1], key=key)
    return optax.softmax_cross_entropy_with_integer_labels(logits, windows[:, 1:]).mean(1)


# Compiled ---------------------------------------------------------------------------------------------------------------------


def _graph(shape: Shape) -> Any:
    return nnx.split(nnx.eval_shape(lambda: GPT(shape, rngs=nnx.Rngs(0))))[0]


def _optimiser(schooling: Schooling) -> optax.GradientTransformation:
    warm = max(1, round(schooling.warmup * schooling.steps))
    rate = optax.warmup_cosine_decay_schedule(
        0.0, schooling.learning_rate, warm, max(schooling.steps, warm + 1), schooling.learning_rate / 10
    )
    return optax.chain(
        optax.clip_by_global_norm(schooling.clip),
        optax.adamw(
            rate,
            *schooling.betas,
            weight_decay=schooling.weight_decay,
            mask=lambda weights: jax.tree.map(lambda leaf: leaf.ndim > 1, weights),
        ),
    )


@partial(jax.jit, static_argnums=(1, 2, 3))
def _start(key: jax.Array, shape: Shape, schooling: Schooling, evaluations: int) -> _State:
    weights = nnx.state(GPT(shape, rngs=nnx.Rngs(jax.random.fold_in(key, 0))))
    empty = jnp.full(evaluations, jnp.nan, jnp.float32)
    return _State(weights, _optimiser(schooling).init(weights), empty, empty)


@partial(jax.jit, static_argnums=(0, 1), donate_argnums=(2, 3, 4))
def _steps(
    graph: Any,
    schooling: Schooling,
    weights: Any,
    moments: Any,
    total: jax.Array,
    windows: jax.Array,
    key: jax.Array,
    start: Any,
) -> tuple[Any, Any, jax.Array]:
    """One update for each of (K, B, length + 1) windows; adds up their losses."""
    optimiser = _optimiser(schooling)

    def loss(weights: Any, part: jax.Array, key: jax.Array) -> jax.Array:
        return loss_of(nnx.merge(graph, weights), part, key).mean()

    def update(carry: tuple[Any, Any, jax.Array], now: tuple[jax.Array, jax.Array]) -> tuple[Any, None]:
        weights, moments, total = carry
        batch, index = now
        parts = batch.reshape(schooling.accumulate, -1, batch.shape[1])
        keys = jax.random.split(jax.random.fold_in(jax.random.fold_in(key, 1), index), schooling.accumulate)
        zero = jnp.zeros((), jnp.float32), jax.tree.map(jnp.zeros_like, weights)

        def add(sums: Any, part: tuple[jax.Array, jax.Array]) -> tuple[Any, None]:
            return jax.tree.map(jnp.add, sums, jax.value_and_grad(loss)(weights, *part)), None

        value, gradient = jax.lax.scan(add, zero, (parts, keys))[0]
        gradient = jax.tree.map(lambda leaf: leaf / schooling.accumulate, gradient)
        change, moments = optimiser.update(gradient, moments, weights)
        return (optax.apply_updates(weights, change), moments, total + value / schooling.accumulate), None

    steps = jnp.asarray(start, jnp.int32) + jnp.arange(len(windows), dtype=jnp.int32)
    return jax.lax.scan(update, (weights, moments, total), (windows, steps))[0]


@partial(jax.jit, static_argnums=0)
def _held_out(graph: Any, weights: Any, windows: jax.Array) -> jax.Array:
    model = nnx.merge(graph, weights)
    return jax.lax.map(lambda one: loss_of(model, one[None])[0], windows, batch_size=min(16, len(windows))).mean()


# Devices ----------------------------------------------------------------------------------------------------------------------


def _spread(mesh: Mesh | None) -> Any:
    """Where batches go: (K, B, length + 1), B over "data"."""
    return None if mesh is None else NamedSharding(mesh, PartitionSpec(None, "data"))


def _placed(state: _State, mesh: Mesh | None) -> _State:
    """Each matrix divided over "model" along its longest axis that divides, everything else whole on each device."""
    if mesh is None:
        return state
    if set(mesh.axis_names) != {"data", "model"}:
        raise ValueError(f'mesh has the axes {mesh.axis_names}; it must have "data" and "model"')
    count = mesh.shape["model"]

    def place(leaf: jax.Array) -> jax.Array:
        axes = [axis for axis in range(leaf.ndim) if leaf.ndim > 1 and leaf.shape[axis] % count == 0]
        spec: list[str | None] = [None] * leaf.ndim
        if axes:
            spec[max(axes, key=lambda axis: leaf.shape[axis])] = "model"
        return jax.device_put(leaf, NamedSharding(mesh, PartitionSpec(*spec)))

    return jax.tree.map(place, state)


# Checks -----------------------------------------------------------------------------------------------------------------------


def _check(shape: Shape, held_out: jax.Array, schooling: Schooling) -> None:
    for name in ("steps", "accumulate", "evaluations"):
        value = getattr(schooling, name)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"{name} is {value!r}; it must be a whole number of at least 1")
    checks.above_zero("learning_rate", schooling.learning_rate)
    checks.above_zero("clip", schooling.clip)
    checks.at_least_zero("weight_decay", schooling.weight_decay)
    if not 0 <= schooling.warmup < 1:
        raise ValueError(f"warmup is {schooling.warmup}; it must lie in [0, 1): it is a share of the steps")
    if held_out.ndim != 2 or held_out.shape[0] < 1 or not 2 <= held_out.shape[1] <= shape.context + 1:
        raise ValueError(
            f"held_out has shape {held_out.shape}; it must be (windows, length + 1), length at most the context, "
            f"{shape.context}"
        )
    if int(held_out.max()) >= shape.vocabulary:
        raise ValueError(f"held_out has the token {int(held_out.max())}; the vocabulary has {shape.vocabulary} tokens")


def _check_windows(windows: np.ndarray, shape: Shape, schooling: Schooling) -> None:
    if windows.shape[2] > shape.context + 1:
        raise ValueError(
            f"batches have windows of {windows.shape[2] - 1} tokens; this model sees {shape.context} at most"
        )
    if windows.shape[1] % schooling.accumulate:
        raise ValueError(f"accumulate is {schooling.accumulate}; it must divide the batch, {windows.shape[1]}")
    if windows.max() >= shape.vocabulary:
        raise ValueError(f"batches have the token {windows.max()}; the vocabulary has {shape.vocabulary} tokens")


def _made_by(key: jax.Array, shape: Shape, schooling: Schooling, more: dict[str, Any] | None) -> dict[str, Any]:
    sizes = {name: str(value) for name, value in vars(shape).items()}
    words = np.asarray(jax.random.key_data(key)).ravel().tolist()
    return {**sizes, **schooling._asdict(), "betas": list(schooling.betas), "key": words, **(more or {})}
