"""Teachers of graded quality: what they see decides how good they are, and their quality is what their errors say."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from collapse_jax.data import digits
from collapse_jax.data.images import normalised
from collapse_jax.networks.teachers import Teacher, noisy, teach

KEYS = jax.random.split(jax.random.key(0), 2)
KNOWN = normalised(digits())
IMAGES, OUTPUTS = KNOWN.inputs.astype(jnp.float32)[:600], KNOWN.outputs.astype(jnp.float32)[:600]
PRIOR = KNOWN.prior.astype(jnp.float32)
ROWS = jnp.stack([jax.random.permutation(key, 600)[:100] for key in KEYS])
BEST = Teacher(100, width=32, epochs=100.0)


@pytest.mark.parametrize(
    "worse",
    [BEST._replace(images=15), BEST._replace(width=2), BEST._replace(epochs=5.0), BEST._replace(temperature=3.0)],
)
def test_less_of_anything_makes_a_worse_teacher(worse: Teacher) -> None:
    best = teach(KEYS, IMAGES, OUTPUTS, ROWS, PRIOR, BEST)
    found = teach(KEYS, IMAGES, OUTPUTS, ROWS, PRIOR, worse)
    assert (found.quality > best.quality + 0.05).all()


def test_quality_is_the_error_on_images_that_the_teacher_has_not_seen() -> None:
    taught = teach(KEYS, IMAGES, OUTPUTS, ROWS, PRIOR, BEST._replace(images=40))
    for teacher in range(2):
        unseen = np.setdiff1d(np.arange(600), np.asarray(ROWS[teacher, :40]))
        errors = ((taught.outputs[teacher, unseen] - OUTPUTS[unseen]) ** 2).sum(1)
        assert float(taught.quality[teacher]) == pytest.approx(float(errors.mean()), rel=1e-5)


def test_a_teacher_sees_only_its_images() -> None:
    few = BEST._replace(images=20)
    seen = jnp.zeros(600, bool).at[ROWS[:, :20]].set(True)
    other = jnp.where(seen[:, None], OUTPUTS, OUTPUTS[::-1])  # labels of all other images changed
    first, second = (teach(KEYS, IMAGES, labels, ROWS, PRIOR, few).outputs for labels in (OUTPUTS, other))
    np.testing.assert_array_equal(first, second)


def test_cold_labels_are_hard_and_hot_ones_say_nothing() -> None:
    plain = teach(KEYS, IMAGES, OUTPUTS, ROWS, PRIOR, BEST).outputs + PRIOR[None, None]
    cold, hot = (
        teach(KEYS, IMAGES, OUTPUTS, ROWS, PRIOR, BEST._replace(temperature=t)).outputs + PRIOR[None, None]
        for t in (1e-4, 1e4)
    )
    np.testing.assert_array_equal(plain.argmax(2), cold.argmax(2))
    np.testing.assert_allclose(cold.sum(2), 1, atol=1e-5)
    assert float((cold.max(2) > 0.99).mean()) > 0.99
    np.testing.assert_allclose(hot, 0.1, atol=1e-3)


def test_noise_has_the_stated_deviation() -> None:
    drawn = noisy(jax.random.key(1), jnp.zeros((4000, 10)), 0.1)
    assert float(drawn.std()) == pytest.approx(0.1, rel=0.02)


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match="images is 101; a teacher must see 2 to 100 images, those that are its own"):
        teach(KEYS, IMAGES, OUTPUTS, ROWS, PRIOR, Teacher(101))
    with pytest.raises(ValueError, match="temperature is 0"):
        teach(KEYS, IMAGES, OUTPUTS, ROWS, PRIOR, BEST._replace(temperature=0.0))
