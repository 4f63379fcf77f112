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
# # Generations, and how to stop collapse
#
# A model labels data, the next model learns from them, labels data in its turn, and so on. What has to stand beside the
# synthetic data so that errors do not pile up? This notebook runs twenty generations five ways, by exact theory where
# there is one, and by exact simulation.
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
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from IPython.display import display
from matplotlib.figure import Figure

import collapse_jax as cj

# %matplotlib inline
jax.config.update("jax_enable_x64", True)

# %% [markdown]
# ## Nothing but the last model's labels
#
# 60 directions, label noise 1, 600 samples in each generation, all labelled by the model before. A `Schedule` says what
# each generation is trained on; one array gives their number.

# %%
DIM, SAMPLES, LENGTH = 60, 600.0, 20
spectrum = cj.spectra.isotropic(DIM)


def schedule(real: Any, synthetic: Any, weight: Any = 1.0) -> cj.Schedule:
    """Twenty generations with so many samples of each kind."""
    real, synthetic = (jnp.broadcast_to(jnp.asarray(number, float), (LENGTH,)) for number in (real, synthetic))
    return cj.Schedule(real, synthetic, ridge=1e-8, noise_real=1.0, noise_synthetic=1.0, weight=weight)


replaced = cj.theory.generations(spectrum, 1 / DIM, schedule(0, SAMPLES))
print("generation   ", *(f"{g:6}" for g in (1, 2, 5, 10, 20)))
print("test error   ", *(f"{float(replaced.total[g - 1]):6.3f}" for g in (1, 2, 5, 10, 20)))
print("collapse     ", *(f"{float(replaced.collapse[g - 1]):6.3f}" for g in (1, 2, 5, 10, 20)))

# %% [markdown]
# Every generation adds the same: the noise of one fit. After twenty generations the error is twenty times the first, and
# all but the last fit's own noise is counted as collapse. That is model collapse, and no single step of it looks bad.
#
# ## Five ways to go on
#
# Theory covers data that are fresh in every generation. Data that are kept or used again are drawn exactly by
# `simulate.generations`.

# %%
WAYS: dict[str, tuple[cj.Schedule, dict[str, Any]]] = {
    "only synthetic data": (schedule(0, SAMPLES), {}),
    "only synthetic, more each time": (schedule(0, SAMPLES * np.arange(1, LENGTH + 1)), {}),
    "half real, always the same": (schedule(SAMPLES / 2, SAMPLES / 2), {"real_data": "fixed"}),
    "keep all data": (schedule(0, SAMPLES), {"accumulate": True}),
    "half real, fresh": (schedule(SAMPLES / 2, SAMPLES / 2), {}),
}
CHAINS = 16
keys = jax.random.split(jax.random.key(0), CHAINS)


@partial(jax.jit, static_argnames=("real_data", "accumulate"))
def chains(plan: cj.Schedule, real_data: Literal["fresh", "fixed"] = "fresh", accumulate: bool = False) -> jax.Array:
    """Errors (chains, generations); compiled once for all plans whose data are kept in the same way."""

    def chain(key: jax.Array) -> jax.Array:
        return cj.simulate.generations(key, spectrum, 1 / DIM, plan, real_data, accumulate=accumulate).total

    return jax.vmap(chain)(keys)


found = {name: np.asarray(chains(plan, **kept)) for name, (plan, kept) in WAYS.items()}

# %%
figure = Figure(figsize=(8, 4.6), layout="constrained")
axes = figure.subplots()
generation = np.arange(1, LENGTH + 1)
for (name, errors), marker in zip(found.items(), "osD^v", strict=True):
    plan, kept = WAYS[name]
    exact = None if kept else cj.theory.generations(spectrum, 1 / DIM, plan).total
    points = axes.errorbar(
        generation, errors.mean(0), errors.std(0) / np.sqrt(CHAINS), fmt=marker, ms=5, capsize=2, label=name
    )
    if exact is not None:
        axes.plot(generation, exact, color=points[0].get_color(), lw=1.2)
axes.set(yscale="log", xlabel="generation", ylabel="test error", title="lines: theory; points: 16 simulated chains")
axes.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1.0, 1.0))
display(figure)

# %%
alone = cj.real_and_synthetic(spectrum, 1 / DIM, 0.0, noise_real=1.0)
print(f"{'the real half alone':32} {float(cj.theory.risk(alone, [SAMPLES / 2, 0.0], 1e-8).total):.3f}")
for name, errors in found.items():
    last = errors[:, -1]
    print(f"{name:32} {last.mean():.3f} +- {last.std() / np.sqrt(CHAINS):.3f} after {LENGTH} generations")

# %% [markdown]
# - **Only synthetic data** collapse without end. More of them each time make it slower.
# - **Half real data, always the same**: bounded, but worse than these real data alone, because the model before saw the
#   same samples and made the same errors.
# - **Keeping all data** and **fresh real data** stop collapse. With fresh data the chain is better than the real data of one
#   generation: it remembers those of all before.
#
# ## How much should the synthetic half count?
#
# `weight` is the factor on its squared errors. `cj.sweep` varies it; the 40th generation has long settled.


# %%
def settled(weight: jax.Array) -> jax.Array:
    """Error of the 40th generation, with fresh real data in each."""
    numbers = jnp.full(40, SAMPLES / 2)
    chained = cj.Schedule(numbers, numbers, 1e-8, noise_real=1.0, noise_synthetic=1.0, weight=weight)
    return cj.theory.generations(spectrum, 1 / DIM, chained).total[-1]


weights = np.geomspace(0.02, 5, 80)
errors = cj.sweep(settled, weight=weights)["value"]
best = weights[int(errors.argmin("weight"))]
figure = Figure(figsize=(6, 3.8), layout="constrained")
axes = figure.subplots()
axes.plot(weights, errors)
axes.axvline(best, color="grey", ls=":", lw=1)
axes.set(xscale="log", xlabel="weight of a synthetic sample", ylabel="test error of the 40th generation")
display(figure)
print(f"best weight {best:.2f}: real samples pull {1 / (1 + best):.3f} of the total")

# %% [markdown]
# With as many synthetic as real samples theory has the best share of the real ones at the inverse golden ratio, 0.618, for
# many samples a direction ([He, Xu and Cheng](https://arxiv.org/abs/2502.18049)). The curve is flat around it: trusting
# the model a little less than the data is enough.
#
# ## Go on
#
# - The page on mixing of the documentation has the formulas, and what changes where nobody marks the synthetic data.
# - `python -m collapse_jax stories --generations 5` does this with transformers.
