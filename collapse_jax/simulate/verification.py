"""Students of verified labels, drawn and fitted; and a verifier before ridge regression on synthetic data."""

from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from collapse_jax import checks
from collapse_jax.risk import Risk
from collapse_jax.simulate.logistic import Drawn, fit
from collapse_jax.verification import Given, Verified, bivariate, given


class Student(NamedTuple):
    """As :class:`collapse_jax.theory.Student`, and ``kept``, the number of samples that the verifier kept."""

    accuracy: jax.Array
    agreement: jax.Array
    cosine: jax.Array
    kept: jax.Array


def verified_student(
    key: jax.Array,
    problem: Verified,
    samples: int,
    dim: int,
    ridge: Any,
    *,
    loss: Literal["logistic", "squared"] = "logistic",
) -> Student:
    """One student, trained on synthetic labels that the verifier kept.

    Args:
        key: a ``jax.random.key``.
        problem: as for :func:`collapse_jax.theory.verified_student`.
        samples: as there, before selection; static.
        dim: as there, at least 3; static.
        ridge: as there.
        loss: as there.

    Returns:
        :class:`Student`; its accuracies are exact for the weights found.

    Raises:
        ValueError: as the theory.

    Example:
        >>> import collapse_jax as cj
        >>> student = cj.simulate.verified_student(jax.random.key(0), cj.Verified(1.5, error=0.2), 2000, 20, 1e-2)
        >>> bool(student.agreement > 0.9), float(student.kept)
        (True, 2000.0)
    """
    if loss not in ("logistic", "squared"):
        raise ValueError(f'loss is {loss!r}; it must be "logistic" or "squared"')
    for name, value, least in (("samples", samples, 1), ("dim", dim, 3)):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ValueError(f"{name} is {value!r}; it must be a whole number, at least {least}")
    numbers, valid = given(problem)
    ridge = checks.real("ridge", ridge, numbers.separation.dtype)
    checks.scalar("ridge", ridge)
    valid &= checks.above_zero("ridge", ridge)
    return checks.poison(_student(key, numbers, ridge, samples, dim, loss == "squared"), valid)


@partial(jax.jit, static_argnums=(3, 4, 5))
def _student(key: jax.Array, numbers: Given, ridge: jax.Array, samples: int, dim: int, squared: bool) -> Student:
    drawn = draw(key, numbers, samples, dim)
    weights = fit(drawn, ridge, squared)
    s = numbers.separation
    cosine = weights[0] / jnp.maximum(jnp.linalg.norm(weights), 1e-30)
    own = s * cosine
    both = bivariate(own, s, cosine) + bivariate(-own, -s, cosine)
    return Student(jax.scipy.special.ndtr(own), both, cosine, drawn.kept.sum())


def draw(key: jax.Array, numbers: Given, samples: int, dim: int) -> Drawn:
    """Samples with labels of both classes, and which of them the verifier keeps."""
    input_key, label_key, flip_key, keep_key = jax.random.split(key, 4)
    s, dtype = numbers.separation, numbers.separation.dtype
    noise = jax.random.normal(input_key, (samples, dim), dtype)
    truth = jax.random.rademacher(label_key, (samples,), dtype)
    offset = s * truth
    if numbers.generator is None:
        assert numbers.error is not None
        flipped = jax.random.uniform(flip_key, (samples,), dtype) < numbers.error
        labels = jnp.where(flipped, -truth, truth)
    else:
        cosine, sine = jnp.cos(numbers.generator), jnp.sin(numbers.generator)
        labels = jnp.where(cosine * (noise[:, 0] + offset) + sine * noise[:, 1] > 0, 1, -1).astype(dtype)
    chance = jnp.where(labels == truth, numbers.kept_right, numbers.kept_wrong)
    kept = jax.random.uniform(keep_key, (samples,), dtype) < chance
    if numbers.verifier is not None:
        verifier = _verifier(numbers)
        kept &= labels * (noise[:, :3] @ verifier + offset * verifier[0]) > 0
    return Drawn(noise, offset, labels, kept.astype(dtype))


def _verifier(numbers: Given) -> jax.Array:
    """(3,) the verifier's weights where the truth is (1, 0, 0) and the generator (cos, sin, 0)."""
    assert numbers.generator is not None
    assert numbers.verifier is not None
    assert numbers.correlation is not None
    cosine, sine = jnp.cos(numbers.generator), jnp.sin(numbers.generator)
    along = jnp.cos(numbers.verifier)
    beside = jnp.where(sine > 1e-12, (numbers.correlation - cosine * along) / jnp.where(sine > 1e-12, sine, 1), 0)
    return jnp.stack([along, beside, jnp.sqrt(jnp.maximum(1 - along**2 - beside**2, 0))])


