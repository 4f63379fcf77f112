"""A model of bigrams that counts: what it gets wrong about the next state after T pairs, exactly."""

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from collapse_jax import checks
from collapse_jax.skills import above_one

SMALL = 64  # counts below it are summed one by one, where their mean is below FEW
FEW = 16.0
HERMITE = np.polynomial.hermite_e.hermegauss(9)


def bigram_error(exponent: Any, samples: Any, *, states: int, last: Any = math.inf) -> jax.Array:
    """Expected total variation between the next states of the truth and those that a model has counted in T pairs.

    State i comes first with probability ``p_i`` proportional to ``i**-exponent``; after it, one of the states, ranked in an
    order of its own, comes with the same Zipf law. The error is ``sum_i p_i sum_j |q(j | i) - p(j | i)|``, from 0 to 2, with
    ``q(j | i) = n(i, j) / n(i)``, and 0 for pairs that begin with a state never seen.

    Args:
        exponent: beta > 1.
        samples: T >= 0 pairs.
        states: their number, static; the cost grows with its square.
        last: the generator writes only the ``last`` most frequent next states of each, at least 1.

    Returns:
        (); means of binomial counts are exact up to 16 and by nine Gaussian nodes above, to some 1e-3 of the error.

    Raises:
        ValueError: for values outside their ranges.

    Source: *A Tale of Tails*, Section 4; Theorem 4.1: ``T**-min(1 - 1/beta, 1/2)``; Theorem 4.2, for a cut at k: at least
    ``k**-(beta - 1)`` more. The mean absolute deviation of a binomial number is de Moivre's.

    Example:
        >>> errors = [float(bigram_error(1.5, T, states=50)) for T in (0.0, 1e4, 1e6)]
        >>> [round(error, 3) for error in errors]
        [1.0, 0.162, 0.017]
    """
    exponent, valid = _law(exponent, states)
    dtype = exponent.dtype
    samples, last = checks.real("samples", samples, dtype), checks.real("last", last, dtype)
    checks.scalar("samples", samples)
    checks.scalar("last", last)
    valid &= checks.at_least_zero("samples", samples)
    valid &= checks.require("last", last, lambda x: x >= 1, "at least 1")
    # A cut that is known to be none needs no incomplete beta function.
    cut = checks.is_traced(last) or bool(last < states)
    return checks.poison(_bigram_error(exponent, samples, last, states, cut), valid)


def _law(exponent: Any, states: int) -> tuple[jax.Array, jax.Array]:
    exponent = checks.real("exponent", exponent)
    checks.scalar("exponent", exponent)
    if isinstance(states, bool) or not isinstance(states, int) or states < 1:
        raise ValueError(f"states is {states!r}; it must be a whole number, at least 1")
    return exponent, above_one("exponent", exponent)


def zipf(exponent: jax.Array, states: int, last: Any = math.inf) -> jax.Array:
    """(states,) Zipf's probabilities of finitely many states, cut behind ``last``."""
    ranks = jnp.arange(1.0, states + 1, dtype=exponent.dtype)
    law = jnp.where(ranks <= last, jnp.exp(-exponent * jnp.log(ranks)), 0)
    return law / law.sum()


def over_counts(samples: jax.Array, probability: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Counts and weights (S, 73) that average over ``n ~ Binomial(samples, probability)`` for each probability (S,)."""
    dtype = probability.dtype
    few = jnp.broadcast_to(jnp.arange(SMALL, dtype=dtype)[None], (probability.size, SMALL))
    mean = samples * probability
    chance = jnp.clip(probability, 1e-300 if dtype == jnp.float64 else 1e-30, 1 - 1e-7)[:, None]
    left = jnp.maximum(samples - few, 0)
    log_pmf = jax.lax.lgamma(samples + 1) - jax.lax.lgamma(few + 1) - jax.lax.lgamma(left + 1)
    log_pmf += few * jnp.log(chance) + left * jnp.log1p(-chance)
    pmf = jnp.where(few <= samples, jnp.exp(log_pmf), 0)
    pmf /= jnp.maximum(pmf.sum(1, keepdims=True), 1e-30)
    nodes, weights = (jnp.asarray(x, dtype) for x in (HERMITE[0], HERMITE[1] / HERMITE[1].sum()))
    spread = jnp.sqrt(mean * (1 - probability))
    many = jnp.maximum(jnp.round(mean[:, None] + spread[:, None] * nodes[None]), 1)
    is_few = (mean <= FEW)[:, None]
    shares = [jnp.where(is_few, pmf, 0), jnp.where(is_few, 0, weights[None])]
    return jnp.concatenate([few, many], 1), jnp.concatenate(shares, 1)


@partial(jax.jit, static_argnums=(3, 4))
def _bigram_error(exponent: jax.Array, samples: jax.Array, last: jax.Array, states: int, cut: bool) -> jax.Array:
    truth, data = zipf(exponent, states), zipf(exponent, states, last)
    counts, weights = over_counts(samples, truth)

    def total_variation(count: jax.Array) -> jax.Array:
        return jnp.where(count > 0, deviation(jnp.maximum(count, 1), data if cut else None, truth).sum(), 1)

    # Small counts are the same for all states.
    shared = jax.lax.map(total_variation, counts[0, :SMALL])
    own = jax.lax.map(jax.vmap(total_variation), counts[:, SMALL:])
    errors = jnp.concatenate([jnp.broadcast_to(shared[None], (states, SMALL)), own], 1)
    return (truth * (weights * errors).sum(1)).sum()


def deviation(n: jax.Array, q: jax.Array | None, p: jax.Array) -> jax.Array:
    """``E |X / n - p|`` for ``X ~ Binomial(n, q)``, elementwise in q and p, for n >= 1; q = p where it is None."""
    m = jnp.minimum(jnp.floor(n * p), n - 1)
    safe = jnp.clip(p if q is None else q, 1e-30, 1 - 1e-7)
    others = n - 1 - m
    log_pmf = jax.lax.lgamma(n) - jax.lax.lgamma(m + 1) - jax.lax.lgamma(others + 1)
    pmf = jnp.exp(log_pmf + m * jnp.log(safe) + others * jnp.log1p(-safe))  # P(Y = m), Y ~ Binomial(n - 1, q)
    if q is None:
        return 2 * p * (1 - p) * pmf
    cdf = jax.scipy.special.betainc(n - m, m + 1, 1 - safe)  # P(X <= m)
    return jnp.where(q > 0, 2 * ((p - q) * cdf + q * (1 - q) * pmf) + q - p, p)
