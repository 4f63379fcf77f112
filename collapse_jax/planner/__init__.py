"""For practitioners: how good is the synthetic data, and what to do with it.

:func:`fit` estimates the quality of synthetic data from a table of errors, :func:`measure` from labelled rows;
:func:`plan` says how many synthetic samples to use and how.
"""

from collapse_jax.planner.estimate import Estimate, Parameter, Prediction, Unidentified, fit
from collapse_jax.planner.laws import Law, Laws, fit_law
from collapse_jax.planner.measure import Measured, measure
from collapse_jax.planner.mix import Choice, Plan, plan
from collapse_jax.planner.search import Between, Certificate

__all__ = [
    "Between",
    "Certificate",
    "Choice",
    "Estimate",
    "Law",
    "Laws",
    "Measured",
    "Parameter",
    "Plan",
    "Prediction",
    "Unidentified",
    "fit",
    "fit_law",
    "measure",
    "plan",
]
