"""Chains of models: the map of second moments against other derivations, and what fixed and accumulated data change."""

import dataclasses
import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import printed
import problems
import pytest
from numpy.testing import assert_allclose

import collapse_jax as cj

DIM, LENGTH, KEYS = 24, 5, 192
FLAT, SPECTRUM = np.ones(DIM), np.asarray(cj.spectra.power_law(DIM, 1.0))
SIGNAL, SHIFT = np.linspace(2.0, 0.5, DIM) / DIM, np.linspace(0.1, 0.7, DIM) / DIM
PARTS = ("bias", "variance", "collapse")
KEY, NAN = jax.random.key(0), float("nan")
t = np.arange(LENGTH)


def schedule(**numbers) -> cj.Schedule:
    """All numbers as arrays, so that every chain without projections is the same program."""
    numbers = {
        "real": 0.0,
        "synthetic": 0.0,
        "ridge": 0.0,
        "noise_real": 0.0,
        "noise_synthetic": 0.0,
        "weight": 1.0,
    } | numbers
    return cj.Schedule(**{name: np.broadcast_to(np.asarray(value, float), LENGTH) for name, value in numbers.items()})


MIXED = {
    "real": [30.0, 5.0, 0.0, 50.0, 20.0],
    "synthetic": [10.0, 20.0, 40.0, 0.0, 35.0],
    "ridge": [0.1, 0.5, 0.02, 1.0, 0.2],
    "noise_real": [0.3, 0.6, 0.1, 0.2, 0.5],
    "noise_synthetic": [0.5, 0.2, 0.4, 0.3, 0.1],
    "weight": [1.0, 0.5, 2.0, 1.0, 3.0],
}
PROJECTED = MIXED | {"width": [30.0, 12.0, 60.0, 20.0, 40.0]}
SCHEDULES = pytest.mark.parametrize("numbers", [MIXED, PROJECTED], ids=["linear", "projected"])


def exact(plan, spectrum=SPECTRUM, signal=SIGNAL, shift=0 * SHIFT):
    return cj.theory.generations(spectrum, signal, plan, shift=shift)


TRACED = []  # one entry each time that a simulated chain is turned into a program


@functools.cache
def _drawn(real_data, synthetic_inputs, accumulate):
    def one(key, spectrum, signal, plan, shift):
        TRACED.append((real_data, synthetic_inputs, accumulate))
        plan = dataclasses.replace(plan, ridge=jnp.maximum(plan.ridge, 1e-10))
        data = {"synthetic_inputs": synthetic_inputs, "accumulate": accumulate}
        return cj.simulate.generations(key, spectrum, signal, plan, real_data, **data, shift=shift)

    return jax.jit(jax.vmap(one, (0, None, None, None, None)))


def drawn(plan, spectrum=FLAT, signal=SIGNAL, shift=0 * SHIFT, *, real="fresh", inputs="fresh", accumulate=False):
    """Totals (KEYS, LENGTH) of simulated chains; a ridge of 0 becomes a tiny one."""
    keys = jax.random.split(KEY, KEYS)
    return np.asarray(_drawn(real, inputs, accumulate)(keys, spectrum, signal, plan, shift).total)


assert_mean = functools.partial(problems.assert_mean, widest=0.08)


# The map of second moments ----------------------------------------------------------------------------------------------------


def test_one_generation_is_the_risk_of_the_mixture_of_the_truth_and_the_first_labels():
    first = {name: values[0] for name, values in PROJECTED.items()}
    mixture = cj.real_and_synthetic(SPECTRUM, SIGNAL, SHIFT, first["noise_real"], first["noise_synthetic"])
    counts, weights = [first["real"], first["synthetic"]], [1.0, first["weight"]]
    expected = cj.theory.risk(mixture, counts, first["ridge"], first["width"], weights)
    chain = exact(schedule(**PROJECTED), shift=SHIFT)
    chex.assert_trees_all_close(jax.tree.map(lambda part: part[0], chain), expected, rtol=1e-12)


