"""Published figures, each one function of the library: ``FIGURES[name].compute(size, seed)``, then ``.draw(datasets)``."""

from collapse_jax.figures.figure import Figure
from collapse_jax.figures.strong_collapse import STRONG_COLLAPSE

FIGURES: dict[str, Figure] = {figure.name: figure for figure in STRONG_COLLAPSE}

__all__ = ["FIGURES", "Figure"]
