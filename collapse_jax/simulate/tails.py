"""Models that memorise, by occupancy: which skills T draws show, at a cost that does not depend on T.

A test set of a few thousand skills is drawn by strata: each of the first skills, then one skill from each of many stretches,
which counts for as much probability as its stretch has. How often the training data show these skills, and all others
together, is one multinomial draw; the skills of a chain of models form a Markov chain. So the law is that of T draws.
"""

import itertools
import math
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from collapse_jax import checks
from collapse_jax.skills import Skills, amplitudes, checked, checked_chain, tail_sum, zipf

EXACT = 128  # the first skills, each tested
FAR = 2.0**50  # beyond it whole numbers are no longer told apart
RATIO = 1.035  # of the ends of a stretch
EDGES = np.unique(
    np.concatenate([np.arange(EXACT + 1.0), np.floor(EXACT * RATIO ** np.arange(1, 865)), [FAR]]).clip(max=FAR)
)


class Probe(NamedTuple):
    """A test set: skills (S,), and the probabilities that they stand for (S,), normalised."""

    skills: jax.Array
    weights: jax.Array


def tail_error(key: jax.Array, exponent: Any, data: Skills, samples: Any, *, totals: str = "fixed") -> jax.Array:
    """Error of one model that has seen the skills in T samples, on a test set of some 1,000 skills drawn by strata.

    Args:
        key: a ``jax.random.key``.
        exponent: as for :func:`collapse_jax.theory.tail_error`.
        data: as there.
        samples: as there; rounded to a whole number with ``totals="fixed"``.
        totals: as there.

    Returns:
        () one draw, of training set and test set. Its mean over keys is the theory's, exactly; its cost is the same for any T.

    Raises:
        ValueError: as the theory.

    Example:
        >>> import collapse_jax as cj
        >>> errors = jax.vmap(lambda key: cj.simulate.tail_error(key, 1.5, cj.skills.zipf(1.5), 1e12))(
        ...     jax.random.split(jax.random.key(0), 4))
        >>> bool((abs(errors / cj.theory.tail_error(1.5, cj.skills.zipf(1.5), 1e12) - 1) < 0.3).all())
        True
    """
    exponent, data, valid = checked(exponent, data)
    samples = checks.real("samples", samples, exponent.dtype)
    checks.scalar("samples", samples)
    valid &= checks.at_least_zero("samples", samples)
    if totals not in ("fixed", "poisson"):
        raise ValueError(f'totals is {totals!r}; it must be "fixed" or "poisson"')
    return checks.poison(_chain(key, exponent, data, samples[None], jnp.zeros_like(samples)[None], totals)[0], valid)


def tail_generations(
    key: jax.Array, exponent: Any, samples: Any, real: Any = 0.0, *, data: Skills | None = None
) -> jax.Array:
    """Errors of one chain of models, each trained on samples of the one before.

    Args:
        key: a ``jax.random.key``.
        exponent: as for :func:`collapse_jax.theory.tail_generations`.
        samples: as there, rounded: exactly so many.
        real: as there; the number of real samples is rounded.
        data: as there.

    Returns:
        (G,) errors of one draw of all training sets, on one test set drawn by strata.

    Raises:
        ValueError: as the theory.

    Example:
        >>> import collapse_jax as cj
        >>> errors = cj.simulate.tail_generations(jax.random.key(0), 1.5, jnp.full(10, 1e6))
        >>> errors.shape, bool((jnp.diff(errors) >= 0).all())                      # what is lost stays lost
        ((10,), True)
    """
    exponent, data, samples, real, valid = checked_chain(exponent, data, samples, real)
    return checks.poison(_chain(key, exponent, data, samples, real, "fixed"), valid)


