"""Strong model collapse on handwritten digits: the error measured on held-out images beside the theory of their covariance.

The theory knows four things of the images: the eigenvalues of their covariance, the best linear model in that eigenbasis, the
variance it leaves unexplained, and the model that wrote the synthetic labels. All errors are *excess* errors: squared error
beyond that of the best linear model, which is what the theory calls risk.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

import collapse_jax as cj
from collapse_jax import plotting
from collapse_jax.data import digits
from collapse_jax.simulate.positive import product
from collapse_jax.study import Comparison, Saturation, compare, describe, mark_saturations, saturations

TEACHER_IMAGES = 50
TEACHER_RIDGE = 0.01
HELD_OUT = 400
RIDGE = 1e-3
FRACTIONS = (0.0, 0.1, 0.2, 0.5, 1.0)
WIDTH_SAMPLES = 200
LARGEST_WIDTH = 1024


class Size(NamedTuple):
    """How much to compute: random splits, numbers of images, widths, synthetic fractions."""

    splits: int
    samples: tuple[int, ...]
    widths: tuple[int, ...]
    fractions: tuple[float, ...]


SIZES = {
    "laptop": Size(
        40,
        (24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1340),
        (4, 8, 16, 32, 64, 128, 256, 512, 1024),
        FRACTIONS,
    ),
    "smoke": Size(8, (32, 64, 128, 512, 1340), (8, 64, 512), (0.0, 0.5, 1.0)),
}


class Task(NamedTuple):
    """Digits as a regression from the pixels to ten outputs, in the eigenbasis of the images.

    Attributes:
        inputs: (N, 64) centred images, along the eigenvectors of their covariance.
        outputs: (N, 10) centred one-hot labels.
        labels: (N,) the digits themselves, and ``prior`` (10,) their shares, which the centring subtracts.
        residuals: (N,) squared error that the best linear model leaves on each image, scaled to N - rank - 1 degrees of freedom
            because that model has seen the image. Their mean is the noise variance.
        teacher: (64, 10) coefficients of the model that writes the synthetic labels.
        students: indices of the images that the teacher has not seen.
        mixture: what the theory knows of all this.
    """

    inputs: jax.Array
    outputs: jax.Array
    labels: jax.Array
    prior: jax.Array
    residuals: jax.Array
    teacher: jax.Array
    students: jax.Array
    mixture: cj.Mixture

    @property
    def quality(self) -> float:
        """c^2, the teacher's squared error beyond that of the best linear model."""
        _, shifts = self.mixture.shift_moments()
        return float((self.mixture.spectra[0] * shifts[1, 1]).sum())


def task(seed: int) -> Task:
    """The digits, with a teacher fitted by ridge on 50 images that ``seed`` chooses.

    Risk adds over outputs, so ten outputs are one mixture: second moments ``E[w_k w_l]`` and noise variances are sums over
    outputs. The teacher's labels are its outputs, so they carry no noise.

    Example:
        >>> problem = task(seed=0)
        >>> problem.inputs.shape, problem.mixture.sources, problem.students.size
        ((1797, 64), 2, 1747)
    """
    images = digits()
    eigenbasis = cj.spectra.from_data(images.inputs)
    inputs, prior = eigenbasis.coordinates(images.inputs), images.one_hot.mean(0)
    outputs = images.one_hot - prior[None, :]
    total, rank = len(inputs), int((eigenbasis.spectrum > 0).sum())
    truth = least_squares(eigenbasis.spectrum, inputs, outputs)
    residuals = ((outputs - product(inputs, truth)) ** 2).sum(1) * total / (total - rank - 1)
    order = jax.random.permutation(jax.random.fold_in(jax.random.key(seed), 50), total)
    chosen, students = order[:TEACHER_IMAGES], order[TEACHER_IMAGES:]
    teacher = cj.simulate.fit_rows(inputs[chosen], outputs[chosen], TEACHER_RIDGE)
    functions = jnp.stack([truth, teacher])
    mixture = cj.Mixture(
        jnp.stack([eigenbasis.spectrum, eigenbasis.spectrum]),
        jnp.einsum("kic,lic->kli", functions, functions),
        jnp.stack([jnp.sqrt(residuals.mean()), jnp.zeros(())]),
        shared_spectrum=True,
    )
    return Task(inputs, outputs, images.labels, prior, residuals, teacher, students, mixture)


def least_squares(spectrum: jax.Array, inputs: jax.Array, outputs: jax.Array) -> jax.Array:
    """Population coefficients ``E[x y] / s`` of decorrelated inputs; 0 along directions that never vary."""
    moments = product(inputs.T, outputs) / len(inputs)
    return jnp.where(spectrum > 0, 1 / jnp.where(spectrum > 0, spectrum, 1), 0)[:, None] * moments


