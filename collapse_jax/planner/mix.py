"""The best mixture of a budget of real samples and a pool of synthetic ones, by exact theory."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import scipy

from collapse_jax import checks
from collapse_jax.activations import Activation
from collapse_jax.arguments import arguments
from collapse_jax.mixture import Mixture
from collapse_jax.planner.estimate import Estimate
from collapse_jax.planner.search import Axis, Between, Certificate, Landscape, Minimum
from collapse_jax.risk import Risk

WITHIN = 0.01  # a count of synthetic samples is enough when the error is this close, relatively, to that of the pool
ENDLESS = 1e15  # samples
SMALLEST = 1e-6  # weights and shares of the pool below this count as none
LARGEST = 1e6  # weight beyond which real samples count as none
RIDGES = (1e-12, 1e6)  # of the mean eigenvalue
FEWEST = 1e-2  # real samples, where there is no budget of them
WEIGHTS = Axis(math.log(SMALLEST), math.log(LARGEST), 13)
GRID = {"synthetic": 13, "ridge": 37, "width": 9}
REAL, SYNTHETIC, RIDGE, WEIGHT, WIDTH = range(5)


class Choice(NamedTuple):
    """One way to train, and its expected error.

    Attributes:
        real: real samples.
        synthetic: synthetic samples.
        weight: factor on the squared error of each synthetic sample; real ones have 1.
        ridge: beside the weighted mean squared error over all ``real + synthetic`` samples.
        width: number of random features, None for the linear model.
        risk: the expected error and its parts, without the noise of test labels.
        certificate: what makes these settings the best of their kind.
    """

    real: float
    synthetic: float
    weight: float
    ridge: float
    width: float | None
    risk: Risk
    certificate: Certificate

    @property
    def error(self) -> float:
        """The expected test error beyond the noise of test labels."""
        return float(self.risk.total)

    @property
    def alpha(self) -> float:
        """The same penalty beside the *sum* of squared errors: the ``alpha`` of scikit-learn's ``Ridge``."""
        return self.ridge * (self.real + self.synthetic)


@dataclass(frozen=True, eq=False)
class Plan:
    """The best way to use a budget and a pool, and what other ways cost. ``print(plan)`` says it in words.

    Attributes:
        best: the best :class:`Choice`. Its numbers are the plan's own too: ``plan.synthetic``, ``weight``, ``ridge``,
            ``width``, ``error``.
        pool: synthetic samples that there are.
        enough: the fewest synthetic samples, weight and ridge chosen anew, within 1% of the best error.
        worth: so many real samples alone, ridge tuned, have the error of the plan; at most 1e15.
        real_alone: the real samples alone, ridge tuned; None without any.
        as_if_real: everything at weight 1, ridge tuned: what ignoring the label "synthetic" leads to.
        unweighted: the best number of synthetic samples at weight 1: for a training code without weights.
        error_std: standard error of ``error`` from the uncertainty of an :class:`Estimate`; None where a mixture was given.
        worth_std: likewise of ``worth``.
    """

    best: Choice
    pool: float
    enough: float
    worth: float
    real_alone: Choice | None
    as_if_real: Choice
    unweighted: Choice
    error_std: float | None = None
    worth_std: float | None = None

    @property
    def synthetic(self) -> float:
        """How many synthetic samples to use."""
        return self.best.synthetic

    @property
    def weight(self) -> float:
        """The weight of each."""
        return self.best.weight

    @property
    def ridge(self) -> float:
        """The best ridge."""
        return self.best.ridge

    @property
    def width(self) -> float | None:
        """The best width."""
        return self.best.width

    @property
    def error(self) -> float:
        """The expected test error beyond the noise of test labels."""
        return self.best.error

    @property
    def certificate(self) -> Certificate:
        """What makes this the best."""
        return self.best.certificate

    def __str__(self) -> str:
        return "\n".join([*self._use(), "Otherwise", *self._otherwise(), self._certified()])

    def _use(self) -> list[str]:
        best, risk = self.best, self.best.risk
        enough = f" ({_count(self.enough)} come within {100 * WITHIN:g} %)" if best.synthetic else ""
        weight = f", each at weight {best.weight:.3g}" if best.synthetic else ""
        parts = f"bias {risk.bias:.3g} + variance {risk.variance:.3g} + collapse {risk.collapse:.3g}"
        return [
            f"Plan for {_count(best.real)} real samples and a pool of {_count(self.pool)} synthetic ones",
            f"  use    all real and {_count(best.synthetic)} synthetic samples{weight}{enough}",
            f"  ridge  {best.ridge:.3g} (scikit-learn: Ridge(alpha={best.alpha:.4g}))",
            *([] if best.width is None else [f"  width  {_count(best.width)}"]),
            f"  error  {best.error:.4g}{_plus_minus(self.error_std)} = {parts}",
            f"  worth  {_count(self.worth)}{_plus_minus(self.worth_std)} real samples alone",
        ]

    def _otherwise(self) -> list[str]:
        rows = [
            ("only the real samples", self.real_alone),
            ("all as if real, weight 1", self.as_if_real),
            (f"weight 1, only {_count(self.unweighted.synthetic)} synthetic", self.unweighted),
        ]
        return [
            f"  {name:<32} error {choice.error:.4g}, {100 * (choice.error / self.error - 1):+.0f} %"
            for name, choice in rows
            if choice is not None
        ]

    def _certified(self) -> str:
        given = self.certificate
        ends = f"; {', '.join(given.at_end)} at an end of the range" if given.at_end else ""
        return f"Certificate: slope {given.norm:.0e}{ends}; none of {given.grid_size} settings on a grid is better."


