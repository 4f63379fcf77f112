"""The test error of ridge regression on a random part of a given pool of images, from the pool's kernel and labels alone.

N images are known, with a kernel K between them (N, N), true labels y_0 and a teacher's y_1. Ridge regression learns from n
of them, drawn at random without replacement, a share p_2 of which bears the teacher's labels; ``width`` random features have a
random kernel whose mean is ``width * K``. What is the squared error on the images that were not drawn?

In the kernel's eigenbasis (eigenvalues k_i) a random part of a pool and a random kernel are free of each other, so both act
through one number kappa each time. With df = sum_i k_i / (k_i + kappa) and m the width,

    kappa (m - df) (n - df) / (N - df) = n ridge            (kernel ridge regression: without the factor m - df)

which for a large pool, whose eigenvalues are N s_i, is the equation of :mod:`collapse_jax.theory.effective_ridge`. The least
value of the objective has the deterministic equivalent ``L = y' G y + g (sum_k pi_k |y_k|^2 - |y|^2)`` with
``G = (nu K + mu)^-1``, ``nu = m - df``, ``mu = kappa nu``, ``g = tr G / N`` and y the mean of the classes' labels with weights
pi_k that sum to 1: their shares, where no other class has weight. Images that were not drawn are a class with weight t -> 0, so
their error is dL/dt. No quantity is fitted, and noise in the true labels needs no name: it is part of y_0.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from collapse_jax import checks
from collapse_jax.activations import Activation
from collapse_jax.networks.kernels import kernel
from collapse_jax.risk import Risk
from collapse_jax.simulate.positive import product

STEPS = 80


class Pool(NamedTuple):
    """A pool of N labelled images, as far as ridge regression sees it.

    Attributes:
        spectrum: (N,) eigenvalues of the kernel between the images, of one random feature (not divided by N).
        moments: (2, 2, N) products of the labels' coefficients along its eigenvectors, summed over outputs: 0 true, 1 teacher.
        noise: () variance of the noise that is added to the teacher's labels, summed over outputs.
    """

    spectrum: jax.Array
    moments: jax.Array
    noise: jax.Array

    @property
    def quality(self) -> jax.Array:
        """() c^2: the teacher's mean squared error on the pool, its noise apart."""
        true, cross, teacher = self.moments[0, 0], self.moments[0, 1], self.moments[1, 1]
        return (true - 2 * cross + teacher).mean()


def pool_of(inputs: Any, outputs: Any, teacher: Any = None, noise: Any = 0.0, activation: Activation = "relu") -> Pool:
    """What theory needs to know of N images; costs one eigen-decomposition of an N x N matrix.

    Args:
        inputs: (N, d) images, such as :func:`collapse_jax.data.images.normalised` gives.
        outputs: (N, c) their true labels.
        teacher: (N, c) what the teacher says of them, before noise; (k, N, c) for k teachers over which risks are averaged;
            None for no teacher.
        noise: standard deviation of the noise in each output of the teacher's labels.
        activation: of the random features: "relu", "erf", "tanh", "fourier" or a function.

    Raises:
        ValueError: for shapes that do not fit or a negative noise.

    Example:
        >>> inputs = jax.random.normal(jax.random.key(0), (30, 4))
        >>> pool_of(inputs, inputs[:, :2], activation="erf").spectrum.shape
        (30,)
    """
    return pools_of(inputs, outputs, [outputs if teacher is None else teacher], noise, activation)[0]


def pools_of(
    inputs: Any, outputs: Any, teachers: Sequence[Any], noise: Any = 0.0, activation: Activation = "relu"
) -> list[Pool]:
    """A pool for each of several teachers, at the cost of one; arguments as for :func:`pool_of`.

    Raises:
        ValueError: as :func:`pool_of`.
    """
    inputs = checks.real("inputs", inputs)
    outputs = checks.real("outputs", outputs, inputs.dtype)
    written = [checks.real("teacher", teacher, inputs.dtype) for teacher in teachers]
    noise = checks.real("noise", noise, inputs.dtype)
    checks.scalar("noise", noise)
    checks.at_least_zero("noise", noise, "It is a standard deviation")
    for teacher in written:
        fits = teacher.shape[-2:] == outputs.shape and teacher.ndim in (2, 3)
        if outputs.ndim != 2 or len(outputs) != len(inputs) or not fits:
            raise ValueError(
                f"inputs has shape {inputs.shape}, outputs {outputs.shape} and teacher {teacher.shape}; "
                "they must be (N, d), (N, c) and (N, c) or (k, N, c)"
            )
    values, vectors = jnp.linalg.eigh(kernel(inputs, activation=activation))
    true, pools = product(vectors.T, outputs), []
    for teacher in written:
        several = teacher if teacher.ndim == 3 else teacher[None]
        said = jax.lax.map(lambda one: product(vectors.T, one), several)
        cross = (true * said.mean(0)).sum(1)
        moments = jnp.stack([(true**2).sum(1), cross, cross, (said**2).mean(0).sum(1)]).reshape(2, 2, -1)
        pools.append(Pool(jnp.maximum(values, 0), moments, outputs.shape[1] * noise**2))
    return pools


