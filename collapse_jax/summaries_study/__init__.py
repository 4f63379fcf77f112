"""Summaries that a model wrote and verifiers chose: what their students learn."""

from collapse_jax.summaries_study.drawing import draw
from collapse_jax.summaries_study.reading import Documents, documents
from collapse_jax.summaries_study.sizes import PRESETS, Size, prepared, size
from collapse_jax.summaries_study.study import Result, verification

__all__ = ["PRESETS", "Documents", "Result", "Size", "documents", "draw", "prepared", "size", "verification"]
