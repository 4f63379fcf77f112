"""Strong model collapse on images: random features beside their theory, and trained networks."""

from collapse_jax.images_study.drawing import draw
from collapse_jax.images_study.networks import trained
from collapse_jax.images_study.random_features import features
from collapse_jax.images_study.results import Result
from collapse_jax.images_study.sizes import PRESETS, Size, size
from collapse_jax.images_study.task import Task, task

MODELS = {"features": features, "mlp": trained}

__all__ = ["MODELS", "PRESETS", "Result", "Size", "Task", "draw", "features", "size", "task", "trained"]
