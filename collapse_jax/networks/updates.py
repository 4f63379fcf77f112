"""One compiled stretch of a transformer's training: AdamW, its rate, the loss on held-out windows."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from collapse_jax.networks.gpt import GPT, Shape
from collapse_jax.networks.lesson import Lesson, loss_of, surprises

EVALUATED = 16  # held-out windows at once


class State(NamedTuple):
    """Of one network, or with a leading axis of several."""

    weights: Any
    moments: Any
    losses: jax.Array
    held_out: jax.Array


class Numbers(NamedTuple):
    """The first fields of a :class:`Schooling`, traced: a program serves all their values."""

    steps: Any
    learning_rate: Any
    warmup: Any
    weight_decay: Any
    clip: Any
    beta1: Any
    beta2: Any


def optimiser(numbers: Numbers) -> optax.GradientTransformation:
    """AdamW on clipped gradients; only matrices decay."""
    warm = jnp.maximum(1.0, jnp.round(numbers.warmup * numbers.steps))

    def rate(step: Any) -> jax.Array:
        """Up along a line, down along half a cosine to a tenth."""
        done = jnp.clip((step - warm) / jnp.maximum(numbers.steps - warm, 1.0), 0, 1)
        falling = 0.1 + 0.45 * (1 + jnp.cos(jnp.pi * done))
        return numbers.learning_rate * jnp.where(step < warm, step / warm, falling)

    return optax.chain(
        optax.clip_by_global_norm(numbers.clip),
        optax.adamw(
            rate,
            numbers.beta1,
            numbers.beta2,
            weight_decay=numbers.weight_decay,
            mask=lambda weights: jax.tree.map(lambda leaf: leaf.ndim > 1, weights),
        ),
    )


@partial(jax.jit, static_argnums=(1, 3))
def start(key: jax.Array, shape: Shape, numbers: Numbers, evaluations: int) -> State:
    """Random weights and empty histories: of one network, or of each key."""

    def one(key: jax.Array) -> State:
        weights = nnx.state(GPT(shape, rngs=nnx.Rngs(jax.random.fold_in(key, 0))))
        empty = jnp.full(evaluations, jnp.nan, jnp.float32)
        return State(weights, optimiser(numbers).init(weights), empty, empty)

    return jax.vmap(one)(key) if key.ndim else one(key)


@partial(jax.jit, static_argnums=(0, 1), donate_argnums=(3, 4, 5))
def steps(
    graph: Any,
    passes: int,
    numbers: Numbers,
    weights: Any,
    moments: Any,
    total: jax.Array,
    lessons: Lesson,
    key: jax.Array,
    first: Any,
) -> tuple[Any, Any, jax.Array]:
    """One update for each of K lessons; adds up their losses."""
    one = partial(_update, graph, passes, numbers)
    every = jax.vmap(one, in_axes=(0, 0, 0, None)) if key.ndim else one

    def update(carry: tuple[Any, Any, jax.Array], now: tuple[Lesson, jax.Array]) -> tuple[Any, None]:
        weights, moments, total = carry
        weights, moments, loss = every((weights, moments), now[0], key, now[1])
        return (weights, moments, total + loss), None

    indices = jnp.asarray(first, jnp.int32) + jnp.arange(len(lessons.tokens), dtype=jnp.int32)
    return jax.lax.scan(update, (weights, moments, total), (lessons, indices))[0]


def _update(
    graph: Any, passes: int, numbers: Numbers, state: tuple[Any, Any], given: Lesson, key: jax.Array, index: jax.Array
) -> tuple[Any, Any, jax.Array]:
    """Weights and moments after one step of one network, and the loss before it."""
    weights, moments = state
    key = jax.random.fold_in(jax.random.fold_in(key, 1), index)

    def loss(weights: Any, part: Lesson, key: jax.Array) -> jax.Array:
        return loss_of(nnx.merge(graph, weights), part, key).mean()

    def add(sums: Any, part: tuple[Lesson, jax.Array]) -> tuple[Any, None]:
        return jax.tree.map(jnp.add, sums, jax.value_and_grad(loss)(weights, *part)), None

    if passes == 1:
        value, gradient = jax.value_and_grad(loss)(weights, given, key)
    else:
        parts = jax.tree.map(lambda leaf: leaf.reshape(passes, -1, *leaf.shape[1:]), given)
        zero = jnp.zeros((), jnp.float32), jax.tree.map(jnp.zeros_like, weights)
        sums = jax.lax.scan(add, zero, (parts, jax.random.split(key, passes)))[0]
        value, gradient = jax.tree.map(lambda leaf: leaf / passes, sums)
    change, moments = optimiser(numbers).update(gradient, moments, weights)
    return optax.apply_updates(weights, change), moments, value


@partial(jax.jit, static_argnums=(0, 3))
def held_out_loss(graph: Any, weights: Any, windows: Lesson, together: bool) -> jax.Array:
    """Mean nats of a counted token: of one network, or of each."""

    def one(weights: Any) -> jax.Array:
        model = nnx.merge(graph, weights)

        total = _each(model, windows).sum()
        return total / (windows.tokens[:, 1:].size if windows.counted is None else windows.counted.sum())

    found = jax.lax.map(one, weights) if together else one(weights)
    return found.astype(jnp.float32)


@partial(jax.jit, static_argnums=0)
def window_losses(graph: Any, weights: Any, windows: Lesson) -> jax.Array:
    """(E,) nats of each window, not of a token."""
    return _each(nnx.merge(graph, weights), windows)


def _each(model: GPT, windows: Lesson) -> jax.Array:
    def loss(window: Lesson) -> jax.Array:
        return surprises(model, jax.tree.map(lambda leaf: leaf[None], window)).sum()

    return jax.lax.map(loss, windows, batch_size=min(EVALUATED, len(windows.tokens)))
