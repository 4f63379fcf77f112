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
# # Strong collapse in five minutes
#
# Train on real labels mixed with labels that a slightly wrong model wrote. With more and more data, does the wrong part
# wash out? It does not: for any fixed synthetic fraction the test error stops at a floor. This notebook computes the floor
# exactly, checks it by simulation, and draws it.
#
# Install first. The cell does nothing where the library is there; otherwise it installs the clone that this notebook lies in.

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
# ## The tour
#
# How the inputs vary, who labels them, how many samples of each, and the test error: by theory, and by one simulated draw.

# %%
dim = 60
spectrum = cj.spectra.power_law(dim)
signal, shift = 1 / (dim * spectrum), 0.25 / (dim * spectrum)
mixture = cj.real_and_synthetic(spectrum, signal, shift, noise_real=0.3, noise_synthetic=0.3)
counts = cj.split(n=10_000, synthetic_fraction=0.2)
risk = cj.theory.risk(mixture, counts, ridge=1e-3)
drawn = cj.simulate.risk(jax.random.key(0), mixture, counts, ridge=1e-3)

print(f"            {'bias':>9} {'variance':>9} {'collapse':>9} {'total':>9}")
for name, result in {"theory": risk, "one draw": drawn}.items():
    print(f"{name:<11} {result.bias:9.5f} {result.variance:9.5f} {result.collapse:9.5f} {result.total:9.5f}")

# %% [markdown]
# `signal` and `shift` are second moments along each eigenvector. The synthetic labels are off by
# `c^2 = sum(spectrum * shift) = 0.25`, a quarter of the power of the signal.
#
# ## More data
#
# A function of named numbers, swept over a grid. Theory takes the whole grid at once; simulation adds a key and seeds.


# %%
def theory(n: jax.Array | float, synthetic_fraction: jax.Array | float) -> cj.Risk:
    """One point by theory."""
    return cj.theory.risk(mixture, cj.split(n, synthetic_fraction), ridge=1e-3)


def simulation(key: jax.Array, n: jax.Array, synthetic_fraction: jax.Array) -> cj.Risk:
    """The same point by one draw of the data."""
    return cj.simulate.risk(key, mixture, cj.split(n, synthetic_fraction), ridge=1e-3)


fractions = [0.0, 0.02, 0.1, 0.5]
exact = cj.sweep(theory, n=np.geomspace(30, 1e6, 60), synthetic_fraction=fractions)
measured = cj.sweep(
    simulation, key=jax.random.key(1), seeds=8, n=np.round(np.geomspace(100, 1e6, 7)), synthetic_fraction=fractions
)
display(exact)

# %% [markdown]
# ## The picture
#
# Lines are theory, points are simulation. Without synthetic data the error keeps falling. With any of it, the curve bends
# and stays.

# %%
axes = plotting.curves(exact, measured, x="n", hue="synthetic_fraction")
display(axes.figure)

# %% [markdown]
# ## Where it stops
#
# With endless data and a small ridge the model learns the mixture of both label functions. What is left is the floor
# `p2^2 c^2`.

# %%
c2 = float((spectrum * shift).sum())
print("fraction    floor p2^2 c^2    error at n = 1e6    more data stops helping near n =")
for fraction in fractions[1:]:
    curve = exact.total.sel(synthetic_fraction=fraction)
    floor = fraction**2 * c2
    stops = float(exact.n[int((curve.values < 2 * floor).argmax())])
    print(f"{fraction:8.2f}    {floor:14.6f}    {float(curve[-1]):16.6f}    {stops:12.0f}")

# %% [markdown]
# "Stops helping" here means within twice the floor: from there on, all further data together can at best halve the error.
#
# ## What you can change
#
# Any number above: `width=` limits the model, `weights=` trusts the sources differently, `cj.Mixture` takes any number of
# sources with spectra of their own. And every number can be differentiated:

# %%
slope = jax.jit(jax.grad(lambda p: theory(10_000.0, p).total))(0.1)
print(f"at n = 10,000 and 10% synthetic, one more percent of synthetic data adds {slope / 100:.1e} to the test error")
