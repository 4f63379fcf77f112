"""The formulas of *Strong Model Collapse* (arXiv 2410.04840v2) and of *Model Collapse Demystified* (arXiv 2402.07712v2).

Every function transcribes one printed statement in NumPy, in the paper's own symbols: all covariances are diagonal and given
as (d,) arrays, ``trbar`` is trace / d, ``p2 = n2 / n``, ``phi = d / n``, ``gamma = m / d``, ``psi = m / n``. A keyword chooses
between the print and its erratum, ``corrected=True`` where there is one erratum. Functions without such a keyword are right as
printed. Nothing here uses the library.

In *Model Collapse Demystified*, last here, n counts generators; T0 and T are samples of a generator and of the last model.
"""

from typing import Any, NamedTuple

import numpy as np
from scipy import optimize

Array = Any


class Parts(NamedTuple):
    """B, V and zeta of equation 8."""

    bias: float
    variance: float
    collapse: float


# The classical linear model, two sources with one covariance -----------------------------------------------------------------


def quality(Sigma: Array, Delta: Array, *, corrected: bool = False) -> float:
    """Definition 1: c^2. Corrected: as the figures and corollaries use it."""
    c2 = np.sum(Sigma * Delta)
    return float(c2 if corrected else c2 / Sigma.size)


def kappa(Sigma: Array, n: float, lam: float) -> float:
    """Equation 7: kappa - lambda = kappa df_1(kappa) / n, for lambda > 0."""

    def gap(x: float) -> float:
        k = np.exp(x)
        return np.log(k - k * np.sum(Sigma / (Sigma + k)) / n) - np.log(lam) if _paid(k) else -1e3

    def _paid(k: float) -> bool:
        return np.sum(Sigma / (Sigma + k)) < n

    return _log_root(gap, lam, lam + np.sum(Sigma) / n)


def theorem_1(Sigma: Array, Gamma: Array, Delta: Array, n1: float, n2: float, lam: float, sigma2: Array) -> Parts:
    """Theorem 1, equations 7 to 10."""
    n = n1 + n2
    p1, p2 = n1 / n, n2 / n
    k = kappa(Sigma, n, lam)
    T = Sigma + k
    df2 = np.sum(Sigma**2 / T**2)
    u = (df2 / n) / (1 - df2 / n)
    B = k**2 * np.sum(Gamma * Sigma / T**2) / (1 - df2 / n)
    V = (p1 * sigma2[0] + p2 * sigma2[1]) * u
    zeta = p2**2 * (1 + p1 * u) * np.sum(Delta * Sigma**3 / T**2)
    zeta += p2 * u * np.sum(Delta * Sigma * (p1 * Sigma + k) ** 2 / T**2)
    return Parts(B, V, zeta)


def theorem_1_many_samples(Sigma: Array, Delta: Array, p2: float, *, corrected: bool = False) -> float:
    """Zeta for phi -> 0, the remark after Theorem 1."""
    return float(p2**2 * np.sum(Sigma * Delta if corrected else Delta))


def corollary_1(phi: float, p2: float, c2: float, sigma2: float) -> Parts:
    """Corollary 1, equation 11: isotropic, phi < 1, lambda -> 0."""
    return Parts(0.0, sigma2 * phi / (1 - phi), (p2**2 + p2 * (1 - p2) * phi / (1 - phi)) * c2)


def corollary_1_small_phi(phi: float, p2: float, c2: float, sigma2: float, *, corrected: bool = False) -> float:
    """Equation 12: the test error up to a remainder printed as O(phi^2)."""
    return sigma2 * phi + p2**2 * c2 + (p2 * (1 - p2) * phi * c2 if corrected else 0)


def corollary_4(phi: float, p2: float, c2: float, r2: float, sigma2: float, *, corrected: bool = False) -> Parts:
    """Corollary 4, equation 20: isotropic, phi > 1, lambda -> 0."""
    bias, variance = r2 * (1 - 1 / phi), sigma2 / (phi - 1)
    if corrected:
        return Parts(bias, variance, p2 * c2 * (phi - p2) / (phi * (phi - 1)))
    return Parts(bias, variance, p2 * c2 / phi**2 * (p2 * (phi - p2) / (phi - 1) + (phi - p2) ** 2))


def corollary_4_large_phi(phi: float, p2: float, c2: float, *, corrected: bool = False) -> float:
    """The error that synthetic data adds for phi >> 1, after Corollary 4."""
    return p2 * c2 / phi if corrected else (1 - 2 / phi) * p2 * c2


