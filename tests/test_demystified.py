"""The theorems of *Model Collapse Demystified*, each against the general theory of chains and against simulated chains.

The paper's chain is n generators, each fitted without a ridge to T_0 samples that the one before it labels, and a downstream
ridge fit to T samples that the last of them labels. Here that is a schedule of ``LENGTH`` generations in which the downstream
model is number n, counted from 0; what follows it does not matter. Of its error, bias and variance are those of ridge
regression on the truth, and collapse is what the generators add.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import printed
import problems
import pytest
from numpy.testing import assert_allclose

import collapse_jax as cj

DIM, LENGTH, KEYS = 40, 6, 64
GAP = 3 / DIM  # of statements for d -> infinity, relative
RIDGELESS = 1e-8  # for simulations, which need a ridge
FLAT = np.ones(DIM)
POWER_LAW = np.asarray(cj.spectra.power_law(DIM, 1.0))
SIGNAL = np.linspace(2.0, 0.5, DIM) / DIM
PARTS = ("bias", "variance", "collapse", "total")


def chain(n, T0, sigma0, T=np.nan, sigma=np.nan, ridge=np.nan):
    """The paper's chain. T0 and sigma0 are one number, or one a generator. Without a T, n is ``LENGTH``: generators alone."""

    def numbers(first, last):
        return np.concatenate([np.broadcast_to(np.asarray(first, float), n), np.full(LENGTH - n, float(last))])

    return cj.Schedule(
        real=np.zeros(LENGTH),
        synthetic=numbers(T0, T),
        ridge=numbers(0.0, ridge),
        noise_synthetic=numbers(sigma0, sigma),
    )


@functools.cache
def _exact():
    return jax.jit(cj.theory.generations)


@functools.cache
def _drawn(inputs):
    def one(key, spectrum, signal, schedule):
        schedule = dataclasses.replace(schedule, ridge=jnp.maximum(schedule.ridge, RIDGELESS))
        return cj.simulate.generations(key, spectrum, signal, schedule, synthetic_inputs=inputs)

    return jax.jit(jax.vmap(one, (0, None, None, None)))


def exact(schedule, spectrum=POWER_LAW, signal=SIGNAL):
    """Parts of the error of every generation, (LENGTH,) each."""
    risk = _exact()(spectrum, signal, schedule)
    return {part: np.asarray(getattr(risk, part)) for part in PARTS}


def drawn(schedule, spectrum=POWER_LAW, signal=SIGNAL, inputs="fresh"):
    """The same of simulated chains, (KEYS, LENGTH)."""
    risk = _drawn(inputs)(jax.random.split(jax.random.key(0), KEYS), spectrum, signal, schedule)
    return {part: np.asarray(getattr(risk, part)) for part in PARTS}


assert_mean = functools.partial(problems.assert_mean, widest=0.1)


def test_any_chain_of_ridge_generators_is_the_recursion_that_pulls_the_error_back():
    """T_m on both sides of d, ridges 0 and above: the theory goes forward through the chain, the recursion backward."""
    rng = np.random.default_rng(0)
    size = 24
    ridge = problems.log_uniform(rng, -3, 1, size, LENGTH) * (rng.random((size, LENGTH)) < 0.6)
    T = problems.log_uniform(rng, -0.8, 0.8, size, LENGTH) * DIM
    sigma = rng.random((size, LENGTH))
    for i in range(size):
        risks = exact(cj.Schedule(np.zeros(LENGTH), T[i], ridge[i], noise_synthetic=sigma[i]))
        fits = [printed.Fit(*numbers) for numbers in zip(T[i], ridge[i], sigma[i] ** 2, strict=True)]
        for n in range(LENGTH):
            expected = printed.chain(POWER_LAW, SIGNAL, fits[:n], fits[n])
            for part, value in zip(PARTS, (*expected, sum(expected)), strict=True):
                assert_allclose(risks[part][n], value, rtol=1e-10, atol=1e-10 * sum(expected), err_msg=part)


