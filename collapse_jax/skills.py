"""What data teach when knowledge is a long list of skills: Zipf laws over 1, 2, 3, ..., cut, narrowed and mixed.

Skill i appears in the truth with probability ``i**-exponent / zeta(exponent)``. A model that memorises knows the skills that it
has seen. What a generator wrote follows another law: its tail is cut, or falls faster, and some of it may be mixed back in.
"""

import math
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from collapse_jax import checks

TERMS = 16  # summed one by one before the Euler-Maclaurin formula takes over
BERNOULLI = (1 / 12, -1 / 720, 1 / 30240, -1 / 1209600, 1 / 47900160)  # B_2k / (2k)!


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Skills:
    """A law of training data over skills: a mixture of K Zipf laws, each between two skills.

    Make one with :func:`zipf` and :func:`mix`.

    Args:
        share: (K,) probabilities of the parts, adding up to 1.
        exponent: (K,) above 1.
        first: (K,) the first skill of each part, from 1.
        last: (K,) the last one, infinite for a whole tail.

    Example:
        >>> data = mix(0.01, zipf(1.5), zipf(1.5, last=1000))         # 1% real, the rest without a tail
        >>> data.parts, data.last.tolist()
        (2, [inf, 1000.0])
    """

    share: Any
    exponent: Any
    first: Any
    last: Any

    @property
    def parts(self) -> int:
        """K, the number of Zipf laws."""
        return jnp.shape(self.share)[-1]

    @property
    def dtype(self) -> Any:
        """The precision of results."""
        return jnp.result_type(self.share)


def zipf(exponent: Any, first: Any = 1, last: Any = math.inf) -> Skills:
    """Data whose skill i has probability proportional to ``i**-exponent``, for i from ``first`` to ``last``.

    Args:
        exponent: above 1. A generator at temperature tau writes with ``exponent / tau``: narrower for tau < 1.
        first: 1 or more; above 1 for data about the tail alone.
        last: at least ``first``; finite where the tail is cut.

    Raises:
        ValueError: for values outside these ranges.

    Source: *A Tale of Tails*, Section 2. Its Corollary 2.3 calls narrow what is wide: see ``docs/errata.md``.

    Example:
        >>> zipf(2.0, last=3).exponent.tolist()
        [2.0]
    """
    exponent = checks.real("exponent", exponent)
    numbers = {"exponent": exponent, "first": first, "last": last}
    arrays = {name: checks.real(name, value, exponent.dtype) for name, value in numbers.items()}
    for name, array in arrays.items():
        checks.scalar(name, array)
    valid = above_one("exponent", exponent)
    valid &= checks.require("first", arrays["first"], lambda x: (x >= 1) & (x < math.inf), "finite and at least 1")
    # A difference of infinities would not be a number.
    valid &= checks.require("last - first", arrays["last"] - arrays["first"], lambda x: x >= 0, "at least 0")
    share = checks.poison(jnp.ones(1, exponent.dtype), valid)
    return Skills(share, exponent[None], jnp.ceil(arrays["first"])[None], jnp.floor(arrays["last"])[None])


def mix(fraction: Any, one: Skills, other: Skills) -> Skills:
    """A ``fraction`` of the data from ``one``, the rest from ``other``.

    Example:
        >>> mix(0.25, zipf(1.5), zipf(1.5, last=10)).share.tolist()
        [0.25, 0.75]
    """
    for name, law in (("one", one), ("other", other)):
        if not isinstance(law, Skills):
            raise TypeError(f"{name} is a {type(law).__name__}; make one with cj.skills.zipf or cj.skills.mix")
    fraction = checks.real("fraction", fraction, one.dtype)
    checks.scalar("fraction", fraction)
    valid = checks.fraction("fraction", fraction)
    shares = jnp.concatenate([fraction * one.share, (1 - fraction) * other.share])
    joined = (jnp.concatenate([getattr(one, name), getattr(other, name)]) for name in ("exponent", "first", "last"))
    return Skills(checks.poison(shares, valid), *joined)


