"""The least error over ridge, weight, synthetic count and width: a grid finds the valley, exact slopes its bottom."""

import math
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy

from collapse_jax.activations import Activation
from collapse_jax.arguments import Arguments
from collapse_jax.mixture import Mixture
from collapse_jax.theory.regression import risk_of

COORDINATES = ("real", "synthetic", "ridge", "weight", "width")
BATCH = 32  # settings evaluated together: one shape, so one compiled program serves grids and searches
VALLEYS = 3  # lowest valleys of the grid that are followed to their bottom
STEP = 1e-4  # of finite differences of exact slopes, in a logarithm
NEWTON_STEPS = 4


class Between(NamedTuple):
    """A continuous range of widths, for :func:`plan`.

    Attributes:
        low: smallest width, > 0.
        high: largest width.
    """

    low: float
    high: float


class Certificate(NamedTuple):
    """What makes a minimum one.

    Attributes:
        slopes: d log(error) / d log(setting) by name. 0 inside the range; at its lower end positive, at its upper negative.
        at_end: names of the settings that lie at an end of their range.
        norm: the norm of the slopes of all others: 0 but for rounding.
        curvature: the least second derivative of log(error) along any direction of the others' logarithms; above 0 at a
            minimum, near 0 where a direction changes nothing.
        grid_error: the least error on the grid from which the search began: not below that of the minimum.
        grid_size: how many settings that grid had.
    """

    slopes: dict[str, float]
    at_end: tuple[str, ...]
    norm: float
    curvature: float
    grid_error: float
    grid_size: int


class Axis(NamedTuple):
    """A setting that is searched, in its logarithm: its range, and how many values of it the grid has."""

    low: float
    high: float
    size: int


class Minimum(NamedTuple):
    """The best settings (5,) by their logarithms, log(error) there, the risk's parts, and what certifies it."""

    logs: np.ndarray
    value: float
    parts: np.ndarray
    slopes: np.ndarray
    certificate: Certificate


