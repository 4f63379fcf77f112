"""The effective ridge kappa of one covariance, and the degrees of freedom at it.

Ridge regression on n samples (and m random projections) acts like ridge regression on infinitely many samples with a larger
ridge, kappa, the root of one scalar equation in ``x = log kappa``:

    df1(kappa) = D(kappa),        df1(kappa) = sum_i s_i / (s_i + kappa)

where D, the degrees of freedom that the data can pay for, solves (n - D)(m - D) = n d ridge / kappa, or n - D = n ridge /
kappa without projections. In this form df1 falls and D rises with x, both are smooth, and neither side cancels; so a bracketed
Newton iteration meets the root from any start. The start comes from a table of df1 over log kappa, which depends on the
spectrum alone: under ``vmap`` over counts, width and ridge it is built once.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from collapse_jax import checks

NODES = 160
MARGIN = 16  # in log kappa, beyond the eigenvalues: df1 is there at its limits to seven digits
MAX_STEPS = 128


class Load(NamedTuple):
    """What the data can pay for, as scalars: the smaller and the inverse larger of (n, m), and the ridge term."""

    small: jax.Array
    inverse_large: jax.Array
    cost: jax.Array


def kappa(spectrum: Any, n: Any, ridge: Any, width: Any = None) -> jax.Array:
    """The effective ridge that n samples (and a width) leave: every risk depends on the ridge through it.

    Args:
        spectrum: (d,) eigenvalues, >= 0, not all zero.
        n: number of samples, > 0.
        ridge: >= 0, in the units of the eigenvalues: the penalty is ``ridge * |v|^2`` beside the *mean* squared error.
        width: number m > 0 of random projections with entries N(0, 1/d), or None for the classical linear model.

    Returns:
        () kappa >= ridge (linear), in units of the spectrum. At ridge 0 the ridgeless limit: 0 if n and the width exceed
        the rank, else the root of df1(kappa) = min(n, width).

    Raises:
        ValueError: for values outside these ranges.

    Source: *Strong Model Collapse*, equation 7 and appendix G.2 (its theta is this kappa with projections).

    Example:
        >>> spectrum = jnp.ones(100)
        >>> round(float(kappa(spectrum, n=200, ridge=0.5)), 6)       # (ridge + phi - 1 + sqrt(...)) / 2, phi = d / n
        0.707107
    """
    spectrum = spectrum_of(spectrum)
    numbers = {"n": n, "ridge": ridge} | ({} if width is None else {"width": width})
    arrays, valid = scalars(numbers, spectrum.dtype)
    valid &= checks.at_least_zero("spectrum", spectrum) & checks.above_zero("the sum of spectrum", spectrum.sum())
    root = solve(spectrum, arrays["n"], arrays["ridge"], arrays.get("width"))
    return checks.poison(jnp.where(root <= 2 * vanishing(spectrum) * spectrum.size, 0, root), valid)


def degrees_of_freedom(spectrum: Any, kappa: Any, order: int = 1) -> jax.Array:
    """``df_k(kappa) = sum_i (s_i / (s_i + kappa))**k``: how many directions are learned at effective ridge kappa.

    Args:
        spectrum: (d,) eigenvalues, >= 0.
        kappa: () >= 0; at 0 this is the rank.
        order: k, a positive integer (the paper uses 1 and 2).

    Example:
        >>> float(degrees_of_freedom(jnp.array([1.0, 1.0, 0.0]), kappa=1.0, order=2))
        0.5
    """
    spectrum = spectrum_of(spectrum)
    kappa = checks.real("kappa", kappa, spectrum.dtype)
    checks.scalar("kappa", kappa)
    valid = checks.at_least_zero("kappa", kappa) & checks.at_least_zero("spectrum", spectrum)
    positive = spectrum > 0
    learned = jnp.where(positive, spectrum / jnp.where(positive, spectrum + kappa, 1), 0)
    return checks.poison((learned**order).sum(), valid)


def spectrum_of(spectrum: Any) -> jax.Array:
    """``spectrum`` as a (d,) real array, or a clear error."""
    spectrum = checks.real("spectrum", spectrum)
    if spectrum.ndim != 1 or not spectrum.size:
        raise ValueError(f"spectrum has shape {spectrum.shape}; it must be (d,): one eigenvalue a direction")
    return spectrum


def scalars(numbers: dict[str, Any], dtype: Any) -> tuple[dict[str, jax.Array], jax.Array]:
    """Positive scalars by name (a ridge may be 0) in one dtype, and the mask of their validity."""
    arrays, valid = {}, jnp.asarray(True)
    for name, value in numbers.items():
        arrays[name] = checks.real(name, value, dtype)
        checks.scalar(name, arrays[name])
        check = checks.at_least_zero if name == "ridge" else checks.above_zero
        valid &= check(name, arrays[name])
    return arrays, valid


def vanishing(spectrum: jax.Array) -> jax.Array:
    """A ridge too small to change any digit: stands for the ridgeless limit inside the solvers."""
    tiny = float(jnp.finfo(spectrum.dtype).eps) ** 1.9
    return jnp.where(spectrum.max() > 0, spectrum.max(), 1) * tiny


def solve(
    spectrum: jax.Array, n: jax.Array, ridge: jax.Array, width: jax.Array | None = None, nodes: int = NODES
) -> jax.Array:
    """The root for valid inputs, differentiable in all of them; ridge 0 is replaced by a vanishing one.

    ``nodes`` is the size of the table: few where the spectrum differs from point to point, so that no table is shared.
    """
    ridge = jnp.where(ridge > 0, ridge, jax.lax.stop_gradient(vanishing(spectrum)))
    load = load_of(spectrum.size, n, ridge, width)

    def excess(x: jax.Array) -> jax.Array:
        return (spectrum / (spectrum + jnp.exp(x))).sum() - _affordable(load, x)[0]

    def root(_: Any, start: jax.Array) -> jax.Array:
        return _newton(jax.lax.stop_gradient(spectrum), jax.lax.stop_gradient(load), start, nodes)

    return jnp.exp(
        jax.lax.custom_root(excess, jnp.zeros((), spectrum.dtype), root, lambda g, y: y / g(jnp.ones_like(y)))
    )


def residual(spectrum: jax.Array, n: jax.Array, ridge: jax.Array, kappa: jax.Array, width: Any = None) -> jax.Array:
    """Relative residual of the fixed point: |df1 - D| over the larger of what is learned and what the ridge costs."""
    load = load_of(spectrum.size, n, ridge, width)
    learned = (spectrum / (spectrum + kappa)).sum()
    return jnp.abs(learned - _affordable(load, jnp.log(kappa))[0]) / jnp.maximum(load.small, learned)


def load_of(dim: int, n: jax.Array, ridge: jax.Array, width: jax.Array | None) -> Load:
    """Scalars of the right-hand side D."""
    if width is None:
        return Load(n, jnp.zeros_like(n), n * ridge)
    large = jnp.maximum(n, width)
    return Load(jnp.minimum(n, width), 1 / large, (n / large) * dim * ridge)


def _affordable(load: Load, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """D(x) and its derivative, the smaller root of a quadratic written without cancellation."""
    cost = load.cost * jnp.exp(-x)
    ratio = load.small * load.inverse_large
    width = jnp.sqrt((1 - ratio) ** 2 + 4 * cost * load.inverse_large)
    return 2 * (load.small - cost) / (1 + ratio + width), cost / width


def _table(spectrum: jax.Array, nodes: int) -> tuple[jax.Array, jax.Array]:
    """Nodes in x over the range in which df1 moves (nodes,), and df1 with two derivatives there (3, nodes)."""
    largest = spectrum.max()
    smallest = jnp.min(jnp.where(spectrum > 0, spectrum, largest))
    x = jnp.linspace(jnp.log(smallest) - MARGIN, jnp.log(largest) + MARGIN, nodes, dtype=spectrum.dtype)
    point = jnp.exp(x)
    resolvent = 1 / (spectrum[None, :] + point[:, None])
    missed = point[:, None] * resolvent  # its powers cannot overflow, as those of an empty direction's resolvent can
    one, two, three = (jnp.dot(resolvent * missed**power, spectrum, precision="highest") for power in (0, 1, 2))
    return x, jnp.stack([one, -two, 2 * three - two])


def _newton(spectrum: jax.Array, load: Load, start: jax.Array, nodes: int) -> jax.Array:
    """The root in x: from the table's bracket by Newton steps, halving instead whenever a step leaves the bracket."""
    tolerance = jnp.finfo(spectrum.dtype).eps ** 0.45  # what is left after such a step is its square
    trace, rank = spectrum.sum(), (spectrum > 0).sum().astype(spectrum.dtype)
    low = jnp.log(load.cost) - jnp.log(load.small)
    high = jnp.log(jnp.maximum(4 * trace, 2 * load.cost) / load.small)
    x, low, high = _start(_table(spectrum, nodes), load, low - 1e-3, high + 1e-3, rank)

    def step(state: tuple[Any, ...]) -> tuple[Any, ...]:
        x, low, high, _, count = state
        point = jnp.exp(x)
        resolvent = 1 / (spectrum + point)
        learned = jnp.dot(resolvent, spectrum, precision="highest")
        slope = -jnp.dot(resolvent * (point * resolvent), spectrum, precision="highest")
        affordable, rise = _affordable(load, x)
        excess = learned - affordable
        low, high = jnp.where(excess > 0, x, low), jnp.where(excess > 0, high, x)
        new = x - excess / (slope - rise)
        inside = (new >= low) & (new <= high)
        new = jnp.where(inside, new, (low + high) / 2)
        return new, low, high, jnp.abs(new - x), count + 1

    def going(state: tuple[Any, ...]) -> jax.Array:
        return (state[3] > tolerance) & (state[4] < MAX_STEPS)

    state = (x, low, high, jnp.full_like(x, math.inf), jnp.zeros((), jnp.int32))
    return jax.lax.while_loop(going, step, state)[0]


