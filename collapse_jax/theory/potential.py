"""The exact asymptotic risk of ridge regression on any mixture of sources, from one potential.

Source k (spectrum s_k, share p_k of n samples, weight alpha_k) enters through one number in (0, 1], gamma_k, how much of its
weight is left once the model follows it. With a_k = p_k alpha_k gamma_k and H = sum_k a_k s_k the fixed point is

    gamma_k (1 + alpha_k e_k) = 1,                        e_k = (1/n) sum_i s_ki / (H_i + mu)
    sum_i H_i / (H_i + mu) + d ridge / mu = m             (width m; without projections mu = ridge)

These are the stationarity conditions of

    J = sum_i log(1 + H_i / mu) + sum_k n_k (gamma_k - log gamma_k) + m log mu + d ridge / mu

which is convex in (log gamma, log mu), being made of log-sum-exp and exponential terms. A Newton step whose largest entry
is h / 2, shortened by log(1 + h) / h, therefore descends from everywhere and is quadratic at the end.

The fitted mean is w^ = sum_k a_k s_k w_k / (H + mu). A probe t * s_T on the error moves a by a' and mu by mu' (both at least
0: the Hessian is an M-matrix), and the envelope theorem gives the risk as a sum of squares, so nothing cancels:

    E_test = sum_i s_Ti E(w_0 - w^)_i^2 + sum_k a'_k [ sum_i s_ki E(w_k - w^)_i^2 + v_k ] + mu' sum_i E(w^_i)^2

Nonlinear random features add ``mu_*^2 sum_k a_k`` to the ridge and divide it by mu_1^2 (Gaussian equivalence).
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from collapse_jax.mixture import Mixture
from collapse_jax.risk import Risk
from collapse_jax.theory import effective_ridge as scalar

MAX_STEPS = 200


class Problem(NamedTuple):
    """Everything the fixed point depends on."""

    spectra: jax.Array  # (K, d)
    counts: jax.Array  # (K,)
    weights: jax.Array  # (K,)
    ridge: jax.Array  # ()
    width: jax.Array | None  # ()
    linear: jax.Array  # () mu_1^2 of the features, 1 for projections
    leak: jax.Array  # () mu_*^2 of the features, 0 for projections


class State(NamedTuple):
    """The fixed point."""

    gamma: jax.Array  # (K,)
    mu: jax.Array  # ()
    active: jax.Array  # (K,) a_k = p_k alpha_k gamma_k
    inner: jax.Array  # (d,) H = sum_k a_k s_k


def problem_of(spectra: jax.Array, counts, ridge, width, weights, coefficients) -> Problem:
    """Gather valid inputs; a ridge of 0 becomes a vanishing one."""
    floor = scalar.vanishing(spectra.max(0))
    penalty = jnp.where(ridge > 0, ridge, jax.lax.stop_gradient(floor))
    return Problem(spectra, counts, weights, penalty, width, *coefficients)


def solve(problem: Problem) -> State:
    """The fixed point, differentiable in every number of the problem."""
    start = _start(jax.lax.stop_gradient(problem))

    def equations(unknown: jax.Array) -> jax.Array:
        return _equations(problem, unknown)

    def root(_: Any, start: jax.Array) -> jax.Array:
        return _newton(jax.lax.stop_gradient(problem), start)

    def tangent(linear_map: Any, value: jax.Array) -> jax.Array:
        return jnp.dot(_inverse(jax.jacobian(linear_map)(jnp.zeros_like(value))), value, precision="highest")

    return _state(problem, jax.lax.custom_root(equations, start, root, tangent))


def residual(problem: Problem, state: State) -> jax.Array:
    """Largest relative residual of the equations at a fixed point."""
    return jnp.abs(_equations(problem, _unknown(problem, state))).max()


def respond(problem: Problem, state: State, probe: jax.Array, on_features: bool) -> tuple[jax.Array, jax.Array]:
    """Responses a' (K, q) and mu' (q,) to q probes, each a (d,) row of ``probe`` (q, d) that adds to H.

    A probe on the error of a prediction (``on_features``) sees the nonlinear part of the features; one on the linear
    coefficients does not.
    """
    squared = _squared_resolvent(state)
    seen = jnp.dot(problem.spectra, (squared[None, :] * probe).T, precision="highest")
    pulled = jnp.dot(probe, squared, precision="highest")
    return responses(problem, state, seen, pulled + (_penalty(problem, state)[1] if on_features else 0))


def responses(problem: Problem, state: State, seen: jax.Array, pulled: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Responses a' (K, q) and mu' (q,) to q probes, given by the sums of mu r^2 probe: with each spectrum, and without."""
    pull = problem.weights * state.gamma / problem.counts.sum() / state.mu
    right = pull[:, None] * seen
    if problem.width is not None:
        right = jnp.concatenate([right, pulled[None, :] / problem.width])
    rows = _jacobian(problem, state, _sums(_columns(problem), state))
    response = jnp.dot(_inverse(rows), right, precision="highest")
    sources = problem.counts.size
    rise = state.mu * response[sources] if problem.width is not None else jnp.zeros_like(pulled)
    return state.active[:, None] * response[:sources], rise


