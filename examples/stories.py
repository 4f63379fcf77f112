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
# # Language models on stories that a model wrote
#
# A transformer learns from stories and writes more of them. Other transformers learn from both. How good do they get,
# and how good would they have got on the real ones alone? The stories come from a small world whose probabilities are
# known, so the answer is exact to a hundredth of a nat. Three minutes on two cores.
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
import xarray as xr
from IPython.display import display

from collapse_jax import plotting
from collapse_jax.data.story_world import StoryWorld
from collapse_jax.data.tokens import Mixture, train_vocabulary
from collapse_jax.networks.gpt import Shape, parameters
from collapse_jax.networks.language import Schooling, school
from collapse_jax.networks.sampling import write
from collapse_jax.stories_study.corpus import joined, story_windows

# %matplotlib inline
SHARE = 0.03 if os.environ.get("COLLAPSE_JAX_SMOKE") else 1.0  # of all trainings, where one only checks that it runs

# %% [markdown]
# ## A world of stories
#
# Names, things and events follow Zipf's law: a few are common, most are rare. A story says each of its choices once,
# so its probability is known, and so is the entropy of the world: no language model can have a smaller loss.

# %%
world = StoryWorld()
told = world.stories(seed=0, count=20_000)
for story in told[:2]:
    print(f"{world.log_probability(story):.1f} nats:", world.text(story), "\n")
print(f"entropy of the world: {world.entropy:.2f} nats a story")

# %% [markdown]
# ## Tokens
#
# Byte-pair encoding gives common words a token of their own.

# %%
texts = [world.text(story) for story in told]
vocabulary = train_vocabulary(texts[:5000], size=768)
judged, stories = vocabulary.encode_all(texts[:500]), vocabulary.encode_all(texts[500:])
real = joined(stories, vocabulary.end)
print(f"{len(real):,} tokens; a story of {len(stories[0])}:", stories[0])

# %% [markdown]
# ## The generator
#
# It sees 2,000 stories, again and again. Held-out stories are judged one by one, so that the loss can be compared with
# the truth about just these.

# %%
LENGTH = 64
held_out = story_windows(judged, vocabulary.end, LENGTH)
truth = -np.mean([world.log_probability(story) for story in told[:500]])
tokens_a_story = held_out.counted.sum() / 500
shape = Shape(vocabulary.size, context=LENGTH, width=64, layers=2, heads=2)
print(f"{parameters(shape):,} parameters")


def learn(seed, synthetic, fraction, tokens, epochs=1):
    """A transformer trained on so many tokens, a share of them synthetic, and its history."""
    tokens = int(SHARE * tokens)
    mixture = Mixture(real, synthetic, fraction, LENGTH, windows=tokens // LENGTH, seed=seed)
    schooling = Schooling(steps=epochs * tokens // (16 * LENGTH), learning_rate=8e-3, warmup=0.1, evaluations=8)
    return school(jax.random.key(seed), shape, lambda start: mixture.batches(16, start), held_out, schooling)


generator = learn(0, real[:0], 0.0, tokens=70_000, epochs=12)
print("above the truth, nats a story:", np.round(generator.held_out * tokens_a_story - truth, 2))

# %% [markdown]
# ## It writes
#
# All texts at once, a token a step, from the end of a story on that was not there.

# %%
written: list[np.ndarray] = []
for batch in range(14 if SHARE == 1 else 4):
    start = np.full((1024, 1), vocabulary.end)
    found = write(generator.model, jax.random.key(batch), start, tokens=LENGTH - 1, stop=vocabulary.end)
    for text, length in zip(np.asarray(found.tokens), np.asarray(found.lengths), strict=True):
        if text[length - 1] == vocabulary.end:  # the others are not finished
            written.append(text[1 : length - 1])
for story in written[:4]:
    print(vocabulary.decode(story), "\n")
known = np.mean([world.parse(vocabulary.decode(story)) is not None for story in written])
print(f"{len(written):,} stories, {100 * known:.0f} % of which the world could tell")

# %% [markdown]
# ## Students
#
# They see half a million tokens each, none twice: real ones, written ones, or half of each.

# %%
synthetic = joined(written, vocabulary.end)
FRACTIONS = (0.0, 0.5, 1.0)
losses, students = [], []
for fraction in FRACTIONS:
    students = [learn(seed, synthetic, fraction, tokens=450_000) for seed in (1, 2)]
    losses.append(np.stack([student.held_out * tokens_a_story - truth for student in students]))
    print(f"fraction {fraction}: {losses[-1][:, -1].round(2)} nats a story above the truth")
found = xr.Dataset(
    {"total": (("synthetic_fraction", "seed", "tokens"), np.stack(losses))},
    {"synthetic_fraction": list(FRACTIONS), "tokens": students[0].tokens},
).isel(tokens=slice(2, None))
axes = plotting.curves(None, found, x="tokens", hue="synthetic_fraction")
axes.set_ylabel("loss above the truth (nats a story)")
axes.set_title("Language models on stories, a share of them written by a model")
display(axes.figure)

# %% [markdown]
# Students of written stories cannot become better than who wrote them. Half of the stories being real helps, and is
# still far from real stories alone: the loss flattens, and more of the same data does not help.
#
# ## Go on
#
# - `python -m collapse_jax stories` does this with more tokens, fractions, depths and seeds, and fits the floors.
# - `python -m collapse_jax stories --generations 5` lets each model learn from the one before, and watches the tails go.
# - `docs/stories.md` says what was found.
