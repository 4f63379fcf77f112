"""Handwritten digits that come with scikit-learn: real input without a network."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp


class Images(NamedTuple):
    """Labelled images.

    Attributes:
        inputs: (N, pixels) brightness of each pixel, 0 to 1.
        labels: (N,) integers, the class of each image.
        one_hot: (N, classes) ones at the class, zeros elsewhere.
    """

    inputs: jax.Array
    labels: jax.Array
    one_hot: jax.Array


def digits() -> Images:
    """The 1797 handwritten digits of 8 x 8 pixels embedded in scikit-learn, in their published order.

    Three border pixels are dark in every image, so their covariance has rank 61.

    Returns:
        :class:`Images` with 64 pixels and 10 classes, in the default floating-point precision.

    Source: the test set of Alpaydin and Kaynak, *Optical Recognition of Handwritten Digits* (UCI, 1998).

    Example:
        >>> images = digits()
        >>> images.inputs.shape, images.labels[:4].tolist(), images.one_hot.shape
        ((1797, 64), [0, 1, 2, 3], (1797, 10))
    """
    from sklearn.datasets import load_digits

    bunch: Any = load_digits()
    inputs = jnp.asarray(bunch.data, jnp.result_type(float)) / 16
    labels = jnp.asarray(bunch.target)
    return Images(inputs, labels, jax.nn.one_hot(labels, 10, dtype=inputs.dtype))
