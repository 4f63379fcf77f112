"""The fixed point behind a student of verified labels: a convex problem in five numbers.

For n and d large at a fixed ratio, the student's weights are a vector ``a`` in the span of truth, generator and verifier, and
a Gaussian of length r in all other directions. With the loss's Moreau envelope ``M(eta; V) = min_z loss(z) + (z - eta)^2 / 2V``
at the score ``eta = u.a + r G`` of a sample that the student has not seen, they are the saddle point of

    L(a, r, V) = (ridge / 2) (|a|^2 + r^2) + E[q M(eta; V)] - r^2 d / (2 V n),

a maximum in V, and then convex in (a, r). So damped Newton steps on (a, r), with V found anew at each, settle from any start.

The expectation is an integral over the score alone: given it, the other directions are Gaussian, and the probability that
labels and verifier pass is a normal one. Its nodes are laid where the integrand turns: at both ends of the stretch in which the
residual is straight, at the planes of generator and verifier, and in the Gaussian's own units.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from collapse_jax.verification import Given, bivariate

REACH = 10.0  # standard deviations of a score
SOFT = np.array([-20.0, -10, -4, 0, 4, 10, 20, 40])  # nodes' stretches around a turn of the residual
BELL = np.array([-10.0, -5, -2.5, 0, 2.5, 5, 10])  # of the Gaussian
PLANE = np.array([-8.0, -4, -1.3, 1.3, 4, 8])  # of the normal probability at a plane
LEGENDRE = np.polynomial.legendre.leggauss(8)
PROXIMAL, INNER, OUTER = 60, 60, 150


class Law(NamedTuple):
    """Kept samples of the class y = +1, by the label that they carry; the other class is their mirror image."""

    separation: jax.Array
    kept: jax.Array  # (2,) factors of right and wrong labels
    planes: jax.Array  # (P, 3) unit normals of the generator's plane and the verifier's, P = 0, 1, 2
    correlation: jax.Array  # cosine between them


class Place(NamedTuple):
    """The score's law given the student: ``separation rho_0 + t`` times its spread, t standard normal."""

    mean: jax.Array
    spread: jax.Array
    slopes: jax.Array  # (P,) how the sample's distance from each plane follows t
    widths: jax.Array  # (P,) standard deviation of that distance given t
    correlation: jax.Array  # of the two distances given t


class Point(NamedTuple):
    """A student: coordinates in the span, length in the other directions, and log of the envelope's width."""

    a: jax.Array
    r: jax.Array
    log_width: jax.Array


class Problem(NamedTuple):
    """All numbers of the equations."""

    law: Law
    ratio: jax.Array
    ridge: jax.Array


def law_of(numbers: Given) -> Law:
    """The kept samples of a problem, in a basis whose first direction is the truth's."""
    s, dtype = numbers.separation, numbers.separation.dtype
    kept, one = jnp.stack([numbers.kept_right, numbers.kept_wrong]), jnp.ones_like(s)
    if numbers.generator is None:
        assert numbers.error is not None
        return Law(s, kept * jnp.stack([1 - numbers.error, numbers.error]), jnp.zeros((0, 3), dtype), one)
    cosine, sine = jnp.cos(numbers.generator), jnp.sin(numbers.generator)
    generator = jnp.stack([cosine, sine, jnp.zeros_like(s)])
    if numbers.verifier is None:
        return Law(s, kept, generator[None], one)
    assert numbers.correlation is not None
    along = jnp.cos(numbers.verifier)
    beside = (numbers.correlation - cosine * along) / jnp.where(sine > 1e-12, sine, 1)
    beside = jnp.where(sine > 1e-12, beside, jnp.sin(numbers.verifier))
    up = 1 - along**2 - beside**2
    up = jnp.where(up > 1e-14, jnp.sqrt(jnp.where(up > 1e-14, up, 1)), 0)
    return Law(s, kept, jnp.stack([generator, jnp.stack([along, beside, up])]), numbers.correlation)


def kept_mass(law: Law) -> jax.Array:
    """(2,) probabilities that a sample is kept with a right label, and with a wrong one."""
    height = law.separation * law.planes[:, 0]
    return law.kept * jnp.stack([_passes(sign * height, law.correlation) for sign in (1, -1)])


def _passes(heights: jax.Array, correlation: jax.Array) -> jax.Array:
    """Probability that as many standard normal numbers as there are heights stay below them; elementwise in (P, ...)."""
    if heights.shape[0] == 0:
        return jnp.ones(heights.shape[1:], heights.dtype)
    if heights.shape[0] == 1:
        return jax.scipy.special.ndtr(heights[0])
    both = bivariate
    for _ in range(heights.ndim - 1):
        both = jax.vmap(both, (0, 0, None))
    return both(heights[0], heights[1], correlation)


