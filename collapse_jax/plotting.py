"""A labelled dataset in, the picture people draw of it out.

Theory is drawn as lines, simulation as points with standard errors. Hues differ in colour, brightness, line style and marker,
so that pictures stay readable in grey. An axis is logarithmic where its values are positive and span more than a decade.

Axes are made without ``pyplot``: ``axes.figure`` shows in a notebook after ``%matplotlib inline``, and
``axes.figure.savefig(path)`` writes a file.
"""

from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from collapse_jax.names import LONG_NAMES
from collapse_jax.sweep import mean_and_error

PARTS = ("bias", "variance", "collapse", "total")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<")
LINES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (6, 1)), (0, (3, 1, 1, 1, 1, 1)), (0, (1, 1)), (0, (8, 2, 2, 2)))


def curves(
    theory: xr.Dataset | None,
    simulated: xr.Dataset | None = None,
    *,
    x: str,
    hue: str | None = None,
    variable: str = "total",
    ax: Axes | None = None,
    legend: bool = True,
) -> Axes:
    """Draw ``variable`` against ``x``: theory as lines, simulation as mean points with standard-error bars.

    Args:
        theory: a dataset with dimensions ``x`` and, if given, ``hue``; None where there is only simulation.
        simulated: a dataset with the same dimensions and ``seed``. Its grid may be coarser than that of the theory; its
            hues must be among the theory's.
        x: dimension along the horizontal axis.
        hue: dimension with one curve a value.
        variable: the variable to draw, such as "total", "bias", "variance" or "collapse".
        ax: axes to draw on; new ones by default.
        legend: whether to draw the legend.

    Returns:
        The axes.

    Raises:
        KeyError: for a variable or dimension that a dataset does not have.
        ValueError: for dimensions that are left over, hues that do not match, or no dataset at all.

    Example:
        >>> theory = xr.Dataset({"total": ("n", [1.0, 0.1, 0.01])}, {"n": [10, 100, 1000]})
        >>> axes = curves(theory, x="n")
        >>> axes.get_xlabel(), axes.get_xscale(), axes.get_ylabel()
        ('samples n', 'log', 'test error')
    """
    given = _given(theory, simulated)
    for name, dataset in given.items():
        _check(name, dataset, variables={"variable": variable}, dims={"x": x, "hue": hue})
    axes = _new_axes() if ax is None else ax
    reference = next(iter(given.values()))
    styles = _styles(reference, hue)
    if theory is not None:
        for value, style in styles.items():
            _line(axes, _select(theory, hue, value), x, variable, style)
    if simulated is not None:
        _points(axes, simulated, x, hue, variable, styles)
    _finish(axes, reference, x, variable)
    if legend and (hue is not None or len(given) > 1):
        _legend(axes, given, hue, styles)
    return axes


def measured(dataset: xr.Dataset, *, x: str, hue: str, ax: Axes, variable: str = "total") -> Axes:
    """Draw measurements that have no theory: means joined by lines, points with standard-error bars, the legend below.

    Args:
        dataset: with dimensions ``x``, ``hue`` and ``seed``.
        x: dimension along the horizontal axis, and ``hue`` with one curve a value.
        ax: axes to draw on.
        variable: what to draw.

    Example:
        >>> from matplotlib.figure import Figure
        >>> found = xr.Dataset({"total": (("n", "p", "seed"), np.ones((2, 1, 2)))}, {"n": [1, 2], "p": [0.0]})
        >>> measured(found, x="n", hue="p", ax=Figure().subplots()).get_legend().get_texts()[-1].get_text()
        'measured, 2 seeds'
    """
    curves(mean_and_error(dataset[[variable]])[0], dataset[[variable]], x=x, hue=hue, variable=variable, ax=ax)
    seeds = dataset.sizes["seed"]
    legend_below(ax, "their mean", f"measured, {seeds} seed{'s' * (seeds > 1)}")
    return ax


