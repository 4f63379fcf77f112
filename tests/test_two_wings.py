"""Theory and simulation of the same system agree: the mean over draws is the theory, up to a gap of order 1 / d.

A system that has both wings is a row of ``PAIRS``: what it computes by theory and by simulation, as dicts of numbers of one
configuration, and random configurations that cover what the system can do.
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import problems
import pytest

import collapse_jax as cj

DIM, CONFIGURATIONS, KEYS, LENGTH = 80, 8, 48, 3


class Pair(NamedTuple):
    """Two wings: ``theory(case)`` and ``simulate(key, case)`` return the same quantities by name.

    ``cases(seed, projected)`` is a dict of arrays with a leading axis, with width None unless projected.
    """

    theory: Any
    simulate: Any
    cases: Any


def _mixture(case):
    return cj.Mixture(case["spectra"], case["moments"], case["noise"])


def _numbers(case):
    return _mixture(case), case["counts"], case["ridge"], case["width"], case["weights"]


def _parts(risk):
    return {"bias": risk.bias, "variance": risk.variance, "collapse": risk.collapse, "total": risk.total}


def _fit(key, case):
    fitted = cj.simulate.fit(key, *_numbers(case), target=case["target"])
    squares = case["target"] * (fitted.coefficients - fitted.labels[0]) ** 2
    # Two halves of the directions, and all of them.
    return {"total": fitted.error, "head": squares[: DIM // 2].sum(), "tail": squares[DIM // 2 :].sum()}


def _fit_theory(case):
    errors = case["target"] * cj.theory.direction_errors(*_numbers(case)).total
    total = cj.theory.risk(*_numbers(case), target=case["target"]).total
    return {"total": total, "head": errors[: DIM // 2].sum(), "tail": errors[DIM // 2 :].sum()}


def _mixtures(sources, projected):
    """Weights, covariances, labels and noise differ by source; widths and counts lie on both sides of d."""
    cases = problems.moderate(10 * sources + projected, CONFIGURATIONS, sources, DIM)
    rng = np.random.default_rng(sources)
    # Every other target is covariate shift.
    shifted = problems.random_spectra(rng, CONFIGURATIONS, DIM)
    cases["target"] = np.where(np.arange(CONFIGURATIONS)[:, None] % 2, shifted, cases["spectra"][:, 0])
    return cases if projected else cases | {"width": None}


def _chains(seed, projected):
    """Everything differs by generation. Real data are mixed in, or there are none, or the synthetic data grow."""
    rng, shape = np.random.default_rng(seed), (CONFIGURATIONS, LENGTH)
    kind = np.arange(CONFIGURATIONS)[:, None] % 3
    counts = np.round(problems.log_uniform(rng, -0.6, 0.6, 2, *shape) * DIM)
    return {
        "spectrum": problems.random_spectra(rng, CONFIGURATIONS, DIM),
        "signal": rng.random((CONFIGURATIONS, DIM)) / DIM,
        "shift": rng.random((CONFIGURATIONS, DIM)) / DIM,
        "real": np.where(kind == 1, 0, counts[0]),
        "synthetic": np.where(kind == 2, np.sort(counts[1], 1), counts[1]),
        "ridge": problems.log_uniform(rng, -2, 0, *shape),
        "noise_real": rng.random(shape),
        "noise_synthetic": rng.random(shape),
        "width": np.round(problems.log_uniform(rng, -0.6, 0.6, *shape) * DIM) if projected else None,
        "weight": problems.log_uniform(rng, -0.5, 0.5, *shape),
    }


def _chain(case):
    schedule = cj.Schedule(**{field.name: case[field.name] for field in dataclasses.fields(cj.Schedule)})
    return case["spectrum"], case["signal"], schedule


PAIRS = {
    "risk": Pair(
        lambda case: _parts(cj.theory.risk(*_numbers(case), target=case["target"])),
        lambda key, case: _parts(cj.simulate.risk(key, *_numbers(case), target=case["target"])),
        _mixtures,
    ),
    "fit": Pair(_fit_theory, _fit, _mixtures),
    "generations": Pair(
        lambda case: _parts(cj.theory.generations(*_chain(case), shift=case["shift"])),
        lambda key, case: _parts(cj.simulate.generations(key, *_chain(case), shift=case["shift"])),
        _chains,
    ),
}
SYSTEMS = [(name, seed) for name in ("risk", "fit") for seed in (1, 2, 3)] + [("generations", 0)]


@pytest.mark.parametrize("projected", [False, True], ids=["linear", "projected"])
@pytest.mark.parametrize(
    ("name", "seed"),
    [pytest.param(*system, marks=[pytest.mark.slow] if system[1] == 2 else []) for system in SYSTEMS],
)
def test_simulation_agrees_with_theory(name, seed, projected):
    """The seed of mixtures is also their number of sources."""
    pair, cases = PAIRS[name], PAIRS[name].cases(seed, projected)
    keys = jax.random.split(jax.random.key(seed), KEYS)
    exact = jax.jit(jax.vmap(pair.theory))(cases)
    drawn = jax.jit(jax.vmap(jax.vmap(pair.simulate, (None, 0)), (0, None)))(keys, cases)
    for quantity, expected in exact.items():
        samples = np.asarray(drawn[quantity])
        error = samples.std(0, ddof=1) / np.sqrt(KEYS)
        gap = 3 / DIM * np.abs(np.asarray(exact["total"]))
        excess = (np.abs(samples.mean(0) - np.asarray(expected)) - gap) / np.maximum(error, 1e-12)
        assert excess.max() < 3, f"{quantity}: {excess.round(1)} standard errors beyond the gap"


@pytest.mark.slow
def test_the_gap_to_the_theory_is_of_order_one_over_the_dimension():
    """The mean simulated risk of one system at d and 4 d, both above their error bars."""

    def gap(dim):
        spectrum = cj.spectra.isotropic(dim)
        mixture = cj.real_and_synthetic(spectrum, 1 / dim, 0.5 / dim, 1.0, 1.0)
        counts = cj.split(dim * 1.5, 1 / 3)
        keys = jax.random.split(jax.random.key(0), 4096 if dim < 20 else 1024)
        variance = jax.jit(jax.vmap(lambda key: cj.simulate.risk(key, mixture, counts, 0.01).variance))(keys)
        error = variance.std() / np.sqrt(len(keys))
        return variance.mean() - cj.theory.risk(mixture, counts, 0.01).variance, error

    (small, small_error), (large, large_error) = gap(8), gap(32)
    assert small > 5 * small_error
    assert abs(large - small / 4) < 3 * jnp.hypot(large_error, small_error / 4) + small / 8
