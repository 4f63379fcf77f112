"""Transformers trained on mixtures of reference stories and stories that a model wrote, over fractions, depths and seeds."""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import jax
import numpy as np
import xarray as xr

from collapse_jax.data.tokens import Mixture
from collapse_jax.networks.gpt import Shape
from collapse_jax.networks.language import Schooling, school, school_together
from collapse_jax.parts import Arrays, Parts
from collapse_jax.stories_study.corpus import Corpus
from collapse_jax.stories_study.results import dataset
from collapse_jax.stories_study.sizes import Size
from collapse_jax.stories_study.writer import HISTORY
from collapse_jax.threads import heed, in_threads

ALL_SYNTHETIC = 1.0


class Student(NamedTuple):
    """What a group of students, one a seed, has in common."""

    fraction: float
    layers: int


def by_fraction(found: dict[Student, Arrays], corpus: Corpus, size: Size) -> xr.Dataset:
    """Held-out loss against tokens for each synthetic fraction."""
    return _dataset([found[Student(f, size.shape.layers)] for f in size.fractions], corpus, size, "fraction")


def by_depth(found: dict[Student, Arrays], corpus: Corpus, size: Size) -> xr.Dataset:
    """Held-out loss against tokens for each depth, all stories synthetic."""
    return _dataset([found[Student(ALL_SYNTHETIC, layers)] for layers in size.depths], corpus, size, "layers")


def all_of_them(size: Size) -> list[Student]:
    """Each kind of student once."""
    wanted = [Student(f, size.shape.layers) for f in size.fractions]
    return list(dict.fromkeys([*wanted, *(Student(ALL_SYNTHETIC, layers) for layers in size.depths)]))


def train_students(
    key: jax.Array,
    corpus: Corpus,
    synthetic: np.ndarray,
    size: Size,
    parts: Parts,
    announce: Callable[[str], object] = print,
) -> dict[Student, Arrays]:
    """Steps, tokens (E,) and losses (seeds, E) of every kind of student; finished ones come from ``parts``.

    On an accelerator the seeds of a kind train in one program; on a CPU each student is a program of its own, and several run
    at a time, because one small network does not fill the cores.
    """
    task, kinds = _Task(jax.random.split(key, size.seeds), corpus, synthetic, size, parts), all_of_them(size)
    if jax.default_backend() == "cpu":
        jobs = [(kind, seed) for seed in range(size.seeds) for kind in kinds]
        single: dict[tuple[Student, int], Arrays] = {}
        for (kind, seed), arrays in in_threads(jobs, lambda job, stop: _alone(task, job[0], job[1], stop)):
            announce(_news(kind, f"seed {seed}", arrays, corpus))
            single[kind, seed] = arrays
        return {kind: _seeds([single[kind, seed] for seed in range(size.seeds)]) for kind in kinds}
    found = {}
    for kind in kinds:
        found[kind] = _together(task, kind)
        announce(_news(kind, f"{size.seeds} seeds", found[kind], corpus))
    return found


class _Task(NamedTuple):
    """What all students have in common; ``keys`` (seeds,)."""

    keys: jax.Array
    corpus: Corpus
    synthetic: np.ndarray
    size: Size
    parts: Parts

    def mixture(self, kind: Student, seed: int) -> Mixture:
        return _mixture(self.corpus.real, self.synthetic, kind.fraction, self.size, seed)

    def shape(self, kind: Student) -> Shape:
        return replace(self.size.shape, layers=kind.layers)

    @property
    def schooling(self) -> Schooling:
        return self.size.student._replace(steps=self.size.student_steps)


def _alone(task: _Task, kind: Student, seed: int, stop: threading.Event) -> Arrays:
    name = f"student_{kind.layers}_{kind.fraction:g}_{seed}"
    mixture, folder = task.mixture(kind, seed), task.parts.checkpoint(name)

    def batches(start: int) -> Iterator[np.ndarray]:
        return mixture.batches(task.size.batch, start)

    def compute() -> dict[str, np.ndarray]:
        found = school(
            task.keys[seed],
            task.shape(kind),
            batches,
            task.corpus.held_out,
            task.schooling,
            checkpoint=folder,
            report=lambda _: heed(stop),
        )
        return {field: getattr(found, field) for field in HISTORY}

    return task.parts.get(name, compute)


def _together(task: _Task, kind: Student) -> Arrays:
    name = f"student_{kind.layers}_{kind.fraction:g}"
    mixtures = [task.mixture(kind, seed) for seed in range(task.size.seeds)]

    def batches(start: int) -> Iterator[np.ndarray]:
        yield from map(np.stack, zip(*(mixture.batches(task.size.batch, start) for mixture in mixtures), strict=True))

    def compute() -> Arrays:
        found = school_together(
            task.keys,
            task.shape(kind),
            batches,
            task.corpus.held_out,
            task.schooling,
            checkpoint=task.parts.checkpoint(name),
        )
        return _seeds([{field: getattr(one, field) for field in HISTORY} for one in found])

    return task.parts.get(name, compute)


def _seeds(found: Sequence[Arrays]) -> Arrays:
    """Arrays of single students as those of all seeds."""
    losses = {field: np.stack([one[field] for one in found]) for field in ("losses", "held_out")}
    return {"steps": found[0]["steps"], "tokens": found[0]["tokens"], **losses}


def _mixture(real: np.ndarray, synthetic: np.ndarray, fraction: float, size: Size, seed: int) -> Mixture:
    """Each token once where there are enough of its kind, else as many as there are, again and again."""
    windows = size.student_steps * size.batch
    for tokens, share in ((real, 1 - fraction), (synthetic, fraction)):
        if share > 0:
            windows = min(windows, int((len(tokens) - 1) // size.length / share))
    return Mixture(real, synthetic, fraction, size.length, windows, seed)


def _news(kind: Student, who: str, arrays: Arrays, corpus: Corpus) -> str:
    unit = "nats a token" if corpus.truth is None else "nats a story above the truth"
    last = float(np.mean(corpus.excess(arrays["held_out"][..., -1])))
    return f"student: fraction {kind.fraction:g}, {kind.layers} layers, {who}: {last:.3f} {unit}"


def _dataset(groups: Sequence[Arrays], corpus: Corpus, size: Size, axis: str) -> xr.Dataset:
    values = size.fractions if axis == "fraction" else size.depths
    losses = np.stack([corpus.excess(group["held_out"]) for group in groups])  # (groups, seeds, E)
    training = np.stack([group["losses"] for group in groups])
    name = "synthetic_fraction" if axis == "fraction" else axis
    arrays = {"total": losses.transpose(2, 0, 1), "training": training.transpose(2, 0, 1)}
    axes = {"tokens": groups[0]["tokens"], name: values, "seed": np.arange(size.seeds)}
    return dataset(arrays, corpus, size, axes)
