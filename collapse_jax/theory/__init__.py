"""Exact answers: test errors by formula, in the limit of many samples and dimensions."""

from collapse_jax.activations import hermite_coefficients
from collapse_jax.theory.bigrams import bigram_error
from collapse_jax.theory.divisors import Divisors, divisors, learned_divisors
from collapse_jax.theory.effective_ridge import degrees_of_freedom, kappa
from collapse_jax.theory.generations import generations
from collapse_jax.theory.lookalike import Lookalike, lookalike_student
from collapse_jax.theory.memory import memory_error
from collapse_jax.theory.optimal import Optimum, optimal_fraction, optimal_ridge, optimal_weights
from collapse_jax.theory.regression import direction_errors, risk, training_loss
from collapse_jax.theory.scaling import Exponents, Scaling, adaptive_exponent, critical_exponents, scaling
from collapse_jax.theory.self_consumption import SelfConsumption, self_consumption
from collapse_jax.theory.tails import (
    TailChain,
    TailScaling,
    tail_error,
    tail_exponent,
    tail_floor,
    tail_generations,
    tail_law,
    tail_scaling,
)
from collapse_jax.theory.verification import (
    Rates,
    Student,
    breakdown_band,
    majority,
    rates_of_scores,
    verified_student,
    verifier_rates,
)

__all__ = [
    "Divisors",
    "Exponents",
    "Lookalike",
    "Optimum",
    "Rates",
    "Scaling",
    "SelfConsumption",
    "Student",
    "TailChain",
    "TailScaling",
    "adaptive_exponent",
    "bigram_error",
    "breakdown_band",
    "critical_exponents",
    "degrees_of_freedom",
    "direction_errors",
    "divisors",
    "generations",
    "hermite_coefficients",
    "kappa",
    "learned_divisors",
    "lookalike_student",
    "majority",
    "memory_error",
    "optimal_fraction",
    "optimal_ridge",
    "optimal_weights",
    "rates_of_scores",
    "risk",
    "scaling",
    "self_consumption",
    "tail_error",
    "tail_exponent",
    "tail_floor",
    "tail_generations",
    "tail_law",
    "tail_scaling",
    "training_loss",
    "verified_student",
    "verifier_rates",
]
