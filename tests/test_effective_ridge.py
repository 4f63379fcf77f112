"""The fixed point: effective ridge of one covariance, and of many sources."""

import jax
import jax.numpy as jnp
import numpy as np
import problems
import pytest
from hypothesis import given
from numpy.testing import assert_allclose

import collapse_jax as cj
from collapse_jax.theory import effective_ridge, potential

DIM = 16
WIDTHS = pytest.mark.parametrize("projected", [False, True], ids=["linear", "projected"])
CASES = problems.domain(0, 4000, 3, DIM)
kappa = jax.jit(cj.theory.kappa)


def _scalar_residual(spectrum, n, ridge, width):
    return effective_ridge.residual(spectrum, n, ridge, effective_ridge.solve(spectrum, n, ridge, width), width)


def _potential_residual(case, coefficients):
    label_moments = jnp.zeros((3, 3, DIM))
    mixture = cj.Mixture(case["spectra"], label_moments, jnp.zeros(3))
    problem = potential.problem_of(
        mixture.spectra, case["counts"], case["ridge"], case["width"], case["weights"], coefficients
    )
    state = potential.solve(problem)
    positive = jnp.all(state.gamma > 0) & jnp.all(state.gamma <= 1) & (state.mu > 0)
    return jnp.where(positive, potential.residual(problem, state), jnp.inf)


scalar_residual = jax.jit(_scalar_residual)
potential_residual = jax.jit(_potential_residual)
PROJECTIONS, RELU = (jnp.ones(()), jnp.zeros(())), (jnp.full((), 0.25), jnp.full((), 0.25 - 0.5 / np.pi))


def _case(point, projected):
    """Arrays of fixed shape from one drawn point of the domain."""
    spectra = np.arange(1.0, DIM + 1)[None, :] ** -np.array(point["decay"])[:, None]
    for row, zeros in zip(spectra, point["zeros"], strict=True):
        row[DIM - zeros :] = 0
    shares = np.array(point["shares"], float)
    arrays = {
        "spectra": spectra * DIM / spectra.sum(1, keepdims=True),
        "counts": 10 ** point["samples"] * DIM * shares / shares.sum(),
        "weights": 10 ** np.array(point["weights"]),
        "ridge": 10 ** point["ridge"],
        "width": 10 ** point["width"] * DIM,
    }
    case = {name: jnp.asarray(value) for name, value in arrays.items()}
    return case if projected else case | {"width": None}


# Residuals --------------------------------------------------------------------------------------------------------------------


@WIDTHS
def test_kappa_solves_its_equation_on_4000_random_problems(projected):
    spectra, n = CASES["spectra"][:, 0], CASES["counts"].sum(1)
    width = CASES["width"] if projected else None
    residual = jax.vmap(scalar_residual)(spectra, n, CASES["ridge"], width)
    assert residual.max() < 1e-13


@pytest.mark.parametrize("coefficients", [None, PROJECTIONS, RELU], ids=["linear", "projected", "relu"])
def test_three_weighted_sources_solve_their_equations_on_4000_random_problems(coefficients):
    cases = {name: CASES[name] for name in ("spectra", "counts", "ridge", "width", "weights")}
    cases |= {} if coefficients else {"width": None}
    residual = jax.vmap(potential_residual, (0, None))(cases, coefficients or PROJECTIONS)
    assert residual.max() < 1e-13


@WIDTHS
@problems.properties
@given(point=problems.domain_point())
def test_kappa_solves_its_equation_anywhere(projected, point):
    case = _case(point, projected)
    assert scalar_residual(case["spectra"][0], case["counts"].sum(), case["ridge"], case["width"]) < 1e-13


@pytest.mark.parametrize("coefficients", [None, PROJECTIONS, RELU], ids=["linear", "projected", "relu"])
@problems.properties
@given(point=problems.domain_point())
def test_three_weighted_sources_solve_their_equations_anywhere(coefficients, point):
    case = _case(point, projected=coefficients is not None)
    assert potential_residual(case, coefficients or PROJECTIONS) < 1e-13


@pytest.mark.parametrize("ridge", [1e-12, 1.0, 1e6])
@pytest.mark.parametrize(("n", "width"), [(DIM, DIM), (DIM, 1e9 * DIM), (1e9 * DIM, DIM), (4.0, 4.0), (1e-3, 1e-3)])
def test_the_equation_is_solved_on_the_interpolation_threshold(n, width, ridge):
    for spectrum in (cj.spectra.isotropic(DIM), cj.spectra.power_law(DIM, 4.0)):
        assert scalar_residual(spectrum, jnp.asarray(n * 1.0), jnp.asarray(ridge), jnp.asarray(width * 1.0)) < 1e-13


# Kappa ------------------------------------------------------------------------------------------------------------------------


@WIDTHS
def test_kappa_is_the_root_that_scipy_finds(projected):
    for i in range(300):
        spectrum, n, ridge = CASES["spectra"][i, 0], CASES["counts"][i].sum(), CASES["ridge"][i]
        width = CASES["width"][i] if projected else None
        expected = problems.kappa_by_brentq(spectrum, n, ridge, width)
        # SciPy's bracketed function loses digits where 1 - df1 / n is small.
        assert_allclose(kappa(spectrum, n, ridge, width), expected, rtol=1e-9)


