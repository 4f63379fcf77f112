"""Chains of Gaussian and kernel-density fits, drawn sample by sample."""

from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from collapse_jax import checks


class SelfConsumption(NamedTuple):
    """As :class:`collapse_jax.theory.SelfConsumption`, of one draw."""

    mean_error: jax.Array
    variance: jax.Array


def self_consumption(
    key: jax.Array,
    samples: int,
    generations: int,
    workflow: Literal["replace", "accumulate", "subsample"] = "replace",
    *,
    unbiased: bool = False,
    bandwidth: Any = 0.0,
    kernel: bool = False,
) -> SelfConsumption:
    """One chain of fits, each to samples of the fit before.

    Args:
        key: a ``jax.random.key``.
        samples: as for :func:`collapse_jax.theory.self_consumption`, a whole number, static.
        generations: as there.
        workflow: as there.
        unbiased: as there, for Gaussian fits.
        bandwidth: as there.
        kernel: draw from the kernel density (a sample, plus noise) instead of the Gaussian with its mean and variance.

    Returns:
        :class:`SelfConsumption` of (G,) arrays.

    Raises:
        ValueError: for values outside their ranges.

    Example:
        >>> chain = self_consumption(jax.random.key(0), 10, 200)
        >>> bool(chain.variance[-1] < 1e-4)                                       # replaced data collapse to a point
        True
    """
    if workflow not in ("replace", "accumulate", "subsample"):
        raise ValueError(f'workflow is {workflow!r}; it must be "replace", "accumulate" or "subsample"')
    for name, value, least in (("samples", samples, 2), ("generations", generations, 1)):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ValueError(f"{name} is {value!r}; it must be a whole number, at least {least}")
    if kernel and unbiased:
        raise ValueError("unbiased is True with kernel=True; a kernel density has the variance of its samples")
    bandwidth = checks.real("bandwidth", bandwidth)
    checks.scalar("bandwidth", bandwidth)
    valid = checks.at_least_zero("bandwidth", bandwidth)
    return checks.poison(_chain(key, bandwidth, samples, generations, workflow, unbiased, kernel), valid)


@partial(jax.jit, static_argnums=(2, 3, 4, 5, 6))
def _chain(
    key: jax.Array, bandwidth: jax.Array, n: int, generations: int, workflow: str, unbiased: bool, kernel: bool
) -> SelfConsumption:
    size = n if workflow == "replace" else n * generations
    dtype = bandwidth.dtype
    position = jnp.arange(size)

    def generation(state: tuple[jax.Array, ...], inputs: tuple[jax.Array, jax.Array]) -> tuple[Any, SelfConsumption]:
        pool, training, mean, variance = state
        key, g = inputs
        noise_key, choice_key, subset_key = jax.random.split(key, 3)
        noise = jax.random.normal(noise_key, (n,), dtype)
        new = mean + jnp.sqrt(variance) * noise
        if kernel:
            # One of the samples that the last fit was made of, blurred.
            chosen = jax.random.categorical(choice_key, jnp.where(training, 0.0, -jnp.inf), shape=(n,))
            new = jnp.where(g == 0, noise, pool[chosen] + bandwidth * noise)
        if workflow == "replace":
            pool, training = new, jnp.ones(n, bool)
        else:
            pool = jax.lax.dynamic_update_slice(pool, new, (g * n,))
            present = position < (g + 1) * n
            training = present
            if workflow == "subsample":
                order = jnp.where(present, jax.random.uniform(subset_key, (size,), dtype), 2)
                training = order <= jnp.sort(order)[n - 1]
        count = training.sum()
        mean = jnp.where(training, pool, 0).sum() / count
        squares = jnp.where(training, (pool - mean) ** 2, 0).sum()
        variance = squares / (count - 1 if unbiased else count) + bandwidth**2
        return (pool, training, mean, variance), SelfConsumption(mean**2, variance)

    start = jnp.zeros(size, dtype), position < n, jnp.zeros((), dtype), jnp.ones((), dtype)
    return jax.lax.scan(generation, start, (jax.random.split(key, generations), jnp.arange(generations)))[1]
