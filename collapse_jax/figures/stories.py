"""Figure 8 of *Strong Model Collapse*: language models on stories, a share of which another model wrote."""

import matplotlib.figure
from matplotlib.figure import Figure as Picture

from collapse_jax.figures.figure import Datasets, Figure, is_full
from collapse_jax.parts import Parts

# The study is imported where it is used: it loads Flax, which takes a second that a list of figures should not cost.


def _compute(size: str, seed: int) -> Datasets:
    from collapse_jax import stories_study as study

    numbers = study.size("laptop" if is_full(size) else "smoke")
    corpus = study.corpus(numbers, seed)
    result, _ = study.mixtures(corpus, study.prepared(numbers, corpus), seed, Parts(None, {}), lambda _: None)
    return {"fractions": result.fractions, "depths": result.depths}


def _draw(datasets: Datasets) -> Picture:
    from collapse_jax.stories_study import drawing

    picture = matplotlib.figure.Figure(figsize=(11, 5.2), layout="constrained")
    left, right = picture.subplots(1, 2)
    drawing.more(datasets["fractions"], left)
    drawing.deeper(datasets["depths"], right)
    return picture


STORIES = (
    Figure(
        "strong-8",
        "Strong collapse in language models",
        "Loss on held-out reference stories against the tokens seen. Left: several shares of stories that another transformer "
        "wrote. Right: students of several depths, all stories synthetic. Deviations: stories of a small world whose truth is "
        "known, so that the loss is nats a story above the truth; transformers of 0.1 to 0.3 million parameters in place of "
        "GPT-2 (the print's own: python -m collapse_jax stories --preset paper).",
        _compute,
        _draw,
    ),
)
