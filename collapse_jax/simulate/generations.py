"""A chain of models simulated exactly, with data that are fresh, fixed or accumulated over the generations.

Data enter through their Gram matrices alone, so a generation costs the same whatever its number of samples.
"""

import math
from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from collapse_jax import checks
from collapse_jax.risk import Risk
from collapse_jax.schedule import Rounds, Schedule, rounds, truth
from collapse_jax.simulate import wishart
from collapse_jax.simulate.batching import one_at_a_time
from collapse_jax.simulate.positive import congruence, gram, inverse_root, product

Data = Literal["fresh", "fixed"]


class Draws(NamedTuple):
    """Random numbers of one generation: factors of its designs, its projections or None, and its label noise (2, d)."""

    designs: wishart.Draws
    projections: wishart.Draws | None
    noise: jax.Array


class Kept(NamedTuple):
    """Data of earlier generations: their Gram matrix (d, d), their labels pulled back (d,), and their number."""

    gram: jax.Array
    labels: jax.Array
    samples: jax.Array


def generations(
    key: jax.Array,
    spectrum: Any,
    signal: Any,
    schedule: Schedule,
    real_data: Data = "fresh",
    *,
    synthetic_inputs: Data = "fresh",
    accumulate: bool = False,
    shift: Any = 0.0,
) -> Risk:
    """One simulated chain: truth, designs and label noise drawn, and the error of every generation on the truth.

    Args:
        key: a ``jax.random.key``.
        spectrum: as for :func:`collapse_jax.theory.generations`.
        signal: as there; the truth is drawn with these second moments.
        schedule: as there; counts and widths are rounded to whole numbers.
        real_data: "fresh" draws new real samples each generation; "fixed" uses one real data set, noise included,
            throughout (*Strong Model Collapse*, Figure 10). Its number of samples must then not change.
        synthetic_inputs: "fixed" labels the same inputs anew each generation, with new noise (*Model Collapse
            Demystified*, Theorem 4.6, X_m = X_0). Their number must then not change.
        accumulate: keep the synthetic samples of all earlier generations, with the labels that they had.
        shift: as for the theory; the first labelling model is drawn.

    Returns:
        :class:`Risk` of (G,) arrays, one draw each: ``collapse`` is what remains of the total after bias and variance,
        cross terms included. With fresh data its mean over keys is the theory's, up to O(1/d).

    Raises:
        ValueError: as the theory, for a ridge that rounding would drown, or fixed data whose number changes.

    Example:
        >>> import collapse_jax as cj
        >>> schedule = cj.Schedule(real=0.0, synthetic=jnp.full(4, 1e6), ridge=1e-9, noise_synthetic=1.0)
        >>> risk = cj.simulate.generations(jax.random.key(0), jnp.ones(20), 1 / 20, schedule)
        >>> risk.total.shape, bool(jnp.all(jnp.diff(risk.total) > 0))
        ((4,), True)
    """
    for name, value in (("real_data", real_data), ("synthetic_inputs", synthetic_inputs)):
        if value not in ("fresh", "fixed"):
            raise ValueError(f'{name} is {value!r}; it must be "fresh" or "fixed"')
    spectrum, signal, shift, valid = truth(spectrum, signal, shift)
    given, right = rounds(schedule, spectrum.dtype)
    width = None if given.width is None else jnp.maximum(jnp.round(given.width), 1)
    given = given._replace(counts=jnp.round(given.counts), width=width)
    valid &= right & _resolved(spectrum, given)
    pull = (given.counts * given.weights).sum(1)
    valid &= checks.above_zero(
        "schedule.real + weight * synthetic, counts rounded,", pull, "Each generation needs samples"
    )
    for source, (name, data) in enumerate((("real", real_data), ("synthetic", synthetic_inputs))):
        if data == "fixed":
            valid &= _constant(name, given.counts[:, source])
    if real_data == "fixed":
        valid &= _constant("noise_real", given.noise[:, 0])
    fixed = (real_data == "fixed", synthetic_inputs == "fixed")
    return checks.poison(_chain(key, spectrum, signal, given, shift, fixed, accumulate), valid)


def _resolved(spectrum: jax.Array, given: Rounds) -> jax.Array:
    floor = 100 * float(jnp.finfo(spectrum.dtype).eps) * spectrum.max()
    return checks.require(
        "schedule.ridge relative to the smallest that this precision resolves",
        given.ridge.min() / floor,
        lambda x: x >= 1,
        f"at least 1 in a simulation with dtype {jnp.dtype(spectrum.dtype).name}",
        f"Use a larger ridge, theory for the ridgeless limit, or {checks.FLOAT64}",
    )


