"""Models that learn from models: each generation trains on what the one before wrote."""

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import jax
import numpy as np
import xarray as xr
from flax import nnx

from collapse_jax import checks
from collapse_jax.networks.gpt import GPT
from collapse_jax.networks.updates import window_losses
from collapse_jax.parts import Parts
from collapse_jax.stories_study.corpus import Corpus, story_windows
from collapse_jax.stories_study.results import dataset
from collapse_jax.stories_study.sizes import Size
from collapse_jax.stories_study.study import copied, first_stories, progress
from collapse_jax.stories_study.writer import kept_stories, stories_of, trained_writer

HEAD = 0.9  # of the words of the reference; the rest is the tail
JUDGED = 2000  # written stories whose surprise is averaged
MEASURES = {
    "total": "loss on held-out stories",
    "entropy": "entropy of what is written (nats a story)",
    "tail": "share of tail words",
    "distinct": "share of distinct word pairs",
    "grammatical": "share of stories that the world could tell",
    "copied": "share of stories copied from the training set",
}


def generations(
    corpus: Corpus,
    size: Size,
    count: int,
    seed: int,
    parts: Parts,
    announce: Callable[[str], object] = print,
    *,
    fresh: float = 0.0,
) -> xr.Dataset:
    """Measures of each generation: the first learns from reference stories, each later one from the last one's stories.

    Args:
        corpus: the stories.
        size: of the models; each trains on ``generator_tokens`` tokens and writes as many, from nothing.
        count: generations, at least 1.
        seed: of it all; every seed of ``size.seeds`` is a chain of its own.
        parts: where finished generations are kept.
        announce: told of what is done.
        fresh: share of new reference stories in what the later generations learn from, in [0, 1].

    Returns:
        Over (generation, seed): ``total``, as in the study; ``entropy`` of what a model writes; ``tail``, the share of words
        that are not among the commonest that make up nine tenths of the reference; ``distinct``, the share of distinct word
        pairs; ``grammatical``, of stories the world could tell, NaN without a world; ``copied``, of stories that are word for
        word in the training set. Attributes have the same of the reference stories.

    Raises:
        ValueError: for numbers out of range, or a model that finishes no stories.
    """
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise ValueError(f"generations is {count!r}; it must be a whole number of at least 1")
    checks.fraction("fresh", fresh)
    free = size._replace(beginning=0)
    own = first_stories(corpus, size.generator_tokens)
    spare = corpus.stories[len(own) :]
    if fresh * len(own) * (count - 1) > len(spare):
        raise ValueError(
            f"fresh is {fresh:g}: {count - 1} generations need {int(fresh * len(own) * (count - 1)):,} new stories "
            f"and there are {len(spare):,}. Use fewer generations, a smaller share, or more stories"
        )
    texts = [corpus.vocabulary.decode(story) for story in own]
    tail = tail_words(texts)
    rows = []
    for chain in range(size.seeds):
        key, learned, row = jax.random.fold_in(jax.random.key(seed), 100 + chain), own, []
        for generation in range(1, count + 1):
            name = f"generation_{chain}_{generation}"
            announce(f"chain {chain}, generation {generation} of {count}")
            step_key = jax.random.fold_in(key, generation)
            model = trained_writer(
                step_key, learned, corpus.held_out, corpus.vocabulary.end, free, parts, name, progress(announce)
            )
            written = kept_stories(
                parts,
                f"{name}_stories",
                partial(stories_of, jax.random.fold_in(step_key, 1), model.model, own, corpus.vocabulary.end, free,
                        size.generator_tokens),
            ).stories  # fmt: skip
            measures = _measured(model.model, model.held_out, written, learned, corpus, size, tail)
            announce("  " + ", ".join(f"{key} {float(value):.3f}" for key, value in measures.items()))
            row.append(measures)
            new = round(fresh * len(own))
            learned = [*written[: len(own) - new], *spare[(generation - 1) * new : generation * new]]
        rows.append(row)
    arrays = {key: np.asarray([[one[key] for one in row] for row in rows]).T for key in rows[0][0]}
    axes = {"generation": np.arange(1, count + 1), "seed": np.arange(size.seeds)}
    found = dataset(arrays, corpus, size, axes).assign_attrs(_reference(texts, corpus, tail) | {"fresh": fresh})
    for name, meaning in MEASURES.items():
        found[name].attrs.setdefault("long_name", meaning)
    return found


def tail_words(texts: Sequence[str]) -> set[str]:
    """The words that are not among the commonest that make up nine tenths of all.

    Example:
        >>> sorted(tail_words(["the cat"] * 19 + ["a dog"]))
        ['a', 'dog']
    """
    counts = Counter(word for text in texts for word in text.split())
    total, seen, tail = counts.total(), 0, set()
    for word, times in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        if seen >= HEAD * total:
            tail.add(word)
        seen += times
    return tail


def distinct_pairs(texts: Sequence[str], words: int) -> float:
    """Distinct pairs of neighbouring words among the pairs of the first so many words.

    Example:
        >>> distinct_pairs(["a b a b"], words=4)
        0.6666666666666666
    """
    read = [word for text in texts for word in text.split()][:words]
    pairs = list(pairwise(read))
    return len(set(pairs)) / len(pairs)


def _measured(
    model: GPT,
    losses: np.ndarray,
    written: Sequence[np.ndarray],
    learned: Sequence[np.ndarray],
    corpus: Corpus,
    size: Size,
    tail: set[str],
) -> dict[str, Any]:
    windows = story_windows(list(written[:JUDGED]), corpus.vocabulary.end, size.length)
    graph, weights = nnx.split(model)
    return {
        "total": float(corpus.excess(losses[-1:])[0]),
        "entropy": float(np.mean(window_losses(graph, weights, jax.tree.map(jax.numpy.asarray, windows)))),
        "copied": copied(written, learned),
        **_of_texts([corpus.vocabulary.decode(story) for story in written], corpus, tail),
    }


def _of_texts(texts: Sequence[str], corpus: Corpus, tail: set[str]) -> dict[str, float]:
    words = [word for text in texts for word in text.split()]
    world = corpus.world
    grammatical = np.nan if world is None else np.mean([world.parse(text) is not None for text in texts])
    return {
        "tail": float(np.mean([word in tail for word in words])),
        "distinct": distinct_pairs(texts, min(len(words), 50_000)),
        "grammatical": float(grammatical),
    }


def _reference(texts: Sequence[str], corpus: Corpus, tail: set[str]) -> dict[str, float]:
    return {f"reference_{name}": value for name, value in _of_texts(texts, corpus, tail).items()}
