"""Every printed statement that the exact theory contradicts: the print fails, its correction holds.

*Strong Model Collapse* first, *Model Collapse Demystified* last.

The witnesses: the library's exact theory, its simulator, and a few lines of NumPy that draw rows and fit them. Run with ``-s``
to see the numbers of ``docs/errata.md``; all dimensions, counts and seeds are below.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import printed
import pytest
from scipy import optimize
from threadpoolctl import threadpool_limits

import collapse_jax as cj

DIM, KEYS, SEED = 100, 96, 0
FINITE = 2 / DIM  # the theory is exact as d grows: its gap to a simulation is of order 1/d

POWER_LAW = np.asarray(cj.spectra.power_law(DIM, 1.0))
FLAT = np.ones(DIM)
BOTH = np.ones(2)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Small matrices: BLAS threads only wait for each other, up to ten times longer on a busy machine."""
    with threadpool_limits(1):
        yield


class Measured(NamedTuple):
    """A mean over independent designs, and its standard error."""

    mean: float
    error: float


@jax.jit
def _many(keys, mixture, counts, ridge, width, weights):
    return jax.vmap(lambda key: cj.simulate.risk(key, mixture, counts, ridge, width, weights))(keys)


def simulated(mixture, counts, ridge, width=None, weights=BOTH) -> dict[str, Measured]:
    """The library's simulator over KEYS designs; one compilation with a width, one without."""
    keys = jax.random.split(jax.random.key(SEED), KEYS)
    width = None if width is None else jnp.asarray(float(width))
    mixture = cj.Mixture(mixture.spectra, mixture.label_moments, mixture.noise)
    numbers = (jnp.asarray(np.asarray(x, float)) for x in (counts, ridge))
    return _measured(_many(keys, mixture, *numbers, width, jnp.asarray(weights)))


def exact(*args, **kwargs) -> dict[str, float]:
    risk = cj.theory.risk(*args, **kwargs)
    return {part: float(getattr(risk, part)) for part in ("bias", "variance", "collapse", "total")}


@functools.cache
def _chains(real_data):
    def one(key, spectrum, signal, schedule, shift):
        return cj.simulate.generations(key, spectrum, signal, schedule, real_data, shift=shift).total

    return jax.jit(jax.vmap(one, (0, None, None, None, None)))


def chains(spectrum, signal, schedule, shift=0 * FLAT, real_data="fresh") -> list[Measured]:
    """Errors of the generations of 32 simulated chains without projections; a ridge of 0 becomes a tiny one."""
    numbers = {name: values for name, values in vars(schedule).items() if name != "width"}
    numbers["ridge"] = np.maximum(numbers["ridge"], 1e-12)
    length = schedule.generations
    whole = cj.Schedule(**{name: np.broadcast_to(np.asarray(x, float), length) for name, x in numbers.items()})
    keys = jax.random.split(jax.random.key(SEED), 32)
    return [_mean(column) for column in np.asarray(_chains(real_data)(keys, spectrum, signal, whole, shift)).T]


def drawn(Sigma, Gamma, Delta, noise, counts, ridge, width=None, weights=BOTH, *, designs=96) -> dict[str, Measured]:
    """Rows, labels and noise drawn one by one and fitted: no theorem, no Wishart, no library."""
    rng = np.random.default_rng(SEED)
    n, d, labels = sum(counts), Sigma.size, 32
    which = np.repeat([0, 1], counts)
    parts = []
    for _ in range(designs):
        X = rng.normal(size=(n, d)) * np.sqrt(Sigma)
        Z = X if width is None else X @ (S := rng.normal(size=(d, width)) / np.sqrt(d))
        w1 = rng.normal(size=(d, labels)) * np.sqrt(Gamma)[:, None]
        delta = rng.normal(size=(d, labels)) * np.sqrt(Delta)[:, None]
        eps = rng.normal(size=(n, labels)) * np.asarray(noise)[which, None]
        Y = np.concatenate([X @ w1, eps, (which == 1)[:, None] * (X @ delta)], 1)
        weighted_z = np.asarray(weights)[which][:, None] * Z
        v = np.linalg.solve(weighted_z.T @ Z / n + ridge * np.eye(Z.shape[1]), weighted_z.T @ Y / n)
        w = v if width is None else S @ v
        w[:, :labels] -= w1
        parts.append((Sigma[:, None] * w**2).sum(0).reshape(3, labels).mean(1))
    parts = np.array(parts)
    return dict(zip(("bias", "variance", "collapse"), (_mean(column) for column in parts.T), strict=True))


def _measured(risk) -> dict[str, Measured]:
    return {part: _mean(np.asarray(getattr(risk, part))) for part in ("bias", "variance", "collapse", "total")}


def _mean(values) -> Measured:
    return Measured(float(np.mean(values)), float(np.std(values, ddof=1) / np.sqrt(len(values))))


def decide(statement, *, simulation, theory, wrong, right, close=1e-10):
    """The correction is the exact theory; simulation agrees with it and not with the print."""
    witnesses = simulation if isinstance(simulation, list) else [simulation]
    shown = ", ".join(f"{witness.mean:.5g} +- {witness.error:.1g}" for witness in witnesses)
    print(f"\n{statement}: simulation {shown}; exact {theory:.6g}; printed {wrong:.6g}; corrected {right:.6g}")
    assert right == pytest.approx(theory, rel=close)
    for mean, error in witnesses:
        assert abs(mean - theory) < 4 * error + FINITE * abs(theory)
        assert abs(mean - wrong) > 10 * error + 5 * FINITE * abs(theory)


