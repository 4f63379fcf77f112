"""Labelled images: how they are normalised, split and labelled, whichever they are."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from collapse_jax import checks
from collapse_jax.data.digits import Images

__all__ = ["Images", "Normalised", "Splits", "normalised", "splits", "synthetic_rows"]


class Splits(NamedTuple):
    """Images to train on, to choose a checkpoint by, and to test on; none is in two of them."""

    train: Images
    validation: Images
    test: Images


def splits(images: Images, seed: int, *, validation: int, test: int | Sequence[int]) -> Splits:
    """Split images at random, the same way for the same seed.

    Args:
        images: all of them.
        seed: decides which image goes where, and the order of each part.
        validation: number of validation images, >= 0.
        test: number of test images, or their indices where a published test set is to be kept, such as
            ``range(60_000, 70_000)`` of MNIST (then in this order).

    Returns:
        :class:`Splits`; all other images train, in random order, so that the first n are a random sample.

    Raises:
        ValueError: where no image is left to train on, or for indices outside the images or twice the same.

    Example:
        >>> from collapse_jax.data import digits
        >>> parts = splits(digits(), seed=0, validation=200, test=400)
        >>> [len(part.labels) for part in parts]
        [1197, 200, 400]
    """
    total = len(images.labels)
    order = np.asarray(jax.random.permutation(jax.random.key(seed), total))
    if isinstance(test, int):
        test_rows, order = order[:test], order[test:]
    else:
        test_rows = np.asarray(test, int)
        _check_rows(test_rows, total)
        order = order[~np.isin(order, test_rows)]
    asked = len(test_rows) + validation
    if validation < 0 or (isinstance(test, int) and test < 0) or asked >= total:
        raise ValueError(
            f"validation is {validation} and test has {test if isinstance(test, int) else len(test_rows)} of {total} images; "
            "both must be at least 0 and leave an image to train on"
        )
    return Splits(*(take(images, rows) for rows in (order[validation:], order[:validation], test_rows)))


def take(images: Images, rows: Any) -> Images:
    """Some of the images, by their indices or a slice."""
    return Images(*(array[rows] for array in images))


def _check_rows(rows: np.ndarray, total: int) -> None:
    if rows.size and (rows.min() < 0 or rows.max() >= total or len(np.unique(rows)) < len(rows)):
        raise ValueError(f"test has indices from {rows.min()} to {rows.max()}; they must differ, from 0 to {total - 1}")


class Normalised(NamedTuple):
    """Images with mean 0 and mean square 1.

    Attributes:
        inputs: (N, pixels) ``(pixels - mean) / scale``: each pixel has mean 0, and the mean square of all entries is 1, so
            that a projection with entries N(0, 1/pixels) has variance 1 on average.
        outputs: (N, classes) one-hot labels less ``prior``.
        labels: (N,) the classes.
        mean: (pixels,) and ``scale`` (), of the images given first; ``prior`` (classes,) their shares of the classes.
    """

    inputs: jax.Array
    outputs: jax.Array
    labels: jax.Array
    mean: jax.Array
    scale: jax.Array
    prior: jax.Array


def normalised(images: Images, like: Normalised | None = None) -> Normalised:
    """Centre and scale images and one-hot labels, by their own means and scale or by those of others.

    Args:
        images: what to normalise.
        like: normalised images whose mean, scale and prior are to be used: those of the training images for a test set.

    Raises:
        ValueError: for images that are all equal, which have no scale.

    Example:
        >>> from collapse_jax.data import digits
        >>> inputs = normalised(digits()).inputs
        >>> bool(abs(inputs.mean()) < 1e-12), round(float((inputs**2).mean()), 12)
        (True, 1.0)
    """
    if like is None:
        mean, prior = images.inputs.mean(0), images.one_hot.mean(0)
        scale = jnp.sqrt(((images.inputs - mean[None, :]) ** 2).mean())
        checks.above_zero("the standard deviation of the pixels", scale, "These images are all equal")
    else:
        mean, scale, prior = like.mean, like.scale, like.prior
    inputs = (images.inputs - mean[None, :]) / scale
    return Normalised(inputs, images.one_hot - prior[None, :], images.labels, mean, scale, prior)


def synthetic_rows(rows: int, synthetic_fraction: float) -> np.ndarray:
    """(rows,) mask of the rows with synthetic labels: among the first n are ``round(n * synthetic_fraction)``, for every n.

    So a training set of n images is the first n of a larger one, labels included, and a factorisation of the larger one
    serves it. Rows in random order are assumed: these lie evenly among them.

    Raises:
        ValueError: for a fraction outside [0, 1].

    Example:
        >>> synthetic_rows(8, 0.25).astype(int).tolist()
        [0, 1, 0, 0, 0, 1, 0, 0]
    """
    checks.fraction("synthetic_fraction", synthetic_fraction)
    # Rounded half up: NumPy's rounding to even would make the steps uneven.
    counts = np.floor(np.arange(rows + 1) * synthetic_fraction + 0.5)
    return np.diff(counts) > 0


def check_fraction(n: int, synthetic_fraction: float) -> None:
    """Raise where a fraction above 0 rounds to no synthetic row among n, or one below 1 to no real row."""
    synthetic = int(synthetic_rows(n, synthetic_fraction).sum())
    wrong = (synthetic == 0 and synthetic_fraction > 0) or (synthetic == n and synthetic_fraction < 1)
    if wrong:
        least = int(np.ceil(0.5 / min(synthetic_fraction, 1 - synthetic_fraction)))
        kind = "synthetic" if synthetic == 0 else "real"
        raise ValueError(
            f"synthetic_fraction is {synthetic_fraction:g}, which leaves no {kind} image among n = {n}; "
            f"it must leave one. Use n >= {least + 1}, or a fraction of 0 or 1"
        )
