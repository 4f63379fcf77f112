"""The exact asymptotic risk of ridge regression on a mixture: classical linear model, random projections, random features."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from collapse_jax import checks
from collapse_jax.activations import Activation, hermite_coefficients
from collapse_jax.arguments import Arguments, arguments
from collapse_jax.mixture import Mixture
from collapse_jax.risk import Risk
from collapse_jax.theory import potential, shared


def risk(
    mixture: Mixture,
    counts: Any,
    ridge: Any,
    width: Any = None,
    weights: Any = None,
    *,
    target: Any = None,
    activation: Activation | None = None,
) -> Risk:
    """Test error of ridge regression on ``counts`` samples of each source, in the limit of many samples and dimensions.

    The estimator minimises ``(1/n) sum_k weights_k sum_i (f(x_i) - y_i)^2 + ridge |v|^2`` over v, ``f(x) = v.z``, with features
    ``z = x`` (``width=None``), ``z = S'x`` with S (d, width) iid N(0, 1/d), or ``z = phi(S'x) - mean``. The risk is
    ``E (f(x) - x.w_0)^2`` over designs, labels and a fresh x of the target: no noise floor.

    Args:
        mixture: the sources; results follow its dtype.
        counts: (K,) samples of each source, >= 0, not all zero; any reals, traced or not. See :func:`collapse_jax.split`.
        ridge: >= 0. At 0 the ridgeless (minimum-norm) limit, which is infinite where the total count equals the smaller of
            width and rank.
        width: number of random features > 0, any real; None for the classical linear model.
        weights: (K,) factors >= 0 on each source's squared errors; None for all 1.
        target: (d,) spectrum of the test inputs (covariate shift); None for that of source 0.
        activation: "relu", "erf", "tanh" or a function, with ``width``: nonlinear random features by their Hermite
            coefficients. The mean eigenvalue of all sources and of the target must then be equal.

    Returns:
        :class:`Risk` of scalars. Differentiable in every number; batch it with ``jax.vmap``.

    Raises:
        ValueError: for values outside these ranges, with the way out. Inside ``jit`` affected results are NaN.

    Accuracy: fixed-point residual below 1e-12 in float64 for ridge 1e-12..1e6 and n/d, width/d 1e-3..1e9; the theory itself is
    exact as d grows, with a gap of order 1/d.

    Source: *Strong Model Collapse*, Theorems 1 and 2 (errata 3 and 4), Propositions 1, 2 and 4 in the one-potential form of
    ``docs/theory.md``.

    Example:
        >>> import collapse_jax as cj
        >>> spectrum = cj.spectra.isotropic(100)
        >>> mixture = cj.real_and_synthetic(spectrum, signal=1 / 100, shift=0.5 / 100, noise_real=1.0, noise_synthetic=1.0)
        >>> risk = cj.theory.risk(mixture, cj.split(1000, 0.2), ridge=1e-6)
        >>> round(float(risk.variance), 4)                           # phi / (1 - phi)
        0.1111
        >>> round(float(risk.collapse), 4)                           # (p2^2 + p2 p1 phi / (1 - phi)) c^2
        0.0289
    """
    given, valid = arguments(mixture, counts, ridge, width, weights, target, activation)
    return checks.poison(risk_of(mixture, given, activation, has_closed_form(mixture, weights, activation)), valid)


def direction_errors(
    mixture: Mixture,
    counts: Any,
    ridge: Any,
    width: Any = None,
    weights: Any = None,
    *,
    activation: Activation | None = None,
) -> Risk:
    """Mean squared error of the fitted coefficient along each eigenvector, ``E (w^_i - w_0i)^2``.

    Arguments, errors and source as for :func:`risk`. With projections, ``w^ = S v``; with an activation, the
    coefficients of the linear part of the fit.

    Returns:
        :class:`Risk` of (d,) arrays. Without an activation, ``sum(spectrum * total)`` is the risk.

    Example:
        >>> import collapse_jax as cj
        >>> mixture = cj.real_and_synthetic(cj.spectra.power_law(50), signal=1.0, shift=0.1)
        >>> errors = cj.theory.direction_errors(mixture, cj.split(100, 0.5), ridge=0.1)
        >>> total = cj.theory.risk(mixture, cj.split(100, 0.5), ridge=0.1).total
        >>> bool(abs((mixture.spectra[0] * errors.total).sum() - total) < 1e-5 * total)
        True
    """
    given, valid = arguments(mixture, counts, ridge, width, weights, None, activation)
    return checks.poison(_general_directions(mixture, given, activation), valid)


def training_loss(
    mixture: Mixture,
    counts: Any,
    ridge: Any,
    width: Any = None,
    weights: Any = None,
    *,
    activation: Activation | None = None,
) -> jax.Array:
    """Expected weighted mean squared error on the training labels, ``(1/n) sum_k weights_k sum_i (f(x_i) - y_i)^2``.

    Arguments, errors and source as for :func:`risk`; the penalty is not part of it.

    Example:
        >>> import collapse_jax as cj
        >>> mixture = cj.real_and_synthetic(cj.spectra.isotropic(100), 0.01, 0.0, noise_real=1.0, noise_synthetic=1.0)
        >>> loss = cj.theory.training_loss(mixture, cj.split(200, 0.0), ridge=1e-6)      # sigma^2 (1 - d / n)
        >>> round(float(loss), 4)
        0.5
    """
    given, valid = arguments(mixture, counts, ridge, width, weights, None, activation)
    return checks.poison(_general_training_loss(mixture, given, activation), valid)


def has_closed_form(mixture: Mixture, weights: Any, activation: Activation | None) -> bool:
    """Whether :mod:`collapse_jax.theory.shared` serves: one spectrum, equal weights and no activation."""
    return mixture.shared_spectrum and weights is None and activation is None


@partial(jax.jit, static_argnums=(2, 3))
def risk_of(mixture: Mixture, given: Arguments, activation: Activation | None, closed_form: bool) -> Risk:
    """Risk for checked arguments, by the closed form where :func:`has_closed_form` allows it."""
    if closed_form:
        return shared.risk(mixture, given.counts, given.ridge, given.width, given.target)
    return potential.risk(mixture, _problem(mixture, given, activation), given.target)


@partial(jax.jit, static_argnums=2)
def _general_directions(mixture: Mixture, given: Arguments, activation: Activation | None) -> Risk:
    return potential.direction_errors(mixture, _problem(mixture, given, activation))


@partial(jax.jit, static_argnums=2)
def _general_training_loss(mixture: Mixture, given: Arguments, activation: Activation | None) -> jax.Array:
    return potential.training_loss(mixture, _problem(mixture, given, activation))


def _problem(mixture: Mixture, given: Arguments, activation: Activation | None) -> potential.Problem:
    one = jnp.ones((), mixture.dtype)
    coefficients = (one, 0 * one) if activation is None else hermite_coefficients(activation, mixture.spectra[0].mean())
    return potential.problem_of(mixture.spectra, given.counts, given.ridge, given.width, given.weights, coefficients)