# What is right as printed ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("counts", [(150, 100), (40, 30)])
def test_theorem_1_is_exact_as_printed(counts):
    shift, noise = 0.5 / DIM / POWER_LAW, np.array([0.3, 0.7])
    mixture = cj.real_and_synthetic(POWER_LAW, 1 / DIM, shift, *noise)
    theory = exact(mixture, np.asarray(counts, float), 0.05)
    paper = printed.theorem_1(POWER_LAW, FLAT / DIM, shift, *counts, 0.05, noise**2)
    for part, value in paper._asdict().items():
        assert value == pytest.approx(theory[part], rel=1e-10)


def test_corollary_1_is_exact_for_fewer_directions_than_samples():
    mixture = cj.real_and_synthetic(FLAT, 1 / DIM, 0.5 / DIM, 0.8, 0.8)
    theory = exact(mixture, cj.split(160.0, 0.3), 0.0)
    paper = printed.corollary_1(DIM / 160, 0.3, 0.5, 0.64)
    assert paper.variance == pytest.approx(theory["variance"], rel=1e-10)
    assert paper.collapse == pytest.approx(theory["collapse"], rel=1e-10)


@pytest.mark.parametrize(("n", "m", "ridge"), [(250, 60, 0.05), (60, 250, 1e-3), (150, 140, 1e-6)])
def test_equation_13_is_the_librarys_fixed_point(n, m, ridge):
    theta = printed.equation_13(POWER_LAW, n, m, ridge).theta
    kappa = jax.jit(cj.theory.kappa)(POWER_LAW, float(n), float(ridge), float(m))
    assert theta == pytest.approx(float(kappa), rel=1e-10)


# Classical linear model ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def endless_data():
    """Power-law inputs, Delta = (c^2/d) Sigma^-1 with c^2 = 0.5, p2 = 0.2, n = 1e8: phi = 1e-6."""
    shift = 0.5 / DIM / POWER_LAW
    mixture = cj.real_and_synthetic(POWER_LAW, 1 / DIM, shift)
    counts = cj.split(1e8, 0.2)
    return shift, simulated(mixture, counts, 1e-9)["collapse"], exact(mixture, counts, 1e-9)["collapse"]


def test_definition_1_divides_by_d_what_figures_and_corollaries_do_not(endless_data):
    shift, simulation, theory = endless_data
    decide(
        "Definition 1: zeta = p2^2 c^2 for phi -> 0",
        simulation=simulation,
        theory=theory,
        wrong=0.2**2 * printed.quality(POWER_LAW, shift),
        right=0.2**2 * printed.quality(POWER_LAW, shift, corrected=True),
        close=1e-5,
    )


def test_endless_data_leave_the_shift_in_the_metric_of_the_inputs(endless_data):
    shift, simulation, theory = endless_data
    decide(
        "phi -> 0: zeta",
        simulation=simulation,
        theory=theory,
        wrong=printed.theorem_1_many_samples(POWER_LAW, shift, 0.2),
        right=printed.theorem_1_many_samples(POWER_LAW, shift, 0.2, corrected=True),
        close=1e-5,
    )


def test_equation_12_leaves_out_a_term_of_first_order():
    """Isotropic, p2 = 0.1, c^2 = 1, no noise, phi = 0.1: simulated; then phi -> 0 in the exact theory."""
    mixture = cj.real_and_synthetic(FLAT, 1 / DIM, 1 / DIM)
    counts = cj.split(1000.0, 0.1)
    decide(
        "Equation 12: E at phi = 0.1",
        simulation=simulated(mixture, counts, 1e-9)["total"],
        theory=exact(mixture, counts, 0.0)["total"],
        wrong=printed.corollary_1_small_phi(0.1, 0.1, 1.0, 0.0),
        right=printed.corollary_1(0.1, 0.1, 1.0, 0.0).collapse,
    )
    remainders = {}
    for corrected in (False, True):
        for phi in (1e-2, 1e-3):
            theory = exact(mixture, cj.split(DIM / phi, 0.1), 0.0)["total"]
            remainders[corrected, phi] = theory - printed.corollary_1_small_phi(phi, 0.1, 1.0, 0.0, corrected=corrected)
    assert remainders[False, 1e-2] / remainders[False, 1e-3] == pytest.approx(10, rel=0.02)  # so it is O(phi)
    assert remainders[True, 1e-2] / remainders[True, 1e-3] == pytest.approx(100, rel=0.02)  # and this is O(phi^2)


def test_corollary_4_zeta_lacks_a_factor():
    """Isotropic, p2 = 0.4, c^2 = 1, r^2 = 1, sigma = 1, phi = 4 (n = 25), ridge -> 0."""
    mixture = cj.real_and_synthetic(FLAT, 1 / DIM, 1 / DIM, 1.0, 1.0)
    counts = cj.split(25.0, 0.4)
    theory, wrong = exact(mixture, counts, 0.0), printed.corollary_4(4, 0.4, 1.0, 1.0, 1.0)
    right = printed.corollary_4(4, 0.4, 1.0, 1.0, 1.0, corrected=True)
    assert wrong.bias == pytest.approx(theory["bias"], rel=1e-10)
    assert wrong.variance == pytest.approx(theory["variance"], rel=1e-10)
    decide(
        "Corollary 4: zeta",
        simulation=simulated(mixture, counts, 1e-9)["collapse"],
        theory=theory["collapse"],
        wrong=wrong.collapse,
        right=right.collapse,
    )


def test_far_over_parametrised_models_collapse_less_not_more():
    """Isotropic, p2 = 0.4, c^2 = 1, phi = 20 (n = 5): after Corollary 4 zeta tends to p2 c^2; in truth it vanishes."""
    mixture = cj.real_and_synthetic(FLAT, 1 / DIM, 1 / DIM)
    decide(
        "Corollary 4: zeta at phi = 20",
        simulation=simulated(mixture, cj.split(5.0, 0.4), 1e-9)["collapse"],
        theory=exact(mixture, cj.split(5.0, 0.4), 0.0)["collapse"],
        wrong=printed.corollary_4_large_phi(20, 0.4, 1.0),
        right=printed.corollary_4_large_phi(20, 0.4, 1.0, corrected=True),
        close=1 / 20,
    )