# More samples than dimensions -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, LENGTH - 1])
def test_theorem_4_1_every_generation_adds_the_same_error(n):
    """Without a ridge: sigma^2 phi / (1 - phi) + n sigma_0^2 phi_0 / (1 - phi_0); at finite d, d / (T - d - 1) exactly."""
    T0, T, sigma0, sigma = 3.0 * DIM, 2.5 * DIM, 0.7, 0.4
    one = chain(n, T0, sigma0, T, sigma, 0.0)
    expected = printed.theorem_4_1(DIM / T, DIM / T0, n, sigma**2, sigma0**2)
    assert_allclose(exact(one)["total"][n], expected, rtol=1e-10)
    assert_mean(drawn(one)["total"][:, n], printed.theorem_4_1_at(DIM, T, T0, n, sigma**2, sigma0**2))


def test_a_chain_becomes_worse_than_predicting_zero_after_snr_times_1_over_phi0_less_1_generations():
    """SNR_0 (1 / phi_0 - 1) = 3.5 here; the truth predicts no more than its own mean square."""
    phi0, null = 0.4, (POWER_LAW * SIGNAL).sum()
    totals = exact(chain(LENGTH, DIM / phi0, np.sqrt(null * (1 / phi0 - 1) / 3.5)))["total"]
    assert (totals > null).tolist() == [False, False, False, True, True, True]


def test_remark_4_2_growing_samples_slow_the_collapse_to_a_logarithm():
    """T_m = (m + 1) T_0: the errors of the generators add up as a harmonic series."""
    sigma0, T0, length = 0.8, 2.0 * DIM, 64
    m = np.arange(1, length + 1)
    grown = cj.Schedule(real=0.0, synthetic=T0 * m, ridge=0.0, noise_synthetic=sigma0)
    totals = np.asarray(cj.theory.generations(POWER_LAW, SIGNAL, grown).total)
    assert_allclose(totals, sigma0**2 * np.cumsum(DIM / (T0 * m - DIM)), rtol=1e-10)
    # Each doubling of n adds sigma_0^2 phi_0 log 2; with constant samples it would double the error.
    assert_allclose(totals[63] - totals[31], sigma0**2 * DIM / T0 * np.log(2), rtol=0.01)
    m = m[:LENGTH]
    assert_mean(drawn(chain(LENGTH, T0 * m, sigma0))["total"], sigma0**2 * np.cumsum(DIM / (T0 * m - DIM - 1)))


# Downstream ridge regression --------------------------------------------------------------------------------------------------

SIGMA_0, SIGMA, MANY, FEW = 0.8, 0.5, 1.5 * DIM, 0.5 * DIM
DOWNSTREAM = ((4, 0.8 * DIM, 0.1), (2, 0.5 * DIM, 1.0), (5, 6.0 * DIM, 0.02))  # n, T, ridge


@functools.cache
def after_many(n, T, ridge):
    """Theory and simulation of the downstream model of n generators with T_0 = 1.5 d samples."""
    one = chain(n, MANY, SIGMA_0, T, SIGMA, ridge)
    simulated = {part: values[:, n] for part, values in drawn(one).items()}
    return {part: values[n] for part, values in exact(one).items()}, simulated


