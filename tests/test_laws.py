"""Fitted scaling laws: exact losses give their law back, noisy ones within the stated errors, and floors are told from none."""

import numpy as np
import pytest

from collapse_jax.planner import fit_law

SIZE = np.geomspace(1e5, 1e9, 9)


@pytest.mark.parametrize(("floor", "scale", "exponent"), [(1.5, 300.0, 0.35), (0.02, 1e4, 1.0), (3.0, 20.0, 0.1)])
def test_exact_losses_give_their_law(floor: float, scale: float, exponent: float) -> None:
    found = fit_law(SIZE, floor + scale * SIZE**-exponent)
    assert found.with_floor.floor == pytest.approx(floor, rel=1e-4)
    assert found.with_floor.scale == pytest.approx(scale, rel=1e-3)
    assert found.with_floor.exponent == pytest.approx(exponent, rel=1e-4)
    assert found.floor_weight > 0.999
    np.testing.assert_allclose(found.with_floor(SIZE), floor + scale * SIZE**-exponent, rtol=1e-6)


def test_a_pure_power_law_needs_no_floor() -> None:
    found = fit_law(SIZE, 50 * SIZE**-0.25)
    assert found.with_floor.floor == pytest.approx(0, abs=1e-6)
    assert found.without_floor.exponent == pytest.approx(0.25, rel=1e-8)
    assert found.floor_weight < 0.5


@pytest.mark.parametrize("known", [True, False])
def test_stated_errors_are_those_of_repeated_fits(known: bool) -> None:
    generator, truth = np.random.default_rng(0), 0.4 + 60 * SIZE**-0.4
    error = 0.01 * truth
    draws = [truth + error * generator.standard_normal(9) for _ in range(300)]
    found = [fit_law(SIZE, draw, error if known else None).with_floor for draw in draws]
    for i, name in enumerate(("floor", "scale", "exponent")):
        values = np.array([getattr(law, name) for law in found])
        stated = np.median([law.errors[i] for law in found])
        assert stated == pytest.approx(values.std(), rel=0.25)
    floors = np.array([law.floor for law in found])
    assert abs(floors.mean() - 0.4) < 4 * floors.std() / 300**0.5 + 0.002


def test_noise_alone_seldom_makes_a_floor() -> None:
    generator, truth = np.random.default_rng(1), 60 * SIZE**-0.4
    weights = [
        fit_law(SIZE, truth * (1 + 0.02 * generator.standard_normal(9)), 0.02 * truth).floor_weight for _ in range(200)
    ]
    assert np.mean(np.array(weights) > 0.9) < 0.05


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match="size has 3 numbers; at least 4"):
        fit_law(SIZE[:3], SIZE[:3])
    with pytest.raises(ValueError, match=r"loss \(8,\)"):
        fit_law(SIZE, SIZE[:8])
    with pytest.raises(ValueError, match="loss is -1 at index 2; it must be finite and above 0"):
        fit_law(SIZE, np.where(np.arange(9) == 2, -1.0, 1.0))