def test_section_b2_second_equality_changes_the_value():
    """Power law, n = 150, only synthetic data, Delta = (c^2/d) Sigma^-1, c^2 = 0.5, ridge 0.2."""
    mixture = cj.real_and_synthetic(POWER_LAW, 1 / DIM, 0.5 / DIM / POWER_LAW)
    first, second = printed.section_b2(POWER_LAW, 150, 0.2, 0.5)
    theory = exact(mixture, np.array([0.0, 150.0]), 0.2)["collapse"]
    simulation = simulated(mixture, (0, 150), 0.2)["collapse"]
    assert first == pytest.approx(theory, rel=1e-10)
    for name in ("eta^2", "no df_2", "eta^2 and no df_2"):
        decide(
            f"Section B.2: zeta, {name}",
            simulation=simulation,
            theory=theory,
            wrong=second[name],
            right=second["corrected"],
        )


# Random projections ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def projected():
    """Power law, Gamma = I/d, Delta = (c^2/d) Sigma^-1 with c^2 = 0.5, noise 0.3 and 0.7, n = 150 + 100, m = 60, ridge 0.05."""
    setting = {"Sigma": POWER_LAW, "Gamma": FLAT / DIM, "Delta": 0.5 / DIM / POWER_LAW}
    mixture = cj.real_and_synthetic(*setting.values(), 0.3, 0.7)
    counts = (150, 100)
    witnesses = [
        simulated(mixture, counts, 0.05, 60),
        drawn(*setting.values(), (0.3, 0.7), counts, 0.05, 60),
    ]
    paper = {**setting, "n1": 150, "n2": 100, "m": 60, "lam": 0.05, "sigma2": np.array([0.3, 0.7]) ** 2}
    return paper, witnesses, exact(mixture, np.array([150.0, 100.0]), 0.05, 60.0)


@pytest.mark.parametrize("part", ["variance", "collapse"])
def test_theorem_2_variance_lacks_1_over_n_and_zeta_a_factor_p2(projected, part):
    paper, witnesses, theory = projected
    wrong, right = printed.theorem_2(**paper), printed.theorem_2(**paper, corrected=True)
    decide(
        f"Theorem 2: {part}",
        simulation=[witness[part] for witness in witnesses],
        theory=theory[part],
        wrong=getattr(wrong, part),
        right=getattr(right, part),
    )
    assert wrong.bias == pytest.approx(theory["bias"], rel=1e-10)


def test_theorem_2_variance_is_the_noise_times_u(projected):
    *_, theory = projected
    u, _ = printed.equation_14(POWER_LAW, 250, 60, 0.05)
    assert (0.6 * 0.3**2 + 0.4 * 0.7**2) * u == pytest.approx(theory["variance"], rel=1e-10)


def test_lemma_1_omega_prime_has_i12_in_its_numerator(projected):
    paper, witnesses, theory = projected
    u, omega = printed.equation_14(POWER_LAW, 250, 60, 0.05)
    u_printed, omega_printed = printed.lemma_1(POWER_LAW, 250, 60, 0.05)
    u_right, omega_right = printed.lemma_1(POWER_LAW, 250, 60, 0.05, corrected=True)
    print(f"\nLemma 1: omega' {omega:.6g} by equation 14; printed {omega_printed:.6g}; corrected {omega_right:.6g}")
    assert u_printed == u_right == pytest.approx(u, rel=1e-10)
    assert omega_right == pytest.approx(omega, rel=1e-10)
    decide(
        "Lemma 1: bias",
        simulation=[witness["bias"] for witness in witnesses],
        theory=theory["bias"],
        wrong=printed.theorem_2(**paper, omega=omega_printed).bias,
        right=printed.theorem_2(**paper, omega=omega_right).bias,
    )


# Deterministic equivalents ---------------------------------------------------------------------------------------------------

SIGMA_1, SIGMA_2 = POWER_LAW, np.asarray(cj.spectra.power_law(DIM, 0.3))[::-1].copy()
RNG = np.random.default_rng(7)
A, B = RNG.uniform(0.2, 1.8, (2, DIM))
PAIR = (SIGMA_1, SIGMA_2, 90, 60)


def traces(width=None, ridge=0.3, designs=96) -> dict[str, list[Measured]]:
    """The random traces of Propositions 2 and 4, from drawn rows, divided by d."""
    rng = np.random.default_rng(SEED)
    n = sum(PAIR[2:])
    rows = []
    for _ in range(designs):
        X1, X2 = (rng.normal(size=(k, DIM)) * np.sqrt(s) for s, k in zip(PAIR[:2], PAIR[2:], strict=True))
        M = np.stack([X1.T @ X1, X2.T @ X2]) / n
        if width is None:
            Q = np.linalg.inv(M.sum(0) + ridge * np.eye(DIM))
        else:
            S = rng.normal(size=(DIM, width)) / np.sqrt(DIM)
            Q = S @ np.linalg.solve(S.T @ M.sum(0) @ S + ridge * np.eye(width), S.T)
        QBQ = Q @ (B[:, None] * Q)
        values = [np.sum(A * np.diag(QBQ))]
        for part in (M @ Q, M @ QBQ @ M, M @ QBQ):
            values.extend(np.sum(A * np.diagonal(part, axis1=1, axis2=2), 1))
        rows.append(np.array(values) / DIM)
    columns = [_mean(column) for column in np.array(rows).T]
    return {"r2": columns[:1], "r1": columns[1:3], "r3": columns[3:5], "r4": columns[5:7]}


