"""A sweep is a product of axes: labelled, in order, compiled once, and equal to a Python loop."""

import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import collapse_jax as cj

DIM = 8
SPECTRUM = cj.spectra.power_law(DIM, 1.0)
MIXTURE = cj.real_and_synthetic(SPECTRUM, 1 / DIM, 0.5 / DIM, 0.3, 0.7)
AXES = {"n": [5, 10, 40], "synthetic_fraction": [0.0, 0.5], "width": [3.0, 20.0]}
KEY = jax.random.key(7)


def exact(n, synthetic_fraction, width):
    return cj.theory.risk(MIXTURE, cj.split(n, synthetic_fraction), 0.1, width)


def simulated(key, n, synthetic_fraction, width):
    return cj.simulate.risk(key, MIXTURE, cj.split(n, synthetic_fraction), 0.1, width)


def sweep(point, **settings):
    return cj.sweep(point, **({"progress": False} | settings))


def test_dimensions_stand_in_the_order_given_with_their_values():
    def point(n, synthetic_fraction, width):
        return {"bias": n + 100 * synthetic_fraction * width}

    dataset = sweep(point, **AXES)
    assert list(dataset.sizes.items()) == [("n", 3), ("synthetic_fraction", 2), ("width", 2)]
    assert dataset.bias.dims == ("n", "synthetic_fraction", "width")
    for name, values in AXES.items():
        assert_array_equal(dataset[name], values)
    turned = sweep(point, **dict(reversed(AXES.items())))
    assert turned.bias.dims == ("width", "synthetic_fraction", "n")
    assert_array_equal(turned.bias.transpose(*dataset.bias.dims), dataset.bias)


def test_every_cell_is_the_point_at_its_labels():
    dataset = sweep(exact, **AXES)
    assert set(dataset.data_vars) == {"bias", "variance", "collapse", "total"}
    for values in itertools.product(*AXES.values()):
        numbers = dict(zip(AXES, values, strict=True))
        cell, risk = dataset.sel(numbers), exact(**numbers)
        for part in dataset.data_vars:
            assert_allclose(cell[part], getattr(risk, part), rtol=1e-12, atol=1e-17)


def test_every_seed_is_one_key_for_the_whole_grid():
    dataset, one = sweep(simulated, key=KEY, seeds=3, **AXES), jax.jit(simulated)
    assert list(dataset.sizes.items())[-1] == ("seed", 3)
    for seed, key in enumerate(jax.random.split(KEY, 3)):
        for values in itertools.product(*AXES.values()):
            numbers = dict(zip(AXES, values, strict=True))
            cell = dataset.total.sel(numbers | {"seed": seed})
            assert_allclose(cell, one(key, **numbers).total, rtol=1e-11)


@pytest.mark.parametrize(("point", "random"), [(exact, {}), (simulated, {"key": KEY, "seeds": 2})])
def test_results_do_not_depend_on_the_batch_size(point, random):
    one, many = (sweep(point, batch_size=batch_size, **random, **AXES) for batch_size in (1, 5))
    for part in one.data_vars:
        assert_allclose(many[part], one[part], rtol=1e-12, atol=1e-17)


def test_a_grid_larger_than_a_chunk_is_complete():
    """Thousands of points in batches of 7, the last chunk only partly used."""
    x = np.arange(1003.0)
    dataset = sweep(lambda x, y: x + 1000 * y, x=x, y=[0.0, 1.0, 2.0], batch_size=7)
    assert_array_equal(dataset["value"], x[:, None] + 1000 * np.arange(3.0)[None, :])


def test_the_point_is_compiled_once_however_large_the_grid():
    traces = []

    def point(x):
        traces.append(x)
        return x**2

    def count(size):
        traces.clear()
        sweep(point, x=np.arange(float(size)), batch_size=4)
        return len(traces)

    assert count(3) == count(1000) == 1


