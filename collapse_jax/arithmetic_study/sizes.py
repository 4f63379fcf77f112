"""How much the study of arithmetic computes."""

from dataclasses import replace
from typing import NamedTuple

import jax.numpy as jnp

from collapse_jax.data.arithmetic import Eigenvalues, Gcd
from collapse_jax.networks.gpt import Shape
from collapse_jax.networks.language import Schooling

PRESETS = ("laptop", "paper", "smoke")
TASKS = ("gcd", "eigenvalues")


class Size(NamedTuple):
    """Numbers of questions, layers, beams, seeds.

    Attributes:
        task: what is asked.
        shape: of generator and students; vocabulary and context are the task's.
        weak: shape of the smaller model that is a verifier.
        generator: how the generator, and the weak model, are trained.
        generator_rows: distinct questions with exact answers that they see, again and again; None for new ones at each step.
        student: how students are trained.
        rows: questions that a student learns from; seen again where its steps ask for more.
        batch: questions in a step, of the generator too.
        fractions: of the generator's answers among the students', 0 among them; only for greatest common divisors.
        noises: shares of wrong answers that a noisy verifier lets pass, in [0, 1].
        drawn: questions of each of which one answer is drawn for noisy verifiers, which refuse some: more than ``rows``.
        beams: candidates of each question that verifiers choose from, increasing.
        divisors: greatest common divisors that are examined one by one, each by ``each`` pairs.
        examined: questions of the usual kind in the examination.
        seeds: chains of a generator and its students.
        together: questions that are answered at once.
    """

    task: Gcd | Eigenvalues
    shape: Shape
    weak: Shape
    generator: Schooling
    generator_rows: int | None
    student: Schooling
    rows: int
    batch: int
    fractions: tuple[float, ...]
    noises: tuple[float, ...]
    drawn: int
    beams: tuple[int, ...]
    divisors: tuple[int, ...]
    each: int
    examined: int
    seeds: int
    together: int


def shape_of(task: Gcd | Eigenvalues, width: int, layers: int, heads: int, **more: object) -> Shape:
    """A transformer that can read and answer the questions of a task.

    Example:
        >>> shape_of(Gcd(base=10, largest=99), width=8, layers=1, heads=1).context
        9
    """
    return Shape(task.vocabulary, task.question + task.answer, width, layers, heads, **more)  # pyright: ignore[reportArgumentType]


