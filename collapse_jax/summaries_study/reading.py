"""Documents and summaries as tokens: who learns from which, and what is judged."""

import hashlib
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from collapse_jax.data.documents import Document, read_documents, world_documents
from collapse_jax.data.places import VARIABLE, usual
from collapse_jax.data.tokens import Vocabulary, usual_vocabulary
from collapse_jax.networks.lesson import Lesson
from collapse_jax.summaries_study.sizes import Size

FOLDER = "xlsum"  # where documents are looked for when nobody says
TAUGHT = 20_000  # documents that a vocabulary is trained on


class Sheet(NamedTuple):
    """Documents and their true summaries.

    Attributes:
        asked: (N, P) tokens of the documents, the end after each and in all that follows.
        lengths: (N,) tokens of each, its end among them.
        said: (N, A) tokens of the summaries, likewise.
        summaries: as they are written.
    """

    asked: np.ndarray
    lengths: np.ndarray
    said: np.ndarray
    summaries: list[str]


class Documents(NamedTuple):
    """All documents of a study; none is in two parts.

    Attributes:
        vocabulary: of texts and summaries.
        study: of which generators learn from some and summarise the others.
        aside: whose true summaries the stronger model learns from, beside those of the generator; there may be none.
        held_out: to be judged by.
        exact: whether they are of the story world, where events can be told apart.
        digest: of all tokens.
    """

    vocabulary: Vocabulary
    study: Sheet
    aside: Sheet
    held_out: Sheet
    exact: bool
    digest: str


class Divided(NamedTuple):
    """Documents whose true summaries a generator learns from, and the others, which it summarises."""

    first: Sheet
    others: Sheet


def documents(size: Size, seed: int, path: str | os.PathLike[str] | None = None) -> Documents:
    """Documents of a file or folder; where no path is given, stories of the world, or of the folder ``xlsum`` on the disk.

    Of fewer documents than the size asks for, all parts but the held-out one get their share.

    Raises:
        FileNotFoundError: where there are none, or no vocabulary of GPT-2 where the size asks for it.
        ValueError: where there are too few.

    Example:
        >>> from collapse_jax.summaries_study import size
        >>> found = documents(size("smoke"), seed=0)
        >>> [len(part.summaries) for part in (found.study, found.aside, found.held_out)]
        [400, 50, 24]
        >>> found.study.summaries[0] == found.vocabulary.decode(found.study.said[0])
        True
    """
    wanted = size.documents + size.aside + size.held_out
    exact = path is None and size.world is not None
    if path is None and size.world is not None:
        told = world_documents(size.world, seed, wanted)
    else:
        told = read_documents(_usual() if path is None else path, most=wanted)
        told = [told[i] for i in np.random.default_rng(seed).permutation(len(told)).tolist()]
    held_out, rest = told[: size.held_out], told[size.held_out :]
    study = len(rest) * size.documents // (size.documents + size.aside)
    first = round(study * size.taught)
    least = min(first, round(min(size.shares) * (study - first)))
    if least < size.batch:
        raise ValueError(
            f"there are {len(told):,} documents; of those beside {size.held_out:,} held-out ones the smallest part has "
            f"{max(least, 0)}, less than a batch of {size.batch}. Give more documents, or use --preset smoke"
        )
    vocabulary = usual_vocabulary([part for one in rest[:TAUGHT] for part in one], size.vocabulary)
    sheets, cut = zip(*(_sheet(part, vocabulary, size) for part in (rest[:study], rest[study:], held_out)), strict=True)
    _warn_of_long(np.sum(cut, 0) / len(told), size)
    digest = hashlib.sha256(b"".join(part.tobytes() for one in sheets for part in one[:3])).hexdigest()[:16]
    return Documents(vocabulary, *sheets, exact=exact, digest=digest)


def _usual() -> Path:
    for folder in usual(FOLDER):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(
        f"no documents were given, and no folder {FOLDER} is in the one that {VARIABLE} names or in the cache. Add --text PATH "
        "with a .jsonl file of texts and summaries, or use --preset laptop, which makes its own"
    )


