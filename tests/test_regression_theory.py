"""The exact risk of ridge regression: against other derivations, published statements, and its limits."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import problems
import pytest
from numpy.testing import assert_allclose
from problems import at

import collapse_jax as cj
from collapse_jax.theory import potential

DIM = 24
PARTS = ("bias", "variance", "collapse")
SPECTRUM = cj.spectra.power_law(DIM, 1.0)
PAPER = cj.real_and_synthetic(SPECTRUM, 1 / DIM, 0.5 / DIM / SPECTRUM, noise_real=0.3, noise_synthetic=0.7)
THREE = problems.moderate(7, 12, 3, DIM)
COUNTS3, WEIGHTS3 = jnp.array([20.0, 9.0, 14.0]), jnp.array([1.0, 0.3, 2.0])
WIDTHS = pytest.mark.parametrize("width", [None, 10.0, 60.0])

risk = cj.theory.risk


def three_sources(index: int = 0) -> cj.Mixture:
    case = at(THREE, index)
    return cj.Mixture(case["spectra"], case["moments"], case["noise"])


def general(mixture: cj.Mixture) -> cj.Mixture:
    """The same mixture without the promise that takes the closed form."""
    return cj.Mixture(mixture.spectra, mixture.label_moments, mixture.noise)


def assert_same(actual: cj.Risk, expected: cj.Risk, rtol: float, atol: float = 0.0) -> None:
    chex.assert_trees_all_close(actual, expected, rtol=rtol, atol=atol)


# Other derivations ------------------------------------------------------------------------------------------------------------


@WIDTHS
@pytest.mark.parametrize("synthetic_fraction", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("n", [8.0, 40.0])
def test_closed_form_of_two_sources_is_reproduced(width, synthetic_fraction, n):
    counts = cj.split(n, synthetic_fraction)
    expected = problems.closed_form(
        *(np.asarray(x) for x in (SPECTRUM, PAPER.signal, 0.5 / DIM / SPECTRUM, PAPER.noise, counts)), 0.1, width
    )
    for mixture in (PAPER, general(PAPER)):
        actual = risk(mixture, counts, 0.1, width)
        for part in PARTS:
            assert_allclose(getattr(actual, part), expected[part], rtol=1e-12)


@pytest.mark.parametrize("projected", [False, True], ids=["linear", "projected"])
@pytest.mark.parametrize("index", range(12))
def test_deterministic_equivalents_of_three_weighted_sources_are_reproduced(projected, index):
    case = at(THREE, index) | ({} if projected else {"width": None})
    target = np.asarray(SPECTRUM) if index % 2 else case["spectra"][0]
    numbers = (case["counts"], case["ridge"], case["width"], case["weights"])
    expected = problems.many_sources(case["spectra"], case["moments"], case["noise"], *numbers, target)
    actual = risk(three_sources(index), *numbers, target=target)
    for part in PARTS:
        assert_allclose(getattr(actual, part), expected[part], rtol=1e-10, atol=1e-10 * sum(expected.values()))


@pytest.mark.parametrize("projected", [False, True], ids=["linear", "projected"])
def test_closed_form_and_potential_agree_over_the_whole_domain(projected):
    cases = problems.domain(3, 4000, 2, DIM)

    @jax.jit
    @jax.vmap
    def both(case):
        spectra = jnp.stack([case["spectra"][0]] * 2)
        values = (spectra, case["moments"], case["noise"])
        numbers = (case["counts"], case["ridge"], case["width"] if projected else None)
        return [cj.theory.risk(cj.Mixture(*values, shared_spectrum=shared), *numbers) for shared in (True, False)]

    closed, potential_ = both(cases)
    assert_same(closed, potential_, rtol=1e-11, atol=1e-300)
    for part in ("bias", "variance"):
        assert getattr(closed, part).min() >= 0
    assert closed.total.min() >= 0


def test_theorem_1_of_the_paper_is_reproduced():
    s, n, ridge, p2 = np.asarray(SPECTRUM), 30.0, 0.05, 0.4
    kappa = problems.kappa_by_brentq(s, n, ridge)
    df2, p1 = np.sum(s**2 / (s + kappa) ** 2), 1 - p2
    u = df2 / n / (1 - df2 / n)
    delta = 0.5 / DIM / s
    actual = risk(PAPER, cj.split(n, p2), ridge)
    assert_allclose(actual.variance, (p1 * 0.3**2 + p2 * 0.7**2) * u, rtol=1e-12)
    assert_allclose(actual.bias, kappa**2 * np.sum(s / (s + kappa) ** 2) / DIM / (1 - df2 / n), rtol=1e-12)
    zeta = p2**2 * (1 + p1 * u) * np.sum(delta * s**3 / (s + kappa) ** 2)
    zeta += p2 * u * np.sum(delta * s * (p1 * s + kappa) ** 2 / (s + kappa) ** 2)
    assert_allclose(actual.collapse, zeta, rtol=1e-12)


@pytest.mark.parametrize("phi", [0.1, 0.5, 0.9])
def test_corollary_1_isotropic_with_more_samples_than_dimensions(phi):
    mixture = cj.real_and_synthetic(cj.spectra.isotropic(DIM), 1 / DIM, 0.25 / DIM, 0.3, 0.7)
    p1, p2 = 0.6, 0.4
    actual = risk(mixture, cj.split(DIM / phi, p2), 0.0)
    assert_allclose(actual.bias, 0, atol=1e-15)
    assert_allclose(actual.variance, (p1 * 0.3**2 + p2 * 0.7**2) * phi / (1 - phi), rtol=1e-12)
    assert_allclose(actual.collapse, 0.25 * (p2**2 + p1 * p2 * phi / (1 - phi)), rtol=1e-12)


@pytest.mark.parametrize("phi", [1.1, 3.0, 100.0])
def test_corollary_4_corrected_isotropic_with_fewer_samples_than_dimensions(phi):
    mixture = cj.real_and_synthetic(cj.spectra.isotropic(DIM), 2 / DIM, 0.25 / DIM, 0.5, 0.5)
    p2 = 0.5
    actual = risk(mixture, cj.split(DIM / phi, p2), 0.0)
    assert_allclose(actual.bias, 2 * (1 - 1 / phi), rtol=1e-10)
    assert_allclose(actual.variance, 0.25 / (phi - 1), rtol=1e-10)
    assert_allclose(actual.collapse, 0.25 * p2 * (phi - p2) / (phi * (phi - 1)), rtol=1e-10)


def test_figure_2_of_the_paper_has_its_published_heights():
    """Setting of appendix A.1 (trace d, see docs/errata.md); heights read from the figure have about one digit."""
    dim = 600
    spectrum = cj.spectra.power_law(dim, 1.0)
    mixture = cj.real_and_synthetic(spectrum, 1 / dim, 1 / dim / spectrum, 0.1, 0.1)
    risks = jax.vmap(lambda width: cj.theory.risk(mixture, [300.0, 200.0], 1e-8, width))(jnp.linspace(50.0, 1000.0, 20))
    assert_allclose([risks.bias[4], risks.bias[-1]], [0.44, 0.10], atol=0.01)
    assert_allclose([risks.variance[-1], risks.collapse[-1]], [0.063, 1.69], rtol=0.01)
    assert jnp.argmax(risks.total) == 9  # the width equals the number of samples, 500


# Limits -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("counts", [COUNTS3, COUNTS3 / 10], ids=["many", "few"])
def test_endless_width_is_the_linear_model_at_ridge_d_over_m(counts):
    width = 1e13
    projected = risk(three_sources(), counts, 0.1 * width / DIM, width, WEIGHTS3)
    assert_same(projected, risk(three_sources(), counts, 0.1, None, WEIGHTS3), rtol=1e-10)


@WIDTHS
def test_endless_ridge_predicts_zero(width):
    mixture = three_sources()
    # The estimate is of order 1 / ridge and its effect on the error of the same order.
    actual = risk(mixture, COUNTS3, 1e13, width, WEIGHTS3)
    assert_allclose(actual.bias, (mixture.spectra[0] * mixture.signal).sum(), rtol=1e-10)
    assert abs(actual.variance) < 1e-10
    assert abs(actual.collapse) < 1e-10


def test_endless_data_leaves_the_squared_share_of_the_synthetic_shift():
    collapse = risk(PAPER, cj.split(1e14, 0.3), 1e-12).collapse
    assert_allclose(collapse, 0.3**2 * 0.5, rtol=1e-10)


@WIDTHS
def test_unused_synthetic_source_is_a_synthetic_source_without_shift(width):
    honest = cj.real_and_synthetic(SPECTRUM, 1 / DIM, 0.0, 0.3, 0.3)
    unused = risk(PAPER, cj.split(30.0, 0.0), 0.1, width)
    assert unused.collapse == 0
    assert_same(unused, risk(honest, cj.split(30.0, 0.7), 0.1, width), rtol=1e-13, atol=1e-16)


@WIDTHS
def test_one_source_is_a_mixture_with_an_empty_second(width):
    alone = cj.Mixture(PAPER.spectra[:1], PAPER.label_moments[:1, :1], PAPER.noise[:1])
    assert_same(risk(alone, [30.0], 0.1, width), risk(PAPER, [30.0, 0.0], 0.1, width), rtol=1e-12, atol=1e-16)


# Symmetries -------------------------------------------------------------------------------------------------------------------


@WIDTHS
def test_the_order_of_the_sources_beside_the_target_does_not_matter(width):
    mixture, order = three_sources(), jnp.array([0, 2, 1])
    moved = cj.Mixture(mixture.spectra[order], mixture.label_moments[order][:, order], mixture.noise[order])
    given = risk(mixture, COUNTS3, 0.1, width, WEIGHTS3)
    assert_same(risk(moved, COUNTS3[order], 0.1, width, WEIGHTS3[order]), given, rtol=1e-12)


@WIDTHS
def test_splitting_a_source_in_two_changes_nothing(width):
    mixture = three_sources()
    pick = jnp.array([0, 1, 2, 2])
    finer = cj.Mixture(mixture.spectra[pick], mixture.label_moments[pick][:, pick], mixture.noise[pick])
    merged = risk(mixture, COUNTS3, 0.1, width, WEIGHTS3)
    halves = risk(finer, jnp.array([20.0, 9.0, 4.0, 10.0]), 0.1, width, WEIGHTS3[pick])
    assert_same(halves, merged, rtol=1e-12)


@WIDTHS
def test_a_common_factor_of_weights_and_ridge_changes_nothing(width):
    once = risk(three_sources(), COUNTS3, 0.1, width, WEIGHTS3)
    assert_same(risk(three_sources(), COUNTS3, 0.7, width, 7 * WEIGHTS3), once, rtol=1e-12)


@WIDTHS
def test_weight_zero_is_a_source_whose_samples_only_count(width):
    """Samples of weight 0 dilute the mean squared error, and so multiply the ridge."""
    mixture = three_sources()
    ignored = risk(mixture, COUNTS3, 0.1, width, jnp.array([1.0, 0.3, 0.0]))
    absent = risk(mixture, COUNTS3.at[2].set(0), 0.1 * 43 / 29, width, WEIGHTS3)
    assert_same(ignored, absent, rtol=1e-11)


@WIDTHS
def test_a_weight_is_a_scale_of_inputs_and_noise(width):
    mixture = three_sources()
    scaled = cj.Mixture(WEIGHTS3[:, None] * mixture.spectra, mixture.label_moments, jnp.sqrt(WEIGHTS3) * mixture.noise)
    weighted = risk(mixture, COUNTS3, 0.1, width, WEIGHTS3)
    assert_same(risk(scaled, COUNTS3, 0.1, width, target=mixture.spectra[0]), weighted, rtol=1e-12)


@WIDTHS
@pytest.mark.parametrize("mixture", [PAPER, general(PAPER)], ids=["closed", "potential"])
def test_the_risk_is_linear_in_the_target_spectrum(width, mixture):
    def on(target):
        return risk(mixture, cj.split(30.0, 0.4), 0.1, width, target=target)

    other = jnp.linspace(0.0, 2.0, DIM)
    combined = jax.tree.map(lambda a, b: 3 * a + 2 * b, on(SPECTRUM), on(other))
    assert_same(on(3 * SPECTRUM + 2 * other), combined, rtol=1e-12)


@WIDTHS
def test_noise_enters_the_variance_by_its_square_and_nothing_else(width):
    mixture = three_sources()
    louder = cj.Mixture(mixture.spectra, mixture.label_moments, 3 * mixture.noise)
    once, thrice = (risk(m, COUNTS3, 0.1, width, WEIGHTS3) for m in (mixture, louder))
    expected = cj.Risk(once.bias, 9 * once.variance, once.collapse)
    assert_same(thrice, expected, rtol=1e-13)


# Direction errors and training loss -------------------------------------------------------------------------------------------


@WIDTHS
def test_errors_by_direction_add_up_to_the_risk(width):
    mixture = three_sources()
    errors = cj.theory.direction_errors(mixture, COUNTS3, 0.1, width, WEIGHTS3)
    for target in (mixture.spectra[0], SPECTRUM):
        summed = jax.tree.map(lambda error, target=target: (target * error).sum(), errors)
        assert_same(summed, risk(mixture, COUNTS3, 0.1, width, WEIGHTS3, target=target), rtol=1e-11)


def test_errors_by_direction_of_relu_features_leave_out_the_nonlinear_part():
    mixture = three_sources()
    errors = cj.theory.direction_errors(mixture, COUNTS3, 0.1, 30.0, WEIGHTS3, activation="relu")
    total = risk(mixture, COUNTS3, 0.1, 30.0, WEIGHTS3, activation="relu").total
    assert 0 < (mixture.spectra[0] * errors.total).sum() < total


@pytest.mark.parametrize("width", [None, 16, pytest.param(80, marks=pytest.mark.slow)])
def test_training_loss_is_that_of_fitted_rows(width):
    dim, counts, weights = 60, (50, 25, 45), (1.0, 0.3, 2.0)
    case = at(problems.moderate(5, 1, 3, dim), 0)
    mixture = cj.Mixture(case["spectra"], case["moments"], case["noise"])

    @jax.jit
    @jax.vmap
    def loss(key):
        rows_key, features_key = jax.random.split(key)
        sample = cj.simulate.rows(rows_key, mixture, counts)
        z = sample.inputs if width is None else cj.simulate.random_features(features_key, sample.inputs, width)
        row_weights = jnp.array(weights)[sample.source]
        fitted = z @ cj.simulate.fit_rows(z, sample.outputs, 0.1, row_weights)
        return (row_weights * (fitted - sample.outputs) ** 2).mean()

    losses = loss(jax.random.split(jax.random.key(0), 256))
    expected = cj.theory.training_loss(mixture, counts, 0.1, width, weights)
    assert abs(losses.mean() - expected) < 3 * losses.std() / 16 + 0.5 / dim * expected


def test_training_loss_without_ridge_is_the_noise_that_no_direction_absorbs():
    mixture = cj.real_and_synthetic(SPECTRUM, 1.0, 0.0, 0.5, 0.5)
    assert_allclose(cj.theory.training_loss(mixture, [40.0, 8.0], 1e-12), 0.25 * (1 - DIM / 48), rtol=1e-9)
    assert cj.theory.training_loss(mixture, [10.0, 2.0], 1e-12) < 1e-20


# Without a ridge --------------------------------------------------------------------------------------------------------------

PHASES = [(12.0, None), (60.0, None), (60.0, 12.0), (12.0, 60.0), (60.0, 90.0), (12.0, 18.0), (18.0, 12.0)]


@pytest.mark.parametrize(("n", "width"), PHASES)
@pytest.mark.parametrize("mixture", [PAPER, general(PAPER)], ids=["closed", "potential"])
def test_ridge_zero_is_the_limit_of_small_ridges_in_every_phase(mixture, n, width):
    counts = cj.split(n, 0.4)
    # Bias of the overdetermined linear model vanishes as the ridge squared.
    assert_same(risk(mixture, counts, 0.0, width), risk(mixture, counts, 1e-13, width), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("n", "width"), [(24.0, None), (12.0, 12.0), (24.0, 90.0)])
def test_the_risk_diverges_toward_the_interpolation_threshold(n, width):
    near, nearer = (risk(PAPER, cj.split(n * (1 + gap), 0.4), 0.0, width).variance for gap in (1e-3, 1e-5))
    assert_allclose(nearer / near, 100, rtol=0.02)


@pytest.mark.parametrize(("n", "width"), [(24.0, None), (12.0, 12.0), (24.0, 90.0), (90.0, 90.0)])
def test_ridge_zero_on_the_threshold_is_refused_and_a_small_ridge_is_not(n, width):
    on_threshold = min(n, width or n, DIM) == n
    if on_threshold:
        with pytest.raises(ValueError, match="threshold"):
            cj.theory.risk(PAPER, cj.split(n, 0.5), 0.0, width)
    assert jnp.isfinite(cj.theory.risk(PAPER, cj.split(n, 0.5), 1e-8, width).total)


# Nonlinear features -----------------------------------------------------------------------------------------------------------


@WIDTHS
def test_the_identity_activation_is_a_random_projection(width):
    width = width or 24.5
    case = three_sources()
    linear = risk(case, COUNTS3, 0.1, width, WEIGHTS3)
    assert_same(risk(case, COUNTS3, 0.1, width, WEIGHTS3, activation=_identity), linear, rtol=1e-9)


def _identity(x):
    return x


@pytest.mark.parametrize(
    "activation", ["relu", *(pytest.param(name, marks=pytest.mark.slow) for name in ("erf", "tanh"))]
)
def test_nonlinear_features_of_rows_have_the_error_of_the_theory(activation):
    dim, counts, width, test = 120, (150, 90), 160, 1000
    spectrum = cj.spectra.power_law(dim, 0.5)
    mixture = cj.real_and_synthetic(spectrum, 1 / dim, 0.5 / dim, 0.3, 0.5)

    @jax.jit
    def error(key):
        rows_key, features_key, test_key = jax.random.split(key, 3)
        sample = cj.simulate.rows(rows_key, mixture, counts)
        inputs = jax.random.normal(test_key, (test, dim)) * jnp.sqrt(spectrum)[None, :]
        z = cj.simulate.random_features(features_key, jnp.concatenate([sample.inputs, inputs]), width, activation)
        fitted = z[240:] @ cj.simulate.fit_rows(z[:240], sample.outputs, 0.05)
        return ((fitted - inputs @ sample.labels[0]) ** 2).mean()

    errors = np.array([error(key) for key in jax.random.split(jax.random.key(0), 64)])
    expected = float(cj.theory.risk(mixture, counts, 0.05, width, activation=activation).total)
    assert abs(errors.mean() - expected) < 3 * errors.std() / 8 + 2 / dim * expected


def test_the_potential_is_stationary_in_its_unknowns():
    """The fixed point minimises the convex function J of docs/theory.md."""
    case = at(THREE, 0)
    mixture = three_sources()
    numbers = tuple(jnp.asarray(case[name]) for name in ("counts", "ridge", "width", "weights"))
    problem = potential.problem_of(mixture.spectra, *numbers, (jnp.ones(()), jnp.zeros(())))
    state = potential.solve(problem)

    def convex(unknown):
        gamma, mu = jnp.exp(unknown[:-1]), jnp.exp(unknown[-1])
        active = problem.counts / problem.counts.sum() * problem.weights * gamma
        H = (active[:, None] * mixture.spectra).sum(0)
        value = jnp.log1p(H / mu).sum() + (problem.counts * (gamma - jnp.log(gamma))).sum()
        return value + problem.width * jnp.log(mu) + DIM * problem.ridge / mu

    at_root = jnp.log(jnp.append(state.gamma, state.mu))
    assert_allclose(jax.jit(jax.grad(convex))(at_root), 0, atol=1e-11)
    assert jnp.linalg.eigvalsh(jax.jit(jax.hessian(convex))(at_root)).min() > 0
