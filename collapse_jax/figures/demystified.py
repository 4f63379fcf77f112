"""The theoretical figures of *Model Collapse Demystified* (Dohmatob, Feng, Kempe; arXiv 2402.07712v2).

A chain of n least-squares generators, each fitted to the labels of the one before, and a ridge regression on the labels of the
last. Lines are the exact theory of the whole chain, points exact simulations of it.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure as Picture

import collapse_jax as cj
from collapse_jax import plotting
from collapse_jax.figures.figure import Datasets, Figure, is_full, shared_legend

RIDGE = 1e-8  # of the generators, which the paper fits without one
ENDLESS = 1e12


def chain(
    longest: int, generators: Any, generator_samples: Any, generator_noise: Any, n: Any, noise: Any, ridge: Any
) -> cj.Schedule:
    """``generators`` generators without real data, then the last fit, always as ``longest + 1`` generations.

    Those too many come first and have endless data without noise: they hand on the truth. So the length can be swept.

    Example:
        >>> schedule = chain(3, 2, 600.0, 0.2, 1000.0, 0.1, 1e-3)
        >>> schedule.generations, schedule.synthetic.tolist()
        (4, [1000000000000.0, 600.0, 600.0, 1000.0])
    """
    position = jnp.arange(longest + 1)

    def each(spare: Any, generator: Any, last: Any) -> jax.Array:
        own = jnp.where(position == longest, last, generator)
        return jnp.where(position < longest - generators, spare, own)

    return cj.Schedule(
        real=0.0,
        synthetic=each(ENDLESS, generator_samples, n),
        ridge=each(RIDGE, RIDGE, ridge),
        noise_synthetic=each(0.0, generator_noise, noise),
    )


def _chains(
    full: bool,
    seed: int,
    spectrum: jax.Array,
    signal: Any,
    schedule: Callable[..., cj.Schedule],
    fine: dict[str, Any],
    few: dict[str, Any],
) -> Datasets:
    """Theory and simulation of the last fit, over the lengths of the chain and another axis."""

    def last(risk: cj.Risk) -> dict[str, jax.Array]:
        return {"total": risk.total[-1]}

    def theory(**numbers: Any) -> dict[str, jax.Array]:
        return last(cj.theory.generations(spectrum, signal, schedule(**numbers)))

    def simulated(key: jax.Array, **numbers: Any) -> dict[str, jax.Array]:
        return last(cj.simulate.generations(key, spectrum, signal, schedule(**numbers)))

    seeds = 20 if full else 24
    return {
        "theory": cj.sweep(theory, **fine),
        "simulated": cj.sweep(simulated, key=jax.random.key(seed), seeds=seeds, **few),
    }


def _two_panels(
    full: bool, seed: int, lengths: Sequence[int], spectrum: jax.Array, signal: Any, numbers: dict[str, Any]
) -> Datasets:
    """Error against the ridge at one n, and against n along a path of ridges."""
    fine, few = (60, 8) if full else (6, 3)

    def of(generators: Any, n: Any, ridge: Any) -> cj.Schedule:
        made = (numbers["samples"], numbers["generator_noise"], n, numbers["noise"], ridge)
        return chain(max(lengths), generators, *made)

    def by_ridge(generators: Any, ridge: Any) -> cj.Schedule:
        return of(generators, numbers["n"], ridge)

    def by_n(generators: Any, n: Any) -> cj.Schedule:
        return of(generators, n, numbers["ridge_of"](n))

    (low, high), (first, last) = numbers["ridges"], numbers["counts"]
    some_ridges, some_counts = np.geomspace(low, high, few), np.round(np.geomspace(first, last, few))
    ridges = np.union1d(np.geomspace(low, high, fine), some_ridges)
    counts = np.union1d(np.geomspace(first, last, fine), some_counts)
    length: dict[str, Any] = {"generators": list(lengths)}
    a = _chains(full, seed, spectrum, signal, by_ridge, length | {"ridge": ridges}, length | {"ridge": some_ridges})
    b = _chains(full, seed, spectrum, signal, by_n, length | {"n": counts}, length | {"n": some_counts})
    return {f"{name}_{panel}": dataset for panel, both in (("ridge", a), ("n", b)) for name, dataset in both.items()}


def _isotropic(size: str, seed: int) -> Datasets:
    full = is_full(size)
    dim = 300 if full else 30
    numbers: dict[str, Any] = {
        "samples": 2.0 * dim,
        "generator_noise": 0.2,
        "noise": 0.1,
        "n": dim / 0.3,
        "ridges": (1e-3, 10.0),
        "counts": (dim * 0.4, dim / 0.03),
        "ridge_of": lambda n: 1e-3 + 0 * n,
    }
    return _two_panels(full, seed, [0, 1, 3, 10], cj.spectra.isotropic(dim), 1 / dim, numbers)


def power_law(dim: int) -> tuple[jax.Array, jax.Array]:
    """Figure 2's spectrum ``j**-2`` and signals ``j**-0.5``: capacity 2, source 0.375.

    Example:
        >>> spectrum, signal = power_law(4)
        >>> spectrum.tolist(), round(float(signal[3]), 3)
        ([1.0, 0.25, 0.1111111111111111, 0.0625], 0.5)
    """
    positions = jnp.arange(1.0, dim + 1)
    return positions**-2.0, positions**-0.5


def _heavy_tail(size: str, seed: int) -> Datasets:
    full = is_full(size)
    dim = 300 if full else 30
    exponent = float(cj.theory.critical_exponents(2.0, 0.375).ridge)
    numbers: dict[str, Any] = {
        "samples": 2.0 * dim,
        "generator_noise": 1.0,
        "noise": 1.0,
        "n": dim / 0.03,
        "ridges": (1e-4, 10.0),
        "counts": (1e2, 1e5),
        "ridge_of": lambda n: n**-exponent,
    }
    return _two_panels(full, seed, [0, 1, 2, 5], *power_law(dim), numbers)


def _few_samples(size: str, seed: int) -> Datasets:
    """Generators with half as many samples as directions and no noise, on the same inputs and on their own."""
    full = is_full(size)
    dim = 300 if full else 30
    fine, few = (60, 8) if full else (6, 3)
    lengths = [0, 1, 2, 4]

    def own(generators: Any, n: Any) -> cj.Schedule:
        return chain(max(lengths), generators, dim / 2, 0.0, n, 0.1, RIDGE)

    def same(generators: Any, n: Any) -> cj.Schedule:
        """Without noise each fit is one and the same projection, so that all of them are as good as one."""
        return own(jnp.minimum(generators, 1), n)

    some = np.round(np.geomspace(1.2 * dim, 40 * dim, few))
    counts = np.union1d(np.geomspace(1.2 * dim, 40 * dim, fine), some)
    length: dict[str, Any] = {"generators": lengths}
    spectrum, datasets = cj.spectra.isotropic(dim), {}
    for inputs, schedule in (("same", same), ("own", own)):
        both = _chains(full, seed, spectrum, 1 / dim, schedule, length | {"n": counts}, length | {"n": some})
        datasets |= {f"{name}_{inputs}": dataset for name, dataset in both.items()}
    return datasets


def _draw_two(datasets: Datasets) -> Picture:
    picture = Picture(figsize=(11, 4.6), layout="constrained")
    axes = picture.subplots(1, 2)
    for panel, x in zip(axes, ("ridge", "n"), strict=True):
        plotting.curves(datasets[f"theory_{x}"], datasets[f"simulated_{x}"], x=x, hue="generators", ax=panel)
    axes[0].get_legend().remove()
    shared_legend(picture, axes[-1], 6)
    return picture


def _draw_few(datasets: Datasets) -> Picture:
    picture = Picture(figsize=(11, 4.6), layout="constrained")
    axes = picture.subplots(1, 2, sharey=True)
    for panel, inputs in zip(axes, ("same", "own"), strict=True):
        theory, simulated = (datasets[f"{name}_{inputs}"] for name in ("theory", "simulated"))
        plotting.curves(theory, simulated, x="n", hue="generators", ax=panel)
        panel.set_title("all generators on the same inputs" if inputs == "same" else "each on inputs of its own")
    axes[0].get_legend().remove()
    shared_legend(picture, axes[-1], 6)
    return picture


DEMYSTIFIED = (
    Figure(
        "demystified-1",
        "Each generation adds to the error: isotropic inputs",
        "Isotropic, d = 300, |w0| = 1, generators on 600 samples with noise 0.2, last fit with noise 0.1. Left: test error "
        "against the ridge at n = 1000; right: against n at ridge 1e-3. One curve a length of the chain, 0, 1, 3 and 10. "
        "Deviations: generators are fitted with ridge 1e-8 in simulations, which the print fits without one.",
        _isotropic,
        _draw_two,
    ),
    Figure(
        "demystified-2",
        "Each generation adds to the error: a heavy-tailed spectrum",
        "Eigenvalues j^-2, signals j^-0.5 (capacity 2, source 0.375), d = 300, generators on 600 samples, noise 1 throughout. "
        "Left: test error against the ridge at n = 10,000; right: against n at ridge n^-0.8, the critical exponent for clean "
        "labels, with which the error of a chain turns and rises. Deviations: as for Figure 1; the ridges are inferred.",
        _heavy_tail,
        _draw_two,
    ),
    Figure(
        "demystified-3",
        "Generators with too few samples lose the signal without any noise",
        "Isotropic, d = 300, |w0| = 1, generators without noise on 150 samples, last fit with noise 0.1 and ridge 1e-8. Test "
        "error against n, one curve a length of the chain. Left: on the same inputs, where one generator loses half of the "
        "signal and further ones lose nothing. Right: on new inputs each, where half of what is left goes with each. "
        "Deviations: the axis is not printed; chains on the same inputs are computed as one generator, which they equal.",
        _few_samples,
        _draw_few,
    ),
)
