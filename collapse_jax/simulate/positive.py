"""Inverting positive definite matrices with matrix products, at the rate of the machine.

Threaded LAPACK inside a compiled JAX program can be a hundred times slower than one thread, because its waiting threads and
the program's own take turns on the cores. Blocks of at most ``LEAF`` rows stay on one LAPACK thread; everything larger is a
matrix product, which JAX runs itself. Accelerators, too, prefer products to triangular solves.
"""

import jax
import jax.numpy as jnp

LEAF = 64


def inverse_root(matrix: jax.Array) -> jax.Array:
    """Upper triangular V (d, d) with ``V V' = matrix^-1``; NaN unless the matrix is positive definite.

    Block Cholesky that carries inverse factors: two thirds of the work of one d x d x d product.
    """
    dim = matrix.shape[0]
    if dim <= LEAF:
        return triangular_inverse(jax.lax.linalg.cholesky(matrix, symmetrize_input=False)).T
    head = LEAF * (1 << ((dim - 1) // LEAF).bit_length() - 1)
    first = inverse_root(matrix[:head, :head])
    below = product(matrix[head:, :head], first)
    second = inverse_root(matrix[head:, head:] - product(below, below.T))
    corner = -product(first, transposed_product(below, second))
    return jnp.block([[first, corner], [jnp.zeros((dim - head, head), matrix.dtype), second]])


def gram(lower: jax.Array) -> jax.Array:
    """``F F'`` of a lower triangular F (d, d), without most of the products by its zeros: half the work or less."""
    dim = lower.shape[0]
    if dim <= 4 * LEAF:
        return product(lower, lower.T)
    head = dim // 2
    first, rest = lower[:head, :head], lower[head:]
    below = product(rest[:, :head], first.T)
    return jnp.block([[gram(first), below.T], [below, product(rest, rest.T)]])


def congruence(lower: jax.Array, matrix: jax.Array) -> jax.Array:
    """``R' matrix R`` of a lower triangular R and a symmetric matrix (d, d), three fifths of two full products."""
    head = lower.shape[0] // 2
    left, corner = lower[:, :head], lower[head:, head:]
    left_image, corner_image = product(matrix, left), product(matrix[head:, head:], corner)
    below = transposed_product(corner, left_image[head:])
    top = transposed_product(left, left_image)
    return jnp.block([[top, below.T], [below, transposed_product(corner, corner_image)]])


def triangular_inverse(lower: jax.Array) -> jax.Array:
    """Inverse of a small lower triangular matrix by forward substitution, row by row."""
    reciprocal = 1 / jnp.diagonal(lower)

    def substitute(i: jax.Array, inverse: jax.Array) -> jax.Array:
        row = -reciprocal[i] * product(lower[i], inverse)
        return inverse.at[i].set(row.at[i].set(reciprocal[i]))

    return jax.lax.fori_loop(0, lower.shape[0], substitute, jnp.zeros_like(lower))


def product(left: jax.Array, right: jax.Array) -> jax.Array:
    """Matrix product in full precision, also where an accelerator's default is lower."""
    return jnp.matmul(left, right, precision="highest")


def transposed_product(left: jax.Array, right: jax.Array) -> jax.Array:
    """``left' right``; on a CPU a product that reads its left side transposed takes twice as long as one of a copy."""
    return product(jax.lax.optimization_barrier(left.T), right)
