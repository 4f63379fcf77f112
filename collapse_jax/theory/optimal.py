"""The best setting of a number under the exact risk, by its gradient, with a certificate."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from collapse_jax import checks
from collapse_jax.activations import Activation
from collapse_jax.arguments import Arguments, arguments
from collapse_jax.mixture import Mixture
from collapse_jax.risk import Risk
from collapse_jax.theory.regression import has_closed_form, risk_of

RIDGES = 37  # on the first grid: half a decade apart over 18 decades
FRACTIONS = 33
SHARES = 8  # the first grid of weights: shares of the total pull in eighths
HALVINGS = 50
STEPS = 100  # of L-BFGS, at most
LARGEST_LOGIT = 40.0  # beyond it a source's share is 0 or 1 to all digits


class Optimum(NamedTuple):
    """A minimiser of the risk and what certifies it.

    Attributes:
        value: the best setting, () or (K,) for weights.
        risk: the risk there.
        slope: derivative of log(risk) there, of the setting's shape; see each function. 0 at an interior minimum.
        grid_risk: () the least total risk on the grid that the search began with: never below ``risk.total``.
    """

    value: jax.Array
    risk: Risk
    slope: jax.Array
    grid_risk: jax.Array


def optimal_ridge(
    mixture: Mixture,
    counts: Any,
    width: Any = None,
    weights: Any = None,
    *,
    target: Any = None,
    activation: Activation | None = None,
) -> Optimum:
    """The ridge that minimises the total risk, within 1e-12 and 1e6 times the mean eigenvalue.

    A grid half a decade apart finds the valley, bisection of the derivative its bottom. Where the risk falls all the way to an
    end (ridgeless fits can be best), that end is returned and ``slope`` is not 0.

    Args:
        mixture: the sources.
        counts: (K,) samples of each source.
        width: number of random features, or None for the classical linear model.
        weights: (K,) factors on each source's squared errors, or None.
        target: (d,) spectrum of the test inputs, or None for that of source 0.
        activation: as in :func:`risk`.

    Returns:
        :class:`Optimum`, its slope with respect to log(ridge): positive at the lower end of the range, negative at the upper.
        ``jit``, ``vmap`` and ``grad`` go through it.

    Raises:
        ValueError: as :func:`risk`.

    Example:
        >>> import collapse_jax as cj
        >>> spectrum = cj.spectra.isotropic(100)
        >>> mixture = cj.real_and_synthetic(spectrum, signal=1 / 100, shift=0.0, noise_real=0.5, noise_synthetic=0.5)
        >>> best = optimal_ridge(mixture, cj.split(200, 0.0))           # noise variance * d / n / signal power
        >>> round(float(best.value), 6), bool(abs(best.slope) < 1e-9)
        (0.125, True)
    """
    given, valid = arguments(mixture, counts, 1.0, width, weights, target, activation)
    return checks.poison(_best_ridge(mixture, given, activation, has_closed_form(mixture, weights, activation)), valid)


def optimal_fraction(
    mixture: Mixture,
    n: Any,
    ridge: Any,
    width: Any = None,
    *,
    target: Any = None,
    activation: Activation | None = None,
) -> Optimum:
    """The synthetic fraction that minimises the total risk of n samples of two sources: 0 unless synthetic data help.

    They help where their labels are less noisy, or their inputs more telling, than their error costs.

    Args:
        mixture: two sources, real and synthetic.
        n: total number of samples, > 0.
        ridge: > 0.
        width: number of random features, or None for the classical linear model.
        target: (d,) spectrum of the test inputs, or None for that of the real data.
        activation: as in :func:`risk`.

    Returns:
        :class:`Optimum`, its slope with respect to the fraction: 0 inside, at least 0 at fraction 0, at most 0 at 1.

    Raises:
        ValueError: as :func:`risk`, and for a mixture of other than two sources.

    Example:
        >>> import collapse_jax as cj
        >>> spectrum = cj.spectra.isotropic(100)
        >>> mixture = cj.real_and_synthetic(spectrum, 1 / 100, 1e-3, noise_real=1.0, noise_synthetic=0.1)
        >>> best = optimal_fraction(mixture, n=1000, ridge=1e-3)
        >>> 0.3 < float(best.value) < 0.7, bool(abs(best.slope) < 1e-9)
        (True, True)
    """
    if mixture.sources != 2:
        raise ValueError(
            f"mixture has {mixture.sources} sources; optimal_fraction mixes two. Use optimal_weights for more"
        )
    n = checks.real("n", n, mixture.dtype)
    checks.scalar("n", n)
    given, valid = arguments(mixture, jnp.stack([n, 0 * n]), ridge, width, None, target, activation)
    valid &= checks.above_zero("ridge", given.ridge, "Without one the risk is infinite at some fraction")
    return checks.poison(_best_fraction(mixture, given, activation, has_closed_form(mixture, None, activation)), valid)


def optimal_weights(
    mixture: Mixture,
    counts: Any,
    ridge: Any,
    width: Any = None,
    *,
    target: Any = None,
    activation: Activation | None = None,
) -> Optimum:
    """The weights of the sources' squared errors that minimise the total risk, at mean 1 over the samples.

    A grid over shares ``counts * weights / n`` finds the valley, L-BFGS on their logits its bottom. A source without samples
    gets weight 0.

    Args:
        mixture: the sources.
        counts: (K,) samples of each source.
        ridge: > 0. Weights and ridge scale together, so that only their ratio matters.
        width: number of random features, or None for the classical linear model.
        target: (d,) spectrum of the test inputs, or None for that of source 0.
        activation: as in :func:`risk`.

    Returns:
        :class:`Optimum`, its value (K,) the weights and its slope (K,) with respect to each share, less their mean by share:
        0 where the weight is above 0, at least 0 where it is 0.

    Raises:
        ValueError: as :func:`risk`.

    Source: equation 16 of *Strong Model Collapse*, whose Corollary 2 for the best weight has an erratum (``docs/errata.md``).

    Example:
        >>> import collapse_jax as cj
        >>> mixture = cj.real_and_synthetic(cj.spectra.isotropic(50), 1 / 50, 0.25 / 50, noise_real=1.0, noise_synthetic=1.0)
        >>> best = optimal_weights(mixture, [1000.0, 1000.0], ridge=1e-6)
        >>> share = best.value[1] * 0.5                               # phi / p1 / (c^2 + phi / p1 + phi / p2), phi = 0.025
        >>> round(float(share), 2), round(0.05 / (0.25 + 0.1), 2)
        (0.14, 0.14)
    """
    given, valid = arguments(mixture, counts, ridge, width, None, target, activation)
    valid &= checks.above_zero("ridge", given.ridge, "Without one the weights of separable data do not matter")
    return checks.poison(_best_weights(mixture, given, activation), valid)


@partial(jax.jit, static_argnums=(2, 3))
def _best_ridge(mixture: Mixture, given: Arguments, activation: Activation | None, closed_form: bool) -> Optimum:
    def risk_at(x: jax.Array) -> Risk:
        return risk_of(mixture, given._replace(ridge=jnp.exp(x)), activation, closed_form)

    scale = jnp.log(jax.lax.stop_gradient(mixture.spectra).mean())
    grid = scale + jnp.linspace(jnp.log(1e-12), jnp.log(1e6), RIDGES, dtype=mixture.dtype)
    found = _lowest(risk_at, grid)
    return found._replace(value=jnp.exp(found.value))


@partial(jax.jit, static_argnums=(2, 3))
def _best_fraction(mixture: Mixture, given: Arguments, activation: Activation | None, closed_form: bool) -> Optimum:
    def risk_at(fraction: jax.Array) -> Risk:
        counts = given.counts.sum() * jnp.stack([1 - fraction, fraction])
        return risk_of(mixture, given._replace(counts=counts), activation, closed_form)

    return _lowest(risk_at, jnp.linspace(0, 1, FRACTIONS, dtype=mixture.dtype))


def _lowest(risk_at: Callable[[jax.Array], Risk], grid: jax.Array) -> Optimum:
    """The minimum over one number: the grid finds the valley, bisection of the derivative its bottom."""
    slope = jax.grad(lambda x: jnp.log(risk_at(x).total))
    totals = jax.lax.map(lambda x: jax.lax.stop_gradient(risk_at(x).total), grid)
    best, last = jnp.argmin(totals), grid.size - 1
    low, high = grid[jnp.maximum(best - 1, 0)], grid[jnp.minimum(best + 1, last)]

    def bisect(function: Any, _: jax.Array) -> jax.Array:
        def halve(_: int, bracket: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
            middle = (bracket[0] + bracket[1]) / 2
            falls = function(middle) < 0
            return jnp.where(falls, middle, bracket[0]), jnp.where(falls, bracket[1], middle)

        left, right = jax.lax.fori_loop(0, HALVINGS, halve, (low, high))
        return (left + right) / 2

    def tangent(linear: Any, value: jax.Array) -> jax.Array:
        return value / linear(jnp.ones_like(value))

    inner = jax.lax.custom_root(slope, (low + high) / 2, bisect, tangent)
    # At an end of the range the risk has no stationary point, and the end does not move with the problem.
    end = jnp.where(best == 0, grid[0], grid[-1])
    outward = jnp.where(best == 0, 1, -1) * slope(end) > 0
    x = jnp.where(((best == 0) | (best == last)) & outward, end, inner)
    return Optimum(x, risk_at(x), slope(x), totals[best])


@partial(jax.jit, static_argnums=2)
def _best_weights(mixture: Mixture, given: Arguments, activation: Activation | None) -> Optimum:
    fractions = given.counts / given.counts.sum()
    present = fractions > 0

    def weights_of(shares: jax.Array) -> jax.Array:
        return jnp.where(present, shares / jnp.where(present, fractions, 1), 0)

    def risk_at(shares: jax.Array) -> Risk:
        return risk_of(mixture, given._replace(weights=weights_of(shares)), activation, False)

    def shares_of(logits: jax.Array) -> jax.Array:
        return jax.nn.softmax(jnp.where(present, logits, -jnp.inf))

    def loss(logits: jax.Array) -> jax.Array:
        return jnp.log(risk_at(shares_of(logits)).total)

    grid = _shares(mixture.sources, mixture.dtype) * present[None, :]
    grid = jnp.where(grid.sum(1, keepdims=True) > 0, grid, fractions[None, :])
    grid = grid / grid.sum(1, keepdims=True)
    totals = jax.lax.map(lambda shares: jax.lax.stop_gradient(risk_at(shares).total), grid)
    start = jnp.log(jnp.maximum(grid[jnp.argmin(totals)], 1e-3))

    def descend(_: Any, start: jax.Array) -> jax.Array:
        return _descend(loss, start)

    def tangent(linear: Any, value: jax.Array) -> jax.Array:
        # The Hessian is singular along equal logits, and where a share is 0.
        return jnp.linalg.pinv(jax.jacobian(linear)(jnp.zeros_like(value)), rtol=1e-9) @ value

    logits = jax.lax.custom_root(jax.grad(loss), start, descend, tangent)
    shares = shares_of(logits)
    slope = jax.grad(lambda s: jnp.log(risk_at(s).total))(shares)
    return Optimum(
        weights_of(shares), risk_at(shares), jnp.where(present, slope - (shares * slope).sum(), 0), totals.min()
    )


def _shares(sources: int, dtype: Any) -> jax.Array:
    """All ways to share a pull among the sources in eighths, every source with something."""
    counts = [[]]
    for _ in range(sources - 1):
        counts = [[*row, part] for row in counts for part in range(SHARES + 1 - sum(row))]
    table = jnp.array([[*row, SHARES - sum(row)] for row in counts], dtype)
    return (table + 0.01) / (SHARES + 0.01 * sources)


def _descend(loss: Callable[[jax.Array], jax.Array], start: jax.Array) -> jax.Array:
    """A local minimum by L-BFGS."""
    import optax  # here, because it takes longer to load than the rest of the theory

    solver = optax.lbfgs()
    tolerance = jnp.finfo(start.dtype).eps ** 0.75
    value_and_slope = optax.value_and_grad_from_state(loss)

    def step(state: tuple[Any, ...]) -> tuple[Any, ...]:
        x, memory, _, count = state
        value, slope = value_and_slope(x, state=memory)
        with jax.numpy_rank_promotion("allow"):  # optax relies on it
            move, memory = solver.update(slope, memory, x, value=value, grad=slope, value_fn=loss)
        x = jnp.clip(x + move, -LARGEST_LOGIT, LARGEST_LOGIT)
        return x, memory, jnp.linalg.norm(slope), count + 1

    def going(state: tuple[Any, ...]) -> jax.Array:
        return (state[2] > tolerance) & (state[3] < STEPS)

    first = (start, solver.init(start), jnp.full((), jnp.inf, start.dtype), jnp.zeros((), jnp.int32))
    return jax.lax.while_loop(going, step, first)[0]
