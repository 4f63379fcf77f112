"""Scaling laws on power-law spectra: exact slopes meet the predicted exponents, and the chain that they stand for."""

import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

import collapse_jax as cj
from collapse_jax.theory import adaptive_exponent, critical_exponents, scaling

DIM = 20_000
N = jnp.geomspace(1e3, 1e5, 9)
LAWS = [(2.0, 0.375, 0.8), (1.5, 0.5, 0.6), (1.5, 1.5, 0.6), (2.5, 0.2, 1.0)]


@pytest.mark.parametrize(("capacity", "source", "ridge_exponent"), LAWS)
def test_slopes_tend_to_the_predicted_exponents(capacity, source, ridge_exponent):
    """Away from both ends of the spectrum. A source above 1 counts as 1: the ridge saturates."""
    law = scaling(N, capacity, source, ridge_exponent, dim=DIM, noise=1.0)
    middle = slice(3, 7)
    assert_allclose(law.slopes.variance[middle], law.predicted.variance[middle], atol=0.03)
    assert_allclose(law.slopes.bias[middle], law.predicted.bias[middle], atol=0.03)


@pytest.mark.parametrize("growth", [0.0, 0.5, 1.0])
@pytest.mark.parametrize(
    ("dim", "ridge_exponent", "n", "beyond"), [(10**5, 0.8, (5e2, 2e3), 0), (300, 0.5, (1e5, 1e6), 1)]
)
def test_collapse_falls_as_theorem_5_2_says(dim, ridge_exponent, n, beyond, growth):
    """Like max(T / T_0, d / T_0) T^-(1 - l / beta) for T_0 ~ T^growth: well below d samples, and well above."""
    counts = jnp.geomspace(*n, 5)
    law = scaling(
        counts, 2.0, 0.375, ridge_exponent,
        dim=dim, generators=3.0, generator_noise=1.0, generator_samples=1e12 * (counts / counts[0]) ** growth,
    )  # fmt: skip
    expected = beyond - (1 - ridge_exponent / 2) - growth
    assert_allclose(law.predicted.collapse, expected, atol=1e-9)
    assert_allclose(law.slopes.collapse[1:-1], expected, atol=0.03)


def test_slopes_are_those_of_the_risk():
    numbers = {"noise": 0.5, "generators": 2.0, "generator_noise": 0.3, "generator_samples": 40_000.0}
    law = scaling(N, 2.0, 0.375, 0.8, dim=DIM, **numbers)
    ahead, behind = (scaling(N * factor, 2.0, 0.375, 0.8, dim=DIM, **numbers) for factor in (1.001, 1 / 1.001))
    for part in ("bias", "variance", "collapse"):
        difference = jnp.log(getattr(ahead.risk, part) / getattr(behind.risk, part)) / (2 * np.log(1.001))
        assert_allclose(getattr(law.slopes, part), difference, rtol=1e-5)


def test_risk_is_that_of_the_chain():
    """``scaling`` writes generators as one shift, v / (T_0 - d) over each eigenvalue; the chain fits them one by one."""
    dim, generators, T0 = 60, 3, 150.0
    law = scaling(
        jnp.array([40.0, 500.0]), 2.0, 0.375, 0.8, dim=dim, noise=0.5,
        generators=float(generators), generator_noise=0.7, generator_samples=T0,
    )  # fmt: skip
    j = jnp.arange(1.0, dim + 1)
    last = np.arange(generators + 1) == generators
    for i, n in enumerate((40.0, 500.0)):
        schedule = cj.Schedule(
            real=0.0,
            synthetic=np.where(last, n, T0),
            ridge=np.where(last, n**-0.8, 0.0),
            noise_synthetic=np.where(last, 0.5, 0.7),
        )
        chain = cj.theory.generations(j**-2.0, j**-0.5, schedule)
        for part in ("bias", "variance", "collapse"):
            assert_allclose(getattr(law.risk, part)[i], getattr(chain, part)[-1], rtol=1e-9)


@pytest.mark.slow
def test_collapse_takes_over_at_the_crossover():
    numbers = {"noise": 1.0, "generators": 5.0, "generator_noise": 1.0, "generator_samples": 1e5}
    law = scaling(jnp.geomspace(1e2, 1e6, 41), 2.0, 0.375, 0.8, dim=300, **numbers)
    at = scaling(law.crossover[None], 2.0, 0.375, 0.8, dim=300, **numbers).risk
    assert 1e2 < law.crossover < 1e6
    assert_allclose(at.collapse, at.bias + at.variance, rtol=0.01)
    never = scaling(N, 2.0, 0.375, 0.8, dim=300, noise=1.0)
    assert jnp.isnan(never.crossover)


def test_the_critical_ridge_has_the_steepest_law():
    """With l_crit the error falls like n^-c; a stronger ridge slows the bias, a weaker one the variance."""
    best = critical_exponents(2.0, 0.375)
    slopes = []
    for exponent in (best.ridge - 0.3, best.ridge, best.ridge + 0.3):
        law = scaling(N, 2.0, 0.375, exponent, dim=DIM, noise=1.0)
        slopes.append(float(jnp.gradient(jnp.log(law.risk.total), jnp.log(N))[5]))
    assert slopes[1] == pytest.approx(-float(best.risk), abs=0.03)
    assert slopes[1] < min(slopes[0], slopes[2]) - 0.05


def test_the_adaptive_ridge_is_stronger_where_generators_are_few():
    assert_allclose(adaptive_exponent(2.0, 0.375, 1.0), critical_exponents(2.0, 0.375).ridge)
    assert adaptive_exponent(2.0, 0.375, 0.3) < critical_exponents(2.0, 0.375).ridge
    assert adaptive_exponent(2.0, 0.375, 100.0) == 2.0  # never below the smallest eigenvalues' own decay


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"capacity": 1.0}, "capacity is 1.*above 1"),
        ({"source": -0.1}, "source is -0.1"),
        ({"n": jnp.zeros((2, 2))}, r"n has shape \(2, 2\)"),
        ({"n": jnp.array([1.0, -1.0])}, "n is -1"),
        ({"noise": -1.0}, "noise is -1"),
        ({"generators": 2.0}, "generators is 2.*Give generator_samples"),
        ({"generators": 2.0, "generator_samples": 10.0}, "generator_samples is 10.*above dim"),
    ],
)
def test_bad_numbers_are_named(change, message):
    numbers = {"n": N, "capacity": 2.0, "source": 0.375, "ridge_exponent": 0.8} | change
    with pytest.raises(ValueError, match=message):
        scaling(**numbers, dim=30)
