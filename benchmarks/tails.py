"""Exact errors of memorising models beside a NumPy loop, simulation at any number of samples, students beside scikit-learn.

python benchmarks/tails.py [--size smoke]
"""

import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from measure import arguments, compiled, report, seconds
from sklearn.linear_model import LogisticRegression

import collapse_jax as cj

TERMS = 100_000


def numpy_errors(exponents: np.ndarray, lasts: np.ndarray, samples: np.ndarray) -> np.ndarray:
    """One point at a time; the sum cut after TERMS skills, the tail beyond them by its integral."""
    i = np.arange(1.0, TERMS + 1)
    errors = []
    for beta, last, T in zip(exponents, lasts, samples, strict=True):
        p = i**-beta
        beyond = (TERMS + 0.5) ** (1 - beta) / (beta - 1)
        norm = p.sum() + beyond
        q = np.where(i <= last, p, 0)
        q /= q.sum()
        errors.append(((p * np.exp(T * np.log1p(-np.minimum(q, 1 - 1e-16)))).sum() + beyond) / norm)
    return np.array(errors)


def students(angles: np.ndarray, samples: int, dim: int, ridge: float, seeds: int) -> tuple[float, np.ndarray]:
    """Seconds and accuracies of a loop over scikit-learn's logistic regression."""
    rng, found = np.random.default_rng(0), []
    start = time.perf_counter()
    for angle in angles:
        row = []
        for _ in range(seeds):
            y = rng.choice([-1, 1], samples)
            x = rng.normal(size=(samples, dim))
            x[:, 0] += 1.5 * y
            label = np.sign(np.cos(angle) * x[:, 0] + np.sin(angle) * x[:, 1])
            kept = label * (np.cos(np.pi / 6) * x[:, 0] + np.sin(np.pi / 6) * x[:, 2]) > 0
            fit = LogisticRegression(C=1 / (ridge * samples), fit_intercept=False, tol=1e-6).fit(x[kept], label[kept])
            row.append(fit.coef_[0, 0] / np.linalg.norm(fit.coef_))
        found.append(np.mean(row))
    return time.perf_counter() - start, np.array(found)


def main() -> None:
    full = arguments(__doc__ or "").size == "full"
    rng, count = np.random.default_rng(0), 200_000 if full else 2_000
    exponents, samples = rng.uniform(1.2, 3, count), 10 ** rng.uniform(1, 12, count)
    lasts = np.round(10 ** rng.uniform(0, 4, count))
    rows: list[list[Any]] = []
    results: dict[str, Any] = {}

    def error(beta: jax.Array, last: jax.Array, T: jax.Array) -> jax.Array:
        return cj.theory.tail_error(beta, cj.skills.zipf(beta, last=last), T)

    points = tuple(jnp.asarray(x) for x in (exponents, lasts, samples))
    program, compile_seconds = compiled(lambda *p: jax.lax.map(lambda x: error(*x), p, batch_size=1000), *points)
    ours = seconds(lambda: program(*points)) / count
    few = 50 if full else 5
    start = time.perf_counter()
    expected = numpy_errors(exponents[:few], lasts[:few], samples[:few])
    theirs = (time.perf_counter() - start) / few
    gap = float(np.abs(np.asarray(program(*points))[:few] / expected - 1).max())
    results["theory"] = {
        "points_a_second": 1 / ours,
        "compile_seconds": compile_seconds,
        "ratio": theirs / ours,
        "largest_relative_difference": gap,
    }
    rows += [
        ["exact error, random (beta, k, T), a point", ours, f"{1 / ours:,.0f} points / s"],
        ["  to compile", compile_seconds, ""],
        [f"  NumPy, {TERMS:,} terms", theirs, f"{theirs / ours:,.0f} times slower; largest difference {gap:.1e}"],
    ]

    keys, data = jax.random.split(jax.random.key(0), 64 if full else 4), cj.skills.zipf(1.5)

    def draw(keys: jax.Array, T: jax.Array) -> jax.Array:
        return jax.lax.map(lambda key: cj.simulate.tail_error(key, 1.5, data, T), keys)

    program, compile_seconds = compiled(draw, keys, jnp.asarray(1e4))
    small, large = (seconds(lambda T=T: program(keys, jnp.asarray(T))) / keys.size for T in (1e4, 1e12))
    results["simulation"] = {"seconds": small, "seconds_at_1e12": large, "compile_seconds": compile_seconds}
    rows += [
        ["simulation, T = 1e4, a training set", small, ""],
        ["simulation, T = 1e12", large, f"{large / small:.3g} times T = 1e4"],
    ]

    dim, number, ridge, seeds = (100, 1000, 1e-2, 8) if full else (20, 100, 1e-2, 2)
    angles = np.linspace(0.3, 2.5, 24 if full else 3)

    def problem(angle: jax.Array) -> cj.Verified:
        return cj.Verified(jnp.asarray(1.5, angle.dtype), generator=angle, verifier=jnp.pi / 6)

    exact, _ = compiled(
        jax.vmap(lambda a: cj.theory.verified_student(problem(a), number, dim, ridge).cosine), jnp.asarray(angles)
    )

    def drawn(keys: jax.Array, angles: jax.Array) -> jax.Array:
        """All angles see the same inputs, as in a sweep."""
        one = jax.vmap(
            lambda key, angle: cj.simulate.verified_student(key, problem(angle), number, dim, ridge).cosine, (None, 0)
        )
        return jax.lax.map(lambda key: one(key, angles), keys)

    by_theory, by_draws = seconds(lambda: exact(jnp.asarray(angles))), []
    for dtype in (jnp.float64, jnp.float32):
        grid = jnp.asarray(angles, dtype)
        program, _ = compiled(drawn, keys[:seeds], grid)
        by_draws.append(seconds(lambda program=program, grid=grid: program(keys[:seeds], grid)))
    theirs, means = students(angles, number, dim, ridge, seeds)
    results["verification"] = {
        "theory_seconds": by_theory,
        "simulation_seconds": by_draws[0],
        "simulation_seconds_float32": by_draws[1],
        "sklearn_seconds": theirs,
        "ratio_theory": theirs / by_theory,
        "ratio_simulation": theirs / by_draws[0],
        "ratio_simulation_float32": theirs / by_draws[1],
        "largest_difference_to_theory": float(np.abs(means - np.asarray(exact(jnp.asarray(angles)))).max()),
    }
    rows += [
        [f"students, {angles.size} angles, theory", by_theory, f"{theirs / by_theory:.3g} times faster than the loop"],
        [f"  drawn, {seeds} seeds", by_draws[0], f"{theirs / by_draws[0]:.3g} times faster than the loop"],
        ["  drawn in float32", by_draws[1], f"{theirs / by_draws[1]:.3g} times faster than the loop"],
        [f"  scikit-learn loop, {seeds} seeds", theirs, ""],
    ]
    report("tails", ["float64", "seconds", ""], rows, results)


if __name__ == "__main__":
    main()
