"""What is lost when the tail goes: exact errors of a model that knows the skills it has seen.

The expected error ``sum_i p_i (1 - q_i)**T`` has infinitely many terms, and at T = 1e12 more than 1e8 of them matter. It is
computed without truncation: the first :data:`HEAD` terms one by one, the others as an integral with end corrections. Where
``T q`` is large the integrand vanishes, where it is small it is p's own tail, whose sum is known; between them lie a few
decades of x, on which Gauss-Legendre nodes in log x converge like those of an analytic function.
"""

import math
from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from collapse_jax import checks
from collapse_jax.skills import Skills, above_one, amplitudes, checked, checked_chain, tail_sum, zipf

HEAD = 96  # skills summed one by one
NODES = 40  # on each side of T q = 1
GONE = 45.0  # exp(-GONE) is nothing
STENCIL = np.arange(-2.5, 3)
# sum - integral = -d/24 + 17 d^3/5760 - 367 d^5/967680 at half-integer ends, d being central differences.
CORRECTION = (
    np.array([0, 0, 1, -1, 0, 0]) / 24
    + 17 / 5760 * np.array([0, -1, 3, -3, 1, 0])
    - 367 / 967680 * np.array([-1, 5, -10, 10, -5, 1])
)

Totals = Literal["fixed", "poisson"]


class TailScaling(NamedTuple):
    """How the error falls with the number of samples.

    Attributes:
        samples: (N,) numbers of samples T.
        error: (N,) exact expected errors.
        slopes: (N,) ``d log(error) / d log(T)``, exact.
        floor: () the error of infinitely many samples: the probability of the skills that the data never show.
    """

    samples: jax.Array
    error: jax.Array
    slopes: jax.Array
    floor: jax.Array


class TailChain(NamedTuple):
    """A chain of models, each trained on samples of the one before.

    Attributes:
        error: (G,) expected error of each generation.
        worth: (G,) how many samples of the first generation's data, and
        worth_real: (G,) how many real ones the training set of each generation is worth, in one generation.
    """

    error: jax.Array
    worth: jax.Array
    worth_real: jax.Array


def tail_error(exponent: Any, data: Skills, samples: Any, *, totals: Totals = "fixed") -> jax.Array:
    """Expected error of a model that answers right exactly on the skills it has seen in T samples.

    Args:
        exponent: beta > 1 of the truth: skill i is asked with probability ``i**-beta / zeta(beta)``.
        data: the law of the training data, :func:`collapse_jax.skills.zipf` and :func:`collapse_jax.skills.mix`.
        samples: T >= 0.
        totals: "fixed": exactly T samples, ``sum_i p_i (1 - q_i)**T``; "poisson": T on average, ``sum_i p_i exp(-T q_i)``.

    Returns:
        () the error, to some ten digits in float64 at any T. Differentiable but for ``first`` and ``last``; batch it with
        ``jax.vmap``.

    Raises:
        ValueError: for values outside their ranges.

    Source: *A Tale of Tails*, (9), and with the data's law Theorems 2.1 (cut), 3.1 (tail data), 3.2 (real data) and
    Corollary 2.3 (narrowing; erratum 20).

    Example:
        >>> import collapse_jax as cj
        >>> real, cut = cj.skills.zipf(1.5), cj.skills.zipf(1.5, last=1000)
        >>> [round(float(cj.theory.tail_error(1.5, data, 1e12)), 7) for data in (real, cut)]
        [9.42e-05, 0.0242039]
    """
    exponent, data, valid = checked(exponent, data)
    samples = checks.real("samples", samples, exponent.dtype)
    checks.scalar("samples", samples)
    valid &= checks.at_least_zero("samples", samples)
    if totals not in ("fixed", "poisson"):
        raise ValueError(f'totals is {totals!r}; it must be "fixed" or "poisson"')
    return checks.poison(_tail_error(exponent, data, samples, totals == "poisson"), valid)