@SCHEDULES
def test_each_generation_is_the_risk_of_a_mixture_with_the_moments_that_the_one_before_left(numbers):
    """By deterministic equivalents in NumPy: errors of every direction, and E w^^2 as the error against a truth of 0."""
    starts = np.arange(0, DIM, 6)  # the directions come in blocks of six that are alike
    spectrum, signal, shift = (np.repeat(values[starts], 6) for values in (SPECTRUM, SIGNAL, SHIFT))
    chain = exact(schedule(**numbers), spectrum, signal, shift)
    cross, square = 0 * signal, shift
    for g in range(LENGTH):
        now = {name: values[g] for name, values in numbers.items()}
        noise = np.array([0.0, now["noise_real"], now["noise_synthetic"]])
        counts, weights = np.array([0.0, now["real"], now["synthetic"]]), np.array([1.0, 1.0, now["weight"]])
        moments = np.array([[signal, signal + cross], [signal + cross, signal + 2 * cross + square]])
        against_zero = np.zeros((3, 3, DIM))
        against_zero[1:, 1:] = moments
        errors, sizes = np.zeros((len(PARTS), DIM)), np.zeros(DIM)
        for start in starts:
            target, block = np.arange(DIM) == start, slice(start, start + 6)
            spectra, rest = np.stack([spectrum] * 3), (now["ridge"], now.get("width"))
            parts = problems.many_sources(spectra[1:], moments, noise[1:], counts[1:], *rest, weights[1:], target)
            size = problems.many_sources(spectra, against_zero, noise, counts, *rest, weights, target)
            errors[:, block] = np.array([parts[part] for part in PARTS])[:, None]
            sizes[block] = sum(size.values())
        for part, values in zip(PARTS, errors, strict=True):
            expected = (spectrum * values).sum()
            assert_allclose(getattr(chain, part)[g], expected, rtol=1e-8, atol=1e-10, err_msg=f"{part} of {g}")
        square = errors.sum(0)
        cross = (sizes - signal - square) / 2


@SCHEDULES
def test_a_chain_is_linear_in_signal_shift_and_noise_variances(numbers):
    plan = schedule(**numbers)
    silent = dataclasses.replace(plan, noise_real=0 * plan.noise_real, noise_synthetic=0 * plan.noise_real)
    whole = exact(plan, shift=SHIFT)
    alone = [
        exact(silent),
        exact(silent, signal=0 * SIGNAL, shift=SHIFT),
        exact(dataclasses.replace(plan, noise_real=0 * plan.noise_real), signal=0 * SIGNAL),
        exact(dataclasses.replace(plan, noise_synthetic=0 * plan.noise_synthetic), signal=0 * SIGNAL),
    ]
    chex.assert_trees_all_close(jax.tree.map(lambda *parts: sum(parts), *alone), whole, rtol=1e-10)
    doubled = dataclasses.replace(
        plan, noise_real=np.sqrt(2) * plan.noise_real, noise_synthetic=np.sqrt(2) * plan.noise_synthetic
    )
    twice = exact(doubled, signal=2 * SIGNAL, shift=2 * SHIFT)
    chex.assert_trees_all_close(twice, jax.tree.map(lambda part: 2 * part, whole), rtol=1e-10)
    # The bias is the signal's, the variance the noise of this generation's labels, all the rest is collapse.
    assert_allclose(whole.bias, alone[0].bias, rtol=1e-10)
    assert_allclose(alone[1].collapse, alone[1].total, rtol=1e-10)
    assert not jnp.any(alone[1].bias + alone[1].variance)


def test_without_synthetic_samples_every_generation_starts_afresh():
    ridge = np.array(MIXED["ridge"])
    fresh = exact(schedule(real=30.0, ridge=ridge, noise_real=0.5), shift=SHIFT)
    assert not jnp.any(fresh.collapse)
    backwards = exact(schedule(real=30.0, ridge=ridge[::-1], noise_real=0.5))
    chex.assert_trees_all_close(jax.tree.map(lambda part: part[::-1], backwards), fresh, rtol=1e-12)
    # Synthetic samples that do not count change nothing either; the ridge stands beside the mean over all samples.
    unheard = schedule(real=30.0, synthetic=60.0, ridge=ridge / 3, noise_real=0.5, noise_synthetic=9.0, weight=0.0)
    chex.assert_trees_all_close(exact(unheard, shift=SHIFT), fresh, rtol=1e-9, atol=1e-12)


