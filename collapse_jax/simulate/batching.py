"""How a simulation's dense kernel is batched: one point at a time on a CPU, all together on an accelerator."""

from collections.abc import Callable
from typing import Any

import jax


def one_at_a_time(kernel: Callable[..., Any]) -> Callable[..., Any]:
    """``kernel`` with a ``vmap`` that on a CPU runs it once a point, in a compiled loop.

    There a batch of matrices leaves the cache. What does not depend on the batch (random numbers of a shared key) stays
    outside the loop, and memory does not grow with the batch. Derivatives are those of the plain kernel.
    """
    looped = jax.custom_batching.custom_vmap(kernel)

    @looped.def_vmap
    def _batch(_: int, in_batched: Any, *arguments: Any) -> tuple[Any, Any]:
        leaves, structure = jax.tree.flatten(arguments)
        batched = jax.tree.leaves(tuple(in_batched))
        if jax.default_backend() == "cpu":

            def one(moving: list[jax.Array]) -> Any:
                rest = iter(moving)
                chosen = [next(rest) if moves else leaf for leaf, moves in zip(leaves, batched, strict=True)]
                return looped(*jax.tree.unflatten(structure, chosen))

            result = jax.lax.map(one, [leaf for leaf, moves in zip(leaves, batched, strict=True) if moves])
        else:
            axes = jax.tree.unflatten(structure, [0 if moves else None for moves in batched])
            result = jax.vmap(kernel, in_axes=axes)(*arguments)
        return result, jax.tree.map(lambda _: True, result)

    @jax.custom_jvp
    def call(*arguments: Any) -> Any:
        return looped(*arguments)

    @call.defjvp
    def _derivative(primals: Any, tangents: Any) -> Any:
        return jax.jvp(kernel, primals, tangents)

    return call