def tail_floor(exponent: Any, data: Skills) -> jax.Array:
    """Error of infinitely many samples: the probability of the skills that the data never show.

    Args:
        exponent: as for :func:`tail_error`.
        data: as there.

    Source: *A Tale of Tails*, Theorem 2.1, ``k**-(beta - 1)``, and Theorem 3.1, (37): ``((N/k)**alpha - 1) N**-alpha``.

    Example:
        >>> import collapse_jax as cj
        >>> cut = cj.skills.zipf(2.0, last=9)
        >>> [round(float(tail_floor(2.0, d)), 4) for d in (cut, cj.skills.mix(0.5, cut, cj.skills.zipf(2.0, first=12)))]
        [0.0639, 0.0111]
    """
    exponent, data, valid = checked(exponent, data)
    given = data.share > 0
    starts = jnp.concatenate([jnp.zeros(1, exponent.dtype), jnp.where(given, data.last, 0)])
    begins, ends = jnp.where(given, data.first, math.inf), jnp.where(given, data.last, 0)
    # A gap begins behind the end of a part that no other part covers, and lasts to the next beginning.
    covered = ((begins[None] <= starts[:, None] + 1) & (ends[None] > starts[:, None])).any(1)
    again = jnp.where(begins[None] > starts[:, None], begins[None], math.inf).min(1)
    same = (starts[:, None] == starts[None]) & (jnp.arange(starts.size)[:, None] > jnp.arange(starts.size)[None])
    gap = tail_sum(exponent, starts + 1) - tail_sum(exponent, again)
    floor = jnp.where(covered | same.any(1), 0, gap).sum() / tail_sum(exponent, jnp.ones_like(exponent))
    return checks.poison(floor, valid)


def tail_scaling(exponent: Any, data: Skills, samples: Any) -> TailScaling:
    """Errors and local slopes for many numbers of samples.

    Args:
        exponent: as for :func:`tail_error`.
        data: as there.
        samples: (N,) numbers above 0.

    Returns:
        :class:`TailScaling`. Its slopes tend to ``-tail_exponent(exponent, data.exponent)`` where skills are being learned and
        to 0 on a plateau.

    Example:
        >>> import collapse_jax as cj
        >>> law = cj.theory.tail_scaling(1.5, cj.skills.zipf(1.5), jnp.array([1e6, 1e12]))
        >>> law.slopes.round(3).tolist(), round(float(cj.theory.tail_exponent(1.5)), 3)
        ([-0.333, -0.333], 0.333)
    """
    exponent, data, valid = checked(exponent, data)
    samples = checks.real("samples", samples, exponent.dtype)
    if samples.ndim != 1:
        raise ValueError(f"samples has shape {samples.shape}; it must be (N,): numbers of samples")
    valid &= checks.above_zero("samples", samples)

    values, slopes = _log_errors(exponent, data, jnp.log(samples))
    return checks.poison(TailScaling(samples, jnp.exp(values), slopes, tail_floor(exponent, data)), valid)


@jax.jit
def _log_errors(exponent: jax.Array, data: Skills, log_samples: jax.Array) -> tuple[jax.Array, jax.Array]:
    def log_error(log_samples: jax.Array) -> jax.Array:
        return jnp.log(_tail_error(exponent, data, jnp.exp(log_samples), False))

    return jax.vmap(lambda x: jax.jvp(log_error, (x,), (jnp.ones_like(x),)))(log_samples)


def tail_exponent(exponent: Any, data_exponent: Any = None) -> jax.Array:
    """The exponent c of ``error ~ T**-c`` where the tail is whole.

    Args:
        exponent: beta > 1 of the truth.
        data_exponent: beta' > 1 of the data; the truth's by default.

    Returns:
        ``(beta - 1) / beta'``: 1 - 1/beta for real data, less for narrowed ones, whose beta' is larger.

    Source: *A Tale of Tails*, (4) and Corollary 2.3 (erratum 20).

    Example:
        >>> round(float(tail_exponent(1.5)), 3), float(tail_exponent(1.5, 2.0))
        (0.333, 0.25)
    """
    exponent = checks.real("exponent", exponent)
    other = exponent if data_exponent is None else checks.real("data_exponent", data_exponent, exponent.dtype)
    valid = above_one("exponent", exponent) & above_one("data_exponent", other)
    return checks.poison((exponent - 1) / other, valid)


