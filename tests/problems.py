"""Random problems over the whole domain, and answers by other means: NumPy, SciPy and finite differences.

Nothing here uses the library's solvers. A batch of cases is a dict of arrays with a leading axis.
"""

from typing import Any

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import strategies
from scipy import optimize

Array = Any

properties = hypothesis.settings(deadline=None, derandomize=True, database=None, max_examples=150)


def log_uniform(rng: np.random.Generator, low: float, high: float, *shape: int) -> Array:
    return 10 ** rng.uniform(low, high, shape)


def random_spectra(rng: np.random.Generator, *shape: int) -> Array:
    """Power laws of exponent 0 to 4 with mean 1 on the last axis; half of them shuffled, some with zeros."""
    *lead, dim = shape
    spectra = np.arange(1.0, dim + 1) ** -rng.uniform(0, 4, (*lead, 1))
    zeros = rng.random(shape) < 0.3 * (rng.random((*lead, 1)) < 0.4)
    zeros[..., 0] = False
    spectra = np.where(zeros, 0, spectra)
    order = np.argsort(rng.random(shape), -1)
    spectra = np.where(rng.random((*lead, 1)) < 0.5, np.take_along_axis(spectra, order, -1), spectra)
    return spectra * dim / spectra.sum(-1, keepdims=True)


def random_shares(rng: np.random.Generator, size: int, sources: int) -> Array:
    """Fractions of the samples; one in seven is exactly 0, and with it another often exactly 1."""
    share = rng.dirichlet(np.ones(sources), size) * (rng.random((size, sources)) > 0.15)
    share[share.sum(1) == 0, 0] = 1
    return share / share.sum(1, keepdims=True)


def random_moments(rng: np.random.Generator, size: int, sources: int, dim: int) -> Array:
    """(size, K, K, d) second moments of correlated label functions, mean square 1 / d each."""
    root = rng.standard_normal((size, sources, sources, dim)) / np.sqrt(sources * dim)
    return np.einsum("zkad,zlad->zkld", root, root)


def domain(seed: int, size: int, sources: int, dim: int) -> dict[str, Array]:
    """Cases over everything the theory promises: ridge 1e-12..1e6, n / d and width / d 1e-3..1e9, fractions 0 and 1."""
    rng = np.random.default_rng(seed)
    n = log_uniform(rng, -3, 9, size, 1) * dim
    return {
        "spectra": random_spectra(rng, size, sources, dim),
        "moments": random_moments(rng, size, sources, dim),
        "noise": rng.random((size, sources)),
        "counts": n * random_shares(rng, size, sources),
        "ridge": log_uniform(rng, -12, 6, size),
        "width": log_uniform(rng, -3, 9, size) * dim,
        "weights": log_uniform(rng, -2, 2, size, sources),
    }


def moderate(seed: int, size: int, sources: int, dim: int) -> dict[str, Array]:
    """Cases that experiments meet: counts and widths within a factor 4 of d, ridge 0.01..1, weights 1/3..3."""
    rng = np.random.default_rng(seed)
    total = np.round(log_uniform(rng, -0.6, 0.6, size, 1) * dim)
    return domain(seed + 1, size, sources, dim) | {
        "counts": np.round(total * (0.1 + random_shares(rng, size, sources)) / (1 + 0.1 * sources)),
        "ridge": log_uniform(rng, -2, 0, size),
        "width": np.round(log_uniform(rng, -0.6, 0.6, size) * dim),
        "weights": log_uniform(rng, -0.5, 0.5, size, sources),
    }


def at(cases: dict[str, Array], index: int) -> dict[str, Array]:
    return {name: value[index] for name, value in cases.items()}


def domain_point() -> strategies.SearchStrategy:
    """One point of the domain as exponents of 10 and fractions, ends included."""

    def between(low: float, high: float) -> strategies.SearchStrategy:
        return strategies.floats(low, high, allow_nan=False, width=32)

    return strategies.fixed_dictionaries(
        {
            "decay": strategies.tuples(*[between(0, 4)] * 3),
            "zeros": strategies.tuples(*[strategies.integers(0, 15)] * 3),
            "shares": strategies.sampled_from([(1, 0, 0), (0, 1, 0), (0, 0, 1)])
            | strategies.tuples(*[between(0, 1)] * 3).filter(lambda p: sum(p) > 0.01),
            "weights": strategies.tuples(*[between(-2, 2)] * 3),
            "samples": between(-3, 9),
            "width": between(-3, 9),
            "ridge": between(-12, 6),
        }
    )


# Answers by other means -------------------------------------------------------------------------------------------------------


def relative(value: Array, reference: Array) -> Array:
    """|value - reference| / |reference|; 0 where both are equal, 0 included."""
    value, reference = np.asarray(value), np.asarray(reference)
    scale = np.where(reference == 0, 1, np.abs(reference))
    return np.where(value == reference, 0, np.abs(value - reference) / scale)


def kappa_by_brentq(spectrum: Array, n: float, ridge: float, width: float | None = None) -> float:
    """The largest root of kappa (1 - df1 / n) (1 - df1 / m) = ridge d / m, or of kappa (1 - df1 / n) = ridge."""
    paid = ridge if width is None else ridge * spectrum.size / width

    def gap(x: float) -> float:
        kappa = np.exp(x)
        learned = np.sum(spectrum / (spectrum + kappa))
        factors = 1 - learned / n, 1.0 if width is None else 1 - learned / width
        return np.log(kappa * factors[0] * factors[1] / paid) if min(factors) > 0 else -1e3

    high = np.log(2 * paid + 4 * spectrum.sum() * (1 / n + (0 if width is None else 1 / width)))
    return float(np.exp(optimize.brentq(gap, np.log(paid) - 1, high, xtol=1e-14, rtol=1e-14, maxiter=500)))


