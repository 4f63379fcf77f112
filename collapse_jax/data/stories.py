"""Stories from files: plain text or JSON lines, compressed or not, one file or a folder of them."""

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from collapse_jax.data.places import open_text, suffix, text_files
from collapse_jax.data.tokens import END

SUFFIXES = (".txt", ".jsonl")


class Divided(NamedTuple):
    """Stories to learn from and stories to be judged by; none is in both."""

    train: list[str]
    held_out: list[str]


def read_stories(path: str | os.PathLike[str], *, field: str = "text", most: int | None = None) -> list[str]:
    """All stories of a file, or of the files of a folder in the order of their names.

    Args:
        path: a ``.txt`` file, whose stories an ``<|endoftext|>`` or, where it has none, an empty line ends; a ``.jsonl`` file,
            a JSON object a line; either with ``.gz``; or a folder of such files.
        field: what holds the story in a JSON object.
        most: stop after so many.

    Returns:
        The stories without blanks around them; empty ones and exact repetitions are left out.

    Raises:
        FileNotFoundError: where there is no such file, or no story file in the folder.
        ValueError: where a file holds no story, or a line no JSON object with this field.

    Example:
        >>> read_stories("/nowhere.txt")
        Traceback (most recent call last):
        FileNotFoundError: no stories are at /nowhere.txt; it must be a .txt or .jsonl file, .gz or not, or a folder of them
    """
    files = text_files(path, SUFFIXES)
    if not files:
        raise FileNotFoundError(
            f"no stories are at {path}; it must be a .txt or .jsonl file, .gz or not, or a folder of them"
        )
    found: dict[str, None] = {}  # in order, each once
    for file in files:
        for story in _stories(file, field):
            if story.strip():
                found[story.strip()] = None
            if most is not None and len(found) >= most:
                return list(found)
    if not found:
        raise ValueError(f"{path} holds no story; a .txt file needs text, a .jsonl file an object a line")
    return list(found)


def huggingface_stories(name: str, *, split: str = "train", field: str = "text", most: int | None = None) -> list[str]:
    """Stories of a data set of the Hugging Face hub, such as "roneneldan/TinyStories"; it is read as it arrives.

    Args:
        name: of the data set.
        split: of it.
        field: what holds the story.
        most: stop after so many.

    Returns:
        As :func:`read_stories`.

    Raises:
        ImportError: where the library ``datasets`` is not installed.
        ValueError: where the rows have no such field, or none holds a story.
    """
    try:
        from datasets import load_dataset  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ImportError(
            'huggingface_stories needs the library datasets: python -m pip install "collapse_jax[huggingface]"'
        ) from error
    found: dict[str, None] = {}
    for row in load_dataset(name, split=split, streaming=True):
        if field not in row:
            raise ValueError(f"field is {field!r}; the rows of {name} have {', '.join(row)}")
        if row[field].strip():
            found[row[field].strip()] = None
        if most is not None and len(found) >= most:
            break
    if not found:
        raise ValueError(f"{name} holds no story in its field {field!r}")
    return list(found)


def divided(stories: Sequence[str], held_out: int, seed: int) -> Divided:
    """Stories in random order, the first ``held_out`` set aside.

    Raises:
        ValueError: where none would be left to learn from.

    Example:
        >>> parts = divided(["a", "b", "c"], held_out=1, seed=0)
        >>> len(parts.train), sorted(parts.train + parts.held_out)
        (2, ['a', 'b', 'c'])
    """
    if not 1 <= held_out < len(stories):
        raise ValueError(
            f"held_out is {held_out}; it must be from 1 to {len(stories) - 1}: there are {len(stories)} stories"
        )
    order = np.random.default_rng(seed).permutation(len(stories))
    shuffled = [str(stories[int(i)]) for i in order]
    return Divided(shuffled[held_out:], shuffled[:held_out])


def _stories(file: Path, field: str) -> Iterator[str]:
    with open_text(file) as lines:
        if suffix(file) == ".txt":
            text = lines.read()
            yield from text.split(END if END in text else "\n\n")
            return
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                story = json.loads(line)[field]
            except (json.JSONDecodeError, KeyError, TypeError) as error:
                raise ValueError(
                    f"line {number} of {file} has no {field!r} ({type(error).__name__}); each line must be a JSON object "
                    "with it. Name another with field="
                ) from error
            yield str(story)
