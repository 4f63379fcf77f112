"""Chains of a thousand models: exact theory and exact simulation, beside NumPy loops over the generations.

python benchmarks/generations.py [--size smoke]
"""

import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from measure import arguments, compiled, product_seconds, quicker, report, seconds
from scipy.optimize import brentq
from theory import pass_seconds

import collapse_jax as cj

RIDGE, NOISE = 0.05, 0.3


def schedule(dim: int, length: int) -> cj.Schedule:
    """Half of two to four samples a direction real, half synthetic, more in each generation."""
    half = jnp.round(jnp.linspace(1.0, 2.0, length) * dim)
    return cj.Schedule(half, half, RIDGE, noise_real=NOISE, noise_synthetic=NOISE)


def numpy_theory(spectrum: np.ndarray, signal: float, length: int) -> tuple[float, np.ndarray]:
    """Seconds and errors: brentq for kappa in each generation, then the explicit map of docs/theory.md."""
    dim = spectrum.size
    p1, p2 = 0.5, 0.5
    cross, square = np.zeros(dim), np.zeros(dim)
    errors = []
    start = time.perf_counter()
    for n in 2 * np.round(np.linspace(1.0, 2.0, length) * dim):

        def excess(x: float, n: float = n) -> float:
            return x + np.log1p(-(spectrum / (spectrum + np.exp(x))).sum() / n) - np.log(RIDGE)

        solution: Any = brentq(excess, np.log(RIDGE), np.log(RIDGE) + 5, xtol=1e-12)
        kappa = np.exp(solution)
        kept = spectrum / (spectrum + kappa)
        both = signal + 2 * p2 * cross + p2**2 * square
        passed = NOISE**2 + (spectrum * (kappa**2 * both / (spectrum + kappa) ** 2 + p1 * p2 * square)).sum()
        own = (spectrum * p2) ** 2 * square - 2 * spectrum * p2 * kappa * cross + kappa**2 * signal
        square = (own + spectrum * passed / (n - (kept**2).sum())) / (spectrum + kappa) ** 2
        cross = (kept - 1) * signal + p2 * kept * cross
        errors.append((spectrum * square).sum())
    return time.perf_counter() - start, np.array(errors)


def numpy_rows(spectrum: np.ndarray, signal: float, length: int, times: int = 1) -> float:
    """Seconds: rows, ``times`` as many, drawn, labelled and fitted in each generation."""
    rng = np.random.default_rng(0)
    dim = spectrum.size
    truth = model = np.sqrt(signal) * rng.normal(size=dim)
    start = time.perf_counter()
    for half in times * np.round(np.linspace(1.0, 2.0, length) * dim).astype(int):
        inputs = rng.normal(size=(2 * half, dim)) * np.sqrt(spectrum)
        labels = np.concatenate([inputs[:half] @ truth, inputs[half:] @ model]) + NOISE * rng.normal(size=2 * half)
        moments = inputs.T @ inputs / (2 * half) + RIDGE * np.eye(dim)
        model = np.linalg.solve(moments, inputs.T @ labels / (2 * half))
    return time.perf_counter() - start


def main() -> None:
    full = arguments(__doc__ or "").size == "full"
    dim, wide, length, seeds = (600, 256, 1000, 8) if full else (60, 32, 50, 2)
    rows: list[list[Any]] = []
    results: dict[str, Any] = {}

    spectrum, plan = cj.spectra.power_law(dim), schedule(dim, length)
    program, compile_seconds = compiled(lambda s, p: cj.theory.generations(s, 1 / dim, p).total, spectrum, plan)
    ours = seconds(lambda: program(spectrum, plan))
    theirs, expected = numpy_theory(np.asarray(spectrum), 1 / dim, length)
    gap = float(np.abs(np.asarray(program(spectrum, plan)) / expected - 1).max())
    each = pass_seconds(4096, 1024)
    results["theory"] = {
        "seconds": ours,
        "compile_seconds": compile_seconds,
        "numpy_seconds": theirs,
        "ratio": theirs / ours,
        "largest_relative_difference": gap,
        "passes_a_generation": ours / length / each,
    }
    rows += [
        [
            f"theory, d = {dim}, {length:,} generations",
            ours,
            f"{1e6 * ours / length:.3g} us a generation, {ours / length / each:.3g} passes over the spectrum",
        ],
        ["  to compile", compile_seconds, ""],
        ["  NumPy and brentq", theirs, f"{theirs / ours:.3g} times slower; largest difference {gap:.1e}"],
    ]

    many = 64 if full else 4
    ridges = jnp.geomspace(1e-3, 1.0, many)
    batch, _ = compiled(
        jax.vmap(lambda ridge: cj.theory.generations(spectrum, 1 / dim, _with_ridge(plan, ridge)).total[-1]), ridges
    )
    together = seconds(lambda: batch(ridges))
    results["theory_batch"] = {"chains": many, "seconds_a_chain": together / many, "ratio": theirs / together * many}
    rows.append(
        [f"  {many} chains at once, a chain", together / many, f"{theirs / together * many:.3g} times the NumPy loop"]
    )

    spectrum, plan = cj.spectra.power_law(wide), schedule(wide, length)

    def one(key: jax.Array) -> jax.Array:
        return cj.simulate.generations(key, spectrum, 1 / wide, plan).total

    keys = jax.random.split(jax.random.key(0), seeds)
    program, compile_seconds = compiled(jax.vmap(one), keys)
    drawn = np.asarray(program(keys))
    ours = seconds(lambda: program(keys), 1) / seeds
    fewer = length // 10
    theirs = quicker(lambda: numpy_rows(np.asarray(spectrum), 1 / wide, fewer)) * length / fewer
    more = quicker(lambda: numpy_rows(np.asarray(spectrum), 1 / wide, fewer // 5, 10)) * length / (fewer // 5)
    products = ours / length / product_seconds(wide)
    exact = float(cj.theory.generations(spectrum, 1 / wide, plan).total[length // 2 :].mean())
    results["simulation"] = {
        "seconds_a_chain": ours,
        "compile_seconds": compile_seconds,
        "numpy_seconds": theirs,
        "ratio": theirs / ours,
        "numpy_seconds_ten_times_the_samples": more,
        "ratio_ten_times_the_samples": more / ours,
        "products_a_generation": products,
        "late_mean": float(drawn[:, length // 2 :].mean()),
        "late_mean_of_theory": exact,
    }
    late = f"late error {drawn[:, length // 2 :].mean():.4g}, theory {exact:.4g}"
    rows += [
        [f"simulation, d = {wide}, {length:,} generations", ours, f"{products:.3g} products a generation"],
        ["  to compile", compile_seconds, late],
        [f"  NumPy rows (from {fewer} generations)", theirs, f"{theirs / ours:.3g} times slower"],
        ["  NumPy rows, ten times the samples", more, f"{more / ours:.3g} times slower; ours costs the same"],
    ]
    report("generations", ["float64", "seconds", ""], rows, results)


def _with_ridge(plan: cj.Schedule, ridge: jax.Array) -> cj.Schedule:
    return cj.Schedule(plan.real, plan.synthetic, ridge, plan.noise_real, plan.noise_synthetic)


if __name__ == "__main__":
    main()
