"""Pictures show what the datasets say: values, scales, labels; wrong requests say the way out."""

import matplotlib
import numpy as np
import pytest
import xarray as xr
from matplotlib.colors import LogNorm, to_rgb

import collapse_jax as cj
from collapse_jax import plotting
from collapse_jax.plotting import curves, decomposition, heat_map, pareto


def theory(**axes):
    """A made-up dataset in which every value says where it belongs."""
    axes = axes or {"n": [10, 100, 1000], "quality": [0.0, 0.5]}
    grids = np.meshgrid(*axes.values(), indexing="ij")
    total = sum(grid / 10**at for at, grid in enumerate(grids)) + 1
    parts = {"bias": 0.5, "variance": 0.3, "collapse": 0.2, "total": 1.0}
    return xr.Dataset({part: (tuple(axes), share * total) for part, share in parts.items()}, axes)


def simulated(dataset, seeds=4, **picked):
    noise = xr.DataArray(np.linspace(-1.0, 1.0, seeds), dims="seed")
    return dataset.sel(picked) + noise


def shown(axes):
    axes.figure.canvas.draw()
    return axes


def test_theory_is_lines_and_simulation_points_with_errors():
    exact = theory()
    axes = shown(curves(exact, simulated(exact, n=[10, 1000]), x="n", hue="quality"))
    lines = [line for line in axes.lines if line.get_linestyle() not in ("None", "none")]
    for line, quality in zip(lines, exact.quality.values, strict=True):
        np.testing.assert_allclose(line.get_xydata()[:, 1], exact.total.sel(quality=quality))
    for container, quality in zip(axes.containers, exact.quality.values, strict=True):
        points, _, (bars,) = container.lines
        np.testing.assert_allclose(points.get_xydata()[:, 0], [10, 1000])
        np.testing.assert_allclose(points.get_xydata()[:, 1], exact.total.sel(quality=quality, n=[10, 1000]))
        standard_error = np.std([-1, -1 / 3, 1 / 3, 1], ddof=1) / 2
        np.testing.assert_allclose([np.ptp(path[:, 1]) for path in bars.get_segments()], 2 * standard_error)


def test_curves_of_one_hue_share_their_colour_and_hues_differ_in_grey():
    exact = theory(n=[1, 2], quality=[0.0, 0.1, 0.5, 1.0])
    axes = curves(exact, simulated(exact, quality=[0.5]), x="n", hue="quality")
    lines = axes.lines[:4]
    assert to_rgb(axes.containers[0].lines[0].get_color()) == to_rgb(lines[2].get_color())
    grey = np.array([to_rgb(line.get_color()) for line in lines]) @ [0.299, 0.587, 0.114]
    assert np.diff(grey).min() > 0.08
    assert len({str(line.get_linestyle()) + str(line.is_dashed()) for line in lines}) == 4


@pytest.mark.parametrize(("values", "scale"), [([1, 10, 11], "log"), ([1, 10], "linear"), ([0, 100], "linear")])
def test_an_axis_over_more_than_a_decade_is_logarithmic(values, scale):
    axes = curves(theory(n=values), x="n")
    assert axes.get_xscale() == scale
    table = theory(n=values, width=[1, 2])
    assert heat_map(table, x="n", y="width").get_xscale() == scale
    assert heat_map(table, x="width", y="n").get_yscale() == scale


def test_labels_are_words_with_symbols_unless_the_dataset_says_otherwise():
    exact = theory(width=[1, 2], synthetic_fraction=[0.1, 0.2])
    axes = curves(exact, x="width", hue="synthetic_fraction")
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("width m", "test error")
    assert axes.get_legend().get_title().get_text() == "synthetic fraction p₂"
    exact.width.attrs["long_name"] = "neurons"
    assert curves(exact, x="width", hue="synthetic_fraction").get_xlabel() == "neurons"


def test_simulation_alone_and_a_single_seed_are_drawn():
    exact = theory(n=[1, 2])
    axes = shown(curves(None, simulated(exact, seeds=1), x="n"))
    np.testing.assert_allclose(axes.lines[0].get_xydata()[:, 1], exact.total - 1)


def test_values_that_are_not_finite_leave_a_gap():
    exact = theory(n=[1, 2, 3])
    exact.total[1] = np.inf
    axes = shown(curves(exact, x="n"))
    assert np.isnan(axes.lines[0].get_ydata()[1])
    assert np.isfinite(axes.get_ylim()).all()


def test_decomposition_draws_each_part_in_its_own_panel():
    exact = theory()
    panels = decomposition(exact, simulated(exact), x="n", hue="quality")
    for panel, part in zip(panels, ("bias", "variance", "collapse", "total"), strict=True):
        np.testing.assert_allclose(panel.lines[0].get_ydata(), exact[part].isel(quality=0))
        assert (panel.get_legend() is not None) == (part == "total")
    assert decomposition(exact, x="n", hue="quality", axes=panels.reshape(2, 2))[0] is panels[0]
    with pytest.raises(ValueError, match="axes holds 3 axes; it must hold 4"):
        decomposition(exact, x="n", hue="quality", axes=panels[:3])


