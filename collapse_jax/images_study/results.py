"""What the study of images finds, as labelled datasets."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from collapse_jax.names import attributes, made_with

MEANINGS = {"total": "test error", "misread": "share of test images misread"}


class Result(NamedTuple):
    """Errors on test images with clean labels, squared and summed over outputs, and their theory where there is one.

    Attributes:
        samples: over (n, synthetic_fraction, seed).
        widths: over (width, synthetic_fraction, seed) for random features; over (n, width, seed) at fraction 1 for networks.
        teachers: over (quality, synthetic_fraction, seed), with ``quality_by_seed``.
        theory: the same names without seeds, for random features; empty for networks.
    """

    samples: xr.Dataset
    widths: xr.Dataset
    teachers: xr.Dataset
    theory: dict[str, xr.Dataset]

    def datasets(self) -> dict[str, xr.Dataset]:
        """All of them by name."""
        own = {"samples": self.samples, "widths": self.widths, "teachers": self.teachers}
        return own | {f"{name}_theory": dataset for name, dataset in self.theory.items()}


def dataset(arrays: Mapping[str, np.ndarray], attrs: Mapping[str, Any], **axes: Any) -> xr.Dataset:
    """Arrays over named axes, in order; ``seed`` counts."""
    coords = {name: (name, np.asarray(values), attributes(name)) for name, values in axes.items()}
    variables = {
        name: (tuple(axes), array, attributes(name) | {"long_name": MEANINGS.get(name, name)})
        for name, array in arrays.items()
    }
    return xr.Dataset(variables, coords, made_with() | dict(attrs))
