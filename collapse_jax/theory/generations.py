"""A chain of models, each trained partly on labels that the one before it wrote: the exact error of every generation.

The fitted coefficients w^ are linear in the labels, and their second moments along each eigenvector depend on the labels only
through second moments. With delta = w^ - w_0 the chain is a map of two vectors, ``E[w_0 delta]`` and ``E[delta^2]``, from one
generation to the next: the shrinkage moves the first, and the errors by direction are the second. Designs are fresh each
generation; reused or accumulated data correlate the generations and are simulated instead.
"""

from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp

from collapse_jax import checks
from collapse_jax.mixture import Mixture
from collapse_jax.risk import Risk
from collapse_jax.schedule import Rounds, Schedule, rounds, truth
from collapse_jax.theory import potential


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


@jax.jit
def _chain(spectrum: jax.Array, signal: jax.Array, given: Rounds, shift: jax.Array) -> Risk:
    one = jnp.ones((), spectrum.dtype)

    def generation(errors: tuple[jax.Array, jax.Array], now: Rounds) -> tuple[tuple[jax.Array, jax.Array], Risk]:
        cross, square = errors
        labels = cast(Mixture, _Labels(jnp.stack([spectrum, spectrum]), signal, cross, square, now.noise))
        problem = potential.problem_of(labels, now.counts, now.ridge, now.width, now.weights, (one, 0 * one))
        parts, share = potential.direction_errors_and_share(labels, problem)
        new_cross = (share.sum(0) - 1) * signal + share[1] * cross
        return (new_cross, parts.total), jax.tree.map(lambda part: jnp.dot(spectrum, part, precision="highest"), parts)

    return jax.lax.scan(generation, (jnp.zeros_like(signal), shift), given)[1]


class _Labels(NamedTuple):
    """What the potential asks of a mixture of the truth and a model, which is given by its error.

    Label moments would be differences of near equals once the model is good: with 1e10 samples float32 would keep no digit.
    """

    spectra: jax.Array  # (2, d)
    signal: jax.Array  # (d,) E[w_0^2]
    cross: jax.Array  # (d,) E[w_0 delta]
    square: jax.Array  # (d,) E[delta^2]
    noise: jax.Array  # (2,)

    @property
    def sources(self) -> int:
        return 2

    @property
    def dim(self) -> int:
        return self.signal.size

    @property
    def dtype(self) -> Any:
        return self.signal.dtype

    def shift_moments(self) -> tuple[jax.Array, jax.Array]:
        none = jnp.zeros_like(self.square)
        return jnp.stack([none, self.cross]), jnp.stack([jnp.stack([none, none]), jnp.stack([none, self.square])])
