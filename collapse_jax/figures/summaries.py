"""The figure on news of *Beyond Model Collapse*: students of a generator's summaries that verifiers chose."""

from typing import Any

from matplotlib.figure import Figure as Picture

from collapse_jax.figures.figure import Datasets, Figure, is_full
from collapse_jax.parts import Parts

# The study is imported where it is used: it loads Flax, which takes a second that a list of figures should not cost.


def _verification(size: str, seed: int) -> Datasets:
    from collapse_jax import summaries_study as study

    numbers = study.size("laptop" if is_full(size) else "smoke")
    given = study.documents(numbers, seed)
    numbers = study.prepared(numbers, given.vocabulary.size)
    return study.verification(given, numbers, seed, Parts(None, {}), lambda _: None).datasets()


def _draw(datasets: Datasets) -> Picture:
    from collapse_jax import summaries_study as study

    result: Any = study.Result(**datasets)
    return study.draw(result)


SUMMARIES = (
    Figure(
        "verification-news",
        "Summaries that verifiers chose",
        "ROUGE-1 and the share of exactly right summaries of students of a generator's summaries: random ones, those of the "
        "lowest perplexity to the generator or to a stronger model, those of the highest ROUGE-1 against the truth. Right, "
        "what verifiers leave. Deviations: stories of a small world and transformers of 0.2 million parameters, trained from "
        "nothing for equally many steps, in place of English news and Llama 2, tuned for one epoch; the stronger model is the "
        "same transformer with more true summaries in place of Llama 3 (documents of your own: python -m collapse_jax text "
        "--task summaries --text PATH).",
        _verification,
        _draw,
    ),
)
