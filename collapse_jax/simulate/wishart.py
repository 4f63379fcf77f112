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
    normals = jnp.tril(jax.random.normal(below_key, (degrees.size, dim, dim), degrees.dtype), -1)
    free = degrees[:, None] - jnp.arange(dim, dtype=degrees.dtype)[None, :]
    chi_squared = 2 * jax.random.gamma(diagonal_key, jnp.where(free > 0, free, 1) / 2, dtype=degrees.dtype)
    return Draws(normals, jnp.where(free > 0, jnp.sqrt(chi_squared), 0))


def factors(draws: Draws) -> list[jax.Array]:
    """J lower triangular T (dim, dim) with ``T T'`` ~ Wishart(degrees, I), the law of X'X for ``degrees`` Gaussian rows.

    Bartlett's decomposition: standard normals below the diagonal, chi variables with ``degrees - j`` degrees of freedom on
    it; for fewer rows than dimensions the first ``degrees`` columns stay and the others are zero.
    """
    return [
        jnp.where((draws.chi[j] > 0)[None, :], draws.normals[j], 0) + jnp.diag(draws.chi[j])
        for j in range(draws.chi.shape[0])
    ]