def legend_below(ax: Axes, *names: str) -> None:
    """Move the legend below its axes, and call its last entries by these names.

    Example:
        >>> axes = curves(xr.Dataset({"total": (("n", "p"), [[1.0], [0.1]])}, {"n": [1, 2], "p": [0.0]}), x="n", hue="p")
        >>> legend_below(axes, "no synthetic data")
        >>> axes.get_legend().get_texts()[0].get_text()
        'no synthetic data'
    """
    legend = ax.get_legend()
    assert legend is not None
    known = [text.get_text() for text in legend.get_texts()]
    handles = [handle for handle in legend.legend_handles if handle is not None]
    below = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.16), "ncols": 4, "fontsize": "small"}
    title = legend.get_title().get_text()
    ax.legend(handles, [*known[: len(known) - len(names)], *names], title=title, title_fontsize="small", **below)


def decomposition(
    theory: xr.Dataset | None,
    simulated: xr.Dataset | None = None,
    *,
    x: str,
    hue: str | None = None,
    axes: Any = None,
    legend: bool = True,
) -> np.ndarray:
    """Draw bias, variance, collapse and their total against ``x``, one panel each.

    Args:
        theory: as for :func:`curves`.
        simulated: as for :func:`curves`.
        x: dimension along the horizontal axes.
        hue: dimension with one curve a value.
        axes: four axes to draw on, in any array; a new row by default.
        legend: whether to draw one legend, in the last panel.

    Returns:
        (4,) array of axes: bias, variance, collapse, total.

    Raises:
        KeyError: as :func:`curves`.
        ValueError: as :func:`curves`, and for axes that are not four.

    Example:
        >>> theory = xr.Dataset({name: ("width", [2.0, 1.0]) for name in PARTS}, {"width": [1, 5]})
        >>> [panel.get_ylabel() for panel in decomposition(theory, x="width")]
        ['bias B', 'variance V', 'collapse ζ', 'test error']
    """
    panels = np.ravel(Figure(figsize=(14, 3.6), layout="constrained").subplots(1, 4) if axes is None else axes)
    if panels.size != len(PARTS):
        raise ValueError(f"axes holds {panels.size} axes; it must hold 4: bias, variance, collapse, total")
    for panel, part in zip(panels, PARTS, strict=True):
        curves(theory, simulated, x=x, hue=hue, variable=part, ax=panel, legend=legend and part == PARTS[-1])
    return panels


def heat_map(dataset: xr.Dataset, *, x: str, y: str, variable: str = "total", ax: Axes | None = None) -> Axes:
    """Draw ``variable`` as a colour over the plane of two dimensions, with a labelled colour bar.

    Args:
        dataset: a dataset with exactly the dimensions ``x`` and ``y``.
        x: dimension along the horizontal axis.
        y: dimension along the vertical axis.
        variable: the variable to draw. Values that are not finite stay blank.
        ax: axes to draw on; new ones by default.

    Raises:
        KeyError: for a variable or dimension that the dataset does not have.
        ValueError: for dimensions that are left over.

    Example:
        >>> coordinates = {"n": [1, 10, 100], "width": [1, 2]}
        >>> axes = heat_map(xr.Dataset({"total": (("n", "width"), np.ones((3, 2)))}, coordinates), x="n", y="width")
        >>> axes.get_xscale(), axes.get_yscale()
        ('log', 'linear')
    """
    _check("dataset", dataset, variables={"variable": variable}, dims={"x": x, "y": y})
    axes = _new_axes() if ax is None else ax
    table = dataset[variable].transpose(y, x).sortby([y, x])
    values = np.ma.masked_invalid(table.values)
    edges = [_edges(table[name].values) for name in (x, y)]
    mesh = axes.pcolormesh(*edges, values, cmap="viridis", norm=_norm(values.compressed()), rasterized=True)
    _scale(axes.set_xscale, table[x].values)
    _scale(axes.set_yscale, table[y].values)
    axes.set_xlabel(label(dataset, x))
    axes.set_ylabel(label(dataset, y))
    axes.figure.colorbar(mesh, ax=axes, label=label(dataset, variable))
    return axes


