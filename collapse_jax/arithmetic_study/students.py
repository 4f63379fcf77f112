"""A transformer that learns, and is examined at each evaluation."""

import os
import threading
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from collapse_jax.arithmetic_study import answers
from collapse_jax.arithmetic_study.answers import Exam
from collapse_jax.arithmetic_study.sizes import Size
from collapse_jax.data.arithmetic import lessons
from collapse_jax.networks.gpt import GPT, Shape, weights_of
from collapse_jax.networks.language import Batches, Schooling, school
from collapse_jax.parts import Arrays, Parts
from collapse_jax.threads import heed

HELD_OUT = 256  # usual questions of the examination whose loss is taken


class Student(NamedTuple):
    """Who learns what: ``name`` and ``chain`` tell it from others."""

    name: str
    chain: int
    key: jax.Array
    shape: Shape
    schooling: Schooling
    batches: Batches


def train(
    student: Student, *, size: Size, exam: Exam, parts: Parts, stop: threading.Event, weights: bool = False
) -> Arrays:
    """``examples`` (E,), and ``accuracy`` (E,), ``each``, ``answers`` (E, divisors) then; its weights if asked for."""
    name = "_".join([*student.name.replace(",", "").split(), str(student.chain)])
    seen = _Marks(parts.checkpoint(name, 1))

    def watch(step: int, model: GPT) -> None:
        seen.keep(step, answers.marks(model, size, exam))
        heed(stop)

    def compute() -> dict[str, Any]:
        held_out = lessons(size.task, exam.asked[:HELD_OUT], size.task.say(exam.truth[:HELD_OUT]))
        found = school(
            student.key,
            student.shape,
            student.batches,
            jax.tree.map(lambda part: part[: exam.usual], held_out),
            student.schooling,
            checkpoint=parts.checkpoint(name),
            watch=watch,
        )
        kept = weights_of(found.model) if weights else {}
        return {"examples": found.steps * size.batch, "held_out": found.held_out, **seen.stacked(found.steps), **kept}

    return parts.get(name, compute)


class _Marks:
    """Marks at each evaluation, on the disk where a run may be killed."""

    def __init__(self, folder: Path | None) -> None:
        self.folder, self.found = folder, dict[int, Arrays]()

    def keep(self, step: int, marks: Arrays) -> None:
        if self.folder is None:
            self.found[step] = marks
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        unfinished = self.folder / f".{step}.npz"
        np.savez(unfinished, allow_pickle=False, **marks)
        os.replace(unfinished, self.folder / f"{step}.npz")

    def stacked(self, steps: np.ndarray) -> Arrays:
        rows = [self._at(int(step)) for step in steps]
        return {name: np.stack([row[name] for row in rows]) for name in rows[0]}

    def _at(self, step: int) -> Arrays:
        if self.folder is None:
            return self.found[step]
        with np.load(self.folder / f"{step}.npz") as stored:
            return dict(stored)