def _constant(name: str, numbers: jax.Array) -> jax.Array:
    return checks.require(
        f"the change of schedule.{name} over the generations",
        jnp.abs(numbers - numbers[0]).max(),
        lambda x: x == 0,
        "0 where these data are fixed",
        'Use "fresh" data',
    )


@partial(jax.jit, static_argnums=(5, 6))
def _chain(
    key: jax.Array,
    spectrum: jax.Array,
    signal: jax.Array,
    given: Rounds,
    shift: jax.Array,
    fixed: tuple[bool, bool],
    accumulate: bool,
) -> Risk:
    dim, dtype = spectrum.size, spectrum.dtype
    truth_key, shift_key, first_key, chain_key = jax.random.split(key, 4)
    w0 = jnp.sqrt(signal) * jax.random.normal(truth_key, (dim,), dtype)
    labeller = w0 + jnp.sqrt(shift) * jax.random.normal(shift_key, (dim,), dtype)
    first = _draw(first_key, dim, jax.tree.map(lambda leaf: leaf[0], given)) if any(fixed) else None

    def generation(state: tuple[jax.Array, Kept], inputs: tuple[jax.Array, Rounds]) -> tuple[Any, Risk]:
        labeller, kept = state
        key, now = inputs
        draws = _draw(key, dim, now)
        if first is not None:
            draws = _with_fixed(first, draws, fixed)
        fitted, grown, parts = _generation(spectrum, w0, labeller, kept, now, draws)
        return (fitted, grown if accumulate else kept), parts

    nothing = Kept(jnp.zeros((dim, dim), dtype), jnp.zeros(dim, dtype), jnp.zeros((), dtype))
    keys = jax.random.split(chain_key, given.ridge.size)
    return jax.lax.scan(generation, (labeller, nothing), (keys, given))[1]


def _draw(key: jax.Array, dim: int, now: Rounds) -> Draws:
    design_key, projection_key, noise_key = jax.random.split(key, 3)
    designs = wishart.draw(design_key, dim, now.counts)
    projections = None if now.width is None else wishart.draw(projection_key, dim, now.width[None])
    return Draws(designs, projections, jax.random.normal(noise_key, (2, dim), now.ridge.dtype))


def _with_fixed(first: Draws, draws: Draws, fixed: tuple[bool, bool]) -> Draws:
    """The designs of fixed sources, and the noise of fixed real labels, as the first generation drew them."""
    normals, chi = (
        jnp.stack([a[source] if use else b[source] for source, use in enumerate(fixed)])
        for a, b in zip(first.designs, draws.designs, strict=True)
    )
    noise = draws.noise.at[0].set(first.noise[0]) if fixed[0] else draws.noise
    return Draws(wishart.Draws(normals, chi), draws.projections, noise)


@one_at_a_time
def _generation(
    spectrum: jax.Array, w0: jax.Array, labeller: jax.Array, kept: Kept, now: Rounds, draws: Draws
) -> tuple[jax.Array, Kept, Risk]:
    """The fitted coefficients, all synthetic data so far, and the parts of the error."""
    present = spectrum > 0
    root = jnp.where(present, jnp.sqrt(jnp.where(present, spectrum, 1)), 0)
    real, synthetic = (root[:, None] * factor for factor in wishart.factors(draws.designs))
    noise = now.noise[:, None] * draws.noise
    grown = Kept(
        kept.gram + gram(synthetic),
        kept.labels + product(synthetic, product(synthetic.T, labeller) + noise[1]),
        kept.samples + now.counts[1],
    )
    n = now.counts[0] + grown.samples
    scales = now.weights / n
    moments = scales[0] * gram(real) + scales[1] * grown.gram
    projection = None
    if draws.projections is not None:
        projection = wishart.factors(draws.projections)[0] / math.sqrt(spectrum.size)
        half = product(projection, inverse_root(_with_ridge(congruence(projection, moments), now.ridge)))
    else:
        half = inverse_root(_with_ridge(moments, now.ridge))

    def fit(labels: jax.Array) -> jax.Array:
        return product(half, product(half.T, labels))

    true = scales[0] * product(real, product(real.T, w0))
    fitted = fit(true + scales[0] * product(real, noise[0]) + scales[1] * grown.labels)
    honest = fit(product(moments, w0)) - w0
    noisy = fit(scales[0] * product(real, noise[0]) + scales[1] * product(synthetic, noise[1]))
    bias, variance, total = ((spectrum * error**2).sum() for error in (honest, noisy, fitted - w0))
    return fitted, grown, Risk(bias, variance, total - bias - variance)


def _with_ridge(moments: jax.Array, ridge: jax.Array) -> jax.Array:
    return moments + ridge * jnp.eye(moments.shape[0], dtype=moments.dtype)
