"""When does checking help: rates of a verifier, the breakdown point, and the exact accuracy of a student.

For n and d large at a fixed ratio, the student's weights are a vector ``a`` in the span of truth, generator and verifier, and
a Gaussian of length r in all other directions. With the residual ``f = -loss'(z)`` at the proximal point
``z = prox_V(eta)``, where ``eta = u.a + r G`` is the score of a sample that the student has not seen, they solve

    ridge a = E[q f u],   r**2 = V**2 (n / d) E[q f**2],   1 / V = (n / d) (ridge + E[-q df/deta]).
"""

import math
from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from collapse_jax import checks
from collapse_jax.verification import Given, Verified, bivariate, given

NODES = 20  # along a half line of inputs
SCORES = np.polynomial.hermite_e.hermegauss(20)
REACH = 8.0
STEPS, TOLERANCE, SETTLED = 400, 1e-11, 1e-6
HISTORY = 5
PROXIMAL = 20

Loss = Literal["logistic", "squared"]


class Rates(NamedTuple):
    """What a verifier does to labels.

    Attributes:
        error: () p, the probability that a synthetic label is wrong.
        kept_right: () phi, the probability that a right label is kept.
        kept_wrong: () psi, that a wrong one is kept.
        breakdown: () p* = 1 / (1 + psi / phi): with more errors than this, training on what is kept fails.
    """

    error: jax.Array
    kept_right: jax.Array
    kept_wrong: jax.Array
    breakdown: jax.Array


class Student(NamedTuple):
    """How good a student is.

    Attributes:
        accuracy: () probability that it gives a fresh input its true label.
        agreement: () probability that it answers like the best classifier: the paper's accuracy.
        cosine: () of the angle between its weights and the truth's.
    """

    accuracy: jax.Array
    agreement: jax.Array
    cosine: jax.Array


def verifier_rates(problem: Verified) -> Rates:
    """Error rate of the generator, and what the verifier keeps.

    Args:
        problem: :class:`collapse_jax.Verified`.

    Source: *Beyond Model Collapse*, Theorem 4.2 for p*, Appendix E.6 for linear verifiers with its covariance and psi
    corrected (errata 22 and 23).

    Example:
        >>> import collapse_jax as cj
        >>> rates = cj.theory.verifier_rates(cj.Verified(1.5, generator=jnp.pi / 4, verifier=jnp.pi / 12))
        >>> [round(float(rate), 3) for rate in rates]
        [0.144, 0.967, 0.314, 0.755]
    """
    numbers, valid = given(problem)
    return checks.poison(_rates(numbers), valid)


def _rates(numbers: Given) -> Rates:
    if numbers.generator is None:
        assert numbers.error is not None
        error, right, wrong = numbers.error, numbers.kept_right, numbers.kept_wrong
    else:
        c2 = -numbers.separation * jnp.cos(numbers.generator)
        ndtr = jax.scipy.special.ndtr
        error, right, wrong = ndtr(c2), numbers.kept_right, numbers.kept_wrong
        if numbers.verifier is not None:
            assert numbers.correlation is not None
            c1 = -numbers.separation * jnp.cos(numbers.verifier)
            right *= bivariate(-c1, -c2, numbers.correlation) / ndtr(-c2)
            wrong *= bivariate(c1, c2, numbers.correlation) / error
    return Rates(error, right, wrong, right / (right + wrong))


def breakdown_band(kept_right: Any, kept_wrong: Any, tolerance: Any) -> tuple[jax.Array, jax.Array]:
    """Error rates below which and above which the outcome is sure where kept numbers may be off by a share ``tolerance``.

    Args:
        kept_right: phi in [0, 1].
        kept_wrong: psi in [0, 1].
        tolerance: t in [0, 1): 0 gives the breakdown point twice.

    Source: *Beyond Model Collapse*, Theorem E.3.

    Example:
        >>> [round(float(end), 3) for end in breakdown_band(1.0, 0.5, 0.1)]
        [0.621, 0.71]
    """
    right = checks.real("kept_right", kept_right)
    wrong, t = (checks.real(n, v, right.dtype) for n, v in (("kept_wrong", kept_wrong), ("tolerance", tolerance)))
    valid = checks.fraction("kept_right", right) & checks.fraction("kept_wrong", wrong)
    valid &= checks.require("tolerance", t, lambda x: (x >= 0) & (x < 1), "at least 0 and below 1")
    ends = tuple((1 - sign * t) * right / ((1 - sign * t) * right + (1 + sign * t) * wrong) for sign in (1, -1))
    return checks.poison((ends[0], ends[1]), valid)