@pytest.fixture(scope="module")
def resolvent():
    return traces()


@pytest.fixture(scope="module")
def projected_resolvent():
    return traces(width=80, ridge=0.05)


def test_proposition_2_corrected_is_the_exact_theory_on_both_domains():
    """Through Proposition 1, for the real and for the synthetic test distribution."""
    Gamma, Delta, noise, ridge = FLAT / DIM, 0.5 / DIM / SIGMA_1, np.array([0.3, 0.7]), 0.3
    n1, n2 = PAIR[2:]

    def r(weight, metric):
        return printed.proposition_2(*PAIR, ridge, weight, metric)

    def variance(metric):
        return float((noise**2 / (n1 + n2) * r(FLAT, metric).r4).sum())

    moments = np.stack([np.stack([Gamma, Gamma]), np.stack([Gamma, Gamma + Delta])])
    theory = exact(cj.Mixture(np.stack([SIGMA_1, SIGMA_2]), moments, noise), np.array([n1, n2], float), ridge)
    assert ridge**2 * r(Gamma, SIGMA_1).r2 == pytest.approx(theory["bias"], rel=1e-10)
    assert r(Delta, SIGMA_1).r3[1] == pytest.approx(theory["collapse"], rel=1e-10)
    assert variance(SIGMA_1) == pytest.approx(theory["variance"], rel=1e-10)
    # The synthetic distribution as the target: the same sources in the other order.
    swapped = cj.Mixture(np.stack([SIGMA_2, SIGMA_1]), moments[::-1, ::-1], noise[::-1].copy())
    theory = exact(swapped, np.array([n2, n1], float), ridge)
    second = r(Delta, SIGMA_2).r3[0] + ridge**2 * r(Gamma + Delta, SIGMA_2).r2 + 2 * ridge * r(Delta, SIGMA_2).r4[0]
    assert second == pytest.approx(theory["bias"] + theory["collapse"], rel=1e-10)
    assert variance(SIGMA_2) == pytest.approx(theory["variance"], rel=1e-10)


def test_proposition_2_without_e_j_contradicts_the_training_loss():
    """Labels x.w with E w_i^2 = A_i: the least objective is lambda tr A (M_1 + M_2) Q = lambda (r1_1 + r1_2).

    So the training loss is -lambda^2 d(r1_1 + r1_2) / d lambda.
    """
    ridge, step = 0.3, 1e-4
    mixture = cj.Mixture(np.stack([SIGMA_1, SIGMA_2]), np.broadcast_to(A, (2, 2, DIM)))
    theory = float(cj.theory.training_loss(mixture, np.array(PAIR[2:], float), ridge))

    def loss(drop_e):
        high, low = (
            printed.proposition_2(*PAIR, x, A, B, drop_e=drop_e).r1.sum() for x in (ridge + step, ridge - step)
        )
        return -(ridge**2) * (high - low) / (2 * step)

    assert loss(drop_e=False) == pytest.approx(theory, rel=1e-6)  # the difference quotient's own error is 1e-7
    assert abs(loss(drop_e=True) / theory - 1) > 0.1


@pytest.mark.parametrize(
    ("trace", "misprint"), [("r2", "lambda_in_L"), ("r1", "drop_e"), ("r3", "Sigma1_in_C")], ids=["L", "e_j", "C_2"]
)
def test_proposition_2_misprints_miss_the_drawn_matrices(resolvent, trace, misprint):
    """Sigma_1 ~ j^-1, Sigma_2 ~ (d + 1 - j)^-0.3 (both trace d), n = 90 + 60, ridge 0.3, A and B uniform on (0.2, 1.8)."""
    right = getattr(printed.proposition_2(*PAIR, 0.3, A, B), trace)
    wrong = getattr(printed.proposition_2(*PAIR, 0.3, A, B, **{misprint: True}), trace)
    last = np.ravel(right)[-1] / DIM
    decide(
        f"Proposition 2: {trace} with {misprint}, over d",
        simulation=resolvent[trace][-1],
        theory=last,
        wrong=np.ravel(wrong)[-1] / DIM,
        right=last,
    )


def test_proposition_2_corrected_gives_every_drawn_trace(resolvent):
    corrected = printed.proposition_2(*PAIR, 0.3, A, B)
    for trace, measured in resolvent.items():
        for value, (mean, error) in zip(np.ravel(getattr(corrected, trace)) / DIM, measured, strict=True):
            assert abs(mean - value) < 4 * error + FINITE * abs(value)


def test_proposition_4_corrected_is_the_exact_variance():
    noise = np.array([0.3, 0.7])
    corrected = printed.proposition_4(*PAIR, 80, 0.05, FLAT, SIGMA_1)
    mixture = cj.Mixture(np.stack([SIGMA_1, SIGMA_2]), np.zeros((2, 2, DIM)), noise)
    theory = exact(mixture, np.array(PAIR[2:], float), 0.05, 80.0)["variance"]
    assert (noise**2 / 150 * corrected.r4).sum() == pytest.approx(theory, rel=1e-10)


def test_proposition_4_omega_must_contain_omega(projected_resolvent):
    """The matrices of Proposition 2's rows, m = 80, ridge 0.05. The printed omega is not even linear in B."""
    right = printed.proposition_4(*PAIR, 80, 0.05, A, B).r2 / DIM
    decide(
        "Proposition 4: r2 with the printed omega, over d",
        simulation=projected_resolvent["r2"][0],
        theory=right,
        wrong=printed.proposition_4(*PAIR, 80, 0.05, A, B, omega_in_omega=False).r2 / DIM,
        right=right,
    )
    for omega_in_omega in (True, False):
        once, twice = (
            printed.proposition_4(*PAIR, 80, 0.05, A, k * B, omega_in_omega=omega_in_omega).r2 for k in (1, 2)
        )
        assert (twice == pytest.approx(2 * once, rel=1e-10)) == omega_in_omega


