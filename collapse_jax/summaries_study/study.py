"""The study: a generator of few true summaries, what it writes, what students make of what verifiers choose of it."""

import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
import xarray as xr

from collapse_jax.data.arithmetic import shuffled
from collapse_jax.networks.gpt import GPT
from collapse_jax.networks.language import Schooling, school
from collapse_jax.parts import Arrays, Parts
from collapse_jax.summaries_study import models, results
from collapse_jax.summaries_study.marks import marks
from collapse_jax.summaries_study.reading import Divided, Documents, Sheet, divided, joined, lessons, some
from collapse_jax.summaries_study.selection import RANDOM, SELF, STRONGER, TRUTH, best, scores
from collapse_jax.summaries_study.sizes import Size
from collapse_jax.threads import heed, in_threads

GENERATOR = "generator"


class Result(NamedTuple):
    """What verifiers are worth.

    Attributes:
        students: over (selection, share, seed): marks of each student's summaries of held-out documents (``rouge1``,
            ``rouge2``, ``rougeL``, and on the story world ``events`` and ``exact``) and ``total``, its loss on the true ones;
            ``kept_rouge1`` and ``kept_exact``, the same marks of the summaries that it learned from, ``kept_tokens``, their
            length, and ``kept_distinct``, how many different tokens are in them; ``breakdown``, the proxy p*. At share 1 all
            selections are the same student.
        models: over (model, seed): the marks of the generator and of the stronger model, ``total``, and ``written_rouge1``,
            ``written_exact`` of all that the generator wrote.
    """

    students: xr.Dataset
    models: xr.Dataset

    def datasets(self) -> dict[str, xr.Dataset]:
        """All of them by name."""
        return self._asdict()


class Student(NamedTuple):
    """What a student learns from: which selection, what share of the documents, at which places among them, of which chain."""

    selection: str
    share: float
    which: np.ndarray
    chain: int


def verification(
    given: Documents, size: Size, seed: int, parts: Parts, announce: Callable[[str], object] = print
) -> Result:
    """Students of a generator's summaries that verifiers chose; what is finished comes from ``parts``.

    Args:
        given: the documents.
        size: of the models and their number.
        seed: of it all; each of ``size.seeds`` chains has a generator of its own, which learns from documents of its own.
        parts: where finished parts are kept.
        announce: told of what is done.

    Raises:
        ImportError: where rouge-score is not installed.

    Source: *Beyond Model Collapse*, the experiment on news.

    Example:
        >>> from collapse_jax import summaries_study as study
        >>> small = study.size("smoke")._replace(seeds=1)
        >>> given = study.documents(small, seed=0)
        >>> found = verification(given, study.prepared(small, given.vocabulary.size), 0, Parts(None, {}), lambda _: None)
        >>> dict(found.students.sizes), found.models.model.values.tolist()
        ({'selection': 5, 'share': 2, 'seed': 1}, ['generator', 'stronger'])
    """
    marks([], [], False)  # a missing package is told before hours, not after
    bench = _Bench(given, size, seed, parts, announce)
    made: dict[int, Made] = {}
    for chain, found in in_threads(range(size.seeds), bench.generator):
        announce(
            f"generator {chain}: {results.told(found.generator)}; {results.told(found.stronger)} the stronger model"
        )
        made[chain] = found
    students = [student for chain in range(size.seeds) for student in bench.students(chain, made[chain])]
    learned: dict[tuple[str, float, int], Arrays] = {}
    for student, arrays in in_threads(
        students, lambda student, stop: bench.student(student, made[student.chain], stop)
    ):
        announce(f"{student.selection}, {100 * student.share:g}%, seed {student.chain}: {results.told(arrays)}")
        learned[student.selection, student.share, student.chain] = arrays
    return Result(results.of_students(size, bench.end, students, learned, made), results.of_models(size, made))


class Made(NamedTuple):
    """What the models of a chain left: their arrays, the documents, the scores of verifiers, the marks of what was written."""

    generator: Arrays
    stronger: Arrays
    divided: Divided
    scores: dict[str, np.ndarray]
    written: dict[str, np.ndarray]


