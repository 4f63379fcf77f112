"""A chain of models, each trained partly on labels that the one before it wrote: the exact error of every generation.

The fitted coefficients w^ are linear in the labels, and their second moments along each eigenvector depend on the labels only
through second moments. With delta = w^ - w_0 the chain is a map of two vectors, ``E[w_0 delta]`` and ``E[delta^2]``, from one
generation to the next: the shrinkage moves the first, and the errors by direction are the second. Designs are fresh each
generation; reused or accumulated data correlate the generations and are simulated instead.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from collapse_jax import checks
from collapse_jax.risk import Risk
from collapse_jax.schedule import Rounds, Schedule, rounds, truth
from collapse_jax.theory import potential

TOGETHER = 16  # generations whose fixed points are found at once: a batch that stays in a core's cache


def generations(spectrum: Any, signal: Any, schedule: Schedule, *, shift: Any = 0.0) -> Risk:
    """Error of every generation on the truth, when each labels the synthetic data of the next.

    Args:
        spectrum: (d,) eigenvalues of all inputs, >= 0.
        signal: (d,) second moments of the truth's coefficients; one number serves all.
        schedule: what each generation is trained on, :class:`collapse_jax.Schedule`. Real and synthetic inputs are fresh
            each generation.
        shift: (d,) second moments of the error of the model that labels the first generation's synthetic data, independent
            of the truth; 0 where the truth labels it.

    Returns:
        :class:`Risk` of (G,) arrays: ``bias`` from the truth's own signal, ``variance`` from this generation's label noise,
        ``collapse`` from what the labels of the previous model got wrong. Differentiable; batch it with ``jax.vmap``.

    Raises:
        ValueError: for values outside their ranges, arrays of different lengths, no array at all, or a generation at the
            interpolation threshold without a ridge.

    Source: the map for any schedule follows from the one potential of ``docs/theory.md``. *Model Collapse Demystified*,
    Theorems 4.1, 4.3 and 4.6, and *Strong Model Collapse*, Corollary 3 (with fresh data), are special cases.

    Example:
        >>> import jax.numpy as jnp
        >>> import collapse_jax as cj
        >>> schedule = cj.Schedule(real=0.0, synthetic=jnp.full(4, 200.0), ridge=0.0, noise_synthetic=1.0)
        >>> risk = cj.theory.generations(jnp.ones(100), 1 / 100, schedule)
        >>> risk.total.round(3).tolist()                     # each generation adds sigma^2 phi / (1 - phi)
        [1.0, 2.0, 3.0, 4.0]
    """
    spectrum, signal, shift, valid = truth(spectrum, signal, shift)
    given, right = rounds(schedule, spectrum.dtype)
    return checks.poison(_chain(spectrum, signal, given, shift), valid & right & _off_threshold(spectrum, given))


def _off_threshold(spectrum: jax.Array, given: Rounds) -> jax.Array:
    """Without a ridge, the error is infinite where a generation's samples exactly meet its model's capacity."""
    capacity = (spectrum > 0).sum().astype(spectrum.dtype)
    if given.width is not None:
        capacity = jnp.minimum(given.width, capacity)
    samples = jnp.where(given.weights > 0, given.counts, 0).sum(1)
    return checks.require(
        "the distance of schedule.real + synthetic from the interpolation threshold (the smaller of width and rank)",
        jnp.where(given.ridge == 0, jnp.abs(samples - capacity), 1),
        lambda x: x > 0,
        "above 0 at ridge 0, where the risk is infinite",
        "Use a small ridge such as 1e-8, or move counts or width",
    )


class Fit(NamedTuple):
    """What one generation's fit does to whatever labels: numbers that depend on its data and ridge alone.

    ``pull`` and ``rise`` are the responses of ``potential.py`` to a probe: first for a unit of ``s mu r^2``, then for one of
    ``mu r^2``.
    """

    active: jax.Array  # (2,) a_k, of real and synthetic samples
    mu: jax.Array  # ()
    pull: jax.Array  # (2, 2) a'_k
    rise: jax.Array  # (2,) mu'


@jax.jit
def _chain(spectrum: jax.Array, signal: jax.Array, given: Rounds, shift: jax.Array) -> Risk:
    """What the fits do does not depend on the labels: that of all generations is found together, before the chain."""

    def generation(
        errors: tuple[jax.Array, jax.Array], inputs: tuple[jax.Array, Fit]
    ) -> tuple[tuple[jax.Array, jax.Array], Risk]:
        return _generation(spectrum, signal, errors, *inputs)

    fits = jax.lax.map(lambda now: _fit(spectrum, now), given, batch_size=TOGETHER)
    return jax.lax.scan(generation, (jnp.zeros_like(signal), shift), (given.noise, fits))[1]


def _fit(spectrum: jax.Array, now: Rounds) -> Fit:
    one = jnp.ones((), spectrum.dtype)
    spectra = jnp.stack([spectrum, spectrum])
    problem = potential.problem_of(spectra, now.counts, now.ridge, now.width, now.weights, (one, 0 * one))
    state = potential.solve(problem)
    pull, rise = potential.responses(
        problem, state, jnp.array([[1, 0], [1, 0]], one.dtype), jnp.array([0, 1], one.dtype)
    )
    return Fit(state.active, state.mu, pull, rise)


def _generation(
    spectrum: jax.Array, signal: jax.Array, errors: tuple[jax.Array, jax.Array], noise: jax.Array, fit: Fit
) -> tuple[tuple[jax.Array, jax.Array], Risk]:
    """E[w_0 delta] and E[delta^2] of the next model, and its risk.

    Written in delta, not in the labels' moments: once models are good, their difference would keep no digit in float32.
    """
    cross, square = errors
    total = fit.active.sum()
    resolvent = 1 / (total * spectrum + fit.mu)
    shrunk, kept, copied = fit.mu * resolvent, total * spectrum * resolvent, fit.active[1] * spectrum * resolvent
    passed = copied**2 * square
    # E(w_0 - w^)_i^2, E(w_k - w^)_i^2 of real and synthetic labels, and E(w^)_i^2, without the designs' own fluctuation.
    bias = shrunk**2 * signal
    collapse = passed - 2 * shrunk * copied * cross
    collapse_of_synthetic = collapse + (1 - 2 * copied) * square + 2 * shrunk * cross
    norms = (kept**2 * signal).sum(), (2 * kept * copied * cross + passed).sum()
    off = jnp.dot(spectrum, bias, precision="highest")
    loss = jnp.stack([jnp.dot(spectrum, part, precision="highest") for part in (collapse, collapse_of_synthetic)])
    # What a unit of squared residual in each source, and of the fit's norm, adds to direction i: two numbers for all of them.
    scatter = [
        off * fit.pull.sum(0) + norms[0] * fit.rise,
        jnp.dot(noise**2, fit.pull, precision="highest"),
        jnp.dot(loss, fit.pull, precision="highest") + norms[1] * fit.rise,
    ]
    squared = shrunk * resolvent
    shape = jnp.stack([spectrum * squared, squared])
    sums = jnp.dot(shape, spectrum, precision="highest")
    parts = Risk(off + (scatter[0] * sums).sum(), (scatter[1] * sums).sum(), loss[0] + (scatter[2] * sums).sum())
    new_square = bias + collapse + jnp.dot(scatter[0] + scatter[1] + scatter[2], shape, precision="highest")
    return ((kept - 1) * signal + copied * cross, new_square), parts
