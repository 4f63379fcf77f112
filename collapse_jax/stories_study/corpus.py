"""The reference stories: those to learn from as tokens, those to be judged by one by one, and what the truth says of them."""

import hashlib
import os
import warnings
from typing import NamedTuple

import numpy as np

from collapse_jax.data.places import VARIABLE, usual
from collapse_jax.data.stories import divided, read_stories
from collapse_jax.data.story_world import StoryWorld
from collapse_jax.data.tokens import Vocabulary, usual_vocabulary
from collapse_jax.networks.lesson import Lesson
from collapse_jax.stories_study.sizes import WORLD, Size

FOLDER = "tinystories"  # where stories are looked for when nobody says
TAUGHT = 20_000  # stories that a vocabulary is trained on


class Corpus(NamedTuple):
    """Stories as tokens.

    Attributes:
        vocabulary: of all of them.
        stories: tokens of each story to learn from, without the end.
        real: (N,) these one after the other, the end after each.
        held_out: windows of one story each, the end before and after it; of a story too long for a window, its beginning.
        truth: mean surprise of these stories under the truth, in nats a story; None for stories from files.
        words: (E,) texts of the held-out stories.
        world: that they come from, or None.
        digest: of all tokens.
    """

    vocabulary: Vocabulary
    stories: list[np.ndarray]
    real: np.ndarray
    held_out: Lesson
    truth: float | None
    words: list[str]
    world: StoryWorld | None
    digest: str

    def excess(self, loss: np.ndarray) -> np.ndarray:
        """Nats a story above the truth, for held-out losses in nats a token; nats a token where the truth is not known."""
        if self.truth is None:
            return loss
        return loss * float(self.held_out.counted.sum()) / len(self.words) - self.truth


def corpus(size: Size, seed: int, path: str | os.PathLike[str] | None = None) -> Corpus:
    """Stories of the world, or from a file or folder.

    Args:
        size: how many, and the vocabulary.
        seed: which.
        path: of stories; with "files" and None, the folder ``tinystories`` in ``COLLAPSE_JAX_DATA`` or in the cache.

    Raises:
        FileNotFoundError: where there are none.
        ValueError: where a story of the world, or half of those from files, is longer than the context.

    Example:
        >>> from collapse_jax.stories_study import size
        >>> found = corpus(size("smoke"), seed=0)
        >>> len(found.stories), found.held_out.tokens.shape, found.truth > 0
        (850, (50, 161), True)
    """
    if size.source == WORLD and path is None:
        world = StoryWorld()
        told = world.stories(seed, size.stories)
        train = [world.text(story) for story in told[size.held_out :]]
        words = [world.text(story) for story in told[: size.held_out]]
        truth = -float(np.mean([world.log_probability(story) for story in told[: size.held_out]]))
    else:
        world, truth = None, None
        found = read_stories(_there(path), most=size.stories)
        train, words = divided(found, size.held_out, seed)
    vocabulary = usual_vocabulary(train[:TAUGHT], size.vocabulary)
    stories = vocabulary.encode_all(train)
    real = joined(stories, vocabulary.end)
    judged = vocabulary.encode_all(words)
    _check_length(judged, size, world)
    digest = hashlib.sha256(real.tobytes() + joined(judged, vocabulary.end).tobytes()).hexdigest()[:16]
    windows = story_windows(judged, vocabulary.end, size.length)
    return Corpus(vocabulary, stories, real, windows, truth, words, world, digest)


def joined(stories: list[np.ndarray], end: int) -> np.ndarray:
    """(N,) uint16 tokens of stories one after the other, the end after each."""
    tail = np.asarray([end], np.uint16)
    return np.concatenate([part for story in stories for part in (story.astype(np.uint16), tail)])


def story_windows(stories: list[np.ndarray], end: int, length: int) -> Lesson:
    """Windows of one story each, which begin with the end token; the story and the end after it count.

    Example:
        >>> windows = story_windows([np.array([5, 6])], end=0, length=4)
        >>> windows.tokens.tolist(), windows.counted.tolist()
        ([[0, 5, 6, 0, 0]], [[True, True, True, False]])
    """
    tokens = np.full((len(stories), length + 1), end, np.int32)
    counted = np.zeros((len(stories), length), bool)
    for i, story in enumerate(stories):
        known = story[:length]
        tokens[i, 1 : 1 + len(known)] = known
        counted[i, : len(known) + 1] = True
    return Lesson(tokens, None, counted)


def _there(path: str | os.PathLike[str] | None) -> str | os.PathLike[str]:
    if path is not None:
        return path
    for folder in usual(FOLDER):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(
        f"no stories were given, and no folder {FOLDER} is in the one that {VARIABLE} names or in the cache. "
        "Add --stories PATH with a .txt or .jsonl file or a folder of them, or use --preset laptop, which makes its own"
    )


def _check_length(judged: list[np.ndarray], size: Size, world: StoryWorld | None) -> None:
    """All stories of a world must fit, or their truth is another; of those from files, half."""
    longest, too_long = max(map(len, judged)), float(np.mean([len(story) >= size.length for story in judged]))
    if world is None and too_long > 0.5:
        raise ValueError(
            f"context is {size.length}; {100 * too_long:.0f}% of the held-out stories are longer. Use shorter stories, or a "
            "preset with a larger context"
        )
    if world is None and too_long > 0:
        warnings.warn(
            f"{100 * too_long:.0f}% of the held-out stories are longer than the context, {size.length} tokens; they are judged "
            "by their beginnings",
            RuntimeWarning,
            3,
        )
    if world is not None and longest >= size.length:
        raise ValueError(
            f"context is {size.length}; a story has {longest} tokens and needs one more for its end. Use a larger context, "
            "or a larger vocabulary"
        )
