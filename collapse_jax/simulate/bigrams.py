"""A model of bigrams that counts, drawn: its counts are multinomial, at a cost that does not depend on their number."""

import math
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from collapse_jax import checks
from collapse_jax.simulate.tails import occupancy
from collapse_jax.skills import above_one


class Bigrams(NamedTuple):
    """How well a model of bigrams knows the truth.

    Attributes:
        error: (G,) total variation of the next state, averaged over the truth's first states, from 0 to 2.
        perplexity: (G,) of the truth's pairs, with ``smoothing`` added to each count.
    """

    error: jax.Array
    perplexity: jax.Array


def bigram_error(key: jax.Array, exponent: Any, samples: Any, *, states: int, last: Any = math.inf) -> jax.Array:
    """Total variation of one model that has counted T pairs.

    Args:
        key: a ``jax.random.key``.
        exponent: as for :func:`collapse_jax.theory.bigram_error`.
        samples: as there, rounded.
        states: as there.
        last: as there.

    Example:
        >>> bool(bigram_error(jax.random.key(0), 1.5, 1e12, states=20) < 1e-3)
        True
    """
    given = bigram_generations(key, exponent, checks.real("samples", samples)[None], states=states, last=last)
    return given.error[0]


def bigram_generations(
    key: jax.Array,
    exponent: Any,
    samples: Any,
    *,
    states: int,
    kept: Any = 1.0,
    last: Any = math.inf,
    smoothing: float = 0.01,
) -> Bigrams:
    """A chain of models of bigrams: each counts pairs whose second state the model before it wrote, by top-p sampling.

    Args:
        key: a ``jax.random.key``.
        exponent: beta > 1 of first states and of next states.
        samples: (G,) pairs a generation, rounded. First states are always the truth's.
        states: their number, static.
        kept: p of top-p sampling in (0, 1]: a model writes only the most probable next states that together have p.
        last: the first generation's data are cut behind this rank.
        smoothing: added to each count for the perplexity, which one missing pair would otherwise make infinite.

    Returns:
        :class:`Bigrams` of (G,) arrays.

    Raises:
        ValueError: for values outside their ranges.

    Source: *A Tale of Tails*, Section 4, whose Figure 6 has such chains.

    Example:
        >>> chain = bigram_generations(jax.random.key(0), 1.5, jnp.full(5, 1e5), states=30, kept=0.95)
        >>> bool((jnp.diff(chain.error) > 0).all()), bool(chain.perplexity[-1] > chain.perplexity[0])
        (True, True)
    """
    exponent = checks.real("exponent", exponent)
    checks.scalar("exponent", exponent)
    if isinstance(states, bool) or not isinstance(states, int) or states < 1:
        raise ValueError(f"states is {states!r}; it must be a whole number, at least 1")
    dtype = exponent.dtype
    samples, kept, last = (checks.real(n, v, dtype) for n, v in (("samples", samples), ("kept", kept), ("last", last)))
    if samples.ndim != 1:
        raise ValueError(f"samples has shape {samples.shape}; it must be (G,): one number a generation")
    valid = above_one("exponent", exponent) & checks.at_least_zero("samples", samples)
    valid &= checks.require("kept", kept, lambda x: (x > 0) & (x <= 1), "above 0 and at most 1")
    valid &= checks.require("last", last, lambda x: x >= 1, "at least 1")
    return checks.poison(_chain(key, exponent, samples, kept, last, states, smoothing), valid)


@partial(jax.jit, static_argnums=(5, 6))
def _chain(
    key: jax.Array,
    exponent: jax.Array,
    samples: jax.Array,
    kept: jax.Array,
    last: jax.Array,
    states: int,
    smoothing: float,
) -> Bigrams:
    ranks = jnp.arange(1.0, states + 1, dtype=exponent.dtype)
    law = jnp.exp(-exponent * jnp.log(ranks))
    truth, cut = law / law.sum(), jnp.where(ranks <= last, law, 0)

    def generation(model: jax.Array, inputs: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, Bigrams]:
        key, count = inputs
        first_key, next_key = jax.random.split(key)
        firsts = occupancy(first_key, jnp.round(count), truth)
        pairs = jax.vmap(occupancy)(jax.random.split(next_key, states), firsts, model)
        learned = pairs / jnp.maximum(firsts, 1)[:, None]
        error = (truth * jnp.abs(learned - truth[None]).sum(1)).sum()
        smooth = (pairs + smoothing) / (firsts + smoothing * states)[:, None]
        entropy = -(truth[:, None] * truth[None] * jnp.log(smooth)).sum()
        # A model that has never seen a first state writes anything.
        written = jnp.where(firsts[:, None] > 0, learned, 1 / states)
        return jax.vmap(_nucleus, (0, None))(written, kept), Bigrams(error, jnp.exp(entropy))

    start = jnp.broadcast_to((cut / cut.sum())[None], (states, states))
    return jax.lax.scan(generation, start, (jax.random.split(key, samples.size), samples))[1]


def _nucleus(probability: jax.Array, kept: jax.Array) -> jax.Array:
    """The most probable outcomes that together have probability ``kept``, normalised."""
    order = jnp.argsort(-probability)
    ranked = probability[order]
    inside = jnp.cumsum(ranked) - ranked < kept * (1 - 1e-12)
    chosen = jnp.zeros_like(probability).at[order].set(jnp.where(inside, ranked, 0))
    return chosen / chosen.sum()
