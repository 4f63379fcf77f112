"""What models train on: real inputs, ready as arrays."""

from collapse_jax.data.digits import Images, digits

__all__ = ["Images", "digits"]
