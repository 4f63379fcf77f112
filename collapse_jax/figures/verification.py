"""The figures of *Beyond Model Collapse* (arXiv 2406.07515v2): when does checking help."""

import math
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from matplotlib.figure import Figure as Picture

import collapse_jax as cj
from collapse_jax import plotting
from collapse_jax.figures.figure import Datasets, Figure, is_full, with_names
from collapse_jax.names import made_with

SEPARATION = 1.5  # tau sqrt(d) of the print: Bayes accuracy 93%


def _two(size: str, seed: int) -> Datasets:
    """Figure 2: how well a student of selected labels does against how wrong they are, by the verifier's angle."""
    full = is_full(size)
    dim, samples, ridge = (100, 3000, 1e-2) if full else (60, 120, 1e-1)
    verifiers = [0.3, 0.35, 0.4, 0.45, 0.5] if full else [0.3, 0.5]

    def problem(verifier: Any, generator: Any) -> cj.Verified:
        return cj.Verified(SEPARATION, generator=generator * math.pi, verifier=verifier * math.pi)

    def theory(verifier: Any, generator: Any) -> dict[str, jax.Array]:
        student = cj.theory.verified_student(problem(verifier, generator), samples, dim, ridge)
        return {"total": student.agreement}

    def simulated(key: jax.Array, verifier: Any, generator: Any) -> dict[str, jax.Array]:
        student = cj.simulate.verified_student(key, problem(verifier, generator), samples, dim, ridge)
        return {"total": student.agreement}

    def turn(verifier: Any, generator: Any) -> dict[str, jax.Array]:
        rates = cj.theory.verifier_rates(problem(verifier, generator))
        return {"margin": rates.breakdown - rates.error}

    few = np.linspace(0.3, 0.95, 6 if full else 2)
    fine = np.union1d(few, np.linspace(0.3, 0.99, 40 if full else 2))
    datasets = {
        "theory": cj.sweep(theory, verifier=verifiers, generator=fine),
        "simulated": cj.sweep(
            simulated, key=jax.random.key(seed), seeds=4 if full else 24, verifier=verifiers, generator=few
        ),
    }
    for dataset in datasets.values():
        with_names(
            dataset,
            verifier="verifier's angle / π",
            generator="generator's angle / π",
            total="agreement with the best classifier",
        )
    return datasets | {"turn": cj.sweep(turn, verifier=verifiers, generator=fine)}


def _draw_two(datasets: Datasets) -> Picture:
    picture = Picture(figsize=(7.4, 5), layout="constrained")
    axes = picture.subplots()
    plotting.curves(datasets["theory"], datasets["simulated"], x="generator", hue="verifier", ax=axes)
    for verifier in datasets["turn"].verifier.values:
        margin = datasets["turn"].margin.sel(verifier=verifier)
        if float(margin.min()) < 0 < float(margin.max()):
            order = np.argsort(margin.values)
            at = np.interp(0, margin.values[order], margin.generator.values[order])
            axes.plot(
                at, float(datasets["theory"].total.sel(verifier=verifier).interp(generator=at)), "k*", ms=11, zorder=5
            )
    axes.axhline(0.5, color="0.5", lw=0.8)
    axes.set_title("★ the breakdown point of the rates")
    return picture


KINDS = {
    "clean labels": {"error": 0.0},
    "oracle": {"kept_wrong": 0.0},
    "verifier off by π/24": {"verifier": math.pi / 24},
    "verifier off by π/12": {"verifier": math.pi / 12},
    "no verifier": {},
}


def _three(size: str, seed: int) -> Datasets:
    """Figure 3: error beyond the best classifier's against the number of kept samples, for generators of n0 samples."""
    full = is_full(size)
    dim, ridge = 100 if full else 60, 1e-3
    generators = [100, 300, 900] if full else [300]
    clean = cj.Verified(SEPARATION, error=0.0)
    best = jax.scipy.special.ndtr(SEPARATION)
    datasets: Datasets = {}
    started = time.perf_counter()
    for n0 in generators:
        cosine = cj.theory.verified_student(clean, n0, dim, 1e-6, loss="squared").cosine
        angle = jnp.arccos(cosine)

        def problem(kind: str, angle: Any = angle) -> cj.Verified:
            given = KINDS[kind]
            return cj.Verified(SEPARATION, **(given if "error" in given else {"generator": angle, **given}))

        counts = np.round(np.geomspace(100, 1e5, 25 if full else 2))
        few = [300, 3000, 30_000] if full else [200]
        exact, drawn = [], []
        for kind in KINDS:
            rates = cj.theory.verifier_rates(problem(kind))
            kept = (1 - rates.error) * rates.kept_right + rates.error * rates.kept_wrong

            def excess(n: Any, kind: str = kind, kept: Any = kept) -> jax.Array:
                # n samples are kept, so n / kept are offered; the ridge weighs against the kept ones.
                student = cj.theory.verified_student(problem(kind), n / kept, dim, ridge * kept)
                return best - student.accuracy

            exact.append(
                np.asarray(jax.jit(jax.vmap(excess))(jnp.concatenate([jnp.asarray(counts), jnp.array(few, float)])))
            )
            row = []
            for n in few:

                def one(key: jax.Array, kind: str = kind, kept: Any = kept, n: int = n) -> jax.Array:
                    offered = round(n / float(kept))
                    return best - cj.simulate.verified_student(key, problem(kind), offered, dim, ridge * kept).accuracy

                seeds = 6 if full else 24
                row.append(np.asarray(jax.lax.map(one, jax.random.split(jax.random.key(seed), seeds))))
            drawn.append(np.stack(row, 1))
        order = np.argsort(np.concatenate([counts, few]), kind="stable")
        names = {"kind": ("kind", np.array(list(KINDS), object), {"long_name": f"labels, n0 = {n0}"})}
        datasets[f"theory_{n0}"] = xr.Dataset(
            {"total": (("kind", "n"), np.stack(exact)[:, order])},
            {**names, "n": np.concatenate([counts, few])[order]},
        )
        datasets[f"simulated_{n0}"] = xr.Dataset(
            {"total": (("kind", "seed", "n"), np.stack(drawn))}, {**names, "n": np.array(few, float)}
        )
        for name in (f"theory_{n0}", f"simulated_{n0}"):
            datasets[name].attrs |= made_with() | {"run_seconds": time.perf_counter() - started}
            with_names(datasets[name], n="selected samples", total="test error beyond the best classifier's")
    return datasets


