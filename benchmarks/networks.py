"""Networks on images: random features beside NumPy and scikit-learn, training beside PyTorch, in units of matrix products.

python benchmarks/networks.py [--size smoke]

PyTorch is measured where it is installed: python -m pip install torch
"""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
from measure import alternated, arguments, product_seconds, report
from sklearn.linear_model import Ridge

from collapse_jax.networks import Lessons, Recipe, feature_predictions, train
from collapse_jax.networks.random_features import cheapest

FRACTIONS, SEEDS, CLASSES, DIM = 11, 5, 10, 784
RIDGE_PER_FEATURE = 1e-3


class Case(NamedTuple):
    """One size of random-feature regression."""

    name: str
    n: int
    tests: int
    width: int


def images(case: Case) -> tuple[np.ndarray, ...]:
    """Inputs, labels of all fractions and seeds, and test inputs, of MNIST's shapes in float32; only the cost matters."""
    generator = np.random.default_rng(0)
    shapes = (case.n, DIM), (case.n, FRACTIONS, SEEDS, CLASSES), (case.tests, DIM)
    return tuple(generator.standard_normal(shape, np.float32) for shape in shapes)


def numpy_predictions(inputs: np.ndarray, labels: np.ndarray, test: np.ndarray, width: int) -> np.ndarray:
    """The same as one would write it: all features in memory, the smaller system, one factorisation for all labels."""
    n, dim = inputs.shape
    projections = np.random.default_rng(1).standard_normal((dim, width), np.float32) / np.float32(np.sqrt(dim))
    mean = np.float32(1 / np.sqrt(2 * np.pi))
    made, made_test = (np.maximum(rows @ projections, 0) - mean for rows in (inputs, test))
    ridge, right = np.float32(n * RIDGE_PER_FEATURE * width), labels.reshape(n, -1)
    if width < n:
        matrix, right = made.T @ made, made.T @ right
    else:
        matrix = made @ made.T
    matrix[np.diag_indices(len(matrix))] += ridge
    factor = scipy.linalg.cho_factor(matrix, lower=True, overwrite_a=True, check_finite=False)
    fits = scipy.linalg.cho_solve(factor, right, check_finite=False)
    return made_test @ (fits if width < n else made.T @ fits)


def sklearn_predictions(inputs: np.ndarray, labels: np.ndarray, test: np.ndarray, width: int) -> np.ndarray:
    """One fit of scikit-learn's ``Ridge`` to the first fraction and seed, features made in NumPy."""
    projections = np.random.default_rng(1).standard_normal((inputs.shape[1], width), np.float32)
    projections /= np.float32(np.sqrt(inputs.shape[1]))
    made, made_test = (np.maximum(rows @ projections, 0) for rows in (inputs, test))
    model = Ridge(alpha=len(inputs) * RIDGE_PER_FEATURE * width, fit_intercept=False, solver="cholesky")
    return model.fit(made, labels[:, 0, 0]).predict(made_test)


def once(function: Callable[[], Any]) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    jax.block_until_ready(function())
    return time.perf_counter() - start


