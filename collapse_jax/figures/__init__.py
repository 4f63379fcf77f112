"""Published figures, each one function of the library: ``FIGURES[name].compute(size, seed)``, then ``.draw(datasets)``."""

from collapse_jax.figures.arithmetic import ARITHMETIC
from collapse_jax.figures.bigrams import BIGRAMS
from collapse_jax.figures.demystified import DEMYSTIFIED
from collapse_jax.figures.figure import Figure
from collapse_jax.figures.images import IMAGES
from collapse_jax.figures.iterated import ITERATED
from collapse_jax.figures.kernels import KERNELS
from collapse_jax.figures.mixing import MIXING
from collapse_jax.figures.stories import STORIES
from collapse_jax.figures.strong_collapse import STRONG_COLLAPSE
from collapse_jax.figures.summaries import SUMMARIES
from collapse_jax.figures.tails import TAILS
from collapse_jax.figures.text import TEXT
from collapse_jax.figures.verification import VERIFICATION

FIGURES: dict[str, Figure] = {
    figure.name: figure
    for figure in (
        *STRONG_COLLAPSE,
        *ITERATED,
        *DEMYSTIFIED,
        *KERNELS,
        *MIXING,
        *IMAGES,
        *STORIES,
        *TEXT,
        *ARITHMETIC,
        *TAILS,
        *BIGRAMS,
        *VERIFICATION,
        *SUMMARIES,
    )
}

__all__ = ["FIGURES", "Figure"]
