"""Students of inputs that all look alike within their class: few samples in very many dimensions."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from collapse_jax import checks
from collapse_jax.theory.student import residual

STEPS, HALVINGS = 100, 30


class Lookalike(NamedTuple):
    """A student of inputs that look alike.

    Attributes:
        weights: (2, 2) how much each sample of a class (rows: y = +1, -1) with a right or a wrong label (columns) pulls:
            the paper's A, B (first row) and D, C (second).
        scores: (2,) the student's score of a fresh input of each class.
        accuracy: () share of the classes that it answers rightly: 0, 1/2 or 1.
    """

    weights: jax.Array
    scores: jax.Array
    accuracy: jax.Array


def lookalike_student(counts: Any, samples: Any, ridge: Any, *, same: Any, other: Any) -> Lookalike:
    """The exact logistic student of unit inputs whose products depend on their classes alone.

    It minimises ``(1/N) sum_i q_i log(1 + exp(-y'_i x_i.w)) + (ridge / 2) |w|**2`` where ``x_i.x_j`` is ``same`` for two
    samples of one class and ``other`` for two of different classes: the limit of very many dimensions at fixed N.

    Args:
        counts: (2, 2) kept samples of each class (rows: y = +1, -1) with right and with wrong labels (columns), at least 0.
        samples: N > 0, before selection.
        ridge: above 0.
        same: a, above 0 and at most 1.
        other: b, from -a to a. The paper has -a (means of opposite sign) and 0 (orthogonal means).

    Returns:
        :class:`Lookalike`, differentiable but for its accuracy; batch it with ``jax.vmap``.

    Raises:
        ValueError: for values outside their ranges.

    Source: *Beyond Model Collapse*, Condition E.1 and Proposition F.1, (31): four equations for A, B, C, D with
    ``gamma = N ridge`` and ``R = 1 - a``; here two, for the classes' scores. As N grows, its Theorem 4.2.

    Example:
        >>> student = lookalike_student([[60.0, 40.0], [55.0, 45.0]], 200.0, 0.1, same=0.3, other=-0.3)
        >>> student.scores.round(3).tolist(), float(student.accuracy)
        ([0.128, -0.128], 1.0)
    """
    counts = checks.real("counts", counts)
    checks.shape("counts", counts, (2, 2), "for each class, kept samples with right and with wrong labels")
    numbers = {"samples": samples, "ridge": ridge, "same": same, "other": other}
    arrays = {name: checks.real(name, value, counts.dtype) for name, value in numbers.items()}
    for name, array in arrays.items():
        checks.scalar(name, array)
    valid = checks.at_least_zero("counts", counts)
    valid &= checks.above_zero("samples", arrays["samples"]) & checks.above_zero("ridge", arrays["ridge"])
    valid &= checks.require("same", arrays["same"], lambda x: (x > 0) & (x <= 1), "above 0 and at most 1")
    room = arrays["same"] - jnp.abs(arrays["other"])
    valid &= checks.require(
        "same less the size of other", room, lambda x: x >= 0, "at least 0, as for products of vectors"
    )
    gamma = arrays["samples"] * arrays["ridge"]
    return checks.poison(_lookalike(counts, gamma, arrays["same"], arrays["other"]), valid)


@jax.jit
def _lookalike(counts: jax.Array, gamma: jax.Array, same: jax.Array, other: jax.Array) -> Lookalike:
    kernel = jnp.stack([jnp.stack([same, other]), jnp.stack([other, same])])
    truth = jnp.array([1.0, -1], counts.dtype)

    def weights(scores: jax.Array) -> jax.Array:
        """What each sample pulls: a proximal residual, for it meets its own input with product 1, not ``same``."""
        margins = jnp.stack([truth * scores, -truth * scores], 1)
        return residual(margins, jnp.full_like(margins, (1 - same) / gamma)) / gamma

    def excess(pull: jax.Array) -> jax.Array:
        """Zero where the classes' sums of signed weights are those of the scores that they make."""
        signed = (counts * weights(kernel @ pull)) @ jnp.array([1.0, -1], counts.dtype)
        return pull - truth * signed

    def solve(_: Any, start: jax.Array) -> jax.Array:
        return _damped_newton(excess, kernel, start)

    def tangent(linear_map: Any, value: jax.Array) -> jax.Array:
        return jnp.linalg.solve(jax.jacobian(linear_map)(jnp.zeros_like(value)), value)

    pull = jax.lax.custom_root(excess, jnp.zeros(2, counts.dtype), solve, tangent)
    scores = kernel @ pull
    right = jnp.where(scores * truth > 0, 1.0, jnp.where(scores == 0, 0.5, 0.0))
    return Lookalike(weights(scores), scores, right.mean())


def _damped_newton(excess: Any, kernel: jax.Array, start: jax.Array) -> jax.Array:
    """Root of ``excess``; ``kernel @ excess`` is the gradient of a convex function, whose slope a step may not turn up."""
    tolerance = jnp.finfo(start.dtype).eps ** 0.75

    def step(state: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        pull, _, count = state
        gap = excess(pull)
        move = -jnp.linalg.solve(jax.jacfwd(excess)(pull), gap)
        fall = (kernel @ gap) @ move

        def too_long(length: jax.Array) -> jax.Array:
            slope = (kernel @ excess(pull + length * move)) @ move
            return (slope > -0.25 * fall) & (length > 0.5**HALVINGS)

        length = jax.lax.while_loop(too_long, lambda length: length / 2, jnp.ones((), start.dtype))
        new = pull + length * move
        return new, jnp.abs(move).max() / jnp.maximum(jnp.abs(new).max(), 1e-30), count + 1

    def go_on(state: tuple[jax.Array, ...]) -> jax.Array:
        return (state[1] > tolerance) & (state[2] < STEPS)

    return jax.lax.while_loop(go_on, step, (start, jnp.ones((), start.dtype), jnp.zeros((), int)))[0]
