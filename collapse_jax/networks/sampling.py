"""What a transformer writes: many texts at once, a token a step, in one compiled loop with a cache of keys and values."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from collapse_jax import checks
from collapse_jax.networks.gpt import GPT, empty_cache, longer_cache

TOGETHER = 16  # tokens that all prompts have are read in multiples of this, so that few programs are compiled
ROOM = 32  # tokens that a cache begins with; it doubles, so that attention reads at most twice what is filled


class Written(NamedTuple):
    """Texts (B, P + T) that begin with their prompts, and how many tokens of each count (B,); the rest is ``stop``, or 0."""

    tokens: jax.Array
    lengths: jax.Array


def write(
    model: GPT,
    key: jax.Array,
    prompts: Any,
    lengths: Any = None,
    *,
    tokens: int,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    stop: int | None = None,
    prefix: bool = False,
) -> Written:
    """Continue each prompt by at most ``tokens`` tokens.

    Args:
        model: the transformer.
        key: a ``jax.random.key``.
        prompts: (B, P) tokens; of a shorter prompt the first count, what follows them does not matter.
        lengths: (B,) tokens of each prompt, 1 to P; P for all when None.
        tokens: how many to add, >= 1. Prompts and they must fit the context.
        temperature: divides the logits; 0 takes the likeliest token.
        top_k: only the so many likeliest tokens are drawn.
        top_p: only the fewest tokens whose probabilities reach this are drawn, in (0, 1].
        stop: a token that ends a text.
        prefix: whether prompts are seen from everywhere, as a model expects that learned from lessons with a prefix.

    Returns:
        :class:`Written`; the stop token counts.

    Raises:
        ValueError: for numbers out of these ranges, or prompts that leave no room in the context.

    Source: Holtzman et al., *The curious case of neural text degeneration* (2020), for ``top_p``.

    Example:
        >>> from collapse_jax.networks.gpt import Shape
        >>> model = GPT(Shape(vocabulary=11, context=8, width=12, layers=1, heads=3), rngs=nnx.Rngs(0))
        >>> write(model, jax.random.key(0), jnp.ones((2, 3), int), tokens=5).tokens.shape
        (2, 8)
    """
    prompts, lengths = checked(model, prompts, lengths, tokens, stop)
    _check_rules(model, temperature, top_k, top_p)
    together = int(lengths.min()) - 1
    # What is seen from everywhere must be read at once.
    together = prompts.shape[1] if prefix else together - together % TOGETHER
    graph, weights = nnx.split(model)
    rules = (tokens, top_k, top_p is not None, stop, temperature == 0, together, prefix)
    numbers = jnp.asarray([temperature or 1.0, 1.0 if top_p is None else top_p], jnp.float32)
    return _write(graph, weights, key, prompts, jnp.asarray(lengths, jnp.int32), numbers, rules)


class _Step(NamedTuple):
    """Where the loop is: texts (B, P + T), the cache, which texts have ended and their lengths, the next random key."""

    at: jax.Array
    texts: jax.Array
    cache: Any
    ended: jax.Array
    lengths: jax.Array
    key: jax.Array


@partial(jax.jit, static_argnums=(0, 6))
def _write(
    graph: Any, weights: Any, key: jax.Array, prompts: jax.Array, lengths: jax.Array, numbers: jax.Array, rules: Any
) -> Written:
    tokens, top_k, by_mass, stop, greedy, together, prefix = rules
    model = nnx.merge(graph, weights)
    batch, width = prompts.shape
    texts = jnp.pad(prompts, ((0, 0), (0, tokens)), constant_values=0 if stop is None else stop)
    rooms = _rooms(together, width + tokens)
    cache = empty_cache(model.shape, batch, rooms[0])
    seen, start_at = (lengths, lengths.min() - 1) if prefix else (None, jnp.asarray(together, jnp.int32))
    if together:
        _, cache = model.hidden(prompts[:, :together], prefix=seen, cache=cache)
        cache = cache._replace(length=start_at)

    def step(now: _Step) -> _Step:
        read = jax.lax.dynamic_slice_in_dim(now.texts, now.at, 1, 1)
        hidden, cache = model.hidden(read, prefix=seen, cache=now.cache)
        key, own = jax.random.split(now.key)
        logits = model.logits(hidden[:, 0]) / numbers[0]
        drawn = logits.argmax(-1) if greedy else _drawn(own, _likely(logits, top_k, by_mass, numbers[1]))
        given = now.at + 1 < lengths
        old = jax.lax.dynamic_slice_in_dim(now.texts, now.at + 1, 1, 1)[:, 0]
        free = ~given & ~now.ended & (now.at + 1 < lengths + tokens)
        following = jnp.where(free, drawn, jnp.where(given, old, 0 if stop is None else stop)).astype(texts.dtype)
        ended = now.ended if stop is None else now.ended | (free & (following == stop))
        return _Step(
            now.at + 1,
            jax.lax.dynamic_update_slice_in_dim(now.texts, following[:, None], now.at + 1, 1),
            cache,
            ended,
            now.lengths + free,
            key,
        )

    start = _Step(start_at, texts, cache, jnp.zeros(batch, bool), lengths.astype(jnp.int32), key)
    final = start
    for room in rooms:
        final = final._replace(cache=longer_cache(final.cache, room))
        last = min(room, width + tokens - 1)
        final = jax.lax.while_loop(lambda now, last=last: (now.at < last) & ~now.ended.all(), step, final)
    places = jnp.arange(width + tokens)[None, :]
    blank = 0 if stop is None else stop
    return Written(jnp.where(places < final.lengths[:, None], final.texts, blank), final.lengths)


def _rooms(filled: int, total: int) -> list[int]:
    """How many tokens the cache has room for, one value after the other."""
    rooms = [max(ROOM, 2 * filled)]
    while rooms[-1] < total:
        rooms.append(2 * rooms[-1])
    return [*rooms[:-1], total]


def _drawn(key: jax.Array, logits: jax.Array) -> jax.Array:
    """(B,) a token of each distribution: one random number a row, where Gumbel's way takes one a token."""
    weights = jnp.exp(logits - logits.max(-1, keepdims=True))
    # Sums in parallel need not rise from one token to the next: a token of weight 0 is left out by name.
    upto = jnp.where(weights > 0, jnp.cumsum(weights, -1), 0)
    point = (1 - jax.random.uniform(key, (len(logits), 1), logits.dtype)) * upto.max(-1, keepdims=True)
    return (upto >= point).argmax(-1)


