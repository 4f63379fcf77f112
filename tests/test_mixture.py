"""Mixtures: what their moments mean, and how they travel through JAX."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

import collapse_jax as cj

SPECTRUM = cj.spectra.power_law(5, 1.0)
SIGNAL, SHIFT = jnp.array([1.0, 0.0, 2.0, 3.0, 0.0]), jnp.array([0.5, 0.1, 0.0, 0.2, 0.0])


def test_the_paper_s_two_sources_share_the_truth_and_differ_by_an_independent_shift():
    mixture = cj.real_and_synthetic(SPECTRUM, SIGNAL, SHIFT, 0.1, 0.2)
    assert_allclose(mixture.label_moments[0], jnp.stack([SIGNAL, SIGNAL]))
    assert_allclose(mixture.label_moments[1], jnp.stack([SIGNAL, SIGNAL + SHIFT]))
    cross, shifts = mixture.shift_moments()
    assert_allclose(cross, 0, atol=1e-16)
    assert_allclose(shifts[1, 1], SHIFT, atol=1e-15)
    assert_allclose(mixture.noise, [0.1, 0.2])


def test_shift_moments_are_those_of_the_differences():
    labels = jnp.asarray(np.random.default_rng(0).standard_normal((3, 5)))
    mixture = cj.Mixture(jnp.ones((3, 5)), labels[:, None] * labels[None, :])
    cross, shifts = mixture.shift_moments()
    gap = labels - labels[:1]
    assert_allclose(cross, labels[:1] * gap, atol=1e-15)
    assert_allclose(shifts, gap[:, None] * gap[None, :], atol=1e-15)


def test_numbers_serve_all_directions_and_all_sources():
    one = cj.real_and_synthetic(SPECTRUM, 1.0, 0.5, 0.1, 0.1)
    many = cj.real_and_synthetic(SPECTRUM, jnp.ones(5), jnp.full(5, 0.5), 0.1, 0.1)
    assert jax.tree.all(jax.tree.map(lambda a, b: (a == b).all(), one, many))
    assert cj.Mixture(jnp.ones((3, 2)), jnp.zeros((3, 3, 2)), 0.4).noise.tolist() == [0.4] * 3


def test_fixed_label_functions_are_semidefinite_to_rounding():
    """Rank-one moments have pivots of exactly zero; rounding must not make them negative."""
    rng = np.random.default_rng(0)
    for scale in (1e-8, 1.0, 1e8):
        labels = jnp.asarray(scale * rng.standard_normal((4, 200)) * rng.integers(0, 2, (4, 200)))
        assert cj.Mixture(jnp.ones((4, 200)), labels[:, None] * labels[None, :]).sources == 4


@pytest.mark.parametrize("fraction", [0.0, 0.25, 1.0])
def test_split_shares_the_samples(fraction):
    counts = cj.split(80, fraction)
    assert_allclose(counts, [80 * (1 - fraction), 80 * fraction], rtol=1e-15)
    assert_allclose(jax.jit(cj.split)(80, fraction), counts)


def test_a_mixture_is_a_pytree_that_keeps_its_promise():
    mixture = cj.real_and_synthetic(SPECTRUM, SIGNAL, SHIFT)
    leaves, structure = jax.tree.flatten(mixture)
    assert len(leaves) == 3
    again = jax.tree.unflatten(structure, leaves)
    assert again.shared_spectrum
    assert (again.sources, again.dim, again.dtype) == (2, 5, jnp.float64)
    names = [str(path[0]) for path, _ in jax.tree_util.tree_flatten_with_path(mixture)[0]]
    assert names == [".spectra", ".label_moments", ".noise"]


def test_the_parts_of_a_risk_add_up():
    risk = cj.Risk(jnp.array([1.0, 2.0]), jnp.array([0.1, 0.2]), jnp.array([0.01, 0.02]))
    assert_allclose(risk.total, [1.11, 2.22])
    assert len(jax.tree.leaves(risk)) == 3


def test_precision_follows_the_spectrum():
    mixture = cj.real_and_synthetic(SPECTRUM.astype(jnp.float32), SIGNAL, SHIFT, 0.1, 0.1)
    assert {leaf.dtype for leaf in jax.tree.leaves(mixture)} == {jnp.dtype("float32")}
