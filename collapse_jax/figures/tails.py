"""The figures of *A Tale of Tails* (arXiv 2402.07043v2): what is lost when the tail goes."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from matplotlib.figure import Figure as Picture

import collapse_jax as cj
from collapse_jax import plotting
from collapse_jax.figures.figure import Datasets, Figure, is_full, with_names
from collapse_jax.skills import Skills, mix, zipf

SAMPLES = "samples T"
ERROR = "test error"


def _both(
    size: str,
    seed: int,
    exponent: float,
    data: Callable[[Any], Skills],
    hue: str,
    values: Any,
    samples: tuple[float, float],
) -> tuple[xr.Dataset, xr.Dataset]:
    """Theory and simulation of memorising models, against the number of samples, for each value of the hue."""
    full = is_full(size)

    def theory(**point: Any) -> dict[str, jax.Array]:
        return {"total": cj.theory.tail_error(exponent, data(point[hue]), point["samples"])}

    def simulated(key: jax.Array, **point: Any) -> dict[str, jax.Array]:
        return {"total": cj.simulate.tail_error(key, exponent, data(point[hue]), point["samples"])}

    low, high = np.log10(samples)
    few = np.logspace(low, high, 9 if full else 3).round()
    fine = np.union1d(np.logspace(low, high, 81 if full else 5), few)
    exact = cj.sweep(theory, **{hue: values, "samples": fine})
    drawn = cj.sweep(simulated, key=jax.random.key(seed), seeds=16 if full else 100, **{hue: values, "samples": few})
    return tuple(with_names(dataset, samples=SAMPLES, total=ERROR) for dataset in (exact, drawn))  # type: ignore[return-value]


def _kept(exponent: float) -> Callable[[Any], Skills]:
    return lambda last: zipf(exponent, last=last)


def _three(size: str, seed: int) -> Datasets:
    """Figure 3: cuts, generations, and a little real data; beta = 3/2."""
    full, exponent = is_full(size), 1.5
    cut, cut_drawn = _both(size, seed, exponent, _kept(exponent), "last", [1e1, 1e2, 1e3, 1e4], (1e1, 1e9))
    mixed, mixed_drawn = _both(
        size,
        seed,
        exponent,
        lambda fraction: mix(fraction, zipf(exponent), zipf(exponent, last=1000)),
        "fraction",
        [0.0, 1e-3, 1e-2, 1e-1, 1.0],
        (1e1, 1e11),
    )
    length = 5

    def chain(samples: Any) -> dict[str, jax.Array]:
        return {"total": cj.theory.tail_generations(exponent, jnp.full(length, samples)).error}

    def drawn(key: jax.Array, samples: Any) -> dict[str, jax.Array]:
        return {"total": cj.simulate.tail_generations(key, exponent, jnp.full(length, samples))}

    few = np.logspace(1, 9, 5 if full else 3)
    fine = np.union1d(few, np.logspace(1, 9, 81 if full else 5))
    axes = {"total": ("generation",)}
    coordinates = {"generation": np.arange(1, length + 1)}
    chains = _generations(cj.sweep(chain, samples=fine), axes, coordinates)
    chains_drawn = _generations(
        cj.sweep(drawn, key=jax.random.key(seed), seeds=16 if full else 24, samples=few), axes, coordinates
    )
    for dataset in (cut, cut_drawn):
        dataset["last"].attrs["long_name"] = "cut after skill k"
    for dataset in (mixed, mixed_drawn):
        dataset["fraction"].attrs["long_name"] = "real fraction π, rest cut at k = 1000"
    return {
        "theory_cut": cut,
        "simulated_cut": cut_drawn,
        "theory_generations": chains,
        "simulated_generations": chains_drawn,
        "theory_mixed": mixed,
        "simulated_mixed": mixed_drawn,
    }


def _generations(dataset: xr.Dataset, axes: dict[str, tuple[str, ...]], coordinates: dict[str, Any]) -> xr.Dataset:
    """Name the trailing dimension of the sweep's arrays."""
    (name,) = [dim for dim in dataset["total"].dims if dim not in ("samples", "seed")]
    dataset = dataset.rename({name: axes["total"][0]}).assign_coords(coordinates)
    return with_names(dataset, samples=SAMPLES, total=ERROR)


