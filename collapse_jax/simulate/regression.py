"""Exact simulation of ridge regression on a mixture, at a cost independent of the number of samples and of the width.

Ridge regression needs the data only through M_k = X_k'X_k / n and X_k'y_k / n. For Gaussian rows X_k'X_k is Wishart, and so is
S S' for Gaussian projections, so both are drawn directly: n = 1e12 costs what n = d costs, and counts and width are traced.
"""

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from collapse_jax import checks
from collapse_jax.arguments import Arguments, arguments
from collapse_jax.mixture import Mixture, semidefinite_root
from collapse_jax.risk import Risk
from collapse_jax.simulate import wishart
from collapse_jax.simulate.batching import one_at_a_time
from collapse_jax.simulate.positive import congruence, gram, inverse_root, product


class Fit(NamedTuple):
    """One fitted model: coefficients (d,), the label functions it learned from (K, d), and its error () on the target."""

    coefficients: jax.Array
    labels: jax.Array
    error: jax.Array


def risk(
    key: jax.Array,
    mixture: Mixture,
    counts: Any,
    ridge: Any,
    width: Any = None,
    weights: Any = None,
    *,
    target: Any = None,
) -> Risk:
    """Test error of ridge regression for one draw of the designs (and projections), in expectation over the labels.

    Same arguments and meaning as :func:`collapse_jax.theory.risk`; its mean over keys agrees with the theory up to O(1/d).

    Args:
        key: a ``jax.random.key``. Points with the same key share their random numbers: each is exact in law, and curves
            across points are smooth.
        mixture: the sources, K of them, d directions.
        counts: (K,) samples of each source, each rounded to the nearest whole number (halves to the even one).
        ridge: > 0, and large enough for the precision: see Raises.
        width: number of random projections, rounded to the nearest whole number >= 1; None for the classical linear model.
        weights: (K,) factors >= 0 on each source's squared errors; None for all 1.
        target: (d,) spectrum of the test inputs; None for that of source 0.

    Returns:
        :class:`Risk` of scalars. Differentiable in ridge, weights and the mixture's numbers; batch it with ``jax.vmap``.

    Raises:
        ValueError: for values outside these ranges, or a ridge that rounding would drown: below ``100 eps`` times the largest
            eigenvalue, some 2e-14 of it in float64 and 1e-5 in float32. Inside ``jit`` affected results are NaN.

    Example:
        >>> import collapse_jax as cj
        >>> mixture = cj.real_and_synthetic(cj.spectra.isotropic(50), 1 / 50, 0.5 / 50, noise_real=1.0, noise_synthetic=1.0)
        >>> one = cj.simulate.risk(jax.random.key(0), mixture, cj.split(1e9, 0.2), ridge=0.01)
        >>> round(float(one.collapse), 3)                                # p2^2 c^2 with endless data: it does not vanish
        0.02
    """
    given, valid = _whole(mixture, counts, ridge, width, weights, target)
    return checks.poison(_risk(key, mixture, given), valid)


def fit(
    key: jax.Array,
    mixture: Mixture,
    counts: Any,
    ridge: Any,
    width: Any = None,
    weights: Any = None,
    *,
    target: Any = None,
    labels: Any = None,
) -> Fit:
    """Coefficients and error of one ridge regression: designs, label functions and noise all drawn.

    Arguments as for :func:`risk`, and:

    Args:
        labels: (K, d) label functions w_k to use instead of Gaussian ones drawn with ``mixture.label_moments``.

    Returns:
        :class:`Fit`; ``coefficients`` are those of x (``S v`` with projections).

    Raises:
        ValueError: as :func:`risk`.

    Example:
        >>> import collapse_jax as cj
        >>> mixture = cj.real_and_synthetic(cj.spectra.isotropic(4), signal=1.0, shift=0.0)
        >>> fitted = cj.simulate.fit(jax.random.key(0), mixture, [1e6, 0.0], ridge=1e-4)
        >>> fitted.coefficients.shape, bool(fitted.error < 1e-5)
        ((4,), True)
    """
    given, valid = _whole(mixture, counts, ridge, width, weights, target)
    if labels is not None:
        labels = checks.real("labels", labels, mixture.dtype)
        checks.shape("labels", labels, (mixture.sources, mixture.dim), "one label function a source")
        valid &= checks.finite("labels", labels)
    return checks.poison(_fit(key, mixture, given, labels), valid)


def draw_labels(key: jax.Array, mixture: Mixture) -> jax.Array:
    """(K, d) Gaussian label functions with the mixture's second moments, independent between directions.

    Example:
        >>> import collapse_jax as cj
        >>> draw_labels(jax.random.key(0), cj.real_and_synthetic(cj.spectra.isotropic(3), 1.0, 0.1)).shape
        (2, 3)
    """
    root, _ = semidefinite_root(mixture.label_moments)
    normals = jax.random.normal(key, (mixture.sources, mixture.dim), mixture.dtype)
    return (root * normals[None, :, :]).sum(1)


def smallest_ridge(mixture: Mixture) -> jax.Array:
    """The smallest ridge that a simulation in the mixture's precision resolves."""
    return 100 * float(jnp.finfo(mixture.dtype).eps) * mixture.spectra.max()


