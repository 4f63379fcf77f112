"""Two-layer networks that write labels: how good they are is chosen by what they learn from, and measured."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from collapse_jax import checks
from collapse_jax.networks.training import Lessons, Recipe, predictions, train

HELD_OUT = 5  # one in so many of a teacher's images chooses its best weights


class Teacher(NamedTuple):
    """What a teacher is made of. Fewer images, units or epochs, or a higher temperature, make a worse one.

    Attributes:
        images: true labels that it sees, >= 2; a fifth of them choose its best weights.
        width: hidden units.
        epochs: passes over its images; few of them stop it early.
        temperature: None for its outputs as they are; t > 0 for their softmax at temperature t, which is a hard label as t -> 0
            and says nothing as t -> infinity.
    """

    images: int
    width: int = 256
    epochs: float = 400.0
    temperature: float | None = None


class Taught(NamedTuple):
    """Labels of G teachers, before noise.

    Attributes:
        outputs: (G, T, c) of all images.
        quality: (G,) c^2: mean squared error on images that the teacher has not seen, summed over outputs.
    """

    outputs: jax.Array
    quality: jax.Array


def teach(
    keys: jax.Array, images: jax.Array, outputs: jax.Array, rows: jax.Array, prior: jax.Array, teacher: Teacher
) -> Taught:
    """Train one teacher a group and let it label all images.

    Args:
        keys: (G,) ``jax.random.key`` of each teacher.
        images: (T, d) all images, such as :func:`collapse_jax.data.images.normalised` gives.
        outputs: (T, c) their true labels, less ``prior``.
        rows: (G, m) images that each teacher may see, in random order; it sees the first ``teacher.images``.
        prior: (c,) what was subtracted from the one-hot labels.
        teacher: what it is made of.

    Raises:
        ValueError: for a teacher of fewer than 2 images or more than its rows, or a temperature that is not positive.

    Source: *Strong Model Collapse*, Section 4.1, whose teacher has one quality, which it does not state.

    Example:
        >>> images = jax.random.normal(jax.random.key(0), (90, 4))
        >>> outputs = images[:, :2]
        >>> rows = jnp.arange(90)[None]
        >>> key = jax.random.split(jax.random.key(1), 1)
        >>> few, more = (teach(key, images, outputs, rows, jnp.zeros(2), Teacher(m, 16, 50.0)).quality[0] for m in (5, 60))
        >>> bool(more < few)
        True
    """
    count = teacher.images
    if isinstance(count, bool) or not isinstance(count, int) or not 2 <= count <= rows.shape[1]:
        raise ValueError(f"images is {count!r}; a teacher must see 2 to {rows.shape[1]} images, those that are its own")
    if teacher.temperature is not None:
        checks.above_zero("temperature", teacher.temperature, "None leaves the outputs as they are")
    held_out = max(1, count // HELD_OUT)
    # Every teacher has arrays of one shape, so that one program trains them all: held-out images are repeated to fill it.
    validation = rows[:, jnp.arange(max(1, rows.shape[1] // HELD_OUT)) % held_out]
    own = jnp.roll(rows, -held_out, 1)
    lessons = Lessons(images, own, outputs[own][:, :, None], validation, outputs[validation][:, :, None])
    trained = train(keys, lessons, count - held_out, width=teacher.width, recipe=Recipe(epochs=teacher.epochs))
    everything = jnp.broadcast_to(jnp.arange(len(images)), (len(keys), len(images)))
    written = predictions(trained.weights, images, everything)[:, :, 0]
    if teacher.temperature is not None:
        written = jax.nn.softmax((written + prior[None, None]) / teacher.temperature, -1) - prior[None, None]
    return Taught(written, _quality(written, outputs, rows[:, :count]))


def _quality(written: jax.Array, outputs: jax.Array, seen: jax.Array) -> jax.Array:
    errors = ((written - outputs[None]) ** 2).sum(2)
    unseen = jax.vmap(lambda rows: jnp.ones(errors.shape[1], bool).at[rows].set(False))(seen)
    return jnp.where(unseen, errors, 0).sum(1) / unseen.sum(1)


def noisy(key: jax.Array, outputs: Any, noise: float) -> jax.Array:
    """Labels with Gaussian noise of standard deviation ``noise`` in each output."""
    return outputs + noise * jax.random.normal(key, outputs.shape, outputs.dtype)
