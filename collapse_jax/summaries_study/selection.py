"""Verifiers: which of a generator's summaries a student gets to see."""

from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np

from collapse_jax.theory import rates_of_scores

RANDOM, SELF, STRONGER, ORACLE = "random", "self", "stronger", "oracle"
SELECTIONS = (RANDOM, SELF, STRONGER, ORACLE)
TRUTH = "true summaries"


def scores(rouge1: np.ndarray, nats: Mapping[str, np.ndarray], seed: int, chain: int) -> dict[str, np.ndarray]:
    """(N,) of each verifier, for each of the generator's summaries; the higher, the sooner it is taken.

    - "random": luck.
    - "self", "stronger": the perplexity that the generator itself, or the stronger model, gives it; the lower the better.
    - "oracle": ROUGE-1 against the true summary.

    Args:
        rouge1: (N,) against the truth.
        nats: (N,) logarithms of perplexities, by verifier.
        seed: of luck.
        chain: likewise.
    """
    luck = np.random.default_rng((seed, chain, 1)).random(len(rouge1))
    return {RANDOM: luck, SELF: -nats[SELF], STRONGER: -nats[STRONGER], ORACLE: rouge1}


def best(score: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Places of the share of summaries with the highest scores; luck decides between equal ones.

    Example:
        >>> sorted(best(np.array([0.1, 0.9, 0.5, 0.9]), 0.5, seed=0).tolist())
        [1, 3]
        >>> {int(best(np.ones(4), 0.25, seed)[0]) for seed in range(40)}
        {0, 1, 2, 3}
    """
    luck = np.random.default_rng((seed, 2)).random(len(score))
    return np.lexsort((luck, -score))[: round(share * len(score))]


def breakdown(right: np.ndarray, which: np.ndarray) -> float:
    """The proxy p* of a selection: the error rate of a generator below which what is taken teaches more than it misleads.

    Args:
        right: (N,) in [0, 1], how right each summary is.
        which: places of those that are taken.

    Source: *Beyond Model Collapse*, Appendix C; :func:`collapse_jax.theory.rates_of_scores`.

    Example:
        >>> breakdown(np.array([1.0, 1.0, 0.0, 0.0]), np.array([0, 1]))
        1.0
    """
    kept = np.isin(np.arange(len(right)), which).astype(float)
    return float(rates_of_scores(jnp.asarray(right), jnp.asarray(kept)).breakdown)
