"""Ridge-regularised linear classifiers of drawn samples, many of them on the same inputs.

Conjugate gradients need the inputs only in products with vectors. For a batch of problems that share their key, as in a sweep,
these are products with a matrix, and inputs are drawn and read once. What conjugate gradients leave is Newton's.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

CONJUGATE, NEWTON = 150, 60  # steps
SETTLED = 1e-5  # of the weights: their relative error is at most the gradient over ridge times weights


class Drawn(NamedTuple):
    """Samples before selection. Inputs are ``noise`` plus ``offset`` along the first axis; the noise is the key's alone."""

    noise: jax.Array  # (n, d)
    offset: jax.Array  # (n,)
    labels: jax.Array  # (n,)
    kept: jax.Array  # (n,) 1 or 0


class Descent(NamedTuple):
    """Where the weights are, with their scores and gradient; a direction with its scores; the step's length, steps taken."""

    weights: jax.Array
    scores: jax.Array
    gradient: jax.Array
    direction: jax.Array
    moved: jax.Array
    length: jax.Array
    taken: jax.Array


def fit(drawn: Drawn, ridge: jax.Array, squared: bool) -> jax.Array:
    """(d,) weights that minimise ``mean(kept loss(labels scores)) + (ridge / 2) |w|^2``."""
    samples, dim = drawn.noise.shape
    dtype = drawn.noise.dtype
    # Both layouts: a product runs along the rows of its matrix.
    turned = jax.lax.optimization_barrier(drawn.noise.T)
    rounding = 4 * float(jnp.finfo(dtype).eps)

    def scores_of(weights: jax.Array) -> jax.Array:
        return jnp.dot(weights, turned, precision="highest") + drawn.offset * weights[0]

    def pulled(factors: jax.Array) -> jax.Array:
        """Inputs times a factor for each sample."""
        return jnp.dot(factors, drawn.noise, precision="highest").at[0].add(drawn.offset @ factors)

    def losses(scores: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Minus the derivative of each sample's loss in its score, and the second derivative."""
        kept = drawn.kept / samples
        if squared:
            return kept * (drawn.labels - scores), kept
        miss = jax.nn.sigmoid(-drawn.labels * scores)
        return kept * drawn.labels * miss, kept * miss * (1 - miss)

    def descent(weights: jax.Array, scores: jax.Array) -> jax.Array:
        """Minus the objective's gradient."""
        return pulled(losses(scores)[0]) - ridge * weights

    def newton_length(state: Descent) -> jax.Array:
        bend = (losses(state.scores)[1] * state.moved**2).sum() + ridge * (state.direction @ state.direction)
        return (state.gradient @ state.direction) / jnp.maximum(bend, 1e-30)

    def step(state: Descent) -> Descent:
        weights = state.weights + state.length * state.direction
        scores = state.scores + state.length * state.moved
        gradient = descent(weights, scores)
        # Along a convex function's line the slope rises: a step is good if it is not far beyond the lowest point.
        good = gradient @ state.direction > -0.5 * (state.gradient @ state.direction)
        change = gradient - state.gradient
        turn = jnp.maximum(gradient @ change / jnp.maximum(state.gradient @ state.gradient, 1e-30), 0)
        direction = gradient + turn * state.direction
        direction = jnp.where(direction @ gradient > 0, direction, gradient)
        new = Descent(weights, scores, gradient, direction, scores_of(direction), state.length, state.taken)
        new = new._replace(length=newton_length(new))
        old = state._replace(length=state.length / 4)
        chosen = jax.tree.map(lambda a, b: jnp.where(good, a, b), new, old)
        return chosen._replace(taken=state.taken + 1)

    def unsettled(weights: jax.Array, gradient: jax.Array) -> jax.Array:
        return gradient @ gradient > SETTLED**2 * ridge**2 * (weights @ weights) + rounding**2

    zero = jnp.zeros(dim, dtype)
    gradient = descent(zero, jnp.zeros(samples, dtype))
    start = Descent(zero, jnp.zeros(samples, dtype), gradient, gradient, scores_of(gradient), ridge, jnp.zeros((), int))
    start = start._replace(length=newton_length(start))
    near = jax.lax.while_loop(lambda s: unsettled(s.weights, s.gradient) & (s.taken < CONJUGATE), step, start)

    def newton(state: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        weights, scores, gradient, count = state
        inputs = drawn.noise.at[:, 0].add(drawn.offset)
        stiff = losses(scores)[1]
        hessian = jnp.matmul(inputs.T, stiff[:, None] * inputs, precision="highest") + ridge * jnp.eye(dim, dtype=dtype)
        move = jnp.linalg.solve(hessian, gradient)
        moved = scores_of(move)

        def shorter(length: jax.Array) -> jax.Array:
            return length / 4

        def too_long(length: jax.Array) -> jax.Array:
            new = losses(scores + length * moved)[0] @ moved - ridge * ((weights + length * move) @ move)
            return (new < -0.5 * (gradient @ move)) & (length > 1e-6)

        length = jax.lax.while_loop(too_long, shorter, jnp.ones((), dtype))
        weights, scores = weights + length * move, scores + length * moved
        return weights, scores, descent(weights, scores), count + 1

    def going(state: tuple[Any, ...]) -> jax.Array:
        return unsettled(state[0], state[2]) & (state[3] < NEWTON)

    return jax.lax.while_loop(going, newton, (near.weights, near.scores, near.gradient, jnp.zeros((), int)))[0]
