"""Chains of fits to their own samples: exact recursions beside drawn chains, and the published limits."""

import math

import jax
import numpy as np
import pytest
from numpy.testing import assert_allclose

import collapse_jax as cj
from collapse_jax.theory import self_consumption

WORKFLOWS = ("replace", "accumulate", "subsample")


@pytest.mark.parametrize("kind", ["maximum likelihood", "unbiased", "kernel"])
@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_drawn_chains_agree_with_the_recursions(workflow, kind):
    """Eight samples, six generations, 5,000 chains: within 4 standard errors."""
    given = {"unbiased": kind == "unbiased", "bandwidth": 0.3 if kind == "kernel" else 0.0}
    exact = self_consumption(8, 6, workflow, **given)

    def one(key):
        return cj.simulate.self_consumption(key, 8, 6, workflow, kernel=kind == "kernel", **given)

    drawn = jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(0), 5_000))
    for name in ("mean_error", "variance"):
        values = np.asarray(getattr(drawn, name))
        error = values.std(0, ddof=1) / math.sqrt(len(values))
        assert (np.abs(values.mean(0) - getattr(exact, name)) < 4 * error).all(), name


def test_replaced_data_collapse_and_the_mean_wanders():
    """Shumailov et al.: maximum likelihood loses a share 1/n each time; unbiased fits keep the variance, on average."""
    chain = self_consumption(50, 30)
    g = np.arange(1, 31)
    assert_allclose(chain.variance, (1 - 1 / 50) ** g, rtol=1e-12)
    assert_allclose(chain.mean_error, 1 - (1 - 1 / 50) ** g, rtol=1e-12)
    kept = self_consumption(50, 30, unbiased=True)
    assert_allclose(kept.variance, 1, rtol=1e-12)
    assert_allclose(kept.mean_error, g / 50, rtol=1e-12)


@pytest.mark.parametrize("n", [2, 10, 100])
def test_accumulated_data_do_not_collapse(n):
    """Kazdan et al.: the variance tends to sin(x)/x with x = pi / sqrt(n), the mean's error to what is missing."""
    chain = self_consumption(n, 20_000, "accumulate")
    x = math.pi / math.sqrt(n)
    assert_allclose(chain.variance[-1], math.sin(x) / x, rtol=1e-3)
    assert_allclose(chain.mean_error[-1], 1 - math.sin(x) / x, rtol=1e-3)
    g = np.arange(1, 20_001)
    assert_allclose(chain.variance, np.cumprod(1 - 1 / (n * g**2.0)), rtol=1e-9)
    assert_allclose(chain.mean_error + chain.variance, 1, rtol=1e-12)


def test_subsampling_lies_between_replacing_and_accumulating():
    replaced, accumulated, subsampled = (self_consumption(20, 200, workflow).variance for workflow in WORKFLOWS)
    assert (replaced[1:] < subsampled[1:]).all()
    assert (subsampled[1:] < accumulated[1:]).all()


def test_a_kernel_density_widens_without_end_where_data_are_replaced():
    chain = self_consumption(1e9, 100, bandwidth=0.1)
    assert_allclose(chain.variance, 1 + 0.01 * np.arange(1, 101), rtol=1e-6)
    kept = self_consumption(1e9, 100, "accumulate", bandwidth=0.1).variance
    assert_allclose(kept, 1 + 0.01 * np.cumsum(1 / np.arange(1, 101)), rtol=1e-6)  # grows like log g


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="samples is 1; it must be finite and above 1"):
        self_consumption(1, 5)
    with pytest.raises(ValueError, match="workflow is 'mix'"):
        self_consumption(10, 5, "mix")
    with pytest.raises(ValueError, match="generations is 0; it must be a whole number, at least 1"):
        self_consumption(10, 0)
    with pytest.raises(ValueError, match="bandwidth is -1; it must be finite and at least 0"):
        self_consumption(10, 5, bandwidth=-1.0)
    with pytest.raises(ValueError, match="unbiased is True with kernel=True"):
        cj.simulate.self_consumption(jax.random.key(0), 10, 5, unbiased=True, kernel=True)