def _draw_three(datasets: Datasets) -> Picture:
    generators = [name.removeprefix("theory_") for name in datasets if name.startswith("theory_")]
    picture = Picture(figsize=(5.2 * len(generators), 4.8), layout="constrained")
    for axes, n0 in zip(np.ravel(picture.subplots(1, len(generators))), generators, strict=True):
        plotting.curves(datasets[f"theory_{n0}"], datasets[f"simulated_{n0}"], x="n", hue="kind", ax=axes)
        axes.set_yscale("log")
        axes.set_title(f"generator of {n0} samples")
    return picture


def _six(size: str, seed: int) -> Datasets:
    """Figure 6: the phase diagram, and its smoothing with finitely many samples."""
    full = is_full(size)
    ratios, samples, dim, ridge = [0.0, 0.21, 0.42, 0.63, 0.84, 1.0], 1000.0, 100, 1e-2

    def problem(ratio: Any, error: Any) -> cj.Verified:
        return cj.Verified(SEPARATION, error=error, kept_wrong=ratio)

    def theory(ratio: Any, error: Any) -> dict[str, jax.Array]:
        student = cj.theory.verified_student(problem(ratio, error), samples, dim, ridge)
        return {"total": student.agreement, "majority": cj.theory.majority(samples, error, 1.0, ratio)}

    def simulated(key: jax.Array, ratio: Any, error: Any) -> dict[str, jax.Array]:
        return {"total": cj.simulate.verified_student(key, problem(ratio, error), int(samples), dim, ridge).agreement}

    few = np.linspace(0.1, 0.9, 5 if full else 2)
    fine = np.union1d(few, np.linspace(0.02, 0.98, 49 if full else 3))
    datasets = {
        "theory": cj.sweep(theory, ratio=ratios, error=fine),
        "simulated": cj.sweep(simulated, key=jax.random.key(seed), seeds=8 if full else 24, ratio=ratios, error=few),
    }
    for dataset in datasets.values():
        with_names(
            dataset,
            ratio="kept wrong / kept right ψ/φ",
            error="wrong labels p",
            total="agreement with the best classifier",
        )
    with_names(datasets["theory"], majority="agreement, very many dimensions")
    return datasets


def _draw_six(datasets: Datasets) -> Picture:
    picture = Picture(figsize=(11, 4.8), layout="constrained")
    left, right = picture.subplots(1, 2)
    theory = datasets["theory"]
    plotting.curves(theory[["majority"]], x="error", hue="ratio", variable="majority", ax=left)
    plotting.curves(theory[["total"]], datasets["simulated"], x="error", hue="ratio", ax=right, legend=False)
    for ratio in theory.ratio.values:
        ends = [float(end) for end in cj.theory.breakdown_band(1.0, float(ratio), 0.1)]
        left.plot(ends, [0.5, 0.5], color="0.6", lw=3, alpha=0.6)
        if ratio:
            right.plot(1 / (1 + ratio), 0.5, "k*", ms=9, zorder=5)
    left.set_title("d → ∞, n = 1,000; grey: Theorem E.3, t = 0.1")
    right.set_title("n = 1,000, d = 100; ★ breakdown points")
    for axes in (left, right):
        axes.set_xscale("linear")
        axes.set_yscale("linear")
    return picture


VERIFICATION = (
    Figure(
        "verification-2",
        "Students of selected labels, by the angles of generator and verifier",
        "Two Gaussian classes, separation 1.5, linear generator and linear verifier with independent errors; 3,000 "
        "samples before selection, d = 100. Lines: exact theory; points: 4 drawn students; stars: "
        "where the error rate reaches the breakdown "
        "point. Deviations: the print shows the limit of infinitely many samples; sizes and the ridge (0.01) are not printed.",
        _two,
        _draw_two,
    ),
    Figure(
        "verification-3",
        "A weak verifier is enough, up to a point",
        "d = 100, separation tau sqrt(d) = 1.5, generators fitted by least squares to n0 = 100, 300, 900 clean "
        "labels. Error beyond that of the best classifier. Lines: exact theory; points: 6 drawn "
        "students. Deviations: angles of the generators by "
        "theory, labels by the sign of the generator's score; ridge 0.001, which is not printed.",
        _three,
        _draw_three,
    ),
    Figure(
        "verification-6",
        "The breakdown point: a step with very many dimensions, a slope with few",
        "Labels wrong at random, kept with probability 1 if right and psi / phi if wrong. Left: the limit of many "
        "dimensions at n = 1,000; grey bars: the band of Theorem E.3 with t = 0.1. Right: exact theory at "
        "d = 100, ridge 0.01, with 8 drawn "
        "students. Deviations: the print has the left panel only, in its limit of infinitely many samples.",
        _six,
        _draw_six,
    ),
)