def pool_risk(pool: Pool, n: Any, synthetic_fraction: Any, ridge: Any, width: Any = None) -> Risk:
    """Expected squared error on the images of a pool that were not drawn, summed over outputs.

    The estimator minimises ``(1/n) sum_i |f(x_i) - y_i|^2 + ridge |v|^2`` over n images drawn without replacement, of which
    ``synthetic_fraction`` bear the teacher's noisy labels, with ``f(x) = v.z(x)`` and ``width`` random features z.

    Args:
        pool: from :func:`pool_of`.
        n: images drawn, 0 < n < N; any real, traced or not.
        synthetic_fraction: in [0, 1].
        ridge: > 0.
        width: number of random features > 0; None for kernel ridge regression with the kernel of one feature. Features of which
            only the mean product matters: their pre-activations need not be Gaussian, but must be many.

    Returns:
        :class:`collapse_jax.Risk`: bias is the error without a teacher, variance what the noise in its labels adds, collapse
        what its errors add. Differentiable in every number.

    Raises:
        ValueError: for values outside these ranges. Inside ``jit`` affected results are NaN.

    Source: single-site (coherent potential) approximation of ``(K + Theta)^-1`` with a random diagonal Theta; for an infinite
    pool *Strong Model Collapse*, Theorem 2 with errata 3 and 4.

    Example:
        >>> pool = Pool(jnp.full(100, 3.0), jnp.ones((2, 2, 100)), jnp.zeros(()))     # images that have nothing in common
        >>> round(float(pool_risk(pool, 20, 0.0, ridge=1e-9).total), 6)           # are not predicted from each other
        1.0
    """
    total = pool.spectrum.size
    numbers = {"n": n, "synthetic_fraction": synthetic_fraction, "ridge": ridge, "width": width}
    arrays = {
        name: checks.real(name, value, pool.spectrum.dtype) for name, value in numbers.items() if value is not None
    }
    for name, array in arrays.items():
        checks.scalar(name, array)
    valid = checks.require(
        "n", arrays["n"], lambda x: (x > 0) & (x < total), f"above 0 and below the pool's {total} images"
    )
    valid &= checks.fraction("synthetic_fraction", arrays["synthetic_fraction"])
    valid &= checks.above_zero("ridge", arrays["ridge"], "1e-12 times the mean eigenvalue stands for no ridge")
    if width is not None:
        valid &= checks.above_zero("width", arrays["width"], "width=None is kernel ridge regression")
    parts = _risk(pool, arrays["n"], arrays["synthetic_fraction"], arrays["ridge"], arrays.get("width"))
    return checks.poison(parts, valid)


@jax.jit
def _risk(pool: Pool, n: jax.Array, p2: jax.Array, ridge: jax.Array, width: jax.Array | None) -> Risk:
    k, total = pool.spectrum, pool.spectrum.size
    kappa = _effective_ridge(k, n, ridge, width)
    resolvent = 1 / (k + kappa)
    learned, fall = (k * resolvent).sum(), (k * resolvent**2).sum()  # df and -d df / d kappa
    share, free, rise = n / total, 1 - learned / total, fall / total  # q, psi = mu g and d psi / d kappa
    stretch = jnp.zeros_like(kappa) if width is None else fall / (width - learned)  # d log nu / d kappa
    slope = 1 / kappa + stretch  # d log mu / d kappa
    response = (1 - share) * rise / free + (share - 1 + free) * slope  # B, all terms positive
    true, cross, teacher = pool.moments[0, 0], pool.moments[0, 1] - pool.moments[0, 0], pool.moments[1, 1]
    shift = teacher - 2 * cross - true
    seen = share / (free * response * total)

    def squares(labels: jax.Array) -> jax.Array:
        return seen * kappa * (labels * resolvent * (resolvent + stretch)).sum()

    bias = squares(true)
    spread = seen * free * (slope - rise / free) * p2 * (1 - p2) * shift.sum()
    followed = kappa * resolvent / free  # has mean 1
    pull = -2 * p2 * (followed * (cross + p2 * shift)).mean() + p2 * (2 * p2 - 1) * shift.mean()
    collapse = squares(2 * p2 * cross + p2**2 * shift) + spread + pull
    variance = p2 * pool.noise * (free * (1 - free) * slope - rise) / (free * response)
    return Risk(bias, variance, collapse)


def _effective_ridge(k: jax.Array, n: jax.Array, ridge: jax.Array, width: jax.Array | None) -> jax.Array:
    """The kappa of the module, by bisection in its logarithm: the left side rises with it. Differentiable."""
    total = k.size
    capacity = n if width is None else jnp.minimum(n, width)

    def excess(x: jax.Array) -> jax.Array:
        learned = (k / (k + jnp.exp(x))).sum()
        # Beyond the capacity the logarithm ends; any number below the root serves there.
        inside = learned < capacity
        learned = jnp.where(inside, learned, 0)
        paid = jnp.log(n - learned) - jnp.log(total - learned) + (0 if width is None else jnp.log(width - learned))
        return jnp.where(inside, x + paid - jnp.log(n * ridge), -1.0)

    largest = jnp.log(jnp.where(k.max() > 0, k.max(), 1))
    low = largest + 2 * jnp.log(jnp.finfo(k.dtype).eps)
    scale = jnp.log(total * ridge) - (0 if width is None else jnp.log(width))
    # From here on df is below half the capacity, and the ridge's share below its own.
    high = jnp.maximum(largest + jnp.log(4.0 * total), scale + 4.0) + jnp.log(4.0 * total)
    low = jnp.minimum(low, scale - 4.0)

    def root(_: Any, start: jax.Array) -> jax.Array:
        def halve(_: Any, ends: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
            middle = (ends[0] + ends[1]) / 2
            below = excess(middle) < 0
            return jnp.where(below, middle, ends[0]), jnp.where(below, ends[1], middle)

        return jax.lax.fori_loop(0, STEPS, halve, (start, start + jax.lax.stop_gradient(high - low)))[1]

    start = jax.lax.stop_gradient(low)
    return jnp.exp(jax.lax.custom_root(excess, start, root, lambda g, y: y / g(jnp.ones_like(y))))