def verified_risk(
    key: jax.Array,
    spectrum: Any,
    signal: Any,
    shift: Any,
    ridge: Any,
    *,
    real: int,
    synthetic: int,
    noise: Any = 0.0,
    radius: Any,
    verifier: Any = 0.0,
) -> Risk:
    """Ridge regression on real samples and on those synthetic ones whose label a verifier finds near enough.

    The synthetic labels come from a model that is off by ``shift``; the verifier is a model that is off by ``verifier``, and
    keeps a sample if their labels differ by at most ``radius``: a mitigation of strong collapse.

    Args:
        key: a ``jax.random.key``.
        spectrum: (d,) eigenvalues of all inputs.
        signal: (d,) second moments of the truth's coefficients, or one number.
        shift: (d,) second moments of the error of the synthetic labels' model, or one number.
        ridge: above 0.
        real: number of real samples, static.
        synthetic: number of synthetic ones before selection, static.
        noise: standard deviation of the noise in all labels.
        radius: largest difference of labels that passes; infinite for no selection.
        verifier: (d,) second moments of the error of the verifier, or one number; 0 for the truth itself.

    Returns:
        :class:`~collapse_jax.Risk` of one draw: ``bias`` and ``variance`` of the same inputs with the truth's labels,
        ``collapse`` what the synthetic labels' errors change.

    Example:
        >>> import collapse_jax as cj
        >>> def error(key, radius):
        ...     samples = {"real": 100, "synthetic": 900}
        ...     return cj.simulate.verified_risk(key, jnp.ones(20), 1 / 20, 0.5 / 20, 1e-3, radius=radius, **samples)
        >>> keys = jax.random.split(jax.random.key(0), 8)
        >>> checked, unchecked = (jax.vmap(error, (0, None))(keys, r).total.mean() for r in (0.2, jnp.inf))
        >>> bool(checked < 0.5 * unchecked)
        True
    """
    spectrum = checks.real("spectrum", spectrum)
    dtype, dim = spectrum.dtype, spectrum.size
    numbers = {"signal": signal, "shift": shift, "verifier": verifier}
    arrays = {name: jnp.broadcast_to(checks.real(name, x, dtype), (dim,)) for name, x in numbers.items()}
    ridge, noise, radius = (
        checks.real(n, x, dtype) for n, x in (("ridge", ridge), ("noise", noise), ("radius", radius))
    )
    valid = checks.above_zero("ridge", ridge) & checks.at_least_zero("noise", noise)
    valid &= checks.require("radius", radius, lambda x: x >= 0, "at least 0")
    for name, array in {"spectrum": spectrum, **arrays}.items():
        valid &= checks.at_least_zero(name, array)
    return checks.poison(_verified_risk(key, spectrum, arrays, ridge, noise, radius, real, synthetic), valid)


@partial(jax.jit, static_argnums=(6, 7))
def _verified_risk(
    key: jax.Array,
    spectrum: jax.Array,
    moments: dict[str, jax.Array],
    ridge: jax.Array,
    noise: jax.Array,
    radius: jax.Array,
    real: int,
    synthetic: int,
) -> Risk:
    dtype, dim = spectrum.dtype, spectrum.size
    keys = jax.random.split(key, 5)
    truth, off, doubt = (
        jnp.sqrt(moments[name]) * jax.random.normal(k, (dim,), dtype)
        for name, k in zip(("signal", "shift", "verifier"), keys[:3], strict=True)
    )
    inputs = jnp.sqrt(spectrum)[None] * jax.random.normal(keys[3], (real + synthetic, dim), dtype)
    own = noise * jax.random.normal(keys[4], (real + synthetic,), dtype)
    is_real = jnp.arange(real + synthetic) < real
    wrong = jnp.where(is_real, 0, inputs @ off)
    passed = is_real | (jnp.abs(wrong + own - inputs @ doubt) <= radius)
    pull = passed.astype(dtype)
    n = pull.sum()
    gram = jnp.matmul(inputs.T, pull[:, None] * inputs, precision="highest") / n + ridge * jnp.eye(dim, dtype=dtype)
    right = jnp.stack([inputs @ truth, own, wrong], 1) * pull[:, None]
    fits = jnp.linalg.solve(gram, inputs.T @ right / n)
    honest, noisy, all_ = fits[:, 0] - truth, fits[:, 1], fits.sum(1) - truth
    bias, variance, total = ((spectrum * error**2).sum() for error in (honest, noisy, all_))
    return Risk(bias, variance, total - bias - variance)
