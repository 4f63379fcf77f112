"""When checking helps: rates and breakdown point, and the exact accuracy of students beside drawn ones."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import optimize, stats

import collapse_jax as cj
from collapse_jax import Verified
from collapse_jax.simulate.logistic import fit
from collapse_jax.simulate.verification import draw
from collapse_jax.theory import (
    breakdown_band,
    lookalike_student,
    majority,
    rates_of_scores,
    student,
    verified_student,
    verifier_rates,
)
from collapse_jax.verification import bivariate, given

PI = math.pi
PROBLEMS = {
    "random errors": Verified(1.5, error=0.3),
    "random errors, verified": Verified(1.5, error=0.6, kept_right=0.9, kept_wrong=0.3),
    "generator": Verified(1.5, generator=PI / 4),
    "oracle": Verified(1.5, generator=PI / 4, kept_wrong=0.0),
    "noisy oracle": Verified(1.0, generator=PI / 3, kept_right=0.8, kept_wrong=0.4),
    "linear verifier": Verified(1.5, generator=PI / 3, verifier=PI / 6),
    "correlated verifier": Verified(1.5, generator=2.0, verifier=1.3, correlation=0.2),
}


@pytest.mark.parametrize("correlation", [-0.999, -0.5, 0.0, 0.3, 0.9, 0.9999, 1.0])
def test_bivariate_normal_probabilities_are_scipys(correlation):
    for h, k in [(0.0, 0.0), (-1.5, 0.3), (1.0, 1.0), (0.2, -2.0)]:
        law = stats.multivariate_normal(cov=[[1, correlation], [correlation, 1]], allow_singular=True)
        found = bivariate(jnp.asarray(h), jnp.asarray(k), jnp.asarray(correlation))
        assert_allclose(found, law.cdf([h, k]) if abs(correlation) < 1 else stats.norm.cdf(min(h, k)), atol=1e-6)


def drawn_rates(problem, rows=400_000, dim=5):
    """NumPy: inputs, labels of a linear generator, and a linear verifier whose errors are orthogonal to the generator's."""
    rng = np.random.default_rng(0)
    y = rng.choice([-1, 1], rows)
    x = rng.normal(size=(rows, dim)) + y[:, None] * problem.separation * np.eye(dim)[0]
    label = np.sign(x @ (np.cos(problem.generator) * np.eye(dim)[0] + np.sin(problem.generator) * np.eye(dim)[1]))
    kept = label * (x @ (np.cos(problem.verifier) * np.eye(dim)[0] + np.sin(problem.verifier) * np.eye(dim)[2])) > 0
    return (label != y).mean(), kept[label == y].mean(), kept[label != y].mean()


@pytest.mark.parametrize(("generator", "verifier"), [(PI / 4, PI / 12), (1.0, 1.2), (2.0, 0.3)])
def test_rates_of_a_linear_verifier_are_those_of_drawn_inputs(generator, verifier):
    problem = Verified(1.2, generator=generator, verifier=verifier)
    rates = verifier_rates(problem)
    assert_allclose(rates[:3], drawn_rates(problem), atol=4e-3)
    assert_allclose(rates.breakdown, 1 / (1 + rates.kept_wrong / rates.kept_right), rtol=1e-12)


def test_perfect_useless_and_self_verification():
    """A verifier equal to the generator keeps everything; one that is orthogonal to everything keeps half of everything."""
    same = verifier_rates(Verified(1.5, generator=1.0, verifier=1.0, correlation=1.0))
    assert_allclose(same[1:], [1, 1, 0.5], atol=1e-6)
    blind = verifier_rates(Verified(1.5, generator=1.0, verifier=PI / 2))
    assert_allclose(blind[1:], [0.5, 0.5, 0.5], atol=1e-12)
    oracle = verifier_rates(Verified(1.5, generator=1.0, kept_wrong=0.0))
    assert_allclose(oracle.breakdown, 1)


