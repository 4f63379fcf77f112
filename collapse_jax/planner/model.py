"""The risk of a table's rows as a function of eight numbers, with exact slopes."""

import math
from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from collapse_jax import spectra
from collapse_jax.mixture import Mixture, real_and_synthetic, split
from collapse_jax.theory import risk

SHAPES = ("exponent", "signal_decay", "shift_decay", "ridge")
POWERS = ("signal_power", "quality", "noise_real", "noise_synthetic")  # the risk is linear in them, noises squared
NAMES = SHAPES + POWERS
LOGARITHMIC = ("ridge", "signal_power")
NOISES = ("noise_real", "noise_synthetic")
# No end may be a large finite number: the search scales its steps by the distance to the ends.
RANGES = {
    "exponent": (0.0, 6.0),
    "signal_decay": (-2.0, 8.0),
    "shift_decay": (-2.0, 8.0),
    "ridge": (0.0, 1e6),
    **dict.fromkeys(POWERS, (0.0, math.inf)),
}
SMALLEST = {"ridge": 1e-12, "signal_power": 1e-30}  # that are searched by their logarithms
BLOCK = 32  # rows evaluated together: one shape, so one compiled program serves all tables


class Rows(NamedTuple):
    """What the rows of a table set, (R,) each; a ridge of NaN stands for the estimated one."""

    n: np.ndarray
    synthetic_fraction: np.ndarray
    ridge: np.ndarray
    width: np.ndarray | None


class Model(NamedTuple):
    """The errors of rows, and their slopes, as a function of all parameters in their internal form (8,).

    Attributes:
        dim: number of directions.
        spectrum: (d,) eigenvalues, or None for a power law.
        test_noise: whether errors hold the noise of real test labels.
    """

    dim: int
    spectrum: np.ndarray | None
    test_noise: bool

    def mixture(self, theta: np.ndarray) -> Mixture:
        """The mixture of these parameters."""
        return _mixture(jnp.asarray(theta), self.dim, None if self.spectrum is None else jnp.asarray(self.spectrum))

    def __call__(self, theta: np.ndarray, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
        """Errors (R,) and their Jacobian (R, 8)."""
        results = []
        for first in range(0, rows.n.size, BLOCK):
            block = _block(rows, first)
            results.append(_compiled()(jnp.asarray(theta), block, self.spectrum, float(self.test_noise), self.dim))
        error, jacobian = (np.concatenate(arrays)[: rows.n.size] for arrays in zip(*results, strict=True))
        return error, jacobian


def internal(values: Mapping[str, float]) -> np.ndarray:
    """Parameters (8,) as the search sees them: ridge and signal power by their logarithms, noises squared."""
    theta = np.zeros(len(NAMES))
    for k, name in enumerate(NAMES):
        value = values.get(name, 0.0)
        if name in LOGARITHMIC:
            theta[k] = math.log(value) if value > 0 else 0.0  # a known ridge, 0 or in a column, is in the rows
        else:
            theta[k] = value**2 if name in NOISES else value
    return theta


def shown(name: str, value: float, std: float) -> tuple[float, float]:
    """Value and standard error in the users' units; for a noise, one-sided upwards, which exists at 0 too."""
    if name in LOGARITHMIC:
        return math.exp(value), math.exp(value) * std
    if name in NOISES:
        return math.sqrt(value), math.sqrt(value + std) - math.sqrt(value)
    return float(value), float(std)


def replaced(theta: np.ndarray, index: Any, values: Any) -> np.ndarray:
    """A copy with other values at ``index``."""
    changed = np.array(theta, float)
    changed[index] = values
    return changed


LOW = internal({name: SMALLEST.get(name, low) for name, (low, _) in RANGES.items()})
HIGH = internal({name: high for name, (_, high) in RANGES.items()})


@cache
def _compiled() -> Any:
    """Errors and Jacobian of a block, compiled with little optimisation on a CPU, where compiling takes longest."""
    options = {"xla_backend_optimization_level": 0} if jax.default_backend() == "cpu" else None

    def block(theta: jax.Array, rows: Rows, spectrum: jax.Array | None, test_noise: jax.Array, dim: int) -> Any:
        def errors(theta: jax.Array) -> tuple[jax.Array, jax.Array]:
            mixture = _mixture(theta, dim, spectrum)

            def one(row: Rows) -> jax.Array:
                ridge = jnp.where(jnp.isnan(row.ridge), jnp.exp(theta[3]), row.ridge)
                return risk(mixture, split(row.n, row.synthetic_fraction), ridge, row.width).total

            found = jax.vmap(one)(rows) + test_noise * theta[6]
            return found, found

        jacobian, found = jax.jacfwd(errors, has_aux=True)(theta)
        return found, jacobian

    return jax.jit(block, static_argnums=4, compiler_options=options)


def _mixture(theta: jax.Array, dim: int, spectrum: jax.Array | None) -> Mixture:
    spectrum = spectra.power_law(dim, theta[0]) if spectrum is None else spectrum.astype(theta.dtype)
    present = spectrum > 0
    index = jnp.log(jnp.arange(1, dim + 1, dtype=theta.dtype))

    def moments(decay: jax.Array, power: jax.Array) -> jax.Array:
        share = jnp.where(present, jnp.exp(-decay * index), 0)
        return power * share / share.sum() / jnp.where(present, spectrum, 1)

    noise = [jnp.where(v > 0, jnp.sqrt(jnp.where(v > 0, v, 1)), 0) for v in theta[6:8]]
    return real_and_synthetic(spectrum, moments(theta[1], jnp.exp(theta[4])), moments(theta[2], theta[5]), *noise)


def _block(rows: Rows, first: int) -> Rows:
    """``BLOCK`` rows from ``first`` on, the last one repeated where there are fewer."""
    index = np.minimum(np.arange(first, first + BLOCK), rows.n.size - 1)
    width = None if rows.width is None else rows.width[index]
    return Rows(rows.n[index], rows.synthetic_fraction[index], rows.ridge[index], width)
