"""How good the synthetic data is, from a table of errors: least squares on the logarithm of the exact risk."""

import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import scipy

from collapse_jax import checks
from collapse_jax.mixture import Mixture
from collapse_jax.planner.model import HIGH, LOGARITHMIC, LOW, NAMES, SHAPES, Model, Rows, internal, replaced, shown
from collapse_jax.planner.table import columns_of, directions_of, known_of, rows_of

GUESSES = {
    "exponent": (0.3, 0.8, 1.3, 2.0, 3.0),
    "signal_decay": (0.0, 0.7, 1.4, 2.2),
    "shift_decay": (0.0, 0.8, 1.6),
    "ridge": (1e-6, 1e-4, 1e-2, 0.1, 1.0, 10.0),
}
STARTS = 4  # best guesses that are followed to their minimum
ENDLESS = 1e15  # samples
FLAT = 1e-10  # of the largest singular value: below it a direction is undetermined
ILL_CONDITIONED = 1e3
AS_GOOD = 4.0  # another minimum counts where it raises the sum of squares by less than so many variances of a row


class Unidentified(UserWarning):
    """The table does not tell some parameters apart, or leaves two answers."""


class Parameter(NamedTuple):
    """One estimated number.

    Attributes:
        value: the estimate, or what was given.
        std: its standard error; 0 where given.
        known: whether it was given.
    """

    value: float
    std: float
    known: bool


class Prediction(NamedTuple):
    """Predicted errors and their standard errors, arrays of one shape, from the uncertainty of the parameters."""

    error: np.ndarray
    std: np.ndarray


@dataclass(frozen=True, eq=False)
class Estimate:
    """What a table of errors says about the data. ``print(estimate)`` shows it.

    Attributes:
        parameters: :class:`Parameter` by name, see :func:`fit`.
        free: names of the estimated ones.
        covariance: (p, p) of the free parameters: ridge and signal power by their logarithms, noises by their squares.
        condition: ratio of the largest to the smallest singular value of the Jacobian with columns of norm 1: how much worse
            the worst combination of parameters is determined than the best.
        weakest: that worst combination, by the names of its parts.
        rival: other values of the free parameters that meet the table almost as well; None where none were found.
        residuals: ``log(model / measured)`` of each row, and of the variance of the labels if that was given.
        scatter: their standard deviation, with degrees of freedom counted.
        fractions: the synthetic fractions of the table.
        columns: which of "ridge" and "width" the table has.
        dim: number of directions of the model.
        spectrum: (d,) eigenvalues that were given, or None for a power law.
        test_noise: whether errors hold the noise of real test labels.
    """

    parameters: dict[str, Parameter]
    free: tuple[str, ...]
    covariance: np.ndarray
    condition: float
    weakest: dict[str, float]
    rival: dict[str, float] | None
    residuals: np.ndarray
    scatter: float
    fractions: tuple[float, ...]
    columns: tuple[str, ...]
    dim: int
    spectrum: np.ndarray | None
    test_noise: bool

    @cached_property
    def mixture(self) -> Mixture:
        """The estimated data, for :func:`plan` and for all of :mod:`collapse_jax.theory`."""
        return self._model.mixture(self._theta)

    def predict(self, n: Any, synthetic_fraction: Any, *, ridge: Any = None, width: Any = None) -> Prediction:
        """Errors at other settings, in the units of the table.

        Args:
            n: samples, > 0; broadcasts with the others.
            synthetic_fraction: in [0, 1].
            ridge: >= 0; None for that of :attr:`parameters`.
            width: number of random features, > 0; None for the linear model.

        Returns:
            :class:`Prediction`. The standard error knows only the model: not that it may be wrong.

        Raises:
            ValueError: for a value outside its range, and where the table had a column that is left out here.
        """
        for name, value in (("ridge", ridge), ("width", width)):
            if value is None and name in self.columns:
                raise ValueError(f"{name} is None; the table has a column {name}, so say which one to predict for")
        if ridge is None:
            ridge = self.parameters["ridge"].value
        values = [n, synthetic_fraction, ridge]
        arrays = np.broadcast_arrays(*(np.asarray(v, float) for v in values + ([] if width is None else [width])))
        flat = [array.ravel() for array in arrays]
        checks.above_zero("n", flat[0])
        checks.fraction("synthetic_fraction", flat[1])
        checks.at_least_zero("ridge", flat[2])
        if width is not None:
            checks.above_zero("width", flat[3])
        rows = Rows(flat[0], flat[1], flat[2], None if width is None else flat[3])
        error, jacobian = self._model(self._theta, rows)
        jacobian = jacobian[:, self._index]
        std = np.sqrt(np.einsum("rp,pq,rq->r", jacobian, self.covariance, jacobian))
        return Prediction(error.reshape(arrays[0].shape), std.reshape(arrays[0].shape))

    def plateau(self, synthetic_fraction: Any, *, ridge: Any = None, width: Any = None) -> Prediction:
        """Errors with endless data (n = 1e15), where a synthetic fraction above 0 leaves a floor. As :meth:`predict`."""
        return self.predict(ENDLESS, synthetic_fraction, ridge=ridge, width=width)

    def slopes(self, function: Callable[[Mixture], np.ndarray]) -> np.ndarray:
        """(p, k) derivatives of a function of the mixture (k,) in the free parameters, as :attr:`covariance` has them."""
        rows = []
        for k in self._index:
            unit = 1.0 if NAMES[k] in (*SHAPES, *LOGARITHMIC) else math.exp(self._theta[4])
            step = 1e-4 * max(abs(self._theta[k]), unit)
            ends = np.clip([self._theta[k] - step, self._theta[k] + step], LOW[k], HIGH[k])
            low, high = (function(self._model.mixture(replaced(self._theta, k, end))) for end in ends)
            rows.append((high - low) / (ends[1] - ends[0]))
        return np.array(rows)

    def standard_error(self, slopes: np.ndarray) -> float:
        """Standard error of a number with these slopes (p,)."""
        return math.sqrt(max(float(slopes @ self.covariance @ slopes), 0.0))

    def __str__(self) -> str:
        lines = [
            f"Estimated from {self.residuals.size} numbers, which the model meets within {100 * self.scatter:.2g} %"
        ]
        for name, (value, std, known) in self.parameters.items():
            lines.append(f"  {name:<16} {value:.4g} {'(given)' if known else f'± {std:.2g}'}")
        if not self.columns:
            lines.append("Error with endless data")
            for fraction, error, std in zip(self.fractions, *self.plateau(self.fractions), strict=True):
                lines.append(f"  synthetic fraction {fraction:<6g} {error:.3g} ± {std:.1g}")
        return "\n".join([*lines, f"Condition {self.condition:.2g}; least certain: {_combination(self.weakest)}"])

    @property
    def _index(self) -> list[int]:
        return [NAMES.index(name) for name in self.free]

    @property
    def _theta(self) -> np.ndarray:
        return internal({name: parameter.value for name, parameter in self.parameters.items()})

    @property
    def _model(self) -> "Model":
        return Model(self.dim, self.spectrum, self.test_noise)


