"""Scaling laws on power-law spectra, and what a chain of generators does to them: predicted exponents beside exact risks."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from collapse_jax import checks
from collapse_jax.mixture import real_and_synthetic
from collapse_jax.risk import Risk
from collapse_jax.theory.regression import risk


class Scaling(NamedTuple):
    """How the risk falls with the number of samples.

    Attributes:
        n: (N,) samples.
        risk: exact :class:`~collapse_jax.Risk` of (N,) arrays.
        slopes: ``d log(part) / d log(n)`` at each n, exact, as a Risk of (N,) arrays; 0 where a part is 0.
        predicted: the exponents of the theory as a Risk of (N,) arrays: what ``slopes`` tends to between the end of the
            first few directions and the dimension, ``kappa`` well inside the spectrum.
        crossover: () the first n from which on collapse is the larger part of the risk, log-interpolated; NaN where there is
            none.
    """

    n: jax.Array
    risk: Risk
    slopes: Risk
    predicted: Risk
    crossover: jax.Array


class Exponents(NamedTuple):
    """Best ridge and best risk of clean noisy data: ridge ``n**-ridge`` gives a risk of order ``n**-risk``."""

    ridge: jax.Array
    risk: jax.Array


def critical_exponents(capacity: Any, source: Any) -> Exponents:
    """The exponents at which bias and variance fall alike, best for clean labels with noise.

    Args:
        capacity: beta > 1: eigenvalues fall as ``j**-beta``.
        source: r >= 0: ``sum_j s_j**(1 - 2 r) w_j**2`` is finite; above 1 it counts as 1.

    Source: *Model Collapse Demystified*, section 5: ``l_crit = beta / (1 + 2 beta r)``, ``c = 2 beta r / (1 + 2 beta r)``.

    Example:
        >>> exponents = critical_exponents(capacity=2.0, source=0.375)
        >>> round(float(exponents.ridge), 3), round(float(exponents.risk), 3)
        (0.8, 0.6)
    """
    capacity, source, valid = _law(capacity, source)
    smooth = 2 * capacity * jnp.minimum(source, 1)
    return checks.poison(Exponents(capacity / (1 + smooth), smooth / (1 + smooth)), valid)


def adaptive_exponent(capacity: Any, source: Any, growth: Any) -> jax.Array:
    """The ridge exponent that balances the shrinkage against a chain's collapse when labels have no noise of their own.

    Args:
        capacity: as for :func:`critical_exponents`.
        source: as there.
        growth: b - a, for generators trained on ``n**b`` samples and a total generator noise of ``n**a``.

    Returns:
        ``min((b - a) l_crit, beta)``: a stronger ridge than the critical one where synthetic data grow more slowly than n.

    Source: *Model Collapse Demystified*, Corollary 5.3 (its "n ~ T^b" must read T^a).

    Example:
        >>> round(float(adaptive_exponent(2.0, 0.375, growth=0.5)), 3)
        0.4
    """
    capacity, source, valid = _law(capacity, source)
    growth = checks.real("growth", growth, capacity.dtype)
    ridge = jnp.minimum(growth * critical_exponents(capacity, source).ridge, capacity)
    return checks.poison(ridge, valid)


def scaling(
    n: Any,
    capacity: Any,
    source: Any,
    ridge_exponent: Any,
    *,
    dim: int,
    noise: Any = 0.0,
    generators: Any = 0.0,
    generator_noise: Any = 0.0,
    generator_samples: Any = None,
) -> Scaling:
    """Exact risks of ridge regression with ridge ``n**-l`` on labels that the last of a chain of generators wrote.

    Eigenvalues are ``j**-capacity``; signals ``j**-(1 + capacity (2 source - 1))``. Each generator is a least-squares fit to
    the labels of the one before, so that the last one is off by ``generators * generator_noise**2 / (generator_samples -
    dim)`` over the eigenvalue in each direction.

    Args:
        n: (N,) increasing numbers of samples.
        capacity: beta > 1.
        source: r >= 0.
        ridge_exponent: l in [0, beta).
        dim: number of directions, static; large enough that ``n**-l`` is well above ``dim**-beta``.
        noise: standard deviation of the noise in the labels of the last fit.
        generators: length of the chain, >= 0.
        generator_noise: standard deviation of the noise in each generator's labels.
        generator_samples: samples of each generator, () or (N,), above ``dim``; needed with generators.

    Returns:
        :class:`Scaling`.

    Raises:
        ValueError: for values outside these ranges.

    Source: *Model Collapse Demystified*, Theorem 5.2: bias ``n**(-2 l min(r, 1))``, variance ``n**-(1 - l / beta)``, and
    collapse ``max(n / T0, dim / T0) n**-(1 - l / beta)``.

    Example:
        >>> law = scaling(jnp.geomspace(1e3, 1e5, 5), 2.0, 0.375, 0.8, dim=20_000, noise=1.0)
        >>> round(float(law.slopes.variance[-1]), 2), round(float(law.predicted.variance[-1]), 2)
        (-0.6, -0.6)
    """
    capacity, source, valid = _law(capacity, source)
    dtype = capacity.dtype
    n = checks.real("n", n, dtype)
    if n.ndim != 1 or not n.size:
        raise ValueError(f"n has shape {n.shape}; it must be (N,): numbers of samples")
    valid &= checks.above_zero("n", n)
    numbers = {
        "ridge_exponent": ridge_exponent,
        "noise": noise,
        "generators": generators,
        "generator_noise": generator_noise,
    }
    arrays = {name: checks.real(name, value, dtype) for name, value in numbers.items()}
    for name, array in arrays.items():
        checks.scalar(name, array)
        valid &= checks.at_least_zero(name, array)
    if generator_samples is None:
        valid &= checks.require(
            "generators",
            arrays["generators"],
            lambda x: x == 0,
            "0 without generator_samples",
            "Give generator_samples",
        )
        samples = jnp.full_like(n, 2 * dim)
    else:
        samples = jnp.broadcast_to(checks.real("generator_samples", generator_samples, dtype), n.shape)
        valid &= checks.require("generator_samples", samples, lambda x: x > dim, f"above dim = {dim}")
    return checks.poison(_scaling(n, capacity, source, arrays, samples, dim), valid)


def _law(capacity: Any, source: Any) -> tuple[jax.Array, jax.Array, jax.Array]:
    capacity, source = checks.real("capacity", capacity), checks.real("source", source)
    checks.scalar("capacity", capacity)
    checks.scalar("source", source)
    valid = checks.require("capacity", capacity, lambda x: x > 1, "above 1, so that the eigenvalues have a finite sum")
    return capacity, source.astype(capacity.dtype), valid & checks.at_least_zero("source", source)


def _scaling(
    n: jax.Array, capacity: jax.Array, source: jax.Array, numbers: dict[str, jax.Array], samples: jax.Array, dim: int
) -> Scaling:
    ridge_exponent = numbers["ridge_exponent"]
    positions = jnp.arange(1, dim + 1, dtype=n.dtype)
    spectrum, signal = positions**-capacity, positions ** -(1 + capacity * (2 * source - 1))
    shift = numbers["generators"] * numbers["generator_noise"] ** 2 / spectrum

    def parts(log_n: jax.Array, log_samples: jax.Array) -> Risk:
        count = jnp.exp(log_n)
        off = shift / (jnp.exp(log_samples) - dim)
        mixture = real_and_synthetic(spectrum, signal, off, 0.0, numbers["noise"])
        return risk(mixture, jnp.stack([0 * count, count]), jnp.exp(-ridge_exponent * log_n))

    log_n, log_samples = jnp.log(n), jnp.log(samples)
    # Generators may grow with n: their share of the slope follows from the schedule's own steps.
    growth = jnp.asarray(jnp.gradient(log_samples, log_n)) if n.size > 1 else jnp.zeros_like(n)
    exact, change = jax.vmap(lambda a, b, g: jax.jvp(parts, (a, b), (jnp.ones_like(a), g)))(log_n, log_samples, growth)
    slopes = jax.tree.map(lambda d, value: jnp.where(value > 0, d / jnp.where(value > 0, value, 1), 0), change, exact)
    fall = -(1 - ridge_exponent / capacity)
    predicted = Risk(
        jnp.full_like(n, -2 * ridge_exponent * jnp.minimum(source, 1)),
        jnp.full_like(n, fall),
        fall + jnp.where(n > dim, 1, 0) - growth,
    )
    return Scaling(n, exact, slopes, predicted, _crossover(log_n, exact))


def _crossover(log_n: jax.Array, exact: Risk) -> jax.Array:
    """Where log(collapse) - log(bias + variance) last turns positive."""
    clean = exact.bias + exact.variance
    gap = jnp.log(jnp.where(exact.collapse > 0, exact.collapse, 1e-300)) - jnp.log(clean)
    above = gap > 0
    stays = jnp.flip(jnp.cumprod(jnp.flip(above))) > 0
    first = jnp.argmax(stays)
    before = jnp.maximum(first - 1, 0)
    rise = gap[first] - gap[before]
    share = jnp.where(rise > 0, -gap[before] / jnp.where(rise > 0, rise, 1), 0)
    at = log_n[before] + share * (log_n[first] - log_n[before])
    return jnp.where(stays.any() & (first > 0), jnp.exp(at), jnp.where(stays.any(), jnp.exp(log_n[0]), jnp.nan))
