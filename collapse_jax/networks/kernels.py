"""What infinitely many random features compare two inputs by: the mean product ``E[z(x) z(x')]`` of one feature.

A feature is ``z(x) = phi(s.x) - mean`` with s iid N(0, 1/d), or ``sqrt(2) cos(s.x + phase)`` for "fourier".
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from collapse_jax import checks
from collapse_jax.activations import FUNCTIONS, Activation, function_of, mean_of
from collapse_jax.simulate.positive import product

FOURIER = "fourier"
TERMS = 64  # of the Hermite series of activations without a closed form
NODES = 160  # of its coefficients' integrals


def kernel(inputs: Any, others: Any = None, activation: Activation = "relu") -> jax.Array:
    """(n, k) mean products ``E[z(x) z(x')]`` of one random feature of (n, d) inputs and (k, d) others.

    ``width`` random features have the kernel ``width * kernel`` on average.

    Args:
        inputs: (n, d) rows.
        others: (k, d) rows; the inputs themselves when None.
        activation: "relu", "erf", "fourier" (exact), "tanh" or a function of arrays (a Hermite series of 64 terms, good to 1e-8
            for smooth functions, 2e-3 for kinks).

    Returns:
        (n, k) array. Subtracted from each feature is what :func:`features` subtracts: the mean at a Gaussian pre-activation
        whose variance is 1, that of :func:`collapse_jax.data.images.normalised` inputs ("fourier": nothing).

    Raises:
        ValueError: for shapes that do not fit or an unknown activation.

    Source: Cho and Saul, *Kernel methods for deep learning* (2009), for relu; Williams, *Computing with infinite networks*
    (1997), for erf; Rahimi and Recht, *Random features for large-scale kernel machines* (2007), for fourier.

    Example:
        >>> inputs = jnp.eye(2) * 2**0.5
        >>> kernel(inputs, activation="fourier").round(4).tolist()
        [[1.0, 0.3679], [0.3679, 1.0]]
    """
    inputs = checks.real("inputs", inputs)
    others = inputs if others is None else checks.real("others", others, inputs.dtype)
    if inputs.ndim != 2 or others.ndim != 2 or inputs.shape[1] != others.shape[1]:
        raise ValueError(f"inputs has shape {inputs.shape} and others {others.shape}; they must be (n, d) and (k, d)")
    check_activation(activation)
    return _kernel(inputs, others, activation)


def check_activation(activation: Activation) -> None:
    """Raise for a name that is not known."""
    if not callable(activation) and activation != FOURIER and activation not in FUNCTIONS:
        raise ValueError(
            f"activation is {activation!r}; it must be one of {[*sorted(FUNCTIONS), FOURIER]} or a function of arrays"
        )


def centre(activation: Activation, dtype: Any) -> jax.Array:
    """What is subtracted from each feature: its mean at a standard normal pre-activation."""
    return jnp.zeros((), dtype) if activation == FOURIER else mean_of(activation, jnp.ones((), dtype))


@jax.jit(static_argnums=2)
def _kernel(inputs: jax.Array, others: jax.Array, activation: Activation) -> jax.Array:
    dim = inputs.shape[1]
    overlap = product(inputs, others.T) / dim
    left, right = ((rows**2).mean(1) for rows in (inputs, others))
    if activation == FOURIER:
        return jnp.exp(overlap - (left[:, None] + right[None, :]) / 2)
    scale = jnp.sqrt(left)[:, None] * jnp.sqrt(right)[None, :]
    cosine = jnp.clip(overlap / jnp.where(scale > 0, scale, 1), -1, 1)
    if activation == "relu":
        moment = scale * (jnp.sqrt(1 - cosine**2) + cosine * (math.pi - jnp.arccos(cosine))) / (2 * math.pi)
        means = [jnp.sqrt(variance / (2 * math.pi)) for variance in (left, right)]
    elif activation == "erf":
        norms = jnp.sqrt(1 + 2 * left)[:, None] * jnp.sqrt(1 + 2 * right)[None, :]
        return 2 / math.pi * jnp.arcsin(jnp.clip(2 * overlap / norms, -1, 1))
    else:
        first, second = (_hermite_series(activation, variance) for variance in (left, right))
        moment = _power_sum(first, second, cosine)
        means = [first[0], second[0]]
    shift = centre(activation, inputs.dtype)
    return moment - shift * (means[0][:, None] + means[1][None, :]) + shift**2


def _hermite_series(activation: Activation, variance: jax.Array) -> jax.Array:
    """(TERMS, n) coefficients ``E[phi(sqrt(v) g) h_k(g)]`` of the normalised Hermite polynomials h_k."""
    # Gauss-Legendre on [-12, 12]: Gauss-Hermite nodes lie too wide apart for activations that saturate.
    nodes, weights = _legendre(variance.dtype)
    values = function_of(activation)(jnp.sqrt(variance)[None, :] * nodes[:, None])
    density = weights * jnp.exp(-(nodes**2) / 2) / math.sqrt(2 * math.pi)

    def step(pair: tuple[jax.Array, jax.Array], k: jax.Array) -> tuple[tuple[jax.Array, jax.Array], jax.Array]:
        last, this = pair
        following = (nodes * this - jnp.sqrt(k) * last) / jnp.sqrt(k + 1)
        return (this, following), product(density * this, values)

    orders = jnp.arange(TERMS, dtype=variance.dtype)
    return jax.lax.scan(step, (jnp.zeros_like(nodes), jnp.ones_like(nodes)), orders)[1]


def _legendre(dtype: Any) -> tuple[jax.Array, jax.Array]:
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    return jnp.asarray(12 * nodes, dtype), jnp.asarray(12 * weights, dtype)


def _power_sum(left: jax.Array, right: jax.Array, cosine: jax.Array) -> jax.Array:
    """``sum_k left_k right_k cosine^k`` by Horner's rule, for (TERMS, n) and (TERMS, k) coefficients."""

    def step(total: jax.Array, pair: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        return total * cosine + pair[0][:, None] * pair[1][None, :], None

    return jax.lax.scan(step, jnp.zeros_like(cosine), (left, right), reverse=True)[0]
