"""How much the study of images computes."""

from typing import NamedTuple

from collapse_jax.networks.teachers import Teacher
from collapse_jax.networks.training import Recipe

PRESETS = ("laptop", "paper", "smoke")


class Size(NamedTuple):
    """Numbers of images, widths, fractions, seeds.

    Attributes:
        seeds: splits of the images, each with its own teachers, noise and networks.
        pool: images that students train on, validate on and are tested on; None for all but those of the teachers.
        test: of these, images to test on, or None for MNIST's published test set.
        validation: of these, images that choose the best weights of trained networks.
        teaching: images set aside for teachers, and ``teacher``, the one that writes the labels.
        counts: training images n, and ``fractions`` of synthetic labels: the first panel, at ``width``.
        widths: the second panel: at ``widths_fraction`` for trained networks, at ``graded_n`` for random features.
        teachers: the third panel: teachers of several qualities, with ``graded_n`` training images, at ``graded_fractions``.
        recipe: how networks are trained.
        ridge_per_feature: ridge of random features over their width.
    """

    seeds: int
    pool: int | None
    test: int | None
    validation: int
    teaching: int
    teacher: Teacher
    counts: tuple[int, ...]
    fractions: tuple[float, ...]
    width: int
    widths: tuple[int, ...]
    teachers: tuple[Teacher, ...]
    graded_n: int
    graded_fractions: tuple[float, ...]
    recipe: Recipe = Recipe()
    ridge_per_feature: float = 1e-4


FRACTIONS = (0.0, 0.1, 0.2, 0.5, 0.9)
PAPER_FRACTIONS = (0.0, 0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 0.9)


def _grades(images: tuple[int, ...], more: tuple[Teacher, ...] = ()) -> tuple[Teacher, ...]:
    return (*(Teacher(count) for count in images), *more)


DIGITS = Size(
    seeds=5,
    pool=None,
    test=400,
    validation=100,
    teaching=250,
    teacher=Teacher(50),
    counts=(32, 64, 128, 256, 512, 900),
    fractions=FRACTIONS,
    width=128,
    widths=(16, 64, 256, 1024),
    teachers=_grades(
        (15, 25, 50, 100, 250), (Teacher(50, epochs=20), Teacher(50, temperature=0.2), Teacher(50, width=8))
    ),
    graded_n=512,
    graded_fractions=(0.2, 0.5, 0.9),
)
MNIST = Size(
    seeds=5,
    pool=16_000,
    test=4000,
    validation=1000,
    teaching=2000,
    teacher=Teacher(300),
    counts=(100, 300, 1000, 3000, 10_000),
    fractions=FRACTIONS,
    width=100,
    widths=(32, 128, 512),
    teachers=_grades(
        (50, 100, 300, 1000), (Teacher(300, epochs=5), Teacher(300, temperature=0.2), Teacher(300, width=8))
    ),
    graded_n=3000,
    graded_fractions=(0.2, 0.5, 0.9),
    recipe=Recipe(epochs=40.0),
)
SIZES = {
    ("digits", "features", "laptop"): DIGITS._replace(width=10_000, widths=(30, 100, 300, 1000, 3000, 10_000, 30_000)),
    ("digits", "mlp", "laptop"): DIGITS,
    ("mnist", "features", "laptop"): MNIST._replace(
        seeds=3, pool=4000, test=1500, validation=1, counts=(100, 300, 1000, 2000), width=10_000,
        widths=(100, 300, 1000, 3000, 10_000), graded_n=1000,
    ),
    ("mnist", "mlp", "laptop"): MNIST,
    ("mnist", "features", "paper"): MNIST._replace(
        pool=20_000, test=8000, validation=1, counts=(100, 200, 500, 1000, 2000, 5000, 10_000), fractions=PAPER_FRACTIONS,
        width=100_000, widths=(1000, 3000, 10_000, 30_000, 100_000),
    ),
    ("mnist", "mlp", "paper"): MNIST._replace(
        pool=None, test=None, validation=5000, teaching=5000, teacher=Teacher(1000, width=2000),
        counts=(100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000), fractions=PAPER_FRACTIONS, width=2000,
        widths=(100, 400, 1000, 2000, 4000, 10_000), graded_n=10_000, recipe=Recipe(epochs=400.0),
    ),
}  # fmt: skip
SMOKE = {
    "seeds": 2, "pool": 400, "test": 100, "validation": 40, "teaching": 80, "teacher": Teacher(40, 16, 20.0),
    "counts": (50, 200), "fractions": (0.0, 0.5), "width": 40, "widths": (10, 40),
    "teachers": (Teacher(20, 16, 20.0), Teacher(80, 16, 20.0)), "graded_n": 100, "graded_fractions": (0.5,),
    "recipe": Recipe(epochs=10.0),
}  # fmt: skip


def size(dataset: str, model: str, preset: str) -> Size:
    """The numbers of a preset.

    Raises:
        ValueError: for a preset that the dataset does not have, with the way out.

    Example:
        >>> size("digits", "mlp", "laptop").width
        128
    """
    if preset == "smoke":
        return DIGITS._replace(**SMOKE)
    found = SIZES.get((dataset, model, preset))
    if found is None:
        raise ValueError(
            f"preset {preset!r} has {dataset!r} too few images for: the paper's sizes are those of MNIST. "
            "Add --dataset mnist, or use --preset laptop"
        )
    return found
