"""Models that memorise: exact errors against brute sums and drawn training sets, and the theorems of *A Tale of Tails*."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import special

import collapse_jax as cj
from collapse_jax.skills import Skills, mix, tail_sum, top_p, zipf
from collapse_jax.theory import tail_error, tail_exponent, tail_floor, tail_generations, tail_law, tail_scaling

WHOLE = math.inf


def parts(*laws):
    """Skills from rows of share, exponent, first, last."""
    return Skills(*(jnp.array(column, float) for column in zip(*laws, strict=True)))


def brute(exponent, laws, samples, totals, terms=2_000_000):
    """Term by term, and the rest to first order in T q."""
    i = np.arange(1.0, terms + 1)
    p, q, rest = i**-exponent, np.zeros(terms), special.zeta(exponent, terms + 1)
    for share, beta, first, last in laws:
        norm = special.zeta(beta, first) - (special.zeta(beta, last + 1) if last < WHOLE else 0)
        q += np.where((first <= i) & (i <= last), share / norm * i**-beta, 0)
        rest -= samples * share / norm * special.zeta(exponent + beta, terms + 1) if last == WHOLE else 0
    with np.errstate(divide="ignore", invalid="ignore"):
        missed = np.exp(-samples * q) if totals == "poisson" else np.where(q < 1, (1 - q) ** samples, samples == 0)
    return ((p * missed).sum() + rest) / special.zeta(exponent)


CASES = [
    (1.5, [(1, 1.5, 1, WHOLE)], 3.0),
    (1.5, [(1, 1.5, 1, WHOLE)], 1e4),
    (5.0, [(1, 5.0, 1, WHOLE)], 1e8),
    (1.5, [(1, 1.5, 1, 50)], 100.0),
    (1.5, [(1, 1.5, 1, 1)], 100.0),
    (2.0, [(1, 2.0, 1, 97)], 5e3),
    (1.5, [(1, 1.5, 1, 1000)], 1e4),
    (1.5, [(0.01, 1.5, 1, WHOLE), (0.99, 1.5, 1, 1000)], 1e5),
    (1.5, [(0.5, 1.5, 1, 1000), (0.5, 1.5, 1500, WHOLE)], 1e4),
    (1.5, [(1, 1.5, 120, 300)], 100.0),
    (1.5, [(1, 2.5, 1, WHOLE)], 1e6),
    (1.3, [(0.3, 1.3, 1, WHOLE), (0.7, 1.8, 1, WHOLE)], 1e3),
    (1.5, [(0.1, 1.5, 1, WHOLE), (0.5, 1.5, 1, 1000), (0.4, 2.0, 500, 4000)], 1e4),
]


@pytest.mark.parametrize("totals", ["fixed", "poisson"])
@pytest.mark.parametrize(("exponent", "laws", "samples"), CASES)
def test_the_error_is_the_infinite_sum(exponent, laws, samples, totals):
    """Cut, mixed, narrowed, with gaps; the first skill alone; samples that need one decade of skills or six."""
    exact = tail_error(exponent, parts(*laws), samples, totals=totals)
    assert_allclose(exact, brute(exponent, laws, samples, totals), rtol=1e-7 if samples > 1e5 else 1e-10)


def test_the_error_has_no_truncation_at_a_trillion_samples():
    """As many skills as nobody can sum: in the continuum the sum is an incomplete gamma function."""
    for exponent in (1.2, 1.5, 2.5):
        c, norm = 1 - 1 / exponent, special.zeta(exponent)
        law = special.gamma(c) / (exponent * norm) * (1e12 / norm) ** -c
        assert_allclose(tail_error(exponent, zipf(exponent), 1e12), law, rtol=1e-10)
        cut = 1e8
        floor = special.zeta(exponent, cut + 1) / norm
        x = 1e12 / (norm * (1 - floor)) * (cut + 0.5) ** -exponent
        inside = law * (1 - floor) ** c * (special.gammainc(c, 1e3) - special.gammainc(c, x))
        assert_allclose(tail_error(exponent, zipf(exponent, last=cut), 1e12), inside + floor, rtol=1e-7)


def test_simple_limits():
    real, cut = zipf(1.5), zipf(1.5, last=300)
    assert_allclose(tail_error(1.5, real, 0.0), 1)
    assert_allclose(tail_error(1.5, real, 1.0), 1 - special.zeta(3) / special.zeta(1.5) ** 2)
    assert_allclose(tail_error(1.5, mix(0.3, real, real), 1e5), tail_error(1.5, real, 1e5), rtol=1e-12)
    assert_allclose(tail_error(1.5, mix(0.0, real, cut), 1e5), tail_error(1.5, cut, 1e5), rtol=1e-12)
    assert_allclose(tail_error(1.5, zipf(1.5, last=1e15), 1e5), tail_error(1.5, real, 1e5), rtol=1e-6)
    for data in (cut, mix(0.5, cut, zipf(1.5, first=2000, last=9000)), mix(0.5, cut, zipf(1.5, first=100, last=700))):
        assert_allclose(tail_error(1.5, data, 1e18), tail_floor(1.5, data), rtol=1e-9)
    assert float(tail_floor(1.5, mix(0.5, cut, zipf(1.5, first=301)))) == 0


def test_sums_of_powers_are_hurwitz_zeta():
    for exponent in (1.01, 1.5, 4.0):
        for first in (1.0, 2.0, 7.0, 1e3, 1e9):
            assert_allclose(
                tail_sum(jnp.asarray(exponent), jnp.asarray(first)), special.zeta(exponent, first), rtol=1e-13
            )
    slope = jax.grad(lambda s: tail_sum(s, jnp.asarray(1.0)))(2.0)
    assert_allclose(slope, -0.937548254315844, rtol=1e-12)


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.5, 0.9, 0.99])
def test_top_p_cuts_where_the_probability_is_reached(kept):
    cumulative = np.cumsum(np.arange(1, 10**5) ** -1.5) / special.zeta(1.5)
    assert int(top_p(1.5, kept)) == (np.searchsorted(cumulative, kept) + 1 if kept else 0)


def test_everything_batches_and_has_slopes():
    samples, lasts = jnp.geomspace(10, 1e9, 5), jnp.array([3.0, 90.0, 99.0, 1e5, 1e9])
    exponents, fractions = jnp.linspace(1.1, 3, 5), jnp.linspace(0, 1, 5)

    def error(exponent, fraction, last, samples):
        return tail_error(exponent, mix(fraction, zipf(exponent), zipf(exponent, last=last)), samples)

    both = jax.jit(jax.vmap(error))(exponents, fractions, lasts, samples)
    slopes = jax.jit(jax.vmap(jax.grad(error, (0, 1, 3))))(exponents, fractions, lasts, samples)
    for i, numbers in enumerate(zip(exponents, fractions, lasts, samples, strict=True)):
        assert_allclose(both[i], error(*numbers), rtol=1e-12)
        for at, slope in zip((0, 1, 3), slopes, strict=True):
            if at == 1 and i in (0, 4):
                continue  # a fraction has no other side at 0 and 1
            step = 1e-5 * np.eye(4)[at] * np.asarray(numbers)
            ends = [float(error(*(np.asarray(numbers) + sign * step))) for sign in (1, -1)]
            assert_allclose(slope[i], (ends[0] - ends[1]) / (2 * step[at]), rtol=1e-4, atol=1e-12)


def test_bad_numbers_in_a_batch_become_nan_and_known_ones_raise():
    errors = jax.vmap(lambda T: tail_error(1.5, zipf(1.5), T))(jnp.array([-1.0, 10.0]))
    assert jnp.isnan(errors).tolist() == [True, False]
    assert jnp.isnan(jax.vmap(lambda b: tail_error(2.0, zipf(b), 10.0))(jnp.array([0.5, 2.0]))).tolist() == [
        True,
        False,
    ]
    for call, message in [
        (lambda: zipf(1.0), "exponent is 1; it must be finite and above 1, so that probabilities have a finite sum"),
        (lambda: zipf(1.5, first=5, last=4), "last - first is -1; it must be at least 0"),
        (lambda: mix(1.5, zipf(2.0), zipf(2.0)), "fraction is 1.5; it must be between 0 and 1"),
        (lambda: tail_error(1.5, zipf(1.5), -1.0), "samples is -1; it must be finite and at least 0"),
        (lambda: tail_error(1.5, zipf(1.5), 1.0, totals="most"), 'totals is \'most\'; it must be "fixed" or "poisson"'),
        (lambda: tail_generations(1.5, 1e3), r"samples has shape \(\); it must be \(G,\)"),
        (lambda: tail_law(1.5, mix(0.5, zipf(1.5), zipf(2.0)), 1e3), "data has 2 parts; the law is that of one"),
        (lambda: top_p(1.5, 1.0), "kept is 1; it must be at least 0 and below 1"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()
    with pytest.raises(TypeError, match=r"data is a float; make one with cj.skills.zipf"):
        tail_error(1.5, 2.0, 10.0)


def test_single_precision_is_enough_for_a_picture():
    data = mix(jnp.float32(0.01), zipf(jnp.float32(1.5)), zipf(jnp.float32(1.5), last=1000))
    error = tail_error(jnp.float32(1.5), data, jnp.float32(1e8))
    assert error.dtype == jnp.float32
    assert_allclose(error, tail_error(1.5, mix(0.01, zipf(1.5), zipf(1.5, last=1000)), 1e8), rtol=1e-4)


# Simulation ------------------------------------------------------------------------------------------------------------------


def agree(draws, exact, *, largest=4.0):
    draws = np.asarray(draws)
    error = draws.std(0, ddof=1) / math.sqrt(len(draws))
    assert (np.abs(draws.mean(0) - np.asarray(exact)) <= largest * error + 1e-12).all(), (draws.mean(0), exact, error)


DRAWN = parts((0.1, 1.5, 1, WHOLE), (0.5, 1.5, 1, 1000), (0.4, 2.0, 500, 4000))


@pytest.mark.parametrize("totals", ["fixed", "poisson"])
def test_drawn_training_sets_agree_with_the_theory(totals):
    """From three samples to a trillion, on data with all a mixture can have."""

    def one(key, samples):
        return cj.simulate.tail_error(key, 1.5, DRAWN, samples, totals=totals)

    keys, samples = jax.random.split(jax.random.key(1), 48), jnp.array([3.0, 1e3, 1e6, 1e12])
    draws = jax.jit(lambda keys: jax.lax.map(lambda key: jax.vmap(one, (None, 0))(key, samples), keys))(keys)
    agree(draws, [tail_error(1.5, DRAWN, T, totals=totals) for T in samples])


def test_occupancy_has_the_law_of_draws_one_by_one():
    """Means, variances and covariances of a multinomial, and the unseen mass of NumPy's draws."""
    p = np.array([0.4, 0.3, 0.05, 0.01, 1e-4])
    keys = jax.random.split(jax.random.key(0), 4000)
    counts = np.asarray(
        jax.jit(jax.vmap(lambda key: cj.simulate.tails.occupancy(key, jnp.asarray(50.0), jnp.asarray(p))))(keys)
    )
    assert_allclose(counts.mean(0), 50 * p, atol=4 * np.sqrt(50 * p / 4000).max())
    expected = 50 * (np.diag(p) - np.outer(p, p))
    assert_allclose(np.cov(counts.T), expected, atol=1.0)
    assert_allclose((counts == 0).mean(0), (1 - p) ** 50, atol=0.04)