def section_b2(Sigma: Array, n: float, lam: float, c2: float) -> tuple[float, dict[str, float]]:
    """Section B.2, p1 -> 0, Delta = (c^2 / d) Sigma^-1: the first line, and readings of the second.

    The second line has eta^2 where kappa^2 belongs (eta is I_11 elsewhere in the paper) and no df_2.
    """
    d, k = Sigma.size, kappa(Sigma, n, lam)
    T = Sigma + k
    df2, eta = np.sum(Sigma**2 / T**2), np.mean(Sigma / T)
    u = (df2 / n) / (1 - df2 / n)
    Delta = c2 / d / Sigma
    first = np.sum(Delta * Sigma**3 / T**2) + u * k**2 * np.sum(Delta * Sigma / T**2)
    tail = np.sum(1 / T**2)
    second = {
        "corrected": c2 / d * (df2 + u * k**2 * tail),
        "eta^2": c2 / d * (df2 + u * eta**2 * tail),
        "no df_2": c2 / d * u * k**2 * tail,
        "eta^2 and no df_2": c2 / d * u * eta**2 * tail,
    }
    return float(first), {name: float(value) for name, value in second.items()}


# Random projections, two sources with one covariance -------------------------------------------------------------------------


class FixedPoint(NamedTuple):
    """Equation 13: e, tau, and theta = lambda / (gamma tau e)."""

    e: float
    tau: float
    theta: float


def equation_13(Sigma: Array, n: float, m: float, lam: float) -> FixedPoint:
    """1/e = 1 + psi tau trbar Sigma K^-1, 1/tau = 1 + trbar K0 K^-1, K0 = e Sigma, K = gamma tau K0 + lambda I."""
    d = Sigma.size
    phi, gamma = d / n, m / d

    def factors(x: float) -> tuple[float, float]:
        eta = np.mean(Sigma / (Sigma + np.exp(x)))
        return 1 - phi * eta, 1 - eta / gamma

    def gap(x: float) -> float:
        e, tau = factors(x)
        return np.log(e) + np.log(tau) + np.log(gamma) + x - np.log(lam) if min(e, tau) > 0 else -1e3

    theta = _log_root(gap, lam / gamma, np.sum(Sigma))
    e, tau = factors(np.log(theta))
    return FixedPoint(e, tau, theta)


def equation_14(Sigma: Array, n: float, m: float, lam: float) -> tuple[float, float]:
    """The linear system for u and omega, and omega' = omega / (gamma tau^2)."""
    d = Sigma.size
    gamma, psi = m / d, m / n
    e, tau, _ = equation_13(Sigma, n, m, lam)
    K0 = e * Sigma
    K = gamma * tau * K0 + lam

    def right(u: float, omega: float) -> Array:
        L = (1 + u) * Sigma
        return np.array(
            [
                psi * e**2 * np.mean(Sigma * (gamma * tau**2 * L + omega) / K**2),
                tau**2 * np.mean((gamma * omega * K0**2 + lam**2 * L) / K**2),
            ]
        )

    u, omega = _affine_root(lambda x: right(*x), 2)
    return u, omega / (gamma * tau**2)


def lemma_1(Sigma: Array, n: float, m: float, lam: float, *, corrected: bool = False) -> tuple[float, float]:
    """Lemma 1, equations 145 and 146: u and omega' in closed form."""
    d = Sigma.size
    phi, gamma = d / n, m / d
    theta = equation_13(Sigma, n, m, lam).theta
    I12, I22 = np.mean(Sigma / (Sigma + theta) ** 2), np.mean(Sigma**2 / (Sigma + theta) ** 2)
    z = I22 * (gamma - I22) + theta**2 * I12**2
    numerator = theta**2 * (I12 if corrected else I22)
    return phi * z / (gamma - phi * z - I22), numerator / (gamma - phi * z - I22)