def test_endless_data_shrink_each_direction_by_the_ridge_of_every_generation():
    """W^ = s (p_1 w_0 + p_2 w^) / (s + lambda): in theory and in every simulated chain, by one program for all n."""
    ridge, p2 = np.array([0.5, 0.1, 1.0, 0.3, 0.2]), 0.4
    off, expected = np.zeros(DIM), []
    for penalty in ridge:
        off = SPECTRUM / (SPECTRUM + penalty) * (1 + p2 * off) - 1
        expected.append(off)
    expected = np.array(expected)
    plan = schedule(real=(1 - p2) * 1e12, synthetic=p2 * 1e12, ridge=ridge)
    assert_allclose(exact(plan).total, (SPECTRUM * SIGNAL * expected**2).sum(1), rtol=1e-8)
    # With a signal along one direction the ratio of two generations' errors does not depend on the draw.
    direction = np.arange(DIM) == 3
    totals = drawn(plan, SPECTRUM, 1.0 * direction)
    ratios = expected[:, direction] ** 2 / expected[0, direction] ** 2
    assert_allclose(totals / totals[:, :1], np.broadcast_to(ratios.T, totals.shape), rtol=1e-3)
    few = drawn(schedule(real=6.0, synthetic=4.0, ridge=ridge), SPECTRUM, 1.0 * direction)
    assert np.std(few[:, -1] / few[:, 0]) > 0.5
    assert TRACED.count(("fresh", "fresh", False)) == 1


def test_the_first_labels_are_off_by_the_shift():
    """Endless synthetic data hand the first labeller's coefficients on, through all generations."""
    plan = schedule(synthetic=1e12, noise_synthetic=1.0)
    handed_on = np.full(LENGTH, (SPECTRUM * SHIFT).sum())
    assert_allclose(exact(plan, shift=SHIFT).total, handed_on, rtol=1e-8)
    assert_mean(drawn(plan, SPECTRUM, shift=SHIFT), handed_on)


def test_float32_keeps_four_digits_however_many_samples_there_are():
    """Models that are good to ten digits: the labels' moments differ by less than float32 could tell."""
    numbers = (0.5, 1e2), (1e5, 2e5), (1e10, 1e10)
    for real, synthetic in numbers:
        plan = schedule(real=real, synthetic=synthetic, ridge=1e-12, noise_real=1.0, noise_synthetic=0.5)
        double = exact(plan)
        single = exact(plan, *(jnp.asarray(x, jnp.float32) for x in (SPECTRUM, SIGNAL, 0 * SHIFT)))
        assert single.total.dtype == jnp.float32
        for part in ("variance", "collapse", "total"):
            assert_allclose(getattr(single, part), getattr(double, part), rtol=1e-4)


# Transforms -------------------------------------------------------------------------------------------------------------------


def _arguments(numbers):
    plan = {name: np.asarray(values) for name, values in numbers.items()}
    return {"spectrum": SPECTRUM, "signal": SIGNAL, "shift": SHIFT} | plan


def _weighed(arguments):
    """One number of all parts and generations; no two can hide each other's errors."""
    names = [field.name for field in dataclasses.fields(cj.Schedule)]
    plan = cj.Schedule(**{name: arguments[name] for name in names})
    risk = cj.theory.generations(arguments["spectrum"], arguments["signal"], plan, shift=arguments["shift"])
    return ((1 + t) * (risk.bias + 2 * risk.variance + 3 * risk.collapse)).sum()