def majority(samples: Any, error: Any, kept_right: Any, kept_wrong: Any) -> jax.Array:
    """Probability that more right than wrong labels are kept of n: the accuracy in the limit of very many dimensions.

    There all inputs of a class look alike, and a student's answer is the majority's: 1 below the breakdown point and 0 above it
    as n grows, with a step of width ``1 / sqrt(n)``.

    Args:
        samples: n > 0, before selection; the difference of counts is taken as Gaussian.
        error: p.
        kept_right: phi.
        kept_wrong: psi.

    Source: *Beyond Model Collapse*, Theorem 4.2, Proposition F.1 and Theorem E.3; derived for this library from (31).

    Example:
        >>> [round(float(majority(1000, p, 1.0, 0.5)), 3) for p in (0.6, 2 / 3, 0.7)]
        [1.0, 0.5, 0.025]
    """
    samples = checks.real("samples", samples)
    numbers = {"error": error, "kept_right": kept_right, "kept_wrong": kept_wrong}
    p, right, wrong = (checks.real(name, value, samples.dtype) for name, value in numbers.items())
    valid = checks.above_zero("samples", samples)
    for name, value in zip(numbers, (p, right, wrong), strict=True):
        valid &= checks.fraction(name, value)
    gain = (1 - p) * right - p * wrong
    variance = (1 - p) * right + p * wrong - gain**2
    return checks.poison(jax.scipy.special.ndtr(jnp.sqrt(samples / jnp.maximum(variance, 1e-30)) * gain), valid)


def verified_student(problem: Verified, samples: Any, dim: Any, ridge: Any, *, loss: Loss = "logistic") -> Student:
    """Exact accuracy of a linear student trained on the labels that the verifier kept.

    The student minimises ``(1/n) sum_i q_i loss(y'_i x_i.w) + (ridge / 2) |w|**2``, q_i telling which samples were kept.

    Args:
        problem: :class:`collapse_jax.Verified`.
        samples: n > 0, before selection.
        dim: d > 0; the answer is that of large n and d with this ratio.
        ridge: above 0. Below some 1e-4, with labels that a plane separates, logistic scores grow so large that the
            equations may not settle; the result is then NaN.
        loss: "logistic", ``log(1 + exp(-m))`` of the margin m, or "squared", ``(1 - m)**2 / 2``.

    Returns:
        :class:`Student`. Batch it with ``jax.vmap``.

    Raises:
        ValueError: for values outside their ranges.

    Source: derived for this library (Gordon's comparison, or the cavity method); the regime that *Beyond Model Collapse*
    simulates in Section 5. For d -> infinity at fixed n it is the system of its Proposition F.1.

    Example:
        >>> import collapse_jax as cj
        >>> problem = cj.Verified(1.5, generator=jnp.pi / 4)
        >>> student = cj.theory.verified_student(problem, 10_000, 100, 1e-3)
        >>> checked = cj.theory.verified_student(
        ...     cj.Verified(1.5, generator=jnp.pi / 4, verifier=jnp.pi / 24), 10_000, 100, 1e-3)
        >>> float(student.agreement) < float(checked.agreement)
        True
    """
    if loss not in ("logistic", "squared"):
        raise ValueError(f'loss is {loss!r}; it must be "logistic" or "squared"')
    numbers, valid = given(problem)
    arrays = {"samples": samples, "dim": dim, "ridge": ridge}
    arrays = {name: checks.real(name, value, numbers.separation.dtype) for name, value in arrays.items()}
    for name, array in arrays.items():
        checks.scalar(name, array)
        valid &= checks.above_zero(name, array)
    ratio = arrays["samples"] / arrays["dim"]
    return checks.poison(_student(numbers, ratio, arrays["ridge"], loss == "squared"), valid)


class Seen(NamedTuple):
    """What the student sees: kept samples as nodes in the span of the three directions, and Gaussian beyond the nodes.

    By symmetry of the classes, inputs of the class y = +1 are enough.
    """

    weights: jax.Array  # (J,) probabilities, kept samples only
    labels: jax.Array  # (J,)
    means: jax.Array  # (J, 3) in a basis whose first direction is the truth's
    residual: jax.Array  # (3, 3) covariance around each node


