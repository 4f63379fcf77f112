"""A user's table of errors, checked: what it must have, and what is already known."""

import math
from typing import Any

import numpy as np
import xarray as xr

from collapse_jax import checks
from collapse_jax.planner.model import NAMES, RANGES, Rows

COLUMNS = ("n", "synthetic_fraction", "ridge", "width", "error_std")


def columns_of(table: Any) -> dict[str, np.ndarray]:
    """The columns that are used, by name, the errors as ``error``."""
    if isinstance(table, xr.Dataset):
        table = table.to_dataframe().reset_index()
    if not hasattr(table, "keys") or not hasattr(table, "__getitem__"):
        raise TypeError(
            f"table is {table!r}; it must be a DataFrame, an xarray.Dataset or a mapping of arrays, one a column"
        )
    names = set(table.keys())
    errors = [name for name in ("error", "total") if name in names]
    missing = [name for name in ("n", "synthetic_fraction") if name not in names] + ([] if errors else ["error"])
    if missing:
        raise ValueError(
            f"table lacks {' and '.join(missing)}; it has {', '.join(sorted(map(str, names)))}. "
            "It must have n, synthetic_fraction and error (or total)"
        )
    columns = {name: np.asarray(table[name], float) for name in COLUMNS if name in names}
    columns["error"] = np.asarray(table[errors[0]], float)
    shapes = {name: column.shape for name, column in columns.items()}
    if len(set(shapes.values())) != 1 or columns["error"].ndim != 1:
        raise ValueError(f"the columns of table have shapes {shapes}; they must be (rows,), all of one length")
    _check_values(columns)
    return columns


def rows_of(columns: dict[str, np.ndarray], known_ridge: float) -> Rows:
    """What the rows set; their ridge is the known one, or NaN to be estimated, where the table has none."""
    ridge = columns.get("ridge", np.full(columns["n"].shape, known_ridge))
    return Rows(columns["n"], columns["synthetic_fraction"], ridge, columns.get("width"))


def known_of(known: Any, settled: list[str]) -> dict[str, float]:
    """The parameters that need no estimate; ``settled`` are those that the table or the spectrum give."""
    if unknown := sorted(set(known or {}) - set(NAMES)):
        raise ValueError(f"known names {', '.join(unknown)}; the parameters are {', '.join(NAMES)}")
    if twice := [name for name in settled if name in (known or {})]:
        place = "a column of table" if twice[0] == "ridge" else "settled by spectrum"
        raise ValueError(f"{twice[0]} is in known and {place}; give it once")
    given = {name: float(checks.real(f"{name} in known", value)) for name, value in dict(known or {}).items()}
    for name, value in given.items():
        low, high = RANGES[name]
        must = f"finite and at least {low:g}" if high == math.inf else f"between {low:g} and {high:g}"
        checks.require(
            f"{name} in known", value, lambda x, low=low, high=high: (x >= low) & (x <= high) & (x < math.inf), must
        )
    return given


def directions_of(dim: Any, spectrum: Any) -> tuple[int, np.ndarray | None]:
    """The number of directions, and their eigenvalues, largest first, where these are given."""
    if (dim is None) == (spectrum is None):
        raise ValueError("give one of dim (directions of a power law) and spectrum (eigenvalues of your inputs)")
    if spectrum is None:
        if not isinstance(dim, int) or dim < 1:
            raise ValueError(f"dim is {dim!r}; it must be an integer of at least 1")
        return dim, None
    array = np.sort(np.asarray(checks.real("spectrum", spectrum)))[::-1]
    if array.ndim != 1 or not array.size:
        raise ValueError(f"spectrum has shape {array.shape}; it must be (d,): one eigenvalue a direction")
    checks.at_least_zero("spectrum", array)
    checks.above_zero("the sum of spectrum", array.sum())
    return array.size, array


def _check_values(columns: dict[str, np.ndarray]) -> None:
    ways_out = {
        "error": "Drop missing rows; where subtracting the noise left nothing, give the whole squared errors and "
        "test_noise=True",
        "error_std": "Leave the column out if it is not known",
        "width": "Leave the column out for the linear model",
    }
    for name, column in columns.items():
        if name == "synthetic_fraction":
            checks.fraction(f"table column {name}", column)
        elif name == "ridge":
            checks.at_least_zero(f"table column {name}", column)
        else:
            checks.above_zero(f"table column {name}", column, ways_out.get(name, ""))