def measure(task: Task, key: jax.Array, n: Any, synthetic_fraction: Any, width: Any = None) -> dict[str, jax.Array]:
    """Fit one random split of the images and measure it on those held out.

    Args:
        task: the digits.
        key: draws the split and the projections.
        n: training images, at most those that neither the teacher nor the test uses; traced or not.
        synthetic_fraction: share of them, rounded to whole images, whose labels the teacher writes.
        width: number of random projections, at most ``LARGEST_WIDTH``; None for ridge on the pixels.

    Returns:
        ``total``: excess squared error; ``squared_error``: all of it; ``misread``: share of images whose largest output is at
        another digit. Means over the held-out images.
    """
    split_key, projection_key = jax.random.split(key)
    order = jax.random.permutation(split_key, task.students)
    test, train = order[:HELD_OUT], order[HELD_OUT:]
    inputs, outputs = task.inputs[train], task.outputs[train]
    index = jnp.arange(train.size)
    # Counts are traced, so a mask chooses the rows: one compiled program serves all of them.
    synthetic = index < jnp.round(synthetic_fraction * n)
    outputs = jnp.where(synthetic[:, None], product(inputs, task.teacher), outputs)
    chosen = jnp.where((index < n)[:, None], inputs, 0)
    moments, right = product(chosen.T, inputs) / n, product(chosen.T, outputs) / n
    fitted = _ridge(moments, right, None if width is None else _projections(projection_key, inputs.shape[1], width))
    predicted = product(task.inputs[test], fitted)
    squared = ((predicted - task.outputs[test]) ** 2).sum(1)
    wrong = (predicted + task.prior[None, :]).argmax(1) != task.labels[test]
    return {
        "total": (squared - task.residuals[test]).mean(),
        "squared_error": squared.mean(),
        "misread": wrong.mean(),
    }


def _projections(key: jax.Array, dim: int, width: Any) -> jax.Array:
    """(d, LARGEST_WIDTH) random projections S, iid N(0, 1/d), of which the first ``width`` are not zero."""
    projections = jax.random.normal(key, (dim, LARGEST_WIDTH)) / jnp.sqrt(dim)
    return jnp.where((jnp.arange(LARGEST_WIDTH) < width)[None, :], projections, 0)


def _ridge(moments: jax.Array, right: jax.Array, projections: jax.Array | None) -> jax.Array:
    """(d, 10) coefficients ``S (S'MS + ridge)^-1 S'b``, as ``Q (MQ + ridge)^-1 b`` with Q = SS': no matrix larger than d."""
    penalty = RIDGE * jnp.eye(moments.shape[0])
    if projections is None:
        return jnp.linalg.solve(moments + penalty, right)
    gram = product(projections, projections.T)
    return product(gram, jnp.linalg.solve(product(moments, gram) + penalty, right))


class Samples(NamedTuple):
    """Excess error of ridge on the pixels against the number of images, for several synthetic fractions."""

    comparison: Comparison
    saturations: list[Saturation]


def samples(task: Task, size: Size, seed: int) -> Samples:
    """Measure up to all images there are; the theory goes on to a million."""

    def theory(n: Any, synthetic_fraction: Any) -> cj.Risk:
        return cj.theory.risk(task.mixture, cj.split(n, synthetic_fraction), RIDGE)

    def experiment(key: jax.Array, n: Any, synthetic_fraction: Any) -> dict[str, jax.Array]:
        return measure(task, key, n, synthetic_fraction)

    comparison = compare(
        theory,
        experiment,
        jax.random.key(seed),
        size.splits,
        fine={"n": np.geomspace(size.samples[0], 1e6, 160)},
        n=size.samples,
        synthetic_fraction=size.fractions,
    )
    describe(comparison, setting="ridge regression on the pixels of handwritten digits", **_attributes(task))
    _label(comparison)
    return Samples(comparison, saturations(lambda n, p: theory(n, p).total, size.fractions, start=1.0))


def widths(task: Task, size: Size, seed: int) -> Comparison:
    """Excess error of ridge on random projections of the pixels against the width, for several synthetic fractions."""

    def theory(width: Any, synthetic_fraction: Any) -> cj.Risk:
        return cj.theory.risk(task.mixture, cj.split(WIDTH_SAMPLES, synthetic_fraction), RIDGE, width)

    def experiment(key: jax.Array, width: Any, synthetic_fraction: Any) -> dict[str, jax.Array]:
        return measure(task, key, WIDTH_SAMPLES, synthetic_fraction, width)

    comparison = compare(
        theory,
        experiment,
        jax.random.key(seed),
        size.splits,
        fine={"width": np.geomspace(size.widths[0], size.widths[-1], 120)},
        width=size.widths,
        synthetic_fraction=size.fractions,
    )
    setting = "ridge regression on random projections of handwritten digits"
    describe(comparison, setting=setting, n=WIDTH_SAMPLES, **_attributes(task))
    _label(comparison)
    return comparison


def _attributes(task: Task) -> dict[str, Any]:
    return {
        "inputs": "scikit-learn digits, pixels from 0 to 1, centred",
        "outputs": "one-hot labels, centred; synthetic labels are the teacher's outputs",
        "ridge": RIDGE,
        "teacher_images": TEACHER_IMAGES,
        "teacher_ridge": TEACHER_RIDGE,
        "held_out": HELD_OUT,
        "quality": task.quality,
        "noise_variance": float(task.mixture.noise[0] ** 2),
        "total": "squared error beyond that of the best linear model, summed over outputs",
    }


def _label(comparison: Comparison) -> None:
    for dataset in comparison:
        dataset.total.attrs["long_name"] = "excess test error"
        if "n" in dataset.dims:
            dataset.n.attrs["long_name"] = "training images n"


def draw(samples: Samples, widths: Comparison) -> Figure:
    """Excess error against the number of images and against the width, side by side."""
    figure = Figure(figsize=(11, 4.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    plotting.curves(*samples.comparison, x="n", hue="synthetic_fraction", ax=left, legend=False)
    mark_saturations(left, samples.saturations)
    left.set_title("Ridge on pixels: beyond ★ more images stop helping")
    plotting.curves(*widths, x="width", hue="synthetic_fraction", ax=right)
    right.set_title(f"Random projections of {WIDTH_SAMPLES} images")
    legend = right.get_legend()
    assert legend is not None
    legend.get_texts()[-1].set_text(f"measured, {widths.measured.sizes['seed']} random splits")
    return figure
