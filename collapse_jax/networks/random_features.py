"""Ridge regression on random features of any width, in closed form, in memory that does not grow with images times width.

The smaller of two symmetric systems is solved: (width x width), summed over blocks of images, or (n x n), summed over blocks
of features. Features that are needed twice are kept where all of them take at most ``KEPT`` bytes, and made again otherwise.
Training sets are the first n rows of one order, so one pass over the features serves all of them; and labels are right-hand
sides, so one factorisation serves all labels: synthetic fractions, noise seeds, outputs.
"""

import math
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from collapse_jax import checks
from collapse_jax.activations import Activation, function_of
from collapse_jax.networks.kernels import FOURIER, centre, check_activation
from collapse_jax.networks.memory import free_memory
from collapse_jax.simulate.positive import product, transposed_product

BLOCK = 1024  # features made at a time
ROWS = 4096  # images made at a time
KEPT = 2**29  # bytes of features
PANELS = 4  # a symmetric product is made of its lower panels: (PANELS + 1) / (2 PANELS) of the work


class Route(NamedTuple):
    """A way to the predictions, its cost in multiplications, and the entries it holds at once."""

    dual: bool  # (n, n) system
    test_kernel: bool  # (t, n) kernel of test and training images, instead of coefficients of the features
    multiplications: float
    entries: float


def features(key: jax.Array, inputs: Any, width: int, activation: Activation = "relu") -> jax.Array:
    """(n, width) random features ``phi(S'x) - mean``, S iid N(0, 1/d); a wider layer begins with a narrower one.

    Args:
        key: a ``jax.random.key``.
        inputs: (n, d) rows, such as :func:`collapse_jax.data.images.normalised` gives.
        width: number of features, a Python integer >= 1.
        activation: "relu", "erf", "tanh", "fourier" (``sqrt(2) cos(S'x + phase)``, phases uniform) or a function. Subtracted is
            its mean at a standard normal pre-activation.

    Raises:
        ValueError: for a width below 1, an unknown activation, or inputs that are not (n, d).

    Example:
        >>> wide = features(jax.random.key(0), jnp.ones((2, 3)), width=1500)
        >>> bool(jnp.allclose(wide[:, :7], features(jax.random.key(0), jnp.ones((2, 3)), width=7)))
        True
    """
    inputs = _checked_inputs("inputs", inputs)
    _check_width(width, activation)
    return _apply(_whole_layer(key, inputs.shape[1], width, inputs.dtype), inputs, activation)


def feature_predictions(
    key: jax.Array,
    inputs: Any,
    outputs: Any,
    test_inputs: Any,
    *,
    width: int,
    ridge: float,
    counts: Sequence[int] | None = None,
    activation: Activation = "relu",
) -> jax.Array:
    """Predictions on test inputs of ridge regressions on random features, for many training sizes and many labels at once.

    Each minimises ``(1/n) sum_i |f(x_i) - y_i|^2 + ridge |v|^2`` over v, ``f(x) = v.z(x)``, on the first n rows. Labels cost
    next to nothing, so pass all of them together.

    Args:
        key: a ``jax.random.key``; draws the features, as :func:`features` does.
        inputs: (N, d) training inputs in random order.
        outputs: (N, ...) their labels: any shape after the first axis, for example (N, fractions, seeds, classes).
        test_inputs: (t, d).
        width: number of features, a Python integer >= 1; beyond the images' number the cost grows linearly, memory does not.
        ridge: > 0. To keep its effect as the width grows, make it proportional to the width.
        counts: training sizes n, each at most N; N alone when None.
        activation: as for :func:`features`.

    Returns:
        (counts, t, ...) predictions in the inputs' dtype.

    Raises:
        ValueError: for shapes that do not fit, counts outside 1..N, a ridge that is not positive, or one so small that the
            system cannot be factored in this precision.
        MemoryError: before anything is made, where the device cannot hold it, with a number of images that it can.

    Example:
        >>> inputs = jax.random.normal(jax.random.key(0), (50, 3))
        >>> labels = jnp.stack([inputs[:, 0], -inputs[:, 0]], 1)
        >>> found = feature_predictions(jax.random.key(1), inputs, labels, inputs[:5], width=40, ridge=1e-6, counts=[25, 50])
        >>> found.shape, bool(abs(found[..., 0] + found[..., 1]).max() < 1e-6)
        ((2, 5, 2), True)
    """
    inputs = _checked_inputs("inputs", inputs)
    test_inputs = _checked_inputs("test_inputs", test_inputs, inputs.dtype)
    outputs = checks.real("outputs", outputs, inputs.dtype)
    rows = len(inputs)
    if test_inputs.shape[1] != inputs.shape[1] or outputs.ndim < 1 or len(outputs) != rows:
        raise ValueError(
            f"inputs has shape {inputs.shape}, outputs {outputs.shape} and test_inputs {test_inputs.shape}; "
            "they must be (N, d), (N, ...) and (t, d)"
        )
    _check_width(width, activation)
    counts = [rows] if counts is None else [int(n) for n in counts]
    if not counts or min(counts) < 1 or max(counts) > rows:
        raise ValueError(f"counts is {counts}; it must hold numbers from 1 to {rows}, the number of training inputs")
    ridge = float(checks.real("ridge", ridge))
    checks.above_zero("ridge", ridge)
    used = max(counts)
    problem = _Problem(key, inputs[:used], outputs[:used].reshape(used, -1), test_inputs, activation)
    route = cheapest(used, len(test_inputs), inputs.shape[1], problem.outputs.shape[1], width, len(counts))
    _check_memory(route, used, len(test_inputs), problem, width, len(counts))
    find = partial(_dual, test_kernel=route.test_kernel) if route.dual else _primal
    found = find(problem, width, ridge, counts)
    if not bool(jnp.isfinite(found).all()):
        raise ValueError(
            f"ridge is {ridge:g}, too small to factor {used if route.dual else width} equations in {inputs.dtype}; "
            f"use a larger one, or {checks.FLOAT64}"
        )
    return found.reshape(len(counts), len(test_inputs), *outputs.shape[1:])


