"""Associative memories: how width, samples and a cut of the tail limit what a matrix can store."""

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from collapse_jax import checks
from collapse_jax.theory.bigrams import _law, over_counts, zipf

LEGENDRE = np.polynomial.legendre.leggauss(32)
REACH = 8.0  # standard deviations


def memory_error(
    exponent: Any, width: Any, samples: Any = math.inf, *, inputs: int, classes: int, last: Any = math.inf
) -> jax.Array:
    """Expected error of an associative memory that stores each input with the frequency at which it has seen it.

    The memory is ``M = sum_i q(i) e_i u_f(i)'`` with random unit vectors e_i and u_y of dimension ``width``, and it answers
    ``argmax_y e_i' M u_y``. Input i belongs to class ``(i - 1) mod classes`` and appears with probability ``p_i``
    proportional to ``i**-exponent``; ``q(i)`` is its share of T samples.

    Args:
        exponent: beta > 1.
        width: d > 0, dimension of the embeddings.
        samples: T > 0; infinitely many by default.
        inputs: their number, static.
        classes: m >= 2, static.
        last: the data show only the inputs up to this one, at least 1.

    Returns:
        () the error, with the interference of the other inputs taken as Gaussian and independent for each class: right for
        large widths.

    Raises:
        ValueError: for values outside their ranges.

    Source: *A Tale of Tails*, Section 5 and Theorem 5.1: ``T**-(1 - 1/beta) + d**-((1 - 1/beta)/2) + k**-(beta - 1)``.

    Example:
        >>> errors = [float(memory_error(1.5, width, inputs=300, classes=5)) for width in (10.0, 1000.0)]
        >>> [round(error, 2) for error in errors]
        [0.35, 0.12]
    """
    exponent, valid = _law(exponent, inputs)
    dtype = exponent.dtype
    if isinstance(classes, bool) or not isinstance(classes, int) or classes < 2:
        raise ValueError(f"classes is {classes!r}; it must be a whole number, at least 2")
    numbers = {"width": width, "samples": samples, "last": last}
    arrays = {name: checks.real(name, value, dtype) for name, value in numbers.items()}
    for name, array in arrays.items():
        checks.scalar(name, array)
    valid &= checks.above_zero("width", arrays["width"])
    valid &= checks.require("samples", arrays["samples"], lambda x: x > 0, "above 0")
    valid &= checks.require("last", arrays["last"], lambda x: x >= 1, "at least 1")
    return checks.poison(_memory_error(exponent, *arrays.values(), inputs, classes), valid)


@partial(jax.jit, static_argnums=(4, 5))
def _memory_error(
    exponent: jax.Array, width: jax.Array, samples: jax.Array, last: jax.Array, inputs: int, classes: int
) -> jax.Array:
    truth, data = zipf(exponent, inputs), zipf(exponent, inputs, last)
    endless = samples == math.inf
    count = jnp.where(endless, 1.0, samples)
    counts, weights = over_counts(count, data)
    # Without end, the share of samples is the probability itself.
    signals = jnp.where(endless, data[:, None], counts / count)
    weights = jnp.where(endless, jnp.where(jnp.arange(weights.shape[1])[None] == 0, 1.0, 0.0), weights)
    squares = data**2 + jnp.where(endless, 0, data * (1 - data) / count)
    label = jnp.arange(inputs) % classes
    of_class = jax.ops.segment_sum(squares, label, classes)
    nodes, node_weights = (jnp.asarray(x, exponent.dtype) for x in LEGENDRE)
    z, density = REACH * nodes, REACH * node_weights * jnp.exp(-((REACH * nodes) ** 2) / 2) / math.sqrt(2 * math.pi)

    def error(i: jax.Array) -> jax.Array:
        own = jnp.arange(classes) == label[i]
        others = of_class - jnp.where(own, squares[i], 0)
        variance = (others + (others.sum() - others) / width) / width
        signal = signals[i]
        rivals = variance[None] + signal[:, None] ** 2 / width
        base = signal[:, None] + jnp.sqrt(variance[label[i]]) * z[None]
        ratio = base[:, :, None] / jnp.sqrt(jnp.maximum(rivals, 1e-300))[:, None]
        beaten = jnp.where(own[None, None], 1, jax.scipy.special.ndtr(ratio)).prod(2)
        return (weights[i] * (1 - (density[None] * beaten).sum(1))).sum()

    return (truth * jax.lax.map(error, jnp.arange(inputs))).sum()