def random_features(case: Case, repeats: int, rate: float) -> tuple[list[list[Any]], dict[str, Any]]:
    """All labels and one label, ours and theirs, for one size; ``rate`` in multiplications a second."""
    inputs, labels, test = images(case)
    arrays = [jnp.asarray(array) for array in (inputs, labels, test)]
    key, ridge = jax.random.key(0), RIDGE_PER_FEATURE * case.width

    def ours(labels: jax.Array) -> jax.Array:
        return feature_predictions(key, arrays[0], labels, arrays[2], width=case.width, ridge=ridge)

    first = once(lambda: ours(arrays[1]))
    once(lambda: ours(arrays[1][:, 0, 0]))
    times = alternated(
        repeats,
        together=lambda: once(lambda: ours(arrays[1])),
        alone=lambda: once(lambda: ours(arrays[1][:, 0, 0])),
        numpy=lambda: once(lambda: numpy_predictions(inputs, labels, test, case.width)),
    )
    together, alone, numpy_all = (min(times[name]) for name in ("together", "alone", "numpy"))
    sklearn_one = once(lambda: sklearn_predictions(inputs, labels, test, case.width))
    columns = FRACTIONS * SEEDS * CLASSES
    work = cheapest(case.n, case.tests, DIM, columns, case.width).multiplications
    found = {
        "seconds_all_labels": together,
        "seconds_one_label": alone,
        "labels_ratio": together / alone,
        "compile_seconds": first - together,
        "of_product_rate": work / together / rate,
        "numpy_ratio": numpy_all / together,
        "sklearn_ratio": sklearn_one * FRACTIONS * SEEDS / together,
    }
    name = f"{case.name}: n = {case.n:,}, width {case.width:,}"
    return [
        [f"{name}, 55 label sets", together, first - together, work / together / rate, ""],
        [f"{name}, one label set", alone, "", "", together / alone],
        [f"{name}, NumPy, 55 label sets", numpy_all, "", "", numpy_all / together],
        [f"{name}, scikit-learn, 55 fits (one timed)", 55 * sklearn_one, "", "", 55 * sklearn_one / together],
    ], {case.name: found}


# Training ---------------------------------------------------------------------------------------------------------------------


class Training(NamedTuple):
    """Two-layer networks on images of MNIST's shape: ``groups`` seeds with an own order of images, ``networks`` labels each."""

    name: str
    groups: int
    networks: int
    width: int
    steps: int

    @property
    def multiplications(self) -> float:
        """Of one step of all networks: forward, gradient of both layers, back through the second."""
        return self.groups * self.networks * BATCH * self.width * (2 * DIM + 3 * CLASSES)


BATCH, TRAIN_IMAGES = 128, 12_800


def ours_per_step(case: Training) -> Callable[[], float]:
    """Seconds a step of ``collapse_jax.networks.train``, from start to result."""
    generator = np.random.default_rng(0)
    images = jnp.asarray(generator.standard_normal((TRAIN_IMAGES + BATCH, DIM), np.float32))
    rows = jnp.broadcast_to(jnp.arange(len(images)), (case.groups, len(images)))
    shape = (case.groups, len(images), case.networks, CLASSES)
    labels = jnp.asarray(generator.standard_normal(shape, np.float32))
    held_out = slice(TRAIN_IMAGES, None)
    lessons = Lessons(images, rows[:, :TRAIN_IMAGES], labels[:, :TRAIN_IMAGES], rows[:, held_out], labels[:, held_out])
    recipe = Recipe(epochs=case.steps * BATCH / TRAIN_IMAGES, batch=BATCH, evaluations=1)
    keys = jax.random.split(jax.random.key(0), case.groups)
    return lambda: once(lambda: train(keys, lessons, width=case.width, recipe=recipe).weights) / case.steps


