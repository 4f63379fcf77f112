"""What float32 keeps, against float64, over the whole domain of the theory."""

import jax
import jax.numpy as jnp
import numpy as np
import problems
import pytest

import collapse_jax as cj

DIM = 32
CASES = problems.domain(11, 2000, 3, DIM)
PARTS = ("bias", "variance", "collapse")


def _risks(dtype, sources, projected):
    cases = {name: jnp.asarray(value, dtype) for name, value in CASES.items()}

    @jax.jit
    @jax.vmap
    def of(case):
        if sources == 2:
            spectrum, moments = case["spectra"][0], case["moments"]
            numbers = (spectrum, moments[0, 0], moments[1, 1], case["noise"][0], case["noise"][1])
            mixture, weights, counts = cj.real_and_synthetic(*numbers), None, case["counts"][:2] + case["counts"][2] / 2
        else:
            mixture = cj.Mixture(case["spectra"], case["moments"], case["noise"])
            weights, counts = case["weights"], case["counts"]
        return cj.theory.risk(mixture, counts, case["ridge"], case["width"] if projected else None, weights)

    risk = jax.tree.map(np.asarray, of(cases))
    return {part: getattr(risk, part).astype(np.float64) for part in (*PARTS, "total")}


@pytest.mark.parametrize("projected", [False, True], ids=["linear", "projected"])
@pytest.mark.parametrize("sources", [2, 3], ids=["closed", "potential"])
def test_float32_is_finite_and_keeps_four_digits_of_every_total_and_three_of_every_part(sources, projected):
    """The worst of 4000 cases: 6e-5 of a total, 4e-4 of a part. Ninety-nine in a hundred: 1e-5."""
    single, double = (_risks(dtype, sources, projected) for dtype in (jnp.float32, jnp.float64))
    for part, worst in dict.fromkeys(PARTS, 1e-3).items() | {("total", 1e-4)}:
        assert np.isfinite(double[part]).all()
        assert np.isfinite(single[part]).all()
        # Correlated labels give a collapse of either sign, which near 0 is known only relative to the total.
        scale = np.abs(double["total" if part == "collapse" and sources == 3 else part])
        held = scale > 1e-30  # smaller parts, such as a bias without a ridge, underflow
        error = np.abs(single[part] - double[part])[held] / scale[held]
        assert error.max() < worst
        assert np.quantile(error, 0.99) < 1e-5


def test_simulation_in_float32_has_the_mean_of_float64():
    """The two precisions draw different numbers, so means are compared."""
    dim, keys = 32, jax.random.split(jax.random.key(0), 256)
    spectrum = cj.spectra.power_law(dim, 1.0)

    def mean(dtype):
        mixture = cj.real_and_synthetic(spectrum.astype(dtype), 1 / dim, 0.5 / dim, 0.3, 0.7)
        totals = jax.jit(jax.vmap(lambda key: cj.simulate.risk(key, mixture, [30, 20], 0.01, 40).total))(keys)
        assert totals.dtype == dtype
        return np.mean(totals), np.std(totals) / 16

    (single, single_error), (double, double_error) = mean(jnp.float32), mean(jnp.float64)
    assert abs(single - double) < 3 * np.hypot(single_error, double_error)


def test_whole_numbers_and_python_numbers_do_not_change_the_precision():
    mixture = cj.real_and_synthetic(jnp.ones(4, jnp.float32), 1, 0, noise_real=1)
    risk = cj.theory.risk(mixture, np.array([3, 5]), np.float64(0.1), 7)
    assert {leaf.dtype for leaf in jax.tree.leaves(risk)} == {jnp.dtype("float32")}
