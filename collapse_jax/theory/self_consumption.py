"""Fitting a distribution to samples of the last fit: exact means and variances of Gaussian and kernel-density chains."""

import math
from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from collapse_jax import checks

Workflow = Literal["replace", "accumulate", "subsample"]
WORKFLOWS = ("replace", "accumulate", "subsample")


class SelfConsumption(NamedTuple):
    """What is left of a distribution after each generation, relative to its variance.

    Attributes:
        mean_error: (G,) expected squared distance of the fitted mean from the truth's.
        variance: (G,) expected variance of the fitted distribution; 1 is the truth's.
    """

    mean_error: jax.Array
    variance: jax.Array


def self_consumption(
    samples: Any, generations: int, workflow: Workflow = "replace", *, unbiased: bool = False, bandwidth: Any = 0.0
) -> SelfConsumption:
    """Exact second moments of a chain of fits, each to samples of the fit before.

    Args:
        samples: n > 1 drawn in each generation; the first n come from the truth, of variance 1.
        generations: G, static.
        workflow: what a generation is fitted to: "replace": the last n samples; "accumulate": all n g samples so far;
            "subsample": n of those, drawn without repetition.
        unbiased: divide by the number of samples less one, not by the number (maximum likelihood).
        bandwidth: standard deviation of a Gaussian kernel around each sample. 0 fits a Gaussian; with a kernel density the
            variance of the fit is that of its samples plus ``bandwidth**2``, and the same recursions hold.

    Returns:
        :class:`SelfConsumption`, exact for every n.

    Raises:
        ValueError: for values outside their ranges.

    Source: replace: Shumailov et al. (2305.17493); ``E variance = (1 - 1/n)**g`` for maximum likelihood. Accumulate: Kazdan et
    al. (2410.16713): ``prod (1 - 1/(n g**2)) -> sin(pi / sqrt(n)) / (pi / sqrt(n))``. Subsample: derived for this library.

    Example:
        >>> chain = self_consumption(100, 1000, "accumulate")
        >>> x = math.pi / math.sqrt(100)
        >>> round(float(chain.variance[-1]), 4), round(math.sin(x) / x, 4)
        (0.9836, 0.9836)
        >>> round(float(self_consumption(100, 1000).variance[-1]), 6)
        4.3e-05
    """
    samples, bandwidth, valid = _checked(samples, generations, workflow, bandwidth)
    return checks.poison(_chain(samples, bandwidth, generations, workflow, unbiased), valid)


def _checked(samples: Any, generations: int, workflow: str, bandwidth: Any) -> tuple[jax.Array, jax.Array, jax.Array]:
    if workflow not in WORKFLOWS:
        raise ValueError(f'workflow is {workflow!r}; it must be "replace", "accumulate" or "subsample"')
    if isinstance(generations, bool) or not isinstance(generations, int) or generations < 1:
        raise ValueError(f"generations is {generations!r}; it must be a whole number, at least 1")
    samples = checks.real("samples", samples)
    bandwidth = checks.real("bandwidth", bandwidth, samples.dtype)
    checks.scalar("samples", samples)
    checks.scalar("bandwidth", bandwidth)
    valid = checks.require("samples", samples, lambda x: (x > 1) & (x < math.inf), "finite and above 1")
    return samples, bandwidth, valid & checks.at_least_zero("bandwidth", bandwidth)


@partial(jax.jit, static_argnums=(2, 3, 4))
def _chain(n: jax.Array, bandwidth: jax.Array, generations: int, workflow: str, unbiased: bool) -> SelfConsumption:
    """Expected sum of squares of all kept samples around their mean, and expected square of that mean."""

    def fitted(spread: jax.Array, count: jax.Array) -> jax.Array:
        """The variance of a fit to ``count`` samples of mean square ``spread`` around their own mean."""
        return spread * (count / (count - 1) if unbiased else 1) + bandwidth**2

    def generation(state: tuple[jax.Array, ...], g: jax.Array) -> tuple[tuple[jax.Array, ...], SelfConsumption]:
        # The law that samples come from: its mean is off by `off`, its distance from the kept samples' mean is `apart`.
        squares, centre, variance, off, apart = state
        if workflow == "replace":
            spread = variance * (n - 1) / n
            off = off + variance / n
            variance = fitted(spread, n)
            return (squares, centre, variance, off, apart), SelfConsumption(off, variance)
        before = n * (g - 1)
        total = n * g
        # New samples, around a mean that may differ from that of the samples kept.
        squares = squares + (n - 1) * variance + before * n / total * (variance / n + apart)
        # E(law's mean * kept mean) is E(kept mean squared): the law's mean is unbiased given the samples kept.
        centre = centre + (n / total) ** 2 * (variance / n + apart)
        spread = squares / total
        if workflow == "accumulate":
            variance, off = fitted(spread, total), centre
        else:
            apart = spread * (total - n) / (n * jnp.maximum(total - 1, 1))
            off = centre + apart
            variance = fitted(squares / jnp.maximum(total - 1, 1) * (n - 1) / n, n)
        return (squares, centre, variance, off, apart), SelfConsumption(off, variance)

    zero = jnp.zeros_like(n)
    start = zero, zero, jnp.ones_like(n), zero, zero
    return jax.lax.scan(generation, start, jnp.arange(1, generations + 1, dtype=n.dtype))[1]
