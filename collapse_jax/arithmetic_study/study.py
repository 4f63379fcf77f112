"""The study: generators of limited training, what they answer, what students make of exact, answered and verified data."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from collapse_jax.arithmetic_study import answers, results, selection
from collapse_jax.arithmetic_study.answers import Exam
from collapse_jax.arithmetic_study.results import Collapse, Verification
from collapse_jax.arithmetic_study.sizes import Size
from collapse_jax.arithmetic_study.students import Student, train
from collapse_jax.data.arithmetic import Gcd, endless, exact, lessons, shuffled
from collapse_jax.networks.gpt import GPT, Shape, model_of
from collapse_jax.networks.lesson import Lesson
from collapse_jax.parts import Arrays, Parts
from collapse_jax.threads import in_threads

RECOVERY = "then exact"
Announce = Callable[[str], object]


def collapse(size: Size, seed: int, parts: Parts, announce: Announce = print) -> Collapse:
    """Students of a generator's answers, of exact ones, and of mixtures; what is finished comes from ``parts``.

    Args:
        size: of it all; its task must be greatest common divisors.
        seed: of questions and networks; every seed of ``size.seeds`` has a generator of its own.
        parts: where finished parts are kept.
        announce: told of what is done.

    Raises:
        ValueError: for another task.

    Source: *A Tale of Tails*, Section 6 and Appendix G.

    Example:
        >>> from collapse_jax.arithmetic_study import size
        >>> small = size("gcd", "smoke")._replace(seeds=1)
        >>> found = collapse(small, 0, Parts(None, {}), announce=lambda _: None)
        >>> dict(found.mixtures.sizes)
        {'synthetic_fraction': 2, 'examples': 2, 'seed': 1, 'divisor': 5}
    """
    if not isinstance(size.task, Gcd):
        raise ValueError(f"task is {size.task}; skills are counted for greatest common divisors only: use a Gcd")
    bench = Bench(size, seed, answers.exam(size, seed), parts, announce)
    made = generators(bench)
    students, names = list[Student](), results.of_fractions(size)
    for chain, model in enumerate(made.models):
        asked, truth = bench.questions(chain, size.rows)
        kept = parts.get(
            f"answered_{chain}", lambda model=model, asked=asked: {"said": answers.greedy(model, size, asked)}
        )
        real, written = size.task.say(truth), kept["said"]
        for fraction, name in names.items():
            taught = np.random.default_rng((seed, chain, 3)).random(size.rows) < fraction
            rows = lessons(size.task, asked, np.where(taught[:, None], written, real))
            students.append(bench.student(name, chain, rows))
        halves = lessons(size.task, asked, written), lessons(size.task, asked, real)
        students.append(bench.recovering(chain, *halves))
    found = bench.train(students)
    return results.collapsed(size, found, made.marks, RECOVERY)


def verification(size: Size, seed: int, parts: Parts, announce: Announce = print) -> Verification:
    """Students of a generator's answers that verifiers chose, at the same number of answers.

    Args:
        size: as for :func:`collapse`, of either task.
        seed: as there.
        parts: as there.
        announce: as there.

    Source: *Beyond Model Collapse*, Section 6.

    Example:
        >>> from collapse_jax.arithmetic_study import size
        >>> small = size("eigenvalues", "smoke")._replace(seeds=1)
        >>> found = verification(small, 0, Parts(None, {}), announce=lambda _: None)
        >>> found.noises.p_noise.values.tolist(), "exact data" in found.selections.selection.values
        ([0.0, 1.0], True)
    """
    bench = Bench(size, seed, answers.exam(size, seed), parts, announce)
    made, weak = generators(bench), generators(bench, "weak", size.weak)
    students, told = [], {}

    def choose(chain: int, _: Any) -> dict[str, selection.Chosen]:
        return selection.selections(bench, chain, made.models[chain], weak.models[chain])

    for chain, chosen in sorted(in_threads(range(size.seeds), choose), key=lambda pair: pair[0]):
        announce(f"answers of generator {chain} are chosen")
        for name, rows in chosen.items():
            told[name, chain] = {"kept": rows.kept, "error": rows.error}
            students.append(bench.student(name, chain, lessons(size.task, rows.asked, rows.said)))
    return results.verified(size, bench.train(students), made.marks, told)


class Generators(NamedTuple):
    """A model for each chain, and its marks."""

    models: list[GPT]
    marks: list[Arrays]


class Bench(NamedTuple):
    """What all of a study have in common."""

    size: Size
    seed: int
    exam: Exam
    parts: Parts
    announce: Announce

    def questions(self, chain: int, count: int, which: int = 2) -> tuple[np.ndarray, np.ndarray]:
        """(count, question) tokens of new questions, and their exact answers."""
        drawn = self.size.task.draw(np.random.default_rng((self.seed, chain, which)), count)
        return self.size.task.ask(drawn), self.size.task.solve(drawn)

    def key(self, chain: int, which: int) -> jax.Array:
        """For the networks and drawn answers of a chain."""
        return jax.random.fold_in(jax.random.fold_in(jax.random.key(self.seed), chain), which)

    def student(self, name: str, chain: int, rows: Lesson) -> Student:
        """That learns from rows, each once an epoch."""
        size = self.size
        if len(rows.tokens) < size.batch:
            raise ValueError(
                f"{name} leaves {len(rows.tokens)} answers to learn from, fewer than a batch of {size.batch}: the verifier "
                "finds too few right ones. Train the generator longer, or use more rows or beams"
            )
        source = shuffled(rows, self.seed, size.batch)
        return Student(name, chain, self.key(chain, 5), size.shape, size.student, source)

    def recovering(self, chain: int, first: Lesson, then: Lesson) -> Student:
        """That learns from the first rows for half of its steps."""
        size, half = self.size, self.size.student.steps // 2
        sources = [shuffled(rows, self.seed, size.batch) for rows in (first, then)]

        def batches(start: int) -> Iterator[Lesson]:
            feeds = [source(start) for source in sources]
            for step in range(start, size.student.steps + 1):
                both = [next(feed) for feed in feeds]
                yield both[step >= half]

        return Student(RECOVERY, chain, self.key(chain, 5), size.shape, size.student, batches)

    def train(self, students: Sequence[Student]) -> dict[tuple[str, int], Arrays]:
        """Marks of all students at their evaluations."""
        work = partial(train, size=self.size, exam=self.exam, parts=self.parts)
        found = {}
        for student, arrays in in_threads(students, lambda student, stop: work(student, stop=stop)):
            self.announce(f"student of {student.name}, seed {student.chain}: {results.told(arrays)}")
            found[student.name, student.chain] = arrays
        return found


def generators(bench: Bench, name: str = "generator", shape: Shape | None = None) -> Generators:
    """Models that learned from exact answers for a limited time, one a chain."""
    size, shape = bench.size, shape or bench.size.shape
    students = []
    for chain in range(size.seeds):
        if size.generator_rows is None:
            source = endless(size.task, hash_of(bench.seed, chain), size.batch)
        else:
            drawn = size.task.draw(np.random.default_rng((bench.seed, chain, 1)), size.generator_rows)
            source = shuffled(exact(size.task, drawn), bench.seed, size.batch)
        students.append(
            Student(name, chain, bench.key(chain, 1 if name == "generator" else 4), shape, size.generator, source)
        )
    work = partial(train, size=size, exam=bench.exam, parts=bench.parts, weights=True)
    found: dict[int, Arrays] = {}
    for student, arrays in in_threads(students, lambda student, stop: work(student, stop=stop)):
        bench.announce(f"{name}, seed {student.chain}: {results.told(arrays)}")
        found[student.chain] = arrays
    chains = range(size.seeds)
    return Generators([model_of(shape, found[chain]) for chain in chains], [found[chain] for chain in chains])


def hash_of(seed: int, chain: int) -> int:
    """A seed of its own for each chain.

    Example:
        >>> hash_of(0, 0) != hash_of(0, 1)
        True
    """
    return int(np.random.SeedSequence((seed, chain, 1)).generate_state(1)[0])
