"""Eigenvalue profiles."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

import collapse_jax as cj

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0, 4.0])
@pytest.mark.parametrize("trace", [None, 1.0, 1e6])
def test_power_laws_fall_as_a_power_and_sum_to_their_trace(exponent, trace):
    spectrum = cj.spectra.power_law(600, exponent, trace)
    assert_allclose(spectrum.sum(), trace or 600, rtol=1e-13)
    assert_allclose(spectrum[0] / spectrum[9], 10**exponent, rtol=1e-12)


def test_isotropic_is_the_power_law_of_exponent_zero():
    assert_allclose(cj.spectra.isotropic(7, 21.0), 3.0)
    assert_allclose(cj.spectra.power_law(7, 0.0, 21.0), 3.0)


def test_exponents_and_traces_are_differentiable():
    slope = jax.grad(lambda exponent: jnp.log(cj.spectra.power_law(50, exponent))[9] - jnp.log(50.0))(1.0)
    index = np.arange(1, 51)
    expected = np.sum(np.log(index) / index) / np.sum(1 / index) - np.log(10)
    assert_allclose(slope, expected, rtol=1e-12)


def test_a_covariance_is_rebuilt_from_its_eigenbasis():
    root = RNG.standard_normal((6, 6))
    covariance = root @ root.T
    found = cj.spectra.from_covariance(covariance)
    assert (jnp.diff(found.spectrum) <= 0).all()
    assert_allclose(found.basis @ jnp.diag(found.spectrum) @ found.basis.T, covariance, atol=1e-12)
    assert_allclose(found.basis.T @ found.basis, jnp.eye(6), atol=1e-13)


def test_a_singular_covariance_has_exact_zeros():
    root = RNG.standard_normal((6, 2))
    spectrum = cj.spectra.from_covariance(root @ root.T).spectrum
    assert (spectrum[2:] == 0).all()
    assert (spectrum[:2] > 0).all()


@pytest.mark.parametrize("center", [True, False])
def test_data_give_the_covariance_that_numpy_gives(center):
    rows = RNG.standard_normal((50, 4)) @ np.diag([3.0, 2.0, 1.0, 0.5]) + 5
    found = cj.spectra.from_data(rows, center=center)
    expected = np.cov(rows.T, bias=True) if center else rows.T @ rows / 50
    assert_allclose(found.spectrum, np.linalg.eigvalsh(expected)[::-1], rtol=1e-10)
    assert_allclose(found.mean, rows.mean(0) if center else 0, atol=1e-12)


def test_fewer_rows_than_dimensions_leave_zero_eigenvalues():
    rows = RNG.standard_normal((4, 9))
    spectrum = cj.spectra.from_data(rows).spectrum
    assert (spectrum > 0).sum() == 3
    assert spectrum.shape == (9,)


def test_rows_become_uncorrelated_in_their_basis():
    rows = RNG.standard_normal((300, 4)) @ RNG.standard_normal((4, 4))
    found = cj.spectra.from_data(rows)
    turned = found.coordinates(rows)
    assert_allclose(turned.T @ turned / 300, jnp.diag(found.spectrum), atol=1e-12)
