"""Iterated training on text: models that learn from each other's continuations."""

from collapse_jax.text_study.drawing import draw
from collapse_jax.text_study.iteration import chains
from collapse_jax.text_study.reading import Passages, passages
from collapse_jax.text_study.sizes import PRESETS, Size, prepared, size

__all__ = ["PRESETS", "Passages", "Size", "chains", "draw", "passages", "prepared", "size"]
