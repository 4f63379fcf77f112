"""The theoretical figures of *Strong Model Collapse* (Dohmatob, Feng, Subramonian, Kempe; arXiv 2410.04840v2).

Lines are the exact theory, with the errata of ``docs/errata.md`` corrected; points are exact simulations in the dimension of
the paper, means over independent designs with standard errors. A simulation shares its random numbers along a curve, and is
an expectation over label functions and label noise, so it scatters less than the single runs of the print.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Picture
from matplotlib.lines import Line2D
from matplotlib.ticker import ScalarFormatter

import collapse_jax as cj
from collapse_jax import plotting
from collapse_jax.figures.figure import Datasets, Figure, is_full, shared_legend

RIDGE = 1e-8
QUALITIES = (0.0, 0.1, 0.5, 1.0)
DIM, SAMPLES, SYNTHETIC, NOISE = 600, 500, 200, 0.1  # Appendix A.1

APPENDIX = (
    "Random projections to m features, d = 600; covariance eigenvalues proportional to 1/j with sum d; Gamma = I/d; "
    "Delta = (c^2/d) Sigma^-1; label noise 0.1 in both sources; ridge 1e-8."
)
TRACE = (
    "Deviations: the eigenvalues sum to d, where Appendix A.1 prints 1, which would make the bias 600 times smaller than drawn."
    " Points are expected over label functions and noise, 6 designs, where the print draws 5 runs of all. No point lies on "
    "the threshold m = n itself, and axes end below the peak there."
)


# What the figures share ------------------------------------------------------------------------------------------------------


def _shrunk(full: bool, *values: int) -> list[int]:
    """Dimensions and counts as in the paper, or a tenth of each: the theory depends little on a common factor."""
    return [value if full else value // 10 for value in values]


def _simulate(
    full: bool,
    seed: int,
    qualities: Sequence[float],
    point: Callable[..., cj.Risk],
    **axes: Any,
) -> xr.Dataset:
    """Simulations at c^2 = 1 for all qualities: the collapse is proportional to c^2, and nothing else depends on it."""
    dataset = cj.sweep(point, key=jax.random.key(seed), seeds=6 if full else 24, **axes)
    quality = xr.DataArray(list(qualities), {"quality": list(qualities)}, ["quality"])
    collapse = dataset.collapse * quality
    return xr.broadcast(dataset.assign(collapse=collapse, total=dataset.bias + dataset.variance + collapse))[0]


def _plain_ticks(axes: Axes, ticks: Sequence[float], which: str = "y") -> None:
    axis = axes.yaxis if which == "y" else axes.xaxis
    axis.set_ticks(ticks)
    axis.set_ticks([], minor=True)
    axis.set_major_formatter(ScalarFormatter())


# Random projections: Figures 1, 2, 4 and 5 -----------------------------------------------------------------------------------


def projections(dim: int, quality: Any) -> cj.Mixture:
    """The data of Appendix A.1: eigenvalues proportional to 1/j with trace d, ``Gamma = I/d``, ``Delta = (c^2/d) Sigma^-1``.

    Example:
        >>> mixture = projections(10, quality=0.5)
        >>> _, shifts = mixture.shift_moments()
        >>> round(float((mixture.spectra[0] * shifts[1, 1]).sum()), 6)
        0.5
    """
    spectrum = cj.spectra.power_law(dim)
    return cj.real_and_synthetic(spectrum, 1 / dim, quality / dim / spectrum, NOISE, NOISE)


def _theory_widths(full: bool, samples: int) -> np.ndarray:
    """Widths up to 2n, closer around the interpolation threshold, where the curves bend; those of the simulation among them."""
    near = samples * (1 + np.linspace(-0.2, 0.2, 81 if full else 9))
    coarse = samples * np.linspace(0.01, 2, 150 if full else 12)
    return np.unique(np.concatenate([coarse, near, _simulated_widths(full, samples)]).round(6))


def _simulated_widths(full: bool, samples: int) -> np.ndarray:
    """Widths off the threshold itself, where the error of one design has no mean."""
    factors = [0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.1, 1.2, 1.3, 1.4, 1.6, 1.8, 2.0]
    return np.round(samples * np.array(factors if full else [0.2, 0.6, 1.6]))


def _threshold(axes: Axes, samples: float) -> None:
    axes.axvline(samples, color="grey", lw=0.8, ls=(0, (1, 2)), zorder=0)
    axes.set(xscale="linear", xlim=(0, 2.03 * samples))


def _widths(size: str, seed: int) -> Datasets:
    """Error against width for each quality."""
    full = is_full(size)
    dim, samples, synthetic = _shrunk(full, DIM, SAMPLES, SYNTHETIC)
    counts = [samples - synthetic, synthetic]

    def theory(quality: Any, width: Any) -> cj.Risk:
        return cj.theory.risk(projections(dim, quality), counts, RIDGE, width)

    def simulated(key: jax.Array, width: Any) -> cj.Risk:
        return cj.simulate.risk(key, projections(dim, 1.0), counts, RIDGE, width)

    return {
        "theory": cj.sweep(theory, quality=QUALITIES, width=_theory_widths(full, samples)),
        "simulated": _simulate(full, seed, QUALITIES, simulated, width=_simulated_widths(full, samples)),
    }


def _samples(datasets: Datasets) -> float:
    """The total count behind :func:`_widths`, whose grid ends at twice of it."""
    return float(datasets["theory"].width.max()) / 2


def _draw_2(datasets: Datasets) -> Picture:
    picture = Picture(figsize=(13, 4.1), layout="constrained")
    axes = picture.subplots(1, 4)
    theory, simulated = datasets["theory"], datasets["simulated"]
    for panel, part in zip(axes, plotting.PARTS, strict=True):
        # Bias and variance are the same for every quality.
        few = slice(1) if part in ("bias", "variance") else slice(None)
        one, points = theory.isel(quality=few), simulated.isel(quality=few)
        plotting.curves(one, points, x="width", hue="quality", variable=part, ax=panel, legend=panel is axes[-1])
    for panel, top in zip(axes, (1.0, 0.6, 5.0, 6.0), strict=True):
        panel.set_yscale("linear")
        panel.set_ylim(-0.02 * top, top)
        _threshold(panel, _samples(datasets))
    shared_legend(picture, axes[-1], 6)
    return picture


def best_width(theory: xr.Dataset, below: float) -> xr.Dataset:
    """The width with the smallest ``total`` among those less than ``below``, and that error, for each quality."""
    under = theory[["total"]].sel(width=theory.width < below)
    return under.isel(width=under.total.argmin("width")).reset_coords("width")


def _draw_5(datasets: Datasets) -> Picture:
    picture = Picture(figsize=(7.5, 4.8), layout="constrained")
    axes = picture.subplots()
    plotting.curves(datasets["theory"], datasets["simulated"], x="width", hue="quality", ax=axes)
    best = best_width(datasets["theory"], _samples(datasets))
    axes.plot(best.width, best.total, ls="none", marker="*", ms=12, mfc="white", mec="black", zorder=4)
    axes.set_ylim(0.1, 30)
    _plain_ticks(axes, [0.1, 0.2, 0.5, 1, 2, 5, 10, 20])
    _threshold(axes, _samples(datasets))
    return picture


def _fractions(size: str, seed: int) -> Datasets:
    """Error against width for each fraction and quality."""
    full = is_full(size)
    dim, samples = _shrunk(full, DIM, SAMPLES)
    fractions = [0.02, 0.1, 0.2, 0.4, 0.6, 0.8] if full else [0.1, 0.8]

    def theory(quality: Any, synthetic_fraction: Any, width: Any) -> cj.Risk:
        return cj.theory.risk(projections(dim, quality), cj.split(samples, synthetic_fraction), RIDGE, width)

    def simulated(key: jax.Array, synthetic_fraction: Any, width: Any) -> cj.Risk:
        return cj.simulate.risk(key, projections(dim, 1.0), cj.split(samples, synthetic_fraction), RIDGE, width)

    widths, few = _theory_widths(full, samples), _simulated_widths(full, samples)
    return {
        "theory": cj.sweep(theory, quality=QUALITIES, synthetic_fraction=fractions, width=widths),
        "simulated": _simulate(
            full, seed, QUALITIES, simulated, synthetic_fraction=fractions, width=few[2::2] if full else few
        ),
    }


def _draw_4(datasets: Datasets) -> Picture:
    picture = Picture(figsize=(13, 4.2), layout="constrained")
    axes = picture.subplots(1, 4, sharey=True)
    for panel, quality in zip(axes, datasets["theory"].quality.values, strict=True):
        one = {name: dataset.sel(quality=quality) for name, dataset in datasets.items()}
        plotting.curves(one["theory"], one["simulated"], x="width", hue="synthetic_fraction", ax=panel)
        panel.set(title=f"quality c² = {quality:g}", ylim=(0.1, 30))
        _plain_ticks(panel, [0.1, 0.2, 0.5, 1, 2, 5, 10, 20])
        _threshold(panel, _samples(datasets))
        panel.label_outer()
        if panel is not axes[-1]:
            panel.get_legend().remove()
    shared_legend(picture, axes[-1], 8)
    return picture


def _mixed_or_real(size: str, seed: int) -> Datasets:
    """Error of training on a mix, and on as many real samples alone, for each width."""
    full = is_full(size)
    dim, samples = _shrunk(full, DIM, SAMPLES)
    synthetic = _shrunk(full, 50, 200, 400)

    def theory(n_synthetic: Any, quality: Any, width: Any) -> cj.Risk:
        return cj.theory.risk(projections(dim, quality), cj.split(samples, n_synthetic / samples), RIDGE, width)

    def simulated(key: jax.Array, n_synthetic: Any, width: Any) -> cj.Risk:
        return cj.simulate.risk(key, projections(dim, 1.0), cj.split(samples, n_synthetic / samples), RIDGE, width)

    # No synthetic sample at all is the real data alone: one sweep does for both errors.
    counts = [0, *synthetic]
    widths, few = (np.round(samples * np.exp(np.linspace(-0.5, 0.7, steps))) for steps in (61, 7 if full else 2))
    return {
        "theory": _pairs(
            cj.sweep(theory, n_synthetic=counts, quality=QUALITIES, width=np.union1d(widths, few)), samples
        ),
        "simulated": _pairs(_simulate(full, seed, QUALITIES, simulated, n_synthetic=counts, width=few), samples),
    }


def _pairs(sweep: xr.Dataset, samples: int) -> xr.Dataset:
    """The error on the mix beside that on real data, and the logarithm of m/n as a coordinate."""
    real_only = sweep.total.isel(n_synthetic=0, quality=0, drop=True)
    dataset = xr.Dataset(
        {"mix": sweep.total.isel(n_synthetic=slice(1, None)), "real_only": real_only}, attrs=sweep.attrs
    )
    dataset = dataset.assign_coords(log_ratio=("width", np.log(dataset.width.values / samples)))
    dataset.mix.attrs["long_name"] = "test error, trained on the mix"
    dataset.real_only.attrs["long_name"] = "test error, trained on real data only"
    dataset.log_ratio.attrs["long_name"] = "ln(m / n), from small to large models"
    return dataset


def _draw_1(datasets: Datasets) -> Picture:
    picture = Picture(figsize=(13, 4.6), layout="constrained")
    axes = picture.subplots(1, 3, sharey=True)
    theory, (mean, error) = datasets["theory"], cj.mean_and_error(datasets["simulated"])
    look: dict[str, Any] = {"fmt": "o", "mfc": "none", "ms": 7, "color": "tab:red", "lw": 1, "zorder": 4}
    name = f"simulation, {datasets['simulated'].sizes['seed']} seeds"
    axis = {"x": "real_only", "y": "mix", "colour": "log_ratio", "hue": "quality"}
    for panel, n_synthetic in zip(axes, theory.n_synthetic.values, strict=True):
        one = theory.sel(n_synthetic=n_synthetic)
        plotting.pareto(one, **axis, ax=panel, legend=False, colour_bar=panel is axes[-1])
        for quality in theory.quality.values:
            at, bar = (dataset.sel(n_synthetic=n_synthetic, quality=quality) for dataset in (mean, error))
            panel.errorbar(at.real_only, at.mix, bar.mix, bar.real_only, **look, label=name if quality == 0 else None)
        panel.set(title=f"{n_synthetic:g} synthetic samples", xlim=(0.14, 2.2), ylim=(0.14, 12))
        _plain_ticks(panel, [0.2, 0.5, 1, 2], "x")
        _plain_ticks(panel, [0.2, 0.5, 1, 2, 5, 10])
        panel.label_outer()
    axes[0].legend(title=plotting.label(theory, "quality"), fontsize="small", title_fontsize="small", handlelength=3)
    return picture


# Classical linear model: Figure 3 --------------------------------------------------------------------------------------------


def _scaling(size: str, seed: int) -> Datasets:
    """Error against the number of samples for each fraction and quality; isotropic, d = 100, noise 1."""
    full = is_full(size)
    dim = 100 if full else 20
    qualities = [1.0, 0.1, 0.01]
    fractions = [0.001, 0.01, 0.1, 0.5, 1.0]
    spectrum = cj.spectra.isotropic(dim)

    def mixture(quality: Any) -> cj.Mixture:
        return cj.real_and_synthetic(spectrum, 1 / dim, quality / dim, 1.0, 1.0)

    def theory(quality: Any, synthetic_fraction: Any, n: Any) -> cj.Risk:
        return cj.theory.risk(mixture(quality), cj.split(n, synthetic_fraction), RIDGE)

    def simulated(key: jax.Array, synthetic_fraction: Any, n: Any) -> cj.Risk:
        return cj.simulate.risk(key, mixture(1.0), cj.split(n, synthetic_fraction), RIDGE)

    few = np.round(dim * np.geomspace(2, 1000, 10 if full else 4))
    counts = np.union1d(dim * np.geomspace(2, 1000, 100 if full else 10), few)
    return {
        "theory": cj.sweep(theory, quality=qualities, synthetic_fraction=fractions, n=counts),
        "simulated": _simulate(full, seed, qualities, simulated, synthetic_fraction=fractions, n=few),
    }


def _draw_3(datasets: Datasets) -> Picture:
    picture = Picture(figsize=(12, 4.4), layout="constrained")
    axes = picture.subplots(1, 3, sharey=True)
    for panel, quality in zip(axes, datasets["theory"].quality.values, strict=True):
        one = {name: dataset.sel(quality=quality) for name, dataset in datasets.items()}
        plotting.curves(one["theory"], one["simulated"], x="n", hue="synthetic_fraction", ax=panel)
        panel.set_title(f"quality c² = {quality:g}")
        panel.label_outer()
        if panel is not axes[-1]:
            panel.get_legend().remove()
    shared_legend(picture, axes[-1], 7)
    return picture


# Weighted samples: Figure 9 --------------------------------------------------------------------------------------------------

PANELS = {"a": (500, 1000, [1000, 2000, 4000]), "b": (100, 10000, [200, 1000, 10000])}  # d, n1 and n2


def _weighted(size: str, seed: int) -> Datasets:
    """Error against the weight of the synthetic data; isotropic, c^2 = 0.25, noise 1, and as printed noise^2 = p_k."""
    full = is_full(size)
    datasets = {}
    for panel, (dim, real, synthetic) in PANELS.items():
        factor = 1 if full else 5
        sweeps = _weighted_panel(full, seed, dim // factor, real // factor, [n // factor for n in synthetic])
        for name, dataset in sweeps.items():
            dataset.n_synthetic.attrs["long_name"] = "synthetic samples n₂"
            setting = {"setting": f"n₁ = {real // factor}, d = {dim // factor}"}
            datasets[f"{name}_{panel}"] = dataset.assign_attrs(setting)
    return datasets


def _weighted_panel(full: bool, seed: int, dim: int, n_real: int, synthetic: list[int]) -> Datasets:
    spectrum = cj.spectra.isotropic(dim)

    def arguments(n_synthetic: Any, alpha: Any, ridge: float, as_printed: Any) -> tuple[Any, ...]:
        n = n_real + n_synthetic
        p1, p2 = n_real / n, n_synthetic / n
        noise = (as_printed * p1**0.5 + 1 - as_printed, as_printed * p2**0.5 + 1 - as_printed)
        mixture = cj.real_and_synthetic(spectrum, 1 / dim, 0.25 / dim, *noise)
        return mixture, cj.split(n, p2), ridge, None, jnp.stack([(1 - alpha) / p1, alpha / p2])

    def theory(as_printed: Any, n_synthetic: Any, alpha: Any) -> cj.Risk:
        return cj.theory.risk(*arguments(n_synthetic, alpha, 0.0, as_printed))

    def simulated(key: jax.Array, n_synthetic: Any, alpha: Any) -> cj.Risk:
        return cj.simulate.risk(key, *arguments(n_synthetic, alpha, RIDGE, 0.0))

    fine, few = np.linspace(0, 1, 201 if full else 21), np.linspace(0, 1, 6 if full else 3)
    both = cj.sweep(theory, as_printed=[0, 1], n_synthetic=synthetic, alpha=fine)
    points = cj.sweep(simulated, key=jax.random.key(seed), seeds=6 if full else 24, n_synthetic=synthetic, alpha=few)
    return {
        "theory": both.sel(as_printed=0, drop=True),
        "printed": both.sel(as_printed=1, drop=True),
        "simulated": points,
    }


def best_weight(theory: xr.Dataset) -> xr.Dataset:
    """The ``alpha`` with the smallest ``total`` and that error, by a parabola through the best point and its neighbours.

    Example:
        >>> alpha = np.linspace(0, 1, 11)
        >>> best = best_weight(xr.Dataset({"total": ("alpha", (alpha - 0.33) ** 2)}, {"alpha": alpha}))
        >>> round(float(best.alpha), 9)
        0.33
    """
    alpha, total = theory.alpha, theory.total
    at = total.argmin("alpha").clip(1, alpha.size - 2)
    low, mid, high = (total.isel(alpha=at + shift).drop_vars("alpha") for shift in (-1, 0, 1))
    step, bend = float(alpha[1] - alpha[0]), low + high - 2 * mid
    best = (alpha.isel(alpha=at).drop_vars("alpha") + step * (low - high) / (2 * bend)).clip(0, 1)
    return xr.Dataset({"alpha": best, "total": mid - (low - high) ** 2 / (8 * bend)})


def _draw_9(datasets: Datasets) -> Picture:
    picture = Picture(figsize=(12, 4.6), layout="constrained")
    for axes, panel in zip(picture.subplots(1, 2), PANELS, strict=True):
        theory, printed, simulated = (datasets[f"{name}_{panel}"] for name in ("theory", "printed", "simulated"))
        plotting.curves(theory, simulated, x="alpha", hue="n_synthetic", ax=axes)
        for line, n_synthetic in zip(axes.lines[: theory.n_synthetic.size], theory.n_synthetic.values, strict=True):
            line.set_linestyle("-")
            curve = printed.sel(n_synthetic=n_synthetic)
            axes.plot(curve.alpha, curve.total, color=line.get_color(), lw=1, ls=(0, (4, 3)))
        best = best_weight(theory)
        (stars,) = axes.plot(best.alpha, best.total, ls="none", marker="*", ms=12, mfc="white", mec="black", zorder=4)
        axes.set(title=f"({panel})  {datasets[f'theory_{panel}'].attrs['setting']}", xlim=(-0.02, 1.02))
        _legend_9(axes, best, stars)
    return picture


def _legend_9(axes: Axes, best: xr.Dataset, stars: Any) -> None:
    own = axes.get_legend()
    assert own is not None
    handles = [handle for handle in own.legend_handles if isinstance(handle, Line2D)]
    names = [text.get_text() for text in own.texts]
    for at, alpha in enumerate(best.alpha.values):
        handles[at].set_linestyle("-")
        names[at] += f"  (α* = {alpha:.3f})"
    handles += [stars, Line2D([], [], color="black", lw=1, ls=(0, (4, 3)))]
    names += ["best weight α* of the theory", r"as printed: noise $\sigma_k^2 = p_k$"]
    axes.legend(
        handles, names, title=own.get_title().get_text(), fontsize="small", title_fontsize="small", handlelength=3
    )


STRONG_COLLAPSE = (
    Figure(
        "strong-1",
        "What is best on real data need not be best on a mix",
        f"{APPENDIX} n = 500. A panel for each number of synthetic samples, 50, 200 and 400; error on the mix against error on "
        "500 real samples, one marker a quality c^2, colour ln(m/n); black: Pareto frontiers; open circles: simulations. "
        "Deviations: Section 3.3 speaks of isotropic inputs; this draws the spectrum that Figures 2, 4 and 5 need. "
        "The scatter is theory. The peak at m = n is cut off.",
        _mixed_or_real,
        _draw_1,
    ),
    Figure(
        "strong-2",
        "Bias, variance and collapse against the width",
        f"{APPENDIX} n1 = 300, n2 = 200. Panels: bias, variance, collapse and their sum against m, one curve a c^2 "
        f"(bias and variance do not depend on it); dotted line: m = n = 500. {TRACE}",
        _widths,
        _draw_2,
    ),
    Figure(
        "strong-3",
        "The smallest synthetic fraction ends the scaling law",
        "Classical linear model, isotropic, d = 100, label noise 1, Delta = (c^2/d) I, ridge 1e-8. A panel for each c^2, "
        "test error against n, one curve a synthetic fraction. Deviations: d is not printed; 100 gives the printed errors. "
        "Simulated counts are whole numbers, so that 0.1% of 200 samples is none.",
        _scaling,
        _draw_3,
    ),
    Figure(
        "strong-4",
        "Test error against the width, for each fraction and quality",
        f"{APPENDIX} n = 500. A panel for each c^2, test error against m, one curve a synthetic fraction. {TRACE}",
        _fractions,
        _draw_4,
    ),
    Figure(
        "strong-5",
        "Worse synthetic data call for smaller models",
        f"{APPENDIX} n1 = 300, n2 = 200. Test error against m, one curve a c^2; stars: the best width below m = n. {TRACE} "
        "The caption's Corollary 4 must be Theorem 2. The logarithmic axis and the stars are not in the print.",
        _widths,
        _draw_5,
    ),
    Figure(
        "strong-9",
        "The best weight for synthetic samples",
        "Equation 16: classical linear model, isotropic, ridgeless (points: ridge 1e-8), weights (1 - alpha)/p1 and alpha/p2, "
        "c^2 = 0.25, label noise 1. Panels: (a) n1 = 1000, d = 500, n2 = 1000, 2000, 4000; (b) n1 = 10000, d = 100, "
        "n2 = 200, 1000, 10000; test error against alpha. Deviations: the print draws noise of variance p_k in source k, so "
        "that its errors at alpha = 0 depend on synthetic data without weight; solid lines are noise 1, as in its text, "
        "dashed lines the print. Stars: the exact optimum, where Corollary 2 has an erratum. c^2 is read off the figure.",
        _weighted,
        _draw_9,
    ),
)