@pytest.mark.parametrize("factor", ["1", "tau", "gamma tau"])
def test_proposition_4_d_begins_with_gamma_tau_squared(projected_resolvent, factor):
    right = printed.proposition_4(*PAIR, 80, 0.05, A, B).r4[0] / DIM
    decide(
        f"Proposition 4: r4_1 with {factor} for gamma tau^2, over d",
        simulation=projected_resolvent["r4"][0],
        theory=right,
        wrong=printed.proposition_4(*PAIR, 80, 0.05, A, B, first_of_D=factor).r4[0] / DIM,
        right=right,
    )


# Mixing ----------------------------------------------------------------------------------------------------------------------


def weighted(alpha, p2, n, c2, noise):
    moments = np.array([[1, 1], [1, 1 + c2]])[:, :, None] * FLAT / DIM
    mixture = cj.Mixture(np.stack([FLAT, FLAT]), moments, np.asarray(noise))
    return mixture, cj.split(n, p2), printed.equation_16_weights(alpha, p2)


def test_corollary_2_is_not_the_risk_of_equation_16():
    """Isotropic, n = 1e5 (phi = 1e-3), p2 = 0.2, c^2 = 0.25, sigma = (1, 1), alpha = 0.5."""
    sigma2 = np.ones(2)
    mixture, counts, weights = weighted(0.5, 0.2, 1e5, 0.25, sigma2)
    decide(
        "Corollary 2: E",
        simulation=simulated(mixture, counts, 1e-9, weights=weights)["total"],
        theory=exact(mixture, counts, 0.0, weights=weights)["total"],
        wrong=printed.corollary_2(1e-3, 0.5, 0.2, 0.25, sigma2),
        right=printed.corollary_2(1e-3, 0.5, 0.2, 0.25, sigma2, corrected=True),
        close=1e-4,
    )


@pytest.mark.parametrize("alpha", [0.1, 0.5, 0.9])
def test_corollary_2_corrected_is_exact_to_first_order(alpha):
    p2, c2, noise = 0.3, 0.7, np.array([1.2, 0.5])
    remainders = []
    for phi in (1e-2, 1e-3):
        mixture, counts, weights = weighted(alpha, p2, DIM / phi, c2, noise)
        theory = exact(mixture, counts, 0.0, weights=weights)["total"]
        remainders.append(theory - printed.corollary_2(phi, alpha, p2, c2, noise**2, corrected=True))
    assert remainders[0] / remainders[1] == pytest.approx(100, rel=0.1)


@pytest.mark.parametrize(("phi", "c2"), [(1e-2, 0.25), (1e-3, 0.25), (1e-3, 1e-3)])
def test_corollary_2_weight_goes_to_the_synthetic_data_where_it_should_go_to_none(phi, c2):
    """Isotropic, n = 100 / phi, p2 = 0.5, sigma = (1, 1); c^2 fixed, and as small as phi."""
    noise = np.ones(2)
    mixture, counts, _ = weighted(0.5, 0.5, DIM / phi, c2, noise)

    def error(alpha):
        return exact(mixture, counts, 0.0, weights=printed.equation_16_weights(alpha, 0.5))["total"]

    best = optimize.minimize_scalar(error, bounds=(0, 1), method="bounded", options={"xatol": 1e-9}).x
    wrong = printed.corollary_2_best_weight(phi, 0.5, c2, noise)
    right = printed.corollary_2_best_weight(phi, 0.5, c2, noise, corrected=True)
    risks = {
        name: simulated(mixture, counts, 1e-9, weights=printed.equation_16_weights(alpha, 0.5))["total"]
        for name, alpha in (("printed", wrong), ("corrected", right))
    }
    print(
        f"\nCorollary 2, phi {phi}, c^2 {c2}: alpha* exact {best:.6f}; printed {wrong:.6f}; corrected {right:.6f}; "
        + ", ".join(f"{name} E simulation {risk.mean:.6f} +- {risk.error:.1g}" for name, risk in risks.items())
        + f"; exact {error(wrong):.6f}, {error(right):.6f}, best {error(best):.6f}"
    )
    assert right == pytest.approx(best, rel=3 * phi)  # leading order: the relative remainder is of order phi
    assert error(right) == pytest.approx(error(best), rel=phi**2)
    assert wrong > best + 0.3
    assert risks["printed"].mean - risks["corrected"].mean > 10 * (risks["printed"].error + risks["corrected"].error)
    for name, alpha in (("printed", wrong), ("corrected", right)):
        assert abs(risks[name].mean - error(alpha)) < 4 * risks[name].error + FINITE * error(alpha)


def test_equation_18_does_not_minimise_equation_17():
    """Even in the print's own risk the weight 1 that it recommends for equal noise and shares is the worst."""
    best = printed.corollary_2_best_weight(0.01, 0.5, 0.25, np.ones(2))
    risks = [printed.corollary_2(0.01, alpha, 0.5, 0.25, np.ones(2)) for alpha in np.linspace(0, 1, 11)]
    assert best == 1
    assert max(risks) == risks[-1]
    assert min(risks) == risks[0]


