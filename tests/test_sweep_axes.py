"""An axis is anything with a first dimension: numbers, arrays, keys, pytrees, alone or zipped."""

import itertools
import logging
from typing import NamedTuple

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import strategies
from numpy.testing import assert_allclose, assert_array_equal
from problems import properties

import collapse_jax as cj
from collapse_jax.sweep.layout import layout_of

DIM = 6
NOISES = [0.1, 0.2, 0.4]


def mixture(noise):
    return cj.real_and_synthetic(cj.spectra.power_law(DIM, 1.0), 1 / DIM, 0.5 / DIM, noise, 0.7)


def largest(mixture, n):
    """A cheap function of every leaf of a mixture."""
    return mixture.noise[0] * n + mixture.spectra.sum() + mixture.label_moments.sum()


def sweep(point, **settings):
    return cj.sweep(point, **({"progress": False} | settings))


# Numbers ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "values", [[1, 2, 5], (1, 2, 5), range(3), np.array([1.0, 2.0, 5.0]), jnp.array([1, 2, 5]), np.geomspace(1, 100, 3)]
)
def test_any_sequence_of_numbers_is_an_axis(values):
    dataset = sweep(lambda x: x / 2, x=values)
    assert_array_equal(dataset.x, np.asarray(values))
    assert dataset.x.dtype == np.asarray(values).dtype
    assert_array_equal(dataset["value"], np.asarray(values) / 2)


def test_the_point_gets_floats():
    assert sweep(lambda n: 1 / n, n=[2, 4])["value"].values.tolist() == [0.5, 0.25]


def test_complex_numbers_keep_their_imaginary_part():
    dataset = sweep(lambda z: z.imag, z=np.array([1 + 2j, 3 - 4j]))
    assert_array_equal(dataset["value"], [2, -4])


# Zipped -----------------------------------------------------------------------------------------------------------------------


def test_zipped_axes_are_the_diagonal_of_their_product():
    n, width, ridge = [1.0, 2.0], [3.0, 5.0, 7.0], [0.1, 0.2, 0.3]

    def point(n, width, ridge):
        return n * width + ridge

    whole = sweep(point, n=n, width=width, ridge=ridge)["value"].values
    together = sweep(point, n=n, model=cj.zipped(width=width, ridge=ridge))
    assert dict(together.sizes) == {"n": 2, "model": 3}
    assert_array_equal(together["value"], np.einsum("nii->ni", whole))


def test_zipped_axes_are_labelled_with_all_their_numbers():
    dataset = sweep(lambda width, ridge: width * ridge, model=cj.zipped(width=[3, 5], ridge=[0.1, 0.2]))
    assert dataset.width.dims == dataset.ridge.dims == dataset.model.dims == ("model",)
    assert (dataset.width.values.tolist(), dataset.ridge.values.tolist()) == ([3, 5], [0.1, 0.2])
    assert dataset.model.values.tolist() == [0, 1]
    assert dataset.width.attrs["long_name"] == "width m"


def test_a_zipped_axis_may_bear_the_name_of_one_of_its_sequences():
    dataset = sweep(lambda width, ridge: width * ridge, width=cj.zipped(width=[3.0, 5.0], ridge=[0.1, 0.2]))
    assert_array_equal(dataset["value"].sel(width=5.0), 5.0 * 0.2)
    assert "ridge" in dataset.coords


def test_pytrees_and_numbers_zip():
    mixtures = [mixture(noise) for noise in NOISES]
    dataset = sweep(largest, source=cj.zipped(mixture=mixtures, n=[1.0, 2.0, 3.0]))
    assert_allclose(dataset["value"], [largest(m, n) for m, n in zip(mixtures, [1.0, 2.0, 3.0], strict=True)])
    assert set(dataset.coords) == {"source", "n"}