def test_a_chain_agrees_with_chains_drawn_one_sample_at_a_time():
    """NumPy redraws every sample; the library's occupancy and its branching process see the same skills die."""
    rng, length, T = np.random.default_rng(0), 6, 2000
    p = np.arange(1, 10**6 + 1) ** -2.0 / special.zeta(2)
    cumulative = np.cumsum(p)
    rows = []
    for _ in range(200):
        x, row = np.searchsorted(cumulative, rng.random(T)), []
        for _ in range(length):
            row.append(1 - p[np.unique(x)].sum())
            x = rng.choice(x, T)
        rows.append(row)
    exact = tail_generations(2.0, jnp.full(length, float(T))).error
    agree(rows, exact)
    keys = jax.random.split(jax.random.key(0), 48)
    draws = jax.jit(
        lambda keys: jax.lax.map(lambda key: cj.simulate.tail_generations(key, 2.0, jnp.full(length, float(T))), keys)
    )
    agree(draws(keys), exact)


@pytest.mark.slow
def test_a_chain_with_real_data_growing_samples_and_a_cut_beginning():
    samples, real, data = jnp.array([1e3, 3e3, 2e3, 1e4]), jnp.array([0.0, 0.1, 0.5, 0.02]), zipf(1.5, last=50)
    exact = tail_generations(1.5, samples, real, data=data)

    def one(key):
        return cj.simulate.tail_generations(key, 1.5, samples, real, data=data)

    agree(jax.jit(lambda keys: jax.lax.map(one, keys))(jax.random.split(jax.random.key(3), 48)), exact.error)
    assert_allclose(exact.error[0], tail_error(1.5, data, 1e3, totals="poisson"), rtol=1e-12)


