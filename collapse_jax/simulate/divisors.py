"""Pairs of integers and what models of their greatest common divisor answer: the cheap generator of synthetic data."""

from collections.abc import Iterable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class Answers(NamedTuple):
    """Pairs (N, 2), their greatest common divisors (N,), and the model's answers (N,)."""

    pairs: jax.Array
    truth: jax.Array
    answers: jax.Array


def divisors(key: jax.Array, learned: Iterable[int], samples: int, largest: int = 10**6) -> Answers:
    """Random pairs, labelled by a model that answers with the largest divisor that it knows.

    Args:
        key: a ``jax.random.key``.
        learned: as for :func:`collapse_jax.theory.divisors`.
        samples: number of pairs.
        largest: pairs are uniform from 1 to this, at most 2**31 - 1.

    Source: *A Tale of Tails*, Appendix G.

    Example:
        >>> drawn = divisors(jax.random.key(0), [2, 4, 5, 10], 1000)
        >>> sorted(set(drawn.answers.tolist())), bool((drawn.truth % drawn.answers == 0).all())
        ([1, 2, 4, 5, 10], True)
    """
    known = np.unique([1, *learned])
    if known.min() < 1:
        raise ValueError(f"learned holds {known.min()}; it must hold whole numbers, at least 1")
    pairs = jax.random.randint(key, (samples, 2), 1, largest + 1)
    truth = jnp.gcd(pairs[:, 0], pairs[:, 1])
    known_array = jnp.asarray(known, truth.dtype)

    def answer(best: jax.Array, divisor: jax.Array) -> tuple[jax.Array, None]:
        return jnp.where(truth % divisor == 0, divisor, best), None

    return Answers(pairs, truth, jax.lax.scan(answer, jnp.ones_like(truth), known_array)[0])


def learn(truth: np.ndarray, least: int) -> np.ndarray:
    """The labels that appear at least ``least`` times: the divisors that a student learns from labelled pairs.

    Example:
        >>> learn(np.array([1, 1, 1, 2, 2, 3]), least=2).tolist()
        [1, 2]
    """
    values, counts = np.unique(np.asarray(truth), return_counts=True)
    return values[counts >= least]
