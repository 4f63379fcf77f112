"""Figures 17 to 19 of *A Tale of Tails*: models of bigrams that count true pairs and pairs that another model wrote."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from matplotlib.figure import Figure as Picture

import collapse_jax as cj
from collapse_jax import plotting
from collapse_jax.figures.figure import Datasets, Figure, is_full, shared_legend, with_names

EXPONENT, KEPT, MIXED = 1.5, 0.9, 20_000.0
DATA = ("true", "half written up to 20,000, then true", "half written up to 20,000, then written", "written")


def _true_pairs(data: Any, pairs: Any) -> jax.Array:
    """How many of so many pairs are true."""
    half, more = jnp.minimum(pairs, MIXED) / 2, jnp.maximum(pairs - MIXED, 0)
    return jnp.stack([pairs, half + more, half, 0 * pairs])[data.astype(int)]


def _drawn(size: str, seed: int, generators: Sequence[float], data: Sequence[int]) -> xr.Dataset:
    full = is_full(size)
    states, seeds = (100, 16) if full else (12, 8)

    def point(key: jax.Array, generator: Any, data: Any, pairs: Any) -> dict[str, jax.Array]:
        true = _true_pairs(data, pairs)
        found = cj.simulate.bigram_mixture(
            key, EXPONENT, true, pairs - true, states=states, generator=generator, kept=KEPT
        )
        return {"total": found.error, "perplexity": found.perplexity}

    axes = {"generator": generators, "data": data, "pairs": np.logspace(2, 8, 19 if full else 3)}
    found = cj.sweep(point, key=jax.random.key(seed), seeds=seeds, **axes)
    names = {"pairs": "pairs T", "total": "total variation", "generator": "pairs of the generator T₀"}
    found = found.assign_coords(data=[DATA[int(i)] for i in found.data.values])
    return with_names(found, **names, perplexity="perplexity of true pairs", data="pairs are")


def _theory(size: str, found: xr.Dataset) -> xr.Dataset:
    """Total variation of true pairs alone; none of the others."""
    states = 100 if is_full(size) else 12

    def point(pairs: Any) -> dict[str, jax.Array]:
        return {"total": cj.theory.bigram_error(EXPONENT, pairs, states=states)}

    exact = cj.sweep(point, pairs=found.pairs.values).expand_dims(data=found.data.values).copy()
    exact["total"] = exact.total.where(exact.data == DATA[0])
    return with_names(exact, pairs="pairs T", total="total variation", data="pairs are")


def _seventeen(size: str, seed: int) -> Datasets:
    found = _drawn(size, seed, [1e4], range(len(DATA))).isel(generator=0, drop=True)
    return {"theory": _theory(size, found), "simulated": found[["total"]], "perplexity": found[["perplexity"]]}


def _draw_seventeen(datasets: Datasets) -> Picture:
    picture = Picture(figsize=(11, 5.4), layout="constrained")
    left, right = picture.subplots(1, 2)
    plotting.curves(datasets["theory"], datasets["simulated"], x="pairs", hue="data", ax=left)
    plotting.curves(None, datasets["perplexity"], x="pairs", hue="data", variable="perplexity", ax=right, legend=False)
    left.set_yscale("log")
    left.set_title("Total variation")
    right.set_title("Perplexity")
    shared_legend(picture, left, columns=3)
    return picture


def _nineteen(size: str, seed: int) -> Datasets:
    return {"drawn": _drawn(size, seed, [1e2, 1e3, 1e4], [1]).isel(data=0, drop=True)}


def _draw_nineteen(datasets: Datasets) -> Picture:
    picture = Picture(figsize=(6, 4.6), layout="constrained")
    axes = picture.subplots()
    plotting.curves(None, datasets["drawn"][["total"]], x="pairs", hue="generator", ax=axes)
    axes.axvline(MIXED, color="0.6", ls=":")
    axes.set_yscale("log")
    axes.set_title(DATA[1].capitalize())
    return picture


DEVIATIONS = (
    "Deviations: pairs drawn independently, first states always by the truth, 100 states, beta = 3/2; none is printed. "
    "The print's words, that all true pairs are used in the end, leave two readings, and both are drawn."
)
BIGRAMS = (
    Figure(
        "tails-17",
        "Bigrams, half of them written by a model, and what true ones repair",
        "Figures 17 and 18. The generator has counted T0 = 10,000 true pairs and writes by top-p sampling, 0.9. Of the first "
        "20,000 pairs half are its own. Line: theory of true pairs; points: 16 simulations. " + DEVIATIONS,
        _seventeen,
        _draw_seventeen,
    ),
    Figure(
        "tails-19",
        "True bigrams after written ones: a plateau that ends",
        "Generators of T0 = 100, 1,000 and 10,000 pairs, top-p 0.9; half of the first 20,000 pairs are written (dotted line), "
        "all later ones are true. Points: 16 simulations. " + DEVIATIONS,
        _nineteen,
        _draw_nineteen,
    ),
)
