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
        return _writer(pairs, kept), _known(pairs, truth, smoothing)

    start = jnp.broadcast_to((cut / cut.sum())[None], (states, states))
    return jax.lax.scan(generation, start, (jax.random.split(key, samples.size), samples))[1]


def bigram_mixture(
    key: jax.Array,
    exponent: Any,
    real: Any,
    written: Any,
    *,
    states: int,
    generator: Any = math.inf,
    kept: Any = 1.0,
    smoothing: float = 0.01,
) -> Bigrams:
    """A model of bigrams that counts pairs of the truth and pairs that another model wrote.

    Args:
        key: a ``jax.random.key``; a generator is the same for all numbers of pairs under one key.
        exponent: beta > 1 of first states and of next states.
        real: () pairs of the truth, rounded, and ``written``, pairs of the generator.
        states: their number, static.
        generator: () pairs of the truth that the generator has counted, rounded; infinite for one that knows it.
        kept: p in (0, 1] of the generator's top-p sampling.
        smoothing: as for :func:`bigram_generations`.

    Returns:
        :class:`Bigrams` of () arrays.

    Raises:
        ValueError: for values outside their ranges.

    Source: *A Tale of Tails*, Section 4, whose Figures 17 to 19 mix such pairs.

    Example:
        >>> def error(real, written):
        ...     return float(bigram_mixture(jax.random.key(0), 1.5, real, written, states=30, generator=1e4, kept=0.9).error)
        >>> error(real=1e6, written=0) < error(real=1e6, written=1e6) < error(real=0, written=1e6)
        True
    """
    exponent = checks.real("exponent", exponent)
    checks.scalar("exponent", exponent)
    if isinstance(states, bool) or not isinstance(states, int) or states < 1:
        raise ValueError(f"states is {states!r}; it must be a whole number, at least 1")
    given, valid = [], above_one("exponent", exponent)
    for name, value in (("real", real), ("written", written), ("generator", generator), ("kept", kept)):
        given.append(checks.real(name, value, exponent.dtype))
        checks.scalar(name, given[-1])
    valid &= checks.at_least_zero("real", given[0]) & checks.at_least_zero("written", given[1])
    valid &= checks.require("generator", given[2], lambda x: x >= 0, "at least 0")
    valid &= checks.require("kept", given[3], lambda x: (x > 0) & (x <= 1), "above 0 and at most 1")
    return checks.poison(_mixture(key, exponent, *given, states, smoothing), valid)


@partial(jax.jit, static_argnums=(6, 7))
def _mixture(
    key: jax.Array,
    exponent: jax.Array,
    real: jax.Array,
    written: jax.Array,
    generator: jax.Array,
    kept: jax.Array,
    states: int,
    smoothing: float,
) -> Bigrams:
    law = jnp.exp(-exponent * jnp.log(jnp.arange(1.0, states + 1, dtype=exponent.dtype)))
    truth = law / law.sum()
    every = jnp.broadcast_to(truth[None], (states, states))

    def pairs(which: int, count: jax.Array, model: jax.Array) -> jax.Array:
        first_key, next_key = jax.random.split(jax.random.fold_in(key, which))
        firsts = occupancy(first_key, jnp.round(count), truth)
        return jax.vmap(occupancy)(jax.random.split(next_key, states), firsts, model)

    finite = jnp.isfinite(generator)
    learned = jnp.where(finite, pairs(0, jnp.where(finite, generator, 0), every), every)
    return _known(pairs(1, real, every) + pairs(2, written, _writer(learned, kept)), truth, smoothing)


def _known(pairs: jax.Array, truth: jax.Array, smoothing: float) -> Bigrams:
    """How well counts (states, states) know the truth."""
    firsts = pairs.sum(1)
    learned = pairs / jnp.maximum(firsts, 1)[:, None]
    error = (truth * jnp.abs(learned - truth[None]).sum(1)).sum()
    smooth = (pairs + smoothing) / (firsts + smoothing * truth.size)[:, None]
    entropy = -(truth[:, None] * truth[None] * jnp.log(smooth)).sum()
    return Bigrams(error, jnp.exp(entropy))


def _writer(pairs: jax.Array, kept: jax.Array) -> jax.Array:
    """What a model of these counts writes after each state; anything after one that it has never seen."""
    firsts = pairs.sum(1)[:, None]
    learned = jnp.where(firsts > 0, pairs / jnp.where(firsts > 0, firsts, 1), 1 / len(pairs))
    return jax.vmap(_nucleus, (0, None))(learned, kept)


def _nucleus(probability: jax.Array, kept: jax.Array) -> jax.Array:
    """The most probable outcomes that together have probability ``kept``, normalised."""
    order = jnp.argsort(-probability)
    ranked = probability[order]
    inside = jnp.cumsum(ranked) - ranked < kept * (1 - 1e-12)
    chosen = jnp.zeros_like(probability).at[order].set(jnp.where(inside, ranked, 0))
    return chosen / chosen.sum()
