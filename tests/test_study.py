"""The strong-collapse study on Gaussian data: its numbers are those of the theory."""

import math

import jax
import numpy as np
import pytest

import collapse_jax as cj
from collapse_jax import study
from collapse_jax.report import saturation_sentences

SIZE = study.Size(dim=48, seeds=12, points=4, fractions=(0.0, 0.01, 0.1, 0.5, 1.0), qualities=(0.0, 1.0))


@pytest.fixture(scope="module")
def samples() -> study.Samples:
    return study.samples(SIZE, seed=0)


@pytest.fixture(scope="module")
def widths() -> study.Widths:
    return study.widths(SIZE, seed=0)


def test_saturation_is_that_of_corollary_1(samples: study.Samples) -> None:
    """Ridge to 0 and n > d: ``E = sigma^2 u + (p2^2 + p2 p1 u) c^2`` with ``u = d / (n - d)``."""
    for row in samples.saturations[1:]:
        p2, floor = row.synthetic_fraction, row.synthetic_fraction**2 * study.SAMPLES_QUALITY
        slope = study.NOISE**2 + p2 * (1 - p2) * study.SAMPLES_QUALITY
        assert row.floor == pytest.approx(floor, rel=1e-3)
        assert row.stops_at == pytest.approx(SIZE.dim * (1 + slope / (study.WITHIN * floor)), rel=2e-3)
        assert row.real_alone == pytest.approx(SIZE.dim * (1 + study.NOISE**2 / floor), rel=2e-3)


def test_real_data_alone_keep_helping(samples: study.Samples) -> None:
    real = samples.saturations[0]
    assert real.stops_at > 1e9
    assert saturation_sentences([real], 1e9, "samples") == [
        "With real data only, more data still helps at n = 1 billion."
    ]


def test_at_the_stopping_point_the_error_is_ten_percent_above_its_floor(samples: study.Samples) -> None:
    mixture = study.gaussian_mixture(cj.spectra.power_law(SIZE.dim), study.SAMPLES_QUALITY)
    for row in samples.saturations[1:]:
        risk = cj.theory.risk(mixture, cj.split(row.stops_at, row.synthetic_fraction), study.SAMPLES_RIDGE)
        assert float(risk.total) == pytest.approx(1.1 * row.floor, rel=1e-6)


def test_saturation_starts_where_it_is_told_when_the_error_never_falls() -> None:
    (row,) = study.saturations(lambda n, p: 1.0 + 0 * n * p, [0.5], start=7.0)
    assert row.stops_at == pytest.approx(7.0)


def test_simulation_agrees_with_theory_far_from_the_threshold(samples: study.Samples) -> None:
    mean, error = cj.mean_and_error(samples.comparison.measured)
    theory = samples.comparison.theory.total.sel(n=mean.n)
    # At n = 1.5 d the theory's own error of order 1 / (n - d) shows; beyond it is below 1 %.
    np.testing.assert_array_less(np.abs(mean.total / theory - 1)[1:], 0.01 + 4 * (error.total / theory)[1:])
    assert study.agreement(samples.comparison).worst_percent < 20


def test_worse_synthetic_data_call_for_smaller_models(widths: study.Widths) -> None:
    perfect, poor = widths.best
    assert poor.width < perfect.width / 10
    assert poor.widest > 1.5 * poor.error
    assert perfect.collapse == 0


def test_agreement_measures_the_gap_at_the_worst_point() -> None:
    def theory(n):
        return {"total": n}

    def experiment(key, n):
        return {"total": n * (1 + 0.1 * (n > 5)) + 1e-3 * jax.random.normal(key)}

    comparison = study.compare(theory, experiment, jax.random.key(0), 4, {"n": [3.0]}, n=[2.0, 10.0])
    gap = study.agreement(comparison)
    assert comparison.theory.n.values.tolist() == [2, 3, 10]
    assert gap.where == {"n": 10.0}
    assert gap.points == 2
    assert gap.worst_percent == pytest.approx(10, abs=0.1)
    assert gap.typical_percent == pytest.approx(10 / math.sqrt(2), abs=0.1)