class Mixing(NamedTuple):
    """State of Anderson's mixing: where it is, its last image and gap, differences of gaps and of images, and progress."""

    x: jax.Array
    last: jax.Array
    last_gap: jax.Array
    gaps: jax.Array
    steps: jax.Array
    distance: jax.Array
    taken: jax.Array


def seen(numbers: Given) -> Seen:
    """Nodes and weights of the kept samples' law."""
    s, dtype = numbers.separation, numbers.separation.dtype
    truth = jnp.array([1.0, 0, 0], dtype)
    if numbers.generator is None:
        assert numbers.error is not None
        weights = jnp.stack([(1 - numbers.error) * numbers.kept_right, numbers.error * numbers.kept_wrong])
        return Seen(weights, jnp.array([1.0, -1], dtype), jnp.stack([s * truth, s * truth]), jnp.eye(3, dtype=dtype))
    first = jnp.stack([jnp.cos(numbers.generator), jnp.sin(numbers.generator), jnp.zeros_like(s)])
    line = [_stretch(*ends, s * first[0]) for ends in ((0.0, math.inf), (-math.inf, 0.0))]
    labels, kept = (1.0, -1.0), (numbers.kept_right, numbers.kept_wrong)
    if numbers.verifier is None:
        parts = [
            (kept[i] * mass, jnp.full(NODES, labels[i], dtype), at[:, None] * first[None])
            for i, (at, mass) in enumerate(line)
        ]
        residual = jnp.eye(3, dtype=dtype) - jnp.outer(first, first)
        # The other two directions keep their mean.
        rest = s * (truth - first[0] * first)
        return Seen(*_joined(parts, rest), residual)
    assert numbers.correlation is not None
    second = other_direction(numbers)
    rho, fall = numbers.correlation, jnp.sqrt(jnp.maximum(1 - numbers.correlation**2, 1e-16))
    parts = []
    for i, (at, mass) in enumerate(line):
        edge = -rho * at / fall
        low, high = (edge, jnp.full_like(edge, math.inf)) if i == 0 else (jnp.full_like(edge, -math.inf), edge)
        across, share = jax.vmap(_stretch, (0, 0, None))(low, high, s * second[0])
        points = at[:, None, None] * first[None, None] + across[:, :, None] * second[None, None]
        weights = kept[i] * mass[:, None] * share
        parts.append((weights.ravel(), jnp.full(NODES * NODES, labels[i], dtype), points.reshape(-1, 3)))
    residual = jnp.eye(3, dtype=dtype) - jnp.outer(first, first) - jnp.outer(second, second)
    rest = s * (truth - first[0] * first - second[0] * second)
    return Seen(*_joined(parts, rest), residual)


def other_direction(numbers: Given) -> jax.Array:
    """(3,) unit vector that with the generator spans the plane of generator and verifier."""
    assert numbers.generator is not None
    assert numbers.verifier is not None
    assert numbers.correlation is not None
    cosine, sine = jnp.cos(numbers.generator), jnp.sin(numbers.generator)
    along = jnp.cos(numbers.verifier)
    beside = (numbers.correlation - cosine * along) / jnp.where(sine > 1e-12, sine, 1)
    beside = jnp.where(sine > 1e-12, beside, jnp.sin(numbers.verifier))
    up = jnp.sqrt(jnp.maximum(1 - along**2 - beside**2, 0))
    away = jnp.stack([along, beside, up]) - numbers.correlation * jnp.stack([cosine, sine, 0 * sine])
    length = jnp.linalg.norm(away)
    upwards = jnp.array([0.0, 0, 1], along.dtype)
    return jnp.where(length > 1e-7, away / jnp.where(length > 1e-7, length, 1), upwards)