GCD = Gcd(base=6, largest=6**4 - 1)
LAPTOP = Size(
    task=GCD,
    shape=shape_of(GCD, 32, 2, 4),
    weak=shape_of(GCD, 16, 1, 2),
    generator=Schooling(steps=480, learning_rate=6e-3, warmup=0.1, weight_decay=0.1, evaluations=3),
    generator_rows=None,
    student=Schooling(steps=1280, learning_rate=6e-3, warmup=0.05, weight_decay=0.1, evaluations=8),
    rows=60_000,
    batch=128,
    fractions=(0.0, 0.27, 0.73, 1.0),
    noises=(0.0, 0.1, 0.4),
    drawn=130_000,
    beams=(5,),
    divisors=tuple(range(1, 37)),
    each=25,
    examined=1000,
    seeds=3,
    together=2048,
)
GCD_PAPER = Gcd(base=10, largest=10**6)
PAPER = LAPTOP._replace(
    task=GCD_PAPER,
    shape=shape_of(GCD_PAPER, 512, 4, 8, dtype=jnp.bfloat16),
    weak=shape_of(GCD_PAPER, 128, 2, 4, dtype=jnp.bfloat16),
    generator=Schooling(steps=1_200_000, learning_rate=1e-4, warmup=0.01, weight_decay=0.0, evaluations=100),
    student=Schooling(steps=4_000_000, learning_rate=1e-4, warmup=0.01, weight_decay=0.0, evaluations=100),
    rows=10_000_000,
    fractions=(0.0, 0.09, 0.27, 0.5, 0.73, 1.0),
    noises=(0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0),
    drawn=25_000_000,
    beams=(5, 10),
    divisors=tuple(range(1, 101)),
    each=100,
    examined=100_000,
    seeds=10,
    together=16384,
)
SMALL = Gcd(base=4, largest=63)
SMOKE = LAPTOP._replace(
    task=SMALL,
    shape=shape_of(SMALL, 16, 1, 2),
    weak=shape_of(SMALL, 8, 1, 1),
    generator=Schooling(steps=64, learning_rate=1e-2, warmup=0.1, evaluations=2),
    student=Schooling(steps=64, learning_rate=1e-2, warmup=0.1, evaluations=2),
    rows=2000,
    batch=32,
    fractions=(0.0, 1.0),
    noises=(0.0, 1.0),
    drawn=6000,
    beams=(4,),
    divisors=(1, 2, 3, 4, 8),
    each=20,
    examined=100,
    seeds=2,
    together=512,
)
PAIRS = Eigenvalues(size=2, digits=2, tolerance=0.05)
EIGEN_LAPTOP = LAPTOP._replace(
    task=PAIRS,
    shape=shape_of(PAIRS, 64, 2, 4),
    weak=shape_of(PAIRS, 32, 1, 2),
    generator=Schooling(steps=640, learning_rate=4e-3, warmup=0.1, weight_decay=0.1, evaluations=3),
    generator_rows=10_000,
    student=Schooling(steps=960, learning_rate=4e-3, warmup=0.05, weight_decay=0.1, evaluations=8),
    rows=30_000,
    fractions=(),
    noises=(0.0, 0.4, 1.0),
    drawn=240_000,
    beams=(5, 20),
    divisors=(),
    seeds=2,
)
FIVE = Eigenvalues()
EIGEN_PAPER = EIGEN_LAPTOP._replace(
    task=FIVE,
    shape=shape_of(FIVE, 512, 5, 8, dtype=jnp.bfloat16),
    weak=shape_of(FIVE, 256, 3, 8, dtype=jnp.bfloat16),
    generator=Schooling(steps=200_000, learning_rate=5e-5, warmup=0.05, weight_decay=0.0, evaluations=65),
    generator_rows=200_000,
    student=Schooling(steps=500_000, learning_rate=5e-5, warmup=0.02, weight_decay=0.0, evaluations=50),
    rows=1_000_000,
    batch=64,
    noises=tuple(i / 10 for i in range(11)),
    drawn=10_000_000,
    beams=(5, 10, 25, 35, 50),
    examined=10_000,
    seeds=5,
    together=2048,
)
LITTLE = replace(PAIRS, digits=1, tolerance=0.5)
EIGEN_SMOKE = SMOKE._replace(
    task=LITTLE,
    shape=shape_of(LITTLE, 16, 1, 2),
    weak=shape_of(LITTLE, 8, 1, 1),
    generator_rows=1000,
    fractions=(),
    divisors=(),
)
SIZES = {
    ("gcd", "laptop"): LAPTOP,
    ("gcd", "paper"): PAPER,
    ("gcd", "smoke"): SMOKE,
    ("eigenvalues", "laptop"): EIGEN_LAPTOP,
    ("eigenvalues", "paper"): EIGEN_PAPER,
    ("eigenvalues", "smoke"): EIGEN_SMOKE,
}


def size(task: str, preset: str) -> Size:
    """The numbers of a task and a preset.

    Raises:
        ValueError: for an unknown one.

    Example:
        >>> size("gcd", "paper").task
        Gcd(base=10, largest=1000000)
    """
    if task not in TASKS:
        raise ValueError(f"task is {task!r}; it must be one of {', '.join(TASKS)}")
    if preset not in PRESETS:
        raise ValueError(f"preset is {preset!r}; it must be one of {', '.join(PRESETS)}")
    return SIZES[task, preset]
