"""Bad input: outside jit an error that names the argument, its value and the way out; inside jit NaN and only there."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

import collapse_jax as cj

DIM = 6
SPECTRUM = cj.spectra.power_law(DIM, 1.0)
MIXTURE = cj.real_and_synthetic(SPECTRUM, 1.0, 0.5, 0.3, 0.7)
KEY, NAN, INF = jax.random.key(0), float("nan"), float("inf")


def risk(mixture=MIXTURE, counts=(8.0, 4.0), ridge=0.1, width=None, weights=None, **rest):
    return cj.theory.risk(mixture, counts, ridge, width, weights, **rest)


def simulated(mixture=MIXTURE, counts=(8.0, 4.0), ridge=0.1, width=None, weights=None, **rest):
    return cj.simulate.risk(KEY, mixture, counts, ridge, width, weights, **rest)


def moments(*rows):
    """(K, K, d) label moments that are the same K x K matrix in every direction."""
    matrix = jnp.array(rows)
    return jnp.broadcast_to(matrix[:, :, None], (*matrix.shape, DIM))


# Arguments that theory and simulation share: value, and the words of the message.
SHARED = {
    "counts of another length": ({"counts": [8.0]}, r"counts has shape \(1,\).*\(2,\).*cj.split"),
    "negative count": ({"counts": [8.0, -4.0]}, r"counts is -4 at index 1.*at least 0"),
    "nan count": ({"counts": [NAN, 4.0]}, r"counts is nan at index 0"),
    "infinite count": ({"counts": [INF, 4.0]}, r"counts is inf at index 0.*finite"),
    "no samples": ({"counts": [0.0, 0.0]}, r"sum of counts is 0.*above 0.*needs samples"),
    "negative ridge": ({"ridge": -1.0}, r"ridge is -1.*at least 0"),
    "nan ridge": ({"ridge": NAN}, r"ridge is nan"),
    "array of ridges": ({"ridge": jnp.ones(3)}, r"ridge has shape \(3,\).*one number.*jax.vmap"),
    "width zero": ({"width": 0}, r"width is 0.*above 0.*width=None"),
    "negative width": ({"width": -3.0}, r"width is -3"),
    "negative weight": ({"weights": [1.0, -2.0]}, r"weights is -2 at index 1"),
    "weights of another length": ({"weights": [1.0]}, r"weights has shape \(1,\)"),
    "weights on empty sources only": (
        {"counts": [8.0, 0.0], "weights": [0.0, 1.0]},
        r"weights \* counts is 0.*needs a weight",
    ),
    "target of another length": ({"target": jnp.ones(3)}, r"target has shape \(3,\).*\(6,\)"),
    "negative target": ({"target": -SPECTRUM}, r"target is -2\.\d+ at index 0"),
    "batch of mixtures": ({"mixture": jax.tree.map(lambda x: x[None], MIXTURE)}, r"mixture.spectra.*jax.vmap"),
}
WRONG_TYPES = {
    "text as ridge": ({"ridge": "small"}, r"ridge is 'small'.*real number"),
    "no counts": ({"counts": None}, r"counts is None.*real number"),
    "complex width": ({"width": 2j}, r"width is 2j.*real number"),
    "complex array": ({"counts": np.array([1j, 2j])}, r"counts.*complex.*real"),
    "something else than a mixture": ({"mixture": SPECTRUM}, r"mixture is a .*cj.real_and_synthetic"),
}


@pytest.mark.parametrize("call", [risk, simulated], ids=["theory", "simulate"])
@pytest.mark.parametrize("name", SHARED)
def test_wrong_values_are_named_with_the_way_out(call, name):
    values, words = SHARED[name]
    with pytest.raises(ValueError, match=words):
        call(**values)


@pytest.mark.parametrize("call", [risk, simulated], ids=["theory", "simulate"])
@pytest.mark.parametrize("name", WRONG_TYPES)
def test_wrong_types_are_named_with_the_way_out(call, name):
    values, words = WRONG_TYPES[name]
    with pytest.raises(TypeError, match=words):
        call(**values)


CONSTRUCTORS = {
    "negative eigenvalue": (
        lambda: cj.Mixture(-jnp.ones((1, 3)), jnp.ones((1, 1, 3))),
        r"spectra is -1 at index \(0, 0\).*cj.spectra",
    ),
    "nan eigenvalue": (lambda: cj.real_and_synthetic(SPECTRUM.at[2].set(NAN), 1.0, 1.0), r"spectra is nan at index"),
    "spectra of one source flat": (
        lambda: cj.Mixture(SPECTRUM, jnp.ones((1, 1, DIM))),
        r"spectra has shape \(6,\).*\(K, d\)",
    ),
    "moments of another shape": (
        lambda: cj.Mixture(SPECTRUM[None], jnp.ones((2, 2, DIM))),
        r"label_moments has shape \(2, 2, 6\); it must be \(1, 1, 6\)",
    ),
    "negative noise": (lambda: cj.real_and_synthetic(SPECTRUM, 1.0, 1.0, noise_real=-0.1), r"noise_real is -0.1"),
    "negative noise in a mixture": (
        lambda: cj.Mixture(SPECTRUM[None], jnp.ones((1, 1, DIM)), [-1.0]),
        r"noise is -1.*standard deviations",
    ),
    "negative signal": (lambda: cj.real_and_synthetic(SPECTRUM, -1.0, 1.0), r"signal is -1.*squares of coefficients"),
    "shift of another length": (lambda: cj.real_and_synthetic(SPECTRUM, 1.0, jnp.ones(3)), r"shift has shape \(3,\)"),
    "correlation above 1": (
        lambda: cj.Mixture(jnp.ones((2, DIM)), moments([1.0, 2.0], [2.0, 1.0])),
        r"label_moments is -3.*positive semidefinite.*w\[:, None, :\]",
    ),
    "correlation without a variance": (
        lambda: cj.Mixture(jnp.ones((2, DIM)), moments([1.0, 0.5], [0.5, 0.0])),
        r"label_moments.*positive semidefinite",
    ),
    "negative second moment": (
        lambda: cj.Mixture(jnp.ones((1, DIM)), moments([-1.0])),
        r"label_moments is -1.*positive semidefinite",
    ),
    "pairwise possible, together not": (
        lambda: cj.Mixture(jnp.ones((3, DIM)), moments([1.0, 0.9, -0.9], [0.9, 1.0, 0.9], [-0.9, 0.9, 1.0])),
        r"label_moments.*positive semidefinite",
    ),
    "asymmetric moments": (
        lambda: cj.Mixture(jnp.ones((2, DIM)), moments([1.0, 0.5], [0.4, 1.0])),
        r"label_moments",
    ),
    "broken promise of one spectrum": (
        lambda: cj.Mixture(
            jnp.stack([SPECTRUM, 2 * SPECTRUM]), moments([1.0, 0.0], [0.0, 1.0]), 0.0, shared_spectrum=True
        ),
        r"difference between the rows of spectra.*shared_spectrum=False",
    ),
    "fraction above 1": (lambda: cj.split(100, 20.0), r"synthetic_fraction is 20.*between 0 and 1.*percentage"),
    "no samples to split": (lambda: cj.split(0, 0.5), r"n is 0.*above 0"),
    "no dimensions": (lambda: cj.spectra.power_law(0), r"dim is 0.*at least 1"),
    "half a dimension": (lambda: cj.spectra.power_law(2.5), r"dim is 2.5.*integer"),
    "negative exponent": (lambda: cj.spectra.power_law(4, -1.0), r"exponent is -1"),
    "trace zero": (lambda: cj.spectra.power_law(4, 1.0, 0.0), r"trace is 0"),
    "covariance not square": (lambda: cj.spectra.from_covariance(jnp.ones((2, 3))), r"covariance has shape.*square"),
    "covariance not symmetric": (
        lambda: cj.spectra.from_covariance([[1.0, 0.5], [0.0, 1.0]]),
        r"0.5.*not symmetric",
    ),
    "covariance with a negative eigenvalue": (
        lambda: cj.spectra.from_covariance([[1.0, 2.0], [2.0, 1.0]]),
        r"eigenvalue of covariance is -1",
    ),
    "nan covariance": (lambda: cj.spectra.from_covariance([[NAN, 0.0], [0.0, 1.0]]), r"covariance is nan"),
    "one row": (lambda: cj.spectra.from_data(jnp.ones((1, 3))), r"rows has shape \(1, 3\).*at least 2"),
    "nan row": (lambda: cj.spectra.from_data([[1.0], [NAN]]), r"rows is nan at index \(1, 0\)"),
}


@pytest.mark.parametrize("name", CONSTRUCTORS)
def test_impossible_problems_are_refused_by_name(name):
    build, words = CONSTRUCTORS[name]
    with pytest.raises(ValueError, match=words):
        build()


OTHERS = {
    "unknown activation": (lambda: risk(width=5, activation="gelu"), r"activation is 'gelu'.*relu.*jnp.sin"),
    "activation without width": (lambda: risk(activation="relu"), r"activation .*without a width.*width="),
    "activation with unequal traces": (
        lambda: risk(width=5, activation="relu", target=2 * SPECTRUM),
        r"mean eigenvalues.*Rescale",
    ),
    "threshold without ridge": (lambda: risk(counts=[4.0, 2.0], ridge=0.0), r"threshold.*small ridge such as 1e-8"),
    "width on the threshold": (lambda: risk(counts=[2.0, 2.0], ridge=0.0, width=4), r"threshold.*width"),
    "kappa of nothing": (lambda: cj.theory.kappa(jnp.zeros(3), 5, 0.1), r"sum of spectrum is 0"),
    "kappa of a matrix": (lambda: cj.theory.kappa(jnp.ones((2, 3)), 5, 0.1), r"spectrum has shape \(2, 3\)"),
    "kappa without samples": (lambda: cj.theory.kappa(SPECTRUM, 0, 0.1), r"n is 0"),
    "negative kappa": (lambda: cj.theory.degrees_of_freedom(SPECTRUM, -1.0), r"kappa is -1"),
    "variance zero": (lambda: cj.theory.hermite_coefficients("relu", 0.0), r"variance is 0"),
    "counts that round to none": (lambda: simulated(counts=[0.3, 0.2]), r"sum of counts, each rounded.*is 0"),
    "ridge zero in a simulation": (lambda: simulated(ridge=0.0), r"ridge relative to the smallest.*larger ridge"),
    "labels of another shape": (
        lambda: cj.simulate.fit(KEY, MIXTURE, [8, 4], 0.1, labels=jnp.ones(DIM)),
        r"labels has shape \(6,\); it must be \(2, 6\)",
    ),
    "half a row": (lambda: cj.simulate.rows(KEY, MIXTURE, [2.5, 1]), r"counts is \[2.5, 1\].*2 whole numbers"),
    "rows of one source": (lambda: cj.simulate.rows(KEY, MIXTURE, [2]), r"counts is \[2\].*2 whole numbers"),
    "half a feature": (lambda: cj.simulate.random_features(KEY, jnp.ones((2, 2)), 1.5), r"width is 1.5.*whole number"),
    "rows that do not fit": (
        lambda: cj.simulate.fit_rows(jnp.ones((3, 2)), jnp.ones(4), 0.1),
        r"inputs has shape \(3, 2\) and outputs \(4,\)",
    ),
    "nan rows": (lambda: cj.simulate.fit_rows(jnp.full((3, 2), NAN), jnp.ones(3), 0.1), r"inputs is nan"),
    "negative row weight": (
        lambda: cj.simulate.fit_rows(jnp.ones((3, 2)), jnp.ones(3), 0.1, [1.0, -1.0, 1.0]),
        r"weights is -1 at index 1",
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_functions_refuse_by_name(name):
    call, words = OTHERS[name]
    with pytest.raises(ValueError, match=words):
        call()


def test_a_ridge_that_float32_drowns_names_float64():
    single = jax.tree.map(lambda x: x.astype(jnp.float32), MIXTURE)
    assert jnp.isfinite(simulated(mixture=single, ridge=1e-3).total)
    with pytest.raises(ValueError, match=r"ridge .*float32.*jax_enable_x64"):
        simulated(mixture=single, ridge=1e-8)
    assert jnp.isfinite(risk(mixture=single, ridge=1e-8).total)


# Inside jit -------------------------------------------------------------------------------------------------------------------

GOOD = {
    "n": 12.0,
    "fraction": 0.4,
    "ridge": 0.1,
    "width": 7.0,
    "weight": 2.0,
    "noise": 0.3,
    "eigenvalue": 1.0,
    "moment": 0.5,
}
BAD = {
    "n": [-12.0, 0.0, NAN, INF],
    "fraction": [-0.1, 1.1, NAN],
    "ridge": [-0.1, NAN, INF],
    "width": [0.0, -7.0, NAN],
    "weight": [-2.0, NAN],
    "noise": [-0.3, NAN],
    "eigenvalue": [-1.0, NAN, INF],
    "moment": [1.5, NAN],
}


def _traced(call, n, fraction, ridge, width, weight, noise, eigenvalue, moment):
    """Everything traced; ``moment`` is the correlation of the two sources' labels."""
    one = jnp.ones_like(moment)
    matrix = jnp.stack([jnp.stack([one, moment]), jnp.stack([moment, one])])
    spectrum = SPECTRUM.at[1].set(eigenvalue)
    mixture = cj.Mixture(jnp.stack([spectrum] * 2), jnp.stack([matrix] * DIM, -1), noise)
    return call(mixture, cj.split(n, fraction), ridge, width, jnp.stack([jnp.ones_like(weight), weight]))


