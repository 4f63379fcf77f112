"""How much the study of summaries computes."""

from dataclasses import replace
from typing import NamedTuple

import jax.numpy as jnp

from collapse_jax.data.story_world import StoryWorld
from collapse_jax.networks.gpt import Shape, shape
from collapse_jax.networks.language import Schooling

PRESETS = ("laptop", "paper", "smoke")


class Size(NamedTuple):
    """Numbers of documents, tokens, steps, seeds.

    Attributes:
        world: whose stories are the documents where no file is given; None for files only.
        documents: of the study; the generator learns from a share ``taught`` of them and summarises the others.
        aside: further documents, from whose true summaries the stronger model learns, beside the generator's own.
        held_out: documents to be judged by.
        asked: tokens of a document at most, its end among them; the beginning of a longer one is what models see.
        said: tokens of a summary at most, its end among them.
        vocabulary: tokens at most; of GPT-2 where it is 50,257.
        shape: of every model.
        generator: how the generator is trained; ``stronger`` the stronger model, ``student`` every student.
        batch: documents in a step.
        taught: share of the documents.
        shares: of the generator's summaries that students learn from, increasing, below 1.
        seeds: chains of a generator and its students.
        together: documents that are summarised at once.
    """

    world: StoryWorld | None
    documents: int
    aside: int
    held_out: int
    asked: int
    said: int
    vocabulary: int
    shape: Shape
    generator: Schooling
    stronger: Schooling
    student: Schooling
    batch: int
    taught: float
    shares: tuple[float, ...]
    seeds: int
    together: int


SCHOOLING = Schooling(steps=640, learning_rate=8e-3, warmup=0.1, evaluations=4)
LAPTOP = Size(
    world=StoryWorld(names=100, things=100, most=3),
    documents=4000,
    aside=1500,
    held_out=500,
    asked=42,
    said=18,
    vocabulary=768,
    shape=Shape(vocabulary=768, context=60, width=64, layers=2, heads=4),
    generator=SCHOOLING,
    stronger=SCHOOLING,
    student=SCHOOLING,
    batch=16,
    taught=0.125,
    shares=(0.125, 0.25, 0.5),
    seeds=3,
    together=512,
)
LONG = Schooling(steps=12_000, learning_rate=3e-4, warmup=0.05, accumulate=4, evaluations=10)
PAPER = LAPTOP._replace(
    world=None,
    documents=269_000,
    aside=38_000,
    held_out=11_500,
    asked=896,
    said=128,
    vocabulary=50257,
    shape=shape("gpt2-small", dropout=0.1, dtype=jnp.bfloat16, remat=True),
    generator=LONG,
    stronger=LONG,
    student=LONG,
    batch=32,
    seeds=1,
    together=256,
)
BRIEF = Schooling(steps=48, learning_rate=2e-2, warmup=0.1, evaluations=1)
SMOKE = LAPTOP._replace(
    world=StoryWorld(names=6, things=6, most=2),
    documents=400,
    aside=50,
    held_out=24,
    asked=40,
    said=14,
    vocabulary=480,
    shape=Shape(vocabulary=480, context=54, width=16, layers=1, heads=2),
    generator=BRIEF,
    stronger=BRIEF,
    student=BRIEF,
    batch=8,
    shares=(0.5,),
    seeds=2,
    together=64,
)
SIZES = {"laptop": LAPTOP, "paper": PAPER, "smoke": SMOKE}


def size(preset: str) -> Size:
    """The numbers of a preset.

    Raises:
        ValueError: for an unknown one.

    Example:
        >>> size("laptop").shares
        (0.125, 0.25, 0.5)
    """
    if preset not in SIZES:
        raise ValueError(f"preset is {preset!r}; it must be one of {', '.join(PRESETS)}")
    return SIZES[preset]


def prepared(size: Size, vocabulary: int) -> Size:
    """The numbers with a vocabulary of so many tokens."""
    return size._replace(shape=replace(size.shape, vocabulary=vocabulary))
