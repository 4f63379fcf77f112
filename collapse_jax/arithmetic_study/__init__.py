"""Collapse and verification where answers are exact: transformers that learn arithmetic from a transformer's answers."""

from collapse_jax.arithmetic_study.drawing import draw_collapse, draw_verification
from collapse_jax.arithmetic_study.sizes import PRESETS, TASKS, Size, size
from collapse_jax.arithmetic_study.study import Collapse, Verification, collapse, verification

__all__ = [
    "PRESETS",
    "TASKS",
    "Collapse",
    "Size",
    "Verification",
    "collapse",
    "draw_collapse",
    "draw_verification",
    "size",
    "verification",
]