# Pytrees ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stacked", [False, True])
def test_mixtures_are_an_axis(stacked):
    mixtures = [mixture(noise) for noise in NOISES]
    axis = jax.tree.map(lambda *leaves: jnp.stack(leaves), *mixtures) if stacked else mixtures
    dataset = sweep(largest, n=[1.0, 10.0], mixture=axis)
    expected = [[largest(m, n) for m in mixtures] for n in (1.0, 10.0)]
    assert_allclose(dataset["value"], expected, rtol=1e-14)
    assert dataset.mixture.values.tolist() == [0, 1, 2]


def test_theory_takes_mixtures_from_an_axis():
    def point(mixture, n):
        return cj.theory.risk(mixture, cj.split(n, 0.5), 0.1)

    dataset = sweep(point, mixture=[mixture(noise) for noise in NOISES], n=[5.0, 20.0])
    for (i, noise), n in itertools.product(enumerate(NOISES), dataset.n.values):
        assert_allclose(dataset.total.sel(mixture=i, n=n), point(mixture(noise), n).total, rtol=1e-12)


class Teacher(NamedTuple):
    weights: jax.Array
    noise: jax.Array


TEACHERS = [(np.arange(4.0) + i, 0.5 * i) for i in range(3)]


@pytest.mark.parametrize(
    "axis",
    [
        [{"weights": weights, "noise": noise} for weights, noise in TEACHERS],
        {"weights": np.stack([weights for weights, _ in TEACHERS]), "noise": np.array([0.0, 0.5, 1.0])},
        [Teacher(weights, noise) for weights, noise in TEACHERS],
        Teacher(jnp.stack([weights for weights, _ in TEACHERS]), jnp.array([0.0, 0.5, 1.0])),
    ],
)
def test_dicts_and_named_tuples_are_axes(axis):
    def point(teacher, x):
        weights, noise = teacher if isinstance(teacher, tuple) else (teacher["weights"], teacher["noise"])
        return {"signal": weights @ weights * x, "noise": noise}

    dataset = sweep(point, teacher=axis, x=[1.0, 2.0])
    assert_allclose(dataset.signal, [[weights @ weights * x for x in (1, 2)] for weights, _ in TEACHERS])
    assert_allclose(dataset.noise[:, 0], [0, 0.5, 1])


@pytest.mark.parametrize("kind", [np.asarray, jnp.asarray, list])
def test_rows_of_an_array_are_an_axis(kind):
    rows = np.arange(12.0).reshape(3, 4)
    dataset = sweep(lambda row, x: row[::-1] * x, row=kind(rows), x=[1.0, 10.0])
    assert dataset["value"].dims[:2] == ("row", "x")
    assert_array_equal(dataset["value"], rows[:, None, ::-1] * np.array([1.0, 10.0])[None, :, None])


@pytest.mark.parametrize("kind", [lambda keys: keys, list])
def test_keys_are_an_axis(kind):
    keys = jax.random.split(jax.random.key(3), 5)
    dataset = sweep(lambda draw, x: jax.random.normal(draw) + x, draw=kind(keys), x=[0.0, 1.0])
    assert_array_equal(dataset["value"][:, 0], [jax.random.normal(key) for key in keys])


