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
# # Networks on real images
#
# A network learns handwritten digits. Part of its labels are true, the others another network wrote. Do more images
# help? Does a wider network? And can the error be known before anything is trained? This notebook asks real images, in
# about two minutes.
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
import jax.numpy as jnp
import numpy as np
import xarray as xr
from IPython.display import display

import collapse_jax as cj
from collapse_jax import plotting
from collapse_jax.data import digits
from collapse_jax.data.images import normalised, synthetic_rows
from collapse_jax.networks import Lessons, Recipe, feature_predictions, pool_of, pool_risk, predictions, train
from collapse_jax.networks.teachers import Teacher, noisy, teach

# %matplotlib inline
jax.config.update("jax_enable_x64", True)

# %% [markdown]
# ## Images, and who sees them
#
# 1,797 images of 8 x 8 pixels come with scikit-learn. Three seeds divide them differently: a teacher sees 50 images,
# students are tested on 400 others, and the rest is for training.

# %%
known = normalised(digits())
images, outputs = known.inputs.astype(jnp.float32), known.outputs.astype(jnp.float32)
keys = jax.random.split(jax.random.key(0), 3)
order = jnp.stack([jax.random.permutation(key, len(images)) for key in keys])
for_teacher, test, held_out, rows = jnp.split(order, [50, 450, 550], axis=1)

teacher = teach(keys, images, outputs, for_teacher, known.prior, Teacher(images=50, width=256))
print("squared error of the teachers, c² =", np.round(teacher.quality, 2), "(knowing nothing costs 0.9)")

# %% [markdown]
# ## Random features: measured, and predicted from the images alone
#
# Random features are a network whose first layer is not trained. Their error has a theory: `pool_of` looks at the
# images and at both kinds of labels once, `pool_risk` then predicts the error for any n, fraction, width and ridge.
# Nothing is fitted.

# %%
FRACTIONS, COUNTS, WIDTH, RIDGE = (0.0, 0.2, 0.5, 0.9), (32, 64, 128, 256, 512, 1024), 2000, 1e-4
pool_rows = jnp.sort(order[0, 50:])  # of the first seed
pool = pool_of(images[pool_rows].astype(float), outputs[pool_rows], teacher.outputs[0, pool_rows], noise=0.1)


def risk(n, synthetic_fraction):
    return pool_risk(pool, n, synthetic_fraction, RIDGE * WIDTH, WIDTH)


theory = cj.sweep(risk, n=np.union1d(np.geomspace(32, 1024, 40), COUNTS), synthetic_fraction=FRACTIONS)

# %%
written = noisy(jax.random.key(1), teacher.outputs, 0.1)


def labels(rows, written):
    """(seeds, n, fractions, 10): of any first n images a share bears the teacher's labels."""
    synthetic = jnp.stack([jnp.asarray(synthetic_rows(rows.shape[1], p)) for p in FRACTIONS], 1)
    true, taught = outputs[rows], jax.vmap(lambda all_labels, own: all_labels[own])(written, rows)
    return jnp.where(synthetic[None, :, :, None], taught[:, :, None], true[:, :, None])


def split(seed):
    """Another division of the first seed's pool: training images and test images."""
    shuffled = jax.random.permutation(jax.random.key(seed), pool_rows)
    return shuffled[:1024][None], shuffled[1024:]


errors = []
for seed in range(6):
    own, others = split(seed)
    predicted = feature_predictions(
        jax.random.key(seed),
        images[own[0]],
        labels(own, written[:1])[0],
        images[others],
        width=WIDTH,
        ridge=RIDGE * WIDTH,
        counts=COUNTS,
    )
    errors.append(((predicted - outputs[others][None, :, None]) ** 2).sum(3).mean(1))
measured = xr.Dataset(
    {"total": (("n", "synthetic_fraction", "seed"), np.stack(errors, -1))},
    {"n": list(COUNTS), "synthetic_fraction": list(FRACTIONS)},
)
axes = plotting.curves(theory, measured, x="n", hue="synthetic_fraction")
axes.set_title("Random features of digits: lines are predictions")
display(axes.figure)
gap = float(np.sqrt(((theory.total.sel(n=list(COUNTS)) / measured.total.mean("seed") - 1) ** 2).mean()))
print(f"typical gap between prediction and measurement: {100 * gap:.1f} %")

# %% [markdown]
# ## Trained networks
#
# Now both layers are trained, by SGD as in the paper. Networks that differ in labels alone form a group and train as
# one; the three seeds are three groups. One call trains all twelve, and keeps the weights that do best on held-out
# images, whose labels are mixed too.

# %%
lessons = Lessons(images, rows, labels(rows, written), held_out, labels(held_out, written))
truth = outputs[test][:, :, None]
trained = []
for n in COUNTS:
    networks = train(keys, lessons, n, width=64, recipe=Recipe(epochs=400))
    trained.append(((predictions(networks.weights, images, test) - truth) ** 2).sum(3).mean(1).T)
measured = xr.Dataset(
    {"total": (("n", "synthetic_fraction", "seed"), np.stack(trained))},
    {"n": list(COUNTS), "synthetic_fraction": list(FRACTIONS)},
)
axes = plotting.curves(None, measured, x="n", hue="synthetic_fraction")
axes.set_title("Two-layer networks on digits, width 64")
display(axes.figure)

# %% [markdown]
# The error with true labels falls and falls. With half of the labels synthetic it flattens, far above. A wrong label is
# not noise that averages out: all the teacher's labels are wrong in the same way, and a network with more images learns
# *that* better.
#
# ## Go on
#
# - `python -m collapse_jax images` adds widths and teachers of graded quality, with five seeds; `--dataset mnist` asks MNIST.
# - `docs/images.md` says how close theory comes on each, and where it breaks.
