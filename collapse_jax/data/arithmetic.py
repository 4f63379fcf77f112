"""Questions with exact answers, without end: greatest common divisors, and eigenvalues of symmetric matrices, as tokens.

A task draws questions from a NumPy generator, solves them, writes questions and answers as tokens, and reads what a model
answers. Questions of a task all have the same number of tokens; answers end with a token of their own.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from collapse_jax.networks.lesson import Lesson

ENCODINGS = ("P1000", "FP15")
EXPONENTS = (-10, 4)  # the fifteen powers of ten that encodings of real numbers know
UNREADABLE = 0  # what an answer that is no number counts as: no task has it as its truth


class Task(Protocol):
    """What a study asks of a task; :class:`Gcd` and :class:`Eigenvalues` are two.

    Attributes:
        vocabulary: tokens that there are, the end included; ``end`` is the last.
        question: tokens of a question, and ``answer`` tokens of the longest answer with its end.
    """

    @property
    def vocabulary(self) -> int: ...

    @property
    def end(self) -> int: ...

    @property
    def question(self) -> int: ...

    @property
    def answer(self) -> int: ...

    def draw(self, random: np.random.Generator, count: int) -> np.ndarray: ...

    def solve(self, questions: np.ndarray) -> np.ndarray: ...

    def ask(self, questions: np.ndarray) -> np.ndarray: ...

    def say(self, answers: np.ndarray) -> np.ndarray: ...

    def read(self, tokens: np.ndarray) -> np.ndarray: ...

    def right(self, answers: np.ndarray, truth: np.ndarray) -> np.ndarray: ...


@dataclass(frozen=True)
class Gcd:
    """Greatest common divisors of pairs of whole numbers, written in a base.

    A question is a sign and the digits of each number, the highest first, with zeros in front so that all questions are as
    long; an answer is its digits without zeros in front, and the end.

    Attributes:
        base: of the digits, at least 2.
        largest: numbers are uniform from 1 to this.

    Raises:
        ValueError: for a base below 2, or a largest number below 1 or above 2**31 - 1.

    Source: Charton, *Learning the greatest common divisor* (2024), and *A Tale of Tails*, Appendix G: numbers up to 10**6 in
    the bases 10, 420, 1000, 2017, 2023 and 4913. There questions have no zeros in front.

    Example:
        >>> task = Gcd(base=10, largest=99)
        >>> pairs = np.array([[12, 18], [7, 5]])
        >>> task.solve(pairs).tolist(), task.ask(pairs)[0].tolist(), task.say(np.array([6, 12])).tolist()
        ([6, 1], [10, 1, 2, 10, 1, 8], [[6, 11, 11], [1, 2, 11]])
        >>> task.read(np.array([[6, 11, 11], [1, 2, 11], [11, 1, 11]])).tolist()          # the third says nothing
        [6, 12, 0]
    """

    base: int = 10
    largest: int = 10**6

    def __post_init__(self) -> None:
        _whole("base", self.base, 2, 2**15)
        _whole("largest", self.largest, 1, 2**31 - 1)

    @property
    def digits(self) -> int:
        """Of the largest number."""
        count, rest = 1, self.largest
        while (rest := rest // self.base) > 0:
            count += 1
        return count

    @property
    def vocabulary(self) -> int:
        """Digits, the sign, the end."""
        return self.base + 2

    @property
    def end(self) -> int:
        """Token after an answer."""
        return self.base + 1

    @property
    def question(self) -> int:
        """Tokens of a question."""
        return 2 * (1 + self.digits)

    @property
    def answer(self) -> int:
        """Tokens of the longest answer, its end included."""
        return self.digits + 1

    def draw(self, random: np.random.Generator, count: int) -> np.ndarray:
        """(count, 2) numbers, uniform from 1 to the largest."""
        return random.integers(1, self.largest + 1, (count, 2))

    def pairs_of(self, random: np.random.Generator, divisors: Any) -> np.ndarray:
        """(N, 2) a uniform pair of each of N greatest common divisors, each at most the largest number.

        Example:
            >>> task = Gcd(base=10, largest=100)
            >>> task.solve(task.pairs_of(np.random.default_rng(0), [7, 12, 100])).tolist()
            [7, 12, 100]
        """
        wanted = np.asarray(divisors, int)
        if wanted.size and (wanted.min() < 1 or wanted.max() > self.largest):
            raise ValueError(f"divisors go from {wanted.min()} to {wanted.max()}; they must lie in 1 to {self.largest}")
        room = self.largest // wanted
        found = np.zeros((len(wanted), 2), int)
        missing = np.arange(len(wanted))
        while len(missing):
            found[missing] = random.integers(1, room[missing, None] + 1, (len(missing), 2))
            missing = missing[np.gcd(found[missing, 0], found[missing, 1]) > 1]
        return found * wanted[:, None]

    def solve(self, questions: np.ndarray) -> np.ndarray:
        """(B,) greatest common divisors of (B, 2) numbers."""
        return np.gcd(questions[:, 0], questions[:, 1])

    def ask(self, questions: np.ndarray) -> np.ndarray:
        """(B, question) tokens of (B, 2) numbers."""
        found = np.full((len(questions), 2, 1 + self.digits), self.base, np.int32)
        found[:, :, 1:] = self._digits(questions)
        return found.reshape(len(questions), -1)

    def say(self, answers: np.ndarray) -> np.ndarray:
        """(B, answer) tokens of (B,) answers, filled with the end."""
        digits = self._digits(np.asarray(answers))
        zeros = (np.cumsum(digits, -1) == 0).sum(-1)
        places = np.arange(self.answer) + zeros[:, None]
        padded = np.pad(digits, ((0, 0), (0, self.answer)), constant_values=self.end)
        return np.take_along_axis(padded, places, -1).astype(np.int32)

    def read(self, tokens: np.ndarray) -> np.ndarray:
        """(B,) answers of (B, at most answer) tokens; 0 where they are no number and an end."""
        value, ended, fine = np.zeros(len(tokens), np.int64), np.zeros(len(tokens), bool), np.ones(len(tokens), bool)
        for token in np.asarray(tokens, np.int64).T:
            fine &= ended | (token < self.base) | (token == self.end)
            ended |= token == self.end
            value = np.where(ended, value, value * self.base + token)
        return np.where(fine & ended & (value <= self.largest), value, UNREADABLE)

    def right(self, answers: np.ndarray, truth: np.ndarray) -> np.ndarray:
        """(B,) whether answers are the truth."""
        return np.asarray(answers) == truth

    def _digits(self, numbers: np.ndarray) -> np.ndarray:
        """(..., digits) the highest first."""
        powers = self.base ** np.arange(self.digits - 1, -1, -1, dtype=np.int64)
        return (np.asarray(numbers, np.int64)[..., None] // powers) % self.base


@dataclass(frozen=True)
class Eigenvalues:
    """Eigenvalues of symmetric matrices, the largest first, in an encoding of rounded numbers.

    A question is the upper triangle of the matrix, row by row, and an answer the eigenvalues and the end. Matrices are rounded
    as they are written, so that the answer is exact for what is asked.

    Attributes:
        size: rows of a matrix.
        bound: entries are uniform from minus this to this.
        encoding: "P1000": a sign, a mantissa, a power of ten, three tokens; "FP15": one token for all three.
        digits: of the mantissa, 1 to 3; the names of the encodings are those with 3.
        tolerance: an answer is right where the sum of its absolute errors is at most this share of the sum of the absolute
            eigenvalues, above 0.

    Raises:
        ValueError: for numbers out of these ranges.

    Source: Charton, *Linear algebra with transformers* (2022), for the encodings; *Beyond Model Collapse*, Section 6: size 5,
    bound 10, P1000, tolerances 0.005 to 0.05. There the question is the whole matrix, lower triangle and all.

    Example:
        >>> task = Eigenvalues(size=2)
        >>> matrix = np.array([[[1.0, 2.0], [2.0, 1.0]]])
        >>> task.solve(matrix).round(12).tolist(), task.question, task.answer, task.vocabulary
        ([[3.0, -1.0]], 9, 7, 1018)
        >>> task.read(task.say(np.array([[3.14159, -1.0]]))).tolist()
        [[3.14, -1.0]]
    """

    size: int = 5
    bound: float = 10.0
    encoding: str = "P1000"
    digits: int = 3
    tolerance: float = 0.01

    def __post_init__(self) -> None:
        _whole("size", self.size, 1, 100)
        _whole("digits", self.digits, 1, 3)
        if self.encoding not in ENCODINGS:
            raise ValueError(f"encoding is {self.encoding!r}; it must be one of {', '.join(ENCODINGS)}")
        if not 1e-3 <= self.bound <= 1e4:
            raise ValueError(f"bound is {self.bound}; it must lie in 0.001 to 10,000, where the encodings have numbers")
        if not 0 < self.tolerance < 1:
            raise ValueError(f"tolerance is {self.tolerance}; it must lie in (0, 1), such as 0.01 for 1 %")

    @property
    def vocabulary(self) -> int:
        """Numbers or their parts, and the end."""
        powers = EXPONENTS[1] - EXPONENTS[0] + 1
        mantissas = 10**self.digits
        return 1 + (2 + mantissas + powers if self.encoding == "P1000" else 2 * mantissas * powers)

    @property
    def end(self) -> int:
        """Token after an answer."""
        return self.vocabulary - 1

    @property
    def question(self) -> int:
        """Tokens of a question."""
        return self._each * self.size * (self.size + 1) // 2

    @property
    def answer(self) -> int:
        """Tokens of an answer, its end included."""
        return self._each * self.size + 1

    def draw(self, random: np.random.Generator, count: int) -> np.ndarray:
        """(count, size, size) symmetric matrices, their entries uniform and rounded."""
        upper = random.uniform(-self.bound, self.bound, (count, len(self._rows)))
        found = np.zeros((count, self.size, self.size))
        found[:, self._rows, self._columns] = found[:, self._columns, self._rows] = self._rounded(upper)
        return found

    def solve(self, questions: np.ndarray) -> np.ndarray:
        """(B, size) eigenvalues of (B, size, size) matrices, the largest first."""
        return np.linalg.eigvalsh(questions)[:, ::-1]

    def ask(self, questions: np.ndarray) -> np.ndarray:
        """(B, question) tokens of (B, size, size) matrices."""
        return self._tokens(questions[:, self._rows, self._columns])

    def say(self, answers: np.ndarray) -> np.ndarray:
        """(B, answer) tokens of (B, size) answers."""
        return np.pad(self._tokens(np.asarray(answers)), ((0, 0), (0, 1)), constant_values=self.end)

    def read(self, tokens: np.ndarray) -> np.ndarray:
        """(B, size) answers of (B, answer) tokens; all NaN where they are not as many numbers and the end."""
        tokens = np.asarray(tokens, np.int64)
        if tokens.shape[1] < self.answer:
            return np.full((len(tokens), self.size), np.nan)
        values, fine = self._numbers(tokens[:, : self.answer - 1].reshape(len(tokens), self.size, self._each))
        fine = fine.all(-1) & (tokens[:, self.answer - 1] == self.end)
        return np.where(fine[:, None], values, np.nan)

    def right(self, answers: np.ndarray, truth: np.ndarray) -> np.ndarray:
        """(B,) whether answers are within the tolerance."""
        return self.error(answers, truth) <= self.tolerance

    def error(self, answers: np.ndarray, truth: np.ndarray) -> np.ndarray:
        """(B,) sum of absolute errors over the sum of absolute eigenvalues; infinite where nothing can be read."""
        found = np.abs(answers - truth).sum(-1) / np.abs(truth).sum(-1)
        return np.where(np.isfinite(found), found, np.inf)

    @property
    def _rows(self) -> np.ndarray:
        return np.triu_indices(self.size)[0]

    @property
    def _columns(self) -> np.ndarray:
        return np.triu_indices(self.size)[1]

    @property
    def _each(self) -> int:
        """Tokens of a number."""
        return 3 if self.encoding == "P1000" else 1

    def _rounded(self, numbers: np.ndarray) -> np.ndarray:
        negative, mantissa, power = decimal(numbers, self.digits)
        return _value(negative, mantissa, power)

    def _tokens(self, numbers: np.ndarray) -> np.ndarray:
        """(B, N * tokens of a number) of (B, N) numbers."""
        negative, mantissa, power = decimal(numbers, self.digits)
        power = power - EXPONENTS[0]
        if self.encoding == "P1000":
            found = np.stack([negative, 2 + mantissa, 2 + 10**self.digits + power], -1)
        else:
            powers = EXPONENTS[1] - EXPONENTS[0] + 1
            found = ((negative * 10**self.digits + mantissa) * powers + power)[..., None]
        return found.reshape(len(numbers), -1).astype(np.int32)

    def _numbers(self, tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(B, N) numbers of (B, N, tokens of a number), and whether there are any."""
        mantissas, powers = 10**self.digits, EXPONENTS[1] - EXPONENTS[0] + 1
        if self.encoding == "P1000":
            negative, mantissa, power = (tokens[..., i] - shift for i, shift in enumerate((0, 2, 2 + mantissas)))
        else:
            rest, power = np.divmod(tokens[..., 0], powers)
            negative, mantissa = np.divmod(rest, mantissas)
        fine = (negative >= 0) & (negative < 2) & (mantissa >= 0) & (mantissa < mantissas)
        fine &= (power >= 0) & (power < powers)
        return _value(negative, mantissa, np.clip(power, 0, powers - 1) + EXPONENTS[0]), fine


