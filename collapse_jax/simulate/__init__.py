"""Exact experiments: the same names and arguments as :mod:`collapse_jax.theory`, plus a key."""

from collapse_jax.simulate.bigrams import Bigrams, bigram_error, bigram_generations, bigram_mixture
from collapse_jax.simulate.divisors import Answers, divisors, learn
from collapse_jax.simulate.generations import generations
from collapse_jax.simulate.memory import memory_error
from collapse_jax.simulate.regression import Fit, draw_labels, fit, risk, smallest_ridge
from collapse_jax.simulate.rows import Rows, fit_rows, random_features, rows
from collapse_jax.simulate.self_consumption import SelfConsumption, self_consumption
from collapse_jax.simulate.tails import tail_error, tail_generations
from collapse_jax.simulate.verification import Student, verified_risk, verified_student

__all__ = [
    "Answers",
    "Bigrams",
    "Fit",
    "Rows",
    "SelfConsumption",
    "Student",
    "bigram_error",
    "bigram_generations",
    "bigram_mixture",
    "divisors",
    "draw_labels",
    "fit",
    "fit_rows",
    "generations",
    "learn",
    "memory_error",
    "random_features",
    "risk",
    "rows",
    "self_consumption",
    "smallest_ridge",
    "tail_error",
    "tail_generations",
    "verified_risk",
    "verified_student",
]
