"""A scaling law through measured losses, with and without a floor, and which of the two the numbers support."""

from typing import Any, NamedTuple

import numpy as np
import scipy

EXPONENTS = np.geomspace(0.02, 4, 120)  # where the fit begins


class Law(NamedTuple):
    """``loss = floor + scale * size**-exponent``.

    Attributes:
        floor: what endless data leaves, >= 0; 0 in the law without one.
        scale: > 0.
        exponent: > 0.
        errors: standard errors of (floor, scale, exponent); that of a floor left out, or at 0, is nan.
        misfit: weighted sum of squares.
        aicc: Akaike's criterion for few points, smaller is better; ``inf`` where there are too few to tell.
    """

    floor: float
    scale: float
    exponent: float
    errors: tuple[float, float, float]
    misfit: float
    aicc: float

    def __call__(self, size: Any) -> np.ndarray:
        """Losses at sizes."""
        return self.floor + self.scale * np.asarray(size, float) ** -self.exponent


class Laws(NamedTuple):
    """Both laws, and how much the numbers prefer the one with a floor.

    Attributes:
        with_floor: loss that flattens.
        without_floor: loss that falls for ever.
        floor_weight: Akaike weight of the law with a floor, 0 to 1.
    """

    with_floor: Law
    without_floor: Law
    floor_weight: float


def fit_law(size: Any, loss: Any, error: Any = None) -> Laws:
    """Fit loss against the size of the data (or of the model) by weighted least squares.

    Args:
        size: (k,) numbers of tokens or samples, > 0, at least 4 and not all equal.
        loss: (k,) losses, > 0.
        error: (k,) their standard errors; None for errors proportional to the losses, whose size the fit then tells.

    Raises:
        ValueError: for arrays that do not fit, are too short, or hold numbers out of these ranges.

    Source: Hoffmann et al., *Training compute-optimal large language models* (2022), for the law; Burnham and Anderson, *Model
    selection and multimodel inference* (2002), for the weights.

    Example:
        >>> size = np.geomspace(1e3, 1e6, 8)
        >>> flat, free = fit_law(size, 0.5 + 30 * size**-0.5), fit_law(size, 30 * size**-0.5)
        >>> round(flat.with_floor.floor, 6), round(flat.floor_weight, 3), round(free.with_floor.floor, 6)
        (0.5, 1.0, 0.0)
    """
    size, loss = np.asarray(size, float), np.asarray(loss, float)
    known = error is not None
    error = loss if error is None else np.asarray(error, float)
    _check(size, loss, error)
    with_floor, without = (_fitted(size, loss, error, known, floor) for floor in (True, False))
    gap = with_floor.aicc - without.aicc
    weight = float("nan") if np.isnan(gap) else float(1 / (1 + np.exp(np.clip(gap / 2, -700, 700))))
    return Laws(with_floor, without, weight)


def _fitted(size: np.ndarray, loss: np.ndarray, error: np.ndarray, known: bool, floor: bool) -> Law:
    # Sizes in units of their geometric mean: scale and exponent are then nearly independent.
    unit = float(np.exp(np.log(size).mean()))
    size = size / unit

    def linear(exponent: float) -> tuple[float, np.ndarray]:
        """Floor and scale, at least 0, that are best for an exponent."""
        columns = np.stack([np.full_like(size, float(floor)), size**-exponent], 1) / error[:, None]
        found, misfit = scipy.optimize.nnls(columns, loss / error)
        return misfit, found

    best = min(EXPONENTS, key=lambda exponent: linear(exponent)[0])
    at_floor, scale = linear(best)[1]
    free = floor and at_floor > 0

    def residuals(x: np.ndarray) -> np.ndarray:
        return ((np.exp(x[2]) if free else 0.0) + np.exp(x[0]) * size ** -np.exp(x[1]) - loss) / error

    start = [np.log(max(scale, 1e-300)), np.log(best)] + ([np.log(at_floor)] if free else [])
    found = scipy.optimize.least_squares(residuals, start, method="lm", xtol=1e-14, ftol=1e-14, gtol=1e-14)
    misfit, count, numbers = float((found.fun**2).sum()), len(size), len(start)
    spread = misfit / max(count - numbers, 1) if not known else 1.0
    covariance = np.linalg.pinv(found.jac.T @ found.jac) * spread
    values = np.exp(found.x)
    # The scale in the caller's units is scale * unit**exponent, and both are uncertain.
    moved = np.array([1.0, values[1] * np.log(unit), 0.0])[:numbers]
    relative = np.sqrt(np.diag(covariance))
    scale = values[0] * unit ** values[1]
    own = (values[2], relative[2] * values[2]) if free else (0.0, float("nan"))
    return Law(
        float(own[0]),
        float(scale),
        float(values[1]),
        (float(own[1]), float(scale * np.sqrt(moved @ covariance @ moved)), float(relative[1] * values[1])),
        misfit,
        _aicc(misfit, count, 3 if floor else 2, known),
    )


def _aicc(misfit: float, count: int, numbers: int, known: bool) -> float:
    """Akaike's criterion, corrected for few points; with unknown errors their size is one more number."""
    numbers += not known
    if count <= numbers + 1:
        return float("inf")
    deviance = misfit if known else count * np.log(max(misfit, 1e-28) / count)
    return float(deviance + 2 * numbers + 2 * numbers * (numbers + 1) / (count - numbers - 1))


def _check(size: np.ndarray, loss: np.ndarray, error: np.ndarray) -> None:
    if size.ndim != 1 or loss.shape != size.shape or error.shape != size.shape:
        raise ValueError(
            f"size has shape {size.shape}, loss {loss.shape} and error {error.shape}; they must be (k,), all alike"
        )
    if len(size) < 4 or len(np.unique(size)) < 3:
        raise ValueError(
            f"size has {len(size)} numbers; at least 4, three of them different, can tell a floor from none"
        )
    for name, array in (("size", size), ("loss", loss), ("error", error)):
        wrong = ~(np.isfinite(array) & (array > 0))
        if wrong.any():
            index = int(np.argmax(wrong))
            raise ValueError(f"{name} is {array[index]:g} at index {index}; it must be finite and above 0")