def decimal(numbers: Any, digits: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sign (1 for minus), mantissa of so many digits, and power of ten of each number, rounded.

    Args:
        numbers: real, of any shape. Those closer to 0 than the powers of ten reach become 0.
        digits: of the mantissa.

    Raises:
        ValueError: for a number too large for the powers, or not finite.

    Example:
        >>> [part.tolist() for part in decimal([3.14159, -20.0, 0.0, 9.999], 3)]
        [[0, 1, 0, 0], [314, 200, 0, 100], [-2, -1, -10, -1]]
    """
    numbers = np.asarray(numbers, float)
    size = np.abs(numbers)
    least, most = EXPONENTS
    small = size < 10.0 ** (least + digits - 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        power = np.where(small, least, np.floor(np.log10(np.where(small, 1.0, size))) - (digits - 1))
        mantissa = np.rint(size / 10.0**power)
    over = mantissa >= 10**digits
    power, mantissa = np.where(over, power + 1, power), np.where(over, 10 ** (digits - 1), mantissa)
    mantissa = np.where(small, 0, mantissa)
    if not (np.isfinite(size).all() and (power <= most).all()):
        wrong = numbers[~(np.isfinite(size) & (power <= most))].flat[0]
        raise ValueError(f"numbers has {wrong:g}; it must be finite and below 10**{most + digits} to be written")
    negative = (numbers < 0) & (mantissa > 0)
    return negative.astype(int), mantissa.astype(int), power.astype(int)


def _value(negative: np.ndarray, mantissa: np.ndarray, power: np.ndarray) -> np.ndarray:
    """The numbers of :func:`decimal`; a division where that is exact, so that 3.14 is 3.14."""
    size = np.where(power < 0, mantissa / 10.0 ** np.maximum(-power, 0), mantissa * 10.0 ** np.maximum(power, 0))
    return np.where(negative == 1, -size, size)


# Lessons ----------------------------------------------------------------------------------------------------------------------


def lessons(task: Task, asked: np.ndarray, said: np.ndarray) -> Lesson:
    """Windows of questions and answers, in which questions are seen from everywhere and answers with their end count.

    Args:
        task: that both belong to.
        asked: (B, question) tokens.
        said: (B, answer) tokens; what follows the first end does not count.

    Example:
        >>> task = Gcd(base=10, largest=9)
        >>> found = lessons(task, task.ask(np.array([[6, 4]])), task.say(np.array([2])))
        >>> found.tokens.tolist(), found.prefix.tolist(), found.counted.tolist()
        ([[10, 6, 10, 4, 2, 11]], [4], [[False, False, False, True, True]])
    """
    ended = np.cumsum(said == task.end, -1)
    counted = np.zeros((len(asked), task.question + task.answer - 1), bool)
    counted[:, task.question - 1 :] = (ended == 0) | ((ended == 1) & (said == task.end))
    tokens = np.concatenate([asked, said], 1).astype(np.int32)
    return Lesson(tokens, np.full(len(asked), task.question, np.int32), counted)


def exact(task: Task, questions: np.ndarray) -> Lesson:
    """Windows of questions and their exact answers.

    Example:
        >>> exact(Gcd(base=10, largest=9), np.array([[6, 4], [3, 9]])).tokens[:, 4].tolist()
        [2, 3]
    """
    return lessons(task, task.ask(questions), task.say(task.solve(questions)))


def endless(task: Task, seed: int, size: int) -> Callable[[int], Iterator[Lesson]]:
    """Batches of new questions with exact answers, without end; from any step on, the same for the same seed.

    Args:
        task: to draw from.
        seed: of the questions.
        size: of a batch.

    Returns:
        ``batches(start)`` as :func:`collapse_jax.networks.language.school` takes them.

    Example:
        >>> batches = endless(Gcd(base=10, largest=99), seed=0, size=4)
        >>> first, second = (next(batches(step)) for step in (0, 1))
        >>> from itertools import islice
        >>> bool((list(islice(batches(0), 2))[1].tokens == second.tokens).all()), bool((first.tokens == second.tokens).all())
        (True, False)
    """

    def batches(start: int) -> Iterator[Lesson]:
        step = start
        while True:
            yield exact(task, task.draw(np.random.default_rng((seed, step)), size))
            step += 1

    return batches


def shuffled(windows: Lesson, seed: int, size: int) -> Callable[[int], Iterator[Lesson]]:
    """Batches of given windows, each once an epoch in an order of its own, without end.

    Args:
        windows: to take from.
        seed: of the orders.
        size: of a batch, at most the number of windows.

    Raises:
        ValueError: for a batch larger than all windows.

    Example:
        >>> task = Gcd(base=10, largest=9)
        >>> windows = exact(task, np.array([[i, i] for i in range(1, 7)]))
        >>> epoch = shuffled(windows, seed=0, size=2)(3)
        >>> sorted(answer for _ in range(3) for answer in next(epoch).tokens[:, 4].tolist())
        [1, 2, 3, 4, 5, 6]
    """
    count = len(windows.tokens)
    if not 1 <= size <= count:
        raise ValueError(f"size is {size}; it must lie in 1 to {count}, the number of windows")
    an_epoch = count // size

    def batches(start: int) -> Iterator[Lesson]:
        step, epoch, order = start, -1, np.zeros(0, int)
        while True:
            if step // an_epoch != epoch:
                epoch = step // an_epoch
                order = np.random.default_rng((seed, epoch)).permutation(count)
            chosen = order[step % an_epoch * size :][:size]
            yield Lesson(*(None if part is None else part[chosen] for part in windows))
            step += 1

    return batches


def _whole(name: str, value: Any, least: int, most: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError(f"{name} is {value!r}; it must be a whole number from {least} to {most:,}")
