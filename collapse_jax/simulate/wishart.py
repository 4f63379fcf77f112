"""Exact random Gram matrices whose cost does not depend on how many rows they stand for."""

from typing import NamedTuple

import jax
import jax.numpy as jnp


class Draws(NamedTuple):
    """Random numbers for J Gram matrices."""

    normals: jax.Array  # (J, dim, dim) below the diagonals, from the key alone
    chi: jax.Array  # (J, dim) from the key and the counts


def draw(key: jax.Array, dim: int, degrees: jax.Array) -> Draws:
    """What :func:`factors` needs. Points of a grid with one key share the normals, so that they are made once.

    Args:
        key: a random key.
        dim: static.
        degrees: (J,) whole numbers >= 0, traced or not, as large as floating-point numbers go.
    """
    below_key, diagonal_key = jax.random.split(key)
    degrees = jax.lax.stop_gradient(degrees)
    normals = jnp.tril(jax.random.normal(below_key, (degrees.size, dim, dim), degrees.dtype), -1)
    free = degrees[:, None] - jnp.arange(dim, dtype=degrees.dtype)[None, :]
    chi_squared = 2 * gamma(diagonal_key, jnp.where(free > 0, free, 1) / 2)
    return Draws(normals, jnp.where(free > 0, jnp.sqrt(chi_squared), 0))


def gamma(key: jax.Array, shape: jax.Array) -> jax.Array:
    """Gamma variables of the given shape parameters, by the rejection method of Marsaglia and Tsang (2000).

    One loop serves all entries, so that it compiles and runs in a third of the time of ``jax.random.gamma``, and entries of
    different shape parameters under one key share their normals.
    """
    # Drawn at shape + 1, where more than 98% are accepted at once, and brought down by a power of a uniform.
    d = shape + 1 - 1 / 3
    boost_key, key = jax.random.split(key)

    def propose(state: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array, jax.Array]:
        key, value, accepted = state
        key, normal_key, uniform_key = jax.random.split(key, 3)
        x = jax.random.normal(normal_key, shape.shape, shape.dtype)
        v = (1 + x / jnp.sqrt(9 * d)) ** 3
        positive = jnp.where(v > 0, v, 1)
        log_uniform = jnp.log(jax.random.uniform(uniform_key, shape.shape, shape.dtype))
        good = (v > 0) & (log_uniform < x**2 / 2 + d * (1 - v + jnp.log(positive)))
        return key, jnp.where(accepted, value, d * v), accepted | good

    # An infinite shape parameter, which no proposal fits, passes through.
    start = (key, shape, ~jnp.isfinite(shape))
    _, value, _ = jax.lax.while_loop(lambda state: ~state[2].all(), propose, start)
    boost = 1 - jax.random.uniform(boost_key, shape.shape, shape.dtype)  # in (0, 1]
    return value * boost ** (1 / shape)


def factors(draws: Draws) -> list[jax.Array]:
    """J lower triangular T (dim, dim) with ``T T'`` ~ Wishart(degrees, I), the law of X'X for ``degrees`` Gaussian rows.

    Bartlett's decomposition: standard normals below the diagonal, chi variables with ``degrees - j`` degrees of freedom on
    it; for fewer rows than dimensions the first ``degrees`` columns stay and the others are zero.
    """
    return [
        jnp.where((draws.chi[j] > 0)[None, :], draws.normals[j], 0) + jnp.diag(draws.chi[j])
        for j in range(draws.chi.shape[0])
    ]