def theorem_2(
    Sigma: Array,
    Gamma: Array,
    Delta: Array,
    n1: float,
    n2: float,
    m: float,
    lam: float,
    sigma2: Array,
    *,
    corrected: bool = False,
    omega: float | None = None,
) -> Parts:
    """Theorem 2, equation 15. ``omega`` replaces the omega' of equation 14."""
    n = n1 + n2
    p1, p2 = n1 / n, n2 / n
    e, _, theta = equation_13(Sigma, n, m, lam)
    u, omega_14 = equation_14(Sigma, n, m, lam)
    omega = omega_14 if omega is None else omega
    T = Sigma + theta
    B = (1 + u) * theta**2 * np.sum(Gamma * Sigma / T**2) + omega * np.sum(Gamma * Sigma**2 / T**2)
    V = (np.sum(Sigma**2 / T**2) + (omega - theta * u) * np.sum(Sigma / T**2)) * (p1 * sigma2[0] + p2 * sigma2[1]) / e
    zeta = p2**2 * (1 + p1 * u) * np.sum(Delta * Sigma**3 / T**2)
    zeta += (p2**2 if corrected else p2) * omega * np.sum(Delta * Sigma**2 / T**2)
    zeta += p2 * u * np.sum(Delta * Sigma * (p1 * Sigma + theta) ** 2 / T**2)
    return Parts(B, V / n if corrected else V, zeta)


# Deterministic equivalents, two sources with their own covariances -----------------------------------------------------------


class Equivalents(NamedTuple):
    """Limits of the random traces of Propositions 2 and 4, for test matrices A and B; j counts from 0."""

    r1: Array  # (2,) tr A M_j Q
    r2: float  # tr A Q B Q
    r3: Array  # (2,) tr A M_j Q B Q M_j
    r4: Array  # (2,) tr A M_j Q B Q


def proposition_2(
    Sigma1: Array,
    Sigma2: Array,
    n1: float,
    n2: float,
    lam: float,
    A: Array,
    B: Array,
    *,
    lambda_in_L: bool = False,
    drop_e: bool = False,
    Sigma1_in_C: bool = False,
) -> Equivalents:
    """Proposition 2, equations 46 to 52, with its misprints one by one: Q = (M_1 + M_2 + lambda)^-1, M_j = X_j'X_j / n."""
    n, d = n1 + n2, Sigma1.size
    p, Sigma = np.array([n1, n2]) / n, (Sigma1, Sigma2)
    phi = d / n

    def kernel(e: Array) -> Array:
        return p[0] * e[0] * Sigma1 + p[1] * e[1] * Sigma2 + lam

    e = _iterate(lambda e: np.array([1 / (1 + phi * np.mean(S / kernel(e))) for S in Sigma]), np.ones(2))
    K = kernel(e)

    def load(u: Array) -> Array:
        return p[0] * u[0] * Sigma1 + p[1] * u[1] * Sigma2 + (lam * B if lambda_in_L else B)

    u = _affine_root(lambda u: np.array([phi * e[j] ** 2 * np.mean(Sigma[j] * load(u) / K**2) for j in range(2)]), 2)
    r1, r3, r4 = np.zeros((3, 2))
    for j in range(2):
        o = 1 - j
        C = p[j] * e[j] ** 2 * (B + p[o] * u[o] * Sigma[o]) * (Sigma1 if Sigma1_in_C else Sigma[j])
        C = C + u[j] * (p[o] * e[o] * Sigma[o] + lam) ** 2
        D = e[j] * B - lam * u[j] + p[o] * (e[j] * u[o] - e[o] * u[j]) * Sigma[o]
        r1[j] = p[j] * (1 if drop_e else e[j]) * np.sum(A * Sigma[j] / K)
        r3[j] = p[j] * np.sum(A * Sigma[j] * C / K**2)
        r4[j] = p[j] * np.sum(A * Sigma[j] * D / K**2)
    return Equivalents(r1, float(np.sum(A * load(u) / K**2)), r3, r4)