def _panels(names: list[tuple[str, str, str, str]], corner: str = "") -> Callable[[Datasets], Picture]:
    """A panel for each (suffix of the datasets, x, hue, title); legends in a corner that curves leave free, if named."""

    def draw(datasets: Datasets) -> Picture:
        picture = Picture(figsize=(5.2 * len(names), 4.6), layout="constrained")
        for panel, (suffix, x, hue, title) in zip(np.ravel(picture.subplots(1, len(names))), names, strict=True):
            theory, drawn = (datasets.get(f"{kind}{suffix}") for kind in ("theory", "simulated"))
            plotting.curves(theory, drawn, x=x, hue=hue, ax=panel)
            panel.set_yscale("log")
            panel.set_title(title)
            legend = panel.get_legend()
            if corner and legend is not None:
                legend.set_loc(corner)
        return picture

    return draw


def _five(size: str, seed: int) -> Datasets:
    """Figure 5: real samples of a fixed number, and synthetic ones without a tail beside them."""
    real = [1e2, 1e3, 1e4]

    def error(real: Any, samples: Any) -> tuple[Skills, Any]:
        return mix(real / (real + samples), zipf(1.5), zipf(1.5, last=1000)), real + samples

    def theory(real: Any, samples: Any) -> dict[str, jax.Array]:
        return {"total": cj.theory.tail_error(1.5, *error(real, samples))}

    def simulated(key: jax.Array, real: Any, samples: Any) -> dict[str, jax.Array]:
        return {"total": cj.simulate.tail_error(key, 1.5, *error(real, samples))}

    full = is_full(size)
    few = np.logspace(1, 9, 9 if full else 3)
    fine = np.union1d(few, np.logspace(1, 9, 81 if full else 5))
    datasets = {
        "theory": cj.sweep(theory, real=real, samples=fine),
        "simulated": cj.sweep(simulated, key=jax.random.key(seed), seeds=16 if full else 24, real=real, samples=few),
    }
    for dataset in datasets.values():
        with_names(dataset, samples="synthetic samples, cut at k = 1000", total=ERROR, real="real samples")
    return datasets


def _six(size: str, seed: int) -> Datasets:
    """Figure 6: chains of bigram models with top-p sampling; no theory beyond the first generation."""
    full = is_full(size)
    states, length, seeds = (100, 6, 8) if full else (12, 3, 24)
    samples = np.logspace(3, 6, 4 if full else 2)

    def theory(samples: Any) -> dict[str, jax.Array]:
        return {"total": cj.theory.bigram_error(1.5, samples, states=states)}

    def simulated(key: jax.Array, samples: Any) -> dict[str, jax.Array]:
        # The first writes 1e5 pairs; later generations are trained on 1e6, but for the last, whose number varies.
        plan = jnp.concatenate([jnp.full(1, 1e5), jnp.full(length - 2, 1e6)])

        def last(g: int) -> jax.Array:
            numbers = jnp.append(plan[:g], samples)
            return cj.simulate.bigram_generations(key, 1.5, numbers, states=states, kept=0.95).error[-1]

        return {"total": jnp.stack([last(g) for g in range(length)])}

    fine = np.union1d(samples, np.logspace(3, 6, 13 if full else 2))
    drawn = cj.sweep(simulated, key=jax.random.key(seed), seeds=seeds, samples=samples)
    drawn = _generations(drawn, {"total": ("generation",)}, {"generation": np.arange(length)})
    exact = with_names(cj.sweep(theory, samples=fine), samples="pairs T", total="total variation")
    exact = exact.expand_dims(generation=np.arange(length)).copy()
    exact["total"] = exact.total.where(exact.generation == 0)
    for dataset in (exact, drawn):
        with_names(dataset, samples="pairs T", total="total variation")
    return {"theory": exact, "simulated": drawn}


