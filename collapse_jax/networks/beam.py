"""Beam search: the likeliest texts that a transformer would write, many prompts at once, in one compiled loop with a cache."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from collapse_jax.networks.gpt import GPT, Cache, empty_cache
from collapse_jax.networks.sampling import checked


class Candidates(NamedTuple):
    """Several continuations of each prompt, the likeliest first.

    Attributes:
        tokens: (B, beams, P + T) texts that begin with their prompts; after its end each has ``stop``, or 0.
        lengths: (B, beams) how many tokens of each count.
        log_probability: (B, beams) of what was added, in nats; ``-inf`` where there are fewer continuations than beams.
    """

    tokens: jax.Array
    lengths: jax.Array
    log_probability: jax.Array


def beam(
    model: GPT,
    prompts: Any,
    lengths: Any = None,
    *,
    beams: int,
    tokens: int,
    stop: int | None = None,
    prefix: bool = False,
) -> Candidates:
    """Continue each prompt by at most ``tokens`` tokens in several likely ways.

    At each step the ``beams`` likeliest beginnings are kept, whole texts among them; probabilities are those of whole texts,
    not divided by their lengths. One beam is what :func:`collapse_jax.networks.sampling.write` writes at temperature 0.

    Args:
        model: the transformer.
        prompts: (B, P) tokens; of a shorter prompt the first count, what follows them does not matter.
        lengths: (B,) tokens of each prompt, 1 to P; P for all when None.
        beams: candidates of each prompt, >= 1.
        tokens: how many to add, >= 1. Prompts and they must fit the context.
        stop: a token that ends a text.
        prefix: whether prompts are seen from everywhere, as a model expects that learned from lessons with a prefix.

    Returns:
        :class:`Candidates`; the stop token counts.

    Raises:
        ValueError: for numbers out of these ranges, or prompts that leave no room in the context.

    Source: *Beyond Model Collapse*, Section 6, whose Table 1 has 5 to 50 beams.

    Example:
        >>> from collapse_jax.networks.gpt import Shape
        >>> model = GPT(Shape(vocabulary=11, context=8, width=12, layers=1, heads=3), rngs=nnx.Rngs(0))
        >>> found = beam(model, jnp.ones((2, 3), int), beams=4, tokens=5)
        >>> found.tokens.shape, bool((found.log_probability[:, :-1] >= found.log_probability[:, 1:]).all())
        ((2, 4, 8), True)
    """
    if isinstance(beams, bool) or not isinstance(beams, int) or beams < 1:
        raise ValueError(f"beams is {beams!r}; it must be a whole number of at least 1")
    prompts, lengths = checked(model, prompts, lengths, tokens, stop)
    graph, weights = nnx.split(model)
    return _beam(graph, weights, prompts, jnp.asarray(lengths, jnp.int32), (beams, tokens, stop, prefix))


class _Step(NamedTuple):
    """Where the loop is: texts (B, beams, P + T), the cache of all of them, which have ended, lengths, log probabilities."""

    at: jax.Array
    texts: jax.Array
    cache: Cache
    ended: jax.Array
    lengths: jax.Array
    scores: jax.Array


@partial(jax.jit, static_argnums=(0, 4))
def _beam(graph: Any, weights: Any, prompts: jax.Array, lengths: jax.Array, rules: Any) -> Candidates:
    beams, tokens, stop, prefix = rules
    model = nnx.merge(graph, weights)
    (batch, width), vocabulary = prompts.shape, model.shape.vocabulary
    blank = 0 if stop is None else stop
    texts = jnp.pad(prompts, ((0, 0), (0, tokens)), constant_values=blank)
    seen = lengths if prefix else None
    _, cache = model.hidden(prompts, prefix=seen, cache=empty_cache(model.shape, batch, width + tokens))
    assert cache is not None
    before = lengths.min() - 1
    cache = _of_beams(cache._replace(length=before), beams)
    seen = None if seen is None else jnp.repeat(seen, beams)
    dead = jnp.where(jnp.arange(beams) == 0, 0.0, -jnp.inf).astype(jnp.float32)

    def step(now: _Step) -> _Step:
        read = jax.lax.dynamic_slice_in_dim(now.texts, now.at, 1, 2).reshape(batch * beams, 1)
        hidden, cache = model.hidden(read, prefix=seen, cache=now.cache)
        logs = jax.nn.log_softmax(model.logits(hidden[:, 0]), -1).reshape(batch, beams, vocabulary)
        told = now.at + 1 < lengths  # the prompt says how it goes on
        free = ~told & (now.at + 1 < lengths + tokens)
        still = ~free[:, None] | now.ended
        # A text that does not go on has one continuation, itself.
        itself = jnp.where(jnp.arange(vocabulary) == blank, 0.0, -jnp.inf).astype(logs.dtype)
        scores = now.scores[..., None] + jnp.where(still[..., None], itself[None, None], logs)
        best, place = jax.lax.top_k(scores.reshape(batch, beams * vocabulary), beams)
        parents = jnp.where(free[:, None], place // vocabulary, jnp.arange(beams)[None])
        old = jax.lax.dynamic_slice_in_dim(now.texts, now.at + 1, 1, 2)[..., 0]
        following = jnp.where(free[:, None], place % vocabulary, old).astype(now.texts.dtype)
        ended, filled = (jnp.take_along_axis(x, parents, 1) for x in (now.ended, now.lengths))
        grown = filled + (free[:, None] & ~ended)
        if stop is not None:
            ended = ended | (free[:, None] & (following == stop))
        chosen = jnp.take_along_axis(now.texts, parents[..., None], 1)
        chosen = jax.lax.dynamic_update_slice_in_dim(chosen, following[..., None], now.at + 1, 2)
        scores = jnp.where(free[:, None], best, now.scores)
        return _Step(now.at + 1, chosen, _reordered(cache, parents), ended, grown, scores)

    start = _Step(
        before,
        jnp.repeat(texts[:, None], beams, 1),
        cache,
        jnp.zeros((batch, beams), bool),
        jnp.repeat(lengths[:, None], beams, 1),
        jnp.repeat(dead[None], batch, 0),
    )
    last = width + tokens - 1
    final = jax.lax.while_loop(lambda now: (now.at < last) & ~now.ended.all(), step, start)
    places = jnp.arange(width + tokens)[None, None]
    found = jnp.where(places < final.lengths[..., None], final.texts, blank)
    return Candidates(found, final.lengths, final.scores)


def _of_beams(cache: Cache, beams: int) -> Cache:
    """The cache of each prompt, once for each beam."""
    return Cache(
        tuple(jnp.repeat(kept, beams, 0) for kept in cache.keys),
        tuple(jnp.repeat(kept, beams, 0) for kept in cache.values),
        cache.length,
    )


def _reordered(cache: Cache, parents: jax.Array) -> Cache:
    """The cache whose beams are those of their parents (B, beams)."""
    batch, beams = parents.shape
    rows = (jnp.arange(batch)[:, None] * beams + parents).ravel()
    return Cache(tuple(kept[rows] for kept in cache.keys), tuple(kept[rows] for kept in cache.values), cache.length)