def risk(mixture: Mixture, problem: Problem, target: jax.Array) -> Risk:
    """Risk on inputs with spectrum ``target`` (d,)."""
    state = solve(problem)
    active, rise = (response[..., 0] for response in respond(problem, state, target[None, :], on_features=True))
    parts = _squares(mixture, state)

    def total(part: Any) -> jax.Array:
        off, own, norm = part
        sources = (mixture.spectra * own).sum(1)
        return (target * off).sum() + (active * sources).sum() + rise * norm.sum()

    return Risk(total(parts["bias"]), (active * mixture.noise**2).sum(), total(parts["collapse"]))


def direction_errors(mixture: Mixture, problem: Problem) -> Risk:
    """Risk parts (d,) of each coefficient: E(w^_i - w_0i)^2."""
    state = solve(problem)
    squared = _squared_resolvent(state)
    active, rise = responses(problem, state, problem.spectra * squared[None, :], squared)
    parts = _squares(mixture, state)

    def each(part: Any) -> jax.Array:
        off, own, norm = part
        return off + jnp.dot((mixture.spectra * own).sum(1), active, precision="highest") + rise * norm.sum()

    variance = jnp.dot(mixture.noise**2, active, precision="highest")
    return Risk(each(parts["bias"]), variance, each(parts["collapse"]))


def training_loss(mixture: Mixture, problem: Problem) -> jax.Array:
    """Weighted mean squared error on the training labels: the potential L less the penalty ridge * dL/dridge."""

    def objective(ridge: jax.Array) -> jax.Array:
        state = solve(problem._replace(ridge=ridge))
        parts = _squares(mixture, state)
        _, own, norm = jax.tree.map(jnp.add, parts["bias"], parts["collapse"])
        fit = (state.active * ((mixture.spectra * own).sum(1) + mixture.noise**2)).sum()
        return fit + state.mu * norm.sum()

    value, slope = jax.value_and_grad(objective)(problem.ridge)
    return value - problem.ridge * slope


def _squares(mixture: Mixture, state: State) -> dict[str, tuple[jax.Array, jax.Array, jax.Array]]:
    """E(w_0 - w^)^2 (d,), E(w_k - w^)^2 (K, d) and E(w^)^2 (d,), split into bias and collapse."""
    cross, shifts = mixture.shift_moments()
    resolvent = 1 / (state.inner + state.mu)
    share = _share(mixture, state)
    shrunk, kept = state.mu * resolvent, state.inner * resolvent
    pulled_cross = (share * cross).sum(0)
    pulled = (share[None, :, :] * shifts).sum(1)
    spread = (share * pulled).sum(0)
    signal = mixture.signal
    own = jnp.stack([shifts[k, k] for k in range(mixture.sources)])
    bias = (shrunk**2 * signal, jnp.broadcast_to((shrunk**2 * signal)[None, :], share.shape), kept**2 * signal)
    collapse = (
        spread - 2 * shrunk * pulled_cross,
        own - 2 * pulled + spread[None, :] + 2 * shrunk[None, :] * (cross - pulled_cross[None, :]),
        2 * kept * pulled_cross + spread,
    )
    return {"bias": bias, "collapse": collapse}


