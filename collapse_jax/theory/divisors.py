"""The arithmetic of lost skills: a model of greatest common divisors that knows some divisors and not others.

A trained transformer answers with the largest divisor that it has learned: on pairs whose greatest common divisor is k it says
the largest learned divisor of k. What it writes has none of the divisors that it never learned, and whoever learns from it will
not know them either, however much of it there is.
"""

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np


class Divisors(NamedTuple):
    """What a model of greatest common divisors says.

    Attributes:
        learned: (L,) the divisors that it knows, increasing, from 1.
        written: (L,) how often it answers each of them.
        right: (L,) how often it answers each of them rightly: the truth's probabilities.
        accuracy: how often it is right.
    """

    learned: np.ndarray
    written: np.ndarray
    right: np.ndarray
    accuracy: float


def divisors(learned: Iterable[int]) -> Divisors:
    """Exact answers of a model that knows these divisors, for pairs of large random integers.

    Args:
        learned: the divisors that it knows; 1 is always known. A set closed under the least common multiple within its range is
            what training finds, but any set is allowed.

    Returns:
        :class:`Divisors`. Exact: no sum over infinitely many pairs is cut off.

    Raises:
        ValueError: for numbers that are not whole and positive.

    Source: *A Tale of Tails*, Appendix G; the greatest common divisor of two random integers is k with probability
    ``6 / (pi**2 k**2)``, so that skills follow Zipf's law with exponent 2.

    Example:
        >>> round(divisors([2**a * 5**b for a in range(10) for b in range(5)]).accuracy, 3)      # all that base 10 shows
        0.844
    """
    known = _known(learned)
    right = 6 / (np.pi * known.astype(float)) ** 2
    # It answers e at least where e divides the truth; less those where a larger learned divisor does too. The largest learned
    # divisor of k is e exactly if e divides k and no larger one does: inclusion and exclusion over their multiples.
    written = np.array([_largest(known, i) for i in range(known.size)])
    return Divisors(known, written, right, float(right.sum()))


def learned_divisors(base: int, largest: int, *, others: Iterable[int] = ()) -> np.ndarray:
    """The divisors up to ``largest`` made of the prime factors of the base in which numbers are written, and of ``others``.

    Args:
        base: above 1.
        largest: the largest divisor wanted.
        others: more primes that long training finds.

    Example:
        >>> learned_divisors(10, 100).tolist()
        [1, 2, 4, 5, 8, 10, 16, 20, 25, 32, 40, 50, 64, 80, 100]
    """
    if base < 2 or largest < 1:
        raise ValueError(f"base is {base} and largest is {largest}; they must be at least 2 and 1")
    primes = [p for p in range(2, base + 1) if base % p == 0 and all(p % q for q in range(2, p))]
    found = {1}
    for prime in {*primes, *others}:
        for power in sorted(found):
            while (power := power * prime) <= largest:
                found.add(power)
    return np.array(sorted(found))


def _known(learned: Iterable[int]) -> np.ndarray:
    numbers = [1, *learned]
    for number in numbers:
        if int(number) != number or number < 1:
            raise ValueError(f"learned holds {number!r}; it must hold whole numbers, at least 1")
    return np.unique(np.array([int(number) for number in numbers], object))


def _largest(known: np.ndarray, i: int) -> float:
    """How often the largest learned divisor is ``known[i]``: P(e | k), less the union of the multiples of larger ones.

    Two random integers have a common divisor m with probability ``1 / m**2``. Terms with the same least common multiple are
    gathered, so that their number stays that of the multiples.
    """
    terms = {int(known[i]): 1}
    for other in known[i + 1 :]:
        for multiple, sign in list(terms.items()):
            both = math.lcm(multiple, int(other))
            terms[both] = terms.get(both, 0) - sign
        terms = {m: s for m, s in terms.items() if s}
    return float(sum(sign / float(m) ** 2 for m, sign in terms.items()))