def tail_law(exponent: Any, data: Skills, samples: Any) -> jax.Array:
    """The sum of power laws that the error tends to, with its constants: what the theorems leave as "up to constants".

    Args:
        exponent: as for :func:`tail_error`.
        data: as there; one Zipf law (K = 1) that begins with skill 1.
        samples: T > 0, () or (N,).

    Returns:
        ``Gamma(c) / (beta' zeta(beta)) (T a)**-c`` plus the floor of a cut, with a the data's amplitude and
        c = (beta - 1) / beta'. Each term is its limit; where they cross their sum is less than twice the error.

    Source: *A Tale of Tails*, Theorem 2.1 and Corollary 2.3; the constants are those of Lemma C.1.

    Example:
        >>> import collapse_jax as cj
        >>> float((tail_law(1.5, cj.skills.zipf(1.5), 1e9) / cj.theory.tail_error(1.5, cj.skills.zipf(1.5), 1e9)).round(3))
        1.0
    """
    exponent, data, valid = checked(exponent, data)
    if data.parts != 1:
        raise ValueError(f"data has {data.parts} parts; the law is that of one: cj.skills.zipf")
    valid &= checks.require("data.first", data.first, lambda x: x == 1, "1")
    samples = checks.real("samples", samples, exponent.dtype)
    valid &= checks.above_zero("samples", samples)
    other = data.exponent[0]
    c = (exponent - 1) / other
    constant = jnp.exp(jax.lax.lgamma(c)) / (other * tail_sum(exponent, jnp.ones_like(exponent)))
    return checks.poison(constant * (samples * amplitudes(data)[0]) ** -c + tail_floor(exponent, data), valid)


def tail_generations(exponent: Any, samples: Any, real: Any = 0.0, *, data: Skills | None = None) -> TailChain:
    """Expected error of every generation of a chain in which each model is trained on samples of the one before.

    A model that memorises writes what it has read: generation g draws its T_g samples from those of generation g - 1, but for
    a fraction of fresh real ones. A skill that one generation does not draw is lost to the next.

    Args:
        exponent: beta > 1 of the truth.
        samples: (G,) mean numbers of samples above 0. The first generation's come from ``data``.
        real: fraction of real samples, () or (G,), from the second generation on.
        data: the law of the first generation's data; the truth by default.

    Returns:
        :class:`TailChain`, exact for Poisson numbers of samples. With T_g of them exactly, as in the simulation, the errors
        differ by a relative 1 / T.

    Raises:
        ValueError: for values outside their ranges.

    Source: derived for this library. A skill's count is a branching process, so the probability of losing it is
    ``exp(-A q_i)`` with ``A = T_1 u_1``, ``u_(g-1) = 1 - exp(-(T_g / T_(g-1)) u_g)``, ``u_G = 1``: after n equal generations
    A falls like ``2 T / n``. *A Tale of Tails*, Theorem 2.4, has ``n T**-c`` where this gives ``(n / 2)**c T**-c``
    (erratum 21).

    Example:
        >>> import collapse_jax as cj
        >>> chain = cj.theory.tail_generations(1.5, jnp.full(50, 1e6))
        >>> (chain.worth[jnp.array([0, 1, 49])] / 1e6).round(3).tolist()
        [1.0, 0.632, 0.038]
        >>> kept = cj.theory.tail_generations(1.5, jnp.full(50, 1e6), real=0.1)
        >>> (kept.error[-1] / chain.error[0]).round(2).tolist(), (chain.error[-1] / chain.error[0]).round(2).tolist()
        (1.36, 2.96)
    """
    exponent, data, samples, real, valid = checked_chain(exponent, data, samples, real)
    return checks.poison(_tail_chain(exponent, data, samples, real), valid)