class Pair(NamedTuple):
    """Any pytree serves as a result."""

    mean: jax.Array
    rows: jax.Array


def test_any_pytree_is_a_result():
    def point(x):
        return {"pair": Pair(x, jnp.stack([x, 2 * x, 3 * x])), "other": (x, jnp.ones((2, 2)) * x)}

    dataset = sweep(point, x=[1.0, 2.0])
    assert {"pair_mean", "pair_rows", "other_0", "other_1"} == set(dataset.data_vars)
    assert dataset.pair_rows.dims[0] == "x"
    assert dataset.pair_rows.shape == (2, 3)
    assert dataset.other_1.shape == (2, 2, 2)
    assert_allclose(dataset.pair_rows, [[1, 2, 3], [2, 4, 6]])


def test_own_axes_of_a_result_follow_the_seeds():
    dataset = sweep(lambda key, x: x + jax.random.normal(key, (5,)), key=KEY, seeds=4, x=[0.0, 10.0])
    assert dataset["value"].dims[:2] == ("x", "seed")
    assert dataset["value"].shape == (2, 4, 5)
    assert_allclose(dataset["value"][1] - dataset["value"][0], 10, rtol=1e-14)


def test_integers_and_booleans_keep_their_kind():
    dataset = sweep(lambda x: {"large": x > 2, "floor": jnp.floor(x).astype(int)}, x=[1.5, 3.5])
    assert dataset.large.values.tolist() == [False, True]
    assert dataset.floor.values.tolist() == [1, 3]


def test_without_axes_there_is_one_point():
    assert float(sweep(lambda: jnp.asarray(3.0))["value"]) == 3
    assert sweep(lambda key: jax.random.normal(key), key=KEY, seeds=5)["value"].dims == ("seed",)


def test_attributes_say_how_it_was_made():
    attributes = sweep(lambda key, n: n, key=KEY, seeds=2, n=[1.0, 2.0]).attrs
    assert attributes["collapse_jax"] == cj.__version__
    assert attributes["jax"] == jax.__version__
    assert attributes["seeds"] == 2
    assert attributes["dtype"] == "float64"
    assert {"key", "device", "batch_size", "compile_seconds", "run_seconds"} <= set(attributes)


def test_a_dataset_survives_a_file(tmp_path):
    import xarray as xr

    dataset = sweep(lambda n, rows: {"total": n * rows}, n=[1, 2], rows=np.ones((3, 2)))
    dataset.to_netcdf(tmp_path / "risk.nc", engine="scipy")
    with xr.open_dataset(tmp_path / "risk.nc", engine="scipy") as again:
        xr.testing.assert_identical(again.load(), dataset)


def test_mean_and_error_are_over_seeds():
    dataset = sweep(lambda key, n: {"total": n + jax.random.uniform(key)}, key=KEY, seeds=6, n=[10, 20])
    mean, error = cj.mean_and_error(dataset)
    assert_allclose(mean.total, dataset.total.values.mean(-1))
    assert_allclose(error.total, dataset.total.values.std(-1, ddof=1) / 6**0.5)
    with pytest.raises(ValueError, match="seed"):
        cj.mean_and_error(mean)


# Progress ---------------------------------------------------------------------------------------------------------------------


def test_progress_is_told_after_every_chunk():
    told = []
    sweep(lambda x: x, x=np.arange(1000.0), batch_size=4, progress=told.append)
    done = [now.done for now in told]
    assert len(done) > 5
    assert (np.diff(done) > 0).all()
    assert done[-1] == 1000
    assert all(now.total == 1000 and now.memory > 0 and now.rate > 0 for now in told)
    assert (np.diff([now.seconds for now in told]) > 0).all()
    assert told[-1].seconds_left == 0 < told[0].seconds_left


def test_every_seed_of_a_point_counts_as_progress():
    told = []
    sweep(lambda key, x: x, key=KEY, seeds=3, x=np.arange(10.0), progress=told.append)
    assert (told[-1].done, told[-1].total) == (30, 30)


