"""What a published figure is: numbers computed from the library, and a picture drawn from the numbers."""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import matplotlib.figure
import xarray as xr
from matplotlib.axes import Axes

from collapse_jax import checks

Datasets = dict[str, xr.Dataset]
SIZES = ("full", "smoke")


class Figure(NamedTuple):
    """One published figure.

    Attributes:
        name: what the command line calls it.
        title: what it shows, in a line.
        caption: its parameters, its panels, and each deviation from the print with its reason.
        compute: ``compute(size, seed)`` evaluates theory and simulation; ``size`` is "full" or "smoke" (seconds, for tests).
        draw: ``draw(datasets)`` makes the picture, without ``pyplot``.

    Example:
        >>> from collapse_jax.figures import FIGURES
        >>> FIGURES["strong-3"].title
        'The smallest synthetic fraction ends the scaling law'
    """

    name: str
    title: str
    caption: str
    compute: Callable[[str, int], Datasets]
    draw: Callable[[Datasets], matplotlib.figure.Figure]


def is_full(size: str) -> bool:
    """Whether ``size`` is "full"; raises where it is unknown, or where float64 is off.

    Raises:
        ValueError: for a size other than "full" and "smoke".
        RuntimeError: where float64 is off: the figures' ridge, 1e-8, drowns in float32.
    """
    if size not in SIZES:
        raise ValueError(f'size is {size!r}; it must be "full" or "smoke"')
    if jnp.result_type(float) != jnp.float64:
        raise RuntimeError(f"published figures need float64, which is off; {checks.FLOAT64}")
    return size == "full"


def with_names(dataset: xr.Dataset, **names: str) -> xr.Dataset:
    """The dataset, whose coordinates and variables are called so in pictures."""
    for name, words in names.items():
        dataset[name].attrs["long_name"] = words
    return dataset


def shared_legend(picture: matplotlib.figure.Figure, axes: Axes, columns: int) -> None:
    """Move the legend of one panel below all of them."""
    own = axes.get_legend()
    assert own is not None
    names = [text.get_text() for text in own.texts]
    handles = [handle for handle in own.legend_handles if handle is not None]
    picture.legend(
        handles, names, title=own.get_title().get_text(), ncols=columns, loc="outside lower center", handlelength=3
    )
    own.remove()