def test_derivatives_in_every_number_agree_with_finite_differences():
    arguments, rng = _arguments(PROJECTED), np.random.default_rng(0)
    slopes = jax.jit(jax.grad(_weighed))(arguments)
    for name, values in arguments.items():
        direction = {other: 0.0 * array for other, array in arguments.items()}
        direction[name] = values * rng.uniform(-1, 1, values.shape)
        expected = problems.directional(_weighed, arguments, direction, step=1e-3)
        assert_allclose((slopes[name] * direction[name]).sum(), expected, rtol=1e-6, atol=1e-10, err_msg=name)


@SCHEDULES
def test_numbers_that_serve_all_generations_may_be_given_once(numbers):
    same = {name: values[0] for name, values in numbers.items()}
    once = cj.Schedule(**same | {"real": LENGTH * [same["real"]]})
    assert once.generations == LENGTH
    chex.assert_trees_all_equal(exact(schedule(**same)), exact(once))


@functools.cache
def _traced():
    return jax.jit(jax.vmap(lambda plan: exact(plan, shift=SHIFT)))


def stack(plans):
    return jax.tree.map(lambda *leaves: np.stack(leaves), *plans)


def test_theory_inside_jit_and_vmap_is_the_same_and_nan_where_a_number_is_wrong():
    good = [schedule(**MIXED), schedule(**MIXED | {"ridge": 0.3 + t})]
    last = np.where(t == LENGTH - 1, -1.0, 1.0)
    changes = {name: last * getattr(good[0], name) for name in ("synthetic", "ridge", "noise_real", "weight")}
    bad = [dataclasses.replace(good[0], **{name: values}) for name, values in changes.items()]
    threshold = schedule(real=10.0, synthetic=DIM - 10.0)
    batch = _traced()(stack([*good, *bad, threshold]))
    for i, plan in enumerate(good):
        chex.assert_trees_all_close(
            jax.tree.map(lambda part, i=i: part[i], batch), exact(plan, shift=SHIFT), rtol=1e-12
        )
    for leaf in jax.tree.leaves(batch):
        assert jnp.isnan(leaf[2:]).all()


def test_simulation_inside_jit_is_nan_where_a_number_is_wrong_or_fixed_data_grow():
    assert np.isnan(drawn(schedule(**MIXED | {"noise_real": -t}))).all()
    assert np.isfinite(drawn(schedule(real=50.0, synthetic=10.0), real="fixed")).all()
    assert np.isnan(drawn(schedule(real=50.0 + t, synthetic=10.0), real="fixed")).all()


def test_simulated_chains_batch_over_keys_and_schedules():
    plans = [schedule(**MIXED), schedule(**MIXED | {"ridge": 0.3, "real": 20.0})]

    def total(key, plan):
        return cj.simulate.generations(key, SPECTRUM, SIGNAL, plan, shift=SHIFT).total

    batch = jax.vmap(jax.vmap(total, (None, 0)), (0, None))(jax.random.split(KEY, KEYS)[:3], stack(plans))
    for i, plan in enumerate(plans):
        assert_allclose(batch[:, i], drawn(plan, SPECTRUM, shift=SHIFT)[:3], rtol=1e-9)
    assert len(np.unique(np.round(batch, 9))) == batch.size


def test_counts_are_rounded_to_whole_numbers():
    plan = schedule(**MIXED)
    off = dataclasses.replace(plan, real=np.abs(plan.real - 0.3), synthetic=plan.synthetic + 0.4)
    assert_allclose(drawn(off), drawn(plan), rtol=1e-12)


# Fresh, fixed and accumulated data --------------------------------------------------------------------------------------------


def test_corollary_3_of_strong_model_collapse_with_fresh_data():
    """Iterative mixing, Sigma = I: c_{t+1}^2 = sigma^2 phi / (1 - phi) + (p_2^2 + p_1 p_2 phi / (1 - phi)) c_t^2, corrected."""
    phi, p2, c2, n = 0.4, 0.3, 0.8, DIM / 0.4
    plan = schedule(real=(1 - p2) * n, synthetic=p2 * n, noise_real=0.5, noise_synthetic=0.5)
    expected = [printed.corollary_3(phi, p2, c2, 0.25, rounds, corrected=True) for rounds in t + 1]
    assert_allclose(exact(plan, FLAT, shift=FLAT * c2 / DIM).total, expected, rtol=1e-10)
    assert_mean(drawn(plan, shift=FLAT * c2 / DIM), np.array(expected), 2 / DIM)