def proposition_4(
    Sigma1: Array,
    Sigma2: Array,
    n1: float,
    n2: float,
    m: float,
    lam: float,
    A: Array,
    B: Array,
    *,
    omega_in_omega: bool = True,
    first_of_D: str = "gamma tau^2",
) -> Equivalents:
    """Proposition 4, equations 114 to 126: Q = S (S'(M_1 + M_2) S + lambda)^-1 S'. r1 and r3 are left out (NaN).

    ``omega_in_omega=False`` is the printed omega, with gamma K0^2 for gamma omega K0^2. ``first_of_D`` is the factor of e_j B
    in D_j.
    """
    n, d = n1 + n2, Sigma1.size
    p, Sigma = np.array([n1, n2]) / n, (Sigma1, Sigma2)
    gamma, psi = m / d, m / n

    def kernel(e1: float, e2: float, tau: float) -> tuple[Array, Array]:
        K0 = p[0] * e1 * Sigma1 + p[1] * e2 * Sigma2
        return K0, gamma * tau * K0 + lam

    def update(x: Array) -> Array:
        K0, K = kernel(*x)
        return 1 / (1 + np.array([*(psi * x[2] * np.mean(S / K) for S in Sigma), np.mean(K0 / K)]))

    e1, e2, tau = _iterate(update, np.ones(3))
    e = np.array([e1, e2])
    K0, K = kernel(e1, e2, tau)

    def load(v1: float, v2: float) -> Array:
        return p[0] * v1 * Sigma1 + p[1] * v2 * Sigma2 + lam * B

    def right(x: Array) -> Array:
        v1, v2, omega = x
        L = load(v1, v2)
        v = [psi * e[j] ** 2 * np.mean(Sigma[j] * (gamma * tau**2 * L + lam * omega) / K**2) for j in range(2)]
        K0_part = gamma * (omega if omega_in_omega else 1) * K0**2
        return np.array([*v, tau**2 * np.mean((K0_part + lam * L) / K**2)])

    v1, v2, omega = _affine_root(right, 3)
    u = np.array([v1, v2]) / lam
    r2 = gamma * np.sum(A * (gamma * tau**2 * load(v1, v2) / lam + omega) / K**2)
    factor = {"gamma tau^2": gamma * tau**2, "gamma tau": gamma * tau, "tau": tau, "1": 1.0}[first_of_D]
    r4 = np.zeros(2)
    for j in range(2):
        o = 1 - j
        D = factor * e[j] * B + (e[j] * omega - lam * tau * u[j])
        D = D + gamma * tau**2 * p[o] * (e[j] * u[o] - e[o] * u[j]) * Sigma[o]
        r4[j] = gamma * p[j] * np.sum(A * Sigma[j] * D / K**2)
    nothing = np.full(2, np.nan)
    return Equivalents(nothing, float(r2), nothing, r4)


# Mixing real and synthetic data ----------------------------------------------------------------------------------------------


def equation_16_weights(alpha: float, p2: float) -> Array:
    """The factors that equation 16 puts on the squared errors of the two sources."""
    return np.array([(1 - alpha) / (1 - p2), alpha / p2])


def appendix_e3(
    Sigma: Array, sigma2: Array, alpha: float, p2: float, *, corrected: bool = False
) -> tuple[Array, Array]:
    """App. E.3: covariances (2, d) and noise variances (2,) of the unweighted problem that stands for equation 16."""
    pi = equation_16_weights(alpha, p2)
    return pi[:, None] * Sigma[None, :], pi * sigma2 if corrected else np.asarray(sigma2)


def corollary_2(phi: float, alpha: float, p2: float, c2: float, sigma2: Array, *, corrected: bool = False) -> float:
    """Corollary 2, equation 17: the weighted risk for phi -> 0. Corrected: to first order in phi."""
    p1 = 1 - p2
    if not corrected:
        return p2**2 * alpha**2 * c2 + ((1 - alpha) * p1 * sigma2[0] + alpha * p2 * sigma2[1]) * phi
    noise = (1 - alpha) ** 2 * sigma2[0] / p1 + alpha**2 * sigma2[1] / p2
    shift = 3 * alpha**2 * (1 - alpha) ** 2 / p1 + alpha**2 * (1 - alpha) * (1 - 3 * alpha) / p2
    return alpha**2 * c2 + (noise + c2 * shift) * phi


def corollary_2_best_weight(phi: float, p2: float, c2: float, sigma2: Array, *, corrected: bool = False) -> float:
    """Corollary 2, equation 18: alpha*. Corrected: its leading order for phi -> 0, whether c^2 is fixed or shrinks with phi."""
    p1 = 1 - p2
    if corrected:
        return sigma2[0] / p1 * phi / (c2 + (sigma2[0] / p1 + sigma2[1] / p2) * phi)
    return float(np.clip(1 - (p1 * sigma2[0] - p2 * sigma2[1]) * phi / (2 * c2), 0, 1))


def corollary_3(phi: float, p2: float, c2: float, sigma2: float, rounds: int, *, corrected: bool = False) -> float:
    """Corollary 3 and its proof: c_t^2 after ``rounds`` of iterative mixing from c_0^2, with fresh real data each round."""
    clean = sigma2 * phi / (1 - phi)
    kept = p2**2 + (p2 * (1 - p2) * phi / (1 - phi) if corrected else 0)
    return kept**rounds * c2 + (1 - kept**rounds) / (1 - kept) * clean


def corollary_3_fixed(phi: float, p2: float, c2: float, sigma2: float, rounds: int) -> float:
    """What Figure 10 shows instead: the same real data in every round, to first order in phi and c_t^2 (not in print)."""
    p1, seen = 1 - p2, p2**rounds
    return seen**2 * c2 + sigma2 * phi * ((1 - seen) ** 2 / p1 + p2 * (1 - seen**2) / (1 - p2**2))


