"""Eigenvalues of a covariance: the directions in which inputs vary, and how much."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from collapse_jax import checks


def power_law(dim: int, exponent: Any = 1.0, trace: Any = None) -> jax.Array:
    """Eigenvalues proportional to ``j**-exponent``, ``j = 1..dim``, largest first.

    Args:
        dim: number of directions d, a Python integer >= 1.
        exponent: decay, any real >= 0 (traced or not); 0 is isotropic.
        trace: sum of the eigenvalues, > 0; defaults to ``dim``, so that the mean eigenvalue is 1.

    Returns:
        (dim,) eigenvalues.

    Raises:
        ValueError: for a dimension below 1, a negative exponent or a trace that is not positive.

    The experiments of *Strong Model Collapse* (Appendix A.1) use exponent 1. The printed normalisation there, trace 1,
    does not give the printed figures; trace ``dim`` does (``docs/errata.md``).

    Example:
        >>> power_law(4, exponent=1.0, trace=25.0).round(3).tolist()
        [12.0, 6.0, 4.0, 3.0]
    """
    if not isinstance(dim, int) or dim < 1:
        raise ValueError(f"dim is {dim!r}; it must be an integer of at least 1 (it sets array shapes)")
    exponent = checks.real("exponent", exponent)
    trace = checks.real("trace", dim if trace is None else trace, exponent.dtype)
    checks.scalar("exponent", exponent)
    checks.scalar("trace", trace)
    valid = checks.at_least_zero("exponent", exponent) & checks.above_zero("trace", trace)
    index = jnp.arange(1, dim + 1, dtype=exponent.dtype)
    decay = jnp.exp(-exponent * jnp.log(index))
    return checks.poison(trace * decay / decay.sum(), valid)


def isotropic(dim: int, trace: Any = None) -> jax.Array:
    """Equal eigenvalues, ``trace / dim`` each; trace defaults to ``dim``.

    Example:
        >>> isotropic(3).tolist()
        [1.0, 1.0, 1.0]
    """
    return power_law(dim, 0.0, trace)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Eigenbasis:
    """A covariance in its own axes.

    Attributes:
        spectrum: (d,) eigenvalues, largest first.
        basis: (d, d) orthonormal eigenvectors, one a column; ``rows @ basis`` are the coordinates the library works in.
        mean: (d,) what was subtracted from the rows (zeros for a covariance matrix).
    """

    spectrum: jax.Array
    basis: jax.Array
    mean: jax.Array

    def coordinates(self, rows: jax.Array) -> jax.Array:
        """(n, d) rows as coordinates along the eigenvectors."""
        return jnp.matmul(rows - self.mean[None, :], self.basis, precision="highest")


def from_covariance(covariance: Any) -> Eigenbasis:
    """Eigenvalues and basis of a (d, d) symmetric positive semidefinite matrix.

    Eigenvalues within rounding of zero are set to exactly zero.

    Raises:
        ValueError: for a matrix that is not square, not symmetric, not finite, or has a negative eigenvalue.

    Example:
        >>> from_covariance([[2.0, 1.0], [1.0, 2.0]]).spectrum.round(6).tolist()
        [3.0, 1.0]
    """
    covariance = checks.real("covariance", covariance)
    if covariance.ndim != 2 or covariance.shape[0] != covariance.shape[1]:
        raise ValueError(f"covariance has shape {covariance.shape}; it must be a square matrix (d, d)")
    dim = covariance.shape[0]
    tolerance = dim * float(jnp.finfo(covariance.dtype).eps)
    valid = checks.finite("covariance", covariance)
    gap = jnp.abs(covariance - covariance.T).max() - tolerance * jnp.abs(covariance).max()
    valid &= checks.require(
        "the difference between covariance and its transpose",
        jnp.maximum(gap, 0),
        lambda x: x == 0,
        "0, and this matrix is not symmetric",
        "Average the two: (c + c.T) / 2",
    )
    values, vectors = jnp.linalg.eigh(covariance)
    floor = tolerance * jnp.abs(values).max()
    valid &= checks.require(
        "the smallest eigenvalue of covariance", values.min() + floor, lambda x: x >= 0, "at least 0: a covariance"
    )
    spectrum = jnp.where(values > floor, values, 0)[::-1]
    return checks.poison(Eigenbasis(spectrum, vectors[:, ::-1], jnp.zeros(dim, covariance.dtype)), valid)


def from_data(rows: Any, center: bool = True) -> Eigenbasis:
    """Eigenvalues and basis of the covariance of (n, d) rows; divides by n.

    Args:
        rows: (n, d) samples, n >= 2.
        center: subtract the mean first. Without it, the second moment about zero.

    Example:
        >>> from_data([[1.0, 0.0], [-1.0, 0.0], [0.0, 2.0], [0.0, -2.0]]).spectrum.round(6).tolist()
        [2.0, 0.5]
    """
    rows = checks.real("rows", rows)
    if rows.ndim != 2 or rows.shape[0] < 2:
        raise ValueError(f"rows has shape {rows.shape}; it must be (n, d) with n of at least 2")
    checks.finite("rows", rows)
    mean = rows.mean(0) if center else jnp.zeros(rows.shape[1], rows.dtype)
    centred = rows - mean[None, :]
    covariance = jnp.matmul(centred.T, centred, precision="highest") / rows.shape[0]
    eigenbasis = from_covariance((covariance + covariance.T) / 2)
    return Eigenbasis(eigenbasis.spectrum, eigenbasis.basis, mean)
