"""The picture of the study of summaries: what students of selected summaries write, and what they learned from."""

from typing import TYPE_CHECKING

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from collapse_jax.plotting import LINES, MARKERS
from collapse_jax.summaries_study.selection import RANDOM, SELECTIONS, TRUTH
from collapse_jax.sweep import mean_and_error

if TYPE_CHECKING:
    from collapse_jax.summaries_study.study import Result

GREY = {"color": "0.45", "lw": 1.2}
NAMES = {"self": "perplexity, itself", "stronger": "perplexity, stronger model", "oracle": "oracle, ROUGE-1"}


def draw(result: "Result") -> Figure:
    """Marks of students against the share of the summaries that they learned from; how good and how various these are."""
    figure = Figure(figsize=(12, 9), layout="constrained")
    (first, second), (third, fourth) = figure.subplots(2, 2)
    found, exact = result.students, "exact" in result.students
    mark(result, "rouge1", first)
    first.legend(fontsize="small")
    count = found.sizes["seed"]
    first.set_title(f"Students, {found.attrs['parameters']:,} parameters, {count} seed{'s' * (count > 1)}")
    mark(result, "exact" if exact else "rougeL", second)
    second.set_title("The same students")
    lines(found, "kept_exact" if exact else "kept_rouge1", SELECTIONS, third)
    third.set_title("How good what they learned from is")
    lines(found, "kept_distinct", (*SELECTIONS, TRUTH), fourth)
    fourth.set_title("How various it is")
    return figure


def mark(result: "Result", name: str, axes: Axes) -> None:
    """A mark of the students of each selection, beside the generator's and the stronger model's."""
    lines(result.students, name, (*SELECTIONS, TRUTH), axes)
    for model, line in (("generator", "--"), ("stronger", ":")):
        level = float(result.models[name].sel(model=model).mean())
        label = {"generator": "generator", "stronger": "stronger model"}[model]
        axes.axhline(100 * level, ls=line, label=label, **GREY)  # pyright: ignore[reportArgumentType]


def lines(found: xr.Dataset, name: str, selections: tuple[str, ...], axes: Axes) -> None:
    """A variable of students of each selection against the share of the summaries."""
    meaning, unit = found[name].attrs["long_name"], found[name].attrs["units"]
    scale = 100 if unit == "1" else 1
    mean, error = mean_and_error(found[[name]])
    shades = matplotlib.colormaps["viridis"](np.linspace(0, 0.85, len(SELECTIONS)))
    for i, selection in enumerate(selections):
        own, spread = (scale * part[name].sel(selection=selection) for part in (mean, error))
        if selection not in (RANDOM, TRUTH):  # all summaries are the same ones for all verifiers
            own, spread = own[:-1], spread[:-1]
        axes.errorbar(
            100 * own.share,
            own,
            yerr=np.nan_to_num(spread),
            color="tab:red" if selection == TRUTH else shades[i],
            ls=LINES[i],
            marker=MARKERS[i],
            ms=5,
            capsize=3,
            label=NAMES.get(selection, selection),
        )
    axes.set_xscale("log", base=2)
    ticks = 100 * found.share.values
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_xlabel(f"{found.share.attrs['long_name']} (%)")
    axes.set_ylabel(meaning if scale == 1 else f"{meaning} {'(%)' if 'right' in meaning else '(× 100)'}")