def corollary_3_limit(phi: float, p2: float, sigma2: float, *, corrected: bool = False) -> float:
    """Corollary 3 for t -> infinity, to first order in phi. Corrected: for Figure 10, which keeps one real data set."""
    return sigma2 * phi / (1 - p2**2) * (1 + 2 * p2 if corrected else 1)


def appendix_a1(d: int, *, corrected: bool = False) -> Array:
    """App. A.1: eigenvalues C / j with trace 1. Corrected: with trace d, as the figures need beside w_1* ~ N(0, I / d)."""
    decay = 1 / np.arange(1, d + 1)
    return (d if corrected else 1) * decay / decay.sum()


# Model Collapse Demystified --------------------------------------------------------------------------------------------------


class Fit(NamedTuple):
    """What one model of a chain is trained on: T samples, ridge lambda, noise variance sigma^2 in its labels."""

    T: float
    lam: float
    sigma2: float


class Downstream(NamedTuple):
    """The test error of the last model of a chain: its own bias and variance, and what the generators before it add."""

    bias: float
    variance: float
    extra: float


def effective(Sigma: Array, T: float, lam: float) -> float:
    """kappa(lambda, T) for lambda >= 0: at lambda = 0 it is 0 for T >= d, and solves df_1 = T for T < d."""
    if lam > 0:
        return kappa(Sigma, T, lam)
    if np.count_nonzero(Sigma) <= T:
        return 0.0
    return _log_root(lambda x: T - np.sum(Sigma / (Sigma + np.exp(x))), 1e-6 * np.sum(Sigma), np.sum(Sigma) / T)


def chain(Sigma: Array, Gamma: Array, generators: list[Fit], downstream: Fit) -> Downstream:
    """Any chain of ridge fits, each on fresh inputs with the labels of the one before it (not in print).

    The downstream error as a quadratic form in the coefficients and the noise, pulled back through the generators one by one.
    """

    def adjoint(fit: Fit, M: Array) -> tuple[Array, float, Array]:
        """E A'MA, the error that a unit of noise makes in M, and E A, for A = (Sigma^ + lambda)^-1 Sigma^."""
        k = effective(Sigma, fit.T, fit.lam)
        df2 = np.sum(Sigma**2 / (Sigma + k) ** 2)
        noise = np.sum(M * Sigma / (Sigma + k) ** 2) / (fit.T - df2)
        return Sigma**2 / (Sigma + k) ** 2 * M + k**2 * Sigma / (Sigma + k) ** 2 * noise, noise, Sigma / (Sigma + k)

    M, noise, mean = adjoint(downstream, Sigma)
    bias = float(np.sum(Gamma * (M - 2 * Sigma * mean + Sigma)))
    variance, extra = downstream.sigma2 * noise, 0.0
    for fit in reversed(generators):
        M, noise, step = adjoint(fit, M)
        extra, mean = extra + fit.sigma2 * noise, mean * step
    total = float(np.sum(Gamma * (M - 2 * Sigma * mean + Sigma)))
    return Downstream(bias, float(variance), total - bias + float(extra))


def theorem_4_1(phi: float, phi0: float, n: int, sigma2: float, sigma02: float) -> float:
    """Theorem 4.1: lambda = 0, T and T0 at least d + 2, for d -> infinity."""
    return sigma2 * phi / (1 - phi) + n * sigma02 * phi0 / (1 - phi0)


def theorem_4_1_at(d: int, T: float, T0: float, n: int, sigma2: float, sigma02: float) -> float:
    """Theorem 4.1 at finite d, exactly: E tr (X'X)^-1 = d / (T - d - 1)."""
    return sigma2 * d / (T - d - 1) + n * sigma02 * d / (T0 - d - 1)


def proposition_4_5(Sigma: Array, Gamma: Array, T: float, lam: float, sigma2: float) -> tuple[float, float]:
    """Proposition 4.5: Bias and Var of ridge regression on the truth."""
    k = effective(Sigma, T, lam)
    df2 = np.sum(Sigma**2 / (Sigma + k) ** 2)
    return float(k**2 * np.sum(Gamma * Sigma / (Sigma + k) ** 2) / (1 - df2 / T)), float(sigma2 * df2 / (T - df2))


