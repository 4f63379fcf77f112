"""Exact risks a second: the closed form and the general potential, beside a SciPy loop on the same points.

python benchmarks/theory.py [--size smoke]
"""

import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from measure import arguments, compiled, report, seconds
from scipy.optimize import brentq, root

import collapse_jax as cj

DIM = 600


def grid(points: int) -> dict[str, jax.Array]:
    """Random points of the range that users sweep."""
    generator = np.random.default_rng(0)
    return {
        "n": jnp.asarray(10 ** generator.uniform(1.5, 5, points)),
        "width": jnp.asarray(10 ** generator.uniform(1.5, 4, points)),
        "fraction": jnp.asarray(generator.uniform(0, 1, points)),
        "ridge": jnp.asarray(10 ** generator.uniform(-8, 1, points)),
    }


def rate(point: Any, points: dict[str, jax.Array], batch: int) -> tuple[float, float, jax.Array]:
    """Points a second, seconds to compile, and the totals."""
    program, compile_seconds = compiled(lambda p: jax.lax.map(point, p, batch_size=batch), points)
    elapsed = seconds(lambda: program(points))
    return points["n"].size / elapsed, compile_seconds, program(points)


def scipy_projections(mixture: cj.Mixture, points: dict[str, jax.Array]) -> tuple[float, np.ndarray]:
    """The loop one would write: brentq for kappa, then the closed form of docs/theory.md in NumPy."""
    s, signal = np.asarray(mixture.spectra[0]), np.asarray(mixture.signal)
    shift = np.asarray(mixture.label_moments[1, 1]) - signal
    noise = np.asarray(mixture.noise) ** 2
    columns = [np.asarray(points[name]).tolist() for name in ("n", "width", "fraction", "ridge")]
    totals = []
    start = time.perf_counter()
    for n, m, p2, ridge in zip(*columns, strict=True):
        p1 = 1 - p2
        level = np.log(ridge * DIM / m)

        def excess(x: float, n: float = n, m: float = m, level: float = level) -> float:
            learned = (s / (s + np.exp(x))).sum()
            if learned >= min(n, m):
                return -1e3
            return x + np.log((1 - learned / n) * (1 - learned / m)) - level

        low = np.log(ridge * DIM / m)
        solution: Any = brentq(excess, low, np.log(ridge * DIM / m + 8 * s.sum() / min(n, m)) + 3, xtol=1e-12)
        kappa = np.exp(solution)
        r = kappa / (s + kappa)
        learned, twice = (1 - r).sum(), ((1 - r) ** 2).sum()
        r2 = r - kappa * (1 - learned / m) * s / (s + kappa) ** 2 / (1 - twice / m)
        t2 = (1 - 2 * r + r2).sum() / n
        u = t2 / (1 - t2)
        bias = (signal * s * r2).sum() / (1 - t2)
        variance = (p1 * noise[0] + p2 * noise[1]) * u
        collapse = p2**2 * (1 + p1 * u) * (shift * s * (1 - 2 * r + r2)).sum()
        collapse += p2 * u * (shift * s * (p1**2 + 2 * p1 * p2 * r + p2**2 * r2)).sum()
        totals.append(bias + variance + collapse)
    return len(totals) / (time.perf_counter() - start), np.array(totals)


def scipy_sources(mixture: cj.Mixture, points: dict[str, jax.Array]) -> tuple[float, np.ndarray]:
    """Fixed point of three sources by SciPy's ``root`` in logarithms, without the risk that follows."""
    spectra = np.asarray(mixture.spectra)
    columns = [np.asarray(points[name]).tolist() for name in ("n", "fraction", "ridge")]
    found = []
    start = time.perf_counter()
    for n, fraction, ridge in zip(*columns, strict=True):
        share = np.array([1 - fraction, fraction / 2, fraction / 2])

        def equations(x: np.ndarray, n: float = n, ridge: float = ridge, share: np.ndarray = share) -> np.ndarray:
            e = np.exp(x)
            return x - np.log(spectra @ (1 / ((share / (1 + e)) @ spectra + ridge)) / n)

        found.append(root(equations, np.zeros(3)).x)
    return len(found) / (time.perf_counter() - start), np.array(found)