# Theorems --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("exponent", [1.25, 1.5, 2.0, 3.0])
def test_equation_4_clean_data_scale_with_1_minus_1_over_beta(exponent):
    law = tail_scaling(exponent, zipf(exponent), jnp.array([1e6, 1e9, 1e12]))
    assert_allclose(law.slopes, -tail_exponent(exponent), atol=1e-4)
    assert_allclose(tail_law(exponent, zipf(exponent), law.samples) / law.error, 1, atol=1e-4)


def test_theorem_2_1_double_scaling_law():
    """The two terms add up to less than twice the error, and each alone is its limit."""
    samples, lasts = jnp.geomspace(1e2, 1e12, 11), jnp.array([10.0, 1e2, 1e3, 1e4, 1e6])

    def ratio(last, samples):
        data = zipf(1.5, last=last)
        return tail_law(1.5, data, samples) / tail_error(1.5, data, samples)

    ratios = jax.jit(jax.vmap(jax.vmap(ratio, (None, 0)), (0, None)))(lasts, samples)
    # The first term counts what the cut has already taken.
    assert float(ratios.min()) > 0.95
    assert float(ratios.max()) < 2
    crossing = samples[None] / lasts[:, None] ** 1.5
    assert (abs(ratios - 1) < 3 * jnp.minimum(crossing, 1 / crossing) ** (1 / 3)).all()
    assert float(tail_scaling(1.5, zipf(1.5, last=100), jnp.array([1e9])).slopes[0]) == pytest.approx(0, abs=1e-9)


