"""What a mixture of real and synthetic data does to the test error, and why: by theory, by simulation, on networks."""

from collapse_jax import planner, simulate, skills, spectra, theory
from collapse_jax.citation import citation
from collapse_jax.mixture import Mixture, real_and_synthetic, split
from collapse_jax.risk import Risk
from collapse_jax.schedule import Schedule
from collapse_jax.sweep import mean_and_error, summary, sweep, zipped
from collapse_jax.verification import Verified

__version__ = "0.1.0"
__all__ = [
    "Mixture",
    "Risk",
    "Schedule",
    "Verified",
    "citation",
    "mean_and_error",
    "planner",
    "real_and_synthetic",
    "simulate",
    "skills",
    "spectra",
    "split",
    "summary",
    "sweep",
    "theory",
    "zipped",
]
