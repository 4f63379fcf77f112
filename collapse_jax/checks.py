"""What every public function says about bad input.

Outside ``jit`` a wrong value raises ``ValueError`` with the argument's name, the value, what it must be and the way out.
Inside ``jit`` values are not known, so the same test returns a mask, and :func:`poison` turns the affected results to NaN.
"""

import math
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.core
import jax.numpy as jnp
import numpy as np

Tree = TypeVar("Tree")
FLOAT64 = 'turn on float64 before the first array is made: jax.config.update("jax_enable_x64", True)'


def is_traced(*values: Any) -> bool:
    """Whether any value is abstract, so that its numbers are known only when the program runs."""
    return any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(values))


def real(name: str, value: Any, dtype: Any = None) -> jax.Array:
    """``value`` as a real floating-point array; of ``dtype``, or of its own precision (the default one for integers)."""
    if isinstance(value, bool | complex | str) or value is None:
        raise TypeError(f"{name} is {value!r}; it must be a real number or an array of real numbers")
    try:
        array = jnp.asarray(value)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} is {value!r}; it must be a real number or an array of real numbers") from error
    if not jnp.issubdtype(array.dtype, jnp.integer) and not jnp.issubdtype(array.dtype, jnp.floating):
        raise TypeError(f"{name} has dtype {array.dtype}; it must be real numbers")
    if dtype is None:
        dtype = array.dtype if jnp.issubdtype(array.dtype, jnp.floating) else jnp.result_type(float)
    return array.astype(dtype)


def shape(name: str, array: jax.Array, expected: tuple[int, ...], meaning: str) -> None:
    """Raise unless ``array`` has the expected shape, whose ``meaning`` the message gives in words."""
    if array.shape != expected:
        raise ValueError(f"{name} has shape {array.shape}; it must be {expected}: {meaning}")


def scalar(name: str, array: jax.Array) -> None:
    """Raise unless ``array`` is a single number, and say how to sweep it."""
    if array.ndim:
        raise ValueError(
            f"{name} has shape {array.shape}; it must be one number. For many at once use jax.vmap or cj.sweep"
        )


def require(name: str, value: Any, test: Callable[..., Any], must: str, way_out: str = "") -> jax.Array:
    """Mask of ``test(value)`` over all entries; raise where it is known to fail."""
    if not is_traced(value):
        array = np.asarray(value)
        passed = np.asarray(test(array))
        if not passed.all():
            wrong = array if array.shape != passed.shape else array[~passed].flat[0]
            shown = f"{float(wrong):g}" if np.ndim(wrong) == 0 else np.array2string(wrong, threshold=8, precision=4)
            where = "" if array.ndim == 0 or np.ndim(wrong) else f" at index {_index(~passed)}"
            raise ValueError(f"{name} is {shown}{where}; it must be {must}" + (f". {way_out}" if way_out else ""))
        return jnp.asarray(True)
    return jnp.all(test(value))


def at_least_zero(name: str, value: Any, way_out: str = "") -> jax.Array:
    """``value`` must be finite and at least zero."""
    return require(name, value, lambda x: (x >= 0) & (x < math.inf), "finite and at least 0", way_out)


def above_zero(name: str, value: Any, way_out: str = "") -> jax.Array:
    """``value`` must be finite and above zero."""
    return require(name, value, lambda x: (x > 0) & (x < math.inf), "finite and above 0", way_out)


def finite(name: str, value: Any) -> jax.Array:
    """``value`` must be finite."""
    return require(name, value, lambda x: abs(x) < math.inf, "finite")


def fraction(name: str, value: Any) -> jax.Array:
    """``value`` must lie in [0, 1]."""
    return require(
        name, value, lambda x: (x >= 0) & (x <= 1), "between 0 and 1", "A percentage is divided by 100 first"
    )


def poison(result: Tree, valid: jax.Array) -> Tree:
    """``result`` with every leaf turned to NaN where ``valid`` is false."""
    return jax.tree.map(lambda leaf: jnp.where(valid, leaf, jnp.nan), result)


def _index(mask: np.ndarray) -> Any:
    first = tuple(int(i) for i in np.argwhere(mask)[0])
    return first[0] if len(first) == 1 else first
