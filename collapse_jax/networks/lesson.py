"""What a transformer learns from in one step: windows of tokens, what of them all positions see, which of them count."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from collapse_jax.networks.gpt import GPT, Shape


class Lesson(NamedTuple):
    """Windows of tokens; leading axes, such as networks or steps, are allowed.

    Attributes:
        tokens: (B, length + 1); each but the first is to be foretold from those before it.
        prefix: (B,) how many first tokens, such as a question's, are seen from all positions; None for none.
        counted: (B, length) whether the loss counts the token that follows; None for all.
    """

    tokens: Any
    prefix: Any = None
    counted: Any = None


def lesson(given: Any) -> Lesson:
    """A lesson as it is, and plain windows as one that counts every token.

    Example:
        >>> lesson(np.zeros((2, 5), int)).prefix is None
        True
    """
    found = given if isinstance(given, Lesson) else Lesson(given)
    cast = np.asarray if isinstance(found.tokens, np.ndarray) else jnp.asarray
    return Lesson(
        cast(found.tokens, np.int32),
        None if found.prefix is None else cast(found.prefix, np.int32),
        None if found.counted is None else cast(found.counted, bool),
    )


def stacked(lessons: Iterable[Any]) -> Lesson:
    """Lessons of equal shapes along a new first axis."""
    all_of_them = [lesson(one) for one in lessons]
    return jax.tree.map(lambda *arrays: np.stack(arrays), *all_of_them)


def surprises(model: GPT, given: Lesson, key: jax.Array | None = None) -> jax.Array:
    """(B, length) cross entropy of each next token in nats, 0 where it is not counted; with a ``key``, under dropout.

    Example:
        >>> from flax import nnx
        >>> model = GPT(Shape(vocabulary=7, context=8, width=4, layers=1, heads=1), rngs=nnx.Rngs(0))
        >>> surprises(model, lesson(jnp.ones((2, 5), int))).shape
        (2, 4)
    """
    logits, following = model(given.tokens[:, :-1], prefix=given.prefix, key=key), given.tokens[:, 1:]
    highest = jax.lax.stop_gradient(logits.max(-1, keepdims=True))
    total = jnp.log(jnp.exp(logits - highest).sum(-1)) + highest[..., 0]
    found = total - jnp.take_along_axis(logits, following[..., None], -1)[..., 0]
    return found if given.counted is None else jnp.where(given.counted, found, 0)


def loss_of(model: GPT, given: Any, key: jax.Array | None = None) -> jax.Array:
    """(B,) mean cross entropy of the counted tokens of each window, in nats a token.

    Example:
        >>> from flax import nnx
        >>> model = GPT(Shape(vocabulary=7, context=8, width=4, layers=1, heads=1), rngs=nnx.Rngs(0))
        >>> loss_of(model, jnp.ones((2, 5), int)).round().tolist()
        [2.0, 2.0]
    """
    given = lesson(given)
    found = surprises(model, given, key)
    return found.mean(1) if given.counted is None else found.sum(1) / given.counted.sum(1)


def check_lesson(name: str, given: Lesson, shape: Shape) -> None:
    """Complain of windows that a transformer of this shape cannot read.

    Raises:
        ValueError: for windows longer than the context, tokens that the vocabulary lacks, or a window of which nothing counts.
    """
    if given.tokens.ndim < 2 or 0 in given.tokens.shape or not 2 <= given.tokens.shape[-1] <= shape.context + 1:
        raise ValueError(
            f"{name} has shape {given.tokens.shape}; it must be (windows, length + 1), with a length of 1 to {shape.context}, "
            "the context. Use shorter windows, or a shape with a larger context"
        )
    if given.tokens.min() < 0 or given.tokens.max() >= shape.vocabulary:
        wrong = int(given.tokens.max() if given.tokens.min() >= 0 else given.tokens.min())
        raise ValueError(f"{name} has the token {wrong}; the vocabulary has {shape.vocabulary} tokens, from 0 on")
    if given.counted is not None and not given.counted.any(-1).all():
        raise ValueError(f"{name} has a window of which no token counts; each needs one at least")
