"""What users want to know of the seeds of a dataset: mean, standard error, quantiles."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from collapse_jax.sweep.program import USED


def mean_and_error(dataset: xr.Dataset) -> tuple[xr.Dataset, xr.Dataset]:
    """Mean over seeds and its standard error.

    A mean over a result that is not finite is not finite. Where a sweep stopped a point early (``seeds_used``), the seeds that
    it used count.

    Raises:
        ValueError: for a dataset without seeds.

    Example:
        >>> dataset = xr.Dataset({"total": ("seed", [1.0, 3.0])})
        >>> mean, error = mean_and_error(dataset)
        >>> float(mean.total), float(error.total)
        (2.0, 1.0)
    """
    dataset, evaluated, count = _seeds(dataset)
    mean = dataset.where(evaluated, 0).sum("seed", skipna=False, keep_attrs=True) / count
    squares = ((dataset - mean).where(evaluated, 0) ** 2).sum("seed", skipna=False, keep_attrs=True)
    error = np.sqrt(squares / (count * xr.where(count > 1, count - 1, np.nan)))
    for result in (mean, error):
        result.attrs = dict(dataset.attrs)
        for name, variable in result.data_vars.items():
            variable.attrs = dict(dataset[name].attrs)
    return mean, error


def summary(dataset: xr.Dataset, quantiles: Sequence[float] = (0.05, 0.5, 0.95)) -> xr.Dataset:
    """Mean, standard error and quantiles over seeds, along a new dimension ``statistic``.

    Args:
        dataset: a dataset with a dimension ``seed``.
        quantiles: levels in [0, 1].

    Raises:
        ValueError: for a dataset without seeds, or a level outside [0, 1].

    Example:
        >>> table = summary(xr.Dataset({"total": ("seed", [1.0, 2.0, 6.0])}), quantiles=[0.5])
        >>> table.total.to_series().round(2).to_dict()
        {'mean': 3.0, 'error': 1.53, 'quantile 0.5': 2.0}
    """
    levels = [float(level) for level in quantiles]
    if not all(0 <= level <= 1 for level in levels):
        raise ValueError(f"quantiles is {quantiles!r}; levels must lie in [0, 1]")
    mean, error = mean_and_error(dataset)
    plain, evaluated, _ = _seeds(dataset)
    bad = (~np.isfinite(plain) & evaluated).any("seed") | ~evaluated.any("seed")
    values = plain.where(evaluated).where(~bad, 0)  # quantiles warn of points without numbers
    parts = [mean, error]
    for level in levels:
        found = values.quantile(level, "seed", skipna=True, keep_attrs=True).drop_vars("quantile")
        parts.append(found.where(~bad))
    names = ["mean", "error", *(f"quantile {level:g}" for level in levels)]
    together = xr.concat(parts, xr.Variable("statistic", np.array(names, dtype=object)), join="exact")
    return together.assign_attrs(dataset.attrs)


def _seeds(dataset: xr.Dataset) -> tuple[xr.Dataset, xr.DataArray, xr.DataArray]:
    """Variables over seeds, which of their entries were evaluated, and how many a point."""
    if "seed" not in dataset.dims:
        raise ValueError("dataset has no seed dimension; make one with sweep(..., key=, seeds=)")
    size = dataset.sizes["seed"]
    count = dataset[USED] if USED in dataset else xr.DataArray(size)
    dataset = dataset[[name for name, variable in dataset.data_vars.items() if "seed" in variable.dims]]
    return dataset, xr.DataArray(np.arange(size), dims="seed") < count, count
