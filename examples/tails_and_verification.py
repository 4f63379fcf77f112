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
# # Lost tails, and when verification helps
#
# Two ways in which synthetic data do harm that have nothing to do with noise. Models leave out what is rare, and they
# write wrong answers. The first ends a scaling law at a floor, and a little real data bring it back. The second is cured
# by checking, if the checker is good enough, and this notebook says how good that is.
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
import jax.numpy as jnp
import numpy as np
from IPython.display import display
from matplotlib.figure import Figure

import collapse_jax as cj

# %matplotlib inline
jax.config.update("jax_enable_x64", True)
SMOKE = bool(os.environ.get("COLLAPSE_JAX_SMOKE"))  # fewer points where one only checks that it runs

# %% [markdown]
# ## What is rare is lost
#
# Skill i is asked with probability proportional to i^(-3/2). A model that memorises knows the skills that it has seen. A
# generator with top-p or top-k sampling never writes the rare ones: here all beyond skill 1,000.

# %%
BETA = 1.5
real, cut, narrow = cj.skills.zipf(BETA), cj.skills.zipf(BETA, last=1_000), cj.skills.zipf(2.0)
LAWS = {
    "real": cj.skills.mix(1.0, real, cut),
    "cut after skill 1,000": cj.skills.mix(0.0, real, cut),
    "cut, and 1 % real": cj.skills.mix(0.01, real, cut),
    "narrowed to exponent 2": cj.skills.mix(0.0, real, narrow),
}


def exact(law: cj.skills.Skills, total: jax.Array) -> jax.Array:
    """Expected error after so many samples."""
    return cj.theory.tail_error(BETA, law, total)


def drawn(key: jax.Array, law: cj.skills.Skills, total: jax.Array) -> jax.Array:
    """The same, training set and test set drawn."""
    return cj.simulate.tail_error(key, BETA, law, total)


samples, drawn_at = np.geomspace(10, 1e10, 60), np.geomspace(1e2, 1e10, 9)
laws = list(LAWS.values())
lines = cj.sweep(exact, law=laws, total=samples)["value"]
mean, error = cj.mean_and_error(cj.sweep(drawn, key=jax.random.key(0), seeds=8, law=laws, total=drawn_at))
figure = Figure(figsize=(7, 4.4), layout="constrained")
axes = figure.subplots()
for row, (name, marker) in enumerate(zip(LAWS, "os^D", strict=True)):
    line = axes.plot(samples, lines[row], label=name)
    axes.errorbar(drawn_at, mean["value"][row], error["value"][row], fmt=marker, ms=4, color=line[0].get_color())
axes.set(xscale="log", yscale="log", xlabel="samples T", ylabel="test error", title="lines: theory; points: simulation")
axes.legend()
display(figure)

# %% [markdown]
# - **Cut**: a floor, at the probability of what was cut away. More data do not help.
# - **One real sample in a hundred**: a plateau, and then the law of the real samples goes on as if there were no others.
# - **Narrowed** data (a low temperature) have no floor, but a smaller exponent.
#
# Where does the plateau end? Where the real samples alone begin to show what was cut: at about T = k^beta / fraction.

# %%
for fraction in (0.001, 0.01, 0.1):
    mixed = cj.skills.mix(fraction, real, cut)
    end = 1_000**BETA / fraction
    errors = cj.sweep(exact, law=[mixed], total=end * np.array([0.1, 1, 10, 100]), progress=False)["value"].values[0]
    print(f"{fraction:6.1%} real: T = {end:.1e}; error at 0.1, 1, 10, 100 times that:", *(f"{e:.4f}" for e in errors))

# %% [markdown]
# ## Wrong answers, and who checks them
#
# Now a generator labels two classes of inputs and is wrong for a share `p` of them. A verifier keeps a right label with
# one probability and a wrong one with another. Training turns from success to failure where `p` meets the breakdown
# point `p* = 1 / (1 + kept_wrong / kept_right)`: there wrong labels are the majority of what is kept. It takes no training to
# know it.

# %%
rates = cj.theory.verifier_rates(cj.Verified(1.5, generator=jnp.pi / 3, verifier=jnp.pi / 12))
print(f"generator wrong: {float(rates.error):.3f}")
print(
    f"verifier keeps {float(rates.kept_right):.3f} of the right labels and {float(rates.kept_wrong):.3f} of the wrong"
)
print(f"breakdown point p*: {float(rates.breakdown):.3f}; without a verifier it is 0.5")

# %% [markdown]
# The picture: generator and verifier are linear, and their angles to the truth say how good they are (0 is perfect, a
# right angle is chance). Students see 3,000 labels in 100 dimensions before selection.


# %%
def student(generator: jax.Array, verifier: jax.Array) -> dict[str, jax.Array]:
    """Agreement with the best classifier of a student of what the verifier kept."""
    problem = cj.Verified(1.5, generator=generator, verifier=verifier)
    return {"agreement": cj.theory.verified_student(problem, 3_000, 100, 1e-3).agreement}


VERIFIERS = {"none (a right angle)": np.pi / 2, "weak": np.pi / 4, "good": np.pi / 12}
angles = np.linspace(0.05, np.pi - 0.05, 10 if SMOKE else 40)
found = cj.sweep(student, generator=angles, verifier=list(VERIFIERS.values()))
figure = Figure(figsize=(7, 4.2), layout="constrained")
axes = figure.subplots()
for (name, angle), style in zip(VERIFIERS.items(), ("-", "--", "-."), strict=True):
    axes.plot(np.degrees(angles), found.agreement.sel(verifier=angle), style, label=f"verifier: {name}")
axes.axhline(0.5, color="grey", lw=0.8, ls=":")
axes.set(xlabel="angle of the generator to the truth (degrees)", ylabel="student agrees with the best classifier")
axes.legend()
display(figure)

# %% [markdown]
# With a verifier that knows nothing the student fails where the generator is no better than chance, at 90 degrees. A better
# verifier moves that point to a generator that is mostly wrong, and lifts everything to its left.
#
# ## Which verifier? Count, do not train
#
# On your own data, check a few labels by hand and see what each verifier keeps. The larger `p*` selects better.

# %%
right = jnp.array([1.0, 1, 1, 1, 1, 1, 0, 0, 0, 0])  # four of ten labels are wrong
strict = jnp.array([1.0, 1, 1, 1, 0, 0, 1, 0, 0, 0])
lenient = jnp.array([1.0, 1, 1, 1, 1, 1, 1, 1, 1, 0])
for name, kept in {"strict": strict, "lenient": lenient}.items():
    counted = cj.theory.rates_of_scores(right, kept)
    print(f"{name:8} p* = {float(counted.breakdown):.2f}; labels wrong: p = {float(counted.error):.2f}")

# %% [markdown]
# The strict verifier throws right labels away and is the better one all the same.
#
# ## Go on
#
# - `examples/arithmetic.py` loses skills and verifies answers with transformers.
# - The pages on tails, verification and mitigation have the limits of all this.
