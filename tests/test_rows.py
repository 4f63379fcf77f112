"""Row by row: the data have the stated law, the fit minimises the stated objective, and the fast simulator has the same law."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import problems
import pytest
from numpy.testing import assert_allclose
from problems import at
from scipy import optimize, stats

import collapse_jax as cj

DIM = 20
CASE = at(problems.moderate(2, 1, 3, DIM), 0)
MIXTURE = cj.Mixture(CASE["spectra"], CASE["moments"], CASE["noise"])
COUNTS, WEIGHTS = (14, 8, 11), (1.0, 0.3, 2.0)
RNG = np.random.default_rng(0)


@partial(jax.jit, static_argnums=1)
@partial(jax.vmap, in_axes=(0, None))
def error_of_rows(key, width):
    rows_key, features_key = jax.random.split(key)
    sample = cj.simulate.rows(rows_key, MIXTURE, COUNTS)
    projections = jnp.eye(DIM)
    if width is not None:
        projections = cj.simulate.random_features(features_key, jnp.eye(DIM), width)
    v = cj.simulate.fit_rows(sample.inputs @ projections, sample.outputs, 0.05, jnp.array(WEIGHTS)[sample.source])
    w = projections @ v
    return (MIXTURE.spectra[0] * (w - sample.labels[0]) ** 2).sum(), w * sample.labels[0]


@partial(jax.jit, static_argnums=1)
@partial(jax.vmap, in_axes=(0, None))
def error_of_fit(key, width):
    fitted = cj.simulate.fit(key, MIXTURE, COUNTS, 0.05, width, WEIGHTS)
    return fitted.error, fitted.coefficients * fitted.labels[0]


@pytest.mark.parametrize("width", [None, 7, pytest.param(60, marks=pytest.mark.slow)])
def test_fits_to_rows_and_fits_without_rows_have_one_law(width):
    rows_error, rows_overlap = error_of_rows(jax.random.split(jax.random.key(0), 2000), width)
    fit_error, fit_overlap = error_of_fit(jax.random.split(jax.random.key(1), 2000), width)
    assert stats.ks_2samp(rows_error, fit_error).pvalue > 1e-3
    spread = jnp.sqrt((rows_overlap.var(0) + fit_overlap.var(0)) / 2000)
    assert (jnp.abs(rows_overlap.mean(0) - fit_overlap.mean(0)) < 4 * spread).all()


def test_rows_have_the_covariances_labels_and_noise_of_their_source():
    counts = (40_000, 0, 60_000)
    sample = cj.simulate.rows(jax.random.key(0), MIXTURE, counts)
    assert np.bincount(sample.source, minlength=3).tolist() == list(counts)
    for k in (0, 2):
        chosen = np.asarray(sample.source) == k
        inputs, outputs = np.asarray(sample.inputs)[chosen], np.asarray(sample.outputs)[chosen]
        second = inputs.T @ inputs / len(inputs)
        scale = np.sqrt(np.asarray(MIXTURE.spectra[k]))
        error = np.sqrt((1 + np.eye(DIM)) / len(inputs)) * scale[:, None] * scale[None, :]
        assert (np.abs(second - np.diag(scale**2)) <= 4.5 * error).all()
        noise = outputs - inputs @ np.asarray(sample.labels[k])
        assert_allclose(noise.std(), MIXTURE.noise[k], rtol=0.02)


def _problem(n, dim):
    return RNG.standard_normal((n, dim)), RNG.standard_normal(n), RNG.random(n) * 2


@pytest.mark.parametrize(("n", "dim"), [(30, 8), (8, 30), (10, 10)])
def test_the_fit_minimises_the_weighted_objective(n, dim):
    x, y, weights = _problem(n, dim)

    def objective(v):
        return np.mean(weights * (x @ v - y) ** 2) + 0.1 * v @ v

    def gradient(v):
        return 2 * x.T @ (weights * (x @ v - y)) / n + 0.2 * v

    best = optimize.minimize(objective, np.zeros(dim), jac=gradient, method="BFGS", options={"gtol": 1e-11}).x
    assert_allclose(cj.simulate.fit_rows(x, y, 0.1, weights), best, atol=1e-7)


@pytest.mark.parametrize(("n", "dim"), [(30, 8), (8, 30)])
def test_without_ridge_the_fit_has_minimum_norm(n, dim):
    x, y, _ = _problem(n, dim)
    expected = np.linalg.pinv(x) @ y
    assert_allclose(cj.simulate.fit_rows(x, y, 0.0), expected, rtol=1e-10)
    assert_allclose(cj.simulate.fit_rows(x, y, 1e-10), expected, rtol=1e-6)


def test_columns_of_outputs_are_fitted_one_by_one():
    x, y, weights = _problem(12, 5)
    both = cj.simulate.fit_rows(x, np.stack([y, y**2], 1), 0.1, weights)
    for column, target in enumerate((y, y**2)):
        assert_allclose(both[:, column], cj.simulate.fit_rows(x, target, 0.1, weights), rtol=1e-12)


def test_random_projections_have_variance_one_over_d():
    projections = cj.simulate.random_features(jax.random.key(0), jnp.eye(50), 2000)
    assert_allclose(projections.var(), 1 / 50, rtol=0.02)


@pytest.mark.parametrize("activation", ["relu", "erf", "tanh", jnp.sin])
def test_random_features_are_centred_and_shared_under_one_key(activation):
    spectrum = cj.spectra.power_law(200, 0.5)
    inputs = jax.random.normal(jax.random.key(1), (400, 200)) * jnp.sqrt(spectrum)[None, :]
    features = cj.simulate.random_features(jax.random.key(0), inputs, 300, activation)
    assert abs(features.mean()) < 0.02
    again = cj.simulate.random_features(jax.random.key(0), inputs[::-1], 300, activation)
    assert_allclose(again[::-1], features, atol=1e-12)
