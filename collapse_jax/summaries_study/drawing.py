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
    """Marks of students against the share of the summaries that they learned from; what verifiers leave them."""
    figure = Figure(figsize=(16, 4.8), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    mark(result, "rouge1", left)
    left.legend(fontsize="small")
    mark(result, "exact" if "exact" in result.students else "rougeL", middle)
    kept(result, right)
    right.legend(fontsize="small")
    count = result.students.sizes["seed"]
    left.set_title(f"Students, {result.students.attrs['parameters']:,} parameters, {count} seed{'s' * (count > 1)}")
    middle.set_title("The same students")
    right.set_title("What they learned from")
    return figure


def mark(result: "Result", name: str, axes: Axes) -> None:
    """A mark of the students of each selection, beside the generator's and the stronger model's."""
    _lines(result.students, name, (*SELECTIONS, TRUTH), axes)
    for model, line in (("generator", "--"), ("stronger", ":")):
        level = float(result.models[name].sel(model=model).mean())
        label = {"generator": "generator", "stronger": "stronger model"}[model]
        axes.axhline(100 * level, ls=line, label=label, **GREY)  # pyright: ignore[reportArgumentType]


def kept(result: "Result", axes: Axes) -> None:
    """How good the summaries are that students learn from."""
    _lines(result.students, "kept_exact" if "kept_exact" in result.students else "kept_rouge1", SELECTIONS, axes)


def _lines(found: xr.Dataset, name: str, selections: tuple[str, ...], axes: Axes) -> None:
    mean, error = mean_and_error(found[[name]])
    shades = matplotlib.colormaps["viridis"](np.linspace(0, 0.85, len(SELECTIONS)))
    for i, selection in enumerate(selections):
        own, spread = (100 * part[name].sel(selection=selection) for part in (mean, error))
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
    axes.set_ylabel(
        found[name].attrs["long_name"] + (" (%)" if "share" in found[name].attrs["long_name"] else " (× 100)")
    )