def _mixture_figure(
    exponent: float, lasts: list[float], fractions: list[float], samples: float
) -> Callable[[str, int], Datasets]:
    """Error against the cut for each fraction of real data, at a fixed number of samples."""

    def compute(size: str, seed: int) -> Datasets:
        full = is_full(size)

        def data(fraction: Any, last: Any) -> Skills:
            return mix(fraction, zipf(exponent), zipf(exponent, last=last))

        def theory(fraction: Any, last: Any) -> dict[str, jax.Array]:
            return {"total": cj.theory.tail_error(exponent, data(fraction, last), samples)}

        def simulated(key: jax.Array, fraction: Any, last: Any) -> dict[str, jax.Array]:
            return {"total": cj.simulate.tail_error(key, exponent, data(fraction, last), samples)}

        few = np.unique(np.round(np.geomspace(lasts[0], lasts[1], 7 if full else 3)))
        fine = np.union1d(few, np.unique(np.round(np.geomspace(lasts[0], lasts[1], 60 if full else 4))))
        datasets = {
            "theory": cj.sweep(theory, fraction=fractions, last=fine),
            "simulated": cj.sweep(
                simulated, key=jax.random.key(seed), seeds=16 if full else 24, fraction=fractions, last=few
            ),
        }
        for dataset in datasets.values():
            with_names(dataset, last="synthetic data cut after skill k", fraction="real fraction π", total=ERROR)
        return datasets

    return compute


def _twelve(size: str, seed: int) -> Datasets:
    """Figure 12: the generator has seen T_0 samples."""
    full, exponent = is_full(size), 1.5
    generators = [1e3, 1e4, 1e5, 1e6]

    def theory(generator: Any, samples: Any) -> dict[str, jax.Array]:
        return {"total": cj.theory.tail_generations(exponent, jnp.stack([generator, samples])).error[-1]}

    def simulated(key: jax.Array, generator: Any, samples: Any) -> dict[str, jax.Array]:
        return {"total": cj.simulate.tail_generations(key, exponent, jnp.stack([generator, samples]))[-1]}

    few = np.logspace(1, 9, 9 if full else 3)
    fine = np.union1d(few, np.logspace(1, 9, 81 if full else 5))
    datasets = {
        "theory": cj.sweep(theory, generator=generators, samples=fine),
        "simulated": cj.sweep(
            simulated, key=jax.random.key(seed), seeds=16 if full else 24, generator=generators, samples=few
        ),
    }
    for dataset in datasets.values():
        with_names(dataset, samples=SAMPLES, total=ERROR, generator="samples of the generator T₀")
    return datasets


def _twenty_one(size: str, seed: int) -> Datasets:
    """Figure 21: associative memories of many widths, on data with cuts."""
    full = is_full(size)
    inputs, classes = (1000, 10) if full else (60, 3)
    widths = [10, 32, 100, 316, 1000] if full else [10, 40]
    lasts = [10.0, 100.0, 1000.0] if full else [5.0, 60.0]

    def theory(width: Any, last: Any) -> dict[str, jax.Array]:
        return {"total": cj.theory.memory_error(1.5, width, inputs=inputs, classes=classes, last=last)}

    def simulated(key: jax.Array, last: Any) -> dict[str, jax.Array]:
        errors = [
            cj.simulate.memory_error(key, 1.5, width, inputs=inputs, classes=classes, last=last) for width in widths
        ]
        return {"total": jnp.stack(errors)}

    fine = np.union1d(widths, np.geomspace(10, 1e4 if full else 40, 13 if full else 3))
    exact = cj.sweep(theory, last=lasts, width=fine)
    drawn = cj.sweep(simulated, key=jax.random.key(seed), seeds=16 if full else 48, last=lasts)
    (name,) = [dim for dim in drawn["total"].dims if dim not in ("last", "seed")]
    drawn = drawn.rename({name: "width"}).assign_coords(width=np.array(widths, float))
    for dataset in (exact, drawn):
        with_names(dataset, width="width d", last="cut after input k", total=ERROR)
    return {"theory": exact, "simulated": drawn}