def test_theorem_e_3_bands_hold_the_breakdown_point():
    for right, wrong in [(1.0, 0.5), (0.7, 0.7), (0.9, 0.1)]:
        ends = breakdown_band(right, wrong, 0.1)
        assert float(ends[0]) < right / (right + wrong) < float(ends[1])
        assert_allclose(breakdown_band(right, wrong, 0.0), right / (right + wrong))
        # Outside the band the majority does not change though counts are off by a tenth.
        assert_allclose((1 - ends[0]) * right * 0.9, ends[0] * wrong * 1.1, rtol=1e-12)


@pytest.mark.parametrize("error", [0.5, 0.6, 2 / 3, 0.7])
def test_theorem_4_2_with_very_many_dimensions_the_majority_decides(error):
    """Inputs of a class look alike (s^2 well above sqrt(d)), the ridge hides the rest; phi = 1, psi = 1/2: p* = 2/3."""
    n, problem = 301, Verified(1e5, error=error, kept_wrong=0.5)
    students = jax.jit(jax.vmap(lambda key: cj.simulate.verified_student(key, problem, n, 50, 1e8, loss="squared")))(
        jax.random.split(jax.random.key(0), 200)
    )
    accuracy = np.asarray(students.accuracy)
    expected = float(majority(n, error, 1.0, 0.5))
    assert abs(accuracy.mean() - expected) < 4 * math.sqrt(max(expected * (1 - expected), 0.01) / 200)
    assert float(majority(1e9, error, 1.0, 0.5)) == pytest.approx(float(np.heaviside(2 / 3 - error, 0.5)), abs=1e-6)


@pytest.mark.parametrize("loss", ["logistic", "squared"])
def test_the_breakdown_point_is_where_students_turn_around(loss):
    """With random errors, at any n, d and ridge: cosine 0 at p*, above it below and below it above."""
    right, wrong = 0.8, 0.3
    p = right / (right + wrong)

    def cosine(error):
        return verified_student(
            Verified(1.5, error=error, kept_right=right, kept_wrong=wrong), 300, 100, 0.01, loss=loss
        ).cosine

    below, at, above = jax.jit(jax.vmap(cosine))(jnp.array([p - 0.05, p, p + 0.05]))
    assert_allclose(at, 0, atol=1e-9)
    assert float(below) > 0.02
    assert float(above) < -0.02


def test_linear_verifiers_break_down_where_a_reflection_swaps_right_and_wrong():
    """Angles that add up to pi: p = p* and cosine 0, though the generator's errors are not random."""
    problem = Verified(1.5, generator=PI - 1.1, verifier=1.1)
    rates = verifier_rates(problem)
    assert_allclose(rates.error, rates.breakdown, rtol=1e-9)
    assert_allclose(verified_student(problem, 300, 100, 0.01).cosine, 0, atol=1e-6)


