"""A text as passages of equal length, each a prompt and its continuation."""

import hashlib
import os
from typing import NamedTuple

import numpy as np

from collapse_jax.data.places import open_text, text_files
from collapse_jax.data.story_world import StoryWorld
from collapse_jax.data.tokens import Vocabulary, train_vocabulary
from collapse_jax.networks.lesson import Lesson
from collapse_jax.text_study.sizes import Size

SUFFIXES = (".txt", ".tokens")
TAUGHT = 2_000_000  # characters that a vocabulary is trained on
HEAD = 0.9  # of the tokens of the text; the rest is the tail


class Passages(NamedTuple):
    """Passages as tokens.

    Attributes:
        vocabulary: of the text.
        first: (N, length) passages that the first model learns from.
        others: (M, length) passages whose prompts later models go on from, with their true continuations.
        held_out: (E, length) passages to be judged by.
        tail: (vocabulary,) whether a token is not among the commonest that make up nine tenths of the text.
        digest: of all passages.
    """

    vocabulary: Vocabulary
    first: np.ndarray
    others: np.ndarray
    held_out: np.ndarray
    tail: np.ndarray
    digest: str


def passages(size: Size, seed: int, path: str | os.PathLike[str] | None = None) -> Passages:
    """Passages of a text file or folder, or of stories of the story world where no path is given.

    Passages overlap by half, as in *A Tale of Tails*, Appendix H; those to be judged by come from the end of the text and
    overlap no other.

    Raises:
        FileNotFoundError: where there is no text.
        ValueError: where it is too short.

    Example:
        >>> from collapse_jax.text_study import size
        >>> found = passages(size("smoke"), seed=0)
        >>> found.first.shape, found.others.shape, found.held_out.shape
        ((400, 40), (400, 40), (40, 40))
    """
    text = _stories(size, seed) if path is None else read_text(path)
    vocabulary = train_vocabulary(text[:TAUGHT].splitlines(), size.vocabulary)
    lines = vocabulary.encode_all(text.splitlines())
    tokens = np.concatenate([part for line in lines for part in (line, np.asarray([vocabulary.end], np.uint16))])
    judged = size.held_out * size.length
    stride = size.length // 2
    there = (len(tokens) - judged - size.length) // stride + 1
    if there < size.batch * 2:
        raise ValueError(
            f"the text has {len(tokens):,} tokens, too few for {size.held_out:,} held-out passages of {size.length} tokens "
            "and a few to learn from. Give a longer text, or use --preset smoke"
        )
    starts = np.random.default_rng(seed).permutation(there)[: size.passages] * stride
    cut = tokens[starts[:, None] + np.arange(size.length)]
    held_out = tokens[-judged:].reshape(size.held_out, size.length)
    half = len(cut) // 2
    digest = hashlib.sha256(cut.tobytes() + held_out.tobytes()).hexdigest()[:16]
    tail = tail_tokens(tokens[:-judged], vocabulary.size)
    return Passages(vocabulary, cut[:half], cut[half : 2 * half], held_out, tail, digest)


def read_text(path: str | os.PathLike[str]) -> str:
    """All text of a ``.txt`` or ``.tokens`` file, ``.gz`` or not, or of those of a folder in the order of their names.

    Raises:
        FileNotFoundError: where there is none.

    Example:
        >>> read_text("/nowhere.txt")
        Traceback (most recent call last):
        FileNotFoundError: no text is at /nowhere.txt; it must be a .txt or .tokens file, .gz or not, or a folder of them
    """
    files = text_files(path, SUFFIXES)
    if not files:
        raise FileNotFoundError(
            f"no text is at {path}; it must be a .txt or .tokens file, .gz or not, or a folder of them"
        )
    texts = []
    for file in files:
        with open_text(file) as opened:
            texts.append(opened.read())
    return "\n".join(texts)


def tail_tokens(tokens: np.ndarray, size: int) -> np.ndarray:
    """(size,) whether a token is not among the commonest that make up nine tenths of all.

    Example:
        >>> tail_tokens(np.array([0] * 19 + [1]), size=3).tolist()
        [False, True, True]
    """
    counts = np.bincount(tokens, minlength=size)
    order = np.argsort(-counts, kind="stable")
    before = counts[order].cumsum() - counts[order]
    tail = np.empty(size, bool)
    tail[order] = before >= HEAD * len(tokens)
    return tail


def continuations(rows: np.ndarray, prompt: int) -> Lesson:
    """Passages as a lesson of which the tokens after the prompt count."""
    counted = np.broadcast_to(np.arange(1, rows.shape[1]) >= prompt, (len(rows), rows.shape[1] - 1))
    return Lesson(rows.astype(np.int32), None, counted)


def _stories(size: Size, seed: int) -> str:
    """Enough stories of the story world for all passages."""
    world = StoryWorld()
    needed = size.length * (size.passages // 2 + size.held_out + 2)
    told = world.stories(seed, needed // 30 + 1)  # a story has more than thirty tokens
    return "\n".join(map(world.text, told))