@pytest.mark.parametrize("phi", [1e-9, 0.5, 1.0, 2.0, 1e3])
@pytest.mark.parametrize("ridge", [1e-12, 1e-3, 1.0, 1e6])
def test_kappa_of_isotropic_inputs_is_the_root_of_a_quadratic(phi, ridge):
    b = ridge + (phi - 1)
    root = np.sqrt(b**2 + 4 * ridge)
    expected = (b + root) / 2 if b > 0 else 2 * ridge / (root - b)
    # Near the threshold df1 = d / (1 + kappa) keeps eps / kappa of its digits, and kappa no more.
    assert_allclose(kappa(jnp.ones(DIM), DIM / phi, ridge), expected, rtol=1e-12 + (phi == 1) * 2.3e-16 / expected)


@WIDTHS
def test_kappa_scales_with_the_units_of_the_inputs(projected):
    spectrum, width = cj.spectra.power_law(DIM, 1.5), 20.0 if projected else None
    once, scaled = kappa(spectrum, 10.0, 0.1, width), kappa(1e5 * spectrum, 10.0, 1e5 * 0.1, width)
    assert_allclose(scaled, 1e5 * once, rtol=1e-13)


def test_directions_without_variance_cost_nothing():
    spectrum = cj.spectra.power_law(DIM, 1.0)
    padded = jnp.append(spectrum, jnp.zeros(DIM))
    assert_allclose(kappa(padded, 10.0, 0.1), kappa(spectrum, 10.0, 0.1), rtol=1e-14)
    # Projections with entries N(0, 1/d) shrink by the padding, which acts like a larger ridge.
    assert_allclose(kappa(padded, 10.0, 0.1, 7.0), kappa(spectrum, 10.0, 0.2, 7.0), rtol=1e-14)


def test_samples_and_width_play_the_same_part():
    spectrum = cj.spectra.power_law(DIM, 1.0)
    assert_allclose(kappa(spectrum, 12.0, 0.1, 40.0), kappa(spectrum, 40.0, 0.1 * 12 / 40, 12.0), rtol=1e-13)


def test_endless_width_is_the_linear_model_at_ridge_d_over_m():
    spectrum, width = cj.spectra.power_law(DIM, 1.0), 1e15
    projected = kappa(spectrum, 10.0, 0.1 * width / DIM, width)
    assert_allclose(projected, kappa(spectrum, 10.0, 0.1), rtol=1e-12)


@WIDTHS
def test_kappa_falls_with_samples_and_width_and_rises_with_ridge(projected):
    spectrum = cj.spectra.power_law(DIM, 1.0)
    numbers = (jnp.asarray(10.0), jnp.asarray(0.1), jnp.asarray(20.0))
    slopes = jax.grad(lambda n, r, m: kappa(spectrum, n, r, m if projected else None), (0, 1, 2))(*numbers)
    assert slopes[0] < 0 < slopes[1]
    assert slopes[2] < 0 or not projected


@pytest.mark.parametrize(("n", "width"), [(5.0, None), (5.0, 9.0), (9.0, 5.0), (5.0, 1e6), (5.0, 5.0)])
def test_without_ridge_the_smaller_of_samples_and_width_is_learned(n, width):
    spectrum = cj.spectra.power_law(DIM, 1.0)
    learned = cj.theory.degrees_of_freedom(spectrum, kappa(spectrum, n, 0.0, width))
    # Where samples meet the width exactly the ridgeless limit is approached as its square root.
    assert_allclose(learned, 5.0, rtol=1e-10 if n != width else 1e-6)


@pytest.mark.parametrize("width", [None, 30.0])
def test_without_ridge_more_samples_than_the_rank_leave_no_kappa(width):
    spectrum = cj.spectra.power_law(DIM, 4.0).at[-4:].set(0)
    assert kappa(spectrum, DIM - 3.0, 0.0, width) == 0
    assert kappa(spectrum, DIM - 5.0, 0.0, width) > 0


# Degrees of freedom -----------------------------------------------------------------------------------------------------------


def test_degrees_of_freedom_count_learned_directions():
    spectrum = jnp.array([3.0, 1.0, 0.0])
    dof = cj.theory.degrees_of_freedom
    assert dof(spectrum, 0.0) == 2
    assert_allclose(dof(spectrum, 1.0), 0.75 + 0.5, rtol=1e-11)
    assert_allclose(dof(spectrum, 1.0, order=2), 0.75**2 + 0.25, rtol=1e-11)
    assert_allclose(dof(spectrum, 1e12), 4e-12, rtol=1e-11)


@WIDTHS
def test_sources_of_one_spectrum_share_one_kappa(projected):
    spectrum, width = cj.spectra.power_law(DIM, 1.0), jnp.asarray(20.0) if projected else None
    mixture = cj.Mixture(jnp.stack([spectrum] * 3), jnp.zeros((3, 3, DIM)))
    counts = jnp.array([5.0, 3.0, 4.0])
    problem = potential.problem_of(mixture.spectra, counts, jnp.asarray(0.1), width, jnp.ones(3), PROJECTIONS)
    state = potential.solve(problem)
    assert_allclose(state.mu / state.active.sum(), kappa(spectrum, 12.0, 0.1, width), rtol=1e-13)
