"""Exact random Gram matrices whose cost does not depend on how many rows they stand for."""

from typing import NamedTuple

import jax
import jax.numpy as jnp


class Draws(NamedTuple):
    """Random numbers for one Gram matrix."""

    normals: jax.Array  # (dim, dim) below the diagonal, from the key alone
    chi: jax.Array  # (dim,) from the key and the count


def draw(key: jax.Array, dim: int, degrees: jax.Array) -> Draws:
    """What :func:`factor` needs. Points of a grid with one key share the normals, so that they are made once.

    Args:
        key: a random key.
        dim: static.
        degrees: () a whole number >= 0, traced or not, as large as floating-point numbers go.
    """
    below_key, diagonal_key = jax.random.split(key)
    normals = jnp.tril(jax.random.normal(below_key, (dim, dim), degrees.dtype), -1)
    free = degrees - jnp.arange(dim, dtype=degrees.dtype)
    chi_squared = 2 * jax.random.gamma(diagonal_key, jnp.where(free > 0, free, 1) / 2)
    return Draws(normals, jnp.where(free > 0, jnp.sqrt(chi_squared), 0))


def factor(draws: Draws) -> jax.Array:
    """Lower triangular T (dim, dim) with ``T T'`` ~ Wishart(degrees, I), the law of X'X for ``degrees`` Gaussian rows.

    Bartlett's decomposition: standard normals below the diagonal, chi variables with ``degrees - j`` degrees of freedom on
    it; for fewer rows than dimensions the first ``degrees`` columns stay and the others are zero.
    """
    return jnp.where((draws.chi > 0)[None, :], draws.normals, 0) + jnp.diag(draws.chi)