def cheapest(n: int, test: int, dim: int, columns: int, width: int, counts: int = 1) -> Route:
    """The route that takes the fewest multiplications for ``columns`` labels of up to n images.

    Example:
        >>> cheapest(n=1000, test=500, dim=784, columns=10, width=100_000).dual
        True
        >>> cheapest(n=50_000, test=500, dim=784, columns=10, width=1000).dual
        False
    """
    half = (PANELS + 1) / (2 * PANELS)
    make, make_test = n * width * dim, test * width * dim
    fits = counts * columns
    primal = make + half * n * width**2 + n * width * columns
    primal += counts * (width**3 / 3 + 2 * width**2 * columns) + make_test + test * width * fits
    kernel = make + half * width * n**2 + counts * (n**3 / 3 + 2 * n**2 * columns)
    by_kernel = kernel + make_test + test * n * width + test * n * fits
    again = 0 if _kept(n, width) else make
    by_coefficients = kernel + again + make_test + (n + test) * width * fits
    block = BLOCK * (n + test + dim)
    kept = n * width if _kept(n, width) else 0
    return min(
        Route(False, False, primal, 3 * width**2 + ROWS * (width + dim) + dim * width + width * fits),
        Route(True, True, by_kernel, 3 * n**2 + block + (test + fits) * n),
        Route(True, False, by_coefficients, 3 * n**2 + block + fits * (n + test) + kept),
        key=lambda route: route.multiplications,
    )


def _check_memory(route: Route, n: int, test: int, problem: "_Problem", width: int, counts: int) -> None:
    """Raise before anything is made that the device cannot hold, with a number of images that it can."""
    size, dim, columns = problem.inputs.dtype.itemsize, problem.inputs.shape[1], problem.outputs.shape[1]
    free = free_memory()
    if size * route.entries <= free:
        return
    fit = n
    while fit > 1 and size * cheapest(fit, test, dim, columns, width, counts).entries > free:
        fit //= 2
    raise MemoryError(
        f"{n:,} images and width {width:,} need about {size * route.entries / 2**30:.2g} GiB, and there are "
        f"{free / 2**30:.2g} GiB left. {fit:,} images fit; so may a smaller width, fewer labels, or float32"
    )


def _kept(n: int, width: int) -> bool:
    """Whether all features of n images are kept; counted in float32."""
    return 4 * n * width <= KEPT


class _Problem(NamedTuple):
    """Training inputs (n, d), labels (n, c), test inputs (t, d), and which features."""

    key: jax.Array
    inputs: jax.Array
    outputs: jax.Array
    test: jax.Array
    activation: Activation


class _Layer(NamedTuple):
    """Projections (d, b) and, for "fourier", phases (b,)."""

    projections: jax.Array
    phases: jax.Array


