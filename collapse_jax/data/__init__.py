"""What models train on: real inputs, ready as arrays."""

from collapse_jax.data.digits import Images, digits
from collapse_jax.data.images import normalised, splits, synthetic_rows
from collapse_jax.data.mnist import mnist
from collapse_jax.data.tables import Table, aqsoldb, normal_scores, with_products

__all__ = [
    "Images",
    "Table",
    "aqsoldb",
    "digits",
    "mnist",
    "normal_scores",
    "normalised",
    "splits",
    "synthetic_rows",
    "with_products",
]
