"""The study from end to end: generator, its stories, students, laws."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from collapse_jax.networks.language import Progress, Schooled
from collapse_jax.parts import Parts
from collapse_jax.stories_study import students
from collapse_jax.stories_study.corpus import Corpus, joined
from collapse_jax.stories_study.results import Result, floors
from collapse_jax.stories_study.sizes import Size
from collapse_jax.stories_study.writer import Synthetic, kept_stories, stories_of, trained_writer

SHOWN = 5  # samples


def prepared(size: Size, corpus: Corpus) -> Size:
    """The numbers with the vocabulary that there is.

    Raises:
        ValueError: where the stories are too few for the generator.
    """
    if len(corpus.real) <= max(size.generator_tokens, size.batch * size.length):
        raise ValueError(
            f"generator_tokens is {size.generator_tokens:,}; there are {len(corpus.real):,} tokens of stories, and "
            "students need some beyond those of the generator. Give more stories, or use a smaller preset"
        )
    return size._replace(shape=replace(size.shape, vocabulary=corpus.vocabulary.size))


def first_stories(corpus: Corpus, tokens: int) -> list[np.ndarray]:
    """The first stories of so many tokens."""
    lengths = np.cumsum([len(story) + 1 for story in corpus.stories])
    return corpus.stories[: int(np.searchsorted(lengths, tokens)) + 1]


def mixtures(
    corpus: Corpus, size: Size, seed: int, parts: Parts, announce: Callable[[str], object] = print
) -> tuple[Result, Synthetic]:
    """Train the generator, let it write, train all students; what is finished comes from ``parts``.

    Example:
        >>> from collapse_jax.stories_study import corpus, prepared, size
        >>> small = size("smoke")._replace(tokens=12_800, seeds=1, fractions=(0.0, 1.0), depths=(1,))
        >>> stories = corpus(small, seed=0)
        >>> result, synthetic = mixtures(stories, prepared(small, stories), 0, Parts(None, {}), announce=lambda _: None)
        >>> dict(result.fractions.sizes), bool(result.fractions.total.isel(tokens=-1).max() < result.fractions.total.max())
        ({'tokens': 8, 'synthetic_fraction': 2, 'seed': 1}, True)
    """
    key = jax.random.key(seed)
    writer, synthetic = first_generation(key, corpus, size, parts, announce)
    announce(f"generator: {float(corpus.excess(writer.held_out[-1:])[0]):.3f} {unit(corpus)}")
    announce(told(synthetic))
    tokens = joined(synthetic.stories, corpus.vocabulary.end)
    found = students.train_students(jax.random.fold_in(key, 2), corpus, tokens, size, parts, announce)
    fractions = students.by_fraction(found, corpus, size).assign_attrs(
        generator_excess=float(corpus.excess(writer.held_out[-1:])[0]), synthetic_tokens=len(tokens)
    )
    texts = [corpus.vocabulary.decode(story) for story in synthetic.stories[:SHOWN]]
    return Result(fractions, students.by_depth(found, corpus, size), floors(fractions), texts), synthetic


def first_generation(
    key: jax.Array, corpus: Corpus, size: Size, parts: Parts, announce: Callable[[str], object]
) -> tuple[Schooled, Synthetic]:
    """The generator trained on reference stories, and what it wrote."""
    own, end = first_stories(corpus, size.generator_tokens), corpus.vocabulary.end
    announce(f"generator: {size.generator_tokens:,} tokens, {size.generator.steps:,} steps")
    train_key, write_key = jax.random.split(jax.random.fold_in(key, 1))
    writer = trained_writer(train_key, own, corpus.held_out, end, size, parts, "generator", progress(announce))
    wanted = int(size.synthetic * size.generator_tokens)
    announce(f"generator writes {wanted:,} tokens")
    return writer, kept_stories(parts, "synthetic", lambda: stories_of(write_key, writer.model, own, end, size, wanted))


def progress(announce: Callable[[str], object]) -> Callable[[Progress], Any]:
    """Tells of a training."""
    return lambda now: announce(
        f"  step {now.step:,} of {now.steps:,}: loss {now.loss:.3f}, {now.tokens_per_second:,.0f} tokens/s, "
        f"{now.flops / 1e9:,.0f} GFLOP/s, {now.seconds_left:,.0f} s left"
    )


def unit(corpus: Corpus) -> str:
    """Of held-out losses."""
    return "nats a token on held-out stories" if corpus.truth is None else "nats a story above the truth"


def told(found: Synthetic) -> str:
    """What became of the stories that were begun."""
    return (
        f"{found.written:,} stories begun, {found.unfinished:,} without an end, {found.repeated:,} repeated, "
        f"{len(found.stories):,} kept"
    )


def copied(found: Sequence[np.ndarray], reference: Sequence[np.ndarray]) -> float:
    """Share of the stories that are word for word in the reference."""
    known = {story.astype(np.uint16).tobytes() for story in reference}
    return float(np.mean([story.astype(np.uint16).tobytes() in known for story in found]))
