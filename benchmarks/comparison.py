"""The same questions to this library, to NumPy and scikit-learn, and to other libraries of the field where they are there.

python benchmarks/comparison.py [--size smoke] [--other PYTHON] [--eigenlearning FOLDER]

PYTHON is an interpreter that imports neural-tangents, which needs an older JAX than this library does; FOLDER a copy of
eigenlearning's ``theory.py``, which that interpreter runs.
"""

import argparse
import importlib
import json
import subprocess
import sys
import time
import types
from collections.abc import Callable
from typing import Any

import numpy as np

DIM, RIDGE, NOISE, QUALITY = 200, 1e-2, 0.3, 0.25
SAMPLES, FRACTIONS = (100, 400, 1_600), (0.0, 0.1, 0.5)
JUDGED = 1_000  # rows on which a method is judged that has predictions only


def problem() -> dict[str, np.ndarray]:
    """Spectrum, coefficients of the truth, and of the synthetic labels."""
    spectrum = np.arange(1, DIM + 1) ** -1.0
    spectrum *= DIM / spectrum.sum()
    numbers = np.random.default_rng(0)
    signs, other = numbers.choice([-1.0, 1.0], (2, DIM))
    truth = signs / np.sqrt(DIM * spectrum)
    return {"spectrum": spectrum, "truth": truth, "wrong": truth + other * np.sqrt(QUALITY / (DIM * spectrum))}


def rows(numbers: np.random.Generator, given: dict[str, np.ndarray], n: int, fraction: float) -> Any:
    """Inputs (n, d) and labels (n,), the last ones synthetic."""
    real = n - round(n * fraction)
    inputs = numbers.normal(size=(n, DIM)) * np.sqrt(given["spectrum"])
    labels = np.concatenate([inputs[:real] @ given["truth"], inputs[real:] @ given["wrong"]])
    return inputs, labels + NOISE * numbers.normal(size=n)


def drawn(fit: Callable[[np.ndarray, np.ndarray], Any], draws: int) -> tuple[float, dict[str, list[float]]]:
    """Seconds a point and draw, and the errors of every point, of something that fits rows and returns coefficients."""
    from threadpoolctl import threadpool_limits

    given, numbers = problem(), np.random.default_rng(1)
    errors: dict[str, list[float]] = {}
    times = []
    for threads in (None, 1):  # small factorisations can be quicker on one thread: the better counts
        with threadpool_limits(threads):
            fit(*rows(numbers, given, 100, 0.0))  # not counted: imports, compilation
            start = time.perf_counter()
            for n in SAMPLES:
                for fraction in FRACTIONS:
                    found = [fit(*rows(numbers, given, n, fraction)) for _ in range(draws)]
                    errors[f"{n} {fraction}"] = [float(given["spectrum"] @ (w - given["truth"]) ** 2) for w in found]
            times.append(time.perf_counter() - start)
    return min(times) / draws / len(errors), errors