def test_figure_10_of_strong_model_collapse_with_fixed_real_data():
    """Phi = 0.01, p_2 = 0.5, sigma = 1, c_0^2 = 1: fresh data end at 0.0145, one real data set at 0.027 (the figure: 0.028)."""
    phi, p2 = 0.01, 0.5
    plan = schedule(real=DIM / phi * (1 - p2), synthetic=DIM / phi * p2, noise_real=1.0, noise_synthetic=1.0)
    fresh, fixed = (drawn(plan, shift=FLAT / DIM, real=data) for data in ("fresh", "fixed"))
    first_order = [printed.corollary_3_fixed(phi, p2, 1.0, 1.0, rounds) for rounds in t + 1]
    assert_mean(fixed, np.array(first_order), 3 * phi)
    expected = [printed.corollary_3(phi, p2, 1.0, 1.0, rounds, corrected=True) for rounds in t + 1]
    assert_mean(fresh, np.array(expected), 3 * phi)
    apart = fixed[:, -1].mean() - fresh[:, -1].mean()
    assert apart > 10 * np.hypot(fixed[:, -1].std(), fresh[:, -1].std()) / np.sqrt(KEYS)


def test_one_real_data_set_binds_the_chain_to_its_own_fit():
    """Synthetic labels without noise, no ridge: the chain forgets all but the fit of the real data, whose error stays."""
    real, synthetic = 4.0 * DIM, 1.0 * DIM
    plan = schedule(real=real, synthetic=synthetic, noise_real=0.8)
    alone = 0.64 * DIM / (real - DIM - 1)
    fixed = drawn(plan, real="fixed")
    assert_mean(fixed[:, -2:], np.full(2, alone), 0.01)
    # Fresh real data average their noise over the generations.
    assert_mean(drawn(plan), np.asarray(exact(plan, FLAT).total), 2 / DIM)
    assert drawn(plan)[:, -1].mean() < 0.75 * alone
    # Without synthetic samples the same data give the same fit, every time.
    once = drawn(schedule(real=real, noise_real=0.8), real="fixed")
    assert_allclose(once, np.broadcast_to(once[:, :1], once.shape), rtol=1e-8)
    assert_mean(once[:, 0], alone)


def test_replaced_data_add_the_same_error_every_generation():
    T, sigma = 3.0 * DIM, 0.7
    plan = schedule(synthetic=T, noise_synthetic=sigma)
    assert_allclose(exact(plan).total, (1 + t) * sigma**2 * DIM / (T - DIM), rtol=1e-10)
    assert_mean(drawn(plan), (1 + t) * sigma**2 * DIM / (T - DIM - 1))


def test_accumulated_labels_of_the_same_inputs_bound_the_error_by_pi_squared_over_6():
    """Gerstgrasser et al. (2024): sigma^2 d / (T - d - 1) sum 1 / i^2; the mean of i labellings has an i-th of each noise."""
    T, sigma = 3.0 * DIM, 0.7
    totals = drawn(schedule(synthetic=T, noise_synthetic=sigma), inputs="fixed", accumulate=True)
    first = sigma**2 * DIM / (T - DIM - 1)
    assert_mean(totals, first * np.cumsum(1 / (1.0 + t) ** 2))
    assert totals.mean(0).max() < np.pi**2 / 6 * first < 2 * first


