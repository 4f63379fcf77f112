"""jit, vmap and grad through both wings, derivatives against finite differences."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import problems
import pytest
from numpy.testing import assert_allclose
from problems import at

import collapse_jax as cj

DIM = 16
CASES = problems.moderate(4, 6, 3, DIM)
KEY = jax.random.key(0)
SPECTRUM = cj.spectra.power_law(DIM, 1.0)
PAPER = cj.real_and_synthetic(SPECTRUM, 1 / DIM, 0.5 / DIM / SPECTRUM, 0.3, 0.7)
PROJECTED = pytest.mark.parametrize(
    "projected", [pytest.param(False, marks=pytest.mark.slow, id="linear"), pytest.param(True, id="projected")]
)


def three_sources(case, weighted=True):
    """Everything of one configuration as one differentiable dict; label moments by their root, so that they stay valid."""
    root = np.random.default_rng(0).standard_normal((3, 3, DIM)) / DIM**0.5
    names = ("spectra", "noise", "counts", "ridge", "width") + (("weights",) if weighted else ())
    return {name: jnp.asarray(case[name]) for name in names} | {"root": jnp.asarray(root)}


def mixture_of(arguments):
    root = arguments["root"]
    moments = jnp.stack([(root[:, None] * root[None, :])[:, :, a] for a in range(root.shape[1])]).sum(0)
    return cj.Mixture(arguments["spectra"], moments, arguments["noise"])


def exact(arguments, projected=True):
    width = arguments["width"] if projected else None
    numbers = (arguments["counts"], arguments["ridge"], width, arguments["weights"])
    risk = cj.theory.risk(mixture_of(arguments), *numbers)
    # Unequal factors, so that no two parts can hide each other's errors.
    return risk.bias + 2 * risk.variance + 3 * risk.collapse


def paper(arguments, projected=True):
    """The closed form: counts, ridge, width, noise, spectrum, signal and shift of two sources."""
    mixture = cj.real_and_synthetic(*(arguments[name] for name in ("spectrum", "signal", "shift")), *arguments["noise"])
    width = arguments["width"] if projected else None
    risk = cj.theory.risk(mixture, arguments["counts"], arguments["ridge"], width)
    return risk.bias + 2 * risk.variance + 3 * risk.collapse


PAPER_ARGUMENTS = {
    "spectrum": SPECTRUM,
    "signal": jnp.full(DIM, 1 / DIM),
    "shift": 0.5 / DIM / SPECTRUM,
    "noise": jnp.array([0.3, 0.7]),
    "counts": jnp.array([14.0, 8.0]),
    "ridge": jnp.asarray(0.05),
    "width": jnp.asarray(30.0),
}


def assert_derivatives(function, arguments):
    """Forward and reverse mode, argument by argument, along random relative directions."""
    gradient = jax.jit(jax.grad(function))(arguments)
    rng = np.random.default_rng(1)
    directions = {name: jnp.asarray(value * rng.uniform(-1, 1, value.shape)) for name, value in arguments.items()}
    compiled, pushed = jax.jit(function), jax.jit(lambda a, b: jax.jvp(function, (a,), (b,))[1])
    for name in arguments:
        direction = {other: value if other == name else 0 * value for other, value in directions.items()}
        expected = problems.directional(compiled, arguments, direction, step=1e-3)
        forward = pushed(arguments, direction)
        assert_allclose(forward, expected, rtol=1e-6, atol=1e-11, err_msg=f"forward mode in {name}")
        assert_allclose((gradient[name] * direction[name]).sum(), forward, rtol=1e-9, atol=1e-14, err_msg=name)


@PROJECTED
def test_derivatives_of_the_potential_are_finite_differences(projected):
    assert_derivatives(partial(exact, projected=projected), three_sources(at(CASES, 0)))


@PROJECTED
def test_derivatives_of_the_closed_form_are_finite_differences(projected):
    assert_derivatives(partial(paper, projected=projected), PAPER_ARGUMENTS)


def test_closed_form_and_potential_have_the_same_derivatives():
    def general(arguments):
        mixture = cj.real_and_synthetic(
            *(arguments[name] for name in ("spectrum", "signal", "shift")), *arguments["noise"]
        )
        mixture = cj.Mixture(mixture.spectra, mixture.label_moments, mixture.noise)
        risk = cj.theory.risk(mixture, arguments["counts"], arguments["ridge"], arguments["width"])
        return risk.bias + 2 * risk.variance + 3 * risk.collapse

    slopes = [jax.jit(jax.grad(f))(PAPER_ARGUMENTS) for f in (general, paper)]
    chex.assert_trees_all_close(*slopes, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize(
    ("function", "arguments"),
    [(exact, three_sources(at(CASES, 2))), (paper, PAPER_ARGUMENTS)],
    ids=["potential", "closed"],
)
def test_second_derivatives_in_the_ridge_are_finite_differences(function, arguments):
    def of_ridge(ridge):
        return function(arguments | {"ridge": ridge})

    first, second = jax.jit(jax.grad(of_ridge)), jax.jit(jax.jacfwd(jax.grad(of_ridge)))
    assert_allclose(second(0.3), problems.slope(first, 0.3, 1e-3), rtol=1e-6)


@PROJECTED
@pytest.mark.parametrize("shared", [True, False], ids=["closed", "potential"])
def test_the_slope_in_the_synthetic_fraction_exists_at_both_ends(projected, shared):
    mixture = cj.Mixture(PAPER.spectra, PAPER.label_moments, PAPER.noise, shared_spectrum=shared)

    @jax.jit
    @jax.value_and_grad
    def total(fraction):
        return cj.theory.risk(mixture, cj.split(20.0, fraction), 0.1, 30.0 if projected else None).total

    h = 1e-4
    for end, inward in ((0.0, 1), (1.0, -1)):
        inside = [total(end + inward * k * h)[0] for k in range(4)]
        one_sided = inward * (-11 * inside[0] + 18 * inside[1] - 9 * inside[2] + 2 * inside[3]) / (6 * h)
        assert_allclose(total(end)[1], one_sided, rtol=1e-6)


@PROJECTED
def test_slopes_are_finite_at_ridge_zero(projected):
    def total(n, ridge):
        return cj.theory.risk(PAPER, cj.split(n, 0.4), ridge, 60.0 if projected else None).total

    in_n = jax.jit(jax.grad(total))(40.0, 0.0)
    assert_allclose(in_n, problems.slope(lambda n: total(n, 0.0), 40.0, 1e-2), rtol=1e-5)


@pytest.mark.parametrize("function", [cj.theory.direction_errors, cj.theory.training_loss])
def test_direction_errors_and_training_loss_are_differentiable(function):
    def total(ridge):
        result = function(PAPER, [14.0, 8.0], ridge, 30.0)
        return sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(result))

    assert_allclose(jax.jit(jax.grad(total))(0.1), problems.slope(jax.jit(total), 0.1, 1e-3), rtol=1e-6)


# jit and vmap -----------------------------------------------------------------------------------------------------------------


def _wings():
    return {
        "theory.risk": lambda *numbers: cj.theory.risk(*numbers),
        "theory.direction_errors": lambda *numbers: cj.theory.direction_errors(*numbers),
        "theory.training_loss": lambda *numbers: cj.theory.training_loss(*numbers),
        "simulate.risk": lambda *numbers: cj.simulate.risk(KEY, *numbers),
        "simulate.fit": lambda *numbers: cj.simulate.fit(KEY, *numbers),
    }


@PROJECTED
@pytest.mark.parametrize("name", _wings())
def test_jit_and_vmap_change_nothing(name, projected):
    function = _wings()[name]

    def of(case):
        mixture = cj.Mixture(case["spectra"], case["moments"], case["noise"])
        return function(mixture, case["counts"], case["ridge"], case["width"] if projected else None, case["weights"])

    batched = jax.jit(jax.vmap(of))(CASES)
    for index in range(3):
        one = of(at(CASES, index))
        chex.assert_trees_all_close(jax.tree.map(lambda leaf, i=index: leaf[i], batched), one, rtol=1e-10, atol=1e-13)


def test_a_grid_over_one_argument_at_a_time_is_a_loop():
    """Batches of counts, widths and ridges without a batch of mixtures, where the random numbers are shared."""
    ns, widths, ridges = jnp.array([10.0, 30.0]), jnp.array([8.0, 40.0]), jnp.array([0.1, 1.0])
    for wing in (cj.theory.risk, partial(cj.simulate.risk, KEY)):

        def of(n, width, ridge, wing=wing):
            return wing(PAPER, cj.split(n, 0.4), ridge, width)

        grid = jax.vmap(jax.vmap(jax.vmap(of, (None, None, 0)), (None, 0, None)), (0, None, None))(ns, widths, ridges)
        for i, n in enumerate(ns):
            for j, width in enumerate(widths):
                for k, ridge in enumerate(ridges):
                    point = jax.tree.map(lambda leaf, at=(i, j, k): leaf[at], grid)
                    chex.assert_trees_all_close(point, of(n, width, ridge), rtol=1e-10)


# Simulation -------------------------------------------------------------------------------------------------------------------


@PROJECTED
def test_simulated_risk_is_differentiable_in_ridge_weights_noise_and_moments(projected):
    case = three_sources(at(CASES, 0))
    fixed = {name: case.pop(name) for name in ("counts", "width")}

    def total(arguments):
        numbers = (fixed["counts"], arguments["ridge"], fixed["width"] if projected else None, arguments["weights"])
        risk = cj.simulate.risk(KEY, mixture_of(arguments), *numbers)
        return risk.bias + 2 * risk.variance + 3 * risk.collapse

    assert_derivatives(total, case)


def test_derivatives_of_simulations_batch():
    def total(ridge):
        return cj.simulate.risk(KEY, PAPER, [14.0, 8.0], ridge, 12.0).total

    ridges = jnp.array([0.01, 0.1, 1.0])
    slopes = jax.jit(jax.vmap(jax.grad(total)))(ridges)
    assert_allclose(slopes, [problems.slope(total, ridge, 1e-3 * ridge) for ridge in ridges], rtol=1e-6)
    assert_allclose(jax.jit(jax.grad(lambda r: jax.vmap(total)(r).sum()))(ridges), slopes, rtol=1e-9)


def test_fitted_coefficients_are_differentiable_in_the_labels():
    labels = jnp.asarray(np.random.default_rng(0).standard_normal((2, DIM)))

    def error(labels):
        return cj.simulate.fit(KEY, PAPER, [14.0, 8.0], 0.1, 12.0, labels=labels).error

    direction = labels[::-1]
    expected = problems.directional(error, labels, direction)
    assert_allclose((jax.grad(error)(labels) * direction).sum(), expected, rtol=1e-8)


def test_simulated_slopes_exist_where_a_source_has_no_weight_and_a_direction_no_variance():
    def total(weight):
        spectra = jnp.stack([SPECTRUM, SPECTRUM.at[3].set(0)])
        mixture = cj.Mixture(spectra, PAPER.label_moments, PAPER.noise)
        return cj.simulate.risk(KEY, mixture, [14.0, 8.0], 0.1, weights=jnp.stack([jnp.ones(()), weight])).total

    slope, h = jax.jit(jax.value_and_grad(total)), 1e-4
    inside = [slope(k * h)[0] for k in range(4)]
    one_sided = (-11 * inside[0] + 18 * inside[1] - 9 * inside[2] + 2 * inside[3]) / (6 * h)
    assert_allclose(slope(0.0)[1], one_sided, rtol=1e-6)