class Landscape:
    """The error of one mixture as a function of the logarithms of :data:`COORDINATES`, with its slopes."""

    def __init__(self, mixture: Mixture, target: jax.Array, activation: Activation | None) -> None:
        self.mixture, self.target, self.activation = mixture, target, activation

    def __call__(self, logs: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """log(error) (B,), slopes (B, 5) and risk parts (B, 3) at settings (B, 5); a width of NaN is the linear model."""
        projected = not np.isnan(logs[0, 4])
        results = []
        for first in range(0, len(logs), BATCH):
            chunk = logs[first : first + BATCH]
            padded = np.concatenate([chunk, np.repeat(chunk[-1:], BATCH - len(chunk), 0)])
            batch = jnp.asarray(padded, self.mixture.dtype)
            out = _compiled()(self.mixture, self.target, batch, self.activation, projected)
            results.append([np.asarray(array, float)[: len(chunk)] for array in out])
        value, slopes, parts = (np.concatenate(arrays) for arrays in zip(*results, strict=True))
        return value, slopes, parts

    def minimum(self, fixed: np.ndarray, axes: dict[int, Axis], start: np.ndarray | None = None) -> Minimum:
        """The least error over ``axes`` (by coordinate), the other logarithms as in ``fixed`` (5,); near ``start`` if given."""
        points, values = (fixed[None, :], np.array([math.inf])) if start is not None else self._grid(fixed, axes)
        starts = [start] if start is not None else _valleys(points, values)
        found = [self._descend(point, axes) for point in starts]
        best = min(found, key=lambda pair: pair[1])[0]
        return self._certified(best, axes, float(np.exp(values.min())), values.size)

    def _grid(self, fixed: np.ndarray, axes: dict[int, Axis]) -> tuple[np.ndarray, np.ndarray]:
        grid = np.meshgrid(*(np.linspace(*axis) for axis in axes.values()), indexing="ij")
        points = np.broadcast_to(fixed, (*grid[0].shape, len(COORDINATES))).copy()
        for coordinate, values in zip(axes, grid, strict=True):
            points[..., coordinate] = values
        flat = points.reshape(-1, len(COORDINATES))
        return points, self(flat)[0].reshape(grid[0].shape)

    def _descend(self, start: np.ndarray, axes: dict[int, Axis]) -> tuple[np.ndarray, float]:
        free, bounds = list(axes), [(axis.low, axis.high) for axis in axes.values()]

        def objective(x: np.ndarray) -> tuple[float, np.ndarray]:
            value, slopes, _ = self(_with(start, free, x)[None, :])
            return float(value[0]), slopes[0, free]

        options = {"ftol": 0.0, "gtol": 1e-8, "maxiter": 300}
        x0 = np.clip(start[free], *np.transpose(bounds))
        result = scipy.optimize.minimize(objective, x0, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
        logs = _with(start, free, result.x)
        return self._newton(logs, float(result.fun), axes)

    def _newton(self, logs: np.ndarray, value: float, axes: dict[int, Axis]) -> tuple[np.ndarray, float]:
        """The last digits, which a search by values cannot see: Newton steps on the slopes, while these fall."""
        slopes = self(logs[None, :])[1][0]
        for _ in range(NEWTON_STEPS):
            inside = _inside(logs, slopes, axes)
            curvature = self._curvature(logs, inside)
            if not inside or np.linalg.eigvalsh(curvature)[0] <= 0:
                break
            moved = _with(logs, inside, logs[inside] - np.linalg.solve(curvature, slopes[inside]))
            moved = _with(moved, list(axes), np.clip(moved[list(axes)], *_ends(axes)))
            new_value, new_slopes, _ = (array[0] for array in self(moved[None, :]))
            if not np.linalg.norm(new_slopes[inside]) < np.linalg.norm(slopes[inside]) or new_value > value + 1e-6:
                break
            logs, slopes, value = moved, new_slopes, float(new_value)
        return logs, value

    def _curvature(self, logs: np.ndarray, inside: list[int]) -> np.ndarray:
        """Second derivatives of log(error) along the coordinates ``inside``, by differences of exact slopes."""
        if not inside:
            return np.zeros((0, 0))
        steps = STEP * np.eye(len(COORDINATES))[inside]
        slopes = self(np.concatenate([logs + steps, logs - steps]))[1][:, inside]
        ahead, behind = np.split(slopes, 2)
        rows = (ahead - behind) / (2 * STEP)
        return (rows + rows.T) / 2

    def _certified(self, logs: np.ndarray, axes: dict[int, Axis], grid_error: float, grid_size: int) -> Minimum:
        value, slopes, parts = (array[0] for array in self(logs[None, :]))
        inside = _inside(logs, slopes, axes)
        curvature = self._curvature(logs, inside)
        certificate = Certificate(
            {COORDINATES[k]: float(slopes[k]) for k in axes},
            tuple(COORDINATES[k] for k in axes if k not in inside),
            float(np.linalg.norm(slopes[inside])),
            float(np.linalg.eigvalsh(curvature)[0]) if inside else math.inf,
            grid_error,
            grid_size,
        )
        return Minimum(logs, float(value), parts, slopes, certificate)


def _batch(
    mixture: Mixture, target: jax.Array, logs: jax.Array, activation: Activation | None, projected: bool
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """log(error) (B,), its slopes (B, 5) and the risk's parts (B, 3) at settings (B, 5) of :data:`COORDINATES`."""

    def log_error(point: jax.Array) -> tuple[jax.Array, jax.Array]:
        counts, ridge = jnp.exp(point[:2]), jnp.exp(point[2])
        weights = jnp.stack([jnp.ones_like(ridge), jnp.exp(point[3])])
        width = jnp.exp(point[4]) if projected else None
        risk = risk_of(mixture, Arguments(counts, ridge, width, weights, target), activation, False)
        parts = jnp.stack([risk.bias, risk.variance, risk.collapse])
        # A problem without noise can be solved to the last digit.
        return jnp.log(jnp.maximum(parts.sum(), jnp.finfo(parts.dtype).tiny)), parts

    (values, parts), slopes = jax.vmap(jax.value_and_grad(log_error, has_aux=True))(logs)
    return values, slopes, parts


@cache
def _compiled() -> Any:
    """The batch, compiled; on a CPU with little optimisation, for compiling takes longer than all that a plan evaluates."""
    options = {"xla_backend_optimization_level": 0} if jax.default_backend() == "cpu" else None
    return jax.jit(_batch, static_argnums=(3, 4), compiler_options=options)


def _valleys(points: np.ndarray, values: np.ndarray) -> list[np.ndarray]:
    """The lowest grid points (5,) that no neighbour undercuts."""
    values = np.where(np.isfinite(values), values, np.inf)
    lowest = values <= scipy.ndimage.minimum_filter(values, size=3, mode="nearest")
    order = np.argsort(values[lowest])[:VALLEYS]
    return list(points[lowest][order])


def _with(logs: np.ndarray, coordinates: list[int], values: np.ndarray) -> np.ndarray:
    changed = logs.copy()
    changed[coordinates] = values
    return changed


def _ends(axes: dict[int, Axis]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([axis.low for axis in axes.values()]), np.array([axis.high for axis in axes.values()])


def _inside(logs: np.ndarray, slopes: np.ndarray, axes: dict[int, Axis]) -> list[int]:
    """The coordinates that no end of their range holds back."""
    return [
        k
        for k, (low, high, _) in axes.items()
        if not (logs[k] <= low + 1e-9 and slopes[k] >= 0) and not (logs[k] >= high - 1e-9 and slopes[k] <= 0)
    ]
