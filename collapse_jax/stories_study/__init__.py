"""Strong model collapse in language models: transformers on stories that another transformer wrote."""

from collapse_jax.stories_study.chains import generations
from collapse_jax.stories_study.corpus import Corpus, corpus
from collapse_jax.stories_study.drawing import draw, draw_generations
from collapse_jax.stories_study.results import Result
from collapse_jax.stories_study.sizes import PRESETS, Size, size
from collapse_jax.stories_study.study import mixtures, prepared

__all__ = [
    "PRESETS",
    "Corpus",
    "Result",
    "Size",
    "corpus",
    "draw",
    "draw_generations",
    "generations",
    "mixtures",
    "prepared",
    "size",
]
