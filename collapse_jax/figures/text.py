"""Figure 7 of *A Tale of Tails*: models of text that learn from each other's continuations."""

from matplotlib.figure import Figure as Picture

from collapse_jax.figures.figure import Datasets, Figure, is_full
from collapse_jax.parts import Parts

# The study is imported where it is used: it loads Flax, which takes a second that a list of figures should not cost.


def _compute(size: str, seed: int) -> Datasets:
    from collapse_jax import text_study as study

    numbers = study.size("laptop" if is_full(size) else "smoke")
    text = study.passages(numbers, seed)
    numbers = study.prepared(numbers, text.vocabulary.size)
    return {"chains": study.chains(text, numbers, seed, Parts(None, {}), lambda _: None)}


def _draw(datasets: Datasets) -> Picture:
    from collapse_jax import text_study as study

    return study.draw(datasets["chains"])


TEXT = (
    Figure(
        "tails-7",
        "Models of text that learn from each other's continuations",
        "Perplexity of held-out true continuations by generation and along the training of the last, rare tokens and distinct "
        "pairs in what models write; a share of true continuations of 0, 2 % (Figure 7) and 10 % (Figure 34). Deviations: "
        "stories of a small world and transformers of 0.15 million parameters, trained from random weights, not Wikitext "
        "and Llama 2 with adapters (a text of one's own: python -m collapse_jax text --text PATH).",
        _compute,
        _draw,
    ),
)