def fit(
    table: Any,
    dim: int | None = None,
    *,
    spectrum: Any = None,
    known: Mapping[str, float] | None = None,
    label_variance: float | None = None,
    test_noise: bool = False,
) -> Estimate:
    """Estimate the quality of synthetic data, noise and spectrum from measured errors.

    The model is :func:`collapse_jax.theory.risk` with these parameters; with ``j = 1..d`` the directions, largest
    eigenvalue first:

    ===================  =================================================================================================
    ``exponent``         eigenvalues ``~ j**-exponent`` with mean 1, in [0, 6]; not used with ``spectrum``
    ``signal_decay``     share of direction j in the variance of the true labels, ``~ j**-signal_decay``, in [-2, 8]
    ``shift_decay``      the same for the error of the synthetic labels, which no model of the truth predicts
    ``ridge``            beside the mean squared error, in units of the mean eigenvalue for a power law
    ``signal_power``     variance of the true labels without noise
    ``quality``          c^2, mean squared error of the synthetic labels: 0 is perfect
    ``noise_real``       standard deviation of the noise in real labels
    ``noise_synthetic``  the same in synthetic labels
    ===================  =================================================================================================

    Least squares on ``log(risk / error)``, from the best of a grid of guesses.

    Args:
        table: a pandas DataFrame, an ``xarray.Dataset`` (such as :func:`collapse_jax.sweep` returns) or a mapping of arrays,
            with the columns ``n``, ``synthetic_fraction``, ``error`` (or ``total``), all above 0 but the fraction, and
            if they vary or are known ``ridge``, ``width`` (random features), ``error_std`` (standard error of each error).
            Repetitions are further rows.
        dim: number of directions d of a power law.
        spectrum: (d,) eigenvalues of the inputs, instead of ``dim``, where the inputs are at hand.
        known: values of parameters by name that need no estimate, such as ``{"ridge": 1e-3}``.
        label_variance: variance of the real labels, noise included. Worth giving: it is ``signal_power + noise_real**2``, one
            more row of the table.
        test_noise: whether the errors are measured on noisy labels, whose noise is then part of them.

    Returns:
        :class:`Estimate`.

    Raises:
        ValueError: for missing columns, values outside their ranges, fewer rows than parameters, unknown names.

    Warns:
        Unidentified: where a combination of parameters is 1000 times less certain than others.

    Example:
        >>> import collapse_jax as cj
        >>> from itertools import product
        >>> spectrum = cj.spectra.power_law(40, 1.2)
        >>> truth = cj.real_and_synthetic(spectrum, 1 / 40, shift=0.2 / (40 * spectrum), noise_real=0.5)
        >>> n, share = zip(*product([20, 50, 100, 200, 500, 2000], [0.0, 0.3, 1.0]))
        >>> error = [cj.theory.risk(truth, cj.split(*row), 0.01).total for row in zip(n, share)]
        >>> estimate = fit({"n": n, "synthetic_fraction": share, "error": error}, dim=40, known={"ridge": 0.01})
        >>> round(estimate.parameters["quality"].value, 3), round(float(estimate.plateau(0.3).error), 4)
        (0.2, 0.0172)
    """
    model = Model(*directions_of(dim, spectrum), test_noise)
    columns = columns_of(table)
    if label_variance is not None:
        checks.above_zero("label_variance", label_variance, "Leave it out if it is not known")
    settled = (["ridge"] if "ridge" in columns else []) + ([] if model.spectrum is None else ["exponent"])
    given, errors = known_of(known, settled), columns["error"]
    free = [k for k, name in enumerate(NAMES) if name not in given and name not in settled]
    if errors.size <= len(free):
        raise ValueError(
            f"table has {errors.size} rows for {len(free)} parameters; it must have more. "
            "Measure more settings, or give values in known="
        )
    relative = columns["error_std"] / errors if "error_std" in columns else np.ones_like(errors)
    if label_variance is not None:
        errors, relative = np.append(errors, label_variance), np.append(relative, np.median(relative))
    problem = _Problem(model, rows_of(columns, given.get("ridge", math.nan)), errors, relative, free)
    settings = tuple(name for name in ("ridge", "width") if name in columns)
    estimate = _estimate(problem, problem.minima(internal(given)), given, settings)
    _warn(estimate)
    return estimate


