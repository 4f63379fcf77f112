"""Solving with positive definite matrices, at the speed the machine allows.

On a CPU, LAPACK calls inside a batched program compete with the program's own threads and lose; run one at a time they do
not. So under ``vmap`` the solve below runs sequentially on a CPU and batched elsewhere, and many right-hand sides of one
matrix become the columns of one solve. Derivatives come from the linear system itself, in both modes.
"""

import jax
import jax.numpy as jnp


def solve(matrix: jax.Array, right: jax.Array) -> jax.Array:
    """``matrix^-1 right`` for a symmetric positive definite (d, d) matrix and (d, k) right-hand sides."""

    def product(x: jax.Array) -> jax.Array:
        return jnp.matmul(matrix, x, precision="highest")

    return jax.lax.custom_linear_solve(product, right, lambda _, b: _cholesky_solve(matrix, b), symmetric=True)


def _factor_and_solve(matrix: jax.Array, right: jax.Array) -> jax.Array:
    factor = jax.scipy.linalg.cho_factor(matrix, lower=True)
    return jax.scipy.linalg.cho_solve(factor, right)


@jax.custom_batching.custom_vmap
def _cholesky_solve(matrix: jax.Array, right: jax.Array) -> jax.Array:
    return _factor_and_solve(matrix, right)


@_cholesky_solve.def_vmap
def _batched(axis_size: int, in_batched: list[bool], matrix: jax.Array, right: jax.Array) -> tuple[jax.Array, bool]:
    matrix_batched, right_batched = in_batched
    if not matrix_batched:
        dim, columns = right.shape[1:]
        side_by_side = right.transpose(1, 0, 2).reshape(dim, axis_size * columns)
        solved = _cholesky_solve(matrix, side_by_side)
        return solved.reshape(dim, axis_size, columns).transpose(1, 0, 2), True
    if not right_batched:
        right = jnp.broadcast_to(right[None], (axis_size, *right.shape))
    if jax.default_backend() == "cpu":
        return jax.lax.map(lambda pair: _cholesky_solve(*pair), (matrix, right)), True
    return jax.vmap(_factor_and_solve)(matrix, right), True
