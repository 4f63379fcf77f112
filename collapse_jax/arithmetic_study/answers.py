"""What models answer, how good that is, and how likely they find the answers of others."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from collapse_jax.arithmetic_study.sizes import Size
from collapse_jax.data.arithmetic import Gcd, Task, lessons
from collapse_jax.networks.beam import beam
from collapse_jax.networks.gpt import GPT
from collapse_jax.networks.lesson import Lesson, surprises
from collapse_jax.networks.sampling import write

KNOWN = 0.95  # accuracy on pairs of a greatest common divisor from which on it counts as learned


class Exam(NamedTuple):
    """Questions that nobody learns from: the usual ones, then ``each`` pairs of every divisor in turn."""

    asked: np.ndarray
    truth: np.ndarray
    usual: int
    each: int


def exam(size: Size, seed: int) -> Exam:
    """The examination of a study.

    Example:
        >>> from collapse_jax.arithmetic_study import size
        >>> exam(size("gcd", "smoke"), seed=0).asked.shape
        (200, 8)
    """
    random = np.random.default_rng((seed, 10**6))
    questions = size.task.draw(random, size.examined)
    if isinstance(size.task, Gcd):
        chosen = size.task.pairs_of(random, np.repeat(size.divisors, size.each))
        questions = np.concatenate([questions, chosen])
    return Exam(size.task.ask(questions), size.task.solve(questions), size.examined, size.each)


def marks(model: GPT, size: Size, given: Exam) -> dict[str, np.ndarray]:
    """``accuracy`` on usual questions, ``each`` (divisors,) on pairs of each divisor, and the commonest ``answers`` there."""
    found = size.task.read(greedy(model, size, given.asked))
    right = size.task.right(found, given.truth)
    each = right[given.usual :].reshape(-1, given.each) if len(right) > given.usual else np.zeros((0, 1))
    rest = found[given.usual :].reshape(-1, given.each) if len(right) > given.usual else np.zeros((0, 1), int)
    commonest = np.asarray([np.bincount(row.astype(int)).argmax() for row in rest], int)
    return {"accuracy": right[: given.usual].mean(), "each": each.mean(-1), "answers": commonest}


def greedy(model: GPT, size: Size, asked: np.ndarray) -> np.ndarray:
    """(B, answer) tokens of the likeliest answer, token by token."""
    key = jax.random.key(0)
    return _in_pieces(size, asked, lambda piece, _: _written(key, model, size.task, piece, 0.0))


def sampled(key: jax.Array, model: GPT, size: Size, asked: np.ndarray) -> np.ndarray:
    """(B, answer) tokens of answers drawn with the model's probabilities."""
    return _in_pieces(size, asked, lambda piece, i: _written(jax.random.fold_in(key, i), model, size.task, piece, 1.0))


def likeliest(model: GPT, size: Size, asked: np.ndarray, beams: int) -> np.ndarray:
    """(B, beams, answer) tokens of candidates by beam search, the likeliest first."""
    task = size.task

    def found(piece: np.ndarray, _: int) -> np.ndarray:
        texts = beam(model, piece, beams=beams, tokens=task.answer, stop=task.end, prefix=True)
        return np.asarray(texts.tokens[..., task.question :])

    # The cache is that of all beams.
    return _in_pieces(size._replace(together=max(1, size.together // beams)), asked, found)


def log_probability(model: GPT, size: Size, asked: np.ndarray, said: np.ndarray) -> np.ndarray:
    """(B, C) nats that a model gives to each of (B, C, answer) candidates."""
    graph, weights = nnx.split(model)
    count = said.shape[1]
    pairs = np.concatenate([np.repeat(asked, count, 0), said.reshape(len(asked) * count, -1)], 1)

    def found(piece: np.ndarray, _: int) -> np.ndarray:
        return np.asarray(_surprise(graph, weights, _lesson(size.task, piece)))

    return -_in_pieces(size, pairs, found).reshape(len(asked), count)


@partial(jax.jit, static_argnums=0)
def _surprise(graph: Any, weights: Any, given: Lesson) -> jax.Array:
    return surprises(nnx.merge(graph, weights), given).sum(-1)


def _lesson(task: Task, pairs: np.ndarray) -> Lesson:
    return jax.tree.map(jnp.asarray, lessons(task, pairs[:, : task.question], pairs[:, task.question :]))


def _written(key: jax.Array, model: GPT, task: Task, piece: np.ndarray, temperature: float) -> np.ndarray:
    found = write(model, key, piece, tokens=task.answer, temperature=temperature, stop=task.end, prefix=True)
    return np.asarray(found.tokens[:, task.question :])


def _in_pieces(size: Size, rows: np.ndarray, compute: Callable[[np.ndarray, int], np.ndarray]) -> np.ndarray:
    """Results of a function that is compiled for ``together`` rows; the last piece is filled up."""
    found = []
    for i, start in enumerate(range(0, len(rows), size.together)):
        piece = rows[start : start + size.together]
        filled = np.concatenate([piece, np.repeat(rows[:1], size.together - len(piece), 0)])
        found.append(compute(filled, i)[: len(piece)])
    return np.concatenate(found)
