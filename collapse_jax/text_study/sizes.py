"""How much the study of text computes."""

from dataclasses import replace
from typing import NamedTuple

import jax.numpy as jnp

from collapse_jax.networks.gpt import Shape, shape
from collapse_jax.networks.language import Schooling

PRESETS = ("laptop", "paper", "smoke")


class Size(NamedTuple):
    """Numbers of passages, tokens, generations, seeds.

    Attributes:
        length: tokens of a passage, and ``prompt``, how many of them are given; the loss counts the others.
        passages: of the text, at most; a half trains the first model, the other half gives prompts to all that follow.
        held_out: passages to be judged by, from the end of the text.
        vocabulary: tokens; of GPT-2 where it is 50,257.
        shape: of every model.
        schooling: of every model; ``batch`` passages in a step.
        generations: models after the first.
        real_shares: of passages whose true continuation a model learns from, beside those that the model before wrote.
        temperature, top_p: of what models write, ``together`` passages at a time.
        seeds: chains.
    """

    length: int
    prompt: int
    passages: int
    held_out: int
    vocabulary: int
    shape: Shape
    schooling: Schooling
    batch: int
    generations: int
    real_shares: tuple[float, ...]
    temperature: float
    top_p: float
    seeds: int
    together: int = 1024


LAPTOP = Size(
    length=48,
    prompt=32,
    passages=32_000,
    held_out=1000,
    vocabulary=768,
    shape=Shape(vocabulary=768, context=48, width=64, layers=2, heads=2),
    schooling=Schooling(steps=1500, learning_rate=3e-3, warmup=0.1, evaluations=6),
    batch=16,
    generations=3,
    real_shares=(0.0, 0.02, 0.1),
    temperature=0.9,
    top_p=0.9,
    seeds=3,
)
PAPER = LAPTOP._replace(
    length=128,
    prompt=96,
    passages=2_200_000,
    held_out=4000,
    vocabulary=50257,
    shape=shape("gpt2-small", context=128, dropout=0.1, dtype=jnp.bfloat16),
    schooling=Schooling(steps=30_000, learning_rate=5e-4, warmup=0.05, evaluations=20),
    batch=128,
    generations=5,
    seeds=1,
)
SMOKE = LAPTOP._replace(
    length=40,
    prompt=30,
    passages=800,
    held_out=40,
    vocabulary=400,
    shape=Shape(vocabulary=400, context=40, width=16, layers=1, heads=1),
    schooling=Schooling(steps=40, learning_rate=1e-2, evaluations=3),
    batch=8,
    generations=2,
    real_shares=(0.0, 0.1),
    seeds=2,
    together=128,
)
SIZES = {"laptop": LAPTOP, "paper": PAPER, "smoke": SMOKE}


def size(preset: str) -> Size:
    """The numbers of a preset.

    Raises:
        ValueError: for an unknown one.

    Example:
        >>> size("laptop").real_shares
        (0.0, 0.02, 0.1)
    """
    if preset not in SIZES:
        raise ValueError(f"preset is {preset!r}; it must be one of {', '.join(PRESETS)}")
    return SIZES[preset]


def prepared(size: Size, vocabulary: int) -> Size:
    """The numbers with a vocabulary of so many tokens."""
    return size._replace(shape=replace(size.shape, vocabulary=vocabulary))
