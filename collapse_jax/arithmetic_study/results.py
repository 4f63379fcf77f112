"""What the study of arithmetic finds, as labelled datasets."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from collapse_jax.arithmetic_study.answers import KNOWN
from collapse_jax.arithmetic_study.sizes import Size
from collapse_jax.data.arithmetic import Gcd
from collapse_jax.names import attributes, made_with
from collapse_jax.networks.gpt import parameters
from collapse_jax.parts import Arrays

UNVERIFIED, EXACT_DATA = "unverified", "exact data"
Found = Mapping[tuple[str, int], Arrays]
MEANINGS = {
    "accuracy": ("share of right answers", "1"),
    "each": ("share of right answers to pairs of a greatest common divisor", "1"),
    "skills": ("learned divisors", "1"),
    "answers": ("commonest answer to pairs of a greatest common divisor", "1"),
    "rule": ("largest learned divisor", "1"),
    "agreement": ("share of divisors on which rule and student agree", "1"),
    "kept": ("share of answers that the verifier lets pass", "1"),
    "error": ("share of wrong answers among them", "1"),
    "examples": ("answers learned from", "answers"),
    "divisor": ("greatest common divisor", "1"),
    "p_noise": ("share of wrong answers that the verifier lets pass", "1"),
    "selection": ("what the student learned from", "1"),
    "verifier": ("picked by", "1"),
    "beams": ("beams", "candidates"),
}


class Collapse(NamedTuple):
    """What became of skills.

    Attributes:
        mixtures: over (synthetic_fraction, examples, seed[, divisor]): ``accuracy`` on usual questions, ``each``, accuracy on
            pairs of a greatest common divisor, ``skills``, how many of these are learned.
        recovery: the same of students that learn from the generator's answers in the first half and from exact ones then,
            without synthetic_fraction.
        generators: over (seed[, divisor]): the same of the generators, ``answers``, the commonest answer, and what the rule of
            the largest learned divisor says: ``rule``.
        predicted: over (synthetic_fraction, seed): ``skills`` that the rule leaves, and ``agreement``, the share of divisors on
            which prediction and student agree.
    """

    mixtures: xr.Dataset
    recovery: xr.Dataset
    generators: xr.Dataset
    predicted: xr.Dataset

    def datasets(self) -> dict[str, xr.Dataset]:
        """All of them by name."""
        return self._asdict()


class Verification(NamedTuple):
    """What verifiers are worth.

    Attributes:
        selections: over (selection, examples, seed[, divisor]), as in :class:`Collapse`; and over (selection, seed) ``kept``,
            the share of questions of which the student saw an answer, and ``error``, the share of wrong answers among them.
        noises: over (p_noise, examples, seed[, divisor]): students of drawn answers that a noisy verifier let pass.
        generators: over (seed[, divisor]).
    """

    selections: xr.Dataset
    noises: xr.Dataset
    generators: xr.Dataset

    def datasets(self) -> dict[str, xr.Dataset]:
        """All of them by name."""
        return self._asdict()


def collapsed(size: Size, found: Found, marks: Sequence[Arrays], recovery: str) -> Collapse:
    """Students by fraction, those that recover, generators, and what the rule says of them."""
    names = {name: fraction for fraction, name in of_fractions(size).items()}
    mixtures = _students(size, found, names, "synthetic_fraction")
    made = of_generators(size, marks)
    return Collapse(
        mixtures,
        _students(size, found, {recovery: 0.0}, "synthetic_fraction").isel(synthetic_fraction=0, drop=True),
        made,
        predicted(size, mixtures, made),
    )


def of_fractions(size: Size) -> dict[float, str]:
    """What students of each share of the generator's answers are called; both studies have those of all and of none."""
    whole = {0.0: EXACT_DATA, 1.0: UNVERIFIED}
    return {fraction: whole.get(fraction, f"fraction {fraction:g}") for fraction in size.fractions}


def verified(size: Size, found: Found, marks: Sequence[Arrays], told_of: Mapping[tuple[str, int], Any]) -> Verification:
    """Students by what they learned from, and by the verifier's noise."""
    drawn = {f"drawn, {noise:g}": noise for noise in size.noises}
    others = {name: name for name in dict.fromkeys(name for name, _ in told_of) if name not in drawn}

    def completed(names: Mapping[str, Any], axis: str) -> xr.Dataset:
        table = _students(size, found, names, axis)
        for field in ("kept", "error"):
            values = [[told_of[name, chain][field] for chain in range(size.seeds)] for name in names]
            table[field] = ((axis, "seed"), np.asarray(values), _attributes(field))
        return table

    return Verification(completed(others, "selection"), completed(drawn, "p_noise"), of_generators(size, marks))


