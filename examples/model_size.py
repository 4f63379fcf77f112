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
# # Model size and double descent
#
# A larger model fits more of the truth. It also fits more of what is wrong with its training data. This notebook draws
# the test error against the number of features, with labels that a slightly wrong model wrote in part, and shows
# where it peaks, why, and which size is best.
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
import jax
import numpy as np
from IPython.display import display

import collapse_jax as cj
from collapse_jax import plotting

# %matplotlib inline
jax.config.update("jax_enable_x64", True)

# %% [markdown]
# ## The problem
#
# Inputs vary in 200 directions, the first ones most. 150 samples are at hand, 90 with true labels and 60 with labels of a
# model whose mean squared error is c². The model learns from `width` random projections of the inputs, with a ridge too
# small to matter.

# %%
DIM, REAL, SYNTHETIC = 200, 90.0, 60.0
SAMPLES = REAL + SYNTHETIC
QUALITIES = [0.0, 0.1, 1.0]
spectrum = cj.spectra.power_law(DIM)


def labelled(c2: float) -> cj.Mixture:
    """True labels of variance 1, and synthetic ones that are off by c2."""
    return cj.real_and_synthetic(spectrum, 1 / DIM, c2 / (DIM * spectrum), noise_real=0.1, noise_synthetic=0.1)


def theory(mixture: cj.Mixture, width: jax.Array | float) -> cj.Risk:
    """Exact error with that many features."""
    return cj.theory.risk(mixture, [REAL, SYNTHETIC], ridge=1e-6, width=width)


def simulation(key: jax.Array, mixture: cj.Mixture, width: jax.Array) -> cj.Risk:
    """The same, data and features drawn."""
    return cj.simulate.risk(key, mixture, [REAL, SYNTHETIC], ridge=1e-6, width=width)


# %% [markdown]
# A list of mixtures is an axis like any other. `assign_coords` gives it words afterwards.

# %%
mixtures = [labelled(c2) for c2 in QUALITIES]
quality = ("mixture", QUALITIES, {"long_name": "quality c²"})
widths = np.geomspace(5, 3_000, 150)
drawn_at = np.array([10, 30, 75, 120, 200, 400, 1_000, 3_000])
exact = cj.sweep(theory, mixture=mixtures, width=widths).assign_coords(mixture=quality)
drawn = cj.sweep(simulation, key=jax.random.key(0), seeds=8, mixture=mixtures, width=drawn_at)
drawn = drawn.assign_coords(mixture=quality)

# %% [markdown]
# ## The picture
#
# Lines are theory, points are simulation.

# %%
axes = plotting.curves(exact, drawn, x="width", hue="mixture")
axes.axvline(SAMPLES, color="grey", lw=0.8, ls=":")
display(axes.figure)

# %% [markdown]
# The peak is at `width` = 150, the number of samples (dotted): there the model can just fit every label, and has no
# freedom left to do so gently. Beyond it the error falls again: the *double descent*. How far it falls depends on the
# labels. With perfect synthetic labels the widest model is the best one. With bad ones the best model is small.

# %%
print("quality c²    best width    error there    error of the widest")
for row, c2 in enumerate(QUALITIES):
    errors = exact.total.isel(mixture=row)
    best = int(errors.argmin("width"))
    print(f"{c2:10.1f}    {widths[best]:10.0f}    {float(errors[best]):11.3f}    {float(errors[-1]):19.3f}")

# %% [markdown]
# ## Why
#
# The error has three parts. *Bias*: what the model cannot say, which width removes. *Variance*: the noise of the labels that it
# repeats. *Collapse*: the wrong labels that it repeats. Bias and variance do not know about the quality; collapse is
# proportional to it.

# %%
panels = plotting.decomposition(exact, x="width", hue="mixture")
display(panels[0].figure)

# %% [markdown]
# ## A ridge flattens the peak, not the collapse
#
# The ridge that is best at each width, found by `theory.optimal_ridge`, takes the peak away, and with it the reason for a
# small model: the widest is now best for every quality. What it cannot do is tell wrong labels from right ones. The
# curves stay apart.


# %%
def tuned(mixture: cj.Mixture, width: jax.Array | float) -> cj.Risk:
    """Error with the best ridge for that width."""
    return cj.theory.optimal_ridge(mixture, [REAL, SYNTHETIC], width=width).risk


smooth = cj.sweep(tuned, mixture=mixtures, width=np.geomspace(5, 3_000, 40)).assign_coords(mixture=quality)
axes = plotting.curves(smooth, x="width", hue="mixture")
axes.set_title("with the best ridge at every width")
display(axes.figure)
for row, c2 in enumerate(QUALITIES):
    print(f"c² = {c2}: best ridge, widest model: error {float(smooth.total.isel(mixture=row)[-1]):.3f}")

# %% [markdown]
# ## Go on
#
# - Change `REAL` and `SYNTHETIC`: the peak follows their sum, whatever the labels are.
# - `activation="relu"` in `theory.risk` makes the projections nonlinear random features.
# - `examples/phase_diagram.py` varies the number of samples too.
