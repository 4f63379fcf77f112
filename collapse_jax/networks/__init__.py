"""Networks on real images: random features in closed form, their theory from the images alone, trained networks."""

from collapse_jax.networks.kernels import kernel
from collapse_jax.networks.pool import Pool, pool_of, pool_risk
from collapse_jax.networks.random_features import feature_predictions, features
from collapse_jax.networks.training import Lessons, Recipe, Trained, predictions, train

__all__ = [
    "Lessons",
    "Pool",
    "Recipe",
    "Trained",
    "feature_predictions",
    "features",
    "kernel",
    "pool_of",
    "pool_risk",
    "predictions",
    "train",
]
