"""Documents and their summaries: from files in the layout of XL-Sum, or stories of the story world and what happens in them."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from collapse_jax.data.places import open_text, text_files
from collapse_jax.data.story_world import StoryWorld

SUFFIX = ".jsonl"
LAYOUT = "a .jsonl file, .gz or not, with an object of text and summary a line, as XL-Sum has them, or a folder of such files"


class Document(NamedTuple):
    """A text and its summary."""

    text: str
    summary: str


class Outline(NamedTuple):
    """Whom a summary of the story world is about, and the events in their order."""

    hero: str
    events: tuple[str, ...]


def read_documents(path: str | os.PathLike[str], *, most: int | None = None) -> list[Document]:
    """All documents of a file, or of the files of a folder in the order of their names.

    Args:
        path: a ``.jsonl`` file, a JSON object a line with at least the keys "text" and "summary" (XL-Sum has "id", "url" and
            "title" too); with ``.gz`` or without; or a folder of such files.
        most: stop after so many.

    Returns:
        Texts and summaries with single blanks in place of line ends and runs of blanks; documents that lack either, and exact
        repetitions, are left out.

    Raises:
        FileNotFoundError: where there is no such file, or none in the folder.
        ValueError: where a line is no JSON object with both keys, or no document is there.

    Source: Hasan et al., *XL-Sum: large-scale multilingual abstractive summarization for 44 languages* (2021), for the layout.

    Example:
        >>> read_documents("/nowhere.jsonl")
        Traceback (most recent call last):
        FileNotFoundError: no documents are at /nowhere.jsonl; it must be a .jsonl file, .gz or not, with an object of text and
        summary a line, as XL-Sum has them, or a folder of such files
    """
    files = text_files(path, (SUFFIX,))
    if not files:
        raise FileNotFoundError(f"no documents are at {path}; it must be {LAYOUT}")
    found: dict[Document, None] = {}  # in order, each once
    for file in files:
        for document in _documents(file):
            if all(document):
                found[document] = None
            if most is not None and len(found) >= most:
                return list(found)
    if not found:
        raise ValueError(f"{path} holds no document with a text and a summary; it must be {LAYOUT}")
    return list(found)


def world_documents(world: StoryWorld, seed: int, count: int) -> list[Document]:
    """Stories of the story world; the summary says exactly what happened.

    Example:
        >>> document = world_documents(StoryWorld(), seed=0, count=1)[0]
        >>> print(document.summary)
        Sanomi helped Julax, wanted dusty lamp, waited for Lomut, laughed with Pex, met Lonot
        >>> world = StoryWorld()
        >>> world.summary(world.parse(document.text)) == document.summary
        True
    """
    return [Document(world.text(story), world.summary(story)) for story in world.stories(seed, count)]


def outline(summary: str) -> Outline:
    """What a summary of the story world tells.

    Example:
        >>> outline("Sanomi helped Julax, wanted dusty lamp")
        Outline(hero='Sanomi', events=('helped Julax', 'wanted dusty lamp'))
    """
    hero, _, events = summary.strip().partition(" ")
    return Outline(hero, tuple(event.strip() for event in events.split(",")))


def events_right(told: str, truth: str) -> float:
    """Share of the true events that a summary of the story world tells at their place.

    Events beyond the true ones do not count; that they are too many shows in whether the summary is exactly right.

    Example:
        >>> events_right("Sanomi helped Pex, wanted dusty lamp", "Sanomi helped Julax, wanted dusty lamp")
        0.5
    """
    own, true = outline(told).events, outline(truth).events
    return sum(a == b for a, b in zip(own, true, strict=False)) / len(true)


def _documents(file: Path) -> Iterator[Document]:
    with open_text(file) as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield _document(line, f"line {number} of {file}")


def _document(line: str, where: str) -> Document:
    try:
        found = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"{where} is no JSON ({error}); each line must be an object with text and summary") from error
    if not isinstance(found, dict):
        raise ValueError(f"{where} is a {type(found).__name__}; each line must be an object with text and summary")
    for key in Document._fields:
        if not isinstance(found.get(key), str):
            there = ", ".join(found) or "none"
            what = f"is {found[key]!r}" if key in found else f"is missing (its keys: {there})"
            raise ValueError(f"{key!r} of {where} {what}; each line must have a text and a summary, both strings")
    return Document(*(" ".join(found[key].split()) for key in Document._fields))