@jax.jit
def _tail_chain(exponent: jax.Array, data: Skills, samples: jax.Array, real: jax.Array) -> TailChain:
    worth, worth_real = _worth(samples, real)
    rates = jnp.concatenate(
        [worth[:, None] * amplitudes(data)[None], worth_real[:, None] * amplitudes(zipf(exponent))[None]], 1
    )
    whole = (("exponent", exponent), ("first", 1.0), ("last", math.inf))
    both = Skills(
        jnp.ones(data.parts + 1, exponent.dtype), *(jnp.append(getattr(data, name), value) for name, value in whole)
    )
    error = jax.vmap(lambda rate: _sum(exponent, both, rate, None))(rates)
    return TailChain(error, worth, worth_real)


def _worth(samples: jax.Array, real: jax.Array) -> tuple[jax.Array, jax.Array]:
    """A of the first generation's data and of real data, for each generation: the recursion from each back to the first."""
    length = samples.size
    before = jnp.append(samples[:1], samples[:-1])
    fraction = real.at[0].set(0)

    def back(carry: tuple[jax.Array, jax.Array], g: jax.Array) -> tuple[tuple[jax.Array, jax.Array], None]:
        alive, gained = carry  # (G,) each: one entry a last generation
        alive = jnp.where(g == jnp.arange(length), 1, alive)
        gained += samples[g] * fraction[g] * alive
        passed = -jnp.expm1(-samples[g] / before[g] * (1 - fraction[g]) * alive)
        return (jnp.where(g == 0, alive, passed), gained), None

    start = jnp.zeros_like(samples), jnp.zeros_like(samples)
    (alive, gained), _ = jax.lax.scan(back, start, jnp.arange(length), reverse=True)
    return samples[0] * alive, gained


@partial(jax.jit, static_argnums=3)
def _tail_error(exponent: jax.Array, data: Skills, samples: jax.Array, poisson: bool) -> jax.Array:
    rates = amplitudes(data)
    return _sum(exponent, data, samples * rates, None) if poisson else _sum(exponent, data, rates, samples)


def _sum(exponent: jax.Array, data: Skills, rates: jax.Array, samples: jax.Array | None) -> jax.Array:
    """The sum of ``p_i exp(-r_i)``, or of ``p_i (1 - r_i)**samples``, with r_i the sum of the parts' ``rate i**-exponent``."""
    law = _Law(exponent, data, rates, samples)
    stretches = _stretches(law)
    between = _integrals(law, stretches)
    between += jnp.where(stretches.endless, 0, _correction(law, stretches.rates, stretches.log_high))
    between -= _correction(law, stretches.rates, stretches.log_low)
    total = _head(law) + _never_shown(law) + jnp.where(stretches.some, between, 0).sum()
    return total / tail_sum(exponent, jnp.ones_like(exponent))


class _Law(NamedTuple):
    """Terms of the sum, as functions of the logarithm of the skill's number."""

    exponent: jax.Array
    data: Skills
    rates: jax.Array  # (K,)
    samples: jax.Array | None

    def density(self, log_x: jax.Array) -> jax.Array:
        return jnp.exp(-self.exponent * log_x)

    def log_missed(self, rates: jax.Array, log_x: jax.Array) -> jax.Array:
        """Log of the probability never to see skill x, for ``rates`` (..., K) and ``log_x`` (...)."""
        exponents = self.data.exponent.reshape((1,) * log_x.ndim + (-1,))
        total = (rates * jnp.exp(-exponents * log_x[..., None])).sum(-1)
        if self.samples is None:
            return -total
        return self.samples * jnp.log1p(-jnp.minimum(total, 1 - float(jnp.finfo(total.dtype).eps)))


class _Stretches(NamedTuple):
    """2 K - 1 stretches of skills beyond the head, between which the same parts are present."""

    rates: jax.Array  # (2 K - 1, K) of the parts that are there
    here: jax.Array  # (2 K - 1, K)
    log_low: jax.Array
    log_high: jax.Array  # infinite for the last of an endless part
    endless: jax.Array
    some: jax.Array  # False for an empty stretch


def _head(law: _Law) -> jax.Array:
    """The first terms one by one."""
    data = law.data
    skills = jnp.arange(1.0, HEAD + 1, dtype=law.exponent.dtype)
    present = (data.first[None] <= skills[:, None]) & (skills[:, None] <= data.last[None])
    log_skills = jnp.log(skills)
    missed = law.log_missed(jnp.where(present, law.rates[None], 0), log_skills)
    return (law.density(log_skills) * jnp.exp(missed)).sum()


