"""Strong model collapse on Gaussian data: what more samples and wider models do to a mixture with synthetic labels."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import collapse_jax as cj
from collapse_jax import plotting

ENDLESS = 1e15  # samples: where the error has reached its floor to ten digits
WITHIN = 0.1  # of the floor: closer than this, more data no longer helps
NOISE = 0.1  # standard deviation in real and in synthetic labels


class Size(NamedTuple):
    """How much to compute."""

    dim: int
    seeds: int
    points: int  # simulated along each axis
    fractions: tuple[float, ...]
    qualities: tuple[float, ...]


SIZES = {
    "laptop": Size(256, 16, 14, (0.0, 0.001, 0.01, 0.1, 0.5, 1.0), (0.0, 0.05, 0.25, 1.0)),
    "smoke": Size(48, 8, 5, (0.0, 0.01, 0.5, 1.0), (0.0, 0.25, 1.0)),
}


class Comparison(NamedTuple):
    """The two sides of an experiment: theory on a fine grid, experiments with a ``seed`` dimension on a part of it."""

    theory: xr.Dataset
    measured: xr.Dataset


class Agreement(NamedTuple):
    """How far the mean over experiments is from theory, over all points: worst and typical (root mean square) gaps."""

    points: int
    worst_percent: float
    typical_percent: float
    worst_errors: float  # in standard errors of the mean
    typical_errors: float
    where: dict[str, float]  # the point of the worst percentage


class Saturation(NamedTuple):
    """Where more data stops helping, at one synthetic fraction."""

    synthetic_fraction: float
    floor: float  # error with endless data
    stops_at: float  # the smallest n from which the error stays within 10 % of the floor
    real_alone: float  # real samples that reach the floor alone


def compare(
    theory: Callable[..., Any],
    experiment: Callable[..., Any],
    key: jax.Array,
    seeds: int,
    fine: dict[str, Any],
    **axes: Any,
) -> Comparison:
    """Sweep ``theory(**point)`` and ``experiment(key, **point)``.

    Args:
        theory: a function for :func:`collapse_jax.sweep`.
        experiment: the same with a key first.
        key: a ``jax.random.key``.
        seeds: repetitions of the experiment.
        fine: further values of some axes, for theory alone.
        **axes: one sequence of numbers a name.
    """
    lines: dict[str, Any] = axes | {name: np.union1d(axes[name], values) for name, values in fine.items()}
    return Comparison(
        cj.sweep(theory, **lines, progress=False),
        cj.sweep(experiment, key=key, seeds=seeds, **axes, progress=False),
    )


def agreement(comparison: Comparison, variable: str = "total") -> Agreement:
    """Compare the mean over seeds with theory at every experimental point."""
    mean, error = cj.mean_and_error(comparison.measured[[variable]])
    theory = comparison.theory[variable].sel({name: mean[name] for name in mean.dims})
    percent = 100 * (mean[variable] / theory - 1)
    errors = (mean[variable] - theory) / error[variable]
    worst = np.unravel_index(np.abs(percent.values).argmax(), percent.shape)
    return Agreement(
        percent.size,
        float(np.abs(percent).max()),
        float(np.sqrt((percent**2).mean())),
        float(np.abs(errors).max()),
        float(np.sqrt((errors**2).mean())),
        {str(name): float(percent[name][at]) for name, at in zip(percent.dims, worst, strict=True)},
    )


def saturations(total: Callable[[Any, Any], Any], fractions: Any, start: float) -> list[Saturation]:
    """Where more data stops helping at each synthetic fraction, by theory.

    Args:
        total: the test error as a traceable function of n and the synthetic fraction.
        fractions: synthetic fractions.
        start: the n from which to look. Beyond it the error must cross each level once, so it lies past a double descent that
            dips below the floor.

    Returns:
        One :class:`Saturation` a fraction. ``stops_at`` is the smallest n >= ``start`` at which the error is at most 1.1 times
        its floor; the floor is the error at n = 1e15.
    """
    columns = _saturation_columns(total, jnp.asarray(fractions, float), start)
    return [Saturation(*row) for row in zip(*(np.asarray(column).tolist() for column in columns), strict=True)]


@jax.jit(static_argnums=0)
def _saturation_columns(total: Callable[[Any, Any], Any], fractions: jax.Array, start: float) -> tuple[jax.Array, ...]:
    """Fractions, floors, stopping points, and real samples that reach the floor alone."""
    floors = jax.vmap(total, (None, 0))(ENDLESS, fractions)
    # Both questions in one bisection, which compiles once.
    mixed_then_real = jnp.concatenate([fractions, jnp.zeros_like(fractions)])
    levels = jnp.concatenate([(1 + WITHIN) * floors, floors])
    stops, alone = jnp.split(_first_below(jax.vmap(total), mixed_then_real, levels, start), 2)
    return fractions, floors, stops, alone


def _first_below(total: Callable[..., jax.Array], fractions: jax.Array, levels: jax.Array, start: Any) -> jax.Array:
    """Smallest n in [start, endless] where a falling error reaches the level, by bisection in log n."""
    low = jnp.full_like(levels, jnp.log(start))
    high = jnp.full_like(levels, jnp.log(ENDLESS))

    def halve(_: int, ends: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        low, high = ends
        middle = (low + high) / 2
        reached = total(jnp.exp(middle), fractions) <= levels
        return jnp.where(reached, low, middle), jnp.where(reached, middle, high)

    return jnp.exp(jax.lax.fori_loop(0, 60, halve, (low, high))[1])


class Samples(NamedTuple):
    """Test error of the linear model against n for several synthetic fractions."""

    comparison: Comparison
    saturations: list[Saturation]


SAMPLES_RIDGE = 1e-5
SAMPLES_QUALITY = 0.25


def samples(size: Size, seed: int) -> Samples:
    """Sweep the linear model over n = 1.5 d .. 1e9 and the synthetic fractions of ``size``."""
    mixture = gaussian_mixture(cj.spectra.power_law(size.dim), SAMPLES_QUALITY)

    def theory(n: Any, synthetic_fraction: Any) -> cj.Risk:
        return cj.theory.risk(mixture, cj.split(n, synthetic_fraction), SAMPLES_RIDGE)

    def experiment(key: jax.Array, n: Any, synthetic_fraction: Any) -> cj.Risk:
        return cj.simulate.risk(key, mixture, cj.split(n, synthetic_fraction), SAMPLES_RIDGE)

    first = 1.5 * size.dim
    comparison = compare(
        theory,
        experiment,
        jax.random.key(seed),
        size.seeds,
        fine={"n": np.geomspace(first, 1e9, 160)},
        n=np.geomspace(first, 1e9, size.points).round(),
        synthetic_fraction=size.fractions,
    )
    describe(
        comparison,
        setting="classical linear model on Gaussian inputs",
        ridge=SAMPLES_RIDGE,
        quality=SAMPLES_QUALITY,
        **_mixture_attributes(size),
    )
    return Samples(comparison, saturations(lambda n, p: theory(n, p).total, size.fractions, size.dim))


class Widths(NamedTuple):
    """Test error of random projections against the width for several qualities of the synthetic data."""

    comparison: Comparison
    best: list["BestWidth"]


class BestWidth(NamedTuple):
    """What a wider model costs, at one quality of the synthetic data."""

    quality: float
    width: float  # with the smallest error
    error: float
    widest: float  # error of the widest model drawn
    collapse: float  # the part of it that the synthetic labels add


WIDTHS_RIDGE = 0.01
WIDTHS_FRACTION = 0.5


def widths(size: Size, seed: int) -> Widths:
    """Sweep random projections over width = 4 .. 80 d and the qualities of ``size``, with fewer samples than directions."""
    n = 2 * round(size.dim / 2.4)  # even: the simulation rounds counts, and near n = d the error is sensitive to them

    spectrum = cj.spectra.power_law(size.dim)

    def theory(width: Any, quality: Any) -> cj.Risk:
        return cj.theory.risk(gaussian_mixture(spectrum, quality), cj.split(n, WIDTHS_FRACTION), WIDTHS_RIDGE, width)

    def experiment(key: jax.Array, width: Any, quality: Any) -> cj.Risk:
        return cj.simulate.risk(
            key, gaussian_mixture(spectrum, quality), cj.split(n, WIDTHS_FRACTION), WIDTHS_RIDGE, width
        )

    comparison = compare(
        theory,
        experiment,
        jax.random.key(seed),
        size.seeds,
        fine={"width": np.geomspace(4, 80 * size.dim, 160)},
        width=np.geomspace(4, 80 * size.dim, size.points).round(),
        quality=size.qualities,
    )
    describe(
        comparison,
        setting="random projections of Gaussian inputs",
        ridge=WIDTHS_RIDGE,
        n=n,
        synthetic_fraction=WIDTHS_FRACTION,
        **_mixture_attributes(size),
    )
    return Widths(comparison, [_best_width(comparison.theory.sel(quality=quality)) for quality in size.qualities])


def _best_width(curve: xr.Dataset) -> BestWidth:
    best = curve.isel(width=int(curve.total.values.argmin()))
    widest = curve.isel(width=-1)
    return BestWidth(*(float(v) for v in (curve.quality, best.width, best.total, widest.total, widest.collapse)))


def gaussian_mixture(spectrum: jax.Array, quality: Any) -> cj.Mixture:
    """Real and synthetic data with |w|^2 = 1 and ``c^2 = quality``, as in the experiments of *Strong Model Collapse*."""
    dim = spectrum.size
    return cj.real_and_synthetic(spectrum, 1 / dim, quality / dim / spectrum, NOISE, NOISE)


def _mixture_attributes(size: Size) -> dict[str, Any]:
    return {
        "dim": size.dim,
        "spectrum": f"power law, exponent 1, trace {size.dim}",
        "signal": "Gamma = I / d",
        "shift": "Delta = (c^2 / d) Sigma^-1",
        "noise": NOISE,
    }


def describe(comparison: Comparison, **attributes: Any) -> None:
    """Write what was computed into both datasets."""
    for dataset in comparison:
        dataset.attrs |= attributes


def draw(samples: Samples, widths: Widths) -> Figure:
    """Test error against n and against the width, side by side."""
    figure = Figure(figsize=(11, 4.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    plotting.curves(*samples.comparison, x="n", hue="synthetic_fraction", ax=left)
    mark_saturations(left, samples.saturations)
    left.set_title("More data: beyond ★ it stops helping")
    plotting.curves(*widths.comparison, x="width", hue="quality", ax=right)
    _stars(right, [(best.width, best.error) for best in widths.best])
    right.set_title("Wider models: beyond ★ they get worse")
    plain_ticks(right, (0.1, 0.2, 0.5, 1))
    return figure


def plain_ticks(axes: Axes, values: tuple[float, ...]) -> None:
    """Numbers that people read, where a logarithmic axis spans little more than a decade."""
    axes.set_yticks(values, [f"{value:g}" for value in values])
    axes.set_yticks([], minor=True)


def mark_saturations(axes: Axes, rows: list[Saturation]) -> None:
    """A star on each curve where more data stops helping, if that is in the picture."""
    left, right = axes.get_xlim()
    stars = [(row.stops_at, (1 + WITHIN) * row.floor) for row in rows if left < row.stops_at < right]
    _stars(axes, stars)


def _stars(axes: Axes, points: list[tuple[float, float]]) -> None:
    for point in points:
        axes.plot(*point, ls="none", marker="*", ms=14, mfc="gold", mec="black", mew=0.8, zorder=5)


def draw_decomposition(widths: Widths) -> Figure:
    """Bias, variance, collapse and their total against the width."""
    figure = Figure(figsize=(15, 3.8), layout="constrained")
    panels = figure.subplots(1, 4)
    plotting.decomposition(*widths.comparison, x="width", hue="quality", axes=panels)
    titles = (
        "a wider model misses less signal",
        "repeats more of the noise",
        "and more of the synthetic error",
        "the sum",
    )
    for panel, title in zip(panels, titles, strict=True):
        panel.set_title(title)
    legend = panels[3].get_legend()
    names = [text.get_text() for text in legend.get_texts()]
    panels[2].legend(
        legend.legend_handles, names, title="quality c²", fontsize="small", handlelength=3, loc="upper left"
    )
    legend.remove()
    plain_ticks(panels[3], (0.1, 0.2, 0.5, 1))
    return figure