def top_p(exponent: Any, kept: Any) -> jax.Array:
    """The number of most frequent skills that together have at least probability ``kept``: where top-p sampling cuts.

    Args:
        exponent: of the truth, above 1.
        kept: p, at least 0 and below 1.

    Returns:
        k, to be used as ``last`` of :func:`zipf`. Whole numbers beyond 2**52 are those nearest in float64.

    Example:
        >>> int(top_p(2.0, 0.9)), int(top_p(2.0, 0.6))
        (6, 1)
    """
    exponent = checks.real("exponent", exponent)
    kept = checks.real("kept", kept, exponent.dtype)
    checks.scalar("exponent", exponent)
    checks.scalar("kept", kept)
    valid = above_one("exponent", exponent)
    valid &= checks.require("kept", kept, lambda x: (x >= 0) & (x < 1), "at least 0 and below 1")
    lost = (1 - kept) * tail_sum(exponent, jnp.ones((), exponent.dtype))
    # Between (k + 1)**(1 - exponent) and k**(1 - exponent), over exponent - 1, lies the sum beyond k.
    high = jnp.ceil(((exponent - 1) * lost) ** (-1 / (exponent - 1)))
    low = jnp.maximum(high - 3, 0)

    def halve(_: int, ends: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        low, high = ends
        middle = jnp.floor((low + high) / 2)
        enough = tail_sum(exponent, middle + 1) <= lost
        return jnp.where(enough, low, middle), jnp.where(enough, middle, high)

    return checks.poison(jax.lax.fori_loop(0, 4, halve, (low - 1, high))[1], valid)


def tail_sum(exponent: jax.Array, first: jax.Array) -> jax.Array:
    """The sum of ``i**-exponent`` over i = first, first + 1, ...: Hurwitz' zeta function; 0 for an infinite ``first``.

    Example:
        >>> round(float(tail_sum(jnp.asarray(2.0), jnp.asarray(1.0))), 12) == round(math.pi**2 / 6, 12)
        True
    """
    exists = first < math.inf
    start = jnp.where(exists, first, 1.0)
    head = sum(jnp.exp(-exponent * jnp.log(start + i)) for i in range(TERMS))
    x = start + TERMS
    power = jnp.exp(-exponent * jnp.log(x))
    rest, rising = x / (exponent - 1) + 0.5, exponent / x
    for k, number in enumerate(BERNOULLI):
        rest += number * rising
        rising = rising * (exponent + 2 * k + 1) * (exponent + 2 * k + 2) / x**2
    return jnp.where(exists, head + power * rest, 0)


def amplitudes(data: Skills) -> jax.Array:
    """(K,) what multiplies ``i**-exponent`` in each part."""
    return data.share / (tail_sum(data.exponent, data.first) - tail_sum(data.exponent, data.last + 1))


def checked(exponent: Any, data: Skills) -> tuple[jax.Array, Skills, jax.Array]:
    """The truth's exponent and a law of data in one dtype, and the mask of their validity."""
    if not isinstance(data, Skills):
        raise TypeError(f"data is a {type(data).__name__}; make one with cj.skills.zipf or cj.skills.mix")
    dtype = data.dtype
    exponent = checks.real("exponent", exponent, dtype)
    checks.scalar("exponent", exponent)
    if jnp.ndim(data.share) != 1:
        raise ValueError(f"data.share has shape {jnp.shape(data.share)}; batch over data with jax.vmap")
    valid = above_one("exponent", exponent) & checks.fraction("data.share", data.share)
    arrays = (jnp.asarray(leaf, dtype) for leaf in (data.share, data.exponent, data.first, data.last))
    return exponent, Skills(*arrays), valid


def above_one(name: str, value: jax.Array) -> jax.Array:
    """``value`` must be finite and above 1."""
    return checks.require(
        name, value, lambda x: (x > 1) & (x < math.inf), "finite and above 1, so that probabilities have a finite sum"
    )


def checked_chain(
    exponent: Any, data: Skills | None, samples: Any, real: Any
) -> tuple[jax.Array, Skills, jax.Array, jax.Array, jax.Array]:
    """Arguments of a chain of models, (G,) each for ``samples`` and ``real``, and whether their values are allowed."""
    exponent, data, valid = checked(exponent, zipf(exponent) if data is None else data)
    dtype = exponent.dtype
    samples, real = checks.real("samples", samples, dtype), checks.real("real", real, dtype)
    if samples.ndim != 1 or not samples.size:
        raise ValueError(f"samples has shape {samples.shape}; it must be (G,): one number a generation")
    if real.shape not in ((), samples.shape):
        raise ValueError(f"real has shape {real.shape}; it must be one number, or {samples.shape}: one a generation")
    valid &= checks.above_zero("samples", samples) & checks.fraction("real", real)
    return exponent, data, samples, jnp.broadcast_to(real, samples.shape), valid
