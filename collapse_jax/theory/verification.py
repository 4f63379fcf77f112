"""When does checking help: rates of a verifier, the breakdown point, and the exact accuracy of a student."""

from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from collapse_jax import checks
from collapse_jax.theory.student import Problem, law_of, solve, squared_solution
from collapse_jax.verification import Given, Verified, bivariate, given

SETTLED = 1e-3  # relative size of the last Newton step; what is left after it is its square

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


def rates_of_scores(scores: Any, kept: Any) -> Rates:
    """A verifier's rates and breakdown point, counted on synthetic samples that were checked: the proxy that chooses one.

    Nothing is trained: of several verifiers, the one with the largest ``breakdown`` selects the best labels, and it helps where
    ``error`` is below it.

    Args:
        scores: (n,) in [0, 1], how right each synthetic label is: 0 or 1, or a probability or a graded score.
        kept: (n,) in [0, 1], whether the verifier keeps each, or the probability that it does.

    Returns:
        :class:`Rates`; for many verifiers map it over ``kept`` with ``jax.vmap``.

    Raises:
        ValueError: for values outside their ranges, or shapes that differ.

    Source: *Beyond Model Collapse*, Appendix C, Lemma C.1: ``p = 1 - E[s]``, ``phi = E[q s] / (1 - p)``,
    ``psi = E[q (1 - s)] / p``; Theorem 4.2 for p*, which its experiments use as a proxy for the quality of what is selected.

    Example:
        >>> scores = jnp.array([1.0, 1.0, 1.0, 0.0, 0.0])
        >>> [round(float(rate), 3) for rate in rates_of_scores(scores, jnp.array([1.0, 1.0, 0.0, 1.0, 0.0]))]
        [0.4, 0.667, 0.5, 0.571]
    """
    scores = checks.real("scores", scores)
    kept = checks.real("kept", kept, scores.dtype)
    if scores.ndim != 1:
        raise ValueError(f"scores has shape {scores.shape}; it must be (n,): one score a synthetic sample")
    checks.shape("kept", kept, scores.shape, "one number a score")
    valid = checks.fraction("scores", scores) & checks.fraction("kept", kept)
    error = 1 - scores.mean()
    right, wrong = (kept * scores).mean() / (1 - error), (kept * (1 - scores)).mean() / error
    return checks.poison(Rates(error, right, wrong, right / (right + wrong)), valid)


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
        ridge: above 0. Tested from 1e-10 to 1e3, at n / d from 0.01 to 1e6, with labels that a plane separates too.
        loss: "logistic", ``log(1 + exp(-m))`` of the margin m, or "squared", ``(1 - m)**2 / 2``.

    Returns:
        :class:`Student`, to some eight digits in float64; NaN where nothing is kept. Differentiable in every number, by the
        implicit function theorem; batch it with ``jax.vmap``.

    Raises:
        ValueError: for values outside their ranges.

    Source: derived for this library (Gordon's comparison, or the cavity method); the regime that *Beyond Model Collapse*
    simulates in Section 5. The equations stand in ``theory/student.py``.

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


@partial(jax.jit, static_argnums=3)
def _student(numbers: Given, ratio: jax.Array, ridge: jax.Array, squared: bool) -> Student:
    problem = Problem(law_of(numbers), ratio, ridge)
    if squared:
        weights = squared_solution(problem)
    else:
        flat, left = solve(problem)
        # A number that has not settled is not an answer.
        weights = jnp.where(left < SETTLED, flat[:4], jnp.nan)
    return student(numbers.separation, weights[0] / jnp.sqrt((weights**2).sum()))


def student(separation: jax.Array, cosine: jax.Array) -> Student:
    """What an angle between a student's weights and the truth's means."""
    own = separation * cosine
    both = bivariate(own, separation, cosine) + bivariate(-own, -separation, cosine)
    return Student(jax.scipy.special.ndtr(own), both, cosine)
