"""The pictures of the study of images: measurements as points with standard errors, theory as lines where there is one."""

import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from collapse_jax import plotting
from collapse_jax.images_study.results import Result
from collapse_jax.sweep import mean_and_error


def draw(result: Result) -> Figure:
    """More images, wider models, worse teachers."""
    figure = Figure(figsize=(15, 5.2), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    more(result.samples, result.theory.get("samples"), left)
    left.set_title(f"More images, width {result.samples.attrs['width']:,}")
    if result.theory:
        _curves(result.widths, result.theory["widths"], "width", "synthetic_fraction", middle)
        middle.set_title(f"Wider models, n = {result.widths.attrs['n']:,}")
    else:
        wider(result.widths, middle)
    _curves(result.teachers, result.theory.get("teachers"), "quality", "synthetic_fraction", right, joined=False)
    right.set_title(f"Worse teachers, n = {result.teachers.attrs['n']:,}")
    right.set_xscale("linear")
    right.set_xlabel("squared error of the teacher c²")
    return figure


def more(samples: xr.Dataset, theory: xr.Dataset | None, axes: Axes) -> None:
    """Error against n for each synthetic fraction."""
    _curves(samples, theory, "n", "synthetic_fraction", axes)


def wider(widths: xr.Dataset, axes: Axes) -> None:
    """Error of networks against n for each width, all labels synthetic."""
    _curves(widths, None, "n", "width", axes)
    axes.set_title("Wider networks, all labels synthetic")


def _curves(
    measured: xr.Dataset, theory: xr.Dataset | None, x: str, hue: str, axes: Axes, *, joined: bool = True
) -> None:
    """Points with theory; without it, points that a line joins where they are one curve."""
    line = mean_and_error(measured[["total"]])[0] if theory is None and joined else theory
    plotting.curves(line, measured[["total"]], x=x, hue=hue, ax=axes)
    axes.set_ylabel("test error on clean labels")
    names = ["theory" if theory is not None else "their mean", f"measured, {measured.sizes['seed']} seeds"]
    plotting.legend_below(axes, *(names if line is not None else ()))
