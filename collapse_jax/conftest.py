"""Doctests run in float64 and find the names that every example uses."""

import jax
import jax.numpy as jnp
import pytest

import collapse_jax

jax.config.update("jax_enable_x64", True)


@pytest.fixture(autouse=True)
def _names(doctest_namespace: dict[str, object]) -> None:
    doctest_namespace.update(cj=collapse_jax, jax=jax, jnp=jnp)