def test_integers_in_a_pytree_stay_integers():
    dataset = sweep(lambda steps: {"whole": steps["count"] // 2}, steps={"count": np.array([3, 5])})
    assert dataset.whole.values.tolist() == [1, 2]


# One compilation --------------------------------------------------------------------------------------------------------------


def test_a_sweep_compiles_as_often_for_many_points_as_for_few(caplog):
    def compilations(size):
        others = {"row": np.ones((3, 2)), "both": cj.zipped(y=[1.0, 2.0], z=[3.0, 4.0])}
        caplog.clear()
        with jax.log_compiles(), caplog.at_level(logging.WARNING):
            sweep(
                lambda key, x, row, y, z: x + row + y + z, x=np.arange(size), **others, key=key, seeds=2, batch_size=4
            )
        return sum("XLA compilation" in record.message for record in caplog.records)

    key = jax.random.key(0)
    compilations(50)  # also compiles what any sweep needs, such as the keys
    assert compilations(100) == compilations(1000) == 1


# Chunks -----------------------------------------------------------------------------------------------------------------------


@properties
@hypothesis.given(
    strategies.lists(strategies.integers(1, 7), max_size=3),
    strategies.integers(1, 5),
    strategies.integers(1, 40),
    strategies.integers(1, 6),
)
def test_every_point_and_seed_is_in_one_chunk(shape, seeds, points, together):
    layout = layout_of(tuple(shape), seeds, points, together)
    table = np.arange(int(np.prod(shape)) * seeds).reshape(*shape, seeds)
    times = np.zeros(table.shape, int)
    for chunk in range(layout.chunks):
        region = layout.region(chunk)
        times[region] += 1
        inside = table[region].reshape(-1, table[region].shape[-1]) // seeds
        assert (inside == np.array(layout.points(chunk))[:, None]).all()  # contiguous, in the order of the axes
        assert (table[region] % seeds == np.array(layout.seeds_of(chunk))).all()
        assert len(layout.points(chunk)) <= points
        assert len(layout.seeds_of(chunk)) <= together
    assert (times == 1).all()


@pytest.mark.parametrize("batch_size", [1, 3, 50])
def test_a_grid_of_any_shape_is_complete(batch_size):
    axes = {"a": np.arange(5.0), "b": np.arange(1.0), "c": np.arange(19.0), "d": np.arange(3.0)}
    dataset = sweep(lambda a, b, c, d: a * 1000 + b + c * 10 + d, **axes, batch_size=batch_size)
    a, b, c, d = np.meshgrid(*axes.values(), indexing="ij")
    assert_array_equal(dataset["value"], a * 1000 + b + c * 10 + d)


# Bad axes ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("axis", "words"),
    [
        (np.float64(2.0), "axis x is .*2.0.* at least one number"),
        (np.zeros((0, 3)), "axis x .* at least one number"),
        ({}, "axis x is {}"),
        ([True, False], "axis x .* number"),
        ({"a": [1.0, 2.0]}, "axis x .* one leading axis"),
        ({"a": np.ones(3), "b": np.ones((2, 2))}, r"axis x has leaves of shapes \[\(3,\), \(2, 2\)\]"),
        ([{"a": 1.0}, {"b": 1.0}], "axis x holds pytrees that do not stack"),
        ([{"a": np.ones(2)}, {"a": np.ones(3)}], "axis x holds pytrees that do not stack"),
        (cj.zipped(y=[1.0, 2.0], z=[1.0]), "zipped in axis x have lengths {'y': 2, 'z': 1}"),
        (cj.zipped(y=[]), "y of axis x .* at least one number"),
        (cj.zipped(y=[1.0], seed=[1.0]), "seed names two axes .* rename"),
        (cj.zipped(y=[1.0], other=[1.0]), "other names two axes"),
    ],
)
def test_an_axis_that_is_none_is_named(axis, words):
    with pytest.raises(ValueError, match=words):
        sweep(lambda **numbers: jnp.ones(()), x=axis, other=[1.0])


def test_zipped_needs_a_sequence():
    with pytest.raises(ValueError, match="zipped has no sequences"):
        cj.zipped()


@pytest.mark.parametrize(
    ("result", "axes", "name"),
    [
        ("x", {"x": [1.0]}, "x"),
        ("ridge", {"model": cj.zipped(ridge=[1.0], width=[2.0])}, "ridge"),
        ("model", {"model": cj.zipped(ridge=[1.0], width=[2.0])}, "model"),
        ("seed", {"x": [1.0]}, "seed"),
        ("seeds_used", {"x": [1.0]}, "seeds_used"),
    ],
)
def test_a_result_named_as_an_axis_is_refused(result, axes, name):
    with pytest.raises(ValueError, match=f"point returns {name}, .* rename"):
        sweep(lambda **numbers: {result: jnp.ones(())}, **axes)


def test_two_results_of_one_name_are_refused():
    with pytest.raises(ValueError, match=r"two leaves .* a_b"):
        sweep(lambda x: {"a": {"b": x}, "a_b": x}, x=[1.0])


def test_a_point_without_result_is_refused():
    with pytest.raises(ValueError, match="point returned None"):
        sweep(lambda x: None, x=[1.0])