def pareto(
    dataset: xr.Dataset,
    *,
    x: str,
    y: str,
    colour: str,
    hue: str | None = None,
    ax: Axes | None = None,
    legend: bool = True,
    colour_bar: bool = True,
) -> Axes:
    """Scatter variable ``y`` against variable ``x``, with the frontier of points that no other beats in both.

    Args:
        dataset: a dataset with both variables. Every point of its grid is drawn, whatever its dimensions.
        x: variable along the horizontal axis; smaller is better.
        y: variable along the vertical axis; smaller is better.
        colour: coordinate that colours the points.
        hue: dimension with one marker and one frontier (a black line) a value.
        ax: axes to draw on; new ones by default.
        legend: whether to draw the legend of hues.
        colour_bar: whether to draw the colour bar.

    Raises:
        KeyError: for a variable, coordinate or dimension that the dataset does not have.
        ValueError: for a dataset over seeds: the frontier of single draws would pick lucky ones.

    Example:
        >>> variables = {"one": ("width", [1.0, 2.0, 3.0]), "two": ("width", [3.0, 1.0, 2.0])}
        >>> axes = pareto(xr.Dataset(variables, {"width": [10, 20, 30]}), x="one", y="two", colour="width")
        >>> axes.lines[0].get_xydata().tolist()
        [[1.0, 3.0], [2.0, 1.0]]
    """
    _check("dataset", dataset, variables={"x": x, "y": y}, dims={"hue": hue}, left_over=True)
    _coordinate("dataset", dataset, "colour", colour)
    if "seed" in dataset.dims:
        raise ValueError("dataset has a seed dimension; average first: cj.mean_and_error(dataset)[0]")
    axes = _new_axes() if ax is None else ax
    norm = _norm(dataset[colour].values)
    for value, style in _styles(dataset, hue).items():
        table = xr.broadcast(_select(dataset, hue, value)[[x, y]], dataset[colour])[0]
        across, up = (table[name].values.ravel() for name in (x, y))
        shade = xr.broadcast(dataset[colour], table[x])[0].transpose(*table[x].dims).values.ravel()
        axes.scatter(across, up, c=shade, norm=norm, cmap="viridis", marker=style.marker, s=26, alpha=0.9, lw=0)
        best = frontier(across, up)
        ring = {"marker": style.marker, "mfc": "none", "mec": "black", "ms": 6}
        axes.plot(across[best], up[best], color="black", linestyle=style.line, lw=1.3, zorder=3, **ring)
        # The marker's shape is the key to the hue; its colour is not, so the legend shows it in grey.
        if hue is not None:
            axes.add_line(_sample(style, _number(value), color="black", mfc="grey", mec="none"))
    _scale(axes.set_xscale, dataset[x].values)
    _scale(axes.set_yscale, dataset[y].values)
    axes.set_xlabel(label(dataset, x))
    axes.set_ylabel(label(dataset, y))
    if colour_bar:
        axes.figure.colorbar(ScalarMappable(norm, "viridis"), ax=axes, label=label(dataset, colour))
    if legend and hue is not None:
        axes.legend(title=label(dataset, hue), fontsize="small", title_fontsize="small", handlelength=3)
    return axes


