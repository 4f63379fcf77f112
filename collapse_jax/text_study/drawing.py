"""The picture of the study of text: perplexity by generation and by tokens, rare tokens, repetition."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from collapse_jax import plotting
from collapse_jax.sweep import mean_and_error


def draw(found: xr.Dataset) -> Figure:
    """Perplexity by generation and along the last one's training, tail tokens, distinct pairs."""
    figure = Figure(figsize=(12, 9), layout="constrained")
    (first, second), (third, fourth) = figure.subplots(2, 2)
    perplexity = found[["total"]].map(np.exp).rename(total="perplexity")
    _by_generation(perplexity.isel(tokens=-1), "perplexity", first)
    first.set_title("Perplexity of held-out continuations")
    by_tokens(found, second)
    for name, axes in (("tail", third), ("distinct", fourth)):
        _by_generation(found[[name]], name, axes)
        axes.axhline(found.attrs[f"true_{name}"], color="0.5", ls="--", label="true continuations")
        axes.set_title(found[name].attrs["long_name"].capitalize())
        axes.legend(fontsize="small")
    return figure


def by_tokens(found: xr.Dataset, axes: Axes) -> None:
    """Perplexity along the training of the first model and of the last, at each share of true continuations."""
    last = int(found.generation[-1])
    perplexity = found[["total"]].map(np.exp).isel(tokens=slice(1, None))
    real = perplexity.sel(generation=0, drop=True).isel(real_share=[0]).assign_coords(real_share=[1.0])
    shown = xr.concat([perplexity.sel(generation=last, drop=True), real], "real_share")
    plotting.measured(shown, x="tokens", hue="real_share", ax=axes)
    axes.set_ylabel("perplexity")
    axes.set_title(f"Generation {last}, and the first (share 1)")


def _by_generation(found: xr.Dataset, name: str, axes: Axes) -> None:
    mean, error = mean_and_error(found)
    for share, marker in zip(found.real_share.values, "osD^v<>", strict=False):
        own, spread = mean[name].sel(real_share=share), error[name].sel(real_share=share)
        axes.errorbar(found.generation, own, yerr=spread, marker=marker, capsize=3, label=f"{100 * share:g}% true")
    axes.set_xticks(found.generation.values)
    axes.set_xlabel("generation")
    axes.set_ylabel("perplexity" if name == "perplexity" else "share")
    axes.legend(fontsize="small")
