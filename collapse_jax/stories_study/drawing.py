"""The pictures of the study of stories: loss against tokens, floors against the share of synthetic stories, generations."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from collapse_jax import plotting
from collapse_jax.stories_study.chains import MEASURES
from collapse_jax.stories_study.results import Result
from collapse_jax.sweep import mean_and_error

WARM = 2  # the first evaluations are not drawn: they show the warm-up


def draw(result: Result) -> Figure:
    """More tokens, deeper students, fitted floors."""
    figure = Figure(figsize=(15, 5.2), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    more(result.fractions, left)
    deeper(result.depths, middle)
    floors(result.floors, right)
    return figure


def more(fractions: xr.Dataset, axes: Axes) -> None:
    """Loss against tokens for each synthetic fraction."""
    _curves(fractions, "synthetic_fraction", axes)
    axes.set_title(f"More tokens, {fractions.attrs['parameters']:,} parameters")


def deeper(depths: xr.Dataset, axes: Axes) -> None:
    """Loss against tokens for each depth, all stories synthetic."""
    _curves(depths, "layers", axes)
    axes.set_title("Deeper students, all stories synthetic")


def floors(found: xr.Dataset, axes: Axes) -> None:
    """What endless data would leave, against the synthetic fraction, beside the linear theory's square."""
    p = found.synthetic_fraction.values
    axes.errorbar(
        p, found.floor, yerr=np.nan_to_num(found.floor_error), fmt="o", color="k", capsize=3, label="fitted floor"
    )
    if p[-1] > 0:
        first, last = float(found.floor[0]), float(found.floor[-1])
        share = np.linspace(0, 1, 100)
        axes.plot(
            p[0] + share * (p[-1] - p[0]),
            first + (last - first) * share**2,
            "k--",
            label="first to last along a square",
        )
    axes.set_xlabel("synthetic fraction p₂")
    axes.set_ylabel(f"floor ({found.attrs['unit']})")
    axes.set_title("What endless data would leave")
    axes.legend()


def draw_generations(found: xr.Dataset) -> Figure:
    """Each measure against the generation, and what it is for the reference stories."""
    names = [name for name in MEASURES if np.isfinite(found[name]).any()]
    rows = -(-len(names) // 3)
    figure = Figure(figsize=(13, 3.6 * rows), layout="constrained")
    for name, axes in zip(names, np.ravel(figure.subplots(rows, 3)), strict=False):
        mean, error = mean_and_error(found[[name]])
        axes.errorbar(found.generation, mean[name], yerr=error[name], fmt="o-", color="k", capsize=3)
        truth = found.attrs.get("entropy" if name == "entropy" else f"reference_{name}")
        if truth is not None:
            axes.axhline(truth, color="0.5", ls="--", label="reference")
            axes.legend()
        axes.set_xlabel("generation")
        axes.set_title(found[name].attrs.get("long_name", MEASURES[name]) if name == "total" else MEASURES[name])
        axes.set_xticks(found.generation.values)
    for axes in figure.axes[len(names) :]:
        axes.set_visible(False)
    return figure


def _curves(found: xr.Dataset, hue: str, axes: Axes) -> None:
    shown = found[["total"]].isel(tokens=slice(min(WARM, found.sizes["tokens"] - 1), None))
    plotting.measured(shown, x="tokens", hue=hue, ax=axes)
    axes.set_ylabel(f"{found.total.attrs['long_name']} ({found.total.attrs['units']})")
    axes.set_yscale("log")
