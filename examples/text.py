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
# # Text that models wrote: continuations and summaries
#
# Two things that a small transformer can be asked of a text: how it goes on, and what happened in it. Models that learn
# from the answers of models lose what is rare; a verifier that keeps the good answers helps. Both on stories of a small
# world, where the truth is known. Two minutes on two cores.
#
# Install first. The cell does nothing where the library is there; otherwise it installs the clone that this notebook
# lies in.

# %%
import importlib.util
import subprocess
import sys

if importlib.util.find_spec("collapse_jax") is None:
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "-e", "..[rouge]"], check=True)

# %%
import os

import jax
import numpy as np
from IPython.display import display
from matplotlib.figure import Figure

from collapse_jax import summaries_study, text_study
from collapse_jax.data.arithmetic import shuffled
from collapse_jax.networks.gpt import parameters
from collapse_jax.networks.language import school
from collapse_jax.parts import Parts
from collapse_jax.summaries_study.marks import marks
from collapse_jax.summaries_study.models import summarised
from collapse_jax.summaries_study.reading import divided, lessons, some
from collapse_jax.summaries_study.selection import best

# %matplotlib inline
SHARE = 0.1 if os.environ.get("COLLAPSE_JAX_SMOKE") else 1.0  # of all trainings, where one only checks that it runs

# %% [markdown]
# ## Continuations
#
# A model learns how passages go on and continues the prompts of others; the next model learns what it wrote, and so on.
# With a tenth of true continuations beside, and without.

# %%
size = text_study.size("smoke")
size = size._replace(schooling=size.schooling._replace(steps=int(SHARE * 150)), real_shares=(0.0, 0.1))
text = text_study.passages(size, seed=0)
size = text_study.prepared(size, text.vocabulary.size)
print(text.vocabulary.decode(text.first[0]))
chains = text_study.chains(text, size, seed=0, parts=Parts(None, {}))
display(text_study.draw(chains))

# %% [markdown]
# Perplexity rises from generation to generation, and rare tokens vanish: a temperature below 1 and the likeliest tokens
# only see to that. True continuations seem to slow it down; two chains are few.
#
# ## Summaries
#
# The summary of a story says what happened: every event, in order. A word-for-word comparison is exact, and ROUGE can be
# held against it.

# %%
numbers = summaries_study.size("laptop")
numbers = numbers._replace(aside=500, held_out=200)
told = summaries_study.documents(numbers, seed=0)
numbers = summaries_study.prepared(numbers, told.vocabulary.size)
end, words = told.vocabulary.end, told.vocabulary.decode
print("document:", words(told.held_out.asked[0]))
print("summary: ", told.held_out.summaries[0])
print(f"{parameters(numbers.shape):,} parameters")

# %% [markdown]
# A generator learns from 500 documents and their true summaries. The document is seen from everywhere; the loss counts
# the summary only.

# %%
first, others = divided(told.study, taught=numbers.taught, seed=0, chain=0)
held_out = lessons(told.held_out.asked, told.held_out.lengths, told.held_out.said, end)


def learn(sheet, said, seed):
    """A transformer that has learned these summaries of the documents of a sheet."""
    rows = lessons(sheet.asked, sheet.lengths, said, end)
    schooling = numbers.student._replace(steps=int(SHARE * numbers.student.steps))
    return school(jax.random.key(seed), numbers.shape, shuffled(rows, 0, numbers.batch), held_out, schooling).model


def written(model, sheet):
    """Its summaries, as tokens and in words."""
    said = summarised(model, numbers, sheet, end)
    return said, [words(row) for row in said]


def mean_marks(model):
    """ROUGE-1, and the share of exactly right summaries, of held-out documents."""
    each = marks(written(model, told.held_out)[1], told.held_out.summaries, exact=True)
    return float(each["rouge1"].mean()), float(each["exact"].mean())


generator = learn(first, first.said, seed=0)
said, in_words = written(generator, others)
for own, true in list(zip(in_words, others.summaries, strict=True))[:4]:
    print("it wrote:", own, "\n true:   ", true)
results = {"generator": mean_marks(generator)}

# %% [markdown]
# ## Students
#
# Each learns from a quarter of what the generator wrote for 3,500 other documents: a random quarter, or the best one by
# ROUGE-1 against the truth. Beside them a student of the true summaries of the random quarter.

# %%
rouge = marks(in_words, others.summaries, exact=True)["rouge1"]
luck = np.random.default_rng(1).random(len(rouge))
random, oracle = (best(score, 0.25, seed=0) for score in (luck, rouge))
for name, which, source in (
    ("random", random, said),
    ("oracle", oracle, said),
    ("true summaries", random, others.said),
):
    results[name] = mean_marks(learn(some(others, which), source[which], seed=1))
for name, (mark, exact) in results.items():
    print(f"{name:15} ROUGE-1 {100 * mark:.1f}, {100 * exact:.1f} % exactly right")

# %%
figure = Figure(figsize=(7, 3), layout="constrained")
axes = figure.subplots()
for marker, label, values in zip("os", ("ROUGE-1", "exactly right"), zip(*results.values(), strict=True), strict=True):
    axes.plot(100 * np.array(values), list(results), marker, ms=9, mfc="none", label=label)
axes.set_xlabel("held-out summaries (%)")
axes.invert_yaxis()
axes.legend()
display(figure)

# %% [markdown]
# One seed, so take it for an example: chosen summaries teach more than random ones, by the exact measure more clearly than
# by ROUGE, and less than true ones.
#
# ## Go on
#
# - `python -m collapse_jax text` and `python -m collapse_jax text --task summaries` do this with more models and seeds.
# - `python -m collapse_jax text --task summaries --text news.jsonl` does it with your documents, in the layout of XL-Sum.
# - `docs/text.md` and `docs/summaries.md` say what was found.
