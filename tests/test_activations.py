"""Hermite coefficients of activations: known values, quadrature, and what they mean."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import integrate, special, stats

from collapse_jax.activations import mean_of
from collapse_jax.theory import hermite_coefficients

VARIANCES = pytest.mark.parametrize("variance", [1e-3, 0.5, 1.0, 4.0])
NUMPY = {"relu": lambda x: max(x, 0.0), "erf": special.erf, "tanh": np.tanh}


def _by_scipy(function, variance):
    """Mean, mu_1^2 and mu_*^2 by adaptive quadrature on both sides of 0."""
    q = np.sqrt(variance)

    def expect(f):
        density = stats.norm.pdf
        return sum(integrate.quad(lambda g: f(g) * density(g), *side, epsabs=1e-14)[0] for side in ((-12, 0), (0, 12)))

    mean, square = expect(lambda g: function(q * g)), expect(lambda g: function(q * g) ** 2)
    linear = (expect(lambda g: g * function(q * g)) / q) ** 2
    return mean, linear, square - mean**2 - linear * variance


@VARIANCES
@pytest.mark.parametrize("name", ["relu", "erf", "tanh"])
def test_coefficients_are_the_gaussian_integrals(name, variance):
    mean, linear, leak = _by_scipy(NUMPY[name], variance)
    actual = hermite_coefficients(name, variance)
    assert_allclose(actual[0], linear, rtol=1e-9)
    assert_allclose(actual[1], leak, rtol=1e-9, atol=1e-13)
    assert_allclose(mean_of(name, jnp.asarray(variance)), mean, rtol=1e-9, atol=1e-13)


@VARIANCES
@pytest.mark.parametrize(("name", "function"), [("relu", jax.nn.relu), ("erf", jax.scipy.special.erf)])
def test_closed_forms_and_quadrature_agree(name, function, variance):
    closed, quadrature = hermite_coefficients(name, variance), hermite_coefficients(function, variance)
    assert_allclose(quadrature, closed, rtol=1e-9, atol=1e-13)


@VARIANCES
def test_a_line_is_all_linear_and_a_parabola_all_leak(variance):
    assert_allclose(hermite_coefficients(lambda x: 3 * x + 1, variance), (9, 0), atol=1e-11)
    assert_allclose(hermite_coefficients(jnp.square, variance), (0, 2 * variance**2), rtol=1e-10, atol=1e-25)


def test_the_cubic_hermite_polynomial_is_all_leak():
    assert_allclose(hermite_coefficients(lambda x: x**3 - 3 * x, 1.0), (0, 6), rtol=1e-10, atol=1e-20)


@pytest.mark.parametrize("name", ["erf", "tanh"])
def test_a_smooth_activation_is_linear_at_small_inputs(name):
    slope = {"erf": 4 / np.pi, "tanh": 1.0}[name]
    linear, leak = hermite_coefficients(name, 1e-8)
    assert_allclose(linear, slope, rtol=1e-6)
    assert abs(leak) < 1e-15