OCCUPANCY = (
    "Lines: exact expected errors; points: simulations of the training set's occupancy, with standard errors, on test "
    "sets drawn by strata. Deviations: "
)
TAILS = (
    Figure(
        "tails-3",
        "Cut, copied, or with a little real data: three fates of a scaling law",
        "beta = 3/2. Left: data cut after skill k. Middle: five generations, each trained on T samples of the one before "
        "(T0 = T). Right: a fraction of real data, the rest cut at k = 1000. "
        + OCCUPANCY
        + "the number of seeds is not printed; here 16.",
        _three,
        _panels(
            [
                ("_cut", "samples", "last", "A cut of the tail"),
                ("_generations", "samples", "generation", "Generations"),
                ("_mixed", "samples", "fraction", "A fraction of real data"),
            ],
            "lower left",
        ),
    ),
    Figure(
        "tails-5",
        "A plateau whose length the real samples decide",
        "beta = 3/2, T_real = 100, 1,000, 10,000 real samples and a varying number of synthetic ones, cut at k = 1000. "
        + OCCUPANCY
        + "the axis counts the synthetic samples alone.",
        _five,
        _panels([("", "samples", "real", "Real samples of a fixed number")]),
    ),
    Figure(
        "tails-6",
        "Bigram models that write for each other",
        "beta = 3/2. Generation 0 counts pairs of the truth; the first generator has seen 1e5, later ones 1e6 pairs, "
        "top-p 0.95. Line: theory of generation 0; points: 8 simulations. Deviations: 100 states, and pairs drawn "
        "independently, first states always by the truth, where the print draws sequences.",
        _six,
        _panels([("", "samples", "generation", "Total variation, generation by generation")]),
    ),
    Figure(
        "tails-10",
        "What the cut costs, and how little real data help",
        "beta = 2, k from 1 to 1,000, T = 1e6, real fractions 0, 0.001 and 0.1. " + OCCUPANCY + "T is not printed.",
        _mixture_figure(2.0, [1.0, 1000.0], [0.0, 1e-3, 0.1], 1e6),
        _panels([("", "last", "fraction", "beta = 2, T = 1e6")]),
    ),
    Figure(
        "tails-11",
        "Cuts between 20 and 200 skills",
        "beta = 7/5, k in 20, 50, 100, 200. " + OCCUPANCY + "the values of k within the printed range 20 to 200.",
        lambda size, seed: dict(
            zip(
                ("theory", "simulated"),
                (
                    with_names(dataset, last="cut after skill k")
                    for dataset in _both(size, seed, 1.4, _kept(1.4), "last", [20.0, 50.0, 100.0, 200.0], (1e1, 1e7))
                ),
                strict=True,
            )
        ),
        _panels([("", "samples", "last", "beta = 7/5")]),
    ),
    Figure(
        "tails-12",
        "A generator's own samples cap what can be learned from it",
        "beta = 3/2, the generator memorised T0 samples, the model T of what it writes. "
        + OCCUPANCY
        + "the values of T0 are not printed.",
        _twelve,
        _panels([("", "samples", "generator", "Sampling, beta = 3/2")]),
    ),
    Figure(
        "tails-21",
        "Width and cut limit an associative memory",
        "beta = 3/2, infinitely many samples, inputs stored with their frequency. Lines: theory for large widths; points: "
        "16 drawn memories. Deviations: 1,000 inputs in 10 classes; memories are drawn up to width 1,000, "
        "the print goes to 10,000.",
        _twenty_one,
        _panels([("", "width", "last", "Associative memory, beta = 3/2")]),
    ),
)