def test_corollary_2_2_a_generator_of_t0_samples_caps_their_number():
    """Two generations are worth T_0 (1 - exp(-T / T_0)) samples: the smaller of both, T^-c + T_0^-c up to constants."""
    generator, samples = 1e6, jnp.geomspace(1e2, 1e10, 9)
    chains = jax.vmap(lambda T: tail_generations(1.5, jnp.stack([jnp.asarray(generator), T])))(samples)
    assert_allclose(chains.worth[:, 1], -generator * jnp.expm1(-samples / generator), rtol=1e-12)
    c = 1 / 3
    ratio = chains.error[:, 1] / (samples**-c + generator**-c)
    assert float(ratio.max() / ratio.min()) < 2


@pytest.mark.parametrize("narrower", [1.25, 1.5, 2.0])
def test_corollary_2_3_slopes_of_other_exponents(narrower):
    law = tail_scaling(1.5, zipf(narrower), jnp.array([1e9, 1e12]))
    assert_allclose(law.slopes, -0.5 / narrower, atol=1e-4)
    assert_allclose(tail_law(1.5, zipf(narrower), 1e12), law.error[1], rtol=1e-3)


def test_theorem_2_4_generations_shift_the_law():
    """A chain of n equal generations is worth 2 T / n samples; the error grows like n^c, and fresh data end that."""
    for T in (1e4, 1e8):
        chain = tail_generations(1.5, jnp.full(1000, T))
        assert_allclose(chain.worth[-1] * 1000 / (2 * T), 1, atol=0.01)
        assert_allclose(jnp.log(chain.error[-1] / chain.error[499]) / math.log(2), 1 / 3, atol=0.01)
    kept = tail_generations(1.5, jnp.full(1000, 1e8), real=0.01)
    assert_allclose(kept.error[-1], kept.error[500], rtol=1e-3)
    u = kept.worth_real[-1] / (0.01 * 1e8)  # the sum over ages of how likely a line is still alive
    alive, total = 1.0, 0.0
    for _ in range(1000):
        total, alive = total + alive, -math.expm1(-0.99 * alive)
    assert_allclose(u, total, rtol=1e-3)


