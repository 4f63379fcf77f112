"""The two-layer network of *Strong Model Collapse*, Section 4.1, many of them side by side."""

import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx


class TwoLayer(nnx.Module):
    """Networks ``relu(x W' + b) V' + c`` that read the same inputs and differ in their weights.

    Their first layers are the rows of one matrix, so one product serves all of them: a group of narrow networks trains at the
    rate of a wide one. Networks of a group begin with the same weights, so that what tells them apart is what they are taught.

    Args:
        dim: length of an input.
        width: hidden units of each network.
        classes: outputs of each network.
        networks: how many there are.
        rngs: draws the weights, uniform within ``1 / sqrt(inputs of the layer)``, biases too, as PyTorch's ``Linear`` does.
        dtype: of the weights.

    Example:
        >>> model = TwoLayer(dim=3, width=5, classes=2, networks=4, rngs=nnx.Rngs(0))
        >>> model(jnp.ones((7, 3))).shape
        (7, 4, 2)
    """

    def __init__(
        self, dim: int, width: int, classes: int, networks: int, *, rngs: nnx.Rngs, dtype: Any = jnp.float32
    ) -> None:
        def drawn(inputs: int, *shape: int) -> nnx.Param[jax.Array]:
            bound = 1 / math.sqrt(inputs)
            one = jax.random.uniform(rngs.params(), shape, dtype, -bound, bound)
            return nnx.Param(jnp.broadcast_to(one, (networks, *shape)))

        # One row a unit in both layers: products then read memory in order.
        self.hidden, self.hidden_bias = drawn(dim, width, dim), drawn(dim, width)
        self.output, self.output_bias = drawn(width, classes, width), drawn(width, classes)

    def __call__(self, inputs: jax.Array) -> jax.Array:
        """(b, networks, classes) outputs for (b, dim) inputs."""
        networks, width, dim = self.hidden.shape
        rows = self.hidden[...].reshape(networks * width, dim)
        hidden = jax.nn.relu(inputs @ rows.T + self.hidden_bias[...].reshape(1, -1)).reshape(-1, networks, width)
        # Networks first, as a copy: a product batched along its middle axis takes three times as long.
        own = jax.lax.optimization_barrier(hidden.swapaxes(0, 1))
        outputs = jnp.einsum("nbw,ncw->nbc", own, self.output[...]) + self.output_bias[...][:, None]
        return outputs.swapaxes(0, 1)