@partial(jax.jit, static_argnums=(2, 3, 4, 5))
def _layer(key: jax.Array, index: jax.Array, whole: int, size: int, dim: int, dtype: Any) -> _Layer:
    """The first ``size`` features of a block of ``whole``: the same whatever the size."""
    projection_key, phase_key = jax.random.split(jax.random.fold_in(key, index))
    projections = jax.random.normal(projection_key, (whole, dim), dtype)[:size].T / math.sqrt(dim)
    return _Layer(projections, jax.random.uniform(phase_key, (whole,), dtype, 0, 2 * math.pi)[:size])


def _layers(key: jax.Array, dim: int, width: int, dtype: Any) -> Iterator[_Layer]:
    for index in range(math.ceil(width / BLOCK)):
        yield _layer(key, jnp.asarray(index), BLOCK, min(BLOCK, width - index * BLOCK), dim, dtype)


def _whole_layer(key: jax.Array, dim: int, width: int, dtype: Any) -> _Layer:
    blocks = list(_layers(key, dim, width, dtype))
    return _Layer(*(jnp.concatenate(arrays, -1) for arrays in zip(*blocks, strict=True)))


def _apply(layer: _Layer, inputs: jax.Array, activation: Activation) -> jax.Array:
    """(n, b) features of (n, d) inputs."""
    return _activated(product(inputs, layer.projections), layer.phases[None, :], activation)


def _activated(hidden: jax.Array, phases: jax.Array, activation: Activation) -> jax.Array:
    if activation == FOURIER:
        return math.sqrt(2) * jnp.cos(hidden + phases)
    return function_of(activation)(hidden) - centre(activation, hidden.dtype)


# (n, n): sums over blocks of features ---------------------------------------------------------------------------------


def _dual(problem: _Problem, width: int, ridge: float, counts: Sequence[int], test_kernel: bool) -> jax.Array:
    (n, dim), dtype = problem.inputs.shape, problem.inputs.dtype
    columns, tested = problem.outputs.shape[1], len(problem.test)
    panels = [jnp.zeros((stop - start, stop), dtype) for start, stop in _panels(n)]
    across = jnp.zeros((tested, n), dtype)
    keep = not test_kernel and _kept(n, width)
    kept: list[tuple[_Layer, jax.Array]] = []
    for layer in _layers(problem.key, dim, width, dtype):
        made = _made(layer, problem.inputs, problem.activation)
        panels = _add_square(panels, made)
        if test_kernel:
            across = _add_across(across, made, layer, problem.test, problem.activation)
        if keep:
            kept.append((layer, made))
    kernel = _assembled(panels)
    del panels
    fits = [_solve(kernel, problem.outputs, ridge * count, count) for count in counts]
    del kernel
    if test_kernel:
        return jnp.stack([product(across[:, :count], fit) for count, fit in zip(counts, fits, strict=True)])
    together = jnp.concatenate([jnp.pad(fit, ((0, n - len(fit)), (0, 0))) for fit in fits], 1)
    found = jnp.zeros((tested, together.shape[1]), dtype)
    for layer, made in kept or _made_again(problem, width):
        found = _add_predictions(found, layer, made, together, problem.test, problem.activation)
    return jnp.moveaxis(found.reshape(tested, len(counts), columns), 1, 0)


def _made_again(problem: _Problem, width: int) -> Iterator[tuple[_Layer, jax.Array]]:
    for layer in _layers(problem.key, problem.inputs.shape[1], width, problem.inputs.dtype):
        yield layer, _made(layer, problem.inputs, problem.activation)


@partial(jax.jit, static_argnums=2)
def _made(layer: _Layer, inputs: jax.Array, activation: Activation) -> jax.Array:
    return _apply(layer, inputs, activation)


@partial(jax.jit, static_argnums=4, donate_argnums=0)
def _add_across(
    across: jax.Array, made: jax.Array, layer: _Layer, test: jax.Array, activation: Activation
) -> jax.Array:
    return across + product(_apply(layer, test, activation), made.T)


@partial(jax.jit, static_argnums=5, donate_argnums=0)
def _add_predictions(
    found: jax.Array, layer: _Layer, made: jax.Array, fits: jax.Array, test: jax.Array, activation: Activation
) -> jax.Array:
    return found + product(_apply(layer, test, activation), transposed_product(made, fits))


# (width, width): sums over blocks of images ---------------------------------------------------------------------------