@pytest.mark.parametrize("ratio", [1.0, 1.001, 2.0, 10.0])
def test_theorem_3_1_tail_data_bring_the_law_back(ratio):
    """Half cut at k, half from N: the floor is ((N/k)^alpha - 1) N^-alpha / (alpha zeta), and none for N = k."""
    k, alpha = 1e5, 0.5
    first = round(k * ratio)
    data = mix(0.5, zipf(1.5, last=k), zipf(1.5, first=first + 1))
    floor = ((first / k) ** alpha - 1) * first**-alpha / (alpha * special.zeta(1.5))
    assert_allclose(tail_floor(1.5, data), floor, rtol=1e-4, atol=1e-15)
    law = tail_scaling(1.5, data, jnp.array([1e18]))
    if ratio == 1:
        assert_allclose(law.slopes, -1 / 3, atol=1e-3)
    else:
        assert_allclose(law.error - floor, 0, atol=0.3 * (k**-alpha))
        assert float(law.error[0]) > floor


@pytest.mark.parametrize("fraction", [1e-3, 1e-2, 0.1])
def test_theorem_3_2_plateau_then_recovery(fraction):
    """A little real data: the cut law until T ~ k^beta / pi, then that of pi T clean samples."""
    k = 1000
    data = mix(fraction, zipf(1.5), zipf(1.5, last=k))
    end = k**1.5 / fraction
    early, late = end * 1e-2, end * 1e4
    assert_allclose(tail_error(1.5, data, early), tail_error(1.5, zipf(1.5, last=k), early), rtol=0.03)
    assert_allclose(tail_error(1.5, data, late), tail_error(1.5, zipf(1.5), fraction * late), rtol=0.02)
    slopes = tail_scaling(1.5, data, jnp.array([end * 1e-1 * (fraction < 0.1), end * 1e5]) + 1.0).slopes
    assert_allclose(slopes[1], -1 / 3, atol=5e-3)
    # Corollary 3.3: the number of real samples alone decides when the plateau ends.
    real, other = 1e6, jnp.array([1e3, 1e9])
    later = jax.vmap(lambda n: tail_error(1.5, mix(real / (real + n), zipf(1.5), zipf(1.5, last=100)), real + n))(other)
    assert_allclose(later, tail_error(1.5, zipf(1.5), real), rtol=0.01)


def test_theorem_c_2_narrowed_data_with_a_little_real_data():
    """Slope (beta - 1) / beta' before the crossover, 1 - 1/beta after it, with pi T for T.

    Real data reveal more where pi i^-beta > i^-beta': i = pi^-2 = 1e4, first seen at T = i^2 = 1e8.
    """
    data = mix(1e-2, zipf(1.5), zipf(2.0))
    law = tail_scaling(1.5, data, jnp.array([1e2, 1e13]))
    assert_allclose(law.slopes, [-0.25, -1 / 3], atol=0.01)
    assert_allclose(law.error[1], tail_error(1.5, zipf(1.5), 1e11), rtol=0.03)
    assert_allclose(law.error[0], tail_error(1.5, zipf(2.0), 99.0), rtol=0.03)


# Bigrams and memories --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("last", [WHOLE, 10.0])
def test_drawn_bigrams_agree_with_the_theory(last):
    samples, keys = jnp.array([0.0, 10.0, 1e3, 1e5, 1e8]), jax.random.split(jax.random.key(0), 48)

    def one(key):
        return jax.lax.map(lambda T: cj.simulate.bigram_error(key, 1.5, T, states=40, last=last), samples)

    exact = jnp.stack([cj.theory.bigram_error(1.5, T, states=40, last=last) for T in samples])
    draws = np.asarray(jax.jit(lambda keys: jax.lax.map(one, keys))(keys))
    error = draws.std(0, ddof=1) / math.sqrt(48)
    assert (np.abs(draws.mean(0) - exact) < 4 * error + 2e-3 * exact).all()


