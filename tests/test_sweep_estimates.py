"""Seeds stop where a mean is known well enough, points go where a curve bends, and no summary hides a failure."""

import logging

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose, assert_array_equal

import collapse_jax as cj

KEY = jax.random.key(5)
SCALES = [0.01, 0.3, 5.0, 0.1, 0.6, 0.2, 1.0, 0.02]
TARGET = 0.05
RANDOM = {"key": KEY, "seeds": 300, "scale": SCALES, "relative_error": TARGET}


def noisy(key, scale):
    """Mean 1 and standard deviation ``scale``: some (scale / target)² seeds are enough."""
    return {"total": 1 + scale * jax.random.normal(key), "other": jax.random.normal(key)}


def sweep(point, **settings):
    return cj.sweep(point, **({"progress": False} | settings))


def relative(values):
    return values.std(ddof=1) / len(values) ** 0.5 / abs(values.mean())


# Seeds until a mean is known --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=[None, 24])
def estimated(request):
    return sweep(noisy, **RANDOM, batch_size=request.param)


def test_every_stopped_point_has_reached_its_target(estimated):
    stopped = 0
    for scale in SCALES:
        point = estimated.sel(scale=scale)
        used = int(point.seeds_used)
        if used < 300:
            assert relative(point.total.values[:used]) <= TARGET
            stopped += 1
    assert stopped >= 6


def test_no_point_goes_on_after_its_target(estimated):
    for scale in SCALES:
        point = estimated.sel(scale=scale)
        used = int(point.seeds_used)
        for earlier in range(8, used, 8):
            assert relative(point.total.values[:earlier]) > TARGET


def test_noisy_points_use_more_seeds_and_no_point_fewer_than_eight(estimated):
    used = estimated.seeds_used.sortby("scale").values
    assert (used[:3] == 8).all()
    assert (np.diff(used) >= 0).all()
    assert used[-1] == 300
    assert estimated.seeds_used.attrs["units"] == "seeds"


def test_used_seeds_are_those_of_the_plain_sweep_and_the_others_nan(estimated):
    plain = sweep(noisy, **(RANDOM | {"relative_error": None}))
    used = np.arange(300)[None, :] < estimated.seeds_used.values[:, None]
    for name in ("total", "other"):
        assert_allclose(estimated[name].values[used], plain[name].values[used], rtol=1e-13)
        assert np.isnan(estimated[name].values[~used]).all()


@pytest.mark.parametrize("seeds", [5, 20])
def test_a_point_out_of_reach_uses_every_seed(seeds):
    dataset = sweep(noisy, key=KEY, seeds=seeds, scale=[100.0], relative_error=1e-9)
    plain = sweep(noisy, key=KEY, seeds=seeds, scale=[100.0])
    assert dataset.seeds_used.values.tolist() == [seeds]
    assert_allclose(dataset.total, plain.total, rtol=1e-13)


@pytest.mark.parametrize(
    ("target", "used"),
    [
        (0.1, [8, 64]),  # total alone
        ({"loud": 0.1}, [64, 64]),
        ({"total": 10.0, "loud": 10.0}, [8, 8]),
        ({"total": 0.1, "loud": 10.0}, [8, 64]),
    ],
)
def test_the_target_is_of_the_total_or_of_what_is_named(target, used):
    def point(key, x):
        sign = jnp.where(jax.random.bernoulli(key), 1.0, -1.0)
        return {"total": 1 + x * sign, "loud": 1 + 3 * sign}

    assert sweep(point, key=KEY, seeds=64, x=[0.0, 3.0], relative_error=target).seeds_used.values.tolist() == used


def test_without_total_every_variable_must_reach_the_target():
    def point(key, x):
        draw = jax.random.normal(key)
        return {"quiet": 1 + 0 * draw, "rows": jnp.stack([jnp.ones(()), 1 + x * draw])}

    used = sweep(point, key=KEY, seeds=40, x=[0.0, 9.0], relative_error=0.01).seeds_used
    assert used.values.tolist() == [8, 40]


def test_integers_count_and_are_zero_where_unused():
    def point(key, x):
        return {"total": 1 + x * jax.random.normal(key), "whole": jnp.int32(3), "yes": jnp.bool_(True)}

    dataset = sweep(point, key=KEY, seeds=16, x=[0.0], relative_error=0.1)
    assert dataset.whole.values.tolist() == [[3] * 8 + [0] * 8]
    assert dataset.yes.values.tolist() == [[True] * 8 + [False] * 8]
    assert dataset.seeds_used.values.tolist() == [8]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_point_that_is_not_finite_settles(bad):
    def point(key, x):
        return {"total": jnp.where(x > 0, x + jax.random.normal(key), bad)}

    with pytest.warns(RuntimeWarning, match="8 of 48 values of total are not finite, the first at x=0, seed=0"):
        dataset = sweep(point, key=KEY, seeds=40, x=[0.0, 1e-9], relative_error=1e-6)
    assert dataset.seeds_used.values.tolist() == [8, 40]


