"""What a mixture of real and synthetic data does to the test error, and why: by theory, by simulation, on networks."""

from collapse_jax import simulate, spectra, theory
from collapse_jax.mixture import Mixture, real_and_synthetic, split
from collapse_jax.risk import Risk

__all__ = ["Mixture", "Risk", "real_and_synthetic", "simulate", "spectra", "split", "theory"]