def _stretch(low: Any, high: Any, mean: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Nodes between two ends, weighted by the normal density around ``mean``."""
    nodes, weights = (jnp.asarray(x, mean.dtype) for x in np.polynomial.legendre.leggauss(NODES))
    low, high = (jnp.clip(jnp.asarray(end, mean.dtype), mean - REACH, mean + REACH) for end in (low, high))
    half = (high - low) / 2
    at = low + half * (1 + nodes)
    return at, half * weights * jnp.exp(-((at - mean) ** 2) / 2) / math.sqrt(2 * math.pi)


def _joined(parts: list[Any], rest: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    weights, labels, means = (jnp.concatenate(column) for column in zip(*parts, strict=True))
    return weights, labels, means + rest[None]


@partial(jax.jit, static_argnums=3)
def _student(numbers: Given, ratio: jax.Array, ridge: jax.Array, squared: bool) -> Student:
    sample = seen(numbers)
    dtype = ridge.dtype
    nodes, node_weights = (jnp.asarray(x, dtype) for x in (SCORES[0], SCORES[1] / SCORES[1].sum()))

    def residuals(eta: jax.Array, label: jax.Array, V: jax.Array) -> tuple[jax.Array, jax.Array]:
        """The residual f and minus its derivative."""
        if squared:
            return (label - eta) / (1 + V), jnp.broadcast_to(1 / (1 + V), eta.shape)
        margin = label * eta

        def step(_: int, m: jax.Array) -> jax.Array:
            miss = jax.nn.sigmoid(-m)
            return m - (m - margin - V * miss) / (1 + V * miss * (1 - miss))

        # From here Newton's steps approach the root from one side: the equation bends one way on each side of 0.
        start = jnp.where(margin > -V / 2, jnp.maximum(margin, 0), jnp.minimum(margin + V, 0))
        m = jax.lax.fori_loop(0, PROXIMAL, step, start)
        miss = jax.nn.sigmoid(-m)
        curvature = miss * (1 - miss)
        return label * miss, curvature / (1 + V * curvature)

    def change(x: jax.Array) -> jax.Array:
        """The equations' right-hand sides, for ``x`` = a, log r and log V."""
        r, V = jnp.exp(x[3]), jnp.exp(x[4])
        a = x[:3]
        spread = jnp.sqrt(r**2 + a @ sample.residual @ a)
        eta = (sample.means @ a)[:, None] + spread * nodes[None]
        f, slope = residuals(eta, sample.labels[:, None], V)
        weights = sample.weights[:, None] * node_weights[None]
        pulled, stiff, square = (weights * f).sum(1), (weights * slope).sum(1), (weights * f**2).sum()
        total = stiff.sum()
        hessian = jnp.einsum("j,jk,jl->kl", stiff, sample.means, sample.means) + total * sample.residual
        gradient = pulled @ sample.means - total * (sample.residual @ a) - ridge * a
        new_a = a + jnp.linalg.solve(hessian + ridge * jnp.eye(3, dtype=dtype), gradient)
        new_V = 1 / (ratio * (ridge + total))
        new_r = new_V * jnp.sqrt(ratio * square)
        return jnp.concatenate([new_a, jnp.log(jnp.stack([new_r, new_V]))])

    def advance(state: Mixing) -> Mixing:
        """Anderson's mixing: plain steps stall where a plane nearly separates the kept labels."""
        new = change(state.x)
        gap = new - state.x
        slot = state.taken % HISTORY
        first = state.taken == 0
        gaps = state.gaps.at[slot].set(jnp.where(first, 0, gap - state.last_gap))
        steps = state.steps.at[slot].set(jnp.where(first, 0, new - state.last))
        normal = gaps @ gaps.T
        floor = 1e-12 * jnp.trace(normal) + 1e-30
        share = jnp.linalg.solve(normal + floor * jnp.eye(HISTORY, dtype=dtype), gaps @ gap)
        move = gap - share @ steps
        limit = 1 + jnp.abs(state.x)
        return Mixing(
            state.x + jnp.clip(move, -limit, limit), new, gap, gaps, steps, jnp.abs(gap).max(), state.taken + 1
        )

    def go_on(state: Mixing) -> jax.Array:
        return (state.distance > TOLERANCE) & (state.taken < STEPS)

    zero = jnp.zeros(5, dtype)
    x = zero.at[4].set(-jnp.log(ratio * (ridge + 0.1)))
    table = jnp.zeros((HISTORY, 5), dtype)
    start = Mixing(x, zero, zero, table, table, jnp.ones((), dtype), jnp.zeros((), int))
    end = jax.lax.while_loop(go_on, advance, start)
    a, r = end.x[:3], jnp.exp(end.x[3])
    # A number that has not settled is not an answer.
    a = jnp.where(end.distance < SETTLED, a, jnp.nan)
    cosine = a[0] / jnp.sqrt(a @ a + r**2)
    return student(numbers.separation, cosine)


def student(separation: jax.Array, cosine: jax.Array) -> Student:
    """What an angle between a student's weights and the truth's means."""
    own = separation * cosine
    both = bivariate(own, separation, cosine) + bivariate(-own, -separation, cosine)
    return Student(jax.scipy.special.ndtr(own), both, cosine)