# Mean, error, quantiles -------------------------------------------------------------------------------------------------------


def test_mean_and_error_are_of_the_seeds_used(estimated):
    mean, error = cj.mean_and_error(estimated)
    for scale in SCALES:
        point = estimated.sel(scale=scale)
        values = point.total.values[: int(point.seeds_used)]
        assert_allclose(mean.total.sel(scale=scale), values.mean(), rtol=1e-13)
        assert_allclose(error.total.sel(scale=scale), values.std(ddof=1) / len(values) ** 0.5, rtol=1e-12)
    assert "seeds_used" not in mean
    assert mean.total.attrs == estimated.total.attrs


def test_a_summary_is_of_the_seeds_used(estimated):
    table = cj.summary(estimated, quantiles=[0.1, 0.5])
    mean, error = cj.mean_and_error(estimated)
    assert table.statistic.values.tolist() == ["mean", "error", "quantile 0.1", "quantile 0.5"]
    assert_array_equal(table.total.sel(statistic="mean"), mean.total)
    assert_array_equal(table.total.sel(statistic="error"), error.total)
    for level in (0.1, 0.5):
        for scale in SCALES:
            point = estimated.sel(scale=scale)
            expected = np.quantile(point.total.values[: int(point.seeds_used)], level)
            assert_allclose(table.total.sel(statistic=f"quantile {level:g}", scale=scale), expected, rtol=1e-13)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("seeds", [[1], [0, 1, 2, 3]])
def test_no_statistic_hides_a_seed_that_is_not_finite(bad, seeds):
    values = np.arange(8.0).reshape(2, 4)
    values[1, seeds] = bad
    table = cj.summary(xr.Dataset({"total": (("x", "seed"), values)}))
    assert np.isfinite(table.total.values[:, 0]).all()
    assert not np.isfinite(table.total.values[:, 1]).any()


def test_a_seed_not_used_hides_nothing_and_one_used_is_not_hidden():
    values = np.array([[1.0, 3.0, np.nan], [1.0, np.nan, np.nan]])
    dataset = xr.Dataset({"total": (("x", "seed"), values), "seeds_used": ("x", [2, 2])})
    table = cj.summary(dataset, quantiles=[0.5])
    assert table.total.values[:, 0].tolist() == [2, 1, 2]
    assert np.isnan(table.total.values[:, 1]).all()


def test_a_point_that_was_not_worked_on_has_no_statistic(tmp_path):
    settings = RANDOM | {"seeds": 16, "batch_size": 1, "scale": np.linspace(0, 1, 40)}
    dataset = sweep(noisy, **settings, store=tmp_path / "store.zarr", part=(0, 2))
    done = dataset.seeds_used.values > 0
    assert 0 < done.sum() < 40
    assert_array_equal(np.isfinite(cj.summary(dataset).total.values), np.broadcast_to(done, (5, 40)))


def test_one_seed_has_no_error():
    mean, error = cj.mean_and_error(xr.Dataset({"total": ("seed", [2.0])}))
    assert float(mean.total) == 2
    assert np.isnan(error.total)


@pytest.mark.parametrize("levels", [[1.5], [-0.1]])
def test_quantiles_outside_zero_and_one_are_refused(levels):
    with pytest.raises(ValueError, match=r"quantiles is .* must lie in"):
        cj.summary(xr.Dataset({"total": ("seed", [2.0])}), quantiles=levels)


# Points where curves bend -----------------------------------------------------------------------------------------------------

DIM, N = 24, 8.0
MIXTURE = cj.real_and_synthetic(cj.spectra.power_law(DIM, 1.0), 1 / DIM, 0.2 / DIM, 0.3, 0.3)


def descent(width):
    return cj.theory.risk(MIXTURE, cj.split(N, 0.3), 1e-4, width)


def peak(x, at=3.0):
    return {"total": 1 + 1 / (0.01 + (x - at) ** 2)}


def test_points_gather_at_the_peak_of_double_descent():
    """It stands where the width meets the number of samples, and straight lines between even points miss it."""
    dense = sweep(descent, width=np.geomspace(1, 1000, 385)).total
    uniform = dense[::12]
    refined = sweep(descent, width=np.geomspace(1, 1000, 9), refine={"width": uniform.size}).total
    assert refined.size == uniform.size == 33

    def missed(curve):
        between = np.interp(np.log(dense.width), np.log(curve.width), np.log(curve))
        return np.abs(between - np.log(dense)).max()

    assert missed(refined) < missed(uniform) / 3
    assert_allclose(dense.width[dense.argmax("width")], N, rtol=0.05)
    near = [int((np.abs(np.log(curve.width / N)) < 0.5).sum()) for curve in (refined, uniform)]
    assert near[0] >= 3 * near[1]


