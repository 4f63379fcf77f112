"""The kernel experiment of *Model Collapse Demystified*: chains of kernel ridge regressions on images, and their exact theory.

The images are a finite population, drawn with replacement. The eigenvalues of its kernel matrix and the labels along its
eigenvectors are all that the theory of ``collapse_jax.theory.generations`` asks for; nothing is fitted.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from matplotlib.figure import Figure as Picture

import collapse_jax as cj
from collapse_jax import plotting
from collapse_jax.data import digits, mnist
from collapse_jax.data.places import has_named
from collapse_jax.figures.figure import Datasets, Figure, is_full, shared_legend
from collapse_jax.simulate.batching import one_at_a_time
from collapse_jax.simulate.positive import inverse_root, product

LENGTHS = (0, 1, 2, 5)
SCALES = {"rbf": 0.01, "polynomial": 0.1}  # of a typical squared distance, and of a typical squared length
DEGREE = 5
NOISE = 1.0
RULES = {"critical": "ridge n^-l_crit", "adaptive": "ridge n^-l*"}


class Population(NamedTuple):
    """Images under one kernel, and the function that labels them.

    Attributes:
        kernel: (N, N) of all pairs of images.
        target: (N,) the true labels, 1 for odd digits.
        spectrum: (N,) eigenvalues of ``kernel / N``.
        signal: (N,) squared coefficients of the target, in units that make ``(spectrum * signal).sum()`` its mean square.
        ridge_exponent: l_crit, from the decay of the two.
        capacity: exponent with which eigenvalues fall.
        source: smoothness r of the target: what eigenvalues beyond the j-th hold of it falls as ``j**-(2 r capacity)``.
    """

    kernel: jax.Array
    target: jax.Array
    spectrum: jax.Array
    signal: jax.Array
    ridge_exponent: float
    capacity: float
    source: float


def population(name: str, inputs: jax.Array, labels: jax.Array) -> Population:
    """The images (N, pixels) under the kernel "rbf" or "polynomial".

    Example:
        >>> from collapse_jax.data import digits
        >>> images = digits()
        >>> some = population("rbf", images.inputs[:100], images.labels[:100])
        >>> bool(abs((some.spectrum * some.signal).sum() - (some.target**2).mean()) < 1e-9)
        True
    """
    inner = product(inputs, inputs.T)
    lengths = jnp.diagonal(inner)
    if name == "rbf":
        distances = lengths[:, None] + lengths[None, :] - 2 * inner
        kernel = jnp.exp(-SCALES[name] * distances / distances.mean())
    else:
        kernel = (1 + SCALES[name] * inner / lengths.mean()) ** DEGREE
    target = (labels % 2).astype(inputs.dtype)
    total = len(target)
    values, vectors = np.linalg.eigh(np.asarray(kernel) / total)
    spectrum, vectors = np.maximum(values[::-1], 1e-14), vectors[:, ::-1]
    power = (vectors.T @ np.asarray(target)) ** 2 / total
    capacity, source = decay(spectrum, power)
    exponent = float(cj.theory.critical_exponents(capacity, source).ridge)
    return Population(kernel, target, jnp.asarray(spectrum), jnp.asarray(power / spectrum), exponent, capacity, source)


def decay(spectrum: np.ndarray, power: np.ndarray) -> tuple[float, float]:
    """Capacity and source exponents: least-squares slopes in logarithms over the 5th to the 200th direction.

    Example:
        >>> j = np.arange(1.0, 100_001)
        >>> capacity, source = decay(j**-2.0, j**-1.5 / j)
        >>> round(capacity, 3), round(source, 2)
        (2.0, 0.38)
    """
    last = min(200, len(spectrum) // 4)
    j = np.arange(5, last)
    capacity = -np.polyfit(np.log(j), np.log(spectrum[j - 1]), 1)[0]
    beyond = power[::-1].cumsum()[::-1]
    return float(capacity), float(-np.polyfit(np.log(j), np.log(beyond[j - 1]), 1)[0] / (2 * capacity))


def _ridge(rule: str, n: Any, generator_samples: float, exponent: float) -> Any:
    """``n**-l_crit``, or n**-l*, which stops to fall where the generators' samples limit the error."""
    return (n if rule == "critical" else jnp.minimum(n, generator_samples)) ** -exponent


def _theory(images: Population, generator_samples: float, rule: str, n: Any) -> dict[str, jax.Array]:
    """Error of the last fit of each chain."""
    ridge = _ridge(rule, n, generator_samples, images.ridge_exponent)
    first = _ridge(rule, generator_samples, generator_samples, images.ridge_exponent)
    errors = {}
    for length in LENGTHS:
        last = jnp.arange(length + 1) == length
        schedule = cj.Schedule(
            real=0.0,
            synthetic=jnp.where(last, n, generator_samples),
            ridge=jnp.where(last, ridge, first),
            noise_synthetic=NOISE,
        )
        errors[str(length)] = cj.theory.generations(images.spectrum, images.signal, schedule).total[-1]
    return errors


def _measured(
    images: Population, generator_samples: int, rule: str, most: int, key: jax.Array, n: Any
) -> dict[str, jax.Array]:
    """The same, measured: images and noise drawn, kernel ridge fitted; ``n`` at most ``most``."""
    first = _ridge(rule, float(generator_samples), generator_samples, images.ridge_exponent)
    function, functions = images.target, [images.target]
    *keys, last = jax.random.split(key, max(LENGTHS) + 1)
    for one in keys:
        function = _fit(one, images, function[:, None], generator_samples, generator_samples, first)[:, 0]
        functions.append(function)
    labels = jnp.stack([functions[length] for length in LENGTHS], 1)
    ridge = _ridge(rule, n, generator_samples, images.ridge_exponent)
    fitted = _fit(last, images, labels, most, n, ridge)
    errors = ((fitted - images.target[:, None]) ** 2).mean(0)
    return {str(length): errors[i] for i, length in enumerate(LENGTHS)}