def test_appendix_e3_must_scale_the_noise_too():
    """Isotropic, n = 300 (phi = 1/3), p2 = 0.4, alpha = 0.2, c^2 = 0.5, sigma = (1, 0.6), ridge 0.02."""
    noise = np.array([1.0, 0.6])
    mixture, counts, weights = weighted(0.2, 0.4, 300.0, 0.5, noise)
    theory = exact(mixture, counts, 0.02, weights=weights)
    unweighted = {}
    for corrected in (False, True):
        spectra, sigma2 = printed.appendix_e3(FLAT, noise**2, 0.2, 0.4, corrected=corrected)
        same = cj.Mixture(spectra, mixture.label_moments, np.sqrt(sigma2))
        unweighted[corrected] = exact(same, counts, 0.02, target=FLAT)
    # The inputs are scaled rightly ...
    assert unweighted[False]["bias"] == pytest.approx(theory["bias"], rel=1e-10)
    assert unweighted[False]["collapse"] == pytest.approx(theory["collapse"], rel=1e-10)
    # ... and the noise is not.
    rows = drawn(FLAT, FLAT / DIM, 0.5 / DIM * FLAT, noise, (180, 120), 0.02, weights=weights)
    decide(
        "App. E.3: variance",
        simulation=[simulated(mixture, counts, 0.02, weights=weights)["variance"], rows["variance"]],
        theory=theory["variance"],
        wrong=unweighted[False]["variance"],
        right=unweighted[True]["variance"],
    )


@pytest.mark.parametrize(("n2", "read"), [(1000, 0.5), (2000, 1 / 3), (4000, 0.2)])
def test_figure_9_has_noise_that_depends_on_the_mixture(n2, read):
    """Left panel, alpha = 0: only the real data count, so n2 cannot matter. In the figure it does.

    The figure has d = 500, n1 = 1000; here d, n1 and n2 are a fifth of that, which leaves the theory as it is.
    """
    p1 = 1000 / (1000 + n2)
    errors = {}
    for name, noise in (("printed", (1.0, 1.0)), ("drawn", (np.sqrt(p1), np.sqrt(1 - p1)))):
        mixture, counts, weights = weighted(0.0, 1 - p1, (1000 + n2) / 5, 0.25, noise)
        errors[name] = exact(mixture, counts, 0.0, weights=weights)["total"]
    mixture, counts, weights = weighted(0.0, 1 - p1, (1000 + n2) / 5, 0.25, (1.0, 1.0))
    mean, error = simulated(mixture, counts, 1e-9, weights=weights)["total"]
    print(
        f"\nFigure 9, n2 = {n2}: sigma = 1 {errors['printed']:.4f} (simulation {mean:.4f} +- {error:.1g}); figure {read:.3f}"
    )
    assert errors["printed"] == pytest.approx(1, rel=1e-8)
    assert abs(mean - DIM / (2 * DIM - DIM - 1)) < 4 * error  # at finite d the exact error is sigma^2 d / (n1 - d - 1)
    assert errors["drawn"] == pytest.approx(read, rel=1e-8)
    assert abs(read - mean) > 10 * error


def test_figure_9_rules_out_the_p2_squared_of_corollary_2():
    """Right panel, d = 100, n1 = 1e4, n2 = 200, alpha = 1: read as 0.27. With p2^2 c^2 it would be 0.02."""
    p2 = 200 / 10200
    mixture, counts, weights = weighted(1.0, p2, 10200.0, 0.25, (np.sqrt(1 - p2), np.sqrt(p2)))
    assert exact(mixture, counts, 0.0, weights=weights)["total"] == pytest.approx(0.27, abs=0.005)
    assert p2**2 * 0.25 + p2 * DIM / 100 < 0.02


def test_corollary_3_leaves_out_the_shift_that_the_designs_carry_on():
    """Isotropic, fresh data, n = 200 (phi = 0.5), p2 = 0.5, sigma = 1: what stays of c_t^2 in a round, and the limit."""
    mixture = cj.real_and_synthetic(FLAT, 1 / DIM, 1 / DIM, 1.0, 1.0)
    counts = cj.split(200.0, 0.5)
    theory, simulation = exact(mixture, counts, 0.0), simulated(mixture, counts, 1e-9)
    decide(
        "Corollary 3: c_{t+1}^2 / c_t^2",
        simulation=simulation["collapse"],
        theory=theory["collapse"],
        wrong=printed.corollary_3(0.5, 0.5, 1.0, 0.0, 1),
        right=printed.corollary_3(0.5, 0.5, 1.0, 0.0, 1, corrected=True),
    )
    limit = theory["variance"] / (1 - theory["collapse"])
    wrong, right = (printed.corollary_3(0.5, 0.5, 1.0, 1.0, 200, corrected=corrected) for corrected in (False, True))
    print(f"\nCorollary 3: limit exact {limit:.6g}; printed {wrong:.6g}; corrected {right:.6g}")
    assert right == pytest.approx(limit, rel=1e-10)
    assert wrong == pytest.approx(4 / 3, rel=1e-10)
    assert limit == pytest.approx(2, rel=1e-10)


@pytest.fixture(scope="module")
def rounds():
    """Figure 10: isotropic, d = 100, n = 1e4, p2 = 0.5, sigma = 1, c_0^2 = 1, five rounds; 16 repeats of drawn rows."""
    rng = np.random.default_rng(SEED)
    n1 = n2 = 5000

    def source(rows, shift):
        X = rng.normal(size=(rows, DIM))
        return X.T @ X, X.T @ (X @ shift + rng.normal(size=rows))  # the truth is 0: errors do not depend on it

    errors = {"fresh": [], "fixed": []}
    for name, results in errors.items():
        for _ in range(16):
            w = rng.normal(size=DIM) / np.sqrt(DIM)
            real = source(n1, np.zeros(DIM))
            for _ in range(5):
                real = source(n1, np.zeros(DIM)) if name == "fresh" else real
                synthetic = source(n2, w)
                w = np.linalg.solve(real[0] + synthetic[0], real[1] + synthetic[1])
            results.append(w @ w)
    return {name: _mean(results) for name, results in errors.items()}


