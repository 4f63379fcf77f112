"""Tests and doctests: float64, no silent broadcasting between ranks, and a compiler that does not optimise.

Compilation is most of what the tests spend their time on; without optimisation it takes a sixth of the time.
"""

import os

import jax
import jaxlib
import pytest

import collapse_jax

QUICK = ["--xla_backend_optimization_level=0"]
# XLA ends the process at a flag it does not know, so this one only where it is known to exist.
if jaxlib.__version__.startswith("0.10."):
    QUICK.append("--xla_cpu_use_fusion_emitters=false")
os.environ.setdefault("XLA_FLAGS", " ".join(QUICK))

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture(autouse=True)
def _names(doctest_namespace: dict[str, object]) -> None:
    doctest_namespace.update(cj=collapse_jax, jax=jax, jnp=jax.numpy)