def _share(mixture: Mixture, state: State) -> jax.Array:
    """(K, d): the mean fit is ``sum_k share_k w_k``."""
    return state.active[:, None] * mixture.spectra / (state.inner + state.mu)[None, :]


def _state(problem: Problem, unknown: jax.Array) -> State:
    sources = problem.counts.size
    gamma = jnp.exp(unknown[:sources])
    mu = problem.ridge if problem.width is None else jnp.exp(unknown[sources])
    active = problem.counts / problem.counts.sum() * problem.weights * gamma
    return State(gamma, mu, active, jnp.dot(active, problem.spectra, precision="highest"))


def _unknown(problem: Problem, state: State) -> jax.Array:
    logs = jnp.log(state.gamma)
    return logs if problem.width is None else jnp.append(logs, jnp.log(state.mu))


def _penalty(problem: Problem, state: State) -> tuple[jax.Array, jax.Array]:
    """D ridge~ / (mu_1^2 mu), and the part of it that one unit of a_k adds."""
    per_unit = problem.spectra.shape[1] / (problem.linear * state.mu)
    leak = problem.leak * per_unit
    return problem.ridge * per_unit + leak * state.active.sum(), leak


class Sums(NamedTuple):
    """Sums over directions with the resolvent r = 1 / (H + mu)."""

    seen: jax.Array  # (K,) sum_i s_ki r_i
    squared: jax.Array  # (K,) sum_i s_ki mu r_i^2
    pairs: jax.Array  # (K, K) sum_i s_ki s_li mu r_i^2


def _columns(problem: Problem) -> tuple[jax.Array, jax.Array]:
    """What the resolvent and its square are summed against, (d, K) and (d, K + K^2): the same at every step."""
    spectra = problem.spectra
    pairs = (spectra[:, None, :] * spectra[None, :, :]).reshape(-1, spectra.shape[1])
    return spectra.T, jnp.concatenate([spectra, pairs]).T


def _sums(columns: tuple[jax.Array, jax.Array], state: State) -> Sums:
    resolvent = 1 / (state.inner + state.mu)
    seen = jnp.dot(resolvent, columns[0], precision="highest")
    squares = jnp.dot(_squared_resolvent(state), columns[1], precision="highest")
    sources = seen.size
    return Sums(seen, squares[:sources], squares[sources:].reshape(sources, sources))


def _squared_resolvent(state: State) -> jax.Array:
    """(d,) mu r^2. Along a direction without variance r^2 = 1 / mu^2 would overflow in float32."""
    resolvent = 1 / (state.inner + state.mu)
    return state.mu * resolvent * resolvent


def _equations(problem: Problem, unknown: jax.Array) -> jax.Array:
    """Relative residuals (K,) or (K + 1,)."""
    state = _state(problem, unknown)
    resolvent = 1 / (state.inner + state.mu)
    return _residuals(problem, state, jnp.dot(problem.spectra, resolvent, precision="highest"))


def _residuals(problem: Problem, state: State, seen: jax.Array) -> jax.Array:
    n = problem.counts.sum()
    if problem.width is None:
        return state.gamma * (1 + problem.weights * seen / n) - 1
    penalty, leak = _penalty(problem, state)
    own = state.gamma * (1 + problem.weights * (seen + leak) / n) - 1
    return jnp.append(own, ((state.active * seen).sum() + penalty) / problem.width - 1)


