"""Which mixing of real and synthetic data keeps a chain of models from collapse: the pictures of ``docs/mixing.md``."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Picture

import collapse_jax as cj
from collapse_jax import plotting
from collapse_jax.figures.figure import Datasets, Figure, is_full

RIDGE = 1e-8
ENDED = 40  # generations after which a mixed chain has long settled

KINDS: dict[str, tuple[float, float, float, dict[str, Any]]] = {
    # real and synthetic samples over d, the power of the generation with which the latter grow, and how data are kept
    "replace: synthetic data only": (0, 10, 0, {}),
    "replace, with more data each time": (0, 10, 1, {}),
    "accumulate: keep all data": (0, 10, 0, {"accumulate": True}),
    "mix with the same real data": (5, 5, 0, {"real_data": "fixed"}),
    "mix with fresh real data": (5, 5, 0, {}),
}


def _noisy(real: Any, synthetic: Any, weight: Any = 1.0) -> cj.Schedule:
    return cj.Schedule(real, synthetic, RIDGE, noise_real=1.0, noise_synthetic=1.0, weight=weight)


def _schedules(size: str, seed: int) -> Datasets:
    """Error of each generation for each kind of schedule, by theory where its data are fresh."""
    full = is_full(size)
    dim, length, seeds = (100, 20, 32) if full else (20, 4, 24)
    spectrum = cj.spectra.isotropic(dim)
    exact, drawn = [], []
    for real, synthetic, growth, kept in KINDS.values():
        schedule = _noisy(real * dim, synthetic * dim * jnp.arange(1.0, length + 1) ** growth)
        given = (spectrum, 1 / dim, schedule)
        covered = np.asarray(cj.theory.generations(*given).total)
        exact.append(np.full(length, np.nan) if kept else covered)

        def chain(key: jax.Array, given: Any = given, kept: Any = kept) -> jax.Array:
            return cj.simulate.generations(key, *given, **kept).total

        drawn.append(np.asarray(jax.jit(jax.vmap(chain))(jax.random.split(jax.random.key(seed), seeds))))
    coordinates = {
        "kind": ("kind", np.array(list(KINDS), object), {"long_name": "each generation"}),
        "generation": ("generation", np.arange(1, length + 1), {"long_name": "generation"}),
    }
    named = {"long_name": "test error"}
    return {
        "theory": xr.Dataset({"total": (("kind", "generation"), np.stack(exact), named)}, coordinates),
        "simulated": xr.Dataset({"total": (("kind", "seed", "generation"), np.stack(drawn), named)}, coordinates),
    }


def _draw_schedules(datasets: Datasets) -> Picture:
    picture = Picture(figsize=(7.4, 5), layout="constrained")
    axes = picture.subplots()
    plotting.curves(datasets["theory"], datasets["simulated"], x="generation", hue="kind", ax=axes)
    axes.set_xscale("linear")
    axes.set_xticks(range(0, datasets["theory"].sizes["generation"] + 1, 5))
    axes.set_yscale("log")
    axes.set_ylim(top=8)  # room for the legend
    return picture


def golden(ratio: Any) -> Any:
    """The best share of fresh real samples in the pull of each generation, for ``ratio`` real samples a synthetic one.

    Source: He, Xu and Cheng, arXiv 2502.18049: ``(sqrt(k^2 + 4 k) - k) / 2``, the golden ratio's inverse at k = 1; with much
    data, after many generations.

    Example:
        >>> round(float(golden(1.0)), 3)
        0.618
    """
    return (np.sqrt(ratio**2 + 4 * ratio) - ratio) / 2


def settled(n: Any, ratio: Any, share: Any, ended: int = ENDED) -> cj.Schedule:
    """``ended`` generations with n real samples each, n / ratio synthetic ones, and this share of the pull on real ones."""
    weight = (1 - share) / share * ratio
    return _noisy(jnp.full(ended, n), n / ratio, weight)


def _weights(size: str, seed: int) -> Datasets:
    """Long-run error against the share of real data in the pull, relative to real data alone."""
    full = is_full(size)
    dim, seeds = (100, 16) if full else (20, 24)
    spectrum, n = cj.spectra.isotropic(dim), 100.0 * dim
    ended = ENDED if full else 6
    alone = cj.theory.risk(cj.real_and_synthetic(spectrum, 1 / dim, 0.0, 1.0), jnp.array([n, 0.0]), RIDGE).total

    def theory(ratio: Any, share: Any) -> dict[str, jax.Array]:
        chain = cj.theory.generations(spectrum, 1 / dim, settled(n, ratio, share, ended))
        return {"relative": chain.total[-1] / alone}

    def simulated(key: jax.Array, ratio: Any, share: Any) -> dict[str, jax.Array]:
        chain = cj.simulate.generations(key, spectrum, 1 / dim, settled(n, ratio, share, ended))
        return {"relative": chain.total[-1] / alone}

    ratios, few = [0.25, 1.0, 4.0], np.linspace(0.2, 0.9, 6 if full else 3)
    shares = np.union1d(np.linspace(0.15, 1.0, 120 if full else 8), few)
    datasets = {
        "theory": cj.sweep(theory, ratio=ratios, share=shares),
        "simulated": cj.sweep(simulated, key=jax.random.key(seed), seeds=seeds, ratio=ratios, share=few),
    }
    for dataset in datasets.values():
        dataset.relative.attrs["long_name"] = "long-run test error, relative to real data alone"
        dataset.ratio.attrs["long_name"] = "real samples a synthetic one"
        dataset.share.attrs["long_name"] = "share of the pull on real samples"
    return datasets


def _draw_weights(datasets: Datasets) -> Picture:
    picture = Picture(figsize=(7.4, 5), layout="constrained")
    axes = picture.subplots()
    theory = datasets["theory"]
    plotting.curves(theory, datasets["simulated"], x="share", hue="ratio", variable="relative", ax=axes)
    for ratio in theory.ratio.values:
        best = golden(float(ratio))
        axes.plot(best, float(theory.relative.sel(ratio=ratio).interp(share=best)), "k*", ms=12, zorder=5)
    axes.axhline(1, color="0.5", lw=0.8)
    axes.set_ylim(0.3, 1.7)
    axes.set_title("★ (√(k² + 4k) − k) / 2")
    return picture


def _regions(size: str, seed: int) -> Datasets:
    """Where synthetic samples that nobody marks as such help: the ratio of errors with and without them."""
    del seed  # theory alone
    full = is_full(size)
    dim, points = (200, 61) if full else (20, 5)
    spectrum = cj.spectra.power_law(dim, 1.0)
    signal = 1 / (dim * spectrum)

    def wrong_labels(samples: Any, quality: Any) -> dict[str, jax.Array]:
        mixture = cj.real_and_synthetic(spectrum, signal, quality / (dim * spectrum), 0.5, 0.5)
        both, alone = (
            cj.theory.optimal_ridge(mixture, jnp.stack([samples * dim, synthetic * samples * dim])).risk.total
            for synthetic in (1.0, 0.0)
        )
        return {"gain": both / alone}

    def other_inputs(synthetic: Any, exponent: Any) -> dict[str, jax.Array]:
        j = jnp.arange(1.0, dim + 1)
        shape = j**-exponent
        spectra = jnp.stack([spectrum, dim * shape / shape.sum()])
        mixture = cj.Mixture(spectra, jnp.broadcast_to(signal, (2, 2, dim)), jnp.array([0.5, 0.5]))
        both, alone = (
            cj.theory.risk(mixture, jnp.stack([jnp.full((), dim / 2), samples]), RIDGE).total
            for samples in (synthetic * dim, 0 * synthetic)
        )
        return {"gain": both / alone}

    labels = cj.sweep(wrong_labels, samples=np.geomspace(0.1, 100, points), quality=np.geomspace(1e-3, 10, points))
    inputs = cj.sweep(other_inputs, synthetic=np.geomspace(0.05, 20, points), exponent=np.linspace(0, 3, points))
    labels.samples.attrs["long_name"] = "real samples / dimension, and as many synthetic ones"
    labels.quality.attrs["long_name"] = "error of the synthetic labels c²"
    inputs.synthetic.attrs["long_name"] = "synthetic samples / dimension"
    inputs.exponent.attrs["long_name"] = "exponent of the synthetic inputs' spectrum (real: 1)"
    for dataset in (labels, inputs):
        dataset.gain.attrs["long_name"] = "error with synthetic data / error without"
    return {"labels": labels, "inputs": inputs}


def _draw_regions(datasets: Datasets) -> Picture:
    picture = Picture(figsize=(12, 4.8), layout="constrained")
    axes = picture.subplots(1, 2)
    _region(axes[0], datasets["labels"], "samples", "quality", "Wrong labels, best ridge")
    _region(
        axes[1],
        datasets["inputs"],
        "synthetic",
        "exponent",
        "Right labels of other inputs, no ridge, d / 2 real samples",
    )
    return picture


def _region(axes: Axes, dataset: xr.Dataset, x: str, y: str, title: str) -> None:
    capped = dataset.assign(gain=dataset.gain.clip(0.1, 10).assign_attrs(dataset.gain.attrs))
    plotting.heat_map(capped, x=x, y=y, variable="gain", ax=axes)
    table = dataset.gain.transpose(y, x)
    lines = axes.contour(table[x], table[y], np.log(table), levels=[0.0], colors="white", linewidths=2)
    axes.clabel(lines, fmt=lambda _: "no difference", fontsize=9)
    axes.set_title(title, fontsize=11)


MIXING = (
    Figure(
        "mixing-1",
        "Five ways to go on: only replacing data collapses without end",
        "Linear model, isotropic, d = 100, label noise 1, 1,000 samples a generation (n = 1,000 g where data grow), no ridge. "
        "Error of each generation on the truth. Lines: theory, where data are fresh; points: 32 exact simulations.",
        _schedules,
        _draw_schedules,
    ),
    Figure(
        "mixing-2",
        "The best weight of fresh real data in a long chain",
        "Linear model, isotropic, d = 100, 10,000 fresh real samples a generation and k times fewer synthetic ones, noise 1. "
        "Error of the 40th generation relative to that of the real samples alone, against the share of the real samples in "
        "the pull. Stars: the formula of He, Xu and Cheng.",
        _weights,
        _draw_weights,
    ),
    Figure(
        "mixing-3",
        "Where synthetic data help that nobody marks",
        "Power-law spectrum, exponent 1, d = 200, noise 0.5. Ratio of the error with synthetic samples, at weight 1, to that "
        "without. Left: as many synthetic as real samples, whose labels are off by c²; the best ridge for each. Right: right "
        "labels (Delta = 0), inputs with a spectrum of another exponent and the same trace; 100 real samples, ridge 1e-8. "
        "Ratios beyond 10 are drawn as 10.",
        _regions,
        _draw_regions,
    ),
)