def plan(
    problem: Mixture | Estimate,
    real: Any,
    pool: Any,
    *,
    width: float | Between | Sequence[float | None] | None = None,
    target: Any = None,
    activation: Activation | None = None,
) -> Plan:
    """The best use of ``real`` real samples and a ``pool`` of synthetic ones: how many, at which weight, ridge and width.

    Minimises the exact risk (:func:`collapse_jax.theory.risk`): a grid over all settings, then descent on exact slopes from
    its deepest valleys.

    Args:
        problem: a :class:`Mixture` of two sources, real first, such as :func:`collapse_jax.real_and_synthetic` makes from
            spectrum, signal, shift and noise; or what :func:`fit` estimated, whose uncertainty then reaches the plan.
        real: number of real samples, >= 0.
        pool: number of synthetic samples that there are, >= 0; not both 0.
        width: number of random features > 0; None for the linear model; a list of choices; or :class:`Between`.
        target: (d,) spectrum of the test inputs, or None for that of the real ones.
        activation: as in :func:`collapse_jax.theory.risk`.

    Returns:
        :class:`Plan`. Ridges are searched within 1e-12 and 1e6 times the mean eigenvalue, weights within 1e-6 and 1e6.
        With a free weight all of the pool is best (``docs/planner.md``), so ``plan.enough`` says how many nearly do.

    Raises:
        ValueError: for other than two sources, counts or widths outside their ranges, as :func:`collapse_jax.theory.risk`.

    Example:
        >>> import collapse_jax as cj
        >>> spectrum = cj.spectra.power_law(50)
        >>> mixture = cj.real_and_synthetic(spectrum, 1 / 50, 0.3 / (50 * spectrum), noise_real=0.5, noise_synthetic=0.2)
        >>> best = plan(mixture, real=100, pool=1000)
        >>> best.synthetic, round(best.weight, 3), round(best.worth)
        (1000.0, 0.041, 154)
    """
    mixture = problem.mixture if isinstance(problem, Estimate) else problem
    real, pool = _budget(mixture, real, pool)
    widths = _widths(width)
    for low in [None if ends is None else math.exp(ends[0]) for ends in widths]:
        arguments(mixture, [real, pool], 1.0, low, None, target, activation)
    aim = mixture.spectra[0] if target is None else checks.real("target", target, mixture.dtype)
    search = _Search(Landscape(mixture, aim, activation), widths)
    alone = search.best(real, 0.0) if real else None
    everything = search.best(real, pool)
    best, unweighted = alone or everything, alone or everything
    if pool and real:
        best = _lower(search.best(real, pool, weight=WEIGHTS), alone)
        unweighted = _lower(search.best(real, _counts_up_to(pool)), alone)
    reached = search.worth(best, real)
    worth = float(np.exp(reached.logs[REAL]))
    errors = _standard_errors(problem, search, best, reached, target) if isinstance(problem, Estimate) else (None, None)
    return Plan(
        best=_choice(best),
        pool=pool,
        enough=search.enough(best, alone),
        worth=worth,
        real_alone=None if alone is None else _choice(alone),
        as_if_real=_choice(everything),
        unweighted=_choice(unweighted),
        error_std=errors[0],
        worth_std=errors[1],
    )