def of_generators(size: Size, marks: Sequence[Arrays]) -> xr.Dataset:
    """Over (seed[, divisor]), at the end of training; with divisors also the rule of the largest learned one."""
    last = {name: np.stack([one[name][-1] for one in marks]) for name in ("accuracy", "each", "answers")}
    dims = {"accuracy": ("seed",), "each": ("seed", "divisor"), "answers": ("seed", "divisor")}
    table = labelled(
        size, {name: (dims[name], values) for name, values in last.items()}, {"seed": np.arange(size.seeds)}
    )
    if isinstance(size.task, Gcd):
        rules = np.stack([largest_learned(size.divisors, row >= KNOWN) for row in last["each"]])
        table["rule"] = (("seed", "divisor"), rules, _attributes("rule"))
    return table


def largest_learned(divisors: Iterable[int], learned: np.ndarray) -> np.ndarray:
    """(K,) for each divisor the largest learned one that divides it; 1 is always known.

    Example:
        >>> largest_learned([1, 2, 3, 4, 5, 6], np.array([True, True, True, False, False, False])).tolist()
        [1, 2, 3, 2, 1, 3]
    """
    known = [1, *(k for k, yes in zip(divisors, learned, strict=True) if yes)]
    return np.asarray([max(k for k in known if divisor % k == 0) for divisor in divisors])


def predicted(size: Size, mixtures: xr.Dataset, made: xr.Dataset) -> xr.Dataset:
    """The rule of the divisors: a question whose answers disagree gets the commoner one.

    Where less than half of the answers are the generator's, students learn what students of exact answers learn; where more
    are, what the generator knows. At one half the rule does not say.
    """
    last = mixtures.each.isel(examples=-1)
    ours, theirs = last.sel(synthetic_fraction=0.0).values >= KNOWN, made.each.values >= KNOWN  # (seed, divisor)
    skills, agreement = [], []
    for fraction in size.fractions:
        rule = ours if fraction < 0.5 else theirs
        measured = last.sel(synthetic_fraction=fraction).values >= KNOWN
        skills.append(rule.sum(-1))
        agreement.append((rule == measured).mean(-1))
    axes = {"synthetic_fraction": np.asarray(size.fractions), "seed": np.arange(size.seeds)}
    arrays = {"skills": (tuple(axes), np.stack(skills)), "agreement": (tuple(axes), np.stack(agreement))}
    return labelled(size, arrays, axes)


def told(arrays: Arrays) -> str:
    """The last marks in words."""
    skills = f", {(arrays['each'][-1] >= KNOWN).sum()} divisors" if arrays["each"].shape[-1] else ""
    return f"{100 * float(arrays['accuracy'][-1]):.1f} % right{skills}"


def _students(size: Size, found: Found, names: Mapping[str, Any], axis: str) -> xr.Dataset:
    """Marks over (axis, examples, seed[, divisor])."""
    chains = range(size.seeds)

    def stacked(field: str) -> np.ndarray:
        return np.stack([np.stack([found[name, chain][field] for chain in chains], 1) for name in names])

    dims, each = (axis, "examples", "seed"), stacked("each")
    arrays: dict[str, Any] = {"accuracy": (dims, stacked("accuracy"))}
    if each.shape[-1]:
        arrays |= {"each": ((*dims, "divisor"), each), "skills": (dims, (each >= KNOWN).sum(-1))}
    first = next(iter(names))
    axes = {axis: list(names.values()), "examples": found[first, 0]["examples"], "seed": np.arange(size.seeds)}
    return labelled(size, arrays, axes)


def labelled(
    size: Size, arrays: Mapping[str, tuple[tuple[str, ...], np.ndarray]], axes: Mapping[str, Any]
) -> xr.Dataset:
    """Arrays, each with its dimensions, as a dataset with what they were made of."""
    coords = dict(axes) | ({"divisor": np.asarray(size.divisors)} if size.divisors else {})
    used = {name for dims, _ in arrays.values() for name in dims}
    made = {
        **made_with(),
        "parameters": parameters(size.shape),
        "task": str(size.task),
    }
    variables = {
        name: (dims, values, _attributes(name)) for name, (dims, values) in arrays.items() if 0 not in values.shape
    }
    described = {name: (name, values, _attributes(name)) for name, values in coords.items() if name in used}
    return xr.Dataset(variables, described, made)


def _attributes(name: str) -> dict[str, str]:
    if name in MEANINGS:
        return dict(zip(("long_name", "units"), MEANINGS[name], strict=True))
    return attributes(name)
