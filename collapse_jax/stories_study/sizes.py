"""How much the study of stories computes."""

from typing import NamedTuple

import jax.numpy as jnp

from collapse_jax.networks.gpt import Shape, shape
from collapse_jax.networks.language import Schooling

PRESETS = ("laptop", "tinystories", "paper", "smoke")
WORLD, FILES = "world", "files"


class Size(NamedTuple):
    """Numbers of stories, tokens, layers, seeds.

    Attributes:
        source: "world" for stories of :class:`collapse_jax.data.story_world.StoryWorld`, "files" for stories from your disk.
        stories: that are made, or read at most.
        held_out: of these, stories to be judged by.
        vocabulary: tokens; of GPT-2 where the shape's is 50,257.
        shape: of generator and students; its ``context`` is the length of the windows too.
        generator: how the generator is trained, and ``generator_tokens`` how many reference tokens it sees, again and again.
        beginning: tokens of each reference story that the generator is given to go on from.
        synthetic: tokens that it writes, in units of ``generator_tokens``; ``together`` texts at a time.
        temperature: of what it writes, and ``top_p`` the mass of the likeliest tokens that are drawn.
        tokens: that a student sees, no token twice where there are enough.
        batch: windows in a step, of the generator too.
        student: how students are trained; its ``steps`` follow from ``tokens``.
        fractions: of synthetic windows: the first panel.
        depths: layers of students that see synthetic stories only: the second panel.
        seeds: students of each kind.
    """

    source: str
    stories: int
    held_out: int
    vocabulary: int
    shape: Shape
    generator: Schooling
    generator_tokens: int
    beginning: int
    synthetic: float
    temperature: float
    top_p: float | None
    tokens: int
    batch: int
    student: Schooling
    fractions: tuple[float, ...]
    depths: tuple[int, ...]
    seeds: int
    together: int = 256

    @property
    def length(self) -> int:
        """Tokens of a window."""
        return self.shape.context

    @property
    def student_steps(self) -> int:
        """Updates of a student."""
        return max(1, self.tokens // (self.batch * self.length))


LAPTOP = Size(
    source=WORLD,
    stories=66_000,
    held_out=1000,
    vocabulary=768,
    shape=Shape(vocabulary=768, context=64, width=64, layers=2, heads=2),
    generator=Schooling(steps=1600, learning_rate=4e-3, warmup=0.1, evaluations=8),
    generator_tokens=200_000,
    beginning=2,
    synthetic=10.0,
    temperature=1.0,
    top_p=None,
    tokens=2_000_000,
    batch=16,
    student=Schooling(steps=1, learning_rate=2e-3, warmup=0.1, evaluations=12),
    fractions=(0.0, 0.2, 0.5, 0.8, 1.0),
    depths=(1, 2, 4),
    seeds=3,
    together=1024,
)
TINYSTORIES = LAPTOP._replace(
    source=FILES,
    stories=10**7,
    held_out=500,
    vocabulary=4096,
    shape=shape("small", context=512),
    generator=Schooling(steps=3000, learning_rate=2e-3, evaluations=10),
    generator_tokens=1_000_000,
    beginning=16,
    tokens=5_000_000,
    batch=32,
    student=Schooling(steps=1, learning_rate=2e-3, evaluations=16),
    fractions=(0.0, 0.1, 0.2, 0.5, 0.9, 1.0),
    depths=(3, 6, 9),
    together=256,
)
PAPER = TINYSTORIES._replace(
    held_out=4000,
    vocabulary=50257,
    shape=shape("gpt2-small", context=512, dropout=0.05, dtype=jnp.bfloat16, bias=False),
    generator=Schooling(steps=80_000, learning_rate=5e-3, warmup=0.025, evaluations=40),
    generator_tokens=470_000_000,
    beginning=64,
    tokens=4_500_000_000,
    batch=512,
    student=Schooling(steps=1, learning_rate=5e-3, warmup=0.12, evaluations=36),
    fractions=(0.0, 0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 0.9, 1.0),
    depths=(12, 18, 24),
    seeds=1,
    together=512,
)
SMOKE = LAPTOP._replace(
    stories=900,
    held_out=50,
    vocabulary=400,
    shape=Shape(vocabulary=400, context=160, width=16, layers=1, heads=1),
    generator=Schooling(steps=40, learning_rate=1e-2, evaluations=2),
    generator_tokens=10_000,
    synthetic=2.0,
    tokens=16_000,
    batch=8,
    student=Schooling(steps=1, learning_rate=1e-2, evaluations=8),
    fractions=(0.0, 0.5, 1.0),
    depths=(1, 2),
    seeds=2,
    together=128,
)
SIZES = {"laptop": LAPTOP, "tinystories": TINYSTORIES, "paper": PAPER, "smoke": SMOKE}


def size(preset: str) -> Size:
    """The numbers of a preset.

    Raises:
        ValueError: for an unknown one.

    Example:
        >>> size("laptop").student_steps
        1953
    """
    if preset not in SIZES:
        raise ValueError(f"preset is {preset!r}; it must be one of {', '.join(PRESETS)}")
    return SIZES[preset]
