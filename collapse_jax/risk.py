"""The result that theory, simulation and networks share: a test error and what it is made of."""

from dataclasses import dataclass

import jax


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Risk:
    """Expected squared error on the target, without the noise of the test labels, and its three parts.

    Attributes:
        bias: the error if all sources told the truth without noise: what too few samples, too small a model or too
            large a ridge lose of the signal.
        variance: what the noise in the labels adds.
        collapse: what the wrong labels of the other sources add (zeta in *Strong Model Collapse*, equation 8). It can
            be negative only where another source's error happens to cancel the ridge's shrinkage.

    All three have one shape: () for one point, more axes under ``jax.vmap`` or over generations. Units: squared label units.

    Example:
        >>> risk = Risk(bias=0.1, variance=0.2, collapse=0.3)
        >>> round(risk.total, 12)
        0.6
    """

    bias: jax.Array
    variance: jax.Array
    collapse: jax.Array

    @property
    def total(self) -> jax.Array:
        """The test error: bias + variance + collapse."""
        return self.bias + self.variance + self.collapse