def torch_per_step(case: Training) -> dict[str, Callable[[], float]]:
    """The same in PyTorch: a loop over networks with its own layers and optimiser, and all networks as one batched product."""
    import torch  # pyright: ignore[reportMissingImports]

    torch.manual_seed(0)
    count = case.groups * case.networks
    images = torch.randn(TRAIN_IMAGES, DIM)
    labels = torch.randn(count, TRAIN_IMAGES, CLASSES)
    order = torch.stack([torch.randperm(TRAIN_IMAGES) for _ in range(count)])
    each = torch.arange(count)[:, None]

    def layers() -> torch.nn.Sequential:
        linear = torch.nn.Linear
        return torch.nn.Sequential(linear(DIM, case.width), torch.nn.ReLU(), linear(case.width, CLASSES))

    models = [layers() for _ in range(count)]
    optimisers = [torch.optim.SGD(model.parameters(), lr=0.1) for model in models]
    shapes = [(DIM, case.width), (1, case.width), (case.width, CLASSES), (1, CLASSES)]
    weights = [(0.03 * torch.randn(count, *shape)).requires_grad_() for shape in shapes]
    together = torch.optim.SGD(weights, lr=0.1)

    def picks(step: int) -> slice:
        start = step * BATCH % TRAIN_IMAGES
        return slice(start, start + BATCH)

    def loop() -> None:
        for i, (model, optimiser) in enumerate(zip(models, optimisers, strict=True)):
            for step in range(case.steps):
                chosen = order[i, picks(step)]
                loss = torch.nn.functional.mse_loss(model(images[chosen]), labels[i, chosen])
                optimiser.zero_grad(set_to_none=True)
                loss.backward()
                optimiser.step()

    def batched() -> None:
        for step in range(case.steps):
            chosen = order[:, picks(step)]
            hidden = torch.relu(torch.baddbmm(weights[1], images[chosen], weights[0]))
            errors = torch.baddbmm(weights[3], hidden, weights[2]) - labels[each, chosen]
            together.zero_grad(set_to_none=True)
            (errors**2).mean((1, 2)).sum().backward()
            together.step()

    return {"loop": lambda: once(loop) / case.steps, "batched": lambda: once(batched) / case.steps}


def training(case: Training, repeats: int, rate: float) -> tuple[list[list[Any]], dict[str, Any]]:
    """Ours and PyTorch's seconds a step; ``rate`` in multiplications a second."""
    measured = {"ours": ours_per_step(case)}
    try:
        measured |= torch_per_step(case)
    except ImportError:
        print("PyTorch is not installed, so it is not measured: python -m pip install torch")
    first = measured["ours"]() * case.steps
    times = {name: min(found) for name, found in alternated(repeats, **measured).items()}
    share = case.multiplications / times["ours"] / rate
    name = f"{case.name}: {case.groups} x {case.networks} networks, width {case.width:,}"
    rows: list[list[Any]] = [[name, times["ours"], first - times["ours"] * case.steps, share, ""]]
    found: dict[str, Any] = {"seconds_per_step": times["ours"], "of_product_rate": share}
    for other in ("loop", "batched"):
        if other in times:
            ratio = times[other] / times["ours"]
            rows.append(
                [f"{name}, PyTorch, {other}", times[other], "", case.multiplications / times[other] / rate, ratio]
            )
            found |= {f"torch_{other}_ratio": ratio}
    return rows, {case.name: found}


def main() -> None:
    options = arguments(__doc__ or "")
    full = options.size == "full"
    jax.config.update("jax_enable_x64", False)  # networks train in float32, and so is the rate that they are held to
    dim = 2048 if full else 256
    rate = dim**3 / product_seconds(dim)
    cases = [Case("dual", 4000, 2000, 20_000), Case("primal", 20_000, 2000, 3000)]
    if not full:
        cases = [Case("dual", 200, 100, 2000), Case("primal", 1500, 100, 100)]
    rows: list[list[Any]] = [[f"one product, d = {dim}", dim**3 / rate, "", 1.0, ""]]
    results: dict[str, Any] = {"product": {"dim": dim, "gflops": 2 * rate / 1e9}}
    for case in cases:
        more, found = random_features(case, 5 if full else 1, rate)
        rows += more
        results |= found
    trainings = [
        Training("labels", 1, 8, 256, 400),
        Training("seeds", 8, 1, 256, 400),
        Training("wide", 1, 1, 2000, 400),
        Training("figure", 1, 10, 2000, 100),
    ]
    if not full:
        trainings = [Training("labels", 1, 2, 16, 4), Training("seeds", 2, 1, 16, 4)]
    for one in trainings:
        more, found = training(one, 5 if full else 1, rate)
        rows += more
        results |= {f"train_{key}": value for key, value in found.items()}
    columns = [
        "features: seconds; training: seconds a step; float32",
        "seconds",
        "compile s",
        "of product rate",
        "ratio",
    ]
    report("networks", columns, rows, results)


if __name__ == "__main__":
    main()