class _Bench(NamedTuple):
    """What all of a study have in common."""

    given: Documents
    size: Size
    seed: int
    parts: Parts
    announce: Callable[[str], object]

    @property
    def end(self) -> int:
        return self.given.vocabulary.end

    def key(self, chain: int, which: int) -> jax.Array:
        return jax.random.fold_in(jax.random.fold_in(jax.random.key(self.seed), chain), which)

    def generator(self, chain: int, stop: threading.Event) -> Made:
        """The generator of a chain and the stronger model, what the one writes, and how likely both find it."""
        size, end = self.size, self.end
        first, others = own = divided(self.given.study, size.taught, self.seed, chain)

        def wrote(model: GPT) -> dict[str, np.ndarray]:
            said = models.summarised(model, size, others, end)
            return {"written": said, "nats": models.log_perplexity(model, size, others, said, end)}

        made = self._learn(f"generator_{chain}", self.key(chain, 1), first, first.said, size.generator, stop, wrote)

        def judged(model: GPT) -> dict[str, np.ndarray]:
            return {"nats": models.log_perplexity(model, size, others, made["written"], end)}

        more = joined(first, self.given.aside)
        stronger = self._learn(f"stronger_{chain}", self.key(chain, 2), more, more.said, size.stronger, stop, judged)
        written = marks(self._words(made["written"]), others.summaries, self.given.exact)
        nats = {SELF: made["nats"], STRONGER: stronger["nats"]}
        return Made(made, stronger, own, scores(written["rouge1"], nats, self.seed, chain), written)

    def students(self, chain: int, made: Made) -> list[Student]:
        """All students of a chain; where a student is given all summaries, one of them serves all selections."""
        found = []
        for share in self.size.shares:
            chosen = {name: best(score, share, self.seed) for name, score in made.scores.items()}
            chosen[TRUTH] = chosen[RANDOM]  # the same documents
            found += [Student(name, share, which, chain) for name, which in chosen.items()]
        every = np.arange(len(made.divided.others.lengths))
        return [*found, *(Student(name, 1.0, every, chain) for name in (RANDOM, TRUTH))]

    def student(self, student: Student, made: Made, stop: threading.Event) -> Arrays:
        """Losses and marks of a student."""
        sheet, said = some(made.divided.others, student.which), results.taught(student, made)
        name = f"{student.selection.replace(' ', '_')}_{student.share:g}_{student.chain}"
        # The same first weights for all students of a chain: they differ in what they learn from.
        return self._learn(name, self.key(student.chain, 3), sheet, said, self.size.student, stop)

    def _learn(
        self,
        name: str,
        key: jax.Array,
        sheet: Sheet,
        said: np.ndarray,
        schooling: Schooling,
        stop: threading.Event,
        more: Callable[[GPT], dict[str, np.ndarray]] = lambda _: {},
    ) -> Arrays:
        """Losses and marks on held-out documents of a model that learns these summaries, and what ``more`` asks it for."""
        given, size = self.given, self.size
        rows, held_out = (
            lessons(one.asked, one.lengths, summaries, self.end)
            for one, summaries in ((sheet, said), (given.held_out, given.held_out.said))
        )

        def compute() -> dict[str, Any]:
            batches = shuffled(rows, self.seed, size.batch)
            found = school(
                key,
                size.shape,
                batches,
                held_out,
                schooling,
                checkpoint=self.parts.checkpoint(name),
                report=lambda _: heed(stop),
            )
            words = self._words(models.summarised(found.model, size, given.held_out, self.end))
            each = marks(words, given.held_out.summaries, given.exact)
            means = {mark: values.mean() for mark, values in each.items()}
            return {"total": found.held_out[-1], **means, **more(found.model)}

        return self.parts.get(name, compute)

    def _words(self, said: np.ndarray) -> list[str]:
        return [self.given.vocabulary.decode(row) for row in said]