@pytest.mark.parametrize(("n", "T", "ridge"), DOWNSTREAM)
def test_theorem_4_3_holds_at_any_dimension(n, T, ridge):
    """Bias + Var + n sigma_0^2 rho, rho = E tr[Sigma^-1 S R Sigma R S] / (T_0 - d - 1), S = X'X / T, R = (S + lambda)^-1."""
    rng, values = np.random.default_rng(0), []
    for _ in range(400):
        X = rng.normal(size=(round(T), DIM)) * np.sqrt(POWER_LAW)
        S = X.T @ X / T
        R = np.linalg.inv(S + ridge * np.eye(DIM))
        spread = R @ (POWER_LAW[:, None] * R)
        rho = np.trace((S @ spread @ S) / POWER_LAW[:, None]) / (MANY - DIM - 1)
        bias = ridge**2 * (np.diag(spread) * SIGNAL).sum()
        values.append((bias, SIGMA**2 * np.trace(spread @ S) / T, n * SIGMA_0**2 * rho))
    theory, simulated = after_many(n, T, ridge)
    for part, column in zip(("bias", "variance", "collapse"), np.transpose(values), strict=True):
        mean, error = column.mean(), column.std() / np.sqrt(len(column))
        assert_mean(simulated[part], mean, 2 * error / mean)
        # The theory has T_0 - d for T_0 - d - 1.
        limit = theory[part] * ((MANY - DIM) / (MANY - DIM - 1) if part == "collapse" else 1)
        assert abs(mean - limit) < 4 * error + GAP * limit


@pytest.mark.parametrize(("n", "T", "ridge"), DOWNSTREAM)
def test_proposition_4_5_bias_and_variance_are_those_of_ridge_regression_on_the_truth(n, T, ridge):
    theory, simulated = after_many(n, T, ridge)
    expected = printed.proposition_4_5(POWER_LAW, SIGNAL, T, ridge, SIGMA**2)
    for part, value in zip(("bias", "variance"), expected, strict=True):
        assert_allclose(theory[part], value, rtol=1e-10)
        assert_mean(simulated[part], value, GAP)


def test_proposition_4_5_kappa_grows_with_the_ridge_at_the_rate_1_over_1_less_df2_over_t():
    slopes = jax.jit(jax.value_and_grad(cj.theory.kappa, 2))
    for _, T, ridge in DOWNSTREAM:
        kappa, slope = slopes(POWER_LAW, T, ridge)
        df2 = (POWER_LAW**2 / (POWER_LAW + float(kappa)) ** 2).sum()
        assert_allclose(slope, 1 / (1 - df2 / T), rtol=1e-10)


@pytest.mark.parametrize(("n", "T", "ridge"), DOWNSTREAM)
def test_theorem_4_6_generators_with_more_samples_than_dimensions(n, T, ridge):
    theory, simulated = after_many(n, T, ridge)
    expected = n * SIGMA_0**2 * printed.theorem_4_6(POWER_LAW, MANY, T, ridge)
    assert_allclose(theory["collapse"], expected, rtol=1e-10)
    assert_mean(simulated["collapse"], expected * (MANY - DIM) / (MANY - DIM - 1), GAP)


@pytest.mark.parametrize(("n", "T", "ridge"), DOWNSTREAM)
def test_theorem_4_6_in_closed_form_for_isotropic_inputs(n, T, ridge):
    theory = exact(chain(n, MANY, SIGMA_0, T, SIGMA, ridge), FLAT)["collapse"][n]
    rho = printed.theorem_4_6_isotropic(DIM / MANY, DIM / T, ridge)
    assert_allclose(theory, n * SIGMA_0**2 * rho, rtol=1e-10)


@pytest.mark.parametrize("T0", [FEW, MANY])
def test_generators_that_share_their_inputs_are_one_generator_with_n_times_the_noise(T0):
    """X_m = X_0: fitting again changes nothing but the noise, which adds up."""
    shared = drawn(chain(LENGTH, T0, SIGMA_0), inputs="fixed")["total"]
    once = [exact(chain(1, T0, np.sqrt(k) * SIGMA_0, 1e12, 0.0, 0.0))["total"][0] for k in range(1, LENGTH + 1)]
    at_finite_size = np.array(once) * ((T0 - DIM) / (T0 - DIM - 1) if T0 > DIM else 1)
    assert_mean(shared, at_finite_size, 0 if T0 > DIM else GAP)


