"""More points along one axis where the curves bend."""

import numpy as np
import xarray as xr

NARROWEST = 1e-4  # of the axis' span: closer points would only follow noise


def more_points(dataset: xr.Dataset, axis: str, total: int) -> np.ndarray:
    """New values for ``axis``: midpoints of the intervals in which straight lines miss the curves most.

    At most ``total`` values in the end and half as many again at once; empty when nothing is left to refine.
    """
    x = dataset[axis].values.astype(float)
    scale = np.log if _positive_decades(x) else np.asarray
    at = scale(x)
    missed = np.zeros(x.size - 1)
    for curve in _curves(dataset, axis):
        missed = np.maximum(missed, _missed(at, curve))
    widths = np.diff(at)
    missed[widths < NARROWEST * (at[-1] - at[0])] = 0
    count = min(total - x.size, max(1, x.size // 2), int((missed > 0).sum()))
    if count <= 0:
        return np.empty(0)
    chosen = np.sort(np.argsort(-missed, kind="stable")[:count])
    middle = (at[chosen] + at[chosen + 1]) / 2
    return np.exp(middle) if scale is np.log else middle


def _curves(dataset: xr.Dataset, axis: str) -> list[np.ndarray]:
    """Every curve along the axis: the total where there is one, else all variables, averaged over seeds."""
    names = ["total"] if "total" in dataset else list(dataset.data_vars)
    curves: list[np.ndarray] = []
    for name in names:
        table = dataset[name]
        if axis not in table.dims or not np.issubdtype(table.dtype, np.floating):
            continue
        table = table.mean("seed") if "seed" in table.dims else table
        values = table.transpose(axis, ...).values
        curves.extend(values.reshape(len(values), -1).T)
    return curves


def _missed(at: np.ndarray, curve: np.ndarray) -> np.ndarray:
    """How far the curve at each interval's ends lies from the line through its neighbours; on a log scale if positive."""
    finite = np.isfinite(curve)
    if finite.sum() < 3:
        return np.zeros(at.size - 1)
    curve = np.where(finite, curve, np.interp(at, at[finite], curve[finite]))
    if curve.min() > 0:
        curve = np.log(curve)
    elif np.ptp(curve) > 0:
        curve = curve / np.ptp(curve)
    left, right = np.diff(at)[:-1], np.diff(at)[1:]
    line = (curve[:-2] * right + curve[2:] * left) / (left + right)
    bend = np.concatenate([[0], np.abs(curve[1:-1] - line), [0]])
    return np.maximum(bend[:-1], bend[1:])


def _positive_decades(x: np.ndarray) -> bool:
    return bool(x.min() > 0 and x.max() > 10 * x.min())