def _whole(
    mixture: Mixture, counts: Any, ridge: Any, width: Any, weights: Any, target: Any
) -> tuple[Arguments, jax.Array]:
    """Arguments with whole counts and width, and the mask of their validity."""
    given, valid = arguments(mixture, counts, ridge, width, weights, target)
    counts = jnp.round(given.counts)
    valid &= checks.above_zero("the sum of counts, each rounded to a whole number,", counts.sum())
    width = None if given.width is None else jnp.maximum(jnp.round(given.width), 1)
    floor = smallest_ridge(mixture)
    valid &= checks.require(
        "ridge relative to the smallest that this precision resolves",
        given.ridge / floor,
        lambda x: x >= 1,
        f"at least 1 in a simulation with dtype {jnp.dtype(mixture.dtype).name}",
        f"Use a larger ridge, theory for the ridgeless limit, or {checks.FLOAT64}",
    )
    return Arguments(counts, given.ridge, width, given.weights, given.target), valid


def _draws(key: jax.Array, mixture: Mixture, given: Arguments) -> wishart.Draws:
    """Random numbers of the K designs and, with a width, of the projections."""
    degrees = given.counts if given.width is None else jnp.append(given.counts, given.width)
    return wishart.draw(key, mixture.dim, degrees)


def _factors(
    draws: wishart.Draws, mixture: Mixture, given: Arguments
) -> tuple[list[jax.Array], jax.Array, jax.Array | None]:
    """K lower triangular F_k (d, d) and scales (K,) with ``weights_k X_k'X_k / n = scales_k F_k F_k'``, in law.

    The third is R with ``S S' = R R'``. Weights stay outside the factors, so that slopes in them exist at 0.
    """
    factors = wishart.factors(draws)
    present = mixture.spectra > 0  # the slope of a root at 0 is infinite; a direction without variance stays without
    roots = jnp.where(present, jnp.sqrt(jnp.where(present, mixture.spectra, 1)), 0)
    designs = [root[:, None] * factor for root, factor in zip(roots, factors, strict=False)]
    scales = given.weights / given.counts.sum()
    return designs, scales, None if given.width is None else factors[-1] / math.sqrt(mixture.dim)


def _total(arrays: list[jax.Array]) -> jax.Array:
    return functools.reduce(jnp.add, arrays)


def _penalised(moments: jax.Array, root: jax.Array | None, ridge: jax.Array) -> jax.Array:
    """The matrix that ridge regression inverts: the features' second moment plus the ridge."""
    if root is not None:
        moments = congruence(root, moments)
    return moments + ridge * jnp.eye(moments.shape[0], dtype=moments.dtype)


@jax.jit
def _risk(key: jax.Array, mixture: Mixture, given: Arguments) -> Risk:
    return _risk_of_draws(mixture, given, _draws(key, mixture, given))


@one_at_a_time
def _risk_of_draws(mixture: Mixture, given: Arguments, draws: wishart.Draws) -> Risk:
    factors, scales, root = _factors(draws, mixture, given)
    moments = [scale * gram(factor) for scale, factor in zip(scales, factors, strict=True)]
    half = inverse_root(_penalised(_total(moments), root, given.ridge))
    half = half if root is None else product(root, half)
    hat = product(half, half.T)
    learned = [product(hat, moment) for moment in moments]
    # hat * total - 1, which without projections is known without cancellation.
    missed = (
        -given.ridge * hat if root is None else sum(learned[1:], learned[0] - jnp.eye(mixture.dim, dtype=hat.dtype))
    )
    cross, shifts = mixture.shift_moments()
    target = given.target[:, None]
    bias = (target * missed**2 * mixture.signal[None, :]).sum()
    # tr(A' s A M_k) with the weight once more: the noise enters as weights_k X_k' noise_k.
    noise = mixture.noise**2 * scales
    variance = sum((noise[k] * target * hat * learned[k] for k in range(mixture.sources)), jnp.zeros_like(hat)).sum()
    collapse = jnp.zeros_like(hat)
    for k in range(1, mixture.sources):
        collapse += learned[k] * 2 * missed * cross[k][None, :]
        for j in range(1, mixture.sources):
            collapse += learned[k] * learned[j] * shifts[k, j][None, :]
    return Risk(bias, variance, (target * collapse).sum())


@jax.jit
def _fit(key: jax.Array, mixture: Mixture, given: Arguments, labels: jax.Array | None) -> Fit:
    label_key, noise_key = jax.random.split(jax.random.fold_in(key, 1))
    labels = draw_labels(label_key, mixture) if labels is None else labels
    noise = jax.random.normal(noise_key, labels.shape, labels.dtype) * mixture.noise[:, None]
    coefficients = _fit_of_draws(mixture, given, labels, noise, _draws(key, mixture, given))
    return Fit(coefficients, labels, (given.target * (coefficients - labels[0]) ** 2).sum())


@one_at_a_time
def _fit_of_draws(
    mixture: Mixture, given: Arguments, labels: jax.Array, noise: jax.Array, draws: wishart.Draws
) -> jax.Array:
    factors, scales, root = _factors(draws, mixture, given)
    moments = [scale * gram(factor) for scale, factor in zip(scales, factors, strict=True)]
    half = inverse_root(_penalised(_total(moments), root, given.ridge))
    # weights_k X_k'y_k / n = scales_k F_k (F_k'w_k + noise_k): signal and noise share the factor.
    pulled = [product(factor.T, label) for factor, label in zip(factors, labels, strict=True)]
    pushed = [scale * product(f, p + e) for scale, f, p, e in zip(scales, factors, pulled, noise, strict=True)]
    right = _total(pushed)
    if root is None:
        return product(half, product(half.T, right))
    return product(root, product(half, product(half.T, product(root.T, right))))