def test_accumulated_data_with_inputs_of_their_own_do_better_still():
    """W^_i = w^_{i-1} + (sum_{j <= i} X_j'X_j)^-1 X_i'e_i: the error is sigma^2 sum_i d / (i (i T - d - 1)), at any d."""
    T, sigma, i = 2.0 * DIM, 0.7, t + 1.0
    expected = sigma**2 * np.cumsum(DIM / (i * (i * T - DIM - 1)))
    alone = schedule(synthetic=T, noise_synthetic=sigma)
    # In law the same: one real data set, kept while synthetic ones are added to it.
    beside = schedule(real=T, synthetic=T * (t > 0), noise_real=sigma, noise_synthetic=sigma)
    for plan in (alone, beside):
        assert_mean(drawn(plan, real="fixed", accumulate=True), expected)


def test_fresh_real_and_synthetic_data_are_best_weighed_by_the_golden_ratio():
    """He, Xu and Cheng (2025): with as many real as synthetic samples, the real fit's best share is (sqrt(5) - 1) / 2."""
    n, shares = 1e4 * DIM, np.linspace(0.3, 0.95, 66)

    def chain(w):
        """Real and synthetic samples weighed w to 1 - w; from its stationary error, where a chain stays."""
        error = DIM / n * (w**2 + (1 - w) ** 2) / (1 - (1 - w) ** 2)
        plan = schedule(real=n, synthetic=n, noise_real=1.0, noise_synthetic=1.0, weight=1 / w - 1)
        return plan, FLAT, SIGNAL, FLAT * error / DIM

    errors = np.array([exact(*chain(w)).total for w in shares])
    assert_allclose(errors, np.broadcast_to([[chain(w)[-1].sum()] for w in shares], errors.shape), rtol=1e-3)
    best = np.polynomial.Polynomial.fit(shares[29:36], errors[29:36, -1], 2).deriv().roots()[0]
    assert shares[errors[:, -1].argmin()] == pytest.approx(0.62)
    assert best == pytest.approx((np.sqrt(5) - 1) / 2, abs=1e-3)
    for w in (0.4, best, 0.9):
        assert_mean(drawn(*chain(w)), np.full(LENGTH, chain(w)[-1].sum()), 1e-3)


@pytest.mark.parametrize(("phi", "grows"), [(0.5, False), (0.8, True)])
def test_half_real_data_do_not_stop_the_collapse_near_the_interpolation_threshold(phi, grows):
    """Fresh data, no ridge, Sigma = I: errors converge only for phi < (1 + p_2) / (1 + 2 p_2), 0.75 for half and half."""
    plan = schedule(real=DIM / phi / 2, synthetic=DIM / phi / 2, noise_real=1.0, noise_synthetic=1.0)
    kept = printed.corollary_3(phi, 0.5, 1.0, 0.0, 1, corrected=True)
    steps = np.diff(exact(plan, FLAT).total)
    assert_allclose(steps[1:] / steps[:-1], kept, rtol=1e-9)
    assert (kept > 1) == grows == (phi > 1.5 / 2)
    steps = np.diff(drawn(plan), axis=1)
    change = steps[:, -1] - steps[:, 0]
    assert (1 if grows else -1) * change.mean() > 2 * change.std() / np.sqrt(KEYS)


# Bad input --------------------------------------------------------------------------------------------------------------------


def _theory(spectrum=SPECTRUM, signal=SIGNAL, plan=None, shift=0.0, **numbers):
    return cj.theory.generations(spectrum, signal, plan or cj.Schedule(**MIXED | numbers), shift=shift)


def _simulation(spectrum=SPECTRUM, signal=SIGNAL, plan=None, shift=0.0, data="fresh", inputs="fresh", **numbers):
    plan = plan or cj.Schedule(**MIXED | numbers)
    return cj.simulate.generations(KEY, spectrum, signal, plan, data, synthetic_inputs=inputs, shift=shift)


