"""The arithmetic of lost skills: exact answers beside drawn pairs, and the accuracies that the paper prints."""

import math

import jax
import numpy as np
import pytest
from numpy.testing import assert_allclose

import collapse_jax as cj
from collapse_jax.theory import divisors, learned_divisors


@pytest.mark.parametrize("learned", [[], [2, 4, 5, 10, 20], [2, 3, 4, 9, 12, 35, 70], range(1, 13)])
def test_answers_have_the_law_of_drawn_pairs(learned):
    """By inclusion and exclusion, and by 400,000 pairs and Python's own gcd for some of them."""
    exact = divisors(learned)
    assert exact.written.sum() == pytest.approx(1)
    drawn = cj.simulate.divisors(jax.random.key(0), learned, 400_000)
    frequency = np.array([(np.asarray(drawn.answers) == d).mean() for d in exact.learned])
    assert_allclose(frequency, exact.written, atol=4 * math.sqrt(0.25 / 400_000))
    assert float((drawn.answers == drawn.truth).mean()) == pytest.approx(
        exact.accuracy, abs=4 * math.sqrt(0.25 / 400_000)
    )
    for (a, b), truth in zip(np.asarray(drawn.pairs[:100]), np.asarray(drawn.truth[:100]), strict=True):
        assert math.gcd(a, b) == truth


@pytest.mark.parametrize(
    ("base", "others", "printed"), [(10, (), 0.85), (420, (), 0.97), (1000, (3,), 0.94), (2023, (2, 3), 0.93)]
)
def test_accuracies_of_the_papers_generators(base, others, printed):
    """Table of Appendix G: products of the base's primes, and of those that long training adds."""
    assert divisors(learned_divisors(base, 2000, others=others)).accuracy == pytest.approx(printed, abs=0.02)


def test_what_the_generator_never_learned_its_students_never_learn():
    """Clean data teach a new divisor with every few more samples; a generator's data stop at what it knows."""
    known = learned_divisors(10, 100)
    keys = jax.random.split(jax.random.key(1), 2)
    found = {}
    for samples in (10_000, 1_000_000):
        clean, synthetic = (cj.simulate.divisors(key, known, samples) for key in keys)
        found[samples] = [
            len(cj.simulate.learn(labels, 20)) for labels in (np.asarray(clean.truth), np.asarray(synthetic.answers))
        ]
        # P(k) = 6 / (pi k)^2 above 20 / n: sqrt(6 n / 20) / pi divisors.
        assert found[samples][0] == pytest.approx(math.sqrt(6 * samples / 20) / math.pi, rel=0.15)
        assert set(cj.simulate.learn(np.asarray(synthetic.answers), 20)) <= set(known.tolist())
    assert found[1_000_000][0] > 8 * found[10_000][0]
    assert found[1_000_000][1] == len(known)


def test_bad_divisors_are_named():
    with pytest.raises(ValueError, match="learned holds 0; it must hold whole numbers, at least 1"):
        divisors([0, 2])
    with pytest.raises(ValueError, match="base is 1 and largest is 10"):
        learned_divisors(1, 10)
