"""What each generation of a chain of models is trained on."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from collapse_jax import checks


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Schedule:
    """Generation g is trained on ``real[g]`` samples labelled by the truth and ``synthetic[g]`` labelled by generation g - 1.

    Each number is one for all generations or an array (G,), one a generation; at least one must be an array. The first
    generation's synthetic labels come from the truth, or from the model that ``shift`` describes.

    Args:
        real: samples labelled by the truth, >= 0.
        synthetic: samples labelled by the previous generation's model, >= 0.
        ridge: the penalty, as in :func:`collapse_jax.theory.risk`.
        noise_real: standard deviation of the noise in real labels.
        noise_synthetic: standard deviation of the noise in synthetic labels.
        width: random projections of each generation's model; None for the classical linear model.
        weight: factor on the squared errors of synthetic samples; those of real samples count once.

    Example:
        >>> import numpy as np
        >>> replaced = Schedule(real=0.0, synthetic=np.full(5, 1000.0), ridge=1e-3, noise_real=0.1, noise_synthetic=0.1)
        >>> mixed = Schedule(real=np.full(5, 500.0), synthetic=500.0, ridge=1e-3, noise_real=0.1, noise_synthetic=0.1)
        >>> replaced.generations, mixed.generations
        (5, 5)
    """

    real: Any
    synthetic: Any
    ridge: Any
    noise_real: Any = 0.0
    noise_synthetic: Any = 0.0
    width: Any = None
    weight: Any = 1.0

    @property
    def generations(self) -> int:
        """G, the number of generations."""
        shapes = {name: _shape(value) for name, value in _numbers(self).items()}
        lengths = {name: shape[0] for name, shape in shapes.items() if len(shape) == 1}
        if not any(lengths.values()):
            raise ValueError(
                f"schedule has no {'entry in its arrays' if lengths else 'array'}; "
                "give at least one number a generation, such as real=np.full(5, 100.0)"
            )
        if len(set(lengths.values())) > 1:
            raise ValueError(f"schedule has arrays of lengths {lengths}; they must be equal, one number a generation")
        return next(iter(lengths.values()))


class Rounds(NamedTuple):
    """A schedule's numbers in one dtype, (G,) each; ``counts`` and ``weights`` (G, 2), width None without projections."""

    counts: jax.Array
    ridge: jax.Array
    noise: jax.Array
    width: jax.Array | None
    weights: jax.Array


def rounds(schedule: Schedule, dtype: Any) -> tuple[Rounds, jax.Array]:
    """The schedule ready for a scan, and the mask of its validity."""
    if not isinstance(schedule, Schedule):
        raise TypeError(f"schedule is a {type(schedule).__name__}; make one with cj.Schedule")
    arrays, valid = {}, jnp.asarray(True)
    for name, value in _numbers(schedule).items():
        array = checks.real(f"schedule.{name}", value, dtype)
        if array.ndim > 1:
            raise ValueError(
                f"schedule.{name} has shape {array.shape}; it must be one number, or (G,): one a generation"
            )
        valid &= checks.at_least_zero(f"schedule.{name}", array)
        arrays[name] = array
    generations = schedule.generations
    arrays = {name: jnp.broadcast_to(array, (generations,)) for name, array in arrays.items()}
    counts = jnp.stack([arrays["real"], arrays["synthetic"]], 1)
    weights = jnp.stack([jnp.ones_like(arrays["weight"]), arrays["weight"]], 1)
    noise = jnp.stack([arrays["noise_real"], arrays["noise_synthetic"]], 1)
    pull = (counts * weights).sum(1)
    valid &= checks.above_zero("schedule.real + weight * synthetic", pull, "Each generation needs samples")
    if "width" in arrays:
        valid &= checks.above_zero("schedule.width", arrays["width"], "width=None is the classical linear model")
    return Rounds(counts, arrays["ridge"], noise, arrays.get("width"), weights), valid


def truth(spectrum: Any, signal: Any, shift: Any) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """Spectrum, signal and shift as (d,) arrays of one dtype, and the mask of their validity."""
    spectrum = checks.real("spectrum", spectrum)
    if spectrum.ndim != 1 or not spectrum.size:
        raise ValueError(f"spectrum has shape {spectrum.shape}; it must be (d,): one eigenvalue a direction")
    valid = checks.at_least_zero("spectrum", spectrum)
    values = []
    for name, value in (("signal", signal), ("shift", shift)):
        value = checks.real(name, value, spectrum.dtype)
        value = jnp.broadcast_to(value, spectrum.shape) if value.ndim == 0 else value
        checks.shape(name, value, spectrum.shape, "one second moment a direction")
        valid &= checks.at_least_zero(name, value)
        values.append(value)
    return spectrum, *values, valid


def _shape(value: Any) -> tuple[int, ...]:
    return np.shape(jnp.asarray(value) if isinstance(value, list | tuple) else value)


def _numbers(schedule: Schedule) -> dict[str, Any]:
    return {name: value for name, value in vars(schedule).items() if name != "width" or value is not None}
