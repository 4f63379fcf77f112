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
# # Planning with your own loss table
#
# You have few real samples and a model that labels as many more as you like. How many of its labels should you use, and
# how much should they count? The planner answers from a table of your own errors. Here the table comes from a small
# experiment in NumPy and scikit-learn, so that its advice can be tried at the end.
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
import pandas as pd
from IPython.display import display
from matplotlib.figure import Figure
from sklearn.linear_model import Ridge

import collapse_jax as cj

# %matplotlib inline
jax.config.update("jax_enable_x64", True)

# %% [markdown]
# ## The experiment
#
# Inputs in 40 dimensions whose variances fall; true labels with noise; and a labeller whose coefficients are off. The library
# is not told any of this: it sees errors only.

# %%
DIM = 40
numbers = np.random.default_rng(0)
scales = np.sqrt(np.arange(1, DIM + 1) ** -1.0)
truth = numbers.normal(size=DIM)
labeller = truth + 0.3 * numbers.normal(size=DIM)
test = numbers.normal(size=(10_000, DIM)) * scales


def train(real: int, synthetic: int, ridge: float, weight: float = 1.0) -> float:
    """Squared error against the true function of one ridge regression on fresh data."""
    inputs = numbers.normal(size=(real + synthetic, DIM)) * scales
    labels = np.where(np.arange(real + synthetic) < real, inputs @ truth, inputs @ labeller)
    labels += 0.5 * numbers.normal(size=real + synthetic)
    counted = np.where(np.arange(real + synthetic) < real, 1.0, weight)
    model = Ridge(alpha=(real + synthetic) * ridge, fit_intercept=False).fit(inputs, labels, sample_weight=counted)
    return float(((model.predict(test) - test @ truth) ** 2).mean())


rows = []
for n in (20, 40, 80, 160, 320):
    for fraction in (0.0, 0.5, 1.0):
        for ridge in (0.003, 0.03):
            synthetic = round(fraction * n)
            errors = [train(n - synthetic, synthetic, ridge) for _ in range(20)]
            spread = np.std(errors) / np.sqrt(20)
            rows.append([n, fraction, ridge, np.mean(errors), spread])
table = pd.DataFrame(rows, columns=["n", "synthetic_fraction", "ridge", "error", "error_std"])
display(table.head(8).round(4))

# %% [markdown]
# Sizes over a decade, fractions 0 and 1 and one between, two ridges, each training repeated: that is what a table needs. Your
# own goes in as a `DataFrame` with these columns; `ridge` and `error_std` may be missing.
#
# ## What the table says
#
# `fit` finds the noise and the quality of the synthetic labels that explain the errors. The spectrum of the inputs it could
# estimate too; given, it is one thing less to guess.

# %%
label_variance = float(((scales * truth) ** 2).sum() + 0.5**2)  # of the real labels, noise included
spectrum = cj.spectra.from_data(test).spectrum  # of the inputs, which are at hand
estimate = cj.planner.fit(table, spectrum=spectrum, label_variance=label_variance)
print(estimate)
print(f"\ntrue quality c² {float(((scales * (labeller - truth)) ** 2).sum()):.3f}")

# %% [markdown]
# `quality` is c², the squared error of the synthetic labels that no amount of them averages out. *Within* is how well the
# model meets the table: where it is much more than the scatter of your errors, do not trust the plan.

# %%
figure = Figure(figsize=(7, 4.2), layout="constrained")
axes = figure.subplots()
sizes = np.geomspace(20, 10_000, 60)
for fraction, marker, colour in ((0.0, "o", "C0"), (0.5, "s", "C1"), (1.0, "^", "C2")):
    seen = table[(table.synthetic_fraction == fraction) & (table.ridge == 0.003)]
    axes.errorbar(seen["n"], seen["error"], seen["error_std"], fmt=marker, color=colour, capsize=2)
    predicted = estimate.predict(sizes, fraction, ridge=0.003)
    axes.plot(sizes, predicted.error, color=colour, label=f"synthetic fraction {fraction}")
axes.axvspan(20, 320, color="grey", alpha=0.12, lw=0)
axes.set(xscale="log", yscale="log", xlabel="samples n", ylabel="test error", title="points: the table; lines: the fit")
axes.legend()
display(figure)

# %% [markdown]
# The points lie in the grey stretch; to its right the lines are predictions. With half or all of the labels synthetic the
# error will end at a floor.
#
# ## The plan
#
# 60 real samples, and 2,000 that the labeller wrote.

# %%
plan = cj.planner.plan(estimate, real=60, pool=2_000)
print(plan)

# %% [markdown]
# ## Does it work?
#
# The same experiment once more, with the plan's numbers and with the two obvious alternatives: leave the synthetic data
# out, or treat them as real. Each with its own best ridge, as the plan knows it.


# %%
def tried(real: int, synthetic: int, ridge: float, weight: float = 1.0) -> str:
    """Mean and standard error over 60 trainings."""
    errors = [train(real, synthetic, ridge, weight) for _ in range(60)]
    return f"{np.mean(errors):.3f} +- {np.std(errors) / np.sqrt(60):.3f}"


only, naive = plan.real_alone, plan.as_if_real
assert only is not None
print(f"{'':28} predicted   measured")
print(f"{'the plan':28} {plan.error:9.3f}   {tried(60, round(plan.synthetic), plan.ridge, plan.weight)}")
print(f"{'only the 60 real samples':28} {only.error:9.3f}   {tried(60, 0, only.ridge)}")
print(f"{'all 2,060 as if real':28} {naive.error:9.3f}   {tried(60, 2_000, naive.ridge)}")
print(f"\nThe pool makes 60 real samples worth {plan.worth:.0f}.")

# %% [markdown]
# ## Go on
#
# - With rows at hand that have both labels, `cj.planner.measure` needs no table and assumes less.
# - `cj.planner.fit_law` asks of any loss curve whether it flattens.
# - The page on the planner has the limits: linear models and random features, and a plan on real data that was tried.
