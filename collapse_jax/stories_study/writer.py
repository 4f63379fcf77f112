"""The generator: a transformer trained on reference stories, and the stories that it writes."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from collapse_jax.data.tokens import Mixture
from collapse_jax.networks.gpt import GPT, Shape, model_of, weights_of
from collapse_jax.networks.language import Progress, Schooled, school
from collapse_jax.networks.lesson import Lesson
from collapse_jax.networks.sampling import write
from collapse_jax.parts import Parts
from collapse_jax.stories_study.corpus import joined
from collapse_jax.stories_study.sizes import Size

NOTHING = np.zeros(0, np.uint16)
HISTORY = Schooled._fields[1:]


class Synthetic(NamedTuple):
    """Stories that a model wrote.

    Attributes:
        stories: tokens of each, without the end, no two the same.
        written: how many were begun; ``unfinished`` had no end within the context, ``repeated`` were there already.
    """

    stories: list[np.ndarray]
    written: int
    unfinished: int
    repeated: int


def trained_writer(
    key: jax.Array,
    stories: Sequence[np.ndarray],
    held_out: Lesson,
    end: int,
    size: Size,
    parts: Parts,
    name: str,
    report: Callable[[Progress], object] | None = None,
) -> Schooled:
    """A generator trained on stories, again and again; from the disk where it is finished."""
    tokens = joined(list(stories), end)
    windows = (len(tokens) - 1) // size.length
    mixture = Mixture(tokens, NOTHING, 0.0, size.length, windows, seed=0)

    def compute() -> dict[str, Any]:
        found = school(
            key,
            size.shape,
            lambda start: mixture.batches(min(size.batch, windows), start),
            held_out,
            size.generator,
            checkpoint=parts.checkpoint(name),
            report=report,
        )
        return arrays_of(found)

    return schooled(size.shape, parts.get(name, compute))


def stories_of(
    key: jax.Array, model: GPT, beginnings: Sequence[np.ndarray], end: int, size: Size, tokens: int
) -> Synthetic:
    """Stories that go on from given beginnings, each of which serves in turn until there are enough tokens.

    Stories that do not end within the context are dropped, and so are exact repetitions.
    """
    room = size.shape.context - 1 - size.beginning
    found: dict[bytes, np.ndarray] = {}
    written = unfinished = repeated = total = 0
    while total < tokens:
        chosen = [beginnings[(written + i) % len(beginnings)][: size.beginning] for i in range(size.together)]
        prompts = np.full((size.together, 1 + size.beginning), end, np.int32)
        for i, first in enumerate(chosen):
            prompts[i, 1 : 1 + len(first)] = first
        texts, lengths = jax.device_get(
            write(
                model,
                jax.random.fold_in(key, written // size.together),
                prompts,
                np.asarray([1 + len(first) for first in chosen]),
                tokens=room,
                temperature=size.temperature,
                top_p=size.top_p,
                stop=end,
            )
        )
        written += size.together
        before = len(found)
        for text, length in zip(texts.astype(np.uint16), lengths, strict=True):
            if text[length - 1] == end and length > 1:
                story = text[1 : length - 1]
                repeated += story.tobytes() in found
                found[story.tobytes()] = story
            else:
                unfinished += 1
        total = sum(len(story) + 1 for story in found.values())
        if len(found) - before < max(1, size.together // 100):
            raise ValueError(
                f"the generator finishes {len(found) - before} new stories of {size.together}, too few to go on: it is trained "
                "too little for stories of this length. Train it longer, or use a larger context"
            )
    return Synthetic(list(found.values()), written, unfinished, repeated)


def kept_stories(parts: Parts, name: str, compute: Callable[[], Synthetic]) -> Synthetic:
    """Written stories, from the disk where they are finished."""

    def arrays() -> dict[str, Any]:
        found = compute()
        lengths = np.asarray([len(story) for story in found.stories])
        return {"tokens": np.concatenate(found.stories), "lengths": lengths, "counts": np.asarray(found[1:])}

    kept = parts.get(name, arrays)
    stories = np.split(kept["tokens"], kept["lengths"].cumsum()[:-1])
    return Synthetic(stories, *map(int, kept["counts"]))


def arrays_of(found: Schooled) -> dict[str, Any]:
    """A trained transformer as arrays that :class:`Parts` keeps."""
    return weights_of(found.model) | {name: getattr(found, name) for name in HISTORY}


def schooled(shape: Shape, arrays: dict[str, np.ndarray]) -> Schooled:
    """The transformer of :func:`arrays_of`."""
    return Schooled(model_of(shape, arrays), *(arrays[name] for name in HISTORY))
