"""Iterative mixing, Figure 10 of *Strong Model Collapse*: models that label half of their successors' data."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from matplotlib.figure import Figure as Picture

import collapse_jax as cj
from collapse_jax import plotting
from collapse_jax.figures.figure import Datasets, Figure, is_full, shared_legend

RIDGE = 1e-8
ROUNDS = 5
CURVES = {
    "fixed": "iterative, fixed real data",
    "fresh": "iterative, fresh real data",
    "one": "one round",
    "alone": "real data alone",
}


def _iterated(size: str, seed: int) -> Datasets:
    """Error after five rounds, after one, and with the real half alone; isotropic, d = 100, noise 1."""
    full = is_full(size)
    dim = 100 if full else 20
    spectrum = cj.spectra.isotropic(dim)

    def schedule(n: Any) -> cj.Schedule:
        return cj.Schedule(
            real=jnp.full(ROUNDS, n / 2), synthetic=n / 2, ridge=RIDGE, noise_real=1.0, noise_synthetic=1.0
        )

    def theory(quality: Any, n: Any) -> dict[str, jax.Array]:
        chain = cj.theory.generations(spectrum, 1 / dim, schedule(n), shift=quality / dim).total
        alone = cj.theory.risk(cj.real_and_synthetic(spectrum, 1 / dim, 0.0, 1.0), jnp.stack([n / 2, 0 * n]), RIDGE)
        return {"fresh": chain[-1], "one": chain[0], "alone": alone.total}

    def simulated(key: jax.Array, quality: Any, n: Any) -> dict[str, jax.Array]:
        numbers = (key, spectrum, 1 / dim, schedule(n))
        fixed = cj.simulate.generations(*numbers, "fixed", shift=quality / dim).total
        fresh = cj.simulate.generations(*numbers, "fresh", shift=quality / dim).total
        return {"fixed": fixed[-1], "fresh": fresh[-1], "one": fresh[0]}

    few = np.round(dim * np.geomspace(3, 100, 8 if full else 3))
    counts = np.union1d(dim * np.geomspace(3, 100, 60 if full else 6), few)
    axes: dict[str, Any] = {"quality": [1.0, 0.1, 0.01]}
    points = cj.sweep(simulated, key=jax.random.key(seed), seeds=16 if full else 24, n=few, **axes)
    return {"theory": _by_curve(cj.sweep(theory, n=counts, **axes)), "simulated": _by_curve(points)}


def _by_curve(dataset: xr.Dataset) -> xr.Dataset:
    """The variables along a dimension of their own; a curve that is not among them is NaN."""
    nothing = xr.full_like(dataset.fresh, np.nan)
    curves = [dataset.get(name, nothing) for name in CURVES]
    curve = xr.Variable("curve", np.array(list(CURVES.values()), dtype=object), {"long_name": "error of"})
    return xr.Dataset({"total": xr.concat(curves, curve, coords="minimal", compat="override")}, attrs=dataset.attrs)


def _draw(datasets: Datasets) -> Picture:
    picture = Picture(figsize=(12, 4.6), layout="constrained")
    axes = picture.subplots(1, 3, sharey=True)
    for panel, quality in zip(axes, datasets["theory"].quality.values, strict=True):
        one = {name: dataset.sel(quality=quality) for name, dataset in datasets.items()}
        plotting.curves(one["theory"], one["simulated"], x="n", hue="curve", ax=panel)
        panel.set_title(f"quality of the first labels c² = {quality:g}")
        panel.label_outer()
        if panel is not axes[-1]:
            panel.get_legend().remove()
    shared_legend(picture, axes[-1], 3)
    return picture


ITERATED = (
    Figure(
        "strong-10",
        "Mixing again and again, with fresh and with the same real data",
        "Classical linear model, isotropic, d = 100, label noise 1, half of n samples real, half labelled by the model before, "
        "five rounds, ridge 1e-8. A panel for each c^2 of the first labels; test error against n. Deviations: the print "
        "computes its iterated curve with one real data set in all rounds, which Corollary 3 does not describe; both are "
        "drawn. d is not printed; 100 gives its clean curve.",
        _iterated,
        _draw,
    ),
)
