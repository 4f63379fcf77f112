"""What a sweep was made of: enough to run it again, and to refuse a store that another sweep made."""

import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from collapse_jax.names import made_with
from collapse_jax.sweep.axes import Grid


def identity(
    point: Callable[..., Any],
    grid: Grid,
    key: jax.Array | None,
    seeds: int | None,
    batch: int,
    target: Mapping[str, float] | None,
) -> dict[str, Any]:
    """Attributes of the dataset that say how to make it again."""
    made: dict[str, Any] = {
        **made_with(),
        "dtype": jnp.result_type(float).name,
        "batch_size": batch,
        "point": f"{getattr(point, '__module__', '')}.{getattr(point, '__qualname__', type(point).__name__)}",
        "axes": ", ".join(f"{axis.name} ({axis.size})" for axis in grid.axes) or "none",
    }
    if key is not None:
        words = " ".join(map(str, jax.random.key_data(key).ravel().tolist()))
        made |= {"key": words, "key_impl": str(jax.random.key_impl(key)), "seeds": int(seeds or 0)}
    if target is not None:
        made["relative_error"] = ", ".join(f"{name} {value!r}" for name, value in target.items())
    return made


def fingerprints(evaluate: Callable[..., Any], arguments: dict[str, Any], key: Any, grid: Grid) -> dict[str, str]:
    """Names of the results, and digests of the point as JAX traces it, constants included, and of each axis' values."""
    traced, results = jax.make_jaxpr(evaluate, return_shape=True)(key, arguments)
    made = {"results": ", ".join(sorted(results)), "point_digest": _digest_program(traced)}
    for axis in grid.axes:
        leaves = jax.tree.leaves((axis.numbers, axis.trees))
        content = [_bytes(leaf) for leaf in leaves]
        made[f"axis_digest_{axis.name}"] = _digest([f"{sorted(axis.numbers | axis.trees)}".encode(), *content])
    return made


def differences(here: Mapping[str, Any], stored: Mapping[str, Any]) -> list[str]:
    """What differs, in words. The device may: results then agree up to rounding."""
    names = [name for name in dict.fromkeys([*here, *stored]) if name not in ("device", "point")]
    lines = []
    for name in names:
        if here.get(name) == stored.get(name):
            continue
        if name == "point_digest":
            if any(here.get(other) != stored.get(other) for other in ("dtype", "jax", "key_impl")):
                continue  # with them every digest changes
            text = f"point computes something else: here {here.get('point')}, in the store {stored.get('point')}"
            lines.append(f"{text} (its operations or the constants it closes over differ)")
        elif name.startswith("axis_digest_"):
            if here.get("axes") == stored.get("axes"):
                lines.append(f"axis {name.removeprefix('axis_digest_')} has other values")
        else:
            lines.append(
                f"{name} is {here.get(name, 'not given')!s} here and {stored.get(name, 'not given')!s} in the store"
            )
    return lines


def _digest_program(program: Any) -> str:
    """Digest of a traced program, without the addresses in what it prints and without a terminal's colours."""
    text = re.sub(r"0x[0-9a-f]{6,}|\x1b\[[0-9;]*m", "", str(program))
    return _digest([text.encode(), *(_bytes(constant) for constant in _constants(program))])


def _constants(program: Any) -> list[Any]:
    """Arrays that a program and the programs inside it close over."""
    found = list(getattr(program, "consts", ()))
    for equation in program.eqns:
        for inner in jax.tree.leaves(list(equation.params.values()), is_leaf=lambda x: hasattr(x, "eqns")):
            if hasattr(inner, "eqns"):
                found.extend(_constants(inner))
    return found


def _bytes(leaf: Any) -> bytes:
    if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        leaf = jax.random.key_data(leaf)
    array = np.asarray(leaf)
    return f"{array.shape} {array.dtype}".encode() + array.tobytes()


def _digest(parts: list[bytes]) -> str:
    sha = hashlib.sha256()
    for part in parts:
        sha.update(part)
    return sha.hexdigest()[:16]
