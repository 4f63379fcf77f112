"""Exact experiments: the same names and arguments as :mod:`collapse_jax.theory`, plus a key."""

from collapse_jax.simulate.regression import Fit, draw_labels, fit, risk, smallest_ridge

__all__ = ["Fit", "draw_labels", "fit", "risk", "smallest_ridge"]