def frontier(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Indices of the points that no other point matches or beats in both ``x`` and ``y``, by increasing ``x``.

    Example:
        >>> frontier(np.array([3.0, 1.0, 2.0, 2.5]), np.array([0.5, 2.0, 1.0, 1.5])).tolist()
        [1, 2, 0]
    """
    order = np.lexsort((y, x))
    order = order[np.isfinite(x[order]) & np.isfinite(y[order])]
    before = np.minimum.accumulate(np.concatenate([[np.inf], y[order]]))[:-1]
    return order[y[order] < before]


def label(dataset: xr.Dataset, name: str) -> str:
    """What an axis calls ``name``: its attribute ``long_name``, or the words and symbol that the library uses.

    Example:
        >>> label(xr.Dataset(coords={"width": [1, 2]}), "width")
        'width m'
    """
    return dataset[name].attrs.get("long_name", LONG_NAMES.get(name, name.replace("_", " ")))


class _Style(NamedTuple):
    """How one hue looks."""

    colour: Any
    line: Any
    marker: str


def _styles(dataset: xr.Dataset, hue: str | None) -> dict[Hashable, _Style]:
    """A style for each value of the hue, or for None without one."""
    values = [None] if hue is None else dataset[hue].values.tolist()
    # The bright end of the map fades on white paper.
    colours = matplotlib.colormaps["viridis"](np.linspace(0, 0.8, len(values)))
    return {
        value: _Style(colour, LINES[i % len(LINES)], MARKERS[i % len(MARKERS)])
        for i, (value, colour) in enumerate(zip(values, colours, strict=True))
    }


def _given(theory: xr.Dataset | None, simulated: xr.Dataset | None) -> dict[str, xr.Dataset]:
    given = {"theory": theory, "simulated": simulated}
    given = {name: dataset for name, dataset in given.items() if dataset is not None}
    if not given:
        raise ValueError("theory and simulated are both None; pass a dataset from cj.sweep")
    return given


def _check(
    name: str,
    dataset: xr.Dataset,
    *,
    variables: dict[str, str],
    dims: dict[str, str | None],
    left_over: bool = False,
) -> None:
    """Raise unless the dataset has these variables over exactly these dimensions (and seeds, if simulated)."""
    for argument, variable in variables.items():
        if variable not in dataset.data_vars:
            known = ", ".join(map(str, dataset.data_vars)) or "none"
            raise KeyError(f"{argument} is {variable!r}; it must be a variable of {name}, which has: {known}")
    wanted = {argument: dim for argument, dim in dims.items() if dim is not None}
    for argument, dim in wanted.items():
        if dim not in dataset.dims:
            known = ", ".join(map(str, dataset.dims)) or "none"
            raise KeyError(f"{argument} is {dim!r}; it must be a dimension of {name}, which has: {known}")
        _coordinate(name, dataset, argument, dim)
    if len(set(wanted.values())) < len(wanted):
        raise ValueError(f"{' and '.join(wanted)} are both {next(iter(wanted.values()))!r}; they must differ")
    if name == "simulated" and "seed" not in dataset.dims:
        raise ValueError(
            "simulated has no seed dimension; make one with cj.sweep(..., key=, seeds=), or pass it as theory"
        )
    if not left_over:
        _nothing_left(name, dataset, next(iter(variables.values())), set(wanted.values()))


def _nothing_left(name: str, dataset: xr.Dataset, variable: str, dims: set[str]) -> None:
    if name == "simulated":
        dims = dims | {"seed"}
    extra = [dim for dim in dataset[variable].dims if dim not in dims]
    if not extra:
        return
    if extra == ["seed"]:
        raise ValueError(
            f"{name} has a seed dimension; pass it as simulated=, or average it: cj.mean_and_error({name})[0]"
        )
    choices = ", ".join(f"{dim}={_number(dataset[dim].values[0])}" for dim in extra)
    otherwise = "" if name == "dataset" else ", or draw one of them as hue"
    raise ValueError(
        f"{name} has dimensions left over: {', '.join(map(str, extra))}. "
        f"Select one value of each, such as {name}.sel({choices}){otherwise}"
    )


def _coordinate(name: str, dataset: xr.Dataset, argument: str, coordinate: str) -> None:
    if coordinate not in dataset.coords:
        known = ", ".join(map(str, dataset.coords)) or "none"
        raise KeyError(f"{argument} is {coordinate!r}; it must be a coordinate of {name}, which has: {known}")


def _new_axes() -> Axes:
    return Figure(figsize=(6, 4.2), layout="constrained").subplots()


def _select(dataset: xr.Dataset, hue: str | None, value: Hashable) -> xr.Dataset:
    return dataset.sel({hue: value}) if hue in dataset.dims else dataset


def _line(axes: Axes, dataset: xr.Dataset, x: str, variable: str, style: _Style) -> None:
    table = dataset[variable].sortby(x)
    values = np.where(np.isfinite(table.values), table.values, np.nan)
    axes.plot(table[x].values, values, color=style.colour, linestyle=style.line, lw=1.6)


def _points(
    axes: Axes, simulated: xr.Dataset, x: str, hue: str | None, variable: str, styles: dict[Hashable, _Style]
) -> None:
    one = simulated.sizes["seed"] == 1
    mean, error = (simulated.isel(seed=0), None) if one else mean_and_error(simulated[[variable]])
    for value in [None] if hue is None else simulated[hue].values.tolist():
        style = styles[_matching(hue, value, styles)]
        at = _select(mean, hue, value)[variable]
        bars = None if error is None else _select(error, hue, value)[variable].values
        axes.errorbar(
            simulated[x].values,
            at.values,
            yerr=bars,
            fmt=style.marker,
            ms=4.5,
            capsize=2,
            lw=1,
            color=style.colour,
            zorder=3,
        )


def _matching(hue: str | None, value: Any, styles: dict[Hashable, _Style]) -> Hashable:
    """The theory's hue that this simulated one is, within rounding."""
    for known in styles:
        same = known == value
        if not same and isinstance(value, int | float) and isinstance(known, int | float):
            same = bool(np.isclose(known, value, rtol=1e-9, atol=0))
        if same:
            return known
    raise ValueError(
        f"simulated has {hue}={_number(value)}, which theory does not: {', '.join(map(_number, styles))}. "
        f"Sweep both over the same values of {hue}"
    )


def _legend(axes: Axes, given: dict[str, xr.Dataset], hue: str | None, styles: dict[Hashable, _Style]) -> None:
    marked, lined = "simulated" in given, "theory" in given
    handles: list[Any] = []
    if hue is not None:
        hidden = ({} if marked else {"marker": "none"}) | ({} if lined else {"linestyle": "none"})
        handles += [_sample(style, _number(value), color=style.colour, **hidden) for value, style in styles.items()]
    if marked and lined:
        handles.append(Line2D([], [], color="black", lw=1.6, label="theory"))
        name = f"simulation, {given['simulated'].sizes['seed']} seeds"
        handles.append(Line2D([], [], color="black", linestyle="none", marker="o", ms=4.5, label=name))
    title = None if hue is None else label(next(iter(given.values())), hue)
    axes.legend(handles=handles, title=title, fontsize="small", title_fontsize="small", handlelength=3)


def _sample(style: _Style, name: str, **look: Any) -> Line2D:
    """What a legend shows of a style."""
    return Line2D(
        [], [], **({"linestyle": style.line, "marker": style.marker, "ms": 4.5, "lw": 1.6, "label": name} | look)
    )


def _finish(axes: Axes, dataset: xr.Dataset, x: str, variable: str) -> None:
    _scale(axes.set_xscale, dataset[x].values)
    _scale(axes.set_yscale, dataset[variable].values)
    axes.set_xlabel(label(dataset, x))
    axes.set_ylabel(label(dataset, variable))
    axes.grid(alpha=0.25, lw=0.6)


def _scale(setter: Callable[..., Any], values: Any) -> None:
    setter("log" if _spans_decade(values) else "linear")


def _spans_decade(values: Any) -> bool:
    """Whether values are positive and more than a factor ten apart."""
    values = np.asarray(values)
    if not np.issubdtype(values.dtype, np.number):
        return False
    values = values[np.isfinite(values)]
    return bool(values.size and values.min() > 0 and values.max() > 10 * values.min())


def _norm(values: np.ndarray) -> Normalize:
    if not values.size:
        return Normalize()
    kind = LogNorm if _spans_decade(values) else Normalize
    return kind(values.min(), values.max())


def _edges(values: np.ndarray) -> np.ndarray:
    """Boundaries of the cells around sorted values, halfway between neighbours on the axis' own scale."""
    log = _spans_decade(values)
    values = np.log(values) if log else values.astype(float)
    gaps = np.diff(values) if values.size > 1 else np.ones(1)
    middles = values[:-1] + gaps[: values.size - 1] / 2
    edges = np.concatenate([[values[0] - gaps[0] / 2], middles, [values[-1] + gaps[-1] / 2]])
    return np.exp(edges) if log else edges


def _number(value: Any) -> str:
    return f"{value:g}" if isinstance(value, int | float | np.number) else str(value)
