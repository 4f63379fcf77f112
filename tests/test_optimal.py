"""The best ridge under the exact risk."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import collapse_jax as cj

DIM = 60


@pytest.fixture(scope="module")
def mixture():
    return cj.real_and_synthetic(cj.spectra.power_law(DIM), 1 / DIM, 0.3 / DIM, noise_real=0.5, noise_synthetic=0.2)


@pytest.fixture(scope="module")
def best():
    """Best ridge of a mixture by synthetic fraction, compiled once."""
    return jax.jit(lambda mixture, fraction: cj.theory.optimal_ridge(mixture, cj.split(200.0, fraction), 90.0))


def test_isotropic_optimum_is_noise_over_signal_and_samples():
    """Without synthetic data the best ridge is sigma^2 d / (n r^2), below and above the threshold."""
    mixture = cj.real_and_synthetic(cj.spectra.isotropic(DIM), 2.0 / DIM, 0.0, noise_real=0.7)
    optimum = jax.vmap(lambda n: cj.theory.optimal_ridge(mixture, cj.split(n, 0.0)))(jnp.array([30.0, 60.0, 500.0]))
    np.testing.assert_allclose(optimum.value, 0.49 * DIM / (np.array([30.0, 60.0, 500.0]) * 2.0), rtol=1e-8)


def test_optimum_has_no_slope_and_beats_its_neighbours(mixture, best):
    optimum = best(mixture, 0.3)
    assert abs(optimum.slope) < 1e-10
    assert optimum.risk.total <= optimum.grid_risk
    for factor in (0.9, 1.1):
        assert cj.theory.risk(mixture, cj.split(200.0, 0.3), optimum.value * factor, 90.0).total > optimum.risk.total


def test_optimum_is_differentiable(mixture, best):
    step = 1e-4
    slope = jax.grad(lambda fraction: best(mixture, fraction).value)(0.3)
    difference = (best(mixture, 0.3 + step).value - best(mixture, 0.3 - step).value) / (2 * step)
    assert float(slope) == pytest.approx(float(difference), rel=1e-6)


def test_more_noise_asks_for_more_ridge(mixture, best):
    louder = cj.Mixture(mixture.spectra, mixture.label_moments, 2 * mixture.noise, shared_spectrum=True)
    assert best(louder, 0.3).value > best(mixture, 0.3).value


def test_without_noise_or_collapse_the_smallest_ridge_is_best():
    """The risk then falls all the way to the end of the range, which is returned with its slope."""
    mixture = cj.real_and_synthetic(cj.spectra.isotropic(DIM), 1.0, 0.0)
    optimum = cj.theory.optimal_ridge(mixture, cj.split(500.0, 0.0))
    assert float(optimum.value) == pytest.approx(1e-12, rel=1e-6)
    assert optimum.slope > 0


def test_both_theories_have_the_same_optimum(mixture, best):
    general = cj.Mixture(mixture.spectra, mixture.label_moments, mixture.noise)
    counts = cj.split(200.0, 0.3)
    weighted = cj.theory.optimal_ridge(general, counts, 90.0, [1.0, 1.0])
    assert float(weighted.value) == pytest.approx(float(best(mixture, 0.3).value), rel=1e-9)


def test_bad_counts_are_named(mixture):
    with pytest.raises(ValueError, match="counts is -1 at index 0"):
        cj.theory.optimal_ridge(mixture, [-1.0, 2.0])
