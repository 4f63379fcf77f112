"""What a point costs, read off its traced program: how many points to work on together, and how many between two savings."""

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

CPU_WORKING_SET = 5e6  # bytes: what stays in a core's cache while a batch is worked on
ACCELERATOR_SHARE = 1 / 64  # of its memory, for the largest array of a batch
CPU_OPERATIONS = 1e10  # in a chunk: some tenths of a second of two cores
ACCELERATOR_OPERATIONS = 2e12
RESULTS = 2**26  # bytes that a chunk returns, at most
PROBE = 7919  # a prime that no other axis is likely to have, so that batched arrays show


class Cost(NamedTuple):
    """Of one point within a batch.

    Attributes:
        bytes: of its largest array.
        operations: its arithmetic; a loop of unknown length counts once.
        results: bytes that it returns.
    """

    bytes: float
    operations: float
    results: float

    def batch(self) -> int:
        """As many points as keep the largest array within a CPU's cache, or a share of an accelerator's memory."""
        device = jax.local_devices()[0]
        budget = CPU_WORKING_SET
        if device.platform != "cpu":
            memory = (device.memory_stats() or {}).get("bytes_limit", CPU_WORKING_SET / ACCELERATOR_SHARE)
            budget = memory * ACCELERATOR_SHARE
        return max(1, int(budget / self.bytes))

    def chunk(self) -> tuple[int, int]:
        """As many points as take about a second, so that progress shows and little is lost; and how many memory allows."""
        cpu = jax.local_devices()[0].platform == "cpu"
        operations = CPU_OPERATIONS if cpu else ACCELERATOR_OPERATIONS
        largest = max(1, int(RESULTS / self.results))
        return min(largest, max(1, int(operations / self.operations))), largest


def cost_of(evaluate: Callable[..., Any], key: jax.Array | None, arguments: dict[str, Any]) -> Cost:
    """The cost of a point of ``evaluate(key, arguments)``, from its trace under a batch of a prime number of points."""
    batched = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((PROBE, *leaf.shape), leaf.dtype), arguments)
    traced = jax.make_jaxpr(lambda given: jax.vmap(lambda one: evaluate(key, one), axis_size=PROBE)(given))(batched)
    results = sum(_bytes(variable.aval) for variable in traced.jaxpr.outvars)
    return Cost(max(_largest(traced.jaxpr), 8), max(_operations(traced.jaxpr, False), 1), max(results, 8))


def _largest(jaxpr: Any) -> float:
    """Bytes a point of the largest array with a batch axis, inner programs included."""
    largest = 0.0
    for equation in jaxpr.eqns:
        for variable in equation.outvars:
            if PROBE in getattr(variable.aval, "shape", ()):
                largest = max(largest, _bytes(variable.aval))
        largest = max([largest, *(_largest(inner) for inner in _inner(equation))])
    return largest


def _operations(jaxpr: Any, single: bool) -> float:
    """Operations a point; ``single`` inside a loop that takes one point at a time, where no batch axis shows."""
    total = 0.0
    for equation in jaxpr.eqns:
        loop = equation.primitive.name == "scan"
        length = equation.params["length"] if loop else 1
        inner = sum(_operations(part, single or length == PROBE) for part in _inner(equation))
        total += inner * (1 if length == PROBE else length)
        for variable in equation.outvars:
            shape = getattr(variable.aval, "shape", ())
            if single or PROBE in shape:
                total += math.prod(shape) / (1 if single else PROBE) * _each(equation)
    return total


def _each(equation: Any) -> float:
    """Operations for each number that an equation makes: a product's sums are long."""
    if equation.primitive.name != "dot_general":
        return 1
    (contracted, _), _ = equation.params["dimension_numbers"]
    return 2 * math.prod(equation.invars[0].aval.shape[axis] for axis in contracted)


def _inner(equation: Any) -> Iterator[Any]:
    for part in jax.tree.leaves(list(equation.params.values()), is_leaf=lambda x: hasattr(x, "eqns")):
        part = getattr(part, "jaxpr", part)
        if hasattr(part, "eqns"):
            yield part


def _bytes(aval: Any) -> float:
    """A point's share of an array that grows with the batch."""
    return math.prod(aval.shape) / PROBE * np.dtype(_storage(aval.dtype)).itemsize


def _storage(dtype: Any) -> Any:
    """The NumPy dtype that holds an array; random keys are two 32-bit words."""
    return np.uint64 if jnp.issubdtype(dtype, jax.dtypes.prng_key) else dtype
