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


def _numbers_from(**ranges):
    """Numbers in these ranges, one set a configuration; those that count something are whole, and uniform in logarithm."""

    def cases(seed, projected):
        rng = np.random.default_rng(seed)
        return {
            name: np.round(10 ** rng.uniform(*np.log10(ends), CONFIGURATIONS))
            if name in COUNTED
            else rng.uniform(*ends, CONFIGURATIONS)
            for name, ends in ranges.items()
        }

    return cases


COUNTED = ("samples", "last")


def _skills(case):
    """A fraction of real data, the rest cut and narrowed."""
    real, cut = cj.skills.zipf(case["exponent"]), cj.skills.zipf(case["exponent"] * case["narrow"], last=case["last"])
    return cj.skills.mix(case["fraction"], real, cut)


def _skill_chain(case):
    return case["exponent"], case["samples"] * jnp.array([1.0, 0.5, 2.0]), case["fraction"]


def _verified(case):
    return cj.Verified(
        case["separation"],
        generator=case["generator"],
        kept_right=case["right"],
        kept_wrong=case["wrong"],
        verifier=case["verifier"],
    )


def _student(found):
    return {"total": found.accuracy, "agreement": found.agreement, "cosine": found.cosine}


SKILLS = {"exponent": (1.3, 2.5), "samples": (10, 1e6), "last": (10, 1e4), "fraction": (0, 0.2), "narrow": (1, 1.5)}
STUDENTS = {
    "separation": (0.8, 2),
    "generator": (0.2, 2),
    "verifier": (0.2, 2),
    "right": (0.6, 1),
    "wrong": (0.2, 1),
    "ridge": (0.003, 0.1),
}
BIGRAMS = {"exponent": (1.3, 2), "samples": (100, 1e5), "last": (5, 30)}

# Tails and verification: nothing is projected.
PAIRS |= {
    "tail_error": Pair(
        lambda case: {"total": cj.theory.tail_error(case["exponent"], _skills(case), case["samples"])},
        lambda key, case: {"total": cj.simulate.tail_error(key, case["exponent"], _skills(case), case["samples"])},
        _numbers_from(**SKILLS),
    ),
    "tail_generations": Pair(
        lambda case: {"total": cj.theory.tail_generations(*_skill_chain(case)).error},
        lambda key, case: {"total": cj.simulate.tail_generations(key, *_skill_chain(case))},
        _numbers_from(**SKILLS),
    ),
    "bigram_error": Pair(
        lambda case: {"total": cj.theory.bigram_error(**case, states=30)},
        lambda key, case: {"total": cj.simulate.bigram_error(key, **case, states=30)},
        _numbers_from(**BIGRAMS),
    ),
    "memory_error": Pair(
        lambda case: {"total": cj.theory.memory_error(case["exponent"], 400.0, case["samples"], inputs=60, classes=4)},
        lambda key, case: {
            "total": cj.simulate.memory_error(key, case["exponent"], 400, case["samples"], inputs=60, classes=4)
        },
        _numbers_from(**BIGRAMS),
    ),
    "verified_student": Pair(
        lambda case: _student(cj.theory.verified_student(_verified(case), 3 * DIM, DIM, case["ridge"])),
        lambda key, case: _student(cj.simulate.verified_student(key, _verified(case), 3 * DIM, DIM, case["ridge"])),
        _numbers_from(**STUDENTS),
    ),
    "verified_student, squared": Pair(
        lambda case: _student(cj.theory.verified_student(_verified(case), 3 * DIM, DIM, case["ridge"], loss="squared")),
        lambda key, case: _student(
            cj.simulate.verified_student(key, _verified(case), 3 * DIM, DIM, case["ridge"], loss="squared")
        ),
        _numbers_from(**STUDENTS),
    ),
    "self_consumption": Pair(
        lambda case: {"total": cj.theory.self_consumption(50, LENGTH, bandwidth=case["bandwidth"]).variance},
        lambda key, case: {
            "total": cj.simulate.self_consumption(key, 50, LENGTH, bandwidth=case["bandwidth"]).variance
        },
        _numbers_from(bandwidth=(0, 1)),
    ),
}
UNPROJECTED = [name for name in PAIRS if name not in ("risk", "fit", "generations")]
SYSTEMS = [(name, seed) for name in ("risk", "fit") for seed in (1, 2, 3)] + [("generations", 0)]


@pytest.mark.parametrize("projected", [False, True], ids=["linear", "projected"])
@pytest.mark.parametrize(
    ("name", "seed"),
    [pytest.param(*system, marks=[pytest.mark.slow] if system[1] == 2 else []) for system in SYSTEMS],
)
def test_simulation_agrees_with_theory(name, seed, projected):
    """The seed of mixtures is also their number of sources."""
    _compare(name, seed, projected)


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] if name == "tail_generations" else []) for name in UNPROJECTED],
)
def test_simulation_agrees_with_theory_on_tails_and_verification(name):
    _compare(name, 0, False)


def _compare(name, seed, projected):
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
