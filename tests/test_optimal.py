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


# The best synthetic fraction --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def helpful():
    """Synthetic labels with less noise than the real ones, and a small shift."""
    return cj.real_and_synthetic(cj.spectra.isotropic(DIM), 1 / DIM, 0.3 / DIM, noise_real=1.0, noise_synthetic=0.3)


@pytest.fixture(scope="module")
def best_fraction():
    return jax.jit(lambda mixture, n: cj.theory.optimal_fraction(mixture, n, 1e-3))


def test_best_fraction_has_no_slope_and_beats_a_fine_grid(helpful, best_fraction):
    optimum = best_fraction(helpful, 300.0)
    fractions = jnp.linspace(0, 1, 401)
    risks = jax.vmap(lambda p: cj.theory.risk(helpful, cj.split(300.0, p), 1e-3).total)(fractions)
    assert abs(optimum.slope) < 1e-9
    assert optimum.risk.total <= risks.min()
    assert abs(optimum.value - fractions[risks.argmin()]) < 1 / 400


def test_best_fraction_without_a_ridge_trades_noise_for_shift(helpful, best_fraction):
    """Corollary 1: E = h (p_1 v_1 + p_2 v_2) + (p_2^2 + p_1 p_2 h) c^2, h = phi / (1 - phi), as a parabola in p_2."""
    c2, gain = 0.3, 1 - 0.09
    for n in (1e3, 1e5):
        h = DIM / (n - DIM)
        optimum = cj.theory.optimal_fraction(helpful, n, 1e-10)
        assert float(optimum.value) == pytest.approx(h * (gain - c2) / (2 * c2 * (1 - h)), rel=1e-5)


def test_best_fraction_moves_as_its_derivative_says(helpful, best_fraction):
    slope = jax.grad(lambda n: best_fraction(helpful, n).value)(300.0)
    difference = (best_fraction(helpful, 303.0).value - best_fraction(helpful, 297.0).value) / 6
    assert float(slope) == pytest.approx(float(difference), rel=1e-3)


def test_labels_that_are_only_wrong_are_left_out(best_fraction):
    worse = cj.real_and_synthetic(cj.spectra.isotropic(DIM), 1 / DIM, 1 / DIM, noise_real=0.1, noise_synthetic=0.1)
    optimum = best_fraction(worse, 300.0)
    assert optimum.value == 0
    assert optimum.slope > 0


def test_a_fraction_is_between_two_sources(mixture):
    one = cj.Mixture(mixture.spectra[:1], mixture.label_moments[:1, :1], mixture.noise[:1])
    with pytest.raises(ValueError, match="mixture has 1 sources; optimal_fraction mixes two"):
        cj.theory.optimal_fraction(one, 100.0, 1e-3)


# The best weights -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def three():
    """Real labels, a close model's, and a distant one's, each with its own spectrum and noise."""
    spectra = jnp.stack([cj.spectra.power_law(DIM, exponent) for exponent in (1.0, 0.8, 1.2)])
    shifts = np.array([0.0, 0.05, 1.0])
    moments = np.broadcast_to((1 + np.diag(shifts))[:, :, None] / DIM, (3, 3, DIM))
    return cj.Mixture(spectra, moments, jnp.array([0.6, 0.2, 0.1]))


@pytest.fixture(scope="module")
def best_weights():
    """Best weights of a mixture at some counts, compiled once a number of sources."""
    return jax.jit(lambda mixture, counts: cj.theory.optimal_weights(mixture, counts, 0.05))


def test_best_weights_have_no_slope_and_beat_their_neighbours(three, best_weights):
    counts = jnp.array([100.0, 300.0, 200.0])
    optimum = best_weights(three, counts)
    assert float((counts * optimum.value).sum()) == pytest.approx(600.0, rel=1e-12)
    assert jnp.abs(optimum.slope).max() < 1e-7
    assert optimum.risk.total <= optimum.grid_risk
    near = optimum.value[None, :] * jnp.exp(0.05 * jax.random.normal(jax.random.key(0), (32, 3)))
    near = near * (600.0 / (near @ counts))[:, None]
    risks = jax.vmap(lambda weights: cj.theory.risk(three, counts, 0.05, weights=weights).total)(near)
    assert risks.min() > optimum.risk.total


def test_best_weights_move_as_their_derivative_says(three, best_weights):
    counts, direction = jnp.array([100.0, 300.0, 200.0]), jnp.array([1.0, -2.0, 0.5])
    _, slope = jax.jvp(lambda given: best_weights(three, given).value, (counts,), (direction,))
    ahead, behind = (best_weights(three, counts + step * direction).value for step in (0.1, -0.1))
    np.testing.assert_allclose(slope, (ahead - behind) / 0.2, rtol=1e-4)


def test_a_source_without_samples_has_no_weight(three, best_weights):
    optimum = best_weights(three, jnp.array([100.0, 300.0, 0.0]))
    assert optimum.value[2] == 0
    pair = cj.Mixture(three.spectra[:2], three.label_moments[:2, :2], three.noise[:2])
    expected = cj.theory.optimal_weights(pair, [100.0, 300.0], 0.05)
    np.testing.assert_allclose(optimum.value[:2], expected.value, rtol=1e-6)


def test_best_weight_with_much_data_is_that_of_two_unequal_estimates():
    """Equation 16, phi to 0: alpha = (v_1 / p_1) phi / (c^2 + (v_1 / p_1 + v_2 / p_2) phi), Corollary 2 corrected."""
    c2, v1, v2, p1, n = 0.25, 1.0, 0.25, 0.4, 6e5
    mixture = cj.real_and_synthetic(cj.spectra.isotropic(DIM), 1 / DIM, c2 / DIM, 1.0, 0.5)
    phi, p2 = DIM / n, 1 - p1
    optimum = cj.theory.optimal_weights(mixture, [p1 * n, p2 * n], 1e-9)
    expected = v1 / p1 * phi / (c2 + (v1 / p1 + v2 / p2) * phi)
    assert float(optimum.value[1] * p2) == pytest.approx(expected, rel=2e-3)


def test_best_weights_are_best_in_simulation(three, best_weights):
    """Common random numbers: the mean over 64 draws is least at the best weights, among moves of a third."""
    counts = jnp.array([100.0, 300.0, 200.0])
    best = best_weights(three, counts).value
    factors = jnp.concatenate([jnp.ones((1, 3)), 1 + jnp.eye(3) / 2, 1 / (1 + jnp.eye(3) / 2)])
    settings = best[None, :] * factors
    settings = settings * (600.0 / (settings @ counts))[:, None]

    def total(key, weights):
        return cj.simulate.risk(key, three, counts, 0.05, None, weights).total

    drawn = jax.jit(jax.vmap(jax.vmap(total, (None, 0)), (0, None)))(jax.random.split(jax.random.key(0), 64), settings)
    loss = np.asarray(drawn[:, 1:] - drawn[:, :1])
    assert np.all(loss.mean(0) > 2 * loss.std(0, ddof=1) / 8)
