"""How good the synthetic data is, from rows that carry both labels."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from collapse_jax import checks, spectra
from collapse_jax.mixture import Mixture
from collapse_jax.simulate.positive import product
from collapse_jax.spectra import Eigenbasis


class Measured(NamedTuple):
    """What rows with both labels say.

    Attributes:
        mixture: spectrum, label functions and noise, for :func:`plan` and for all of :mod:`collapse_jax.theory`.
        eigenbasis: the inputs' covariance; ``eigenbasis.coordinates(rows)`` are the inputs of the mixture.
        coefficients: (2, d) the best linear models of the real and the synthetic labels, along the eigenvectors.
        residuals: (2, N) what they leave of the labels.
        plain_noise: (2,) standard deviations of the residuals, all directions alike.
    """

    mixture: Mixture
    eigenbasis: Eigenbasis
    coefficients: jax.Array
    residuals: jax.Array
    plain_noise: jax.Array


def measure(inputs: Any, outputs: Any, synthetic_outputs: Any, ridge: Any = 0.0) -> Measured:
    """The mixture that rows of inputs with their true and their synthetic labels show.

    To have both, let the model that writes the synthetic data label your real inputs as well. Inputs and labels are centred.

    The noise of a source is what its best linear model leaves, counted where it does harm: residuals of unusual rows, which
    pull at a fit most, by their leverage ``sum_i (s_i / (s_i + ridge))^2 x_i^2 / s_i``. Where residuals are independent of
    the inputs, as the theory assumes, that is their standard deviation; elsewhere it is what the theory needs.

    Args:
        inputs: (N, d) rows; N well above d, for the label functions are least-squares fits.
        outputs: (N,) true labels.
        synthetic_outputs: (N,) labels that the synthetic source gives the same rows.
        ridge: >= 0, about that with which models will be trained: it says which directions are learned at all.

    Returns:
        :class:`Measured`. Source 0 of its mixture is real.

    Raises:
        ValueError: for shapes that do not fit, entries that are not finite, or no more rows than the rank of the inputs.

    Example:
        >>> import collapse_jax as cj
        >>> key = jax.random.key(0)
        >>> rows = cj.simulate.rows(key, cj.Mixture([[2.0, 1.0]], [[[1.0, 4.0]]], noise=0.3), [5000])
        >>> truth = measure(rows.inputs, rows.outputs, rows.outputs * 0.5)
        >>> truth.mixture.spectra[0].round(1).tolist(), truth.mixture.noise.round(2).tolist()
        ([2.0, 1.0], [0.31, 0.15])
    """
    inputs = checks.real("inputs", inputs)
    if inputs.ndim != 2 or not inputs.size:
        raise ValueError(f"inputs has shape {inputs.shape}; it must be (N, d): one row a sample")
    labels = []
    for name, values in (("outputs", outputs), ("synthetic_outputs", synthetic_outputs)):
        array = checks.real(name, values, inputs.dtype)
        checks.shape(name, array, inputs.shape[:1], "one label a row of inputs")
        checks.finite(name, array)
        labels.append(array - array.mean())
    ridge = checks.real("ridge", ridge, inputs.dtype)
    checks.scalar("ridge", ridge)
    checks.at_least_zero("ridge", ridge)
    eigenbasis = spectra.from_data(inputs)
    spectrum, present = eigenbasis.spectrum, eigenbasis.spectrum > 0
    inverse = jnp.where(present, 1 / jnp.where(present, spectrum, 1), 0)
    freedom = len(inputs) - int(present.sum()) - 1
    if freedom < 1:
        raise ValueError(
            f"inputs has {len(inputs)} rows of rank {int(present.sum())}; it must have more rows, well above d"
        )
    x, y = eigenbasis.coordinates(inputs), jnp.stack(labels)
    coefficients = product(y, x) / len(x) * inverse[None, :]
    residuals = y - product(coefficients, x.T)
    learned = jnp.where(present, spectrum / jnp.where(present, spectrum + ridge, 1), 0) ** 2
    leverage = product(x**2, learned * inverse) / learned.sum()  # mean 1 over rows
    noise = jnp.sqrt(product(residuals**2, leverage) / freedom)
    moments = coefficients[:, None, :] * coefficients[None, :, :]
    mixture = Mixture(jnp.stack([spectrum, spectrum]), moments, noise, shared_spectrum=True)
    return Measured(mixture, eigenbasis, coefficients, residuals, jnp.sqrt((residuals**2).sum(1) / freedom))
