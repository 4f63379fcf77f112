"""Labels written by a model and chosen by a verifier: two Gaussian classes, a linear generator, a linear or random verifier.

Inputs are ``x = y s w* + noise`` with labels y = +1, -1 equally likely, a unit vector w*, and noise of variance 1 in each
direction. Everything a student can learn about labels lies in the span of w*, the generator's and the verifier's weights.
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from collapse_jax import checks


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Verified:
    """Synthetic labels and what a verifier keeps of them.

    Args:
        separation: s > 0: half the distance between the classes, in standard deviations; the best accuracy is Phi(s).
        generator: angle between the generator's weights and the truth's, in radians from 0 to pi; None for labels that are
            wrong at random.
        error: probability of a wrong label, where ``generator`` is None.
        kept_right: phi, the probability that the verifier keeps a right label.
        kept_wrong: psi, that it keeps a wrong one. 1 and 1: no verifier; 1 and 0: an oracle.
        verifier: angle of a linear verifier that keeps the labels it would have given itself; needs ``generator``.
        correlation: cosine of the angle between generator and verifier; by default their errors are orthogonal, so
            that it is the product of their cosines. 1 for self-verification, with equal angles.

    Source: *Beyond Model Collapse*, Sections 4 and 5; in its notation ``s = |mu| sqrt(d / (1 - |mu|**2))``.
    """

    separation: Any
    generator: Any = None
    error: Any = None
    kept_right: Any = 1.0
    kept_wrong: Any = 1.0
    verifier: Any = None
    correlation: Any = None


class Given(NamedTuple):
    """A problem's numbers in one dtype; None as in :class:`Verified`."""

    separation: jax.Array
    generator: jax.Array | None
    error: jax.Array | None
    kept_right: jax.Array
    kept_wrong: jax.Array
    verifier: jax.Array | None
    correlation: jax.Array | None


def given(problem: Verified) -> tuple[Given, jax.Array]:
    """The problem ready for a kernel, and the mask of its validity."""
    if not isinstance(problem, Verified):
        raise TypeError(f"problem is a {type(problem).__name__}; make one with cj.Verified")
    if (problem.generator is None) == (problem.error is None):
        raise ValueError("problem needs either generator=, an angle, or error=, a probability of wrong labels")
    if problem.verifier is not None and problem.generator is None:
        raise ValueError(
            "problem.verifier is an angle, so generator= must be one too; describe it by kept_right, kept_wrong"
        )
    separation = checks.real("problem.separation", problem.separation)
    numbers = {name: getattr(problem, name) for name in Given._fields[1:]}
    arrays: dict[str, Any] = {
        name: None if value is None else checks.real(f"problem.{name}", value, separation.dtype)
        for name, value in numbers.items()
    }
    valid = checks.above_zero("problem.separation", separation)
    for name, array in {"separation": separation, **arrays}.items():
        if array is not None:
            checks.scalar(f"problem.{name}", array)
    for name in ("error", "kept_right", "kept_wrong"):
        if arrays[name] is not None:
            valid &= checks.fraction(f"problem.{name}", arrays[name])
    for name in ("generator", "verifier"):
        if arrays[name] is not None:
            valid &= checks.require(
                f"problem.{name}", arrays[name], lambda x: (x >= 0) & (x <= math.pi + 1e-6), "an angle between 0 and pi"
            )
    if arrays["verifier"] is not None:
        cosines = jnp.cos(arrays["generator"]), jnp.cos(arrays["verifier"])
        if arrays["correlation"] is None:
            arrays["correlation"] = cosines[0] * cosines[1]
        room = jnp.sin(arrays["generator"]) * jnp.sin(arrays["verifier"]) - jnp.abs(
            arrays["correlation"] - cosines[0] * cosines[1]
        )
        valid &= checks.require(
            "the room that generator and verifier leave for problem.correlation",
            room,
            lambda x: x >= -1e-6,
            "at least 0: a correlation between the cosines of the sum and of the difference of both angles",
        )
    return Given(separation, **arrays), valid


@jax.custom_jvp
def bivariate(h: jax.Array, k: jax.Array, correlation: jax.Array) -> jax.Array:
    """P(X < h, Y < k) for standard normal X and Y.

    Source: Drezner and Wesolowsky: ``Phi(h) Phi(k)`` plus an integral over the arcsine of the correlation.

    Example:
        >>> zero = jnp.asarray(0.0)
        >>> round(float(bivariate(zero, zero, jnp.asarray(0.5))), 12) == round(1 / 3, 12)
        True
    """
    nodes, weights = (jnp.asarray(x, h.dtype) for x in np.polynomial.legendre.leggauss(64))
    angle = jnp.arcsin(jnp.clip(correlation, -1, 1))
    # Squeezed towards the end, where a correlation of 1 makes the integrand steep.
    share = 1 - ((1 - nodes) / 2) ** 2
    theta = angle * share
    square = h**2 + k**2 - 2 * h * k * jnp.sin(theta)
    tilt = jnp.maximum(jnp.cos(theta) ** 2, 1e-30)
    integral = angle * (weights * (1 - nodes) / 2 * jnp.exp(-square / (2 * tilt))).sum()
    ndtr = jax.scipy.special.ndtr
    return ndtr(h) * ndtr(k) + integral / (2 * math.pi)


@bivariate.defjvp
def _bivariate_slopes(primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    """The density in each direction times what the other still allows; at a correlation of 1 the integral would lose it."""
    h, k, correlation = primals
    tilt = jnp.maximum(1 - correlation**2, 4 * jnp.finfo(h.dtype).eps)
    fall = jnp.sqrt(tilt)
    slope = [
        jnp.exp(-(x**2) / 2) / math.sqrt(2 * math.pi) * jax.scipy.special.ndtr((y - correlation * x) / fall)
        for x, y in ((h, k), (k, h))
    ]
    square = (h - correlation * k) ** 2 / tilt + k**2
    turn = jnp.exp(-square / 2) / (2 * math.pi * fall)
    return bivariate(*primals), slope[0] * tangents[0] + slope[1] * tangents[1] + turn * tangents[2]
