"""The axes of a sweep: numbers or pytrees, alone or several together, and the grid they span."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


@dataclass(frozen=True)
class Zipped:
    """Sequences of one length that vary together along one axis; made by :func:`zipped`."""

    values: Mapping[str, Any]


def zipped(**values: Any) -> Zipped:
    """Sequences that vary together along one axis of a sweep, rather than as a product.

    Args:
        **values: sequences of one length, each as an axis of :func:`collapse_jax.sweep`. ``point`` takes these names, not
            the name of the axis.

    Example:
        >>> models = zipped(width=[100, 400], ridge=[1e-2, 1e-3])
        >>> dataset = cj.sweep(lambda n, width, ridge: n * width * ridge, n=[1.0, 2.0, 3.0], model=models)
        >>> dict(dataset.sizes), dataset.width.dims
        ({'n': 3, 'model': 2}, ('model',))
    """
    if not values:
        raise ValueError("zipped has no sequences; it must have at least one, such as zipped(width=[...], ridge=[...])")
    return Zipped(values)


class Axis(NamedTuple):
    """One dimension of the grid, and what ``point`` takes along it."""

    name: str
    size: int
    numbers: dict[str, np.ndarray]
    trees: dict[str, Any]

    def coordinates(self) -> dict[str, np.ndarray]:
        """Labels along this dimension: its numbers, or positions where it has none of its own name."""
        return {self.name: np.arange(self.size)} | self.numbers


class Grid(NamedTuple):
    """The product of axes."""

    axes: tuple[Axis, ...]

    @property
    def dims(self) -> tuple[str, ...]:
        return tuple(axis.name for axis in self.axes)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(axis.size for axis in self.axes)

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def trees(self) -> dict[str, Any]:
        """Pytrees by argument, each leaf with the axis' values in front."""
        return {name: tree for axis in self.axes for name, tree in axis.trees.items()}

    def arguments(self, indices: np.ndarray) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Numbers of the points of these flat indices, and positions of their pytrees along their axes."""
        positions = np.unravel_index(indices, self.shape) if self.axes else ()
        numbers, places = {}, {}
        for axis, position in zip(self.axes, positions, strict=True):
            numbers |= {name: values[position] for name, values in axis.numbers.items()}
            places |= {name: position.astype(np.int32) for name in axis.trees}
        return numbers, places


def grid(axes: Mapping[str, Any]) -> Grid:
    """The grid of these axes; raises ValueError for an axis that is empty, of unequal lengths, or not numbers or pytrees."""
    made = []
    for name, values in axes.items():
        if isinstance(values, Zipped):
            parts = {part: _values(f"{part} of axis {name}", given) for part, given in values.values.items()}
        else:
            parts = {name: _values(f"axis {name}", values)}
        sizes = {part: _length(tree) for part, tree in parts.items()}
        if len(set(sizes.values())) > 1:
            raise ValueError(f"the sequences zipped in axis {name} have lengths {sizes}; they must be equal")
        numbers = {part: tree for part, tree in parts.items() if _is_numbers(tree)}
        trees = {part: jax.tree.map(jnp.asarray, tree) for part, tree in parts.items() if part not in numbers}
        made.append(Axis(name, next(iter(sizes.values())), numbers, trees))
    names = [name for axis in made for name in {axis.name, *axis.numbers, *axis.trees}]
    twice = {name for name in names if names.count(name) > 1}
    if twice or "seed" in names:
        wrong = min(twice or {"seed"})
        raise ValueError(f"{wrong} names two axes{' (seed is the repetitions)' if wrong == 'seed' else ''}; rename one")
    return Grid(tuple(made))


def _values(what: str, values: Any) -> Any:
    """A (L,) float array of numbers, or a pytree whose leaves have the leading axis L."""
    if isinstance(values, list | tuple) and not hasattr(values, "_fields"):
        values = _stacked(what, list(values))
    leaves = jax.tree.leaves(values)
    good = bool(leaves) and all(_numeric(leaf) and np.ndim(leaf) > 0 and np.shape(leaf)[0] > 0 for leaf in leaves)
    if not good:
        raise ValueError(
            f"{what} is {values!r}; it must be a sequence of at least one number, or a pytree of arrays with one leading axis"
        )
    if len({np.shape(leaf)[0] for leaf in leaves}) > 1:
        raise ValueError(
            f"{what} has leaves of shapes {[np.shape(leaf) for leaf in leaves]}; the first axes must be equal"
        )
    if len(leaves) == 1 and leaves[0] is values and np.ndim(values) == 1 and not _is_key(values):
        return np.asarray(values)
    return values


def _stacked(what: str, values: list[Any]) -> Any:
    """A list of numbers, of arrays or of equal pytrees as one array or pytree with a leading axis."""
    plain = all(isinstance(value, list | tuple | range) and not hasattr(value, "_fields") for value in values)
    if plain or all(jax.tree.structure(value) == jax.tree.structure(0) for value in values):
        try:
            return jnp.stack(values) if values and _is_key(values[0]) else np.asarray(values)
        except ValueError as error:
            raise ValueError(f"{what} is {values!r}; its entries must have one shape") from error
    try:
        return jax.tree.map(lambda *leaves: jnp.stack(leaves), *values)
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"{what} holds pytrees that do not stack; they must have one structure and one shape"
        ) from error


def _length(tree: Any) -> int:
    return np.shape(jax.tree.leaves(tree)[0])[0]


def _is_numbers(tree: Any) -> bool:
    return isinstance(tree, np.ndarray) and tree.ndim == 1 and not np.iscomplexobj(tree)


def _is_key(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _numeric(leaf: Any) -> bool:
    dtype = leaf.dtype if isinstance(leaf, jax.Array) else np.asarray(leaf).dtype
    return _is_key(leaf) or bool(jnp.issubdtype(dtype, np.number))
