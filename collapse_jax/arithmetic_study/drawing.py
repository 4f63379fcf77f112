"""The pictures of the study of arithmetic: skills lost and recovered, what verifiers are worth, where noise breaks them."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from collapse_jax.arithmetic_study.answers import KNOWN
from collapse_jax.arithmetic_study.results import Collapse, Verification
from collapse_jax.plotting import LINES, MARKERS
from collapse_jax.sweep import mean_and_error

GREY = {"color": "0.45", "lw": 1.2, "ls": "--"}


def draw_collapse(result: Collapse) -> Figure:
    """Skills and lost skills against answers learned from; each divisor at the end."""
    figure = Figure(figsize=(17, 4.8), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    skills(result, left)
    lost(result, middle)
    each(result, right)
    return figure


def skills(result: Collapse, axes: Axes) -> None:
    """Number of learned divisors against the answers learned from, for each share of the generator's answers."""
    _against_answers(result, "skills", axes)
    known = (result.generators.each >= KNOWN).sum("divisor")
    axes.axhline(float(known.mean()), **GREY, label="what the generator knows")  # pyright: ignore[reportArgumentType]
    axes.set_ylabel(f"learned divisors, of {result.mixtures.sizes['divisor']}")
    axes.set_title(f"Skills, {result.mixtures.attrs['parameters']:,} parameters, {result.mixtures.sizes['seed']} seeds")
    axes.legend(fontsize="small")


def lost(result: Collapse, axes: Axes) -> None:
    """Share of right answers to what exact answers teach and the generator does not know."""
    taught = result.mixtures.each.isel(examples=-1).sel(synthetic_fraction=0.0).mean("seed") > 0.5
    divisors = taught.divisor.values[(taught & (result.generators.each.mean("seed") < 0.1)).values]
    axes.set_xlabel("answers learned from")
    if not len(divisors):
        axes.set_title("Exact answers teach nothing that the generator lacks")
        return
    _against_answers(result, "each", axes, divisors)
    axes.set_ylabel("share of right answers")
    axes.set_title(f"What the generator lacks: {', '.join(map(str, divisors))}")


def _against_answers(result: Collapse, variable: str, axes: Axes, divisors: np.ndarray | None = None) -> None:
    """A variable against the answers learned from, for each kind of student; the mean over divisors, if any are given."""
    mixtures, recovery = result.mixtures[[variable]], result.recovery[[variable]]
    if divisors is not None:
        mixtures, recovery = (table.sel(divisor=divisors).mean("divisor") for table in (mixtures, recovery))
    fractions = mixtures.synthetic_fraction.values
    shades = _shades(len(fractions))
    for i, fraction in enumerate(fractions):
        label = f"{100 * fraction:.0f} % of the generator"
        _line(axes, mixtures.sel(synthetic_fraction=fraction), variable, i, shades[i], label)
    _line(axes, recovery, variable, len(fractions), "tab:red", "its answers, then exact ones")
    axes.axvline(float(recovery.examples[-1]) / 2, color="tab:red", lw=0.6, ls=":")
    axes.set_xlabel("answers learned from")


def each(result: Collapse, axes: Axes) -> None:
    """Share of right answers for each divisor that anybody learned, at the end."""
    last = result.mixtures.each.isel(examples=-1)
    shown = (last.mean("seed").max("synthetic_fraction") > 0.5) | (result.generators.each.mean("seed") > 0.5)
    divisors = last.divisor.values[shown.values]
    places = np.arange(len(divisors))
    made = result.generators.each.sel(divisor=divisors)
    axes.bar(places, made.mean("seed"), color="0.85", label="generator")
    fractions = last.synthetic_fraction.values
    shades = _shades(len(fractions))
    for i, fraction in enumerate(fractions):
        mean, error = _over_seeds(last.sel(synthetic_fraction=fraction, divisor=divisors))
        at = places + 0.6 * (i / max(1, len(fractions) - 1) - 0.5)
        label = f"{100 * fraction:.0f} % of the generator"
        axes.errorbar(at, mean, yerr=error, fmt=MARKERS[i], color=shades[i], capsize=2, ms=5, label=label)
    axes.set_xticks(places, [str(k) for k in divisors])
    axes.set_ylim(-0.05, 1.05)
    axes.set_xlabel("greatest common divisor")
    axes.set_ylabel("share of right answers")
    axes.set_title("Which skills are lost")
    axes.legend(fontsize="small")


