"""Transformers that summarise: what they write, and how likely they find the summaries of others."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from collapse_jax.networks.gpt import GPT
from collapse_jax.networks.lesson import Lesson, surprises
from collapse_jax.networks.sampling import write
from collapse_jax.summaries_study.reading import Sheet, lessons
from collapse_jax.summaries_study.sizes import Size


def summarised(model: GPT, size: Size, sheet: Sheet, end: int) -> np.ndarray:
    """(N, A) uint16 tokens of the likeliest summaries, token by token; the end in all that follows it."""
    key = jax.random.key(0)

    def said(asked: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        found = write(model, key, asked, lengths, tokens=size.said, temperature=0.0, stop=end, prefix=True)
        places = lengths[:, None] + np.arange(size.said)
        return np.take_along_axis(np.asarray(found.tokens), places, 1).astype(np.uint16)

    return _in_pieces(size.together, said, sheet.asked, sheet.lengths)


def log_perplexity(model: GPT, size: Size, sheet: Sheet, said: np.ndarray, end: int) -> np.ndarray:
    """(N,) mean surprise of the tokens of each summary, in nats a token: the logarithm of its perplexity."""
    graph, weights = nnx.split(model)

    def found(asked: np.ndarray, lengths: np.ndarray, said: np.ndarray) -> np.ndarray:
        rows = jax.tree.map(jnp.asarray, lessons(asked, lengths, said, end))
        return np.asarray(_log_perplexity(graph, weights, rows))

    return _in_pieces(size.together, found, sheet.asked, sheet.lengths, said)


@partial(jax.jit, static_argnums=0)
def _log_perplexity(graph: Any, weights: Any, rows: Lesson) -> jax.Array:
    assert rows.counted is not None
    return surprises(nnx.merge(graph, weights), rows).sum(-1) / rows.counted.sum(-1)


def _in_pieces(together: int, compute: Callable[..., np.ndarray], *arrays: np.ndarray) -> np.ndarray:
    """Results of a function that is compiled for ``together`` rows; the last piece is filled up."""
    found, count = [], len(arrays[0])
    for start in range(0, count, together):
        rows = np.arange(start, start + together)
        found.append(compute(*(array[rows % count] for array in arrays))[: count - start])
    return np.concatenate(found)