class _Search:
    """Searches over one mixture; ``widths`` are None or ranges of log(width)."""

    def __init__(self, landscape: Landscape, widths: Sequence[tuple[float, float] | None]) -> None:
        self.landscape, self.widths = landscape, widths
        mean = float(landscape.mixture.spectra[0].mean())
        low, high = (math.log(mean * ridge) for ridge in RIDGES)
        self.ridges = Axis(low, high, GRID["ridge"])

    def best(self, real: float, synthetic: float | Axis, weight: Axis | None = None) -> Minimum:
        """The best ridge and width, and synthetic count and weight where these are axes; weight 1 without one."""
        return _lower(*(self._at_width(real, synthetic, weight, width) for width in self.widths))

    def _at_width(
        self, real: float, synthetic: float | Axis, weight: Axis | None, width: Any, near: Any = None
    ) -> Minimum:
        count = synthetic.high if isinstance(synthetic, Axis) else _log(synthetic)
        fixed = np.array([_log(real), count, 0.0, 0.0, math.nan if width is None else width[0]])
        axes = {RIDGE: self.ridges}
        if isinstance(synthetic, Axis):
            axes[SYNTHETIC] = synthetic
        if weight is not None:
            axes[WEIGHT] = weight
        if width is not None and width[0] < width[1]:
            axes[WIDTH] = Axis(width[0], width[1], GRID["width"])
        start = None if near is None else np.where(np.isin(np.arange(5), list(axes)), near, fixed)
        return self.landscape.minimum(fixed, axes, start)

    def worth(self, best: Minimum, real: float) -> Minimum:
        """The best use of so many real samples alone that their error is that of ``best``."""
        low, high = _log(real) if real else math.log(FEWEST), math.log(ENDLESS)

        def gap(n: float) -> float:
            return self.best(math.exp(n), 0.0).value - best.value

        reached = low if gap(low) <= 0 else high if gap(high) > 0 else _root(gap, low, high, 1e-8)
        return self.best(math.exp(reached), 0.0)

    def enough(self, best: Minimum, alone: Minimum | None) -> float:
        """The fewest synthetic samples within 1% of the error of ``best``, by steps from all of them downwards."""
        allowed = best.value + math.log1p(WITHIN)
        if best.logs[SYNTHETIC] == -math.inf or (alone is not None and alone.value <= allowed):
            return 0.0
        real, pool = (float(np.exp(best.logs[k])) for k in (REAL, SYNTHETIC))
        width = (
            None
            if np.isnan(best.logs[WIDTH])
            else next(w for w in self.widths if w and w[0] <= best.logs[WIDTH] <= w[1])
        )
        near = best

        def gap(count: float) -> float:
            nonlocal near
            near = self._at_width(real, math.exp(count), WEIGHTS if real else None, width, near.logs)
            return near.value - allowed

        low, high = _counts_up_to(pool).low, math.log(pool)
        return math.exp(low if gap(low) <= 0 else _root(gap, low, high, 1e-6))


