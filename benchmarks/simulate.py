"""Simulated ridge regressions a second, beside NumPy and scikit-learn loops that draw rows, and in units of matrix products.

python benchmarks/simulate.py [--size smoke]
"""

import itertools
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
from measure import arguments, compiled, product_seconds, quicker, report, seconds
from sklearn.linear_model import Ridge

import collapse_jax as cj

RIDGE = 1e-3
FRACTIONS = [0.0, 0.1, 0.25, 0.5, 1.0]
WIDTHS = [32, 64, 128, 256, 512, 1024, 2048, 4096]


def problem(dim: int) -> cj.Mixture:
    """The mixture that all loops simulate."""
    spectrum = cj.spectra.power_law(dim)
    return cj.real_and_synthetic(spectrum, 1 / dim, 0.5 / dim / spectrum, 0.1, 0.1)


def draw_rows(generator: np.random.Generator, mixture: cj.Mixture, n: int, fraction: float) -> tuple[np.ndarray, ...]:
    """Inputs, labels and the true coefficients of one data set."""
    spectrum, dim = np.asarray(mixture.spectra[0]), mixture.dim
    truth = generator.standard_normal(dim) * np.sqrt(np.asarray(mixture.signal))
    shift = np.asarray(mixture.label_moments[1, 1]) - np.asarray(mixture.signal)
    teacher = truth + generator.standard_normal(dim) * np.sqrt(shift)
    inputs = generator.standard_normal((n, dim))
    inputs *= np.sqrt(spectrum)
    real = n - round(n * fraction)
    outputs = np.concatenate([inputs[:real] @ truth, inputs[real:] @ teacher])
    return inputs, outputs + 0.1 * generator.standard_normal(n), truth


def numpy_point(generator: np.random.Generator, mixture: cj.Mixture, n: int, fraction: float, width: int) -> float:
    """One fit as one would write it: rows, projections, the smaller of the primal and dual systems."""
    inputs, outputs, truth = draw_rows(generator, mixture, n, fraction)
    projections = generator.standard_normal((mixture.dim, width)) / np.sqrt(mixture.dim)
    features = inputs @ projections
    if width <= n:
        matrix = features.T @ features / n
        matrix[np.diag_indices(width)] += RIDGE
        fitted = scipy.linalg.solve(matrix, features.T @ outputs / n, assume_a="pos", overwrite_a=True)
    else:
        matrix = features @ features.T / n
        matrix[np.diag_indices(n)] += RIDGE
        fitted = features.T @ scipy.linalg.solve(matrix, outputs / n, assume_a="pos", overwrite_a=True)
    return float((np.asarray(mixture.spectra[0]) * (projections @ fitted - truth) ** 2).sum())


def sklearn_point(generator: np.random.Generator, mixture: cj.Mixture, n: int, fraction: float, width: int) -> float:
    """The same fit by scikit-learn's ``Ridge``."""
    inputs, outputs, truth = draw_rows(generator, mixture, n, fraction)
    projections = generator.standard_normal((mixture.dim, width)) / np.sqrt(mixture.dim)
    model = Ridge(alpha=RIDGE * n, fit_intercept=False).fit(inputs @ projections, outputs)
    return float((np.asarray(mixture.spectra[0]) * (projections @ model.coef_ - truth) ** 2).sum())


def loop_seconds(point: Any, mixture: cj.Mixture, sizes: list[int], widths: list[int]) -> tuple[float, float]:
    """Mean seconds a point and mean error over the grid, each (n, width) once."""
    generator = np.random.default_rng(0)
    errors = []
    start = time.perf_counter()
    for index, (n, width) in enumerate(itertools.product(sizes, widths)):
        errors.append(point(generator, mixture, n, FRACTIONS[index % len(FRACTIONS)], width))
    return (time.perf_counter() - start) / len(errors), float(np.mean(errors))


