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
# # Skills that a model never learned
#
# A transformer learns greatest common divisors for a short time: it knows some divisors and not others. Transformers that
# learn from its answers never know the others, however many answers there are. A verifier that picks right answers among
# several brings them back. Two minutes on two cores.
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

from collapse_jax.data.arithmetic import Gcd, endless, exact, lessons, shuffled
from collapse_jax.networks.beam import beam
from collapse_jax.networks.gpt import Shape, parameters
from collapse_jax.networks.language import Schooling, school
from collapse_jax.networks.sampling import write

# %matplotlib inline
SHARE = 0.1 if os.environ.get("COLLAPSE_JAX_SMOKE") else 1.0  # of all trainings, where one only checks that it runs

# %% [markdown]
# ## Questions with exact answers
#
# Numbers in base 6: whether 2 or 3 divides a number shows in its last digit, whether 4 does in its last two.

# %%
task = Gcd(base=6, largest=6**4 - 1)
pairs = np.array([[48, 180], [35, 12]])
for pair, asked, said in zip(pairs, task.ask(pairs), task.say(task.solve(pairs)), strict=True):
    print(pair, "asked as", asked, "answered", said)

# %% [markdown]
# ## A generator of limited training
#
# The question is read in both directions; the loss counts the answer only. It is examined on pairs of each divisor.

# %%
DIVISORS = np.arange(1, 19)
random = np.random.default_rng(1)
examination = task.pairs_of(random, np.repeat(DIVISORS, 40))
held_out = exact(task, task.draw(random, 256))
shape = Shape(task.vocabulary, task.question + task.answer, width=32, layers=2, heads=4)
print(f"{parameters(shape):,} parameters")


def learn(batches, steps, seed=0):
    """A transformer that has seen so many batches of 128."""
    schooling = Schooling(steps=int(SHARE * steps), learning_rate=6e-3, evaluations=4)
    return school(jax.random.key(seed), shape, batches, held_out, schooling).model


def answers(model, asked):
    """The likeliest answers, as tokens."""
    found = write(model, jax.random.key(0), asked, tokens=task.answer, temperature=0, stop=task.end, prefix=True)
    return np.asarray(found.tokens)[:, task.question :]


def examined(model):
    """Answers to the pairs of each divisor, and the share of right ones."""
    found = task.read(answers(model, task.ask(examination))).reshape(len(DIVISORS), -1)
    return found, (found == DIVISORS[:, None]).mean(1)


generator = learn(endless(task, seed=0, size=128), steps=480)
found, known = examined(generator)
for divisor, row in zip(DIVISORS, found, strict=True):
    print(f"{divisor:2}: it says", np.bincount(row).argmax())

# %% [markdown]
# It answers with the largest divisor that it knows: the rule from which `simulate.divisors` makes synthetic data.
#
# ## Three students
#
# One learns from exact answers, one from the generator's, one from the generator's and a verifier: of the five likeliest
# answers to a question it gets the right one, if there is one.

# %%
STEPS = 1400
questions = task.draw(np.random.default_rng(2), 50_000)
asked, truth = task.ask(questions), task.solve(questions)
likely, picked = [], []
for start in range(0, len(asked), 2000):
    piece, right = asked[start : start + 2000], truth[start : start + 2000]
    five = beam(generator, piece, beams=5, tokens=task.answer, stop=task.end, prefix=True)
    said = np.asarray(five.tokens)[..., task.question :]
    fine = np.stack([task.read(said[:, i]) == right for i in range(5)], 1)
    some = fine.any(1)
    likely.append(said[:, 0])
    picked.append(lessons(task, piece[some], said[some, fine[some].argmax(1)]))
unverified = lessons(task, asked, np.concatenate(likely))
verified = type(unverified)(*(np.concatenate(parts) for parts in zip(*picked, strict=True)))
print(f"a right answer among five: {100 * len(verified.tokens) / len(asked):.1f} %")
marks = {"generator": known}
for name, rows in (("exact", exact(task, questions)), ("generator's", unverified), ("verified", verified)):
    marks[name] = examined(learn(shuffled(rows, seed=0, size=128), STEPS, seed=1))[1]
    print(f"{name}: knows {DIVISORS[marks[name] > 0.95]}")

# %%
figure = Figure(figsize=(9, 4), layout="constrained")
axes = figure.subplots()
for marker, (name, shares) in zip("_os^", marks.items(), strict=True):
    axes.plot(DIVISORS, shares, marker, ms=9, label=name, mfc="none")
axes.set_xticks(DIVISORS)
axes.set_xlabel("greatest common divisor")
axes.set_ylabel("share of right answers")
axes.legend()
display(figure)

# %% [markdown]
# ## Go on
#
# - `python -m collapse_jax arithmetic` does this with mixtures, noisy and weak verifiers, and several seeds.
# - `python -m collapse_jax arithmetic --task eigenvalues` does it with eigenvalues of matrices.
# - `docs/arithmetic.md` says what was found.