def theorem_4_6(Sigma: Array, T0: float, T: float, lam: float) -> float:
    """Theorem 4.6: rho for T0 >= d, or for generators that share their inputs."""
    k0, k = effective(Sigma, T0, 0.0), effective(Sigma, T, lam)
    both = (Sigma + k0) ** 2 * (Sigma + k) ** 2
    left, df2 = T0 - np.sum(Sigma**2 / (Sigma + k0) ** 2), np.sum(Sigma**2 / (Sigma + k) ** 2)
    return float((np.sum(Sigma**4 / both) + k**2 * np.sum(Sigma**2 / both) * df2 / (T - df2)) / left)


def theorem_4_6_isotropic(phi0: float, phi: float, lam: float) -> float:
    """Theorem 4.6 for Sigma = I and T0 >= d, with kappa in closed form (equation 15)."""
    k = (lam + phi - 1 + np.sqrt((lam + phi - 1) ** 2 + 4 * lam)) / 2
    return phi0 / (1 - phi0) * (1 / (1 + k) ** 2 + 1 / (1 + k) ** 2 * phi * k**2 / ((1 + k) ** 2 - phi))


def theorem_4_6_any(Sigma: Array, T0: float, T: float, lam: float, n: int) -> float:
    """The product n rho for independent inputs and any T0, which Theorem 4.6 leaves out for T0 < d (not in print)."""
    return chain(Sigma, 0 * Sigma, [Fit(T0, 0.0, 1.0)] * n, Fit(T, lam, 0.0)).extra


def theorem_4_8(phi0: float, r2: float) -> float:
    """Theorem 4.8: Delta Bias for generators that share their inputs; Sigma = I, lambda -> 0, T > d."""
    return r2 * (1 - min(1 / phi0, 1))


def theorem_4_9(phi0: list[float], r2: float) -> float:
    """Theorem 4.9: Delta Bias for generators with independent inputs; Sigma = I, lambda -> 0, T > d."""
    return r2 * (1 - float(np.prod([min(1 / phi, 1) for phi in phi0])))


class PowerLaw(NamedTuple):
    """Section 5: eigenvalues j^-beta, coefficients of mean square j^-delta with delta = 1 + beta (2 r - 1), and 2 beta r."""

    Sigma: Array
    Gamma: Array
    source: float


def section_5(d: int, beta: float, r: float) -> PowerLaw:
    """The capacity and source conditions of Section 5."""
    j = np.arange(1.0, d + 1)
    return PowerLaw(j**-beta, j ** -(1 + beta * (2 * r - 1)), 2 * beta * min(r, 1))


def corollary_5_3(beta: float, source: float, a: float, b: float, *, typo: bool = False) -> tuple[float, float]:
    """Corollary 5.3: l* and the slope of log E in log T for lambda = T^-l*, sigma = 0, n sigma_0^2 ~ T^a, T0 ~ T^b.

    ``typo``: the slope where n sigma_0^2 grows like T^b, as the statement says in one place.
    """
    best = min((b - a) * beta / (1 + source), beta)
    return best, best / beta if typo else -(b - a) * source / (1 + source)


def corollary_5_3_unadapted(source: float, a: float, b: float, *, corrected: bool = False) -> tuple[float, bool]:
    """Corollary 5.3 with the ridge of clean data, T^-l_crit: the slope of log E in log T, and whether E is said to diverge."""
    c = source / (1 + source)
    return -(c + b - a - 1), bool(b <= a + 1 - c if corrected else b >= a + 1 - c)


# Solvers ---------------------------------------------------------------------------------------------------------------------


def _log_root(gap: Any, low: float, high: float) -> float:
    """exp(x) with gap(x) = 0 for an increasing gap."""
    low, high = np.log(low) - 1, np.log(high) + 1
    while gap(low) > 0:
        low -= 5
    while gap(high) < 0:
        high += 5
    return float(np.exp(optimize.brentq(gap, low, high, xtol=1e-15, rtol=4 * np.finfo(float).eps)))


def _affine_root(right: Any, size: int) -> Array:
    """X with x = right(x) for an affine map."""
    constant = right(np.zeros(size))
    slope = np.stack([right(row) - constant for row in np.eye(size)], 1)
    return np.linalg.solve(np.eye(size) - slope, constant)


def _iterate(update: Any, start: Array) -> Array:
    """The fixed point of a contraction, to rounding."""
    for _ in range(20_000):
        new = update(start)
        if np.abs(new / start - 1).max() < 1e-15:
            return new
        start = new
    raise RuntimeError("the fixed-point iteration has not settled after 20000 steps")