class _Problem(NamedTuple):
    """A table and the parameters to find: least squares on logarithms, each in units of its relative standard error.

    ``errors`` and ``relative`` may have one entry more than ``rows``: the variance of the labels.
    """

    model: Model
    rows: Rows
    errors: np.ndarray
    relative: np.ndarray
    free: list[int]

    @property
    def scale(self) -> float:
        """Geometric mean of the errors."""
        return float(np.exp(np.log(self.errors).mean()))

    def answers(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What the model says of ``errors``, and the Jacobian (R, 8)."""
        model, jacobian = self.model(theta, self.rows)
        if self.errors.size > self.rows.n.size:
            power = math.exp(theta[4])
            model = np.append(model, power + theta[6])
            jacobian = np.concatenate([jacobian, [[0, 0, 0, 0, power, 0, 1, 0]]])
        return model, jacobian

    def residuals(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Residuals (R,) and their Jacobian (R, p)."""
        model, jacobian = self.answers(theta)
        model = np.maximum(model, np.finfo(float).tiny)
        return np.log(model / self.errors) / self.relative, jacobian[:, self.free] / (model * self.relative)[:, None]

    def minima(self, known: np.ndarray) -> list[np.ndarray]:
        """Parameters (8,) at the minima next to the best of a grid of guesses, the lowest first."""
        found = [self._descend(start) for start in self._starts(known)]
        return [theta for theta, _ in sorted(found, key=lambda pair: pair[1])]

    def _descend(self, start: np.ndarray) -> tuple[np.ndarray, float]:
        """The nearest minimum and its sum of squares."""

        def at(free: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            return self.residuals(replaced(start, self.free, free))

        slopes: Any = lambda free: at(free)[1]  # noqa: E731
        low, high = LOW[self.free], HIGH[self.free]
        nearest = np.where(low == 0, 1e-6 * self.scale, low)  # from 0 itself a noise would not rise
        result = scipy.optimize.least_squares(
            lambda free: at(free)[0],
            np.clip(start[self.free], nearest, high),
            slopes,
            bounds=(low, high),
            x_scale="jac",
            ftol=1e-12,
            xtol=1e-12,
            gtol=1e-12,
            max_nfev=300,
        )
        return replaced(start, self.free, result.x), float(result.cost)

    def _starts(self, known: np.ndarray) -> list[np.ndarray]:
        """The best guesses: shapes from a grid, powers by linear least squares with no negative ones."""
        shapes = [_guesses(k) if k in self.free else (known[k],) for k in range(len(SHAPES))]
        guesses = [self._powers(np.array([*shape, *known[len(SHAPES) :]])) for shape in product(*shapes)]
        return [theta for theta, _ in sorted(guesses, key=lambda pair: pair[1])[:STARTS]]

    def _powers(self, theta: np.ndarray) -> tuple[np.ndarray, float]:
        """The best powers for these shapes, and the misfit."""
        unit = replaced(theta, range(len(SHAPES), len(NAMES)), [0.0, 1.0, 1.0, 1.0])  # where slope is response
        responses = self.answers(unit)[1] / (self.errors * self.relative)[:, None]
        free = [k for k in self.free if k >= len(SHAPES)]
        given = [k for k in range(len(SHAPES), len(NAMES)) if k not in free]
        powers = replaced(theta, 4, math.exp(theta[4]))
        wanted = 1 / self.relative - responses[:, given] @ powers[given]
        if not free:
            return theta, float(np.linalg.norm(wanted))
        powers[free], misfit = scipy.optimize.nnls(responses[:, free], wanted)
        return replaced(powers, 4, math.log(max(powers[4], 1e-3 * self.scale))), float(misfit)


def _estimate(
    problem: _Problem, minima: list[np.ndarray], given: dict[str, float], columns: tuple[str, ...]
) -> Estimate:
    residuals, jacobian = problem.residuals(minima[0])
    freedom = residuals.size - len(problem.free)
    root, condition, weakest = _inverse_root(jacobian)
    variance = float(residuals @ residuals) / freedom
    if (problem.relative != 1).any():
        variance = max(variance, 1.0)
    covariance = variance * root @ root.T
    free = tuple(NAMES[k] for k in problem.free)
    return Estimate(
        parameters=_parameters(problem, minima[0], covariance, given),
        free=free,
        covariance=covariance,
        condition=condition,
        weakest=dict(zip(free, weakest, strict=True)),
        rival=_rival(problem, minima, AS_GOOD * variance, np.sqrt(np.diag(covariance))),
        residuals=residuals * problem.relative,
        scatter=float(np.sqrt(((residuals * problem.relative) ** 2).sum() / freedom)),
        fractions=tuple(np.unique(problem.rows.synthetic_fraction).tolist()),
        columns=columns,
        dim=problem.model.dim,
        spectrum=problem.model.spectrum,
        test_noise=problem.model.test_noise,
    )


def _parameters(
    problem: _Problem, theta: np.ndarray, covariance: np.ndarray, given: dict[str, float]
) -> dict[str, Parameter]:
    found = {name: Parameter(value, 0.0, True) for name, value in given.items()}
    for k, std in zip(problem.free, np.sqrt(np.diag(covariance)), strict=True):
        found[NAMES[k]] = Parameter(*shown(NAMES[k], theta[k], std), False)
    return {name: found[name] for name in NAMES if name in found}


def _rival(problem: _Problem, minima: list[np.ndarray], allowed: float, stds: np.ndarray) -> dict[str, float] | None:
    """The lowest other minimum within ``allowed`` of the best one's sum of squares and three standard errors away."""
    sums = [float((problem.residuals(theta)[0] ** 2).sum()) for theta in minima]
    for theta, total in zip(minima[1:], sums[1:], strict=True):
        away = np.abs(theta - minima[0])[problem.free] > 3 * stds + 1e-3
        if total - sums[0] < allowed and away.any():
            return {NAMES[k]: shown(NAMES[k], theta[k], 0.0)[0] for k in problem.free}
    return None


def _warn(estimate: Estimate) -> None:
    if estimate.condition > ILL_CONDITIONED:
        problem = f"hardly determines {_combination(estimate.weakest)} (condition {estimate.condition:.1g})"
    elif estimate.rival is not None:
        values = ", ".join(f"{name} {value:.3g}" for name, value in estimate.rival.items())
        problem = f"is met almost as well by {values}"
    else:
        return
    warnings.warn(
        f"the table {problem}. Predictions near its rows stand; for the parameters vary n, synthetic_fraction, ridge or "
        "width more, or give values in known=",
        Unidentified,
        stacklevel=3,
    )


def _inverse_root(jacobian: np.ndarray) -> tuple[np.ndarray, float, np.ndarray]:
    """R (p, p) with ``R R' = (J'J)^-1``, the condition number, and the unit vector (p,) of the least certain combination."""
    norms = np.linalg.norm(jacobian, axis=0)
    norms = np.where(norms > 0, norms, 1)
    _, singular, directions = np.linalg.svd(jacobian / norms, full_matrices=False)
    singular = np.maximum(singular, FLAT * singular[0])
    return directions.T / singular / norms[:, None], float(singular[0] / singular[-1]), directions[-1]


def _guesses(k: int) -> tuple[float, ...]:
    values = GUESSES[NAMES[k]]
    return tuple(math.log(value) for value in values) if NAMES[k] == "ridge" else values


def _combination(weakest: dict[str, float]) -> str:
    """The main parts of a combination of parameters, in words."""
    largest = max(abs(share) for share in weakest.values())
    return " against ".join(name for name, share in weakest.items() if abs(share) > 0.3 * largest)
