"""The best setting of a number under the exact risk, by its gradient, with a certificate."""

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

GRID = 37  # half a decade apart over 18 decades
HALVINGS = 50


class Optimum(NamedTuple):
    """A minimiser of the risk and what certifies it.

    Attributes:
        value: () the best setting.
        risk: the risk there.
        slope: () d log(risk) / d log(value): 0 at an interior minimum; positive at the lower end, negative at the upper.
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
        :class:`Optimum`; ``jit``, ``vmap`` and ``grad`` go through it.

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
    return checks.poison(_search(mixture, given, activation, has_closed_form(mixture, weights, activation)), valid)


@partial(jax.jit, static_argnums=(2, 3))
def _search(mixture: Mixture, given: Arguments, activation: Activation | None, closed_form: bool) -> Optimum:
    def risk_at(x: jax.Array) -> Risk:
        return risk_of(mixture, given._replace(ridge=jnp.exp(x)), activation, closed_form)

    slope = jax.grad(lambda x: jnp.log(risk_at(x).total))
    scale = jnp.log(jax.lax.stop_gradient(mixture.spectra).mean())
    grid = scale + jnp.linspace(jnp.log(1e-12), jnp.log(1e6), GRID, dtype=mixture.dtype)
    totals = jax.lax.map(lambda x: jax.lax.stop_gradient(risk_at(x).total), grid)
    best = jnp.argmin(totals)
    low, high = grid[jnp.maximum(best - 1, 0)], grid[jnp.minimum(best + 1, GRID - 1)]

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
    x = jnp.where(((best == 0) | (best == GRID - 1)) & outward, end, inner)
    return Optimum(jnp.exp(x), risk_at(x), slope(x), totals[best])