WRONG = {
    "arrays of two lengths": ({"real": [1.0, 2.0]}, r"arrays of lengths \{'real': 2, 'synthetic': 5.*must be equal"),
    "no array": ({"plan": cj.Schedule(1.0, 1.0, 1.0)}, r"no array.*one number a generation.*np.full"),
    "empty array": ({"plan": cj.Schedule(np.zeros(0), 1.0, 1.0)}, r"no entry in its arrays.*np.full"),
    "a matrix": ({"ridge": np.ones((2, 5))}, r"schedule.ridge has shape \(2, 5\).*\(G,\): one a generation"),
    "negative count": ({"real": [1.0, -2.0, 3.0, 4.0, 5.0]}, r"schedule.real is -2 at index 1.*at least 0"),
    "negative ridge": ({"ridge": -1.0}, r"schedule.ridge is -1.*at least 0"),
    "nan noise": ({"noise_real": NAN}, r"schedule.noise_real is nan"),
    "negative weight": ({"weight": -1.0}, r"schedule.weight is -1"),
    "width zero": ({"width": 0}, r"schedule.width is 0.*width=None"),
    "a generation without samples": (
        {"real": 0.0, "synthetic": [1.0, 0.0, 1.0, 1.0, 1.0]},
        r"schedule.real \+ weight \* synthetic is 0 at index 1.*needs samples",
    ),
    "matrix for a spectrum": ({"spectrum": np.ones((2, 3))}, r"spectrum has shape \(2, 3\).*\(d,\)"),
    "negative eigenvalue": ({"spectrum": -SPECTRUM}, r"spectrum is -.* at index 0"),
    "signal of another length": ({"signal": np.ones(3)}, r"signal has shape \(3,\); it must be \(24,\)"),
    "negative shift": ({"shift": -1.0}, r"shift is -1"),
}
WRONG_TYPES = {
    "a dict": ({"plan": MIXED}, r"schedule is a dict; make one with cj.Schedule"),
    "no ridge": ({"ridge": None}, r"schedule.ridge is None.*real number"),
    "no weight": ({"weight": None}, r"schedule.weight is None.*real number"),
    "text": ({"synthetic": "many"}, r"schedule.synthetic is 'many'.*real number"),
}


@pytest.mark.parametrize("call", [_theory, _simulation], ids=["theory", "simulate"])
@pytest.mark.parametrize("name", [*WRONG, *WRONG_TYPES])
def test_wrong_schedules_are_named_with_the_way_out(call, name):
    values, words = (WRONG | WRONG_TYPES)[name]
    with pytest.raises(ValueError if name in WRONG else TypeError, match=words):
        call(**values)


OTHERS = {
    "threshold": (
        lambda: _theory(real=4.0, synthetic=20.0, ridge=0.0),
        r"interpolation threshold.* is 0 at index 0.*infinite.*small ridge",
    ),
    "threshold of the width": (
        lambda: _theory(real=8.0, synthetic=12.0, ridge=0.0, width=20.0),
        r"threshold.* is 0 at index 0",
    ),
    "ridge that rounding drowns": (
        lambda: _simulation(ridge=1e-18),
        r"schedule.ridge relative to the smallest.*larger ridge",
    ),
    "counts that round to none": (
        lambda: _simulation(real=0.3, synthetic=0.2),
        r"schedule.real \+ weight \* synthetic, counts rounded, is 0 at index 0",
    ),
    "unknown real data": (lambda: _simulation(data="reused"), r"real_data is 'reused'.*\"fresh\" or \"fixed\""),
    "unknown inputs": (lambda: _simulation(inputs=True), r"synthetic_inputs is True.*\"fresh\" or \"fixed\""),
    "fixed data that grow": (
        lambda: _simulation(data="fixed"),
        r"change of schedule.real.*is 30; it must be 0.*\"fresh\"",
    ),
    "fixed inputs that grow": (lambda: _simulation(inputs="fixed"), r"change of schedule.synthetic.*fixed"),
    "fixed data whose noise grows": (
        lambda: cj.simulate.generations(KEY, FLAT, FLAT, cj.Schedule(9.0, 9.0, 1.0, noise_real=[1.0, 2.0]), "fixed"),
        r"change of schedule.noise_real.*is 1; it must be 0",
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_only_one_wing_refuses(name):
    call, words = OTHERS[name]
    with pytest.raises(ValueError, match=words):
        call()
