"""Sweeps: any pure function of named numbers over a grid, on one core or many hosts, in memory or in a store."""

from collapse_jax.sweep.axes import zipped
from collapse_jax.sweep.progress import Progress
from collapse_jax.sweep.run import sweep
from collapse_jax.sweep.summary import mean_and_error, summary

__all__ = ["Progress", "mean_and_error", "summary", "sweep", "zipped"]