def divided(study: Sheet, taught: float, seed: int, chain: int) -> Divided:
    """The documents that the generator of a chain learns from, a share ``taught`` of them drawn anew, and the others."""
    order = np.random.default_rng((seed, chain)).permutation(len(study.lengths))
    first = round(taught * len(order))
    return Divided(some(study, order[:first]), some(study, order[first:]))


def some(sheet: Sheet, which: np.ndarray) -> Sheet:
    """The documents of a sheet at these places."""
    rows = (part[which] for part in sheet[:3])
    return Sheet(*rows, summaries=[sheet.summaries[i] for i in which.tolist()])


def joined(one: Sheet, other: Sheet) -> Sheet:
    """The documents of two sheets."""
    rows = (np.concatenate(both) for both in zip(one[:3], other[:3], strict=True))
    return Sheet(*rows, summaries=[*one.summaries, *other.summaries])


def lessons(asked: np.ndarray, lengths: np.ndarray, said: np.ndarray, end: int) -> Lesson:
    """Windows of documents and summaries: documents are seen from everywhere, summaries with their first end count.

    Args:
        asked: (B, P) tokens of documents.
        lengths: (B,) how many of each count; the summary follows them at once.
        said: (B, A) tokens of summaries.
        end: the token that ends a summary.

    Example:
        >>> found = lessons(np.array([[5, 6, 0], [7, 0, 0]]), np.array([3, 2]), np.array([[8, 0], [9, 9]]), end=0)
        >>> found.tokens.tolist(), found.prefix.tolist()
        ([[5, 6, 0, 8, 0], [7, 0, 9, 9, 0]], [3, 2])
        >>> found.counted.astype(int).tolist()
        [[0, 0, 1, 1], [0, 1, 1, 0]]
    """
    (batch, room), answer = asked.shape, said.shape[1]
    tokens = np.full((batch, room + answer), end, np.int32)
    tokens[:, :room] = asked
    places = lengths[:, None] + np.arange(answer)
    np.put_along_axis(tokens, places, said.astype(np.int32), 1)
    ended = np.cumsum(said == end, 1)
    counted = np.zeros((batch, room + answer - 1), bool)
    np.put_along_axis(counted, places - 1, (ended == 0) | ((ended == 1) & (said == end)), 1)
    return Lesson(tokens, lengths.astype(np.int32), counted)


def _sheet(told: Sequence[Document], vocabulary: Vocabulary, size: Size) -> tuple[Sheet, tuple[int, int]]:
    """Documents as tokens, of what is too long the beginning, and how many documents and summaries that were."""
    asked, lengths, long = _rows(vocabulary.encode_all([one.text for one in told]), size.asked, vocabulary.end)
    said, _, longer = _rows(vocabulary.encode_all([one.summary for one in told]), size.said, vocabulary.end)
    return Sheet(asked, lengths, said, [one.summary for one in told]), (long, longer)


def _rows(texts: Sequence[np.ndarray], room: int, end: int) -> tuple[np.ndarray, np.ndarray, int]:
    """(N, room) tokens, the end after each text, (N,) how many of them count, and how many texts are cut."""
    rows, lengths = np.full((len(texts), room), end, np.uint16), np.zeros(len(texts), int)
    for i, text in enumerate(texts):
        known = text[: room - 1]
        rows[i, : len(known)], lengths[i] = known, len(known) + 1
    return rows, lengths, sum(len(text) >= room for text in texts)


def _warn_of_long(cut: np.ndarray, size: Size) -> None:
    for name, room, share in zip(("documents", "summaries"), (size.asked, size.said), cut, strict=True):
        if share > 0:
            warnings.warn(
                f"{100 * share:.1f}% of the {name} have more than {room - 1} tokens; models see the first {room - 1}",
                RuntimeWarning,
                3,
            )