def test_figure_10_reuses_its_real_data_and_corollary_3_does_not(rounds):
    """The figure's iterative curve ends at 0.028."""
    fresh, fixed = rounds["fresh"], rounds["fixed"]
    paper = printed.corollary_3(0.01, 0.5, 1.0, 1.0, 5)
    reused = printed.corollary_3_fixed(0.01, 0.5, 1.0, 1.0, 5)
    print(
        f"\nFigure 10: fresh {fresh.mean:.5f} +- {fresh.error:.1g}, Corollary 3 {paper:.5f}; "
        f"fixed {fixed.mean:.5f} +- {fixed.error:.1g}, first order {reused:.5f}; figure 0.028"
    )
    assert abs(fresh.mean - paper) < 4 * fresh.error + FINITE * paper
    assert abs(fixed.mean - paper) > 10 * fixed.error
    assert abs(fixed.mean - reused) < 4 * fixed.error + FINITE * reused
    assert abs(fixed.mean - 0.028) < 4 * fixed.error + 0.0005
    assert abs(fresh.mean - 0.028) > 10 * fresh.error


def test_corollary_3_with_the_data_of_figure_10_ends_at_more_than_its_limit():
    """Figure 10 for twelve rounds: one real data set in all of them is worse than these data alone, fresh data are better."""
    schedule = cj.Schedule(np.full(12, 5e3), 5e3, 0.0, noise_real=1.0, noise_synthetic=1.0)
    errors = chains(FLAT, FLAT / DIM, schedule, FLAT / DIM, "fixed")
    fifth, last = errors[4], errors[-1]
    wrong, right = (printed.corollary_3_limit(0.01, 0.5, 1.0, corrected=corrected) for corrected in (False, True))
    fresh = printed.corollary_3(0.01, 0.5, 1.0, 1.0, 12, corrected=True)
    alone = DIM / 5000
    print(
        f"\nCorollary 3, fixed real data: fifth round {fifth.mean:.5f} +- {fifth.error:.1g} (figure 0.028); limit "
        f"{last.mean:.5f} +- {last.error:.1g}; printed {wrong:.5f} (fresh data {fresh:.5f}); "
        f"first order {right:.5f}; real data alone {alone:.5f}"
    )
    assert fresh == pytest.approx(wrong, rel=FINITE)
    assert abs(fifth.mean - printed.corollary_3_fixed(0.01, 0.5, 1.0, 1.0, 5)) < 4 * fifth.error
    assert abs(fifth.mean - 0.028) < 4 * fifth.error
    assert abs(last.mean - right) < 4 * last.error + FINITE * right
    assert abs(last.mean - wrong) > 10 * last.error + 5 * FINITE * wrong
    assert wrong < alone < right
    assert last.mean - alone > 4 * last.error


# Figures 2, 4 and 5 ----------------------------------------------------------------------------------------------------------


def test_appendix_a1_spectrum_has_trace_d():
    """Setting of the figures: d = 600, n = 300 + 200, sigma = 0.1, Gamma = I/d, Delta = Sigma^-1/d, ridge 1e-8."""
    dim, read = 600, {10.0: 0.85, 250.0: 0.38, 1000.0: 0.08}
    counts = np.array([300.0, 200.0])

    def risk(spectrum, width, signal=1 / dim):
        return cj.theory.risk(
            cj.real_and_synthetic(spectrum, signal, 1 / dim / spectrum, 0.1, 0.1), counts, 1e-8, width
        )

    for corrected in (False, True):
        spectrum = jnp.asarray(printed.appendix_a1(dim, corrected=corrected))
        risks = {width: risk(spectrum, width) for width in read}
        ratios = [read[width] / float(risks[width].bias) for width in read]
        print(
            f"\nApp. A.1, trace {'d' if corrected else 1}: "
            + ", ".join(f"bias({m:.0f}) {float(risks[m].bias):.5f} (read {read[m]})" for m in read)
            + f", variance(1000) {float(risks[1000.0].variance):.4f} (read 0.06), "
            + f"zeta(1000) {float(risks[1000.0].collapse):.4f} (read 1.7)"
        )
        assert all(0.75 < ratio < 1.1 if corrected else ratio > 400 for ratio in ratios)
        # Variance and zeta do not tell: they hardly depend on the scale of the inputs.
        assert risks[1000.0].variance == pytest.approx(0.06, rel=0.1)
        assert risks[1000.0].collapse == pytest.approx(1.7, rel=0.1)
    # One Gaussian draw of w_1* scatters the bias by sqrt(2 sum_i B_i^2), B_i being what direction i adds.
    spectrum = printed.appendix_a1(dim, corrected=True)
    theta = printed.equation_13(spectrum, 500, 1000, 1e-8).theta
    u, omega = printed.lemma_1(spectrum, 500, 1000, 1e-8, corrected=True)
    directions = ((1 + u) * theta**2 * spectrum + omega * spectrum**2) / (spectrum + theta) ** 2 / dim
    assert directions.sum() == pytest.approx(float(risks[1000.0].bias), rel=1e-8)
    print(f"scatter of the bias at m = 1000 by one draw of w_1*: {np.sqrt(2 * (directions**2).sum()):.2g}")


# Model Collapse Demystified --------------------------------------------------------------------------------------------------

GENERATORS = 4


def exact_chain(spectrum, signal, schedule) -> np.ndarray:
    return np.asarray(cj.theory.generations(spectrum, signal, schedule).total)


