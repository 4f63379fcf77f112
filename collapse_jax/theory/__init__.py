"""Exact answers: test errors by formula, in the limit of many samples and dimensions."""

from collapse_jax.activations import hermite_coefficients
from collapse_jax.theory.effective_ridge import degrees_of_freedom, kappa
from collapse_jax.theory.generations import generations
from collapse_jax.theory.optimal import Optimum, optimal_ridge
from collapse_jax.theory.regression import direction_errors, risk, training_loss

__all__ = [
    "Optimum",
    "degrees_of_freedom",
    "direction_errors",
    "generations",
    "hermite_coefficients",
    "kappa",
    "optimal_ridge",
    "risk",
    "training_loss",
]
