"""Figures 4 of *A Tale of Tails* and of *Beyond Model Collapse*: transformers that learn arithmetic from a transformer."""

from typing import Any

from matplotlib.figure import Figure as Picture

from collapse_jax.figures.figure import Datasets, Figure, is_full
from collapse_jax.parts import Parts

# The study is imported where it is used: it loads Flax, which takes a second that a list of figures should not cost.


def _numbers(size: str, task: str) -> Any:
    from collapse_jax import arithmetic_study as study

    return study.size(task, "laptop" if is_full(size) else "smoke")


def _collapse(size: str, seed: int) -> Datasets:
    from collapse_jax import arithmetic_study as study

    return study.collapse(_numbers(size, "gcd"), seed, Parts(None, {}), lambda _: None).datasets()


def _verification(size: str, seed: int) -> Datasets:
    from collapse_jax import arithmetic_study as study

    return study.verification(_numbers(size, "eigenvalues"), seed, Parts(None, {}), lambda _: None).datasets()


def _candidates(size: str, seed: int) -> Datasets:
    from collapse_jax import arithmetic_study as study

    more = {} if is_full(size) else {"beams": (1, 3)}
    return {"drawn": study.candidates(_numbers(size, "eigenvalues"), seed, Parts(None, {}), lambda _: None, **more)}


def _draw_candidates(datasets: Datasets) -> Picture:
    from collapse_jax import arithmetic_study as study

    return study.draw_candidates(datasets["drawn"])


def _draw_collapse(datasets: Datasets) -> Picture:
    from collapse_jax import arithmetic_study as study

    return study.draw_collapse(study.Collapse(**datasets))


def _draw_verification(datasets: Datasets) -> Picture:
    from collapse_jax import arithmetic_study as study

    return study.draw_verification(study.Verification(**datasets))


ARITHMETIC = (
    Figure(
        "tails-4",
        "Skills lost and recovered: greatest common divisors",
        "Learned divisors against the answers learned from, for students of exact answers, of a generator's, and of mixtures. "
        "Deviations: numbers up to 1,295 in base 6 and transformers of 26 thousand parameters in place of numbers up to a "
        "million in six bases and 17 million (the print's own: python -m collapse_jax arithmetic --preset paper).",
        _collapse,
        _draw_collapse,
    ),
    Figure(
        "verification-4",
        "Verified and unverified answers at equal n: eigenvalues",
        "Share of right answers of students of a generator's answers that verifiers chose; right, against the noise of the "
        "verifier. Deviations: matrices of 2 x 2, two digits, a tolerance of 5 % and transformers of 0.1 million parameters in "
        "place of 5 x 5, three digits, 1 % (the print's own: python -m collapse_jax arithmetic --task eigenvalues --preset "
        "paper).",
        _verification,
        _draw_verification,
    ),
    Figure(
        "verification-table-1",
        "A right answer among the candidates, and the generator that does not find it",
        "Table 1. Share of questions with a right answer picked among the candidates of a beam search, by an oracle and by the "
        "generator itself: its likeliest. One beam is greedy. Deviations: those of verification-4.",
        _candidates,
        _draw_candidates,
    ),
)
