"""Exact random Gram matrices whose cost does not depend on how many rows they stand for."""

import jax
import jax.numpy as jnp


def factor(key: jax.Array, dim: int, degrees: jax.Array) -> jax.Array:
    """Lower triangular T (dim, dim) with ``T T'`` ~ Wishart(degrees, I), the law of X'X for ``degrees`` Gaussian rows.

    Bartlett's decomposition: standard normals below the diagonal, chi variables with ``degrees - j`` degrees of freedom on
    it; for fewer rows than dimensions the first ``degrees`` columns stay and the others are zero.

    Args:
        key: the normals depend on the key alone, so that points of a grid with one key share them.
        dim: static.
        degrees: () a whole number >= 0, traced or not, as large as floating-point numbers go.
    """
    below_key, diagonal_key = jax.random.split(key)
    below = jnp.tril(jax.random.normal(below_key, (dim, dim), degrees.dtype), -1)
    free = degrees - jnp.arange(dim, dtype=degrees.dtype)
    kept = free > 0
    chi_squared = 2 * jax.random.gamma(diagonal_key, jnp.where(kept, free, 1) / 2)
    diagonal = jnp.where(kept, jnp.sqrt(chi_squared), 0)
    return jnp.where(kept[None, :], below, 0) + jnp.diag(diagonal)
