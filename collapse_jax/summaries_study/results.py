"""What the study of summaries finds, as labelled datasets."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from collapse_jax.names import made_with
from collapse_jax.networks.gpt import parameters
from collapse_jax.parts import Arrays
from collapse_jax.summaries_study.marks import EXACT, ROUGE
from collapse_jax.summaries_study.selection import RANDOM, SELECTIONS, TRUTH, breakdown
from collapse_jax.summaries_study.sizes import Size

if TYPE_CHECKING:
    from collapse_jax.summaries_study.study import Made, Student

ALL = 1.0
MEANINGS = {
    "rouge1": ("ROUGE-1 of held-out summaries", "1"),
    "rouge2": ("ROUGE-2 of held-out summaries", "1"),
    "rougeL": ("ROUGE-L of held-out summaries", "1"),
    "events": ("share of right events in held-out summaries", "1"),
    "exact": ("exactly right held-out summaries", "1"),
    "total": ("loss on true held-out summaries", "nats a token"),
    "kept_rouge1": ("ROUGE-1 of the summaries learned from", "1"),
    "kept_exact": ("exactly right summaries among those learned from", "1"),
    "kept_tokens": ("length of the summaries learned from", "tokens"),
    "kept_distinct": ("different tokens in the summaries learned from", "tokens"),
    "written_rouge1": ("ROUGE-1 of all that the generator wrote", "1"),
    "written_exact": ("exactly right summaries of all that the generator wrote", "1"),
    "breakdown": ("proxy p* of the selection", "1"),
    "share": ("share of the summaries learned from", "1"),
    "selection": ("which summaries are learned from", "1"),
    "model": ("model", "1"),
}


def of_students(
    size: Size,
    end: int,
    students: Sequence["Student"],
    learned: Mapping[tuple[str, float, int], Arrays],
    made: Mapping[int, "Made"],
) -> xr.Dataset:
    """Marks over (selection, share, seed), and of what each student learned from."""
    rows = {}
    for student in students:
        at = (student.selection, student.share, student.chain)
        own = {name: float(value) for name, value in learned[at].items()}
        rows[at] = own | _kept(student, made[student.chain], end)
    names, shares = (*SELECTIONS, TRUTH), (*size.shares, ALL)

    def row(name: str, share: float, chain: int) -> dict[str, float]:
        if share == ALL and name != TRUTH:  # all summaries are all summaries
            name = RANDOM
        return rows[name, share, chain]

    fields = next(iter(rows.values()))
    arrays = {
        field: np.asarray([[[row(n, s, c)[field] for c in range(size.seeds)] for s in shares] for n in names])
        for field in fields
    }
    axes = {"selection": list(names), "share": list(shares), "seed": np.arange(size.seeds)}
    counts = {f"summaries_{student.share:g}": len(student.which) for student in students if student.chain == 0}
    return _table(size, arrays, axes, counts)


def of_models(size: Size, made: Mapping[int, "Made"]) -> xr.Dataset:
    """Marks of the generator and of the stronger model over (model, seed), and of all that the generator wrote."""
    chains = range(size.seeds)
    fields = [name for name in ("total", *ROUGE, *EXACT) if name in made[0].generator]
    arrays = {
        field: np.asarray(
            [[getattr(made[chain], name)[field] for chain in chains] for name in ("generator", "stronger")]
        )
        for field in fields
    }
    found = _table(size, arrays, {"model": ["generator", "stronger"], "seed": np.arange(size.seeds)}, {})
    for mark in ("rouge1", "exact"):
        if mark in made[0].written:
            values = np.asarray([made[chain].written[mark].mean() for chain in chains])
            found[f"written_{mark}"] = ("seed", values, _attributes(f"written_{mark}"))
    return found


def told(arrays: Arrays) -> str:
    """The marks in words."""
    exact = f", {100 * float(arrays['exact']):.1f}% exactly right" if "exact" in arrays else ""
    return f"ROUGE-1 {100 * float(arrays['rouge1']):.1f}{exact}"


def taught(student: "Student", made: "Made") -> np.ndarray:
    """(n, A) tokens of the summaries that a student learns from."""
    true = student.selection == TRUTH
    return (made.divided.others.said if true else made.generator["written"])[student.which]


def _kept(student: "Student", made: "Made", end: int) -> dict[str, float]:
    """How good, how long and how various the summaries are that a student learns from."""
    written, said = made.written, taught(student, made)
    marks = {
        f"kept_{mark}": float(written[mark][student.which].mean()) for mark in ("rouge1", "exact") if mark in written
    }
    right = breakdown(written.get("exact", written["rouge1"]), student.which)
    if student.selection == TRUTH:
        marks, right = dict.fromkeys(marks, 1.0), 1.0
    words = said[said != end]
    return marks | {
        "breakdown": right,
        "kept_tokens": len(words) / len(said),
        "kept_distinct": float(len(np.unique(words))),
    }


def _table(
    size: Size, arrays: Mapping[str, np.ndarray], axes: Mapping[str, Any], more: Mapping[str, int]
) -> xr.Dataset:
    made = {**made_with(), "parameters": parameters(size.shape), **more}
    variables = {name: (tuple(axes), values, _attributes(name)) for name, values in arrays.items()}
    coords = {name: (name, values, _attributes(name)) for name, values in axes.items()}
    return xr.Dataset(variables, coords, made)


def _attributes(name: str) -> dict[str, str]:
    return dict(zip(("long_name", "units"), MEANINGS.get(name, (name, "1")), strict=True))
