"""Collapse and verification where answers are exact: transformers that learn arithmetic from a transformer's answers."""

from collapse_jax.arithmetic_study.beams import candidates
from collapse_jax.arithmetic_study.drawing import draw_candidates, draw_collapse, draw_verification
from collapse_jax.arithmetic_study.results import Collapse, Verification
from collapse_jax.arithmetic_study.sizes import PRESETS, TASKS, Size, size
from collapse_jax.arithmetic_study.study import collapse, verification

__all__ = [
    "PRESETS",
    "TASKS",
    "Collapse",
    "Size",
    "Verification",
    "candidates",
    "collapse",
    "draw_candidates",
    "draw_collapse",
    "draw_verification",
    "size",
    "verification",
]