def _fit(key: jax.Array, images: Population, functions: jax.Array, most: int, n: Any, ridge: Any) -> jax.Array:
    """Kernel ridge on n images with noisy labels, for each of several functions (N, L): its values on all images."""
    image_key, noise_key = jax.random.split(key)
    drawn = jax.random.randint(image_key, (most,), 0, len(images.target))
    noise = NOISE * jax.random.normal(noise_key, (most, 1), functions.dtype)
    used = (jnp.arange(most) < n)[:, None]  # n is traced, so a mask chooses the rows
    inner = jnp.where(used & used.T, images.kernel[drawn][:, drawn], 0)
    weights = _solve(inner + n * ridge * jnp.eye(most), jnp.where(used, functions[drawn] + noise, 0))
    return product(images.kernel[:, drawn], weights)


@one_at_a_time
def _solve(matrix: jax.Array, right: jax.Array) -> jax.Array:
    root = inverse_root(matrix)
    return product(root, product(root.T, right))


def pictures() -> tuple[str, jax.Array, jax.Array]:
    """Digits, or 2,000 images of MNIST where ``COLLAPSE_JAX_DATA`` holds them: name, inputs, labels."""
    if has_named("mnist"):
        images = mnist()
        return "MNIST", images.inputs[:2000], images.labels[:2000]
    images = digits()
    return "digits", images.inputs, images.labels


def _kernels(size: str, seed: int) -> Datasets:
    full = is_full(size)
    name, inputs, labels = pictures()
    if not full:
        inputs, labels = inputs[:300], labels[:300]
    generator_samples, most = (200, 1000) if full else (40, 100)
    few = np.round(np.geomspace(10, most, 6 if full else 3))
    counts = np.union1d(np.geomspace(10, most, 24 if full else 4), few)
    datasets = {}
    for kernel in SCALES:
        images = population(kernel, inputs, labels)
        made = {"images": name, "capacity": images.capacity, "source": images.source, "l_crit": images.ridge_exponent}
        for rule in RULES:

            def theory(n: Any, images: Population = images, rule: str = rule) -> dict[str, jax.Array]:
                return _theory(images, generator_samples, rule, n)

            def measured(key: jax.Array, n: Any, images: Population = images, rule: str = rule) -> dict[str, jax.Array]:
                return _measured(images, generator_samples, rule, most, key, n)

            datasets[f"theory_{kernel}_{rule}"] = _by_length(cj.sweep(theory, n=counts), made)
            points = cj.sweep(measured, key=jax.random.key(seed), seeds=16 if full else 24, n=few)
            datasets[f"measured_{kernel}_{rule}"] = _by_length(points, made)
    return datasets


def _by_length(dataset: xr.Dataset, made: dict[str, Any]) -> xr.Dataset:
    """One variable, with the lengths of the chains along a dimension."""
    lengths = xr.Variable("generators", np.array(LENGTHS), {"long_name": "generators in the chain"})
    total = xr.concat([dataset[str(length)] for length in LENGTHS], lengths, coords="minimal", compat="override")
    total.attrs = {"long_name": "test error"}
    return xr.Dataset({"total": total}, attrs=dataset.attrs | made)


def _draw(datasets: Datasets) -> Picture:
    picture = Picture(figsize=(10, 8), layout="constrained")
    axes = picture.subplots(2, 2)
    for row, kernel in zip(axes, SCALES, strict=True):
        for panel, rule in zip(row, RULES, strict=True):
            theory, measured = (datasets[f"{part}_{kernel}_{rule}"] for part in ("theory", "measured"))
            plotting.curves(theory, measured, x="n", hue="generators", ax=panel)
            known = theory.attrs
            panel.set_title(
                f"{known['images']}, {kernel} kernel (β = {known['capacity']:.2f}, r = {known['source']:.2f}), {RULES[rule]}",
                fontsize=10,
            )
            legend = panel.get_legend()
            assert legend is not None
            legend.get_texts()[-1].set_text(f"measured, {measured.sizes['seed']} draws")
            if panel is not axes[-1, -1]:
                legend.remove()
        low, high = (f([panel.get_ylim()[i] for panel in row]) for i, f in enumerate((min, max)))
        for panel in row:
            panel.set_ylim(low, high)
        row[1].set_ylabel("")
    shared_legend(picture, axes[-1, -1], 6)
    return picture


KERNELS = (
    Figure(
        "demystified-kernels",
        "Chains of kernel ridge regressions on images",
        "The 1,797 handwritten digits of scikit-learn, or 2,000 images of MNIST where COLLAPSE_JAX_DATA/mnist holds them, as a "
        "population drawn with replacement; label 1 for odd digits plus noise 1. Rows: Gaussian kernel, polynomial kernel of "
        "degree 5. Test error against the samples of the last fit; chains of 0, 1, 2 and 5 generators on 200 samples each. "
        "Left: ridge n^-l_crit, right: the adaptive ridge, which stops to fall at n = 200. Lines: the theory of the "
        "population's kernel matrix. Deviations: bandwidths are relative to the data, and generators use the same ridge rule; "
        "the print states neither.",
        _kernels,
        _draw,
    ),
)
