# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A phase diagram of a million points
#
# Where in the plane of data and model size do synthetic labels hurt most? A million configurations, each an exact
# answer, take seconds on a laptop: `cj.sweep` compiles the point once and works through the grid.
#
# Install first. The cell does nothing where the library is there; otherwise it installs the clone that this notebook
# lies in.

# %%
import importlib.util
import subprocess
import sys

if importlib.util.find_spec("collapse_jax") is None:
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "-e", ".."], check=True)

# %%
import os

import jax
import numpy as np
from IPython.display import display
from matplotlib.figure import Figure

import collapse_jax as cj
from collapse_jax import plotting

# %matplotlib inline
jax.config.update("jax_enable_x64", True)
SIDE = 100 if os.environ.get("COLLAPSE_JAX_SMOKE") else 1_000  # points a side; fewer where one only checks that it runs

# %% [markdown]
# ## The sweep
#
# A point is a pure function of named numbers. A fifth of its samples have labels that are off by c² = 0.5; the labels'
# power is 1.

# %%
DIM = 600
spectrum = cj.spectra.power_law(DIM)
mixture = cj.real_and_synthetic(
    spectrum, 1 / (DIM * spectrum), 0.5 / (DIM * spectrum), noise_real=0.1, noise_synthetic=0.1
)


def point(n: jax.Array, width: jax.Array) -> cj.Risk:
    """Exact error of a model of that width after n samples."""
    return cj.theory.risk(mixture, cj.split(n, synthetic_fraction=0.2), ridge=1e-3, width=width)


axis = np.geomspace(30, 30_000, SIDE)
dataset = cj.sweep(point, n=axis, width=axis)
seconds = dataset.attrs["run_seconds"]
print(f"{dataset.total.size:,} points: {dataset.attrs['compile_seconds']:.1f} s to compile, {seconds:.1f} s to run")
display(dataset)

# %% [markdown]
# ## The map
#
# Left: the part of the error that the wrong labels cause. Right: its share in the whole error, as a contour map.

# %%
figure = Figure(figsize=(11, 4.4), layout="constrained")
left, right = figure.subplots(1, 2)
thin = dataset.isel(n=slice(None, None, max(1, SIDE // 250)), width=slice(None, None, max(1, SIDE // 250)))
plotting.heat_map(thin, x="n", y="width", variable="collapse", ax=left)
share = (thin.collapse / thin.total).transpose("width", "n")
contours = right.contourf(thin.n, thin.width, share, levels=np.linspace(0, 1, 11), cmap="cividis")
figure.colorbar(contours, ax=right, label="share of collapse in the test error")
right.set(xscale="log", yscale="log", xlabel="samples n", ylabel="model width m")
for panel in (left, right):
    panel.plot(axis, axis, color="white", lw=0.8, ls="--")
    panel.axvline(DIM, color="white", lw=0.8, ls=":")
    panel.set(xlim=(axis[0], axis[-1]), ylim=(axis[0], axis[-1]))
display(figure)

# %% [markdown]
# - **Left.** Collapse peaks along `m = n` (dashed), where the model can just fit all labels, as long as `n` is below
#   the dimension, 600 (dotted); wide models have their peak at `n = d`. Small models with much data, at the bottom
#   right, cannot repeat the mistakes.
# - **Right.** With few samples, or a small model, the error is bias: synthetic labels are not the problem. With more samples
#   than dimensions and a model wider than that, nearly all of the error is collapse, and more data of the same kind do
#   not help.
#
# ## Reading numbers off
#
# The dataset is an ordinary `xarray.Dataset`. How does the best width move with the number of samples?

# %%
best = dataset.width[dataset.total.argmin("width")]
print("     n    best width    error there    share of collapse")
for n in (100, 600, 3_000, 30_000):
    here = dataset.sel(n=n, method="nearest")
    chosen = here.sel(width=float(best.sel(n=n, method="nearest")))
    print(
        f"{n:6}    {float(chosen.width):10.0f}    {float(chosen.total):11.4f}"
        f"    {100 * float(chosen.collapse / chosen.total):15.0f} %"
    )

# %% [markdown]
# With 100 samples the widest model of the grid is best, since it has the least bias. With many samples the best model is
# not much wider than the dimension, and what is left of its error is collapse.
#
# ## Go on
#
# - `store="phase.zarr"` writes the sweep chunk by chunk; a killed run goes on where it was.
# - `mesh=jax.make_mesh((jax.device_count(),), ("points",))` spreads it over all devices.
# - `key=` and `seeds=` with `cj.simulate.risk` make the same map by simulation, with error bars.
# - The page on sweeps of the documentation explains them all.