def generated(T0, sigma0, T, ridge) -> cj.Schedule:
    """Four generators without a ridge, and a downstream model without noise."""
    last = np.arange(GENERATORS + 1) == GENERATORS
    return cj.Schedule(
        real=0.0,
        synthetic=np.where(last, float(T), T0),
        ridge=np.where(last, ridge, 0.0),
        noise_synthetic=np.where(last, 0.0, sigma0),
    )


def generated_rows(T0, T, ridge, shared, designs=96) -> Measured:
    """The error that four generators' unit noise makes downstream, from drawn rows; inputs shared or their own."""
    rng = np.random.default_rng(SEED)
    errors = []
    for _ in range(designs):
        w, X = np.zeros((DIM, 32)), rng.normal(size=(T0, DIM)) * np.sqrt(POWER_LAW)
        for _ in range(GENERATORS):
            X = X if shared else rng.normal(size=(T0, DIM)) * np.sqrt(POWER_LAW)
            w = X.T @ np.linalg.solve(X @ X.T, X @ w + rng.normal(size=(T0, 32)))
        X = rng.normal(size=(T, DIM)) * np.sqrt(POWER_LAW)
        w = np.linalg.solve(X.T @ X / T + ridge * np.eye(DIM), X.T @ X @ w / T)
        errors.append((POWER_LAW[:, None] * w**2).sum(0).mean())
    return _mean(errors)


def test_theorem_4_6_does_not_hold_for_few_samples_with_inputs_of_their_own():
    """Power law, T_0 = 30, four generators, T = 300, ridge 0.05, sigma_0 = 1. Its scope: T_0 >= d, or shared inputs."""
    T0, T, ridge = 30, 300, 0.05
    schedule, nothing = generated(T0, 1.0, T, ridge), np.zeros(DIM)
    wrong = GENERATORS * printed.theorem_4_6(POWER_LAW, T0, T, ridge)
    decide(
        "Theorem 4.6 beyond its scope: n sigma_0^2 rho",
        simulation=[chains(POWER_LAW, nothing, schedule)[-1], generated_rows(T0, T, ridge, False)],
        theory=exact_chain(POWER_LAW, nothing, schedule)[-1],
        wrong=wrong,
        right=printed.theorem_4_6_any(POWER_LAW, T0, T, ridge, GENERATORS),
    )
    mean, error = generated_rows(T0, T, ridge, True)
    print(f"Theorem 4.6 within its scope, shared inputs: rows {mean:.5g} +- {error:.1g}; printed {wrong:.6g}")
    assert abs(mean - wrong) < 4 * error + FINITE * wrong


@functools.cache
def slope(power, a, b, exponent) -> tuple[float, Measured]:
    """Of log E in log T from T = 1e4 to 1e6, ridge T^-exponent, n sigma_0^2 = T^power, T_0 = T^b: exact, and simulated.

    Section 5 with beta = 3, r = 0.375: l_crit = 12/13, c = 9/13.
    """
    law = printed.section_5(DIM, 3.0, 0.375)
    ends = np.array([1e4, 1e6])
    schedules = [generated(T**b, np.sqrt(T**power / GENERATORS), T, T**-exponent) for T in ends]
    theory = [exact_chain(law.Sigma, law.Gamma, schedule)[-1] for schedule in schedules]
    errors = [chains(law.Sigma, law.Gamma, schedule)[-1] for schedule in schedules]
    span = np.log(ends[1] / ends[0])
    relative = np.hypot(*(measured.error / measured.mean for measured in errors))
    simulated = Measured(np.log(errors[1].mean / errors[0].mean) / span, relative / span)
    return float(np.log(theory[1] / theory[0]) / span), simulated


def test_corollary_5_3_is_about_noise_that_grows_like_t_to_the_a():
    """Section 5 with a = 0.2, b = 1: the error falls like T^-(b - a) c if n sigma_0^2 ~ T^a; if n ~ T^b it grows."""
    law = printed.section_5(DIM, 3.0, 0.375)
    best, wrong = printed.corollary_5_3(3.0, law.source, 0.2, 1.0)
    _, right = printed.corollary_5_3(3.0, law.source, 0.2, 1.0, typo=True)
    for power, expected in ((0.2, wrong), (1.0, right)):
        theory, (mean, error) = slope(power, 0.2, 1.0, best)
        print(
            f"\nCorollary 5.3, n sigma_0^2 = T^{power}: slope {mean:.4f} +- {error:.1g}; exact {theory:.4f}; "
            f"expected {expected:.4f}"
        )
        assert abs(mean - theory) < 4 * error
        assert theory == pytest.approx(expected, abs=0.02)
        assert abs(mean - (wrong if power == 1.0 else right)) > 10 * error


@pytest.mark.parametrize(("a", "b"), [(0.2, 1.0), (1.0, 1.0)])
def test_corollary_5_3_says_divergence_where_there_is_none(a, b):
    """The ridge of clean data, T^-l_crit: E ~ T^-(c + b - a - 1) diverges for b below a + 1 - c, not above."""
    law = printed.section_5(DIM, 3.0, 0.375)
    theory, (mean, error) = slope(a, a, b, 3.0 / (1 + law.source))
    expected, wrong = printed.corollary_5_3_unadapted(law.source, a, b)
    _, right = printed.corollary_5_3_unadapted(law.source, a, b, corrected=True)
    print(
        f"\nCorollary 5.3, a = {a}, b = {b}, ridge T^-l_crit: slope {mean:.4f} +- {error:.1g}; exact {theory:.4f}; "
        f"expected {expected:.4f}; diverges: printed {wrong}, corrected {right}"
    )
    assert theory == pytest.approx(expected, abs=0.02)
    assert abs(mean - theory) < 4 * error
    assert abs(mean) > 10 * error
    assert (mean > 0) == right != wrong
