"""Questions and answers as tokens: what is written can be read, and is right."""

import re
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collapse_jax.data.arithmetic import Eigenvalues, Gcd, decimal, endless, exact, lessons, shuffled

RANDOM = np.random.default_rng


@pytest.mark.parametrize("base", [2, 10, 420, 1000, 2017, 2023, 4913])
def test_gcd_answers_are_read_as_they_are_written(base: int) -> None:
    task = Gcd(base, 10**6)
    numbers = np.concatenate([[1, 10**6], RANDOM(0).integers(1, 10**6 + 1, 500)])
    np.testing.assert_array_equal(task.read(task.say(numbers)), numbers)
    asked = task.ask(np.stack([numbers, numbers[::-1]], 1)).reshape(-1, 2, 1 + task.digits)
    assert (asked[..., 0] == base).all()
    powers = base ** np.arange(task.digits)[::-1]
    np.testing.assert_array_equal((asked[:, 0, 1:] * powers).sum(-1), numbers)
    assert asked.max() < task.vocabulary


def test_what_is_no_answer_is_read_as_0() -> None:
    task = Gcd(10, 99)
    tokens = np.array([[1, 2, 11], [11, 1, 2], [1, 10, 11], [1, 2, 3], [0, 7, 11]])
    assert task.read(tokens).tolist() == [12, 0, 0, 0, 7]
    assert not task.right(task.read(tokens[1:2]), np.array([1])).any()


def test_common_divisors_follow_zipfs_law_and_can_be_chosen() -> None:
    """6 / (pi k)**2 for numbers without bound."""
    task = Gcd(10, 10**6)
    drawn = task.solve(task.draw(RANDOM(0), 200_000))
    for k in (1, 2, 3, 7):
        assert np.mean(drawn == k) == pytest.approx(6 / (np.pi * k) ** 2, rel=0.05)
    wanted = RANDOM(1).integers(1, 1000, 300)
    pairs = task.pairs_of(RANDOM(2), wanted)
    np.testing.assert_array_equal(task.solve(pairs), wanted)
    assert pairs.max() <= 10**6


@pytest.mark.parametrize("encoding", ["P1000", "FP15"])
@pytest.mark.parametrize("digits", [1, 2, 3])
def test_eigenvalues_are_read_as_they_are_written(encoding: str, digits: int) -> None:
    task = Eigenvalues(3, encoding=encoding, digits=digits)
    matrices = task.draw(RANDOM(0), 200)
    truth = task.solve(matrices)
    assert task.ask(matrices).shape == (200, task.question)
    read = task.read(task.say(truth))
    # Half a unit in the last digit.
    assert (np.abs(read - truth) <= 0.5 * 10.0 ** (1 - digits) * np.abs(truth) * (1 + 1e-9)).all()
    np.testing.assert_array_equal(task.say(read), task.say(truth))
    assert task.say(truth).max() == task.end == task.vocabulary - 1


def test_answers_are_exact_for_what_is_asked() -> None:
    task = Eigenvalues(2)
    matrices = task.draw(RANDOM(0), 100)
    entries = task._numbers(task.ask(matrices).reshape(100, 3, 3))[0]
    a, b, c = entries.T
    middle, half = (a + c) / 2, np.sqrt(((a - c) / 2) ** 2 + b**2)
    np.testing.assert_allclose(task.solve(matrices), np.stack([middle + half, middle - half], 1), rtol=1e-9, atol=1e-12)
    assert (np.abs(matrices) <= 10).all()


@settings(deadline=None, max_examples=200)
@given(st.floats(-9e4, 9e4), st.integers(1, 3))
def test_decimals_are_the_nearest(number: float, digits: int) -> None:
    negative, mantissa, power = (int(part) for part in decimal(number, digits))
    value = (-1) ** negative * mantissa * 10.0**power
    size = abs(number)
    if size < 10.0 ** (digits - 11):
        assert value == 0
    else:
        assert abs(value - number) <= 0.5000001 * 10.0**power
        assert 10 ** (digits - 1) <= mantissa < 10**digits


def test_errors_count_relative_to_all_eigenvalues() -> None:
    task = Eigenvalues(2, tolerance=0.01)
    truth = np.array([[3.0, -1.0]] * 3)
    found = np.array([[3.036, -1.0], [3.05, -1.0], [np.nan, np.nan]])
    assert task.right(found, truth).tolist() == [True, False, False]
    assert task.error(found, truth).round(4).tolist() == [0.009, 0.0125, np.inf]
    tokens = task.say(truth)
    tokens[0, -1] = 5  # no end
    tokens[1, 1] = 0  # a sign where a mantissa should be
    assert np.isnan(task.read(tokens)[:2]).all()
    assert task.read(tokens)[2].tolist() == [3.0, -1.0]
    assert np.isnan(task.read(tokens[:, :-1])).all()


def test_the_answer_and_its_end_count_and_nothing_else() -> None:
    task = Gcd(10, 999)
    pairs = np.array([[120, 24], [7, 3]])
    found = exact(task, pairs)
    assert found.counted.sum(1).tolist() == [3, 2]
    for pair, row, counted in zip(pairs, found.tokens, found.counted, strict=True):
        target = row[1:][counted]
        assert target[-1] == task.end
        assert task.read(target[None]).tolist() == [np.gcd(*pair)]
    unfinished = lessons(task, task.ask(np.array([[2, 4]])), np.array([[2, 2, 2, 2]]))
    assert unfinished.counted.sum() == 4


def test_batches_go_on_anywhere() -> None:
    task = Gcd(10, 99)
    for source in (endless(task, 3, 4), shuffled(exact(task, task.draw(RANDOM(0), 10)), 3, 4)):
        feed, later = source(0), source(3)
        first = [next(feed) for _ in range(5)]
        np.testing.assert_array_equal(first[3].tokens, next(later).tokens)
        np.testing.assert_array_equal(first[4].tokens, next(later).tokens)
        assert (first[0].tokens != first[1].tokens).any()


def test_data_are_drawn_fast() -> None:
    """A batch of 128 takes a small transformer 15 ms or more to learn from; a twentieth of that is 0.75 ms."""
    for task in (Gcd(6, 1295), Eigenvalues(2, digits=2)):
        feed = endless(task, 0, 128)(0)
        times = []
        for _ in range(30):
            began = time.perf_counter()
            next(feed)
            times.append(time.perf_counter() - began)
        assert min(times) < 1e-3


def test_bad_input_is_named() -> None:
    for make, message in (
        (lambda: Gcd(base=1), "base is 1; it must be a whole number from 2 to"),
        (lambda: Gcd(largest=0), "largest is 0; it must be a whole number from 1 to"),
        (lambda: Eigenvalues(encoding="P10"), "encoding is 'P10'; it must be one of P1000, FP15"),
        (lambda: Eigenvalues(digits=4), "digits is 4; it must be a whole number from 1 to 3"),
        (lambda: Eigenvalues(tolerance=1.0), "tolerance is 1.0; it must lie in (0, 1)"),
        (lambda: Eigenvalues(bound=0.0), "bound is 0.0; it must lie in"),
        (lambda: decimal([1e8], 3), "numbers has 1e+08; it must be finite and below 10**7"),
        (lambda: decimal([np.nan], 3), "numbers has nan"),
        (lambda: Gcd(10, 9).pairs_of(RANDOM(0), [10]), "divisors go from 10 to 10; they must lie in 1 to 9"),
        (lambda: shuffled(exact(Gcd(10, 9), np.array([[1, 1]])), 0, 2), "size is 2; it must lie in 1 to 1"),
    ):
        with pytest.raises(ValueError, match=re.escape(message)):
            make()
