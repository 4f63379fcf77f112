"""Figures 6 and 7 of *Strong Model Collapse*: images, random features and trained networks."""

from typing import Any

import matplotlib.figure
from matplotlib.figure import Figure as Picture

from collapse_jax.data.places import has_named
from collapse_jax.figures.figure import Datasets, Figure, is_full
from collapse_jax.parts import Parts

NOTHING = Parts(None, {})


def dataset() -> str:
    """MNIST where ``COLLAPSE_JAX_DATA`` holds it, else the digits."""
    return "mnist" if has_named("mnist") else "digits"


# The study is imported where it is used: it loads Flax, which takes a second that a list of figures should not cost.


def _task(model: str, size: str, seed: int) -> Any:
    from collapse_jax import images_study as study

    full = is_full(size)
    numbers = study.size(dataset(), model, "laptop" if full else "smoke")
    return study.task(dataset(), numbers, seed), numbers


def _wider(size: str, seed: int) -> Datasets:
    from collapse_jax.images_study import networks
    from collapse_jax.images_study.task import taught

    task, numbers = _task("mlp", size, seed)
    return {"networks": networks.widths(task, numbers, taught(task, numbers.teacher), NOTHING, _quiet)}


def _draw_wider(datasets: Datasets) -> Picture:
    from collapse_jax.images_study import drawing

    picture = matplotlib.figure.Figure(figsize=(6.5, 5.4), layout="constrained")
    drawing.wider(datasets["networks"], picture.subplots())
    return picture


def _more(size: str, seed: int) -> Datasets:
    from collapse_jax.images_study import networks, random_features
    from collapse_jax.images_study.task import taught

    task, numbers = _task("features", size, seed)
    teacher = taught(task, numbers.teacher)
    found = {
        "features": random_features.samples(task, numbers, teacher, NOTHING),
        "theory": random_features.theory(task, numbers, teacher, [], NOTHING)["samples"],
    }
    task, numbers = _task("mlp", size, seed)
    return found | {"networks": networks.samples(task, numbers, taught(task, numbers.teacher), NOTHING, _quiet)}


def _draw_more(datasets: Datasets) -> Picture:
    from collapse_jax.images_study import drawing

    picture = matplotlib.figure.Figure(figsize=(11, 5.2), layout="constrained")
    left, right = picture.subplots(1, 2)
    drawing.more(datasets["features"], datasets["theory"], left)
    drawing.more(datasets["networks"], None, right)
    left.set_title(f"Random features, width {datasets['features'].attrs['width']:,}")
    right.set_title(f"Trained two-layer networks, width {datasets['networks'].attrs['width']:,}")
    return picture


def _quiet(_: str) -> None:
    pass


DEVIATIONS = (
    "Deviations: digits of 8 x 8 pixels, or MNIST where COLLAPSE_JAX_DATA/mnist holds it, at sizes for two cores (the print's "
    "own: python -m collapse_jax images --dataset mnist --preset paper); the teacher's training set, the ridge and the initial "
    "weights, which the paper does not state, are in the dataset's attributes."
)
IMAGES = (
    Figure(
        "strong-6",
        "Wider networks learn more of the teacher's errors",
        "Two-layer networks on images whose labels are all synthetic: test error on clean labels against n, a curve a width. "
        + DEVIATIONS,
        _wider,
        _draw_wider,
    ),
    Figure(
        "strong-7",
        "Strong collapse on images: random features and trained networks",
        "Test error on clean labels against n for several synthetic fractions. Left: ridge regression on random ReLU features, "
        "lines are the theory of the images' kernel, nothing fitted. Right: two-layer networks trained by SGD. "
        + DEVIATIONS,
        _more,
        _draw_more,
    ),
)