def draw_verification(result: Verification) -> Figure:
    """Students against answers, at the end, and against the verifier's noise."""
    figure = Figure(figsize=(16, 4.8), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    learning(result, left)
    ending(result, middle)
    noise(result, right)
    return figure


def learning(result: Verification, axes: Axes) -> None:
    """Accuracy against the answers learned from, for each selection."""
    found = result.selections
    shades = _shades(found.sizes["selection"])
    for i, name in enumerate(found.selection.values):
        _line(axes, found.sel(selection=name), "accuracy", i, shades[i], str(name))
    _generator(result, axes)
    axes.set_xlabel("answers learned from")
    axes.set_ylabel("share of right answers")
    axes.set_title(f"Students of selected answers, {found.attrs['parameters']:,} parameters")
    axes.legend(fontsize="small")


def ending(result: Verification, axes: Axes) -> None:
    """Accuracy at the end, one row a selection."""
    last = result.selections.isel(examples=-1)
    mean, error = _over_seeds(last.accuracy)
    rows = np.arange(last.sizes["selection"])[::-1]
    axes.errorbar(mean, rows, xerr=error, fmt="o", color="k", capsize=3)
    axes.set_yticks(rows, [str(name) for name in last.selection.values])
    _generator(result, axes, vertical=True)
    axes.set_xlabel(f"share of right answers after {int(last.examples):,}")
    axes.set_title(f"At the end, {last.sizes['seed']} seeds")


def noise(result: Verification, axes: Axes) -> None:
    """Against the share of wrong answers that pass: all questions, or the skills that the generator lacks, with predictions."""
    last = result.noises.isel(examples=-1)
    groups = lost_skills(result)
    if not groups:
        _errorbars(axes, last.accuracy, 0, "k", "all questions")
        error = float(result.noises.error.sel(p_noise=1.0).mean()) if 1.0 in result.noises.p_noise else np.nan
        crossover = 1 / error - 1 if error > 0.5 else np.nan
        if np.isfinite(crossover):
            axes.axvline(crossover, color="k", lw=1, ls=":", label=f"p* = 1/(1 + p_noise): {crossover:.3f}")
        _generator(result, axes)
    shades = _shades(len(groups))
    for i, (crossover, divisors) in enumerate(groups.items()):
        label = f"divisor {', '.join(map(str, divisors))}"
        _errorbars(axes, last.each.sel(divisor=divisors).mean("divisor"), i, shades[i], label)
        line = LINES[i % len(LINES)]
        axes.axvline(
            crossover, color=shades[i], lw=1.0, ls=line if i else ":", label=f"p* = 1/(1 + p_noise): {crossover:.3f}"
        )
    axes.set_xlabel(result.noises.p_noise.attrs["long_name"])
    axes.set_ylabel("share of right answers")
    axes.set_title("Drawn answers and a noisy verifier")
    axes.legend(fontsize="small")


def lost_skills(result: Verification) -> dict[float, list[int]]:
    """Divisors that the generators lack and students of verified answers have, by the noise at which they should go.

    Among pairs that a generator cannot tell apart, its answers d and k are as frequent as such pairs, ``d**-2`` to ``k**-2``. A
    verifier that lets wrong answers pass with p_noise leaves more right ones than wrong ones where p_noise is below (d/k)**2:
    ``p* = 1/(1 + p_noise)`` of *Beyond Model Collapse*, Theorem 4.2, with the error rate p of this pair of answers.
    """
    if "each" not in result.noises:
        return {}
    best = result.selections.each.isel(examples=-1).mean("seed").max("selection")
    lacking = (result.generators.each.mean("seed") < 0.5) & (best > 0.9)
    groups: dict[float, list[int]] = {}
    for divisor in result.noises.divisor.values[lacking.values]:
        known = float(result.generators.answers.sel(divisor=divisor).median())
        groups.setdefault((known / divisor) ** 2, []).append(int(divisor))
    return dict(sorted(groups.items(), reverse=True))


def _generator(result: Verification, axes: Axes, vertical: bool = False) -> None:
    level = float(result.generators.accuracy.mean())
    (axes.axvline if vertical else axes.axhline)(level, **GREY, label="generator")  # pyright: ignore[reportArgumentType]


def _line(axes: Axes, found: xr.Dataset, variable: str, i: int, shade: object, label: str) -> None:
    mean, error = _over_seeds(found[variable])
    style = {"ls": LINES[i % len(LINES)], "marker": MARKERS[i % len(MARKERS)], "ms": 4, "capsize": 2}
    axes.errorbar(found.examples, mean, yerr=error, color=shade, label=label, **style)  # pyright: ignore[reportArgumentType]


def _errorbars(axes: Axes, found: xr.DataArray, i: int, shade: object, label: str) -> None:
    mean, error = _over_seeds(found)
    axes.errorbar(
        found.p_noise, mean, yerr=error, fmt=f"{MARKERS[i % len(MARKERS)]}-", color=shade, capsize=3, label=label
    )  # pyright: ignore[reportArgumentType]


def _over_seeds(found: xr.DataArray) -> tuple[np.ndarray, np.ndarray]:
    mean, error = mean_and_error(found.to_dataset(name="value"))
    return mean["value"].values, np.nan_to_num(error["value"].values)


def _shades(count: int) -> list[object]:
    import matplotlib

    return list(matplotlib.colormaps["viridis"](np.linspace(0, 0.85, max(count, 1))))


def draw_candidates(found: xr.Dataset) -> Figure:
    """Right answers against the number of beams, by who picks among them."""
    figure = Figure(figsize=(6, 4.4), layout="constrained")
    axes = figure.subplots()
    mean, error = mean_and_error(100 * found[["accuracy"]])
    for verifier, marker, line in zip(found.verifier.values, MARKERS, LINES, strict=False):
        own = [table.accuracy.sel(verifier=verifier) for table in (mean, error)]
        axes.errorbar(
            found.beams, own[0], yerr=own[1], marker=marker, ls=line, capsize=3, label=f"picked by {verifier}"
        )
    axes.set_xlabel("beams")
    axes.set_ylabel("right answers (%)")
    axes.set_ylim(bottom=0)
    axes.set_title(f"Candidates of a generator, {found.attrs['parameters']:,} parameters, {found.sizes['seed']} seeds")
    axes.legend(fontsize="small")
    axes.grid(alpha=0.25, lw=0.6)
    return figure