def _ends(data: Skills) -> jax.Array:
    """(2 K) last skills before a part begins, and of parts, in order, beyond the head."""
    return jnp.maximum(jnp.sort(jnp.concatenate([data.first - 1, data.last])), HEAD)


def _never_shown(law: _Law) -> jax.Array:
    """Skills beyond the head that come before all parts or after them."""
    ends, exponent = _ends(law.data), law.exponent
    before = tail_sum(exponent, jnp.full_like(exponent, HEAD + 1)) - tail_sum(exponent, ends[0] + 1)
    return before + tail_sum(exponent, ends[-1] + 1)


def _stretches(law: _Law) -> _Stretches:
    ends, data, start = _ends(law.data), law.data, HEAD + 0.5
    low, high = ends[:-1] + 0.5, ends[1:] + 0.5
    endless, some = high == math.inf, high > low
    here = (data.first[None] - 0.5 <= low[:, None]) & (high[:, None] <= data.last[None] + 0.5)
    log_low = jnp.log(jnp.where(some, low, start))
    log_high = jnp.where(endless, math.inf, jnp.log(jnp.where(endless | ~some, start, high)))
    return _Stretches(jnp.where(here, law.rates[None], 0), here, log_low, log_high, endless, some)


def _turns(law: _Law, stretches: _Stretches) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Where skills become worth summing, where T q is 1, and where missing them is sure: three logarithms a stretch."""
    eps = float(jnp.finfo(law.exponent.dtype).eps)
    times = 1.0 if law.samples is None else law.samples
    exponents, here, rates = law.data.exponent[None], stretches.here, stretches.rates
    rate = jnp.log(jnp.where(here & (rates > 0), times * rates, 1e-300 if eps < 1e-10 else 1e-30))
    one = (rate / exponents).max(1)
    gone = ((rate - math.log(GONE)) / exponents).max(1)
    left = jnp.clip(gone, stretches.log_low, stretches.log_high)
    middle = jnp.clip(one, stretches.log_low, stretches.log_high)
    slowest = jnp.where(here, exponents, math.inf).min(1)
    slowest = jnp.where(slowest < math.inf, slowest, 1)
    right = jnp.minimum(stretches.log_high, middle - math.log(eps) / (slowest + law.exponent - 1))
    return left, middle, right


def _integrals(law: _Law, stretches: _Stretches) -> jax.Array:
    """Integral of each stretch: below T q = 1 what is missed, above it p's own tail less what is seen."""
    left, middle, right = _turns(law, stretches)
    nodes, weights = (jnp.asarray(x, law.exponent.dtype) for x in np.polynomial.legendre.leggauss(NODES))

    def integral(function: Any, a: jax.Array, b: jax.Array) -> jax.Array:
        half = (b - a) / 2
        log_x = a[:, None] + half[:, None] * (1 + nodes[None])
        missed = law.log_missed(stretches.rates[:, None], log_x)
        return half * (weights[None] * jnp.exp(log_x) * law.density(log_x) * function(missed)).sum(1)

    power, endless = 1 - law.exponent, stretches.endless
    beyond = jnp.where(endless, 0, jnp.exp(power * jnp.where(endless, 0, stretches.log_high)))
    own = (jnp.exp(power * middle) - beyond) / (law.exponent - 1)
    return integral(jnp.exp, left, middle) + own + integral(jnp.expm1, middle, right)


def _correction(law: _Law, rates: jax.Array, log_end: jax.Array) -> jax.Array:
    """What a sum differs by from its integral at one end, a half-integer."""
    stencil, weights = (jnp.asarray(x, law.exponent.dtype) for x in (STENCIL, CORRECTION))
    end = jnp.where(log_end < math.inf, jnp.exp(jnp.where(log_end < math.inf, log_end, 0)), HEAD + 0.5)
    log_x = jnp.log(end[:, None] + stencil[None])
    return (weights[None] * law.density(log_x) * jnp.exp(law.log_missed(rates[:, None], log_x))).sum(1)