def _primal(problem: _Problem, width: int, ridge: float, counts: Sequence[int]) -> jax.Array:
    dim, dtype = problem.inputs.shape[1], problem.inputs.dtype
    columns, rows_at_once = problem.outputs.shape[1], min(ROWS, max(counts))
    layer = _whole_layer(problem.key, dim, width, dtype)
    panels = [jnp.zeros((stop - start, stop), dtype) for start, stop in _panels(width)]
    moments, fits, start = jnp.zeros((width, columns), dtype), {}, 0
    # One compiled step serves all blocks: the last before each count is filled up with rows that are not counted.
    inputs, outputs = (jnp.pad(rows, ((0, rows_at_once), (0, 0))) for rows in (problem.inputs, problem.outputs))
    for count in sorted(set(counts)):
        while start < count:
            size = min(rows_at_once, count - start)
            inputs_now, outputs_now = (
                jax.lax.dynamic_slice_in_dim(array, start, rows_at_once) for array in (inputs, outputs)
            )
            made = _made_rows(layer, inputs_now, jnp.asarray(size), problem.activation)
            panels = _add_square(panels, made)
            moments = _add_moments(moments, made, outputs_now)
            start += size
        fits[count] = _solve(_assembled(panels), moments, ridge * count, width)
    together = jnp.concatenate([fits[count] for count in counts], 1)
    blocks = [problem.test[start : start + rows_at_once] for start in range(0, len(problem.test), rows_at_once)]
    found = jnp.concatenate([_predict(layer, together, block, problem.activation) for block in blocks])
    return jnp.moveaxis(found.reshape(-1, len(counts), columns), 1, 0)


# Each product is a program of its own: inside one, a CPU would work on several at once, which takes half as long again.


@partial(jax.jit, static_argnums=3)
def _made_rows(layer: _Layer, inputs: jax.Array, size: jax.Array, activation: Activation) -> jax.Array:
    """(width, n) features of the first ``size`` inputs, a feature a row; those of the others are 0."""
    hidden = jax.lax.dot_general(layer.projections, inputs, (((0,), (1,)), ((), ())), precision="highest")
    counted = (jnp.arange(len(inputs)) < size)[None, :]
    return jnp.where(counted, _activated(hidden, layer.phases[:, None], activation), 0)


@partial(jax.jit, donate_argnums=0)
def _add_moments(moments: jax.Array, made: jax.Array, outputs: jax.Array) -> jax.Array:
    return moments + product(made, outputs)


@partial(jax.jit, static_argnums=3)
def _predict(layer: _Layer, fits: jax.Array, inputs: jax.Array, activation: Activation) -> jax.Array:
    return product(_apply(layer, inputs, activation), fits)


# Symmetric products and solves ----------------------------------------------------------------------------------------


def _panels(size: int) -> list[tuple[int, int]]:
    """First and last row of each panel: a panel holds its rows of a symmetric matrix up to its last column."""
    edges = [size * panel // PANELS for panel in range(PANELS + 1)]
    return [(start, stop) for start, stop in pairwise(edges) if stop > start]


@partial(jax.jit, donate_argnums=0)
def _add_square(panels: list[jax.Array], rows: jax.Array) -> list[jax.Array]:
    """The lower panels of a matrix plus ``rows rows'``."""
    edges = _panels(len(rows))
    return [
        panel + product(rows[start:stop], rows[:stop].T) for panel, (start, stop) in zip(panels, edges, strict=True)
    ]


@jax.jit
def _assembled(panels: list[jax.Array]) -> jax.Array:
    """The symmetric matrix below its diagonal, and what is enough of it above for a factorisation of its lower part."""
    size = panels[-1].shape[1]
    return jnp.concatenate([jnp.pad(panel, ((0, 0), (0, size - panel.shape[1]))) for panel in panels])


@partial(jax.jit, static_argnums=3)
def _solve(matrix: jax.Array, right: jax.Array, ridge: Any, size: int) -> jax.Array:
    """``(matrix + ridge)^-1 right`` of the leading ``size`` rows and columns, from the lower part of the matrix."""
    penalised = matrix[:size, :size] + ridge * jnp.eye(size, dtype=matrix.dtype)
    factor = jax.lax.linalg.cholesky(penalised, symmetrize_input=False)
    return jax.scipy.linalg.cho_solve((factor, True), right[:size])


def _checked_inputs(name: str, inputs: Any, dtype: Any = None) -> jax.Array:
    inputs = checks.real(name, inputs, dtype)
    if inputs.ndim != 2 or 0 in inputs.shape:
        raise ValueError(f"{name} has shape {inputs.shape}; it must be (n, d): one input a row")
    checks.finite(name, inputs)
    return inputs


def _check_width(width: int, activation: Activation) -> None:
    if isinstance(width, bool) or not isinstance(width, int | np.integer) or width < 1:
        raise ValueError(f"width is {width!r}; it must be a whole number of at least 1")
    check_activation(activation)