def _start(
    table: tuple[jax.Array, jax.Array], load: Load, low: jax.Array, high: jax.Array, rank: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """A first guess and a bracket: the root of interpolated df1 inside the table, the limits of df1 outside it."""
    nodes, learned = table
    excess = learned[0] - jax.vmap(_affordable, (None, 0))(load, nodes)[0]
    below = (excess > 0).sum()
    left, right = jnp.clip(below - 1, 0, nodes.size - 1), jnp.clip(below, 0, nodes.size - 1)
    low = jnp.where(below > 0, jnp.maximum(low, nodes[left]), low)
    high = jnp.where(below < nodes.size, jnp.minimum(high, nodes[right]), high)
    inside = _interpolated_root(nodes[left], nodes[1] - nodes[0], learned[:, left], learned[:, right], load)
    # Left of the table every direction is learned, so that D = rank gives the root at once.
    free = (load.small - rank) * (1 - rank * load.inverse_large)
    leftmost = jnp.where(free > 0, jnp.log(load.cost) - jnp.log(jnp.where(free > 0, free, 1)), low)
    # Right of it df1 = trace / kappa, so that kappa is the ridge's share plus the trace's.
    trace = learned[0, -1] * jnp.exp(nodes[-1])
    rightmost = jnp.log((load.cost + trace) / load.small)
    guess = jnp.where(below == 0, leftmost, jnp.where(below == nodes.size, rightmost, inside))
    return jnp.where((guess > low) & (guess < high), guess, (low + high) / 2), low, high


def _interpolated_root(start: jax.Array, step: jax.Array, first: jax.Array, last: jax.Array, load: Load) -> jax.Array:
    """Root of D and the quintic that has df1 and two derivatives at both ends of a cell, by Newton steps on scalars."""
    f0, g0, c0 = first[0], first[1] * step, first[2] * step**2
    f1, g1, c1 = last[0], last[1] * step, last[2] * step**2
    rise = f1 - f0
    cubic = 10 * rise - 6 * g0 - 4 * g1 - (3 * c0 - c1) / 2
    quartic = -15 * rise + 8 * g0 + 7 * g1 + (3 * c0 - 2 * c1) / 2
    quintic = 6 * rise - 3 * (g0 + g1) - (c0 - c1) / 2
    t = jnp.full_like(f0, 0.5)
    for _ in range(5):
        affordable, slope = _affordable(load, start + t * step)
        value = f0 + t * (g0 + t * (c0 / 2 + t * (cubic + t * (quartic + t * quintic))))
        tangent = g0 + t * (c0 + t * (3 * cubic + t * (4 * quartic + t * 5 * quintic)))
        t = jnp.clip(t - (value - affordable) / (tangent - slope * step), 0, 1)
    return start + t * step
