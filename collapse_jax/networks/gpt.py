"""A GPT-2-style transformer: learned positions, norms before the sub-layers, GELU, output weights tied to the embedding."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx


@dataclass(frozen=True)
class Shape:
    """How large a transformer is, and in what it computes.

    Attributes:
        vocabulary: tokens that there are.
        context: tokens that it sees at most.
        width: of the residual stream; ``heads`` divides it.
        layers: blocks of attention and perceptron.
        heads: of attention.
        bias: whether linear layers and norms have one.
        dropout: share of activations that training sets to 0.
        dtype: of the computation, such as ``jnp.bfloat16``; parameters are float32 whatever it is.
        remat: whether the backward pass computes each block's activations again instead of keeping them.

    Example:
        >>> Shape(vocabulary=50, context=16, width=30, layers=2, heads=4)
        Traceback (most recent call last):
        ValueError: heads is 4; it must divide the width, 30
    """

    vocabulary: int = 50257
    context: int = 1024
    width: int = 768
    layers: int = 12
    heads: int = 12
    bias: bool = True
    dropout: float = 0.0
    dtype: Any = jnp.float32
    remat: bool = False

    def __post_init__(self) -> None:
        for name in ("vocabulary", "context", "width", "layers", "heads"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} is {value!r}; it must be a whole number of at least 1")
        if self.width % self.heads:
            raise ValueError(f"heads is {self.heads}; it must divide the width, {self.width}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout}; it must lie in [0, 1)")


GPT2 = Shape()
SHAPES = {
    "tiny": Shape(vocabulary=512, context=128, width=96, layers=4, heads=4),
    "small": Shape(vocabulary=4096, context=256, width=256, layers=6, heads=8),
    "gpt2-small": GPT2,
    "gpt2-18": replace(GPT2, layers=18),
    "gpt2-24": replace(GPT2, layers=24),
}


def shape(name: str, **changes: Any) -> Shape:
    """A named shape, with changes.

    Raises:
        ValueError: for an unknown name.

    Example:
        >>> shape("gpt2-small", context=512).layers
        12
    """
    if name not in SHAPES:
        raise ValueError(f"shape is {name!r}; it must be one of {', '.join(SHAPES)}, or a Shape")
    return replace(SHAPES[name], **changes)


class Cache(NamedTuple):
    """Keys and values (batch, heads, room, width / heads) of each layer for the tokens before, and how many there are."""

    keys: tuple[jax.Array, ...]
    values: tuple[jax.Array, ...]
    length: jax.Array


class Block(nnx.Module):
    """Attention to the tokens before, then a perceptron, each added to what comes in."""

    def __init__(self, shape: Shape, *, rngs: nnx.Rngs) -> None:
        width, dtype = shape.width, shape.dtype
        small = nnx.initializers.normal(0.02)
        # Sums of 2 layers residuals keep their size.
        smaller = nnx.initializers.normal(0.02 / (2 * shape.layers) ** 0.5)

        def linear(inputs: int, outputs: int, kernel: Any = small) -> nnx.Linear:
            return nnx.Linear(inputs, outputs, use_bias=shape.bias, kernel_init=kernel, dtype=dtype, rngs=rngs)

        def norm() -> nnx.LayerNorm:
            return nnx.LayerNorm(width, epsilon=1e-5, use_bias=shape.bias, dtype=dtype, rngs=rngs)

        self.heads, self.dropout = shape.heads, shape.dropout
        self.before_attention, self.before_perceptron = norm(), norm()
        self.queries_keys_values, self.attended = linear(width, 3 * width), linear(width, width, smaller)
        self.inner, self.outer = linear(width, 4 * width), linear(4 * width, width, smaller)

    def __call__(
        self,
        x: jax.Array,
        mask: jax.Array,
        past: tuple[jax.Array, jax.Array, jax.Array] | None = None,
        key: jax.Array | None = None,
    ) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        """(B, T, width) for (B, T, width), and the keys and values of all tokens, those of the ``past`` included."""
        batch, tokens, width = x.shape
        split = self.queries_keys_values(self.before_attention(x)).reshape(batch, tokens, 3, self.heads, -1)
        queries, keys, values = split.transpose(2, 0, 3, 1, 4)
        if past is not None:
            zero = jnp.zeros_like(past[2])
            start = (zero, zero, past[2], zero)
            keys, values = (
                jax.lax.dynamic_update_slice(old, new.astype(old.dtype), start)
                for old, new in zip(past[:2], (keys, values), strict=True)
            )
        seen = attention(queries, keys, values, mask).transpose(0, 2, 1, 3)
        one, two = (None, None) if key is None else jax.random.split(key)
        x = x + _dropped(self.attended(seen.reshape(batch, tokens, width)), self.dropout, one)
        inner = jax.nn.gelu(self.inner(self.before_perceptron(x)), approximate=True)
        return x + _dropped(self.outer(inner), self.dropout, two), (keys, values)


class GPT(nnx.Module):
    """The transformer: logits of the next token at every position.

    Args:
        shape: its sizes.
        rngs: draws the weights: normal, 0.02, residual layers less, as GPT-2.

    Source: Radford et al., *Language models are unsupervised multitask learners* (2019).

    Example:
        >>> model = GPT(Shape(vocabulary=11, context=8, width=12, layers=2, heads=3), rngs=nnx.Rngs(0))
        >>> model(jnp.zeros((2, 5), int)).shape
        (2, 5, 11)
    """

    def __init__(self, shape: Shape, *, rngs: nnx.Rngs) -> None:
        self.shape = shape
        drawn = nnx.initializers.normal(0.02)
        self.tokens = nnx.Param(drawn(rngs.params(), (shape.vocabulary, shape.width)))
        self.positions = nnx.Param(drawn(rngs.params(), (shape.context, shape.width)))
        self.blocks = nnx.List([Block(shape, rngs=rngs) for _ in range(shape.layers)])
        self.last = nnx.LayerNorm(shape.width, epsilon=1e-5, use_bias=shape.bias, dtype=shape.dtype, rngs=rngs)

    def __call__(
        self, tokens: jax.Array, *, prefix: jax.Array | None = None, key: jax.Array | None = None
    ) -> jax.Array:
        """(B, T, vocabulary) float32 logits for (B, T) tokens.

        Positions before ``prefix`` (B,) are seen from all positions. A ``key`` turns dropout on.
        """
        return self.logits(self.hidden(tokens, prefix=prefix, key=key)[0])

    def logits(self, hidden: jax.Array) -> jax.Array:
        """(..., vocabulary) logits of what the last norm gives."""
        table = self.tokens[...].astype(self.shape.dtype)
        return jnp.einsum("...w,vw->...v", hidden, table, preferred_element_type=jnp.float32)

    def hidden(
        self,
        tokens: jax.Array,
        *,
        prefix: jax.Array | None = None,
        cache: Cache | None = None,
        key: jax.Array | None = None,
    ) -> tuple[jax.Array, Cache | None]:
        """(B, T, width) before the output layer; with a ``cache``, of tokens that follow those in it, and the longer cache."""
        length = tokens.shape[1]
        if length > self.shape.context:
            raise ValueError(f"tokens has {length} in a row; this model sees {self.shape.context} at most")
        start = 0 if cache is None else cache.length
        keys = [None] * (self.shape.layers + 1) if key is None else list(jax.random.split(key, self.shape.layers + 1))
        rows = jax.lax.dynamic_slice_in_dim(self.positions[...], start, length)
        x = (self.tokens[...][tokens] + rows[None]).astype(self.shape.dtype)
        x = _dropped(x, self.shape.dropout, keys[-1])
        mask = _mask(length, length if cache is None else cache.keys[0].shape[2], start, prefix)
        found = []
        for i, block in enumerate(self.blocks):
            past = None if cache is None else (cache.keys[i], cache.values[i], cache.length)
            if self.shape.remat and cache is None:
                graph, weights = nnx.split(block)
                x = jax.checkpoint(lambda w, x, k, graph=graph: nnx.merge(graph, w)(x, mask, None, k)[0])(
                    weights, x, keys[i]
                )
            else:
                x, kept = block(x, mask, past, keys[i])
                found.append(kept)
        if cache is not None:
            kept_keys, kept_values = zip(*found, strict=True)
            cache = Cache(tuple(kept_keys), tuple(kept_values), cache.length + length)
        return self.last(x), cache


def _dropped(x: jax.Array, share: float, key: jax.Array | None) -> jax.Array:
    """``x`` with a share of its entries 0 and the others larger; all of it without a key."""
    if key is None or share == 0:
        return x
    return jnp.where(jax.random.bernoulli(key, 1 - share, x.shape), x / (1 - share), 0)


def attention(queries: jax.Array, keys: jax.Array, values: jax.Array, mask: jax.Array) -> jax.Array:
    """(B, heads, Q, d) what (B, heads, Q, d) queries see of (B, heads, K, d) keys and values, where a mask allows.

    Example:
        >>> x = jnp.ones((1, 2, 3, 4))
        >>> attention(x, x, x, jnp.tril(jnp.ones((1, 1, 3, 3), bool))).shape
        (1, 2, 3, 4)
    """
    scores = jnp.einsum(
        "bhqd,bhkd->bhqk", queries * queries.shape[-1] ** -0.5, keys, preferred_element_type=jnp.float32
    )
    shares = jax.nn.softmax(jnp.where(mask, scores, -jnp.inf), -1).astype(values.dtype)
    return jnp.einsum("bhqk,bhkd->bhqd", shares, values)


def _mask(queries: int, keys: int, start: Any, prefix: jax.Array | None) -> jax.Array:
    """(B or 1, 1, queries, keys) whether a query, the first of which is at ``start``, sees a key."""
    own = start + jnp.arange(queries)[:, None]
    seen = (jnp.arange(keys)[None, :] <= own)[None, None]
    if prefix is not None:
        seen = seen | (jnp.arange(keys)[None, None, None, :] < prefix[:, None, None, None])
    return seen


def empty_cache(shape: Shape, batch: int, room: int | None = None) -> Cache:
    """A cache before the first token, with room for some tokens; for the whole context when None."""
    room = shape.context if room is None else room
    zeros = jnp.zeros((batch, shape.heads, room, shape.width // shape.heads), shape.dtype)
    return Cache((zeros,) * shape.layers, (zeros,) * shape.layers, jnp.zeros((), jnp.int32))


def longer_cache(cache: Cache, room: int) -> Cache:
    """The same with more room."""

    def padded(kept: jax.Array) -> jax.Array:
        return jnp.pad(kept, ((0, 0), (0, 0), (0, room - kept.shape[2]), (0, 0)))

    return Cache(tuple(map(padded, cache.keys)), tuple(map(padded, cache.values)), cache.length)


def graph_of(shape: Shape) -> Any:
    """What makes weights a :class:`GPT` again."""
    return nnx.split(_like(shape))[0]


def weights_of(model: GPT) -> dict[str, np.ndarray]:
    """The weights as arrays with names, such as a file keeps."""
    return {f"weights{i:03}": np.asarray(leaf) for i, leaf in enumerate(jax.tree.leaves(nnx.state(model)))}


def model_of(shape: Shape, arrays: Mapping[str, np.ndarray]) -> GPT:
    """The transformer of :func:`weights_of`; other arrays may be among its own.

    Example:
        >>> shape = Shape(vocabulary=11, context=8, width=12, layers=1, heads=3)
        >>> model, tokens = GPT(shape, rngs=nnx.Rngs(0)), jnp.zeros((1, 5), int)
        >>> bool((model_of(shape, weights_of(model))(tokens) == model(tokens)).all())
        True
    """
    graph, like = nnx.split(_like(shape))
    leaves = [jnp.asarray(arrays[name]) for name in sorted(arrays) if name.startswith("weights")]
    return nnx.merge(graph, jax.tree.unflatten(jax.tree.structure(like), leaves))


@lru_cache
def parameters(shape: Shape) -> int:
    """Number of parameters, counted without making them.

    Example:
        >>> f"{parameters(SHAPES['gpt2-small']):,}"
        '124,439,808'
    """
    return sum(leaf.size for leaf in jax.tree.leaves(nnx.state(_like(shape), nnx.Param)))


def _like(shape: Shape) -> GPT:
    """A transformer without numbers."""
    return nnx.eval_shape(lambda: GPT(shape, rngs=nnx.Rngs(0)))