@partial(jax.jit, static_argnums=5)
def _chain(
    key: jax.Array, exponent: jax.Array, data: Skills, samples: jax.Array, real: jax.Array, totals: str
) -> jax.Array:
    test_key, chain_key = jax.random.split(key)
    tested = strata(test_key, exponent)
    truth, first = (probabilities(tested.skills, law) for law in (zipf(exponent), data))

    def generation(model: jax.Array, inputs: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        key, count, fraction = inputs
        real_key, own_key = jax.random.split(key)
        if totals == "poisson":
            counts = jax.random.poisson(own_key, count * model).astype(model.dtype)
        else:
            count = jnp.round(count)
            fresh = jnp.round(count * fraction)
            counts = occupancy(real_key, fresh, truth) + occupancy(own_key, count - fresh, model)
        return counts / jnp.maximum(count, 1), (tested.weights * (counts == 0)).sum()

    fractions = real.at[0].set(0)
    return jax.lax.scan(generation, first, (jax.random.split(chain_key, samples.size), samples, fractions))[1]


def strata(key: jax.Array, exponent: jax.Array) -> Probe:
    """A test set that has one skill of each stretch; each skill of a stretch is as likely."""
    dtype = exponent.dtype
    low, width = jnp.asarray(EDGES[:-1], dtype), jnp.asarray(np.diff(EDGES), dtype)
    uniform = jax.random.uniform(key, (low.size + 1,), dtype)
    skills = low + 1 + jnp.minimum(jnp.floor(width * uniform[:-1]), width - 1)
    beyond = FAR * (1 - uniform[-1]) ** (-1 / (exponent - 1))
    norm = tail_sum(exponent, jnp.ones_like(exponent))
    weights = width * jnp.exp(-exponent * jnp.log(skills))
    last = tail_sum(exponent, jnp.asarray(FAR, dtype))
    return Probe(jnp.append(skills, beyond), jnp.append(weights, last) / norm)


def probabilities(skills: jax.Array, data: Skills) -> jax.Array:
    """How likely a sample of the data is to show each of these skills (S,)."""
    x = skills[:, None]
    first, last, exponent, amplitude = (leaf[None] for leaf in (data.first, data.last, data.exponent, amplitudes(data)))
    return jnp.where((first <= x) & (x <= last), amplitude * jnp.exp(-exponent * jnp.log(x)), 0).sum(1)


def occupancy(key: jax.Array, samples: jax.Array, probability: jax.Array) -> jax.Array:
    """How often ``samples`` draws show each of S outcomes, which need not exhaust all: a multinomial draw, (S,).

    Halves are split by binomial draws, then their halves, and so on: a few large draws instead of S one after the other.
    """
    levels = math.ceil(math.log2(probability.size + 1))
    rest = jnp.maximum(1 - probability.sum(), 0)
    size = 2**levels
    sums = [jnp.zeros(size, probability.dtype).at[: probability.size].set(probability).at[-1].set(rest)]
    while sums[-1].size > 1:
        sums.append(sums[-1].reshape(-1, 2).sum(1))
    shares = []
    for left, both in itertools.pairwise(sums):
        share = jnp.where(both > 0, left[::2] / jnp.where(both > 0, both, 1), 0)
        shares.append(jnp.zeros(size // 2, probability.dtype).at[: share.size].set(share))

    # All levels in one loop, for the compiler's sake; those near the root leave most entries empty.
    def split(counts: jax.Array, inputs: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        key, share = inputs
        chosen = binomial(key, counts[: size // 2], share)
        return jnp.stack([chosen, counts[: size // 2] - chosen], 1).ravel(), None

    start = jnp.zeros(size, probability.dtype).at[0].set(samples)
    levels_down = jax.random.split(key, levels), jnp.stack(shares[::-1])
    return jax.lax.scan(split, start, levels_down)[0][: probability.size]


def binomial(key: jax.Array, n: jax.Array, p: jax.Array) -> jax.Array:
    """Binomial draws; the small probability is drawn, so that none is lost to rounding."""
    flipped = p > 0.5
    small = jnp.where(flipped, 1 - p, p)
    drawn = jax.random.binomial(key, n, small, dtype=n.dtype)
    drawn = jnp.where((n > 0) & (small > 0), drawn, 0)
    return jnp.where(flipped, n - drawn, drawn)
