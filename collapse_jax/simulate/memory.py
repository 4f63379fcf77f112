"""Associative memories, drawn: random embeddings, and counts at a cost that does not depend on the number of samples."""

import math
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp

from collapse_jax import checks
from collapse_jax.simulate.tails import occupancy
from collapse_jax.skills import above_one


def memory_error(
    key: jax.Array,
    exponent: Any,
    width: int,
    samples: Any = math.inf,
    *,
    inputs: int,
    classes: int,
    last: Any = math.inf,
    weights: Literal["counts", "seen"] = "counts",
) -> jax.Array:
    """Error of one associative memory.

    Args:
        key: a ``jax.random.key``.
        exponent: as for :func:`collapse_jax.theory.memory_error`.
        width: as there, a whole number, static.
        samples: as there, rounded.
        inputs: as there.
        classes: as there.
        last: as there.
        weights: "counts" stores each input as often as it was seen; "seen" stores each input that was seen once.

    Example:
        >>> errors = [float(memory_error(jax.random.key(0), 1.5, d, inputs=200, classes=5)) for d in (10, 1000)]
        >>> errors[1] < errors[0]
        True
    """
    exponent = checks.real("exponent", exponent)
    checks.scalar("exponent", exponent)
    for name, value, least in (("width", width, 1), ("inputs", inputs, 1), ("classes", classes, 2)):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ValueError(f"{name} is {value!r}; it must be a whole number, at least {least}")
    if weights not in ("counts", "seen"):
        raise ValueError(f'weights is {weights!r}; it must be "counts" or "seen"')
    samples, last = checks.real("samples", samples, exponent.dtype), checks.real("last", last, exponent.dtype)
    valid = above_one("exponent", exponent) & checks.require("samples", samples, lambda x: x > 0, "above 0")
    valid &= checks.require("last", last, lambda x: x >= 1, "at least 1")
    return checks.poison(_memory(key, exponent, samples, last, width, inputs, classes, weights == "seen"), valid)


@partial(jax.jit, static_argnums=(4, 5, 6, 7))
def _memory(
    key: jax.Array,
    exponent: jax.Array,
    samples: jax.Array,
    last: jax.Array,
    width: int,
    inputs: int,
    classes: int,
    seen: bool,
) -> jax.Array:
    dtype = exponent.dtype
    count_key, input_key, class_key = jax.random.split(key, 3)
    ranks = jnp.arange(1.0, inputs + 1, dtype=dtype)
    law = jnp.exp(-exponent * jnp.log(ranks))
    truth, data = law / law.sum(), jnp.where(ranks <= last, law, 0)
    data = data / data.sum()
    endless = samples == math.inf
    counts = occupancy(count_key, jnp.where(endless, 1, jnp.round(samples)), data)
    stored = jnp.where(endless, data, counts)
    stored = (stored > 0).astype(dtype) if seen else stored
    stored /= stored.sum()
    embedded, classed = (
        x / jnp.linalg.norm(x, axis=1, keepdims=True)
        for x in (jax.random.normal(k, (n, width), dtype) for k, n in ((input_key, inputs), (class_key, classes)))
    )
    label = jnp.arange(inputs) % classes
    memory = jnp.matmul(embedded.T, stored[:, None] * classed[label], precision="highest")
    scores = jnp.matmul(jnp.matmul(embedded, memory, precision="highest"), classed.T, precision="highest")
    return (truth * (scores.argmax(1) != label)).sum()