def test_refining_keeps_every_point_that_was_there():
    x = np.linspace(1, 6, 7)
    plain, refined = sweep(peak, x=x), sweep(peak, x=x, refine={"x": 40})
    assert refined.sizes["x"] == 40
    assert (np.diff(refined.x) > 0).all()
    assert_array_equal(refined.total.sel(x=x), plain.total)
    assert_allclose(refined.total, peak(refined.x.values)["total"], rtol=1e-12)
    assert refined.attrs["refined"] == "x to 40 points"


@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [2, 0, 4, 1, 3]])
def test_refining_does_not_depend_on_the_order_of_the_points(order):
    x = np.linspace(1, 6, 5)
    refined = sweep(peak, x=x[order], refine={"x": 23})
    assert_array_equal(refined.x, sweep(peak, x=x, refine={"x": 23}).x)


def test_refining_follows_every_curve_of_the_other_axes():
    others = {"model": cj.zipped(at=[2.0, 5.0], rows=np.ones((2, 3)))}
    refined = sweep(
        lambda x, at, rows: peak(x, at)["total"] * rows[0], x=np.linspace(0, 7, 9), **others, refine={"x": 41}
    )
    assert refined["value"].shape == (41, 2)
    assert refined["at"].dims == ("model",)
    gaps = np.diff(refined.x)
    for summit in (2.0, 5.0):
        assert gaps[np.argmin(np.abs(refined.x.values[1:] - summit))] <= gaps.max() / 8


def test_refining_follows_the_mean_over_seeds():
    def point(key, x):
        return {"total": peak(x)["total"] * (1 + 0.1 * jax.random.normal(key))}

    x = np.linspace(0, 7, 9)
    for settings in ({"seeds": 3}, {"seeds": 20, "relative_error": 0.02}):
        refined = sweep(point, key=KEY, x=x, refine={"x": 21}, **settings)
        assert refined.total.shape == (21, settings["seeds"])
        assert_allclose(refined.total.sel(x=x), sweep(point, key=KEY, x=x, **settings).total, rtol=1e-13)


def test_a_constant_needs_no_more_points():
    assert sweep(lambda x: jnp.ones(()), x=[0.0, 1.0, 2.0], refine={"x": 50}).sizes["x"] == 3


def test_points_added_that_are_not_finite_are_counted():
    def point(x):
        return jnp.where(jnp.abs(x - 2.5) < 0.01, jnp.nan, x**2)

    with pytest.warns(RuntimeWarning, match=r"1 of 2 values of value are not finite, the first at x=2\.5"):
        refined = sweep(point, x=[1.0, 2.0, 3.0, 4.0], refine={"x": 6})
    assert refined.attrs["nonfinite_values"] == np.isnan(refined["value"]).sum() == 1
    assert "x=2.5" in refined.attrs["nonfinite"]


def test_refining_compiles_once(caplog):
    def compilations(total):
        caplog.clear()
        with jax.log_compiles(), caplog.at_level(logging.WARNING):
            sweep(lambda x: peak(x), x=np.linspace(1, 6, 7), refine={"x": total})
        return sum("XLA compilation" in record.message for record in caplog.records)

    assert compilations(8) == compilations(60) == 1


# Bad settings -----------------------------------------------------------------------------------------------------------------

MIXTURES = [MIXTURE, MIXTURE, MIXTURE]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"relative_error": 0.1}, "relative_error is given without seeds"),
        ({"relative_error": 0.0, "key": KEY, "seeds": 9}, "relative_error of total is 0.0; it must be a positive"),
        ({"relative_error": -1.0, "key": KEY, "seeds": 9}, "relative_error of total is -1.0"),
        ({"relative_error": np.nan, "key": KEY, "seeds": 9}, "relative_error of total is nan"),
        ({"relative_error": {"bias": 0.1}, "key": KEY, "seeds": 9}, "relative_error names 'bias'; point returns total"),
        ({"refine": {"y": 9}}, "refine names 'y'; it must be an axis of at least three numbers"),
        ({"refine": {"few": 9}}, "refine names 'few'"),
        ({"refine": {"both": 9}}, "refine names 'both'"),
        ({"refine": {"u": 9}}, "refine names 'u'"),
        ({"refine": {"mixture": 9}}, "refine names 'mixture'"),
        ({"refine": {"draw": 9}}, "refine names 'draw'"),
        ({"refine": {"x": 3}}, "refine asks for 3 points of x, which has 3"),
        ({"refine": {"x": 9, "few": 9}}, "refine names x, few; it must name one axis"),
        ({"refine": {"x": 9}, "store": "store.zarr"}, "refine does not go with a store"),
    ],
)
def test_settings_that_do_not_fit_are_named(settings, words):
    axes = {
        "x": [1.0, 2.0, 3.0],
        "few": [1.0, 2.0],
        "both": cj.zipped(u=[1.0, 2.0, 3.0], v=[1.0, 2.0, 3.0]),
        "mixture": MIXTURES,
        "draw": jax.random.split(KEY, 4),
    }
    with pytest.raises(ValueError, match=words):
        sweep(lambda *key, x, **others: {"total": x}, **axes, **settings)
