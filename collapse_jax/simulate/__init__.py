"""Exact experiments: the same names and arguments as :mod:`collapse_jax.theory`, plus a key."""

from collapse_jax.simulate.generations import generations
from collapse_jax.simulate.regression import Fit, draw_labels, fit, risk, smallest_ridge
from collapse_jax.simulate.rows import Rows, fit_rows, random_features, rows

__all__ = [
    "Fit",
    "Rows",
    "draw_labels",
    "fit",
    "fit_rows",
    "generations",
    "random_features",
    "risk",
    "rows",
    "smallest_ridge",
]