SETTINGS = [
    (1.0, 0.1, "logistic"),
    pytest.param(4.0, 0.01, "logistic", marks=pytest.mark.slow),
    pytest.param(4.0, 0.1, "squared", marks=pytest.mark.slow),
    pytest.param(0.6, 0.01, "squared", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("ratio", "ridge", "loss"), SETTINGS)
def test_drawn_students_agree_with_the_theory(ratio, ridge, loss):
    """Within 4 standard errors of 48 students, and a gap of order 1 / d."""
    dim = 100
    for problem in PROBLEMS.values():
        exact = verified_student(problem, ratio * dim, dim, ridge, loss=loss)

        def one(key, problem=problem):
            return cj.simulate.verified_student(key, problem, round(ratio * dim), dim, ridge, loss=loss)

        students = jax.jit(lambda keys, one=one: jax.lax.map(one, keys))(jax.random.split(jax.random.key(5), 48))
        for name in ("cosine", "accuracy", "agreement"):
            values = np.asarray(getattr(students, name))
            error = values.std(ddof=1) / math.sqrt(48)
            assert abs(values.mean() - getattr(exact, name)) < 4 * error + 3 / dim, (problem, name)


@pytest.mark.parametrize("ratio", [0.5, 6.0])
def test_drawn_students_agree_with_the_theory_at_small_ridge(ratio):
    """Labels that a plane separates and a ridge of 1e-6: scores of hundreds, and V of millions."""
    dim = 100
    for problem in (Verified(1.5, generator=PI / 4), Verified(1.5, generator=PI / 3, verifier=PI / 6)):
        exact = verified_student(problem, ratio * dim, dim, 1e-6)

        def one(key, problem=problem):
            return cj.simulate.verified_student(key, problem, round(ratio * dim), dim, 1e-6)

        students = jax.jit(lambda keys, one=one: jax.lax.map(one, keys))(jax.random.split(jax.random.key(6), 32))
        values = np.asarray(students.cosine)
        assert abs(values.mean() - exact.cosine) < 4 * values.std(ddof=1) / math.sqrt(32) + 3 / dim, problem


KINDS = {
    "random errors": lambda x: Verified(x["s"], error=x["p"], kept_right=x["phi"], kept_wrong=x["psi"]),
    "generator": lambda x: Verified(x["s"], generator=x["generator"]),
    "oracle": lambda x: Verified(x["s"], generator=x["generator"], kept_wrong=0.0),
    "verifier": lambda x: Verified(x["s"], generator=x["generator"], verifier=x["verifier"]),
    "self": lambda x: Verified(x["s"], generator=x["generator"], verifier=x["generator"], correlation=1.0),
}


@pytest.mark.parametrize(
    "kind", [kind if kind == "oracle" else pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS]
)
def test_the_equations_of_every_student_settle(kind):
    """At n / d from 0.01 to 1e6 and ridges from 1e-10 to 1e3: slopes of the potential vanish, in units of what they balance."""
    rng, count = np.random.default_rng(0), 40
    ranges = {"s": (0.1, 6), "generator": (0, PI), "verifier": (0, PI), "p": (0, 1), "phi": (0.01, 1), "psi": (0, 1)}
    cases = {name: jnp.asarray(rng.uniform(*ends, count)) for name, ends in ranges.items()}
    cases["ratio"], cases["ridge"] = (jnp.asarray(10 ** rng.uniform(*ends, count)) for ends in ((-2, 6), (-10, 3)))

    def one(case):
        problem = KINDS[kind](case)
        equations = student.Problem(student.law_of(given(problem)[0]), case["ratio"], case["ridge"])
        flat, _ = student.solve(equations)
        pulled = case["ridge"] * jnp.linalg.norm(flat[:4]) + flat[3] / (jnp.exp(flat[4]) * case["ratio"])
        scale = pulled * jnp.ones(5).at[4].set(flat[3])
        return student.slopes(equations, flat) / scale, verified_student(problem, case["ratio"], 1.0, case["ridge"])

    slopes, students = jax.jit(lambda cases: jax.lax.map(one, cases, batch_size=20))(cases)
    assert np.abs(slopes).max() < 1e-6
    assert np.isfinite(students).all()


def test_students_have_slopes_in_every_number():
    """Reverse mode against central differences, at a moderate and at a tiny ridge."""

    def accuracy(x):
        problem = Verified(x[0], generator=x[1], verifier=x[2], kept_right=x[3], kept_wrong=x[4])
        return verified_student(problem, x[5], 1.0, jnp.exp(x[6])).accuracy

    value, slope = jax.jit(accuracy), jax.jit(jax.grad(accuracy))
    for log_ridge in (-3.0, -14.0):
        x, steps = jnp.array([1.5, 1.0, 0.5, 0.9, 0.7, 4.0, log_ridge]), 1e-4 * jnp.eye(7)
        expected = [(value(x + step) - value(x - step)) / 2e-4 for step in steps]
        assert_allclose(slope(x), expected, rtol=1e-4, atol=1e-8)


def test_students_in_float32_keep_four_digits():
    for make in (lambda s: Verified(s, error=0.3), lambda s: Verified(s, generator=1.0, verifier=0.5)):
        for ratio, ridge in [(4.0, 1e-2), (0.5, 0.1), (10.0, 1e-5)]:
            single, double = (verified_student(make(jnp.asarray(1.5, t)), ratio, 1.0, ridge) for t in ("f4", "f8"))
            assert single.cosine.dtype == jnp.float32
            assert_allclose(single, double, rtol=1e-4)


def test_lines_of_the_third_figure_have_no_gaps():
    """Samples from 100 to 1e5, ridge 0.001, for the generator of 900 samples: separable labels with every verifier."""
    angle = jnp.arccos(verified_student(Verified(1.5, error=0.0), 900, 100, 1e-6, loss="squared").cosine)
    counts = jnp.geomspace(100, 1e5, 25)
    for verifier in (None, PI / 24, PI / 12):
        problem = Verified(1.5, generator=angle, verifier=verifier)
        errors = 1 - jax.vmap(lambda n, problem=problem: verified_student(problem, n, 100, 1e-3).accuracy)(counts)
        assert np.isfinite(errors).all()
        assert np.all(np.diff(errors) < 0)


def test_nothing_kept_is_no_student():
    assert np.isnan(verified_student(Verified(1.5, error=1.0, kept_wrong=0.0), 100, 10, 0.1).cosine)


def test_squared_loss_is_ridge_regression_of_the_librarys_own_potential():
    """Second moments decide: inputs of covariance I + s^2 w w', labels correlated with one direction."""
    s, error, n, dim, ridge = 1.5, 0.2, 150_000.0, 100_000, 0.1
    spectrum = jnp.ones(dim).at[0].add(s**2)
    slope = (1 - 2 * error) * s / (1 + s**2)
    noise = math.sqrt(1 - slope**2 * (1 + s**2))
    mixture = cj.real_and_synthetic(spectrum, jnp.zeros(dim).at[0].set(slope**2), 0.0, noise, noise)
    errors = cj.theory.direction_errors(mixture, [n, 0.0], ridge).total
    along = slope - jnp.sqrt(errors[0])
    expected = along / jnp.sqrt(along**2 + errors[1:].sum())
    found = verified_student(Verified(s, error=error), n, dim, ridge, loss="squared").cosine
    assert_allclose(found, expected, rtol=1e-3)


def test_lemma_c_1_graded_scores_have_the_rates_of_labels_drawn_from_them():
    """Labels that are right with probability s, kept with probability 0.1 + 0.8 s: p, phi and psi counted over the draws."""
    rng, n = np.random.default_rng(0), 400_000
    scores = rng.beta(2, 1.5, n)
    chance = 0.1 + 0.8 * scores
    right, kept = rng.random(n) < scores, rng.random(n) < chance
    counted = [1 - right.mean(), kept[right].mean(), kept[~right].mean()]
    rates = rates_of_scores(scores, chance)
    assert_allclose(rates[:3], counted, atol=4 * 0.5 / math.sqrt(0.4 * n))
    # Labels of 0 or 1 and decisions of 0 or 1 are the special case.
    assert_allclose(rates_of_scores(right.astype(float), kept.astype(float))[:3], counted, rtol=1e-9)
    # Right labels are the majority of what is kept exactly below the breakdown point.
    assert (float((chance * scores).mean()) > float((chance * (1 - scores)).mean())) == (rates.error < rates.breakdown)


def test_the_proxy_chooses_the_verifier_that_trains_the_better_student():
    """Rates counted on 2,000 checked samples rank three linear verifiers as the exact students of their selections do."""
    rng, angles = np.random.default_rng(1), (0.2, 0.7, 1.3)
    y = rng.choice([-1, 1], 2000)
    x = rng.normal(size=(2000, 3)) + 1.5 * y[:, None] * np.eye(3)[0]
    label = np.sign(x @ [math.cos(1.2), math.sin(1.2), 0])
    proxies = [
        rates_of_scores((label == y) * 1.0, (label * (x @ [math.cos(v), 0, math.sin(v)]) > 0) * 1.0).breakdown
        for v in angles
    ]
    students = [verified_student(Verified(1.5, generator=1.2, verifier=v), 1000, 100, 1e-2).accuracy for v in angles]
    assert proxies == sorted(proxies, reverse=True)
    assert students == sorted(students, reverse=True)


@pytest.mark.parametrize("opposite", [True, False])
def test_proposition_f_1_is_the_student_of_inputs_with_these_products(opposite):
    """SciPy on unit inputs, each of which has a direction of its own beside its class's; and the printed four equations."""
    counts, ridge, same = np.array([[9, 5], [8, 3]]), 0.02, 0.3
    other, n = (-same if opposite else 0.0), 30
    y, label = np.repeat([1, 1, -1, -1], counts.ravel()), np.repeat([1, -1, -1, 1], counts.ravel())
    classes = np.outer(y, [1, 0]) if opposite else np.stack([y > 0, y < 0], 1)
    inputs = np.concatenate([math.sqrt(same) * classes, math.sqrt(1 - same) * np.eye(y.size)], 1)

    def objective(w):
        margins = label * (inputs @ w)
        slope = -label / (1 + np.exp(margins)) / n
        return np.logaddexp(0, -margins).sum() / n + ridge / 2 * w @ w, inputs.T @ slope + ridge * w

    w = optimize.minimize(objective, np.zeros(inputs.shape[1]), jac=True, method="BFGS", options={"gtol": 1e-10}).x
    fresh = math.sqrt(same) * np.array([[1, 0], [-1, 0] if opposite else [0, 1]]) @ w[:2]
    found = lookalike_student(counts, n, ridge, same=same, other=other)
    assert_allclose(found.scores, fresh, rtol=1e-6)
    (A, B), (D, C) = np.asarray(found.weights)
    (n11, n10), (n00, n01) = counts
    for left, sign, own, cross in [
        (A, 1, same, other),
        (B, -1, same, other),
        (C, 1, other, same),
        (D, -1, other, same),
    ]:
        score = own * (n11 * A - n10 * B) + cross * (n01 * C - n00 * D)
        assert_allclose(n * ridge * left, 1 / (1 + np.exp(sign * score + (1 - same) * left)), rtol=1e-9)


def test_proposition_f_1_tends_to_theorem_4_2():
    """Expected counts at phi = 0.9, psi = 0.3, p* = 3/4: all right below, all wrong above, however large N."""
    for other in (-0.2, 0.0):
        for n in (1e3, 1e6):
            for p, expected in ((0.74, 1.0), (0.76, 0.0)):
                row = [n / 2 * (1 - p) * 0.9, n / 2 * p * 0.3]
                assert lookalike_student([row, row], n, 1e-3, same=0.2, other=other).accuracy == expected
    # Drawn counts decide by majority.
    rng, n, p = np.random.default_rng(0), 400, 0.73
    draws = np.stack([rng.multinomial(n, [(1 - p) * 0.9, p * 0.3, 1 - (1 - p) * 0.9 - p * 0.3]) for _ in range(2000)])
    counts = jnp.asarray(np.stack([draws[:, :2] / 2, draws[:, :2] / 2], 1))
    right = jax.vmap(lambda c: lookalike_student(c, n, 0.1, same=0.2, other=-0.2).accuracy)(counts)
    assert abs(float(right.mean()) - majority(n, p, 0.9, 0.3)) < 4 * 0.5 / math.sqrt(2000) + 0.01


def test_much_data_find_the_direction_of_the_labels():
    """Without a verifier a student with infinitely many samples becomes its generator, with an oracle better."""
    plain, weaker = (verified_student(Verified(1.5, generator=PI / 4), 1e9, 100, ridge) for ridge in (1e-3, 1e-4))
    off, less = (abs(float(student.cosine) - math.cos(PI / 4)) for student in (plain, weaker))
    assert less < off / 3 < 0.005
    oracle = verified_student(Verified(1.5, generator=PI / 4, kept_wrong=0.0), 1e9, 100, 1e-3)
    assert float(oracle.cosine) > plain.cosine + 0.1


@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("ridge", [1e-1, 1e-3, 1e-5])
def test_drawn_students_minimise_their_objective(ridge, squared):
    """SciPy on the same samples finds the same weights, alone and among others that share the inputs."""
    problem = given(Verified(1.5, generator=1.0, verifier=0.5))[0]
    drawn = draw(jax.random.key(3), problem, 300, 20)
    inputs = np.asarray(drawn.noise) + np.asarray(drawn.offset)[:, None] * np.eye(20)[0]
    labels, kept = np.asarray(drawn.labels), np.asarray(drawn.kept)

    def objective(w):
        margins = labels * (inputs @ w)
        loss = (1 - margins) ** 2 / 2 if squared else np.logaddexp(0, -margins)
        slope = margins - 1 if squared else -1 / (1 + np.exp(margins))
        return (kept * loss).mean() + ridge / 2 * w @ w, inputs.T @ (kept * slope * labels) / 300 + ridge * w

    options = {"maxiter": 20_000, "maxfun": 20_000, "ftol": 1e-16, "gtol": 1e-11}
    best = optimize.minimize(objective, np.zeros(20), jac=True, method="L-BFGS-B", options=options).x
    ridges = ridge * jnp.array([1.0, 10.0])
    found = jax.jit(jax.vmap(lambda ridge: fit(drawn, ridge, squared)))(ridges)
    assert_allclose(found[0], best, atol=2e-5 * np.abs(best).max())
    assert_allclose(fit(drawn, ridges[1], squared), found[1], rtol=1e-4, atol=1e-5)


def test_students_batch_and_have_slopes():
    def accuracy(error, ridge):
        return verified_student(Verified(1.5, error=error), 300.0, 100.0, ridge).accuracy

    errors, ridges = jnp.array([0.1, 0.4]), jnp.array([0.1, 1.0])
    both = jax.jit(jax.vmap(accuracy))(errors, ridges)
    assert_allclose(both, [accuracy(*pair) for pair in zip(errors, ridges, strict=True)], rtol=1e-9)


def test_a_verifier_before_ridge_regression_softens_strong_collapse():
    """Synthetic labels off by c^2 = 0.5, four of five samples: the better the verifier, the less they cost."""
    dim, keys = 30, jax.random.split(jax.random.key(0), 24)

    def error(radius, doubt):
        def one(key):
            return cj.simulate.verified_risk(
                key,
                jnp.ones(dim),
                1 / dim,
                0.5 / dim,
                1e-6,
                real=200,
                synthetic=800,
                noise=0.1,
                radius=radius,
                verifier=doubt / dim,
            )

        risk = jax.jit(jax.vmap(one))(keys)
        return float(risk.total.mean()), float(risk.collapse.mean())

    (unchecked, collapse), (weak, _), (good, _) = error(math.inf, 0.0), error(0.3, 0.3), error(0.3, 0.0)
    assert good < 0.25 * unchecked
    assert good < weak < unchecked
    # Unchecked is the mixture of the strong-collapse theory: p_2^2 c^2 and terms of order d / n.
    mixture = cj.real_and_synthetic(cj.spectra.isotropic(dim), 1 / dim, 0.5 / dim, 0.1, 0.1)
    assert collapse == pytest.approx(float(cj.theory.risk(mixture, [200.0, 800.0], 1e-6).collapse), rel=0.15)


def test_bad_problems_are_named():
    for call, message in [
        (lambda: verifier_rates(Verified(1.5)), "problem needs either generator=, an angle, or error="),
        (lambda: verifier_rates(Verified(-1.0, error=0.1)), r"problem.separation is -1; it must be finite and above 0"),
        (lambda: verifier_rates(Verified(1.0, error=1.1)), r"problem.error is 1.1; it must be between 0 and 1"),
        (lambda: verifier_rates(Verified(1.0, error=0.1, verifier=1.0)), r"problem.verifier is an angle"),
        (
            lambda: verifier_rates(Verified(1.0, generator=4.0)),
            r"problem.generator is 4; it must be an angle between 0 and pi",
        ),
        (
            lambda: verifier_rates(Verified(1.0, generator=0.1, verifier=0.1, correlation=0.0)),
            r"the room that generator and verifier leave for problem.correlation is -0.98",
        ),
        (lambda: verified_student(Verified(1.0, error=0.1), 10, 10, 0.0), "ridge is 0; it must be finite and above 0"),
        (lambda: verified_student(Verified(1.0, error=0.1), 10, 10, 1.0, loss="hinge"), "loss is 'hinge'"),
        (lambda: rates_of_scores([0.5, 2.0], [1.0, 1.0]), r"scores is 2 at index 1; it must be between 0 and 1"),
        (
            lambda: lookalike_student(jnp.ones((2, 2)), 4, 0.1, same=0.1, other=0.2),
            "same less the size of other is -0.1; it must be at least 0",
        ),
        (
            lambda: cj.simulate.verified_student(jax.random.key(0), Verified(1.0, error=0.1), 10, 2, 1.0),
            "dim is 2; it must be a whole number, at least 3",
        ),
    ]:
        with pytest.raises(ValueError, match=message):
            call()
