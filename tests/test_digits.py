"""Handwritten digits: what is measured on held-out images, beside the theory of their covariance."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import collapse_jax as cj
from collapse_jax import digits_study
from collapse_jax.data import digits

SIZE = digits_study.Size(splits=8, samples=(128, 512, 1340), widths=(16, 64), fractions=(0.0, 0.5, 1.0))


@pytest.fixture(scope="module")
def task() -> digits_study.Task:
    return digits_study.task(seed=0)


@pytest.fixture(scope="module")
def samples(task: digits_study.Task) -> digits_study.Samples:
    return digits_study.samples(task, SIZE, seed=0)


def test_digits_are_1797_images_with_pixels_from_0_to_1() -> None:
    images = digits()
    assert images.inputs.shape == (1797, 64)
    assert float(images.inputs.min()) == 0
    assert float(images.inputs.max()) == 1
    np.testing.assert_array_equal(images.one_hot.argmax(1), images.labels)


def test_three_dead_pixels_leave_a_covariance_of_rank_61(task: digits_study.Task) -> None:
    assert int((task.mixture.spectra[0] > 0).sum()) == 61


def test_mixture_holds_the_images_own_second_moments(task: digits_study.Task) -> None:
    spectrum, signal = task.mixture.spectra[0], task.mixture.signal
    # Explained and unexplained variance of the labels add up.
    explained = float((spectrum * signal).sum())
    unexplained = float(task.mixture.noise[0] ** 2) * (1797 - 62) / 1797
    assert explained + unexplained == pytest.approx(float((task.outputs**2).sum(1).mean()), rel=1e-12)
    error = task.inputs @ (task.teacher - jnp.linalg.lstsq(task.inputs, task.outputs)[0])
    assert task.quality == pytest.approx(float((error**2).sum(1).mean()), rel=1e-9)


@pytest.mark.parametrize("width", [None, 48])
def test_measurement_is_a_fit_on_features_of_the_chosen_images(task: digits_study.Task, width: int | None) -> None:
    key, n = jax.random.key(3), 200
    split_key, projection_key = jax.random.split(key)
    order = jax.random.permutation(split_key, task.students)
    test, train = order[: digits_study.HELD_OUT], order[digits_study.HELD_OUT :][:n]
    features = jnp.eye(64)
    if width is not None:
        features = jax.random.normal(projection_key, (64, digits_study.LARGEST_WIDTH))[:, :width] / 8
    outputs = task.outputs[train].at[:100].set(task.inputs[train[:100]] @ task.teacher)
    fitted = features @ cj.simulate.fit_rows(task.inputs[train] @ features, outputs, digits_study.RIDGE)
    squared = ((task.inputs[test] @ fitted - task.outputs[test]) ** 2).sum(1).mean()
    measured = digits_study.measure(task, key, n, 0.5, width)
    assert float(measured["squared_error"]) == pytest.approx(float(squared), rel=1e-8)
    assert float(measured["total"]) == pytest.approx(float(squared - task.residuals[test].mean()), rel=1e-8)


def test_theory_predicts_held_out_error_within_a_tenth(samples: digits_study.Samples) -> None:
    mean, _ = cj.mean_and_error(samples.comparison.measured)
    theory = samples.comparison.theory.total.sel(n=mean.n)
    # Three standard errors of eight splits are some 6 %; pixels with rare strokes add up to 9 % at small n.
    np.testing.assert_allclose(mean.total, theory, rtol=0.16)
    assert float(np.abs(mean.total / theory - 1).mean()) < 0.07


def test_random_projections_agree_with_theory_up_to_the_number_of_pixels(task: digits_study.Task) -> None:
    comparison = digits_study.widths(task, SIZE, seed=0)
    mean, _ = cj.mean_and_error(comparison.measured)
    np.testing.assert_allclose(mean.total, comparison.theory.total.sel(width=mean.width), rtol=0.12)


def test_labels_written_by_a_model_raise_the_measured_floor(samples: digits_study.Samples) -> None:
    mean, error = cj.mean_and_error(samples.comparison.measured.sel(n=1340))
    real, half, synthetic = (mean.total.sel(synthetic_fraction=p) for p in (0, 0.5, 1))
    assert real + 5 * error.total.max() < half
    assert half + 5 * error.total.max() < synthetic
    assert mean.misread.sel(synthetic_fraction=1) > 2 * mean.misread.sel(synthetic_fraction=0)
    # With nothing but the teacher's labels, the student ends as the teacher.
    assert float(synthetic) == pytest.approx(samples.comparison.theory.attrs["quality"], rel=0.06)
