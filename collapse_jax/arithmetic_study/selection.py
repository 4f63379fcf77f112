"""Verifiers: which of a generator's answers a student gets to see."""

from typing import Any, NamedTuple

import numpy as np

from collapse_jax.arithmetic_study import answers
from collapse_jax.arithmetic_study.results import EXACT_DATA, UNVERIFIED
from collapse_jax.networks.gpt import GPT


class Chosen(NamedTuple):
    """Questions and answers (N,) that a verifier lets pass, which share of all this is, and how many are wrong."""

    asked: np.ndarray
    said: np.ndarray
    kept: float
    error: float


def selections(bench: Any, chain: int, model: GPT, weak: GPT) -> dict[str, Chosen]:
    """What each verifier leaves, at most ``rows`` answers.

    - "exact data": no generator. "unverified": its greedy answers. "greedy, exact": of these the right ones.
    - "beam K, exact": the likeliest right one of K candidates; questions without one are left out. "beam K, self": the
      candidate that the generator finds likeliest. "beam K, weak": that a smaller model does. The largest K for these two.
    - "drawn, p": one answer drawn of each question, right ones kept, wrong ones with probability p.
    """
    size, task, most = bench.size, bench.size.task, max(bench.size.beams)
    asked, truth = bench.questions(chain, size.rows)
    pool = bench.parts.get(f"beams_{chain}", lambda: _beams(bench, model, weak, asked))
    said, weakly = pool["said"], pool["weak"]
    right = np.stack([task.right(task.read(said[:, i]), truth) for i in range(most)], 1)
    greedy = pool["greedy"]
    fine = task.right(task.read(greedy), truth)
    every = np.arange(len(asked))
    found = {
        EXACT_DATA: Chosen(asked, task.say(truth), 1.0, 0.0),
        UNVERIFIED: Chosen(asked, greedy, 1.0, 1 - fine.mean()),
        "greedy, exact": Chosen(asked[fine], greedy[fine], fine.mean(), 0.0),
        f"beam {most}, self": Chosen(asked, said[:, 0], 1.0, 1 - right[:, 0].mean()),
    }
    best = weakly.argmax(1)
    found[f"beam {most}, weak"] = Chosen(asked, said[every, best], 1.0, 1 - right[every, best].mean())
    for beams in size.beams:
        some = right[:, :beams].any(1)
        found[f"beam {beams}, exact"] = Chosen(asked[some], said[some, right[some, :beams].argmax(1)], some.mean(), 0.0)
    return found | _drawn(bench, chain, model)


def _beams(bench: Any, model: GPT, weak: GPT, asked: np.ndarray) -> dict[str, Any]:
    size = bench.size
    said = answers.likeliest(model, size, asked, max(size.beams))
    return {
        "said": said,
        "weak": answers.log_probability(weak, size, asked, said),
        "greedy": answers.greedy(model, size, asked),
    }


def _drawn(bench: Any, chain: int, model: GPT) -> dict[str, Chosen]:
    """One answer drawn of each question, and what noisy verifiers leave of them."""
    size, task = bench.size, bench.size.task
    asked, truth = bench.questions(chain, size.drawn, which=6)
    pool = bench.parts.get(f"drawn_{chain}", lambda: {"said": answers.sampled(bench.key(chain, 7), model, size, asked)})
    fine = task.right(task.read(pool["said"]), truth)
    luck = np.random.default_rng((bench.seed, chain, 8)).random(len(fine))
    found = {}
    for noise in size.noises:
        passed = fine | (luck < noise)
        chosen = np.flatnonzero(passed)[: size.rows]
        error = 1 - fine[chosen].mean() if len(chosen) else 0.0
        found[f"drawn, {noise:g}"] = Chosen(asked[chosen], pool["said"][chosen], passed.mean(), error)
    return found
