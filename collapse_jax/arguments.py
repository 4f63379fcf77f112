"""The arguments that theory and simulation share, in one dtype and checked once."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from collapse_jax import checks
from collapse_jax.mixture import Mixture


class Arguments(NamedTuple):
    """Counts (K,), ridge (), width () or None, weights (K,) and the target's spectrum (d,), in the mixture's dtype."""

    counts: jax.Array
    ridge: jax.Array
    width: jax.Array | None
    weights: jax.Array
    target: jax.Array


def arguments(
    mixture: Mixture, counts: Any, ridge: Any, width: Any, weights: Any, target: Any = None, activation: Any = None
) -> tuple[Arguments, jax.Array]:
    """Arguments ready for a kernel, and the mask of their validity."""
    if not isinstance(mixture, Mixture):
        raise TypeError(f"mixture is a {type(mixture).__name__}; make one with cj.real_and_synthetic or cj.Mixture")
    if mixture.spectra.ndim != 2:
        raise ValueError(f"mixture.spectra has shape {mixture.spectra.shape}; batch over mixtures with jax.vmap")
    sources, dim, dtype = mixture.sources, mixture.dim, mixture.dtype
    valid = mixture.validate()
    counts = checks.real("counts", counts, dtype)
    checks.shape(
        "counts", counts, (sources,), "one number of samples a source; cj.split(n, synthetic_fraction) makes two"
    )
    valid &= checks.at_least_zero("counts", counts)
    valid &= checks.above_zero("the sum of counts", counts.sum(), "At least one source needs samples")
    ridge = checks.real("ridge", ridge, dtype)
    checks.scalar("ridge", ridge)
    valid &= checks.at_least_zero("ridge", ridge)
    if width is not None:
        width = checks.real("width", width, dtype)
        checks.scalar("width", width)
        valid &= checks.above_zero("width", width, "width=None is the classical linear model")
    weights = jnp.ones(sources, dtype) if weights is None else checks.real("weights", weights, dtype)
    checks.shape("weights", weights, (sources,), "one factor a source")
    valid &= checks.at_least_zero("weights", weights)
    pull = (counts * weights).sum()
    valid &= checks.above_zero("the sum of weights * counts", pull, "A source with samples needs a weight")
    target = mixture.spectra[0] if target is None else checks.real("target", target, dtype)
    checks.shape("target", target, (dim,), "the spectrum of the test inputs")
    valid &= checks.at_least_zero("target", target)
    if activation is not None:
        valid &= _check_activation(mixture, width, target)
    valid &= _off_threshold(mixture, counts, weights, ridge, width, activation)
    return Arguments(counts, ridge, width, weights, target), valid


def _check_activation(mixture: Mixture, width: jax.Array | None, target: jax.Array) -> jax.Array:
    if width is None:
        raise ValueError("activation is given without a width; nonlinear features need width=, the number of features")
    means = jnp.append(mixture.spectra.mean(1), target.mean())
    gap = jnp.abs(means - means[0]).max() / means[0]
    return checks.require(
        "the relative difference between the mean eigenvalues of spectra and target",
        gap,
        lambda x: x <= 1e-3,
        "below 0.001 with an activation, whose Hermite coefficients depend on it",
        "Rescale the spectra, or use activation=None",
    )


def _off_threshold(mixture: Mixture, counts: Any, weights: Any, ridge: Any, width: Any, activation: Any) -> jax.Array:
    """Without a ridge, the error is infinite where the samples exactly meet the model's capacity."""
    pulling = (counts * weights > 0)[:, None] & (mixture.spectra > 0)
    capacity = pulling.any(0).sum().astype(counts.dtype)
    if width is not None:
        capacity = width if activation is not None else jnp.minimum(width, capacity)
    distance = jnp.where(ridge == 0, jnp.abs(counts.sum() - capacity), 1)
    return checks.require(
        "the distance of the total count from the interpolation threshold (the smaller of width and rank)",
        distance,
        lambda x: x > 0,
        "above 0 at ridge 0, where the risk is infinite",
        "Use a small ridge such as 1e-8, or move counts or width",
    )