def _standard_errors(
    estimate: Estimate, search: _Search, best: Minimum, reached: Minimum, target: Any
) -> tuple[float, float]:
    """Of the plan's error and of the real samples worth the same. Optimal settings, so that their own change adds nothing."""
    points, given = np.stack([best.logs, reached.logs]), search.landscape

    def log_errors(mixture: Mixture) -> np.ndarray:
        return Landscape(mixture, mixture.spectra[0] if target is None else given.target, given.activation)(points)[0]

    planned, alone = estimate.slopes(log_errors).T
    error = estimate.standard_error(planned) * math.exp(best.value)
    gain = -float(reached.slopes[REAL])  # of log(error) by log(real samples); none where endless ones are needed
    worth = estimate.standard_error((planned - alone) / gain) * math.exp(reached.logs[REAL]) if gain > 0 else math.inf
    return error, worth


def _budget(mixture: Any, real: Any, pool: Any) -> tuple[float, float]:
    if not isinstance(mixture, Mixture):
        raise TypeError(
            f"problem is a {type(mixture).__name__}; it must be a Mixture (cj.real_and_synthetic makes one) or an Estimate"
        )
    if mixture.sources != 2:
        raise ValueError(
            f"problem has {mixture.sources} sources; it must have 2, real and synthetic. "
            "For more, minimise cj.theory.risk over weights by jax.grad"
        )
    counts = []
    for name, value in (("real", real), ("pool", pool)):
        array = checks.real(name, value, mixture.dtype)
        checks.scalar(name, array)
        checks.at_least_zero(name, array, "It is a number of samples")
        counts.append(float(array))
    checks.above_zero("the sum of real and pool", np.asarray(sum(counts)), "There must be something to train on")
    return counts[0], counts[1]


def _widths(width: Any) -> list[tuple[float, float] | None]:
    """None for the linear model, else ranges of log(width); a single width is a range of one point."""
    if width is None:
        return [None]
    if isinstance(width, Between):
        for name, value in zip(("low", "high"), width, strict=True):
            checks.above_zero(f"width.{name}", np.asarray(value, float))
        checks.require(
            "width.high", np.asarray(width.high), lambda x: x >= width.low, f"at least width.low, {width.low:g}"
        )
        return [(math.log(width.low), math.log(width.high))]
    if np.ndim(width) == 0:
        checks.above_zero("width", np.asarray(width, float), "width=None is the linear model")
        return [(math.log(float(width)), math.log(float(width)))]
    if not len(width):
        raise ValueError("width is an empty list; it must hold choices, or be None for the linear model")
    return [choice for one in width for choice in _widths(one)]


def _counts_up_to(pool: float) -> Axis:
    return Axis(math.log(max(pool * SMALLEST, min(1.0, pool / 2))), math.log(pool), GRID["synthetic"])


def _lower(*candidates: Minimum | None) -> Minimum:
    return min((found for found in candidates if found is not None), key=lambda found: found.value)


def _choice(found: Minimum) -> Choice:
    real, synthetic, ridge, weight, width = np.exp(found.logs)
    return Choice(
        _exact(real),
        _exact(synthetic),
        float(weight) if synthetic else 0.0,
        float(ridge),
        None if np.isnan(width) else float(width),
        Risk(*(float(part) for part in found.parts)),  # type: ignore[arg-type]
        found.certificate,
    )


def _root(function: Callable[[float], float], low: float, high: float, tolerance: float) -> float:
    return float(scipy.optimize.root_scalar(function, bracket=(low, high), xtol=tolerance, method="brentq").root)


def _exact(count: float) -> float:
    """A count that its logarithm has rounded, whole again where it was."""
    return float(round(count)) if math.isclose(count, round(count), rel_tol=1e-12) else float(count)


def _log(value: float) -> float:
    return math.log(value) if value else -math.inf


def _plus_minus(std: float | None) -> str:
    return "" if std is None else f" ± {std:.2g}"


def _count(value: float) -> str:
    return f"{value:,.0f}" if value < 1e15 else "endless"
