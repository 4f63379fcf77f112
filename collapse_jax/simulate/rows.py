"""The same experiments row by row: the oracle of the fast simulator, and the way to other inputs and to nonlinear features."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from collapse_jax import checks
from collapse_jax.activations import Activation, function_of, mean_of
from collapse_jax.mixture import Mixture
from collapse_jax.simulate.positive import product
from collapse_jax.simulate.regression import draw_labels


class Rows(NamedTuple):
    """Labelled samples: inputs (n, d), outputs (n,), the source of each row (n,), and the label functions used (K, d)."""

    inputs: jax.Array
    outputs: jax.Array
    source: jax.Array
    labels: jax.Array


def rows(key: jax.Array, mixture: Mixture, counts: Sequence[int], labels: Any = None) -> Rows:
    """Draw labelled Gaussian rows of a mixture. Time and memory grow with the counts; :func:`fit` has no such cost.

    Args:
        key: a ``jax.random.key``.
        mixture: the sources, K of them, d directions.
        counts: K Python integers >= 0 (they set array shapes).
        labels: (K, d) label functions; drawn with the mixture's moments when None.

    Raises:
        ValueError: for counts that are not K whole numbers >= 0, or labels of another shape.

    Example:
        >>> import collapse_jax as cj
        >>> sample = rows(jax.random.key(0), cj.real_and_synthetic(cj.spectra.isotropic(3), 1.0, 0.1), [4, 2])
        >>> sample.inputs.shape, sample.outputs.shape, sample.source.tolist()
        ((6, 3), (6,), [0, 0, 0, 0, 1, 1])
    """
    if len(counts) != mixture.sources or any(int(c) != c or c < 0 for c in counts):
        raise ValueError(f"counts is {list(counts)!r}; it must be {mixture.sources} whole numbers of at least 0")
    input_key, noise_key, label_key = jax.random.split(key, 3)
    if labels is None:
        labels = draw_labels(label_key, mixture)
    labels = checks.real("labels", labels, mixture.dtype)
    checks.shape("labels", labels, (mixture.sources, mixture.dim), "one label function a source")
    n = int(sum(counts))
    source = jnp.repeat(jnp.arange(mixture.sources), jnp.array([int(c) for c in counts]), total_repeat_length=n)
    inputs = jax.random.normal(input_key, (n, mixture.dim), mixture.dtype) * jnp.sqrt(mixture.spectra)[source]
    noise = jax.random.normal(noise_key, (n,), mixture.dtype) * mixture.noise[source]
    return Rows(inputs, (inputs * labels[source]).sum(1) + noise, source, labels)


def random_features(key: jax.Array, inputs: Any, width: int, activation: Activation | None = None) -> jax.Array:
    """(n, width) random features of (n, d) inputs: ``phi(S'x) - mean`` with S (d, width) iid N(0, 1/d).

    The same key, d and width give the same S, so that training and test inputs meet the same features.

    Args:
        key: a ``jax.random.key``.
        inputs: (n, d) rows.
        width: number of features, a Python integer >= 1.
        activation: "relu", "erf", "tanh" or a function; None for linear projections. The mean subtracted is that of a
            Gaussian pre-activation whose variance is the mean square of the inputs' entries.

    Example:
        >>> features = random_features(jax.random.key(0), jnp.ones((5, 3)), width=8, activation="relu")
        >>> features.shape
        (5, 8)
    """
    inputs = checks.real("inputs", inputs)
    if int(width) != width or width < 1:
        raise ValueError(f"width is {width!r}; it must be a whole number of at least 1")
    projections = jax.random.normal(key, (inputs.shape[1], int(width)), inputs.dtype) / math.sqrt(inputs.shape[1])
    hidden = product(inputs, projections)
    if activation is None:
        return hidden
    return function_of(activation)(hidden) - mean_of(activation, (inputs**2).mean())


def fit_rows(inputs: Any, outputs: Any, ridge: Any, weights: Any = None) -> jax.Array:
    """Ridge regression on rows: minimises ``(1/n) sum_i weights_i |x_i.v - y_i|^2 + ridge |v|^2``.

    Args:
        inputs: (n, d) rows, or features of them.
        outputs: (n,) or (n, c) targets.
        ridge: >= 0; exactly 0 gives the minimum-norm least-squares fit outside ``jit``, and NaN inside.
        weights: (n,) factors >= 0; None for all 1.

    Returns:
        (d,) or (d, c) coefficients. The smaller of the primal (d x d) and dual (n x n) systems is solved.

    Raises:
        ValueError: for shapes that do not fit, entries that are not finite, or a negative ridge or weight.

    Example:
        >>> fit_rows(jnp.array([[1.0, 0.0], [0.0, 2.0]]), jnp.array([3.0, 4.0]), ridge=0.0).round(6).tolist()
        [3.0, 2.0]
    """
    inputs = checks.real("inputs", inputs)
    outputs = checks.real("outputs", outputs, inputs.dtype)
    if inputs.ndim != 2 or outputs.ndim not in (1, 2) or outputs.shape[0] != inputs.shape[0]:
        raise ValueError(
            f"inputs has shape {inputs.shape} and outputs {outputs.shape}; they must be (n, d) and (n,) or (n, c)"
        )
    ridge = checks.real("ridge", ridge, inputs.dtype)
    checks.scalar("ridge", ridge)
    valid = checks.finite("inputs", inputs) & checks.finite("outputs", outputs) & checks.at_least_zero("ridge", ridge)
    n, dim = inputs.shape
    scale = jnp.full(n, 1 / n, inputs.dtype)
    if weights is not None:
        weights = checks.real("weights", weights, inputs.dtype)
        checks.shape("weights", weights, (n,), "one factor a row")
        valid &= checks.at_least_zero("weights", weights)
        scale = weights / n
    x = inputs * jnp.sqrt(scale)[:, None]
    y = outputs.reshape(n, -1) * jnp.sqrt(scale)[:, None]
    if checks.is_traced(ridge):
        valid &= ridge > 0
    if not checks.is_traced(ridge) and float(ridge) == 0:
        coefficients = jnp.linalg.lstsq(x, y)[0]
    elif dim <= n:
        coefficients = _positive_solve(product(x.T, x), ridge, product(x.T, y))
    else:
        coefficients = product(x.T, _positive_solve(product(x, x.T), ridge, y))
    return checks.poison(coefficients.reshape(dim, *outputs.shape[1:]), valid)


def _positive_solve(matrix: jax.Array, ridge: jax.Array, right: jax.Array) -> jax.Array:
    penalised = matrix + ridge * jnp.eye(matrix.shape[0], dtype=matrix.dtype)
    return jax.scipy.linalg.cho_solve(jax.scipy.linalg.cho_factor(penalised, lower=True), right)
