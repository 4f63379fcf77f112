"""The drawn Gram matrices have the law of X'X, for any number of rows."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from collapse_jax.simulate import wishart

DIM, DRAWS = 6, 20_000
KEYS = jax.random.split(jax.random.key(0), DRAWS)


def factor(key, degrees):
    return wishart.factors(wishart.draw(key, DIM, jnp.asarray([degrees])))[0]


@jax.jit
@partial(jax.vmap, in_axes=(0, None))
def gram(key, degrees):
    root = factor(key, degrees)
    return root @ root.T


@partial(jax.jit, static_argnums=1)
@partial(jax.vmap, in_axes=(0, None))
def gram_of_rows(key, degrees):
    rows = jax.random.normal(key, (degrees, DIM))
    return rows.T @ rows


@pytest.mark.parametrize("degrees", [1.0, 3.0, 6.0, 50.0, 1e6])
def test_entries_have_the_moments_of_a_wishart_matrix(degrees):
    grams = np.asarray(gram(KEYS, degrees))
    error = np.sqrt(degrees * (1 + np.eye(DIM)) / DRAWS)
    assert (np.abs(grams.mean(0) - degrees * np.eye(DIM)) < 4 * error).all()
    # E (W_ij - n I_ij)^2 = n (1 + I_ij); the kurtosis of a product of normals bounds its error.
    assert_allclose(grams.var(0), degrees * (1 + np.eye(DIM)), rtol=0.15)


@pytest.mark.parametrize("degrees", [3, 6, 7, 40])
@pytest.mark.parametrize("which", [0, -1], ids=["smallest", "largest"])
def test_extreme_eigenvalues_have_the_law_of_those_of_rows(degrees, which):
    drawn = jnp.linalg.eigvalsh(gram(KEYS[:4000], float(degrees)))
    direct = jnp.linalg.eigvalsh(gram_of_rows(jax.random.split(jax.random.key(1), 4000), degrees))
    if which == 0 and degrees < DIM:
        which = DIM - degrees  # the smallest that is not 0
    assert stats.ks_2samp(drawn[:, which], direct[:, which]).pvalue > 1e-3


@pytest.mark.parametrize("degrees", [0, 1, 3, 5, 6, 100])
def test_rank_is_the_smaller_of_rows_and_dimension(degrees):
    singular = jnp.linalg.svd(factor(KEYS[0], float(degrees)), compute_uv=False)
    assert (singular > 1e-10).sum() == min(degrees, DIM)


def test_a_trillion_rows_give_their_expectation_up_to_its_square_root():
    grams = gram(KEYS[:1000], 1e12)
    deviation = (grams / 1e12 - jnp.eye(DIM)[None]) * 1e6
    assert jnp.isfinite(grams).all()
    assert_allclose(jnp.sqrt((deviation**2).mean(0)), np.sqrt(1 + np.eye(DIM)), rtol=0.12)


def test_points_of_a_grid_share_their_normals_under_one_key():
    few, many = (wishart.draw(KEYS[0], DIM, jnp.array([degrees])) for degrees in (3.0, 1e9))
    assert (few.normals == many.normals).all()
    assert (jnp.triu(few.normals[0]) == 0).all()


def test_no_rows_give_the_zero_matrix():
    assert (gram(KEYS[:2], 0.0) == 0).all()