@pytest.mark.parametrize("call", [risk, simulated], ids=["theory", "simulate"])
@pytest.mark.parametrize("name", BAD)
def test_inside_vmap_only_the_affected_points_are_nan(call, name):
    values = jnp.array([GOOD[name], *BAD[name], GOOD[name]])
    batch = {other: jnp.full(values.shape, GOOD[other]) for other in GOOD} | {name: values}
    results = BATCHED[call](batch)
    expected = jnp.array([False, *[True] * len(BAD[name]), False])
    for leaf in jax.tree.leaves(results):
        assert (jnp.isnan(leaf) == expected).all()
        assert_allclose(leaf[0], leaf[-1], rtol=1e-14)


BATCHED = {
    call: jax.jit(jax.vmap(lambda case, call=call: _traced(call, **case))) for call in (risk, simulated)
}  # fmt: skip


def test_a_promise_broken_inside_jit_gives_nan():
    @jax.jit
    def of(factor):
        spectra = jnp.stack([SPECTRUM, factor * SPECTRUM])
        return risk(mixture=cj.Mixture(spectra, MIXTURE.label_moments, 0.1, shared_spectrum=True)).total

    assert jnp.isfinite(of(1.0))
    assert jnp.isnan(of(1.5))


def test_the_threshold_inside_jit_gives_nan_there_only():
    totals = jax.jit(jax.vmap(lambda n: risk(counts=cj.split(n, 0.5), ridge=0.0).total))(jnp.array([5.0, 6.0, 7.0]))
    assert jnp.isnan(totals).tolist() == [False, True, False]


def test_gradients_at_good_points_do_not_see_the_bad_ones():
    slopes = jax.jit(jax.vmap(jax.grad(lambda ridge: risk(ridge=ridge).total)))(jnp.array([0.1, -1.0, 0.1]))
    assert jnp.isfinite(slopes[jnp.array([0, 2])]).all()
    assert not jnp.isfinite(slopes[1]) or slopes[1] == 0