@pytest.mark.parametrize(("n", "T", "ridge"), DOWNSTREAM)
def test_theorem_4_6_generators_that_share_fewer_samples_than_dimensions(n, T, ridge):
    """One generator with n times the noise, which is what sharing amounts to (the test above); no signal."""
    one = chain(1, FEW, np.sqrt(n) * SIGMA_0, T, SIGMA, ridge)
    expected = n * SIGMA_0**2 * printed.theorem_4_6(POWER_LAW, FEW, T, ridge)
    theory, simulated = (of(one, signal=0 * SIGNAL)["collapse"] for of in (exact, drawn))
    assert_allclose(theory[1], expected, rtol=1e-9)
    assert_mean(simulated[:, 1], expected, GAP)


def test_theorem_4_6_generators_that_share_fewer_samples_than_dimensions_before_endless_data():
    """Downstream data without end and without a ridge leave the last generator as it is."""
    simulated = drawn(chain(LENGTH, FEW, SIGMA_0), signal=0 * SIGNAL, inputs="fixed")["total"]
    rho = printed.theorem_4_6(POWER_LAW, FEW, 1e12, 1e-12)
    assert_mean(simulated, np.arange(1, LENGTH + 1) * SIGMA_0**2 * rho, GAP)


# Fewer samples than dimensions ------------------------------------------------------------------------------------------------


def test_theorem_4_8_generators_that_share_their_inputs_lose_a_part_of_the_signal_once():
    """No noise, Sigma = I, T > d: Delta Bias = |w_0|^2 (1 - 1 / phi_0), at any d, for one generator and for all the next."""
    phi0 = 2.5
    expected = printed.theorem_4_8(phi0, SIGNAL.sum())
    theory = exact(chain(1, DIM / phi0, 0.0, 2.0 * DIM, 0.0, 0.0), FLAT)
    assert_allclose(theory["bias"][1] + theory["collapse"][1], expected, rtol=1e-9)
    totals = drawn(chain(LENGTH, DIM / phi0, 0.0), FLAT, inputs="fixed")["total"]
    assert_allclose(totals, np.broadcast_to(totals[:, :1], totals.shape), rtol=1e-5)
    assert_mean(totals, expected)


def test_theorem_4_9_generators_with_inputs_of_their_own_lose_a_part_of_what_is_left_every_time():
    """No noise, Sigma = I, T > d: |w^_n|^2 = |w_0|^2 prod min(1 / phi_m, 1), at any d. Enough samples lose nothing."""
    T0 = np.array([0.8, 2.0, 0.5, 0.9, 3.0, 0.7]) * DIM
    expected = np.array([printed.theorem_4_9(list(DIM / T0[: n + 1]), SIGNAL.sum()) for n in range(LENGTH)])
    downstream = exact(chain(5, T0[:5], 0.0, 4.0 * DIM, 0.0, 0.0), FLAT)["total"][5]
    assert_allclose(downstream, expected[4], rtol=1e-9)
    generators = chain(LENGTH, T0, 0.0)
    assert_allclose(exact(generators, FLAT)["total"], expected, rtol=1e-9)
    assert_mean(drawn(generators, FLAT)["total"], expected)


def test_with_fewer_samples_than_dimensions_old_noise_is_forgotten_like_the_signal():
    """Inputs of their own, Sigma = I: a geometric series in T_0 / d, not the n times of Theorem 4.6, which leaves this out."""
    generators, series = chain(LENGTH, FEW, SIGMA_0), np.cumsum((FEW / DIM) ** np.arange(LENGTH))
    theory = exact(generators, FLAT, 0 * SIGNAL)["total"]
    assert_allclose(theory, SIGMA_0**2 * FEW / (DIM - FEW) * series, rtol=1e-9)
    simulated = drawn(generators, FLAT, 0 * SIGNAL)["total"]
    assert_mean(simulated, SIGMA_0**2 * FEW / (DIM - FEW - 1) * series)