def pass_seconds(points: int, batch: int) -> float:
    """Seconds a point for one pass over the spectrum, ``sum_i s_i / (s_i + kappa)``: the limit of any solver here."""
    spectrum = cj.spectra.power_law(DIM)
    kappas = jnp.geomspace(1e-4, 1e2, points)

    def one(kappa: jax.Array) -> jax.Array:
        return jnp.dot(1 / (spectrum + kappa), spectrum)

    program, _ = compiled(lambda k: jax.lax.map(one, k, batch_size=batch), kappas)
    return seconds(lambda: program(kappas)) / points


def main() -> None:
    options = arguments(__doc__ or "")
    full = options.size == "full"
    spectrum = cj.spectra.power_law(DIM)
    mixture = cj.real_and_synthetic(spectrum, 1 / DIM, 0.5 / DIM / spectrum, 0.1, 0.1)
    spectra = jnp.stack([spectrum, cj.spectra.power_law(DIM, 1.5), cj.spectra.isotropic(DIM)])
    labels = jnp.asarray(np.random.default_rng(1).normal(size=(3, DIM)))
    three = cj.Mixture(spectra, labels[:, None] * labels[None], 0.1)

    def linear(p: dict[str, jax.Array]) -> jax.Array:
        return cj.theory.risk(mixture, cj.split(p["n"], p["fraction"]), p["ridge"]).total

    def projections(p: dict[str, jax.Array]) -> jax.Array:
        return cj.theory.risk(mixture, cj.split(p["n"], p["fraction"]), p["ridge"], p["width"]).total

    def counts_of(p: dict[str, jax.Array]) -> jax.Array:
        return p["n"] * jnp.stack([1 - p["fraction"], p["fraction"] / 2, p["fraction"] / 2])

    def three_sources(p: dict[str, jax.Array]) -> jax.Array:
        return cj.theory.risk(three, counts_of(p), p["ridge"]).total

    def three_projected(p: dict[str, jax.Array]) -> jax.Array:
        return cj.theory.risk(three, counts_of(p), p["ridge"], p["width"]).total

    many, some, few = (300_000, 8_000, 2_000) if full else (4_096, 256, 50)
    points, fewer, loop = grid(many), grid(some), grid(few)
    one_pass = pass_seconds(many, 1024)
    rows: list[list[Any]] = []
    results: dict[str, Any] = {}
    loops = {"projections": scipy_projections(mixture, loop), "three sources": scipy_sources(three, loop)}
    for name, point, at, batch in (
        ("linear", linear, points, 1024),
        ("projections", projections, points, 1024),
        ("three sources", three_sources, fewer, 64),
        ("three sources, projections", three_projected, fewer, 64),
    ):
        speed, compile_seconds, _ = rate(point, at, batch)
        passes = 1 / speed / one_pass
        results[name] = {"points_per_second": speed, "compile_seconds": compile_seconds, "passes": passes}
        row = [name, speed, compile_seconds, passes]
        if name in loops:
            baseline, _ = loops[name]
            results[name] |= {"scipy_points_per_second": baseline, "ratio": speed / baseline}
            row += [baseline, speed / baseline]
        rows.append(row)
    exact = np.asarray(jax.vmap(projections)(loop))
    results["largest relative gap to SciPy"] = float(np.abs(exact / loops["projections"][1] - 1).max())
    columns = ["theory, d = 600, float64", "points / s", "compile s", "passes / point", "SciPy / s", "times SciPy"]
    report("theory", columns, rows, {"one_pass_ns": one_pass * 1e9, **results})


if __name__ == "__main__":
    main()