def _jacobian(problem: Problem, state: State, sums: Sums) -> jax.Array:
    """Hessian of J in (log gamma, log mu), row k divided by n_k and the last by m: off-diagonal entries are at most 0.

    The diagonal is a sum of positive terms: what the other sources and the penalty leave of each source's pull.
    """
    pull = problem.weights * state.gamma / problem.counts.sum()
    shared = sums.pairs * state.active[None, :] / state.mu
    eye = jnp.eye(problem.counts.size, dtype=bool)
    left = sums.squared + jnp.where(eye, 0, shared).sum(1)
    if problem.width is None:
        return jnp.where(eye, (pull * left + state.gamma)[:, None], -pull[:, None] * shared)
    penalty, leak = _penalty(problem, state)
    rows = jnp.where(eye, (pull * (left + leak) + state.gamma)[:, None], -pull[:, None] * shared)
    drop = sums.squared + leak
    corner = (state.active * sums.squared).sum() + penalty
    last = jnp.append(-state.active * drop, corner) / problem.width
    return jnp.concatenate([jnp.concatenate([rows, -(pull * drop)[:, None]], 1), last[None, :]])


def _start(problem: Problem) -> jax.Array:
    """The fixed point of the pooled source: one spectrum, the mean of all by count and weight."""
    pull = problem.counts * problem.weights
    # A tiny share of every source keeps the pool from vanishing where only weightless sources have samples.
    pull = pull + 1e-12 * pull.max() + jnp.where(pull.max() > 0, 0, 1)
    total = pull.sum() / problem.counts.sum()
    pooled = jnp.dot(pull / pull.sum(), problem.spectra, precision="highest")
    n = problem.counts.sum()
    ridge = (problem.ridge + problem.leak * total) / problem.linear
    kappa = scalar.solve(pooled, n, ridge / total, problem.width, nodes=8)
    free = jnp.clip(1 - (pooled / (pooled + kappa)).sum() / n, 1e-12, 1.0)
    logs = jnp.broadcast_to(jnp.log(free), problem.counts.shape)
    return logs if problem.width is None else jnp.append(logs, jnp.log(kappa * total * free))


def _newton(problem: Problem, start: jax.Array) -> jax.Array:
    tolerance = jnp.finfo(start.dtype).eps ** 0.5
    sources = problem.counts.size
    # The gradient of J in log mu is the last equation with its sign turned.
    sign = jnp.where(jnp.arange(start.size) < sources, 1, -1).astype(start.dtype)

    columns = _columns(problem)

    def step(state: tuple[Any, ...]) -> tuple[Any, ...]:
        unknown, _, count = state
        point = _state(problem, unknown)
        sums = _sums(columns, point)
        equations = _residuals(problem, point, sums.seen) * sign
        move = -jnp.dot(_inverse(_jacobian(problem, point, sums)), equations, precision="highest")
        size = 2 * jnp.abs(move).max()
        shortened = jnp.where(size > 1e-3, jnp.log1p(size) / jnp.where(size > 0, size, 1), 1)
        return unknown + shortened * move, size, count + 1

    def going(state: tuple[Any, ...]) -> jax.Array:
        return (state[1] > tolerance) & (state[2] < MAX_STEPS)

    first = (start, jnp.full((), jnp.inf, start.dtype), jnp.zeros((), jnp.int32))
    return jax.lax.while_loop(going, step, first)[0]


def _inverse(matrix: jax.Array) -> jax.Array:
    """Inverse of a small matrix by Gauss-Jordan without pivoting: safe for the M-matrices here, and fast under vmap."""
    size = matrix.shape[0]
    system = jnp.concatenate([matrix, jnp.eye(size, dtype=matrix.dtype)], 1)
    for k in range(size):
        pivot = system[k] / system[k, k]
        system = (system - system[:, k][:, None] * pivot[None, :]).at[k].set(pivot)
    return system[:, size:]