def closed_form(spectrum, signal, shift, noise, counts, ridge, width=None) -> dict[str, float]:
    """Two sources with one spectrum and an independent shift: docs/theory.md, "closed form for the common case"."""
    n, d = counts.sum(), spectrum.size
    p1, p2 = counts / n
    kappa = kappa_by_brentq(spectrum, n, ridge, width)
    s = spectrum
    r = kappa / (s + kappa)
    z, q = np.sum(1 - r), np.sum((1 - r) ** 2)
    r2 = r**2
    if width is not None:
        r2 = r - kappa * (1 - z / width) / (1 - q / width) * s / (s + kappa) ** 2
    t2 = np.sum(1 - 2 * r + r2) / n
    u = t2 / (1 - t2)
    assert d == shift.size
    return {
        "bias": np.sum(signal * s * r2) / (1 - t2),
        "variance": (p1 * noise[0] ** 2 + p2 * noise[1] ** 2) * u,
        "collapse": p2**2 * (1 + p1 * u) * np.sum(shift * s * (1 - 2 * r + r2))
        + p2 * u * np.sum(shift * s * (p1**2 + 2 * p1 * p2 * r + p2**2 * r2)),
    }


def many_sources(
    spectra, moments, noise, counts, ridge, width=None, weights=None, target=None
) -> dict[str, float]:  # fmt: skip
    """K sources of any covariance by the deterministic equivalents of M_j Q B Q M_i, one linear system for all.

    Appendices D and F of *Strong Model Collapse* in their corrected form for K sources. A weight alpha_k multiplies the
    covariance and the noise variance of its source.
    """
    weights = np.ones(len(counts)) if weights is None else weights
    target = spectra[0] if target is None else target
    n, (K, d) = counts.sum(), spectra.shape
    p, S, v = counts / n, weights[:, None] * spectra, weights * noise**2
    gamma = 1.0 if width is None else width / d

    def kernels(e: Array, tau: float) -> tuple[Array, Array]:
        K0 = (p * e) @ S
        return K0, (K0 if width is None else gamma * tau * K0) + ridge

    e, tau = np.ones(K), 1.0
    for _ in range(200_000):
        K0, kernel = kernels(e, tau)
        resolvent = (1.0 if width is None else gamma * tau) / kernel
        new_tau = 1.0 if width is None else 1 / (1 + np.mean(K0 / kernel))
        new_e = 1 / (1 + S @ resolvent / n)
        moved = np.max(np.abs(np.append(new_e / e, new_tau / tau) - 1))
        e, tau = new_e, new_tau
        if moved < 1e-15:
            break
    K0, kernel = kernels(e, tau)
    resolvent = (1.0 if width is None else gamma * tau) / kernel

    def squared(x: Array) -> Array:
        load = target + (p * x[:K]) @ S
        return (load if width is None else gamma * (gamma * tau**2 * load + x[K])) / kernel**2

    def right(x: Array) -> Array:
        u = e**2 * (S @ squared(x)) / n
        load = target + (p * x[:K]) @ S
        return np.append(
            u, 0 if width is None else tau**2 * np.mean((gamma * x[K] * K0**2 + ridge**2 * load) / kernel**2)
        )

    offset = right(np.zeros(K + 1))
    matrix = np.stack([right(unit) - offset for unit in np.eye(K + 1)], 1)
    x = np.linalg.solve(np.eye(K + 1) - matrix, offset)
    u, second = x[:K], squared(x)

    def error(C: Array, v: Array) -> float:
        total = np.sum(C[0, 0] * target) - 2 * np.sum((p * e)[:, None] * S * resolvent * target * C[0])
        for k in range(K):
            total += p[k] * np.sum(S[k] * C[k, k]) * u[k] + v[k] / n * p[k] * np.sum(
                S[k] * (e[k] * second - u[k] * resolvent)
            )
            for j in range(K):
                pair = e[k] * e[j] * second - (e[k] * u[j] + e[j] * u[k]) * resolvent
                total += p[k] * p[j] * np.sum(S[k] * S[j] * pair * C[k, j])
        return float(total)

    nothing, true = np.zeros(K), np.broadcast_to(moments[0, 0], moments.shape)
    bias = error(true, nothing)
    return {"bias": bias, "variance": error(0 * moments, v), "collapse": error(moments, nothing) - bias}


def slope(function: Any, x: float, step: float) -> float:
    """Central difference of fourth order."""
    near, far = (function(x + h * step) - function(x - h * step) for h in (1, 2))
    return (8 * near - far) / (12 * step)


def directional(function: Any, arguments: Any, direction: Any, step: float = 1e-4) -> float:
    """Derivative of a scalar function of a pytree along a direction, by finite differences."""

    def along(t: float) -> float:
        return float(function(jax.tree.map(lambda a, b: jnp.asarray(a + t * b), arguments, direction)))

    return slope(along, 0.0, step)


def assert_mean(samples: Array, expected: Array, gap: float = 0.0, *, widest: float) -> None:
    """The mean over the first axis is within 4 standard errors and the gap; gap and ``widest`` error are relative."""
    mean, error = samples.mean(0), samples.std(0, ddof=1) / np.sqrt(len(samples))
    excess = (np.abs(mean - expected) - gap * np.abs(expected)) / error
    assert np.max(excess) < 4, f"{mean} instead of {expected}, {excess} standard errors away"
    assert np.all(error < widest * np.abs(expected)), f"{error} is too wide to tell anything about {expected}"