def grid_seconds(mixture: cj.Mixture, sizes: list[int], seeds: int, kind: str) -> tuple[float, float, int]:
    """Seconds a point through ``sweep``, seconds to compile, and the number of points."""

    def point(key: jax.Array, n: jax.Array, fraction: jax.Array, width: jax.Array) -> jax.Array:
        counts = cj.split(n, fraction)
        if kind == "fit":
            return cj.simulate.fit(key, mixture, counts, RIDGE, width).error
        return cj.simulate.risk(key, mixture, counts, RIDGE, width).total

    dataset = cj.sweep(
        point, key=jax.random.key(0), seeds=seeds, progress=False, n=sizes, fraction=FRACTIONS, width=WIDTHS
    )
    points = dataset["value"].size
    return dataset.attrs["run_seconds"] / points, dataset.attrs["compile_seconds"], points


def kernel_seconds(
    mixture: cj.Mixture, kind: str, width: float | None, points: int, sizes: tuple[float, float]
) -> float:
    """Seconds a point of a vmapped kernel with shared random numbers, without the sweep around it."""
    key = jax.random.key(0)

    def point(n: jax.Array) -> jax.Array:
        counts = cj.split(n, 0.3)
        if kind == "fit":
            return cj.simulate.fit(key, mixture, counts, RIDGE, width).error
        return cj.simulate.risk(key, mixture, counts, RIDGE, width).total

    inputs = jnp.geomspace(*sizes, points)
    program, _ = compiled(jax.vmap(point), inputs)
    return seconds(lambda: program(inputs), 7) / points


def main() -> None:
    options = arguments(__doc__ or "")
    full = options.size == "full"
    dim, top, seeds = (256, 16384, 8) if full else (64, 512, 1)
    mixture = problem(dim)
    sizes = [dim * 2**k for k in range(7) if dim * 2**k <= top]
    rows, results = [], {}
    for kind in ("fit", "risk"):
        per_point, compile_seconds, points = grid_seconds(mixture, sizes, seeds, kind)
        results[f"grid {kind}"] = {
            "points_per_second": 1 / per_point,
            "compile_seconds": compile_seconds,
            "points": points,
        }
        rows.append([f"grid, {kind}: {points} points", 1e3 * per_point, compile_seconds, ""])
    fast = 1 / results["grid fit"]["points_per_second"]
    for name, point in (("NumPy", numpy_point), ("scikit-learn", sklearn_point)):
        widths = WIDTHS if full else WIDTHS[:4]
        slow, _ = quicker(lambda point=point, widths=widths: loop_seconds(point, mixture, sizes, widths))
        results[f"{name} loop"] = {"points_per_second": 1 / slow, "ratio": slow / fast}
        rows.append([f"grid, {name} loop", 1e3 * slow, "", slow / fast])
    many = 1_000_000 if full else 100_000
    slow, _ = quicker(lambda: loop_seconds(numpy_point, mixture, [many], [dim]))
    at_many = kernel_seconds(mixture, "fit", float(dim), 32, (many, many + 100.0))
    results["one large n"] = {"n": many, "numpy_seconds": slow, "seconds": at_many, "ratio": slow / at_many}
    rows += [[f"n = {many:,}, NumPy", 1e3 * slow, "", slow / at_many], [f"n = {many:,}, fit", 1e3 * at_many, "", ""]]
    small, large = (kernel_seconds(mixture, "fit", float(dim), 32, (n, n + 100.0)) for n in (1e3, 1e9))
    results["cost of n = 1e9 over n = 1e3"] = large / small
    rows.append(["n = 1e9 over n = 1e3", "", "", large / small])
    dim = 512 if full else 64
    mixture, product = problem(dim), product_seconds(dim)
    results["product"] = {"dim": dim, "gflops": 2 * dim**3 / product / 1e9}
    rows.append([f"one product, d = {dim}", 1e3 * product, "", ""])
    for kind, width in itertools.product(("fit", "risk"), (None, 400.0)):
        elapsed = kernel_seconds(mixture, kind, width, 16, (256.0, 16384.0))
        name = f"{kind}, {'linear' if width is None else 'projections'}"
        results[name] = {"seconds": elapsed, "products": elapsed / product}
        rows.append([f"d = {dim}, {name}: in products", 1e3 * elapsed, "", elapsed / product])
    columns = ["simulation, float64", "ms / point", "compile s", "ratio"]
    report("simulate", columns, rows, results)


if __name__ == "__main__":
    main()