def test_heat_map_puts_each_value_in_its_cell_and_labels_its_colours():
    table = theory(n=[1000, 10, 100], width=[1.0, 2.0])
    axes = shown(heat_map(table, x="n", y="width"))
    (mesh,) = axes.collections
    np.testing.assert_allclose(mesh.get_array(), table.total.sortby("n").transpose("width", "n"))
    assert isinstance(mesh.norm, LogNorm)
    np.testing.assert_allclose(mesh.get_coordinates()[0, :, 0], 10 ** np.array([0.5, 1.5, 2.5, 3.5]))
    assert axes.figure.axes[1].get_ylabel() == "test error"


def test_pareto_draws_every_point_and_one_frontier_a_hue():
    one, two = np.array([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]]), np.array([[3.0, 1.0, 2.0], [3.0, 2.0, 1.0]])
    dims = ("quality", "width")
    dataset = xr.Dataset({"one": (dims, one), "two": (dims, two)}, {"quality": [0.0, 1.0], "width": [1, 2, 4]})
    dataset = dataset.assign_coords(ratio=("width", [0.1, 0.2, 0.4]))
    axes = shown(pareto(dataset, x="one", y="two", colour="ratio", hue="quality"))
    scatters = [c for c in axes.collections if isinstance(c, matplotlib.collections.PathCollection)]
    assert [len(scatter.get_offsets()) for scatter in scatters] == [3, 3]
    np.testing.assert_allclose(scatters[1].get_array(), [0.1, 0.2, 0.4])
    frontiers = [line.get_xydata().tolist() for line in axes.lines if len(line.get_xdata())]
    assert frontiers == [[[1.0, 3.0], [2.0, 1.0]], [[1.0, 3.0], [2.0, 2.0], [3.0, 1.0]]]


def test_no_point_of_the_frontier_is_beaten():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 200)).round(1)
    best = plotting.frontier(x, y)
    beaten = [((x <= x[i]) & (y <= y[i]) & ((x < x[i]) | (y < y[i]))).any() for i in range(200)]
    assert {(x[i], y[i]) for i in best} == {(x[i], y[i]) for i in range(200) if not beaten[i]}


def test_real_sweeps_are_drawn():
    mixture = cj.real_and_synthetic(cj.spectra.isotropic(10), 0.1, 0.05, 0.1, 0.1)

    def point(n, synthetic_fraction):
        return cj.theory.risk(mixture, cj.split(n, synthetic_fraction), ridge=0.1)

    dataset = cj.sweep(point, n=[10, 1000], synthetic_fraction=[0.1, 0.5], progress=False)
    shown(decomposition(dataset, x="n", hue="synthetic_fraction")[0])
    shown(heat_map(dataset, x="n", y="synthetic_fraction"))
    shown(pareto(dataset, x="bias", y="collapse", colour="n", hue="synthetic_fraction"))


@pytest.mark.parametrize(
    ("error", "message", "draw"),
    [
        (KeyError, "variable is 'loss'; .* of theory, .*: bias", lambda d: curves(d, x="n", variable="loss")),
        (KeyError, "x is 'm'; it must be a dimension of theory, which has: n, quality", lambda d: curves(d, x="m")),
        (ValueError, r"left over: quality.*theory.sel\(quality=0\)", lambda d: curves(d, x="n")),
        (ValueError, "x and hue are both 'n'", lambda d: curves(d, x="n", hue="n")),
        (ValueError, "theory and simulated are both None", lambda d: curves(None, x="n")),
        (ValueError, "simulated has no seed dimension", lambda d: curves(d, d, x="n", hue="quality")),
        (ValueError, "theory has a seed dimension", lambda d: curves(simulated(d), x="n", hue="quality")),
        (
            ValueError,
            "simulated has quality=7, which theory does not: 0, 0.5",
            lambda d: curves(d, simulated(d).assign_coords(quality=[0.5, 7]), x="n", hue="quality"),
        ),
        (ValueError, r"left over: width\. Select", lambda d: heat_map(d.expand_dims(width=[1, 2]), x="n", y="quality")),
        (KeyError, "colour is 'psi'; it must be a coordinate", lambda d: pareto(d, x="bias", y="total", colour="psi")),
        (ValueError, "average first", lambda d: pareto(simulated(d), x="bias", y="total", colour="n")),
    ],
)  # fmt: skip
def test_wrong_requests_say_the_way_out(error, message, draw):
    with pytest.raises(error, match=message):
        draw(theory())