def _likely(logits: jax.Array, top_k: int | None, by_mass: bool, top_p: jax.Array) -> jax.Array:
    """Logits with ``-inf`` for tokens that are not to be drawn."""
    if top_k is not None:
        least = jax.lax.top_k(logits, top_k)[0][:, -1:]
        logits = jnp.where(logits < least, -jnp.inf, logits)
    if by_mass:
        falling = -jnp.sort(-logits, axis=-1)
        shares = jax.nn.softmax(falling, -1)
        before = jnp.cumsum(shares, -1) - shares
        least = jnp.where(before < top_p, falling, jnp.inf).min(-1, keepdims=True)
        logits = jnp.where(logits < least, -jnp.inf, logits)
    return logits


def checked(model: GPT, prompts: Any, lengths: Any, tokens: int, stop: int | None) -> tuple[jax.Array, np.ndarray]:
    """Prompts and their lengths as arrays.

    Raises:
        ValueError: where they, ``tokens`` or ``stop`` do not fit the model.
    """
    prompts, vocabulary = jnp.asarray(prompts, jnp.int32), model.shape.vocabulary
    if prompts.ndim != 2 or 0 in prompts.shape:
        raise ValueError(f"prompts has shape {prompts.shape}; it must be (B, P), with at least one token")
    width = prompts.shape[1]
    lengths = np.full(len(prompts), width) if lengths is None else np.asarray(lengths)
    if lengths.shape != (len(prompts),) or lengths.min() < 1 or lengths.max() > width:
        raise ValueError(
            f"lengths is {lengths}; it must have a number from 1 to {width} for each of {len(prompts)} prompts"
        )
    if isinstance(tokens, bool) or not isinstance(tokens, int) or tokens < 1 or width + tokens > model.shape.context:
        raise ValueError(
            f"tokens is {tokens!r}; it must be at least 1, and with prompts of {width} at most the context, "
            f"{model.shape.context}"
        )
    if stop is not None and not 0 <= stop < vocabulary:
        raise ValueError(f"stop is {stop}; it must be a token, 0 to {vocabulary - 1}, or None")
    return prompts, lengths


def _check_rules(model: GPT, temperature: float, top_k: int | None, top_p: float | None) -> None:
    checks.at_least_zero("temperature", temperature)
    if top_k is not None and not 1 <= top_k <= model.shape.vocabulary:
        raise ValueError(f"top_k is {top_k}; it must be from 1 to {model.shape.vocabulary}, the vocabulary, or None")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"top_p is {top_p}; it must lie in (0, 1], or be None")
