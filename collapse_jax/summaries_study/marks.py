"""How good summaries are: ROUGE, and on the story world also what is exactly right."""

from collections.abc import Sequence

import numpy as np

from collapse_jax.data.documents import events_right

ROUGE = ("rouge1", "rouge2", "rougeL")
EXACT = ("events", "exact")


def rouge(told: Sequence[str], truth: Sequence[str]) -> dict[str, np.ndarray]:
    """(N,) F-measures of ROUGE-1, ROUGE-2 and ROUGE-L of each summary against the true one; words are not stemmed.

    Raises:
        ImportError: where rouge-score is not installed.
        ValueError: for different numbers of summaries.

    Source: Lin, *ROUGE: a package for automatic evaluation of summaries* (2004), as the package rouge-score has it.

    Example:
        >>> found = rouge(["the cat sat"], ["the cat slept"])
        >>> {name: round(float(values[0]), 3) for name, values in found.items()}
        {'rouge1': 0.667, 'rouge2': 0.5, 'rougeL': 0.667}
    """
    try:
        from rouge_score.rouge_scorer import RougeScorer
    except ImportError as error:
        raise ImportError('ROUGE needs the package rouge-score: python -m pip install "collapse-jax[rouge]"') from error
    if len(told) != len(truth):
        raise ValueError(f"told has {len(told)} summaries and truth {len(truth)}; each needs its true one")
    scorer = RougeScorer(list(ROUGE))
    scores = [scorer.score(true, own) for own, true in zip(told, truth, strict=True)]
    return {name: np.asarray([score[name].fmeasure for score in scores]) for name in ROUGE}


def marks(told: Sequence[str], truth: Sequence[str], exact: bool) -> dict[str, np.ndarray]:
    """(N,) :func:`rouge`, and where ``exact`` the share of ``events`` right and whether a summary is ``exact``.

    Example:
        >>> found = marks(["Bo met Al, lost red ball"], ["Bo met Al, lost old ball"], exact=True)
        >>> float(found["events"][0]), float(found["exact"][0])
        (0.5, 0.0)
    """
    found = rouge(told, truth)
    if exact:
        pairs = list(zip(told, truth, strict=True))
        found["events"] = np.asarray([events_right(*pair) for pair in pairs])
        found["exact"] = np.asarray([float(own == true) for own, true in pairs])
    return found
