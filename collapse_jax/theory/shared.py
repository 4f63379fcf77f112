"""Closed form of the risk when all sources share one spectrum and weigh their samples alike.

With one spectrum the fixed point of :mod:`collapse_jax.theory.potential` is the scalar kappa, and the response to a probe is
the solution of a 2 x 2 system. Every sum over directions is a weight against the squared resolvent ``1 / (s + kappa)**2``, so
one matrix product gives them all; no term cancels another, at any ridge. For K = 2 and an independent shift this is the risk of
*Strong Model Collapse*, Theorems 1 and 2 with their errata.
"""

import jax
import jax.numpy as jnp

from collapse_jax.mixture import Mixture
from collapse_jax.risk import Risk
from collapse_jax.theory import effective_ridge as scalar


def risk(mixture: Mixture, counts: jax.Array, ridge: jax.Array, width: jax.Array | None, target: jax.Array) -> Risk:
    """Risk on inputs with spectrum ``target`` (d,), for valid inputs; the mixture's rows of ``spectra`` are equal."""
    spectrum = mixture.spectra.mean(0)
    cross, shifts = mixture.shift_moments()
    cross, shifts = cross[1:], shifts[1:, 1:]
    n = counts.sum()
    share = counts / n
    kappa = scalar.solve(spectrum, n, ridge, width)
    peak = jax.lax.stop_gradient(jnp.where(spectrum.max() > 0, spectrum.max(), 1))
    sums = _sums(spectrum, target, mixture.signal, cross, shifts, kappa, peak)
    # Sums come in units of kappa * peak, see below; with a factor kappa, and with kappa squared:
    unit, once, twice = 1 / (kappa * peak), 1 / peak, kappa / peak
    probe_source, probe, source = sums["response"]
    noise_response, norm_response = _responses(
        kappa, n, ridge, width, spectrum, unit * probe_source, once * probe, once * source
    )

    def shifted(probe: jax.Array, source: jax.Array, norm: jax.Array) -> jax.Array:
        return probe + noise_response * source + norm_response * norm

    p = share[1:]
    (signal_t, signal_1, signal_2), (cross_t, cross_1, cross_2) = sums["signal"], _dot(sums["cross"], p)
    shift_t, shift_1, shift_2 = _dot(_dot(sums["shift"], p), p)
    spread = _dot(_dot(share, _pair_gaps(spectrum, mixture)), share) / 2
    bias = shifted(twice * signal_t, twice * signal_1, unit * signal_2)
    collapse = shifted(
        unit * shift_t - 2 * once * cross_t,
        twice * (2 * cross_1 + shift_1) + spread,
        unit * (2 * cross_2 + shift_2),
    )
    return Risk(bias, noise_response * _dot(share, mixture.noise**2), collapse)


def _sums(
    spectrum: jax.Array,
    target: jax.Array,
    signal: jax.Array,
    cross: jax.Array,
    shifts: jax.Array,
    kappa: jax.Array,
    peak: jax.Array,
):
    """Every weight against the squared resolvent, in one matrix product.

    The square is multiplied by ``kappa * peak``: by itself, 1 / kappa**2 of an empty direction overflows in float32.
    """
    shift_count = shifts.shape[0]
    weights = {
        "response": jnp.stack([spectrum * target, target, spectrum]),
        "signal": jnp.stack([target, spectrum, spectrum**2]) * signal[None, :],
        "cross": jnp.stack([target * spectrum, spectrum, spectrum**2])[:, None, :] * cross[None, :, :],
        "shift": jnp.stack([target * spectrum**2, spectrum, spectrum**2])[:, None, None, :] * shifts[None, :, :, :],
    }
    columns = jnp.concatenate([w.reshape(-1, spectrum.size) for w in weights.values()]).T
    resolvent = jnp.sqrt(kappa * peak) / (spectrum + kappa)
    flat = _dot(resolvent**2, columns)
    parts = jnp.split(flat, [3, 6, 6 + 3 * shift_count])
    shapes = (3,), (3,), (3, shift_count), (3, shift_count, shift_count)
    return {name: part.reshape(shape) for name, part, shape in zip(weights, parts, shapes, strict=True)}


def _responses(kappa, n, ridge, width, spectrum, probe_source, kappa_probe, coupling):
    """What a probe does to the sources' common factor and to the effective penalty (both at least 0).

    With N = n - df1 and P = 1 - df1 / m, the fixed point kappa N P = n ridge d / m gives the smaller from
    the larger.
    """
    ridge = jnp.where(ridge > 0, ridge, scalar.vanishing(spectrum))
    learned = _dot(1 / (spectrum + kappa), spectrum)
    if width is None:
        return probe_source / (n * ridge / kappa + coupling), jnp.zeros_like(kappa)
    inverse = 1 / width
    product = n * ridge * spectrum.size * inverse / kappa
    few_samples = n <= width
    free_width = jnp.where(few_samples, 1 - learned * inverse, 1)
    free_samples = jnp.where(few_samples, product / free_width, n - learned)
    free_width = jnp.where(few_samples, free_width, product / jnp.where(few_samples, 1, free_samples))
    determinant = free_samples * free_width + coupling * (free_samples * inverse + free_width)
    noise_response = (free_width + coupling * inverse) * probe_source + coupling * inverse * kappa_probe
    norm_response = kappa * inverse * (coupling * probe_source + (free_samples + coupling) * kappa_probe)
    return noise_response / determinant, norm_response / determinant


def _pair_gaps(spectrum: jax.Array, mixture: Mixture) -> jax.Array:
    """(K, K) mean squared disagreement of every two sources' labels, ``sum_i s_i E[(w_k - w_l)_i^2]``."""
    _, shifts = mixture.shift_moments()
    moments = _dot(shifts, spectrum)
    own = jnp.diagonal(moments)
    return own[:, None] + own[None, :] - 2 * moments


def _dot(left: jax.Array, right: jax.Array) -> jax.Array:
    """Product in full precision, also where an accelerator's default is lower."""
    return jnp.dot(left, right, precision="highest")
