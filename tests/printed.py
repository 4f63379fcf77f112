"""The formulas of *Strong Model Collapse* (arXiv 2410.04840v2) as printed, and what they should say.

Every function transcribes one printed statement in NumPy, in the paper's own symbols: all covariances are diagonal and given
as (d,) arrays, ``trbar`` is trace / d, ``p2 = n2 / n``, ``phi = d / n``, ``gamma = m / d``, ``psi = m / n``. A keyword chooses
between the print and its erratum, ``corrected=True`` where there is one erratum. Functions without such a keyword are right as
printed. Nothing here uses the library.
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


def appendix_a1(d: int, *, corrected: bool = False) -> Array:
    """App. A.1: eigenvalues C / j with trace 1. Corrected: with trace d, as the figures need beside w_1* ~ N(0, I / d)."""
    decay = 1 / np.arange(1, d + 1)
    return (d if corrected else 1) * decay / decay.sum()


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