def place_of(law: Law, a: jax.Array, r: jax.Array) -> Place:
    """The score's law; differences of near numbers are written as products."""
    spread = jnp.sqrt(a @ a + r**2)
    away = jnp.cross(jnp.broadcast_to(a, law.planes.shape), law.planes)
    far = jnp.sqrt(r**2 + (away**2).sum(1))
    correlation = law.correlation
    if law.planes.shape[0] == 2:
        correlation = (r**2 * law.correlation + away[0] @ away[1]) / (far[0] * far[1])
    return Place(law.separation * a[0] / spread, spread, law.planes @ a / spread, far / spread, correlation)


def _turns(law: Law, place: Place) -> jax.Array:
    """(3, P or 3) lines ``start + slope t`` at whose roots the kept share turns, and over which widths.

    At each plane; and with two planes where their distances, nearly equal or opposite given t, change places.
    """
    lines = jnp.stack([law.separation * law.planes[:, 0], place.slopes, place.widths])
    if law.planes.shape[0] < 2:
        return lines
    rho = place.correlation
    unit = lines[:2] / place.widths[None]
    wide = jnp.sqrt(2 * jnp.maximum(1 - jnp.abs(rho), 1e-12))
    both = jnp.append(unit[:, 0] - jnp.where(rho > 0, 1, -1) * unit[:, 1], wide)
    return jnp.concatenate([lines, both[:, None]], 1)


def _nodes(law: Law, place: Place, V: jax.Array, sign: int) -> tuple[jax.Array, jax.Array]:
    """Nodes t and weights of the standard normal law, for labels of this sign."""
    dtype = V.dtype
    turn = jnp.log1p(V)
    soft = jnp.asarray(SOFT, dtype)
    margins = jnp.concatenate([turn + soft, -V - turn + soft])
    lines = _turns(law, place)
    safe = jnp.where(jnp.abs(lines[1]) > 1e-6, lines[1], 1e-6)
    plane = (jnp.asarray(PLANE, dtype)[None] * lines[2][:, None] - lines[0][:, None]) / safe[:, None]
    ends = jnp.concatenate([jnp.asarray(BELL, dtype), sign * margins / place.spread - place.mean, plane.ravel()])
    ends = jnp.sort(jnp.clip(ends, -REACH, REACH))
    nodes, weights = (jnp.asarray(x, dtype) for x in LEGENDRE)
    half = jnp.diff(ends) / 2
    t = (ends[:-1, None] + half[:, None] * (1 + nodes[None])).ravel()
    density = jnp.exp(-(t**2) / 2) / math.sqrt(2 * math.pi)
    return t, (half[:, None] * weights[None]).ravel() * density


@jax.custom_jvp
def residual(margin: jax.Array, V: jax.Array) -> jax.Array:
    """Logistic ``f = sigmoid(-z)`` at the proximal point ``z = margin + V f``, elementwise; to full precision at any V."""
    low = jnp.where(margin > -V / 2, jnp.maximum(margin, 0), margin)
    # From here Newton's steps approach the root from one side: the equation bends one way on each side of 0.
    start = jnp.where(margin > -V / 2, low, jnp.minimum(margin + V, 0))

    def step(state: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array, jax.Array]:
        z, _, count = state
        f = jax.nn.sigmoid(-z)
        move = (z - margin - V * f) / (1 + V * f * jax.nn.sigmoid(z))
        return z - move, jnp.abs(move).max(), count + 1

    def go_on(state: tuple[jax.Array, jax.Array, jax.Array]) -> jax.Array:
        return (state[1] > 1e-3 * jnp.finfo(margin.dtype).eps ** 0.25) & (state[2] < PROXIMAL)

    return jax.nn.sigmoid(-jax.lax.while_loop(go_on, step, (start, jnp.ones((), margin.dtype), jnp.zeros((), int)))[0])