def test_mixed_bigrams_are_those_of_their_parts():
    """True pairs alone are the theory's; with endless pairs the error is the written share of a nucleus' distance."""
    keys = jax.random.split(jax.random.key(1), 24)
    draws = np.array([cj.simulate.bigram_mixture(key, 1.5, 1e3, 0, states=20).error for key in keys])
    error = draws.std(ddof=1) / math.sqrt(24)
    assert_allclose(draws.mean(), cj.theory.bigram_error(1.5, 1e3, states=20), atol=4 * error)
    law = np.arange(1, 21.0) ** -1.5 / (np.arange(1, 21.0) ** -1.5).sum()
    inside = np.cumsum(law) - law < 0.8
    distance = np.abs(np.where(inside, law / law[inside].sum(), 0) - law).sum()
    for share in (0.25, 1.0):
        found = cj.simulate.bigram_mixture(keys[0], 1.5, (1 - share) * 1e13, share * 1e13, states=20, kept=0.8)
        assert_allclose(found.error, share * distance, rtol=1e-4)
    # A generator of few pairs is worse than the truth's nucleus, and the same one writes whatever the numbers are.
    few, more = (
        cj.simulate.bigram_mixture(keys[0], 1.5, 0, n, states=20, generator=200, kept=0.8).error for n in (1e12, 1e13)
    )
    assert few > 1.2 * distance
    assert_allclose(few, more, rtol=1e-4)


def test_the_mean_absolute_deviation_is_the_sum_over_counts():
    rng = np.random.default_rng(0)
    for n in (1, 2, 7, 60):
        p, q = rng.random(6), rng.random(6)
        x = np.arange(n + 1)
        expected = [
            (special.binom(n, x) * b**x * (1 - b) ** (n - x) * abs(x / n - a)).sum() for a, b in zip(p, q, strict=True)
        ]
        assert_allclose(
            cj.theory.bigrams.deviation(jnp.asarray(float(n)), jnp.asarray(q), jnp.asarray(p)), expected, rtol=1e-9
        )


@pytest.mark.parametrize(("exponent", "expected"), [(1.5, 1 / 3), (3.0, 1 / 2)])
def test_theorem_4_1_bigrams_scale_with_the_smaller_of_two_exponents(exponent, expected):
    """Between the first few states and the last: 300 states stand for infinitely many."""
    ends = [
        float(cj.theory.bigram_error(exponent, T, states=300)) for T in ((1e3, 1e5) if exponent < 2 else (1e6, 1e7))
    ]
    assert math.log(ends[0] / ends[1]) / math.log(1e2 if exponent < 2 else 10) == pytest.approx(expected, abs=0.03)


def test_theorem_4_2_a_cut_of_next_states_leaves_a_floor():
    """With infinitely many pairs, sum |q - p| = 2 (the probability beyond the cut) ~ k^-(beta - 1), below k^-(beta c)."""
    for last in (4.0, 16.0):
        lost = 1 - float((jnp.arange(1, last + 1) ** -1.5).sum() / (jnp.arange(1, 101.0) ** -1.5).sum())
        assert_allclose(cj.theory.bigram_error(1.5, 1e13, states=100, last=last), 2 * lost, rtol=1e-4)


@pytest.mark.parametrize(
    ("width", "samples", "last"), [(8, WHOLE, WHOLE), (64, WHOLE, WHOLE), (64, 100.0, WHOLE), (64, WHOLE, 8.0)]
)
def test_drawn_memories_agree_with_the_theory(width, samples, last):
    """Up to the interference that the theory takes as independent between classes, of order 1 / width."""
    given = {"inputs": 100, "classes": 5, "last": last}
    keys = jax.random.split(jax.random.key(0), 400)
    draws = jax.jit(jax.vmap(lambda key: cj.simulate.memory_error(key, 1.5, width, samples, **given)))(keys)
    exact = cj.theory.memory_error(1.5, width, samples, **given)
    assert abs(draws.mean() - exact) < 4 * draws.std() / 20 + 0.3 * exact / width


def test_theorem_5_1_triplet_law():
    """The exponent in each of width, samples and cut while the other two do not limit."""
    given = {"inputs": 3000, "classes": 5}

    def slope(**changed):
        name, values = changed.popitem()
        ends = [float(cj.theory.memory_error(1.5, **{"width": 1e12, name: v}, **given)) for v in values]
        return -math.log(ends[1] / ends[0]) / math.log(values[1] / values[0])

    assert slope(width=(1e2, 1e3)) == pytest.approx((1 - 1 / 1.5) / 2, abs=0.06)
    assert slope(samples=(1e2, 1e3)) == pytest.approx(1 - 1 / 1.5, abs=0.06)
    assert slope(last=(10.0, 40.0)) == pytest.approx(0.5, abs=0.1)