def by_hand(inputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Ridge regression as one writes it."""
    n = len(labels)
    return np.linalg.solve(inputs.T @ inputs / n + RIDGE * np.eye(DIM), inputs.T @ labels / n)


def scikit(inputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
    from sklearn.linear_model import Ridge

    return Ridge(alpha=len(labels) * RIDGE, fit_intercept=False).fit(inputs, labels).coef_


def scipy_theory(points: int) -> tuple[float, dict[str, float]]:
    """Seconds a point of the loop one would write over the closed form of docs/theory.md, and the totals of the grid."""
    from scipy.optimize import brentq

    given = problem()
    s, signal = given["spectrum"], given["truth"] ** 2
    shift = (given["wrong"] - given["truth"]) ** 2
    cross = given["truth"] * (given["wrong"] - given["truth"])

    def total(n: float, p2: float) -> float:
        def excess(x: float) -> float:
            return x + np.log(max(1 - (s / (s + np.exp(x))).sum() / n, 1e-300)) - np.log(RIDGE)

        root: Any = brentq(excess, np.log(RIDGE), np.log(RIDGE + s.sum() / n + s.max()) + 1, xtol=1e-13)
        kappa = np.exp(root)
        p1, r = 1 - p2, kappa / (s + kappa)
        u = ((1 - r) ** 2).sum() / n
        u /= 1 - u
        bias = (1 + u) * (s * signal * r**2).sum()
        shifted = (
            p2**2 * (1 + p1 * u) * (s * shift * (1 - r) ** 2).sum() + p2 * u * (s * shift * (p1 + p2 * r) ** 2).sum()
        )
        crossed = -2 * p2 * (1 + u) * (s * cross * r * (1 - r)).sum()
        crossed += 2 * p2 * u * (s * cross * r).sum()
        return float(bias + NOISE**2 * u + shifted + crossed)

    grid = [(n, fraction) for n in SAMPLES for fraction in FRACTIONS]
    start = time.perf_counter()
    for k in range(points):
        total(*grid[k % len(grid)])
    seconds = (time.perf_counter() - start) / points
    return seconds, {f"{n} {fraction}": total(n, fraction) for n, fraction in grid}


def neural_tangents(draws: int) -> dict[str, Any]:
    """Kernel ridge regression with the kernel of an infinitely wide linear layer, judged on rows."""
    import jax

    jax.config.update("jax_enable_x64", True)
    nt: Any = importlib.import_module("neural_tangents")
    _, _, kernel = nt.stax.serial(nt.stax.Dense(1, W_std=1.0, b_std=None))
    given, numbers = problem(), np.random.default_rng(1)
    judged = numbers.normal(size=(JUDGED, DIM)) * np.sqrt(given["spectrum"])
    errors: dict[str, list[float]] = {}

    @jax.jit
    def predicted(inputs: jax.Array, labels: jax.Array) -> jax.Array:
        # The kernel is x.x' / d, so the ridge n lambda is divided by d as well.
        ridge = len(labels) * RIDGE / DIM
        between, across = kernel(inputs, None, "nngp"), kernel(judged, inputs, "nngp")
        infer = nt.predict.gp_inference(between, labels[:, None], diag_reg=ridge, diag_reg_absolute_scale=True)
        return infer("nngp", across)[:, 0]

    def error(n: int, fraction: float) -> float:
        return float(
            ((np.asarray(predicted(*rows(numbers, given, n, fraction))) - judged @ given["truth"]) ** 2).mean()
        )

    seconds = 0.0
    for n in SAMPLES:
        error(n, 0.0)  # not counted: it compiles for each number of rows
        start = time.perf_counter()
        errors |= {f"{n} {fraction}": [error(n, fraction) for _ in range(draws)] for fraction in FRACTIONS}
        seconds += time.perf_counter() - start
    versions = {"neural-tangents": nt.__version__, "jax": jax.__version__}
    return {"seconds": seconds / draws / len(errors), "errors": errors, "versions": versions}


def eigenlearning(folder: str, repeats: int) -> dict[str, Any]:
    """Its ``theoretical_predictions`` from eigenvalues, of the real data alone: it has one source."""
    import jax

    jax.config.update("jax_enable_x64", True)
    import jax.numpy as jnp

    class Unused(types.ModuleType):
        """Stands for the repository's loaders of data, which this does not call."""

        def __getattr__(self, name: str) -> Any:
            return None

    for name in ("unit_circle", "hypercube", "hypersphere", "image_datasets", "utils"):
        sys.modules[name] = Unused(name)
    sys.path.insert(0, folder)
    predictions = importlib.import_module("theory").theoretical_predictions
    given = problem()
    coefficients = {k: float(c) for k, c in enumerate(given["truth"] * np.sqrt(given["spectrum"]))}
    lambdas = jnp.asarray(given["spectrum"])

    def total(n: int) -> float:
        found = predictions(n, coefficients, lambdas=lambdas, ridge=n * RIDGE, noise_std=NOISE)
        return float(found["mse_test"]) - NOISE**2

    totals = {f"{n} 0.0": total(n) for n in SAMPLES}
    start = time.perf_counter()
    for _ in range(repeats):
        for n in SAMPLES:
            total(n)
    return {"seconds": (time.perf_counter() - start) / repeats / len(SAMPLES), "totals": totals}


def elsewhere(python: str | None, *work: str) -> dict[str, Any] | str:
    """What another interpreter makes of this file, or in one line why it does not."""
    if python is None:
        return "not asked for"
    done = subprocess.run([python, __file__, "--work", *work], capture_output=True, text=True, check=False)
    lines = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines()
    return json.loads(lines[-1]) if done.returncode == 0 else lines[-1]


def mine(full: bool) -> tuple[dict[str, float], dict[str, list[Any]], dict[str, float]]:
    """What this library answers: exact totals of the grid, errors of drawn fits, and seconds."""
    import jax
    import jax.numpy as jnp
    from measure import compiled, seconds

    import collapse_jax as cj

    given = problem()
    labels = jnp.stack([jnp.asarray(given["truth"]), jnp.asarray(given["wrong"])])
    spectra = jnp.stack([jnp.asarray(given["spectrum"])] * 2)
    mixture = cj.Mixture(spectra, labels[:, None] * labels[None], NOISE, shared_spectrum=True)

    def exact(n: Any, fraction: Any) -> jax.Array:
        return cj.theory.risk(mixture, cj.split(n, fraction), RIDGE).total

    many = 100_000 if full else 1_000
    numbers = np.random.default_rng(0)
    points = (jnp.asarray(10 ** numbers.uniform(2, 4, many)), jnp.asarray(numbers.uniform(0, 1, many)))
    program, to_compile = compiled(lambda p: jax.lax.map(lambda x: exact(*x), p, batch_size=1024), points)
    theory = seconds(lambda: program(points)) / many
    n, fraction = (jnp.asarray(a, float) for a in zip(*((n, p) for n in SAMPLES for p in FRACTIONS), strict=True))
    totals = np.asarray(jax.vmap(exact)(n, fraction))

    keys = jax.random.split(jax.random.key(0), 16 if full else 2)

    def draws(n: jax.Array, fraction: jax.Array) -> jax.Array:
        def one(key: jax.Array) -> jax.Array:
            return cj.simulate.fit(key, mixture, cj.split(n, fraction), RIDGE).error

        return jax.vmap(one)(keys)

    grid, simulation_compiles = compiled(jax.vmap(draws), n, fraction)
    simulation = seconds(lambda: grid(n, fraction)) / n.size / len(keys)
    errors = np.asarray(grid(n, fraction))
    names = [f"{int(a)} {float(b)}" for a, b in zip(n, fraction, strict=True)]
    drawn = {name: row.tolist() for name, row in zip(names, errors, strict=True)}
    times = {
        "theory": theory,
        "simulation": simulation,
        "compile": to_compile,
        "simulation compile": simulation_compiles,
    }
    return dict(zip(names, totals.tolist(), strict=True)), drawn, times


def gap(exact: dict[str, float], other: dict[str, float]) -> float:
    """Largest relative distance from the exact totals, of those points that ``other`` has."""
    return max(abs(other[name] / exact[name] - 1) for name in other)


def row(name: str, exact: dict[str, float], second: float, errors: dict[str, list[float]]) -> list[Any]:
    """A row of the table of draws: how far means lie from the exact totals, and what an answer to 1% would cost."""
    scatter = float(np.mean([np.std(e, ddof=1) / np.mean(e) for e in errors.values()]))
    means = {point: float(np.mean(e)) for point, e in errors.items()}
    return [name, 1e3 * second, scatter, gap(exact, means), second * max(1.0, (scatter / 0.01) ** 2)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=("smoke", "full"), default="full", help="smoke: seconds, for a quick look")
    parser.add_argument("--other", metavar="PYTHON", help="an interpreter that imports neural-tangents")
    parser.add_argument("--eigenlearning", metavar="FOLDER", help="where eigenlearning's theory.py lies")
    parser.add_argument("--work", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:  # the other interpreter
        what, number, *folder = options.work
        print(json.dumps(neural_tangents(int(number)) if what == "kernel" else eigenlearning(folder[0], int(number))))
        return
    import jax
    from measure import report

    jax.config.update("jax_enable_x64", True)
    full = options.size == "full"
    draws = 8 if full else 2
    exact, simulated, times = mine(full)
    second, totals = scipy_theory(2_000 if full else 20)
    columns = ["exact risk, d = 200", "microseconds / point", "largest distance", "sources"]
    table: list[list[Any]] = [
        ["collapse_jax, theory.risk, in a batch", 1e6 * times["theory"], 0.0, "any"],
        ["NumPy and SciPy by hand, a loop", 1e6 * second, gap(exact, totals), "2, one spectrum"],
    ]
    results: dict[str, Any] = {"seconds": times | {"scipy": second}}
    learned = elsewhere(options.other if options.eigenlearning else None, "theory", "3", str(options.eigenlearning))
    if isinstance(learned, str):
        table.append(["eigenlearning", learned, "", "1"])
    else:
        table.append(["eigenlearning, a loop", 1e6 * learned["seconds"], gap(exact, learned["totals"]), "1"])
        results["eigenlearning"] = learned
    report("comparison, theory", columns, table, results)

    columns = [
        "one drawn data set, d = 200",
        "ms / draw",
        "scatter of a draw",
        "mean: largest distance",
        "s to 1% at a point",
    ]
    table = [row("collapse_jax, simulate.fit, in a batch", exact, times["simulation"], simulated)]
    for name, fit in (("NumPy by hand", by_hand), ("scikit-learn Ridge", scikit)):
        table.append(row(name, exact, *drawn(fit, draws)))
    kernel = elsewhere(options.other, "kernel", str(draws))
    table.append(
        ["neural-tangents", kernel, "", "", ""]
        if isinstance(kernel, str)
        else row("neural-tangents", exact, kernel["seconds"], kernel["errors"])
    )
    results = {line[0]: dict(zip(columns[1:], line[1:], strict=True)) for line in table}
    report("comparison, draws", columns, table, results | ({} if isinstance(kernel, str) else kernel["versions"]))


if __name__ == "__main__":
    main()