@residual.defjvp
def _residual_slope(primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    margin, V = primals
    f = residual(margin, V)
    curvature = f * (1 - f)
    return f, -curvature / (1 + V * curvature) * (tangents[0] + f * tangents[1])


@jax.custom_jvp
def envelope(margin: jax.Array, V: jax.Array) -> jax.Array:
    """The logistic loss's Moreau envelope, elementwise."""
    f = residual(margin, V)
    return jax.nn.softplus(-(margin + V * f)) + V * f**2 / 2


@envelope.defjvp
def _envelope_slope(primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    f = residual(*primals)
    return envelope(*primals), -f * tangents[0] - f**2 / 2 * tangents[1]


class Sample(NamedTuple):
    """Nodes t (2, N) of the scores of kept samples with right and with wrong labels, and their weights."""

    t: jax.Array
    weights: jax.Array


def _samples(law: Law, point: Point) -> Sample:
    """Nodes for both labels. They follow the student, but derivatives are those of the integrand between them."""
    a, r, log_width = jax.lax.stop_gradient(point)
    law = jax.lax.stop_gradient(law)
    place = place_of(law, a, r)
    return Sample(
        *(jnp.stack(x) for x in zip(*(_nodes(law, place, jnp.exp(log_width), s) for s in (1, -1)), strict=True))
    )


def _scored(law: Law, point: Point, sample: Sample) -> tuple[jax.Array, jax.Array]:
    """(2, N) margins of the nodes, and their weights times the probability of being kept."""
    place = place_of(law, point.a, point.r)
    signs = jnp.array([1.0, -1], point.r.dtype)[:, None]
    start = law.separation * law.planes[:, 0]
    heights = (start[:, None, None] + place.slopes[:, None, None] * sample.t[None]) / place.widths[:, None, None]
    passed = _passes(jnp.clip(signs[None] * heights, -38, 38), place.correlation)
    return signs * place.spread * (place.mean + sample.t), law.kept[:, None] * sample.weights * passed


def _potential(problem: Problem, point: Point, sample: Sample) -> jax.Array:
    """L up to a constant: each label's mean envelope is taken out, for moving probabilities do not change their sum."""
    V = jnp.exp(point.log_width)
    margins, weights = _scored(problem.law, point, sample)
    values = envelope(margins, V)
    mean = (weights * values).sum(1, keepdims=True) / jnp.maximum(weights.sum(1, keepdims=True), 1e-300)
    length = point.a @ point.a + point.r**2
    total = (weights * (values - jax.lax.stop_gradient(mean))).sum()
    return problem.ridge / 2 * length + total - point.r**2 / (2 * V * problem.ratio)


def _flat(point: Point) -> jax.Array:
    return jnp.concatenate([point.a, point.r[None], point.log_width[None]])


def _point(flat: jax.Array) -> Point:
    return Point(flat[:3], flat[3], flat[4])


def slopes(problem: Problem, flat: jax.Array) -> jax.Array:
    """(5,) derivatives of L; 0 at the answer."""
    sample = _samples(problem.law, _point(flat))
    return jax.grad(lambda x: _potential(problem, _point(x), sample))(flat)


def _widest(problem: Problem, point: Point) -> jax.Array:
    """The log V that maximises L: ``V^2 (n / d) E[q f^2] = r^2``, by Newton's method inside a bracket."""
    target = 2 * jnp.log(point.r) - jnp.log(problem.ratio)
    tolerance = jnp.finfo(point.r.dtype).eps ** 0.6

    def step(state: tuple[Any, ...]) -> tuple[Any, ...]:
        x, low, high, _, count = state
        V, at = jnp.exp(x), point._replace(log_width=x)
        margins, weights = _scored(problem.law, at, _samples(problem.law, at))
        f = residual(margins, V)
        square = weights * f**2
        excess = 2 * x + jnp.log(square.sum()) - target
        low, high = jnp.where(excess < 0, x, low), jnp.where(excess > 0, x, high)
        new = x - excess * square.sum() / (2 * (square / (1 + V * f * (1 - f))).sum())
        # Downwards the equation bends the right way; upwards a step may not leave what is known.
        new = jnp.where((new > low) & (new < high), jnp.minimum(new, x + 20), (low + high) / 2)
        return new, low, high, jnp.abs(new - x), count + 1

    def go_on(state: tuple[Any, ...]) -> jax.Array:
        return (state[3] > tolerance) & (state[4] < INNER)

    one = jnp.ones((), point.r.dtype)
    return jax.lax.while_loop(go_on, step, (point.log_width, -700 * one, 700 * one, one, jnp.zeros((), int)))[0]


class Descent(NamedTuple):
    """State of the damped Newton steps: where they are, the step to try from there, its length, and what is left."""

    flat: jax.Array
    move: jax.Array
    fall: jax.Array  # slope of the convex function along the step, below 0
    length: jax.Array
    left: jax.Array  # relative size of the whole step
    taken: jax.Array


def solve(problem: Problem) -> tuple[jax.Array, jax.Array]:
    """(5,) a, r and log V at the saddle point, differentiable in the problem; and the relative size of the last step."""
    frozen = jax.lax.stop_gradient(problem)
    found, left = _descend(frozen)

    def tangent(linear_map: Any, value: jax.Array) -> jax.Array:
        return jnp.linalg.solve(jax.jacobian(linear_map)(jnp.zeros_like(value)), value)

    flat = jax.lax.custom_root(lambda x: slopes(problem, x), found, lambda _, start: start, tangent)
    return flat, left


def _descend(problem: Problem) -> tuple[jax.Array, jax.Array]:
    dtype = problem.ridge.dtype
    tolerance = jnp.finfo(dtype).eps ** 0.55

    def planned(flat: jax.Array) -> tuple[jax.Array, jax.Array]:
        """The Newton step at a student with the best V, and the slopes."""
        sample = _samples(problem.law, _point(flat))

        def gradient(x: jax.Array) -> tuple[jax.Array, jax.Array]:
            slope = jax.grad(lambda x: _potential(problem, _point(x), sample))(x)
            return slope, slope

        hessian, slope = jax.jacfwd(gradient, has_aux=True)(flat)
        across, own = hessian[:4, 4], hessian[4, 4]
        convex = hessian[:4, :4] - jnp.outer(across, across) / own
        # Coordinates differ by orders of magnitude: each in units of its own curvature.
        unit = 1 / jnp.sqrt(jnp.maximum(jnp.diagonal(convex), 1e-30))
        scaled = unit[:, None] * convex * unit[None]
        move = -unit * jnp.linalg.solve(scaled, unit * slope[:4])
        return jnp.append(move, -(slope[4] + across @ move) / own), slope

    def step(state: Descent) -> Descent:
        trial = state.flat + state.length * state.move
        trial = trial.at[4].set(_widest(problem, _point(trial)))
        move, slope = planned(trial)
        good = (slope[:4] @ state.move[:4] < -0.25 * state.fall) & jnp.isfinite(move).all()
        left = jnp.abs(move[:4]).max() / jnp.sqrt((trial[:4] ** 2).sum())
        taken = Descent(trial, move, slope[:4] @ move[:4], _longest(trial, move), left, state.taken + 1)
        again = state._replace(length=state.length / 4, taken=state.taken + 1)
        return jax.tree.map(lambda new, old: jnp.where(good, new, old), taken, again)

    def go_on(state: Descent) -> jax.Array:
        return (state.left > tolerance) & (state.taken < OUTER)

    mass = kept_mass(problem.law).sum()
    # That of small weights, or not far beyond it, where residuals no longer are one half.
    V = jnp.minimum(1 / (problem.ratio * (problem.ridge + mass / 4)), 4)
    first = jnp.stack([0 * V, 0 * V, 0 * V, V * jnp.sqrt(problem.ratio * mass / 4), jnp.log(V)])
    one = jnp.ones((), dtype)
    # The first step stays where it is and finds V.
    start = Descent(first, jnp.zeros(5, dtype), -one, one, one, jnp.zeros((), int))
    end = jax.lax.while_loop(go_on, step, start)
    return end.flat + jnp.where(end.left < 1e-3, end.move, 0), end.left


def _longest(flat: jax.Array, move: jax.Array) -> jax.Array:
    """Length of a step that leaves r above a tenth of itself."""
    return jnp.where(move[3] < -0.9 * flat[3], -0.9 * flat[3] / jnp.where(move[3] < 0, move[3], -1), 1)


def squared_solution(problem: Problem) -> jax.Array:
    """(4,) a and r for squared loss, where the residual is ``(label - eta) / (1 + V)`` and all equations have roots."""
    law, ratio, ridge = problem
    mass, pull, second = kept_moments(law)
    # 1 / V = ratio (ridge + mass / (1 + V)), a quadratic equation, its root above 0 written without cancellation.
    middle = ratio * (ridge + mass) - 1
    root = jnp.sqrt(middle**2 + 4 * ratio * ridge)
    V = jnp.where(middle > 0, 2 / (middle + root), (root - middle) / (2 * ratio * ridge))
    a = jnp.linalg.solve(second + ridge * (1 + V) * jnp.eye(3, dtype=V.dtype), pull)
    share = ratio * (V / (1 + V)) ** 2
    missed = mass - 2 * a @ pull + a @ second @ a
    return jnp.append(a, jnp.sqrt(share * missed / (1 - share * mass)))


def kept_moments(law: Law) -> tuple[jax.Array, jax.Array, jax.Array]:
    """E[q], E[q label u] (3,) and E[q u u'] (3, 3): derivatives of the kept mass in the mean of a Gaussian."""
    mean = law.separation * jnp.eye(3, dtype=law.separation.dtype)[0]

    def mass(mean: jax.Array) -> jax.Array:
        height = law.planes @ mean
        return law.kept * jnp.stack([_passes(sign * height, law.correlation) for sign in (1, -1)])

    kept, slope, bend = mass(mean), jax.jacfwd(mass)(mean), jax.jacfwd(jax.jacrev(mass))(mean)
    first = slope + kept[:, None] * mean[None]
    cross = mean[None, :, None] * slope[:, None]
    second = bend + kept[:, None, None] * (jnp.eye(3, dtype=mean.dtype) + jnp.outer(mean, mean))[None]
    return kept.sum(), first[0] - first[1], (second + cross + cross.mT).sum(0)
