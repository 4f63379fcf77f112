"""Exact answers: test errors by formula, in the limit of many samples and dimensions."""

from collapse_jax.activations import hermite_coefficients
from collapse_jax.theory.effective_ridge import degrees_of_freedom, kappa
from collapse_jax.theory.generations import generations
from collapse_jax.theory.optimal import Optimum, optimal_fraction, optimal_ridge, optimal_weights
from collapse_jax.theory.regression import direction_errors, risk, training_loss
from collapse_jax.theory.scaling import Exponents, Scaling, adaptive_exponent, critical_exponents, scaling

__all__ = [
    "Exponents",
    "Optimum",
    "Scaling",
    "adaptive_exponent",
    "critical_exponents",
    "degrees_of_freedom",
    "direction_errors",
    "generations",
    "hermite_coefficients",
    "kappa",
    "optimal_fraction",
    "optimal_ridge",
    "optimal_weights",
    "risk",
    "scaling",
    "training_loss",
]
