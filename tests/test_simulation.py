"""Exact simulation: its conditional expectations, its extremes, and what a shared key means."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import problems
import pytest
from numpy.testing import assert_allclose
from problems import at

import collapse_jax as cj

DIM = 24
CASE = at(problems.moderate(0, 1, 3, DIM), 0)
MIXTURE = cj.Mixture(CASE["spectra"], CASE["moments"], CASE["noise"])
COUNTS, WEIGHTS, KEY = (30.0, 9.0, 14.0), (1.0, 0.3, 2.0), jax.random.key(3)
SPECTRUM = cj.spectra.power_law(DIM, 1.0)
PAPER = cj.real_and_synthetic(SPECTRUM, 1 / DIM, 0.5 / DIM / SPECTRUM, 0.3, 0.7)
WIDTHS = pytest.mark.parametrize("width", [None, 10.0, 60.0])


@WIDTHS
def test_risk_is_the_mean_error_of_fits_that_share_the_design(width):
    """The design of a fit depends on the key alone, so its coefficients are linear in the labels and give the mean exactly."""
    quiet = cj.Mixture(MIXTURE.spectra, MIXTURE.label_moments, 0.0)

    def coefficients(labels):
        return cj.simulate.fit(KEY, quiet, COUNTS, 0.1, width, WEIGHTS, labels=labels).coefficients

    # The linear map from labels (K, d) to coefficients (d,), column by column.
    units = jnp.eye(3 * DIM).reshape(3 * DIM, 3, DIM)
    learned = jax.jit(jax.vmap(coefficients))(units).T.reshape(DIM, 3, DIM)
    missed = learned.at[:, 0].add(-jnp.eye(DIM))
    expected = jnp.einsum("i,ika,ila,kla->", MIXTURE.spectra[0], missed, missed, MIXTURE.label_moments)
    actual = cj.simulate.risk(KEY, quiet, COUNTS, 0.1, width, WEIGHTS)
    assert_allclose(actual.total, expected, rtol=1e-10)
    shared = learned.sum(1) - jnp.eye(DIM)
    assert_allclose(actual.bias, (MIXTURE.spectra[0][:, None] * shared**2 * MIXTURE.signal[None, :]).sum(), rtol=1e-10)
    assert actual.variance == 0


@pytest.mark.parametrize("width", [None, 10.0])
def test_variance_is_the_mean_squared_response_to_noise(width):
    deaf = cj.Mixture(MIXTURE.spectra, 0 * MIXTURE.label_moments, MIXTURE.noise)

    @jax.jit
    @jax.vmap
    def both(key):
        numbers = (key, deaf, COUNTS, 0.1, width, WEIGHTS)
        return cj.simulate.fit(*numbers).error, cj.simulate.risk(*numbers).variance

    errors, variances = both(jax.random.split(KEY, 2000))
    gaps = np.asarray(errors - variances)  # the same designs: only the noise differs from its mean
    assert abs(gaps.mean()) < 3 * gaps.std() / np.sqrt(gaps.size)


@WIDTHS
def test_endless_data_and_width_are_deterministic(width):
    width = None if width is None else 1e14
    ridge = 0.1 if width is None else 0.1 * width / DIM
    endless = [cj.simulate.risk(jax.random.key(seed), PAPER, cj.split(1e14, 0.3), ridge, width) for seed in (0, 1)]
    chex.assert_trees_all_close(endless[0], endless[1], rtol=1e-5, atol=1e-12)
    expected = cj.theory.risk(PAPER, cj.split(1e14, 0.3), 0.1)
    chex.assert_trees_all_close(endless[0], expected, rtol=1e-5, atol=1e-12)


def test_a_trillion_samples_give_a_finite_and_right_risk():
    risk = cj.simulate.risk(KEY, PAPER, cj.split(1e12, 0.3), 1e-9, 1e12)
    assert_allclose(risk.collapse, 0.3**2 * 0.5, rtol=1e-4)
    assert risk.total < 0.3**2 * 0.5 + 1e-4


@WIDTHS
def test_curves_over_samples_are_smooth_under_one_key(width):
    """Shared random numbers: one more sample moves the risk by far less than another key does."""
    risks = [cj.simulate.risk(KEY, PAPER, [n, 500.0], 0.1, width).total for n in (1000.0, 1001.0)]
    other = cj.simulate.risk(jax.random.key(4), PAPER, [1000.0, 500.0], 0.1, width).total
    assert abs(risks[1] - risks[0]) < 0.2 * abs(other - risks[0])


@WIDTHS
def test_counts_and_widths_are_rounded_to_whole_numbers(width):
    fractional = None if width is None else width + 0.3
    exact = cj.simulate.risk(KEY, PAPER, [30.0, 20.0], 0.1, width)
    chex.assert_trees_all_equal(cj.simulate.risk(KEY, PAPER, [29.8, 20.4], 0.1, fractional), exact)


@WIDTHS
def test_a_source_without_samples_has_no_part(width):
    alone = cj.simulate.risk(KEY, PAPER, [30.0, 0.0], 0.1, width)
    assert alone.collapse == 0
    silent = cj.simulate.risk(KEY, PAPER, [30.0, 20.0], 0.1 * 30 / 50, width, [1.0, 0.0])
    chex.assert_trees_all_close(silent, alone, rtol=1e-9)


@WIDTHS
def test_a_common_factor_of_weights_and_ridge_changes_nothing(width):
    once = cj.simulate.risk(KEY, MIXTURE, COUNTS, 0.1, width, WEIGHTS)
    scaled = cj.simulate.risk(KEY, MIXTURE, COUNTS, 0.7, width, 7 * jnp.array(WEIGHTS))
    chex.assert_trees_all_close(scaled, once, rtol=1e-9)


def test_a_model_narrower_than_the_data_fits_within_its_projections():
    fits = [cj.simulate.fit(jax.random.key(seed), PAPER, [500.0, 0.0], 1e-8, 3.0) for seed in range(200)]
    coefficients = jnp.stack([fitted.coefficients for fitted in fits[:1]])
    assert jnp.isfinite(coefficients).all()
    errors = np.array([fitted.error for fitted in fits])
    expected = cj.theory.risk(PAPER, [500.0, 0.0], 1e-8, 3.0).total
    assert abs(errors.mean() - expected) < 3 * errors.std() / np.sqrt(200) + 2 / DIM * expected


def test_given_labels_are_the_ones_that_are_learned():
    truth = jnp.linspace(-1.0, 1.0, DIM)
    fitted = cj.simulate.fit(KEY, PAPER, [1e10, 0.0], 1e-9, labels=jnp.stack([truth, 0 * truth]))
    assert_allclose(fitted.coefficients, truth, atol=1e-3)
    assert (fitted.labels[0] == truth).all()
    wrong = cj.simulate.fit(KEY, PAPER, [0.0, 1e10], 1e-9, labels=jnp.stack([truth, 0 * truth]))
    assert_allclose(wrong.error, (SPECTRUM * truth**2).sum(), rtol=1e-3)


def test_drawn_labels_have_the_second_moments_of_the_mixture():
    labels = jax.vmap(cj.simulate.draw_labels, (0, None))(jax.random.split(KEY, 40_000), MIXTURE)
    moments = jnp.einsum("zki,zli->kli", labels, labels) / len(labels)
    own = jnp.stack([MIXTURE.label_moments[k, k] for k in range(3)])
    # A product of two Gaussians has at most twice the product of their second moments as its variance.
    error = jnp.sqrt(2 * own[:, None] * own[None, :] / len(labels))
    assert (jnp.abs(moments - MIXTURE.label_moments) < 5 * error).all()


def test_a_ridge_that_rounding_would_drown_is_refused():
    smallest = cj.simulate.smallest_ridge(PAPER)
    assert_allclose(smallest, 100 * 2.2e-16 * SPECTRUM.max(), rtol=0.02)
    assert jnp.isfinite(cj.simulate.risk(KEY, PAPER, [10.0, 2.0], 1.01 * smallest).total)
    with pytest.raises(ValueError, match="ridge"):
        cj.simulate.risk(KEY, PAPER, [10.0, 2.0], 0.5 * smallest)
