"""Models of text that learn from each other's continuations, with and without a share of true ones."""

import threading
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import count
from typing import Any, NamedTuple

import jax
import numpy as np
import xarray as xr

from collapse_jax.names import made_with
from collapse_jax.networks.gpt import GPT, parameters
from collapse_jax.networks.language import school
from collapse_jax.networks.lesson import Lesson
from collapse_jax.networks.sampling import write
from collapse_jax.parts import Arrays, Parts
from collapse_jax.text_study.reading import Passages, continuations
from collapse_jax.text_study.sizes import Size
from collapse_jax.threads import heed, in_threads

MEANINGS = {
    "total": ("loss on held-out continuations", "nats a token"),
    "tail": ("share of tail tokens in what is written", "1"),
    "distinct": ("share of distinct token pairs in what is written", "1"),
}


def chains(
    text: Passages, size: Size, seed: int, parts: Parts, announce: Callable[[str], object] = print
) -> xr.Dataset:
    """Losses by generation and by the share of true continuations.

    The first model (generation 0) learns the true continuations of one half of the passages. Each later one learns, for the
    prompts of the other half, what the model before wrote, but for a share of true continuations.

    Args:
        text: passages.
        size: of models and chains.
        seed: of it all; each of ``size.seeds`` chains has a seed of its own.
        parts: where finished models are kept.
        announce: told of what is done.

    Returns:
        Over (tokens, generation, real_share, seed): ``total``, nats a token on held-out continuations. Over (generation,
        real_share, seed): ``tail`` and ``distinct``, shares of rare tokens and of distinct pairs in what a model writes;
        attributes have those of the true continuations.

    Source: *A Tale of Tails*, Appendix H.
    """
    jobs = [(chain, share) for chain in range(size.seeds) for share in size.real_shares]
    task = _Task(text, size, seed, parts)
    firsts: dict[int, Arrays] = {}
    for chain, arrays in in_threads(range(size.seeds), lambda chain, stop: _first(task, chain, stop)):
        announce(f"chain {chain}: the first model has learned, loss {arrays['held_out'][-1]:.3f}")
        firsts[chain] = arrays
    found: dict[tuple[int, float], Arrays] = {}
    for job, arrays in in_threads(jobs, lambda job, stop: _chain(task, job[0], job[1], firsts[job[0]], stop)):
        announce(f"chain {job[0]}, share {job[1]:g} true: losses {arrays['total'][:, -1].round(3).tolist()}")
        found[job] = arrays
    return _dataset(found, text, size)


def written(key: jax.Array, model: GPT, rows: np.ndarray, size: Size) -> np.ndarray:
    """(N, length) the prompts of passages, and what a model goes on with."""
    texts = []
    for start in range(0, len(rows), size.together):
        own = rows[start : start + size.together]
        # The last ones are filled up, so that one program serves all.
        prompts = np.resize(own[:, : size.prompt], (size.together, size.prompt)).astype(np.int32)
        found = write(
            model,
            jax.random.fold_in(key, start),
            prompts,
            tokens=size.length - size.prompt,
            temperature=size.temperature,
            top_p=size.top_p,
        )
        texts.append(np.asarray(found.tokens)[: len(own)])
    return np.concatenate(texts).astype(np.uint16)


class _Task(NamedTuple):
    """What all chains have in common."""

    text: Passages
    size: Size
    seed: int
    parts: Parts

    def key(self, chain: int, generation: int) -> jax.Array:
        return jax.random.fold_in(jax.random.fold_in(jax.random.key(self.seed), chain), generation)


def _first(task: _Task, chain: int, stop: threading.Event) -> Arrays:
    """The model of true continuations, and what it writes."""
    return _generation(task, task.key(chain, 0), task.text.first, f"first_{chain}", stop)


def _chain(task: _Task, chain: int, share: float, first: Arrays, stop: threading.Event) -> Arrays:
    """Losses (generation, E) and measures (generation,) of one chain at one share."""
    others = task.text.others
    true = np.random.default_rng([task.seed, chain]).permutation(len(others)) < round(share * len(others))
    rows = [first]
    for generation in range(1, task.size.generations + 1):
        learned = np.where(true[:, None], others, rows[-1]["written"])
        name = f"chain_{chain}_{share:g}_{generation}"
        rows.append(_generation(task, task.key(chain, generation), learned, name, stop))
    total = {"tokens": first["tokens"], "total": np.stack([row["held_out"] for row in rows])}
    return total | {name: np.stack([row[name] for row in rows]) for name in ("tail", "distinct")}


def _generation(task: _Task, key: jax.Array, learned: np.ndarray, name: str, stop: threading.Event) -> Arrays:
    """A model trained on passages, and what it writes for the prompts of all chains; from the disk where it is finished."""
    text, size = task.text, task.size

    def batches(start: int) -> Iterator[Lesson]:
        for step in count(start):
            yield continuations(learned[_rows(len(learned), size.batch, step)], size.prompt)

    def compute() -> dict[str, Any]:
        held_out, folder = continuations(text.held_out, size.prompt), task.parts.checkpoint(name)
        found = school(
            key, size.shape, batches, held_out, size.schooling, checkpoint=folder, report=lambda _: heed(stop)
        )
        texts = written(jax.random.fold_in(key, 1), found.model, text.others, size)
        return {"tokens": found.tokens, "held_out": found.held_out, "written": texts} | _measures(texts, text, size)

    return task.parts.get(name, compute)


def _rows(total: int, batch: int, step: int) -> np.ndarray:
    """Which passages a step sees: all of them once an epoch, in an order known from the epoch."""
    places = np.arange(step * batch, (step + 1) * batch)
    orders = {epoch: _order(total, epoch) for epoch in np.unique(places // total).tolist()}
    return np.asarray([orders[place // total][place % total] for place in places.tolist()])


@lru_cache(maxsize=64)
def _order(total: int, epoch: int) -> np.ndarray:
    return np.random.default_rng([7, epoch]).permutation(total)


def _measures(texts: np.ndarray, text: Passages, size: Size) -> dict[str, np.ndarray]:
    own = texts[:, size.prompt :].astype(np.int64)
    pairs = own[:, :-1] * 2**16 + own[:, 1:]
    return {"tail": text.tail[own].mean(), "distinct": np.asarray(len(np.unique(pairs)) / pairs.size)}


def _dataset(found: dict[tuple[int, float], Arrays], text: Passages, size: Size) -> xr.Dataset:
    def over(name: str) -> np.ndarray:
        return np.stack(
            [np.stack([found[chain, share][name] for chain in range(size.seeds)], -1) for share in size.real_shares], -2
        )

    axes = {
        "tokens": next(iter(found.values()))["tokens"],
        "generation": np.arange(size.generations + 1),
        "real_share": list(size.real_shares),
        "seed": np.arange(size.seeds),
    }
    dims = ("generation", "real_share", "seed")
    total = np.moveaxis(over("total"), 1, 0)  # (generation, E, ...) to (E, generation, ...)
    variables = {"total": (("tokens", *dims), total)} | {name: (dims, over(name)) for name in ("tail", "distinct")}
    made = {
        **made_with(),
        "parameters": parameters(size.shape),
        **{f"true_{name}": float(value) for name, value in _measures(text.others, text, size).items()},
    }
    result = xr.Dataset(variables, axes, made)
    result.tokens.attrs.update(long_name="tokens seen", units="tokens")
    result.real_share.attrs["long_name"] = "share of true continuations"
    for name, (meaning, unit) in MEANINGS.items():
        result[name].attrs.update(long_name=meaning, units=unit)
    return result
