"""What *A Tale of Tails* and *Beyond Model Collapse* print and the exact theory contradicts.

The witnesses are those of ``test_errata.py``: exact theory, the library's simulation, and NumPy that draws every sample.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

import collapse_jax as cj
from collapse_jax.skills import zipf


def numpy_error(exponent, data_exponent, samples, repeats=40):
    """The skills of the truth that samples of another Zipf law do not show; mean and standard error."""
    rng, i = np.random.default_rng(0), np.arange(1, 10**6 + 1)
    p, cumulative = i**-exponent / special.zeta(exponent), np.cumsum(i**-data_exponent / special.zeta(data_exponent))
    errors = [
        1 - p[np.unique(np.searchsorted(cumulative, rng.random(samples)).clip(max=10**6 - 1))].sum()
        for _ in range(repeats)
    ]
    return np.mean(errors), np.std(errors, ddof=1) / math.sqrt(repeats)


def test_corollary_2_3_calls_narrow_what_is_wide():
    """At beta = 3/2. The print narrows with beta' in (1, beta): such data have more tail and teach faster, not slower."""
    clean = float(cj.theory.tail_error(1.5, zipf(1.5), 1e4))
    for other, narrow in ((1.25, False), (2.0, True)):
        exact = float(cj.theory.tail_error(1.5, zipf(other), 1e4))
        keys = jax.random.split(jax.random.key(0), 32)
        draws = np.asarray(
            jax.jit(lambda k, b=other: jax.lax.map(lambda key: cj.simulate.tail_error(key, 1.5, zipf(b), 1e4), k))(keys)
        )
        rows, error = numpy_error(1.5, other, 10_000)
        slope = float(cj.theory.tail_scaling(1.5, zipf(other), jnp.array([1e9])).slopes[0])
        print(
            f"\nbeta' = {other}: exact {exact:.4f} (clean {clean:.4f}), "
            f"simulation {draws.mean():.4f}, rows {rows:.4f}, slope {slope:.3f}"
        )
        assert abs(draws.mean() - exact) < 4 * draws.std(ddof=1) / math.sqrt(32)
        assert abs(rows - exact) < 4 * error
        assert (exact > clean) == narrow
        assert abs(exact - clean) > 10 * error
        assert slope == pytest.approx(-0.5 / other, abs=1e-3)


def test_theorem_2_4_generations_cost_n_to_the_c_not_n():
    """At beta = 3/2, T = T_0 = 2000: slope of log error in log n from n = 32 to 256; T^-c + n T_0^-c has slope near 1."""
    T, ends, c = 2000, (32, 256), 1 / 3
    exact = cj.theory.tail_generations(1.5, jnp.full(256, float(T))).error
    rng, repeats = np.random.default_rng(0), 24
    p = np.arange(1, 10**6 + 1) ** -1.5 / special.zeta(1.5)
    cumulative, rows = np.cumsum(p), []
    for _ in range(repeats):
        x, row = np.searchsorted(cumulative, rng.random(T)).clip(max=10**6 - 1), []
        for n in range(1, ends[1] + 1):
            if n in ends:
                row.append(1 - p[np.unique(x)].sum())
            x = rng.choice(x, T)
        rows.append(row)
    span = math.log(ends[1] / ends[0])
    means = np.mean(rows, 0)
    error = np.hypot(*(np.std(rows, 0, ddof=1) / math.sqrt(repeats) / means)) / span
    measured = math.log(means[1] / means[0]) / span
    expected = float(jnp.log(exact[ends[1] - 1] / exact[ends[0] - 1])) / span
    printed = math.log((1 + ends[1]) / (1 + ends[0])) / span
    print(f"\nslope in n: rows {measured:.3f} +- {error:.3f}, exact {expected:.3f}, n^c {c:.3f}, printed {printed:.3f}")
    assert abs(measured - expected) < 4 * error
    assert abs(measured - printed) > 10 * error
    large = cj.theory.tail_generations(1.5, jnp.full(256, 1e9)).error
    assert math.log(large[255] / large[31]) / span == pytest.approx(c, abs=0.01)


@pytest.mark.parametrize("norm", [0.3, 0.8])
def test_appendix_e_6_has_the_variance_upside_down(norm):
    """Inputs of mean mu and trace 1 - |mu|^2: a direction has variance (1 - |mu|^2) / d, not 1 / ((1 - |mu|^2) d)."""
    dim, generator, verifier, rows = 20, 1.0, 0.5, 200_000
    rng = np.random.default_rng(0)
    y = rng.choice([-1, 1], rows)
    basis = np.eye(dim)
    x = rng.normal(size=(rows, dim)) * math.sqrt((1 - norm**2) / dim) + y[:, None] * norm * basis[0]
    label = np.sign(x @ (math.cos(generator) * basis[0] + math.sin(generator) * basis[1]))
    kept = label * (x @ (math.cos(verifier) * basis[0] + math.sin(verifier) * basis[2])) > 0
    drawn = [(label != y).mean(), kept[label == y].mean(), kept[label != y].mean()]
    corrected, printed = (
        cj.theory.verifier_rates(cj.Verified(norm * math.sqrt(dim * factor), generator=generator, verifier=verifier))
        for factor in (1 / (1 - norm**2), 1 - norm**2)
    )
    for name, rates in (("rows", drawn), ("corrected", corrected[:3]), ("printed", printed[:3])):
        print(f"|mu| = {norm}, {name}: {np.round(rates, 4)}")
    assert np.abs(np.array(drawn) - np.array(corrected[:3])).max() < 0.02
    error = math.sqrt(drawn[0] * (1 - drawn[0]) / rows)
    assert abs(drawn[0] - corrected.error) < 4 * error
    assert abs(drawn[0] - printed.error) > 10 * error


def test_appendix_e_6_psi_is_a_conditional_probability():
    """The share kept of wrong labels is Phi_2(c_1, c_2; rho) / Phi(c_2), by SciPy; over it the numerator of phi exceeds 1."""
    s, generator, verifier = 1.5, 1.0, 0.5
    c1, c2 = -s * math.cos(verifier), -s * math.cos(generator)
    rho = math.cos(verifier) * math.cos(generator)
    both = stats.multivariate_normal(cov=[[1, rho], [rho, 1]]).cdf([c1, c2])
    rates = cj.theory.verifier_rates(cj.Verified(s, generator=generator, verifier=verifier))
    assert float(rates.kept_wrong) == pytest.approx(both / stats.norm.cdf(c2), abs=1e-6)
    numerator = 1 - stats.norm.cdf(c1) - stats.norm.cdf(c2) + both
    assert float(rates.kept_right) == pytest.approx(numerator / stats.norm.sf(c2), abs=1e-6)
    assert numerator / stats.norm.cdf(c2) > 1
