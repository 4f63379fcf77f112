"""What a nonlinearity does to random features, in two numbers: how much stays linear, and how much becomes noise."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from collapse_jax import checks

Activation = str | Callable[[jax.Array], jax.Array]

FUNCTIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "relu": jax.nn.relu,
    "erf": jax.scipy.special.erf,
    "tanh": jnp.tanh,
}


def hermite_coefficients(activation: Activation, variance: Any) -> tuple[jax.Array, jax.Array]:
    """Squares of the Hermite coefficients of an activation at Gaussian pre-activations: ``(mu_1^2, mu_*^2)``.

    With g standard normal and q the pre-activations' variance, ``mu_1 = E[phi'(sqrt(q) g)]`` is the linear part, and
    ``mu_*^2 = E[phi^2] - E[phi]^2 - mu_1^2 q`` the variance that acts as independent noise in the features.

    Args:
        activation: "relu", "erf", "tanh" or any function of arrays; kinks at multiples of the standard deviation are
            integrated exactly, others to about 1e-3.
        variance: q > 0; the mean of the spectrum for projections with entries N(0, 1/d).

    Raises:
        ValueError: for an unknown name, or a variance that is not positive.

    Example:
        >>> linear, leak = hermite_coefficients("relu", 1.0)
        >>> round(float(linear), 6), round(float(leak), 6)           # 1/4 and 1/4 - 1/(2 pi)
        (0.25, 0.090845)
    """
    variance = checks.real("variance", variance)
    valid = checks.above_zero("variance", variance)
    function = function_of(activation)
    if activation == "relu":
        pair = jnp.full_like(variance, 0.25), variance * (0.25 - 1 / (2 * math.pi))
    elif activation == "erf":
        linear = 4 / math.pi / (1 + 2 * variance)
        pair = linear, 2 / math.pi * jnp.arcsin(2 * variance / (1 + 2 * variance)) - linear * variance
    else:
        pair = _quadrature(function, variance)
    return checks.poison(pair, valid)


def function_of(activation: Activation) -> Callable[[jax.Array], jax.Array]:
    """The function that an activation names."""
    if callable(activation):
        return activation
    if activation not in FUNCTIONS:
        raise ValueError(
            f"activation is {activation!r}; it must be one of {sorted(FUNCTIONS)} or a function of arrays such as jnp.sin"
        )
    return FUNCTIONS[activation]


def mean_of(activation: Activation, variance: jax.Array) -> jax.Array:
    """``E[phi(sqrt(variance) g)]`` for standard normal g."""
    g, density = _gaussian_rule(variance.dtype)
    return (density * function_of(activation)(jnp.sqrt(variance) * g)).sum()


def _gaussian_rule(dtype: Any) -> tuple[jax.Array, jax.Array]:
    """Nodes and weights of Gaussian expectations: Gauss-Legendre on panels one deviation wide, kinks at 0 on an edge."""
    nodes, weights = np.polynomial.legendre.leggauss(24)
    edges = np.arange(-13, 13)
    g = jnp.asarray((edges[:, None] + (nodes + 1) / 2).ravel(), dtype)
    density = jnp.asarray(np.tile(weights / 2, edges.size), dtype) * jnp.exp(-(g**2) / 2) / math.sqrt(2 * math.pi)
    return g, density


def _quadrature(function: Callable[[jax.Array], jax.Array], variance: jax.Array) -> tuple[jax.Array, jax.Array]:
    g, density = _gaussian_rule(variance.dtype)
    values = function(jnp.sqrt(variance) * g)
    mean = (density * values).sum()
    linear = (density * values * g).sum() ** 2 / variance
    return linear, (density * (values - mean) ** 2).sum() - linear * variance