def test_nothing_is_printed_where_the_output_is_no_terminal(capfd):
    sweep(lambda x: x, x=[1.0, 2.0], progress=True)
    assert capfd.readouterr() == ("", "")


# Where results are not finite -------------------------------------------------------------------------------------------------


def _inverse(x, y):
    return {"good": x + y, "bad": y / x}


def test_a_result_that_is_not_finite_is_kept_and_warned_of():
    with pytest.warns(RuntimeWarning, match=r"1 of 3 values of bad are not finite, the first at x=0, y=5"):
        dataset = sweep(_inverse, x=[1.0, 0.0, 2.0], y=[5.0])
    assert np.isinf(dataset.bad.values).sum() == 1


def test_a_result_that_is_not_finite_raises_on_request():
    with pytest.raises(FloatingPointError, match=r"bad .* x=0"):
        sweep(_inverse, x=[1.0, 0.0], y=[4.0], on_nonfinite="raise")


def test_results_that_are_not_finite_are_counted_and_placed_by_seed_and_axis():
    def point(key, x, y, row):
        rows = jnp.stack([x, jnp.where(x * y > 3, jnp.nan, y)])
        return {"rows": rows + row.sum(), "fine": jax.random.uniform(key)}

    axes = {"x": [1.0, 2.0], "model": cj.zipped(y=[1.0, 2.0], row=np.ones((2, 3)))}
    where = r"2 of 16 values of rows are not finite, the first at x=2, y=2, row\[1\], seed=0; .*seed=1"
    with pytest.warns(RuntimeWarning, match=where) as warned:
        dataset = sweep(point, key=KEY, seeds=2, **axes)
    assert dataset.attrs["nonfinite_values"] == np.isnan(dataset.rows).sum() == 2
    assert "x=2, y=2, row[1], seed=0" in dataset.attrs["nonfinite"]
    assert warned[0].filename == __file__  # at the user's call, not within the library


def test_bad_points_are_nan_and_the_others_are_right():
    with pytest.warns(RuntimeWarning, match="synthetic_fraction=1.5"):
        dataset = sweep(exact, n=[10], synthetic_fraction=[0.5, 1.5], width=[3.0])
    assert np.isnan(dataset.total.values.ravel()).tolist() == [False, True]
    assert_allclose(dataset.total.values.ravel()[0], exact(10, 0.5, 3.0).total, rtol=1e-12)


# Bad input --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"x": []}, "axis x .* at least one number"),
        ({"x": 3.0}, "axis x is 3.0"),
        ({"x": [[1.0], [1.0, 2.0]]}, "axis x .* one shape"),
        ({"x": ["a"]}, "axis x is .*'a'.*number"),
        ({"x": [1.0], "seeds": 3}, "seeds is 3 without a key"),
        ({"x": [1.0], "key": KEY}, "key is given without seeds"),
        ({"x": [1.0], "key": KEY, "seeds": 0}, "seeds is 0"),
        ({"x": [1.0], "batch_size": 0}, "batch_size is 0"),
        ({"x": [1.0], "on_nonfinite": "ignore"}, "on_nonfinite is 'ignore'.*warn.*raise"),
        ({"x": [1.0], "part": (0, 2)}, r"part is \(0, 2\) without a store"),
        ({"x": [1.0], "part": (2, 2), "store": "s.zarr"}, r"part is \(2, 2\); it must be \(i, of\)"),
        ({"x": [1.0], "part": (-1, 2), "store": "s.zarr"}, r"part is \(-1, 2\); it must be \(i, of\)"),
        ({"x": [1.0], "part": 1, "store": "s.zarr"}, r"part is 1; it must be \(i, of\)"),
    ],
)
def test_wrong_settings_are_named(settings, words):
    with pytest.raises(ValueError, match=words):
        sweep(lambda *key, x: x, **settings)
