"""What the commands say on the screen: tables and sentences."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from rich.console import Console
from rich.table import Table

from collapse_jax import digits_study, study
from collapse_jax.sweep import mean_and_error

if TYPE_CHECKING:  # Flax takes a second to load
    from collapse_jax import arithmetic_study, stories_study, summaries_study
    from collapse_jax.images_study import Result

FRACTION = "synthetic\nfraction"


def print_samples(console: Console, result: study.Samples) -> None:
    """Where more data stops helping on Gaussian data."""
    attributes = result.comparison.theory.attrs
    _print_table(
        console,
        f"More data: linear model, d = {attributes['dim']}, quality c² = {attributes['quality']:g}",
        (
            FRACTION,
            "error with\nendless data",
            "more data stops\nhelping from n =",
            "real samples that\ndo as well alone",
        ),
        [_saturation_row(row, result.comparison) for row in result.saturations],
    )
    for line in saturation_sentences(result.saturations, float(result.comparison.theory.n.max()), "samples"):
        console.print(line)
    console.print(agreement_sentence("Theory and simulation", study.agreement(result.comparison)), "\n")


def print_widths(console: Console, result: study.Widths) -> None:
    """What a wider model costs."""
    attributes = result.comparison.theory.attrs
    rows = [
        (f"{r.quality:g}", count(r.width), f"{r.error:.3f}", f"{r.widest:.3f}", f"{100 * r.collapse / r.widest:.0f} %")
        for r in result.best
    ]
    widest = count(float(result.comparison.theory.width.max()))
    _print_table(
        console,
        f"Wider models: random projections, d = {attributes['dim']}, n = {attributes['n']}, half of it synthetic",
        ("quality c²", "best width", "error there", f"error at\nwidth {widest}", "of which\ncollapse"),
        rows,
    )
    console.print(width_sentence(result.best))
    console.print(agreement_sentence("Theory and simulation", study.agreement(result.comparison)), "\n")


def print_digits(console: Console, result: digits_study.Samples, widths: study.Comparison) -> None:
    """The same on handwritten digits, measured beside theory."""
    attributes = result.comparison.theory.attrs
    n, splits = int(result.comparison.measured.n.max()), result.comparison.measured.sizes["seed"]
    _print_table(
        console,
        f"Handwritten digits: ridge on pixels, teacher fitted on {attributes['teacher_images']} images "
        f"(c² = {attributes['quality']:.2f})",
        (FRACTION, f"measured at\nn = {n}", "theory\nthere", "misread\n", "theory,\nn = ∞", "stop helping\nfrom n ="),
        _digits_rows(result),
    )
    console.print(
        f"Excess error: squared error on {attributes['held_out']} held-out images beyond the "
        f"{attributes['noise_variance']:.3f} that the best linear model leaves; ± standard error over {splits} splits."
    )
    for line in saturation_sentences(result.saturations, float(result.comparison.theory.n.max()), "images"):
        console.print(line)
    console.print(agreement_sentence("Theory and measurement, pixels", study.agreement(result.comparison)))
    console.print(agreement_sentence("Theory and measurement, random projections", study.agreement(widths)), "\n")


def print_images(console: Console, result: "Result") -> None:
    """What more images, wider models and better teachers are worth on real images."""
    known, theory = result.samples.attrs, result.theory.get("samples")
    mean, error = mean_and_error(result.samples)
    first, last = int(mean.n.min()), int(mean.n.max())
    headings = [FRACTION, f"test error at\nn = {first:,}", f"at\nn = {last:,}", "misread\nthere"]
    rows = []
    for fraction in mean.synthetic_fraction.values:
        few, many = (mean.total.sel(n=n, synthetic_fraction=fraction) for n in (first, last))
        spread = error.total.sel(n=last, synthetic_fraction=fraction)
        misread = mean.misread.sel(n=last, synthetic_fraction=fraction)
        row = [
            f"{fraction:g}",
            f"{float(few):.3f}",
            f"{float(many):.3f} ± {float(spread):.3f}",
            f"{100 * float(misread):.1f} %",
        ]
        if theory is not None:
            row.append(f"{float(theory.total.sel(n=last, synthetic_fraction=fraction)):.3f}")
        rows.append(row)
    if theory is not None:
        headings.append("theory\nthere")
    console.print(known["setting"], highlight=False)
    _print_table(console, f"Width {known['width']:,}, teacher with c² = {known['quality']:.2f}", headings, rows)
    console.print(gain_sentence(mean.total), highlight=False)
    if theory is not None:
        gap = study.agreement(study.Comparison(theory, result.samples))
        console.print(agreement_sentence("Theory and measurement", gap))
        return
    console.print(wider_sentence(result.widths.total), highlight=False)


def print_stories(console: Console, result: "stories_study.Result") -> None:
    """What more tokens are worth to language models, the fitted floors, and samples of what the generator wrote."""
    found = result.fractions
    mean, error = mean_and_error(found[["total"]])
    middle, last = (int(mean.tokens[i]) for i in (mean.sizes["tokens"] // 2 - 1, -1))
    rows = []
    for fraction in mean.synthetic_fraction.values:
        at = {"synthetic_fraction": fraction}
        spread, law = float(error.total.sel(tokens=last, **at)), result.floors.sel(at)
        rows.append((
            f"{fraction:g}",
            f"{float(mean.total.sel(tokens=middle, **at)):.3f}",
            f"{float(mean.total.sel(tokens=last, **at)):.3f} ± {spread:.3f}",
            f"{float(law.floor):.2f} ± {float(law.floor_error):.2f}",
            f"{float(law.floor_weight):.2f}",
        ))  # fmt: skip
    console.print("Stories that the generator wrote:", style="bold")
    for text in result.samples:
        console.print(f"  {text}", highlight=False, soft_wrap=True)
    _print_table(
        console,
        f"{found.total.attrs['long_name'].capitalize()} ({found.total.attrs['units']}), "
        f"{found.attrs['parameters']:,} parameters",
        (
            FRACTION,
            f"after\n{middle:,} tokens",
            f"after\n{last:,} tokens",
            "fitted\nfloor",
            "weight of a\nlaw with floor",
        ),
        rows,
    )
    console.print(
        f"The generator, trained on {found.attrs['generator_tokens']:,} tokens, has "
        f"{found.attrs['generator_excess']:.3f} itself.",
        highlight=False,
    )


def print_generations(console: Console, found: xr.Dataset) -> None:
    """Each measure by generation, mean and standard error over chains."""
    mean, error = mean_and_error(found)
    headings = {  # shares in percent
        "total": ("loss", 1),
        "entropy": ("entropy", 1),
        "tail": ("tail\nwords %", 100),
        "distinct": ("distinct\npairs %", 100),
        "grammatical": ("could be\ntold %", 100),
    }
    names = [name for name in headings if mean[name].notnull().any()]
    references = {name: found.attrs.get("entropy" if name == "entropy" else f"reference_{name}") for name in names}
    rows = [
        ["truth", *("" if value is None else f"{headings[name][1] * value:.1f}" for name, value in references.items())]
    ]
    for generation in found.generation.values:
        row = [str(generation)]
        for name in names:
            one, two = (headings[name][1] * float(table[name].sel(generation=generation)) for table in (mean, error))
            row.append(f"{one:.1f} ± {two:.1f}")
        rows.append(row)
    names_of_columns = ["gen.", *(headings[name][0] for name in names)]
    _print_table(console, "Generations, each of which learns from the one before", names_of_columns, rows)


def print_text(console: Console, found: xr.Dataset) -> None:
    """Perplexity by generation at each share of true continuations."""
    mean, error = mean_and_error(found[["total"]].isel(tokens=-1).map(np.exp))
    shares = found.real_share.values
    rows = []
    for generation in found.generation.values:
        at = [{"generation": generation, "real_share": share} for share in shares]
        rows.append(
            [str(generation), *(f"{float(mean.total.sel(one)):.2f} ± {float(error.total.sel(one)):.2f}" for one in at)]
        )
    headings = ["generation", *(f"{100 * share:g}% true" for share in shares)]
    title = f"Perplexity of held-out continuations, {found.attrs['parameters']:,} parameters"
    _print_table(console, title, headings, rows)


def print_summaries(console: Console, result: "summaries_study.Result") -> None:
    """ROUGE-1, and what is exactly right, by selection and share; the marks of generator and stronger model."""
    found = result.students
    for name in ("rouge1", "exact"):
        if name not in found:
            continue
        rows = [
            [
                str(selection),
                *(_mean_text(100 * found[name].sel(selection=selection, share=share)) for share in found.share),
            ]
            for selection in found.selection.values
        ]
        headings = ["learned from", *(f"{100 * float(share):g}% of the\nsummaries" for share in found.share)]
        meaning = found[name].attrs["long_name"]
        title = f"{meaning}, x 100" if name == "rouge1" else f"{meaning.capitalize()}, in %"
        _print_table(console, title, headings, rows)
    for model in result.models.model.values:
        marks = result.models.sel(model=model)
        exact = f", {_mean_text(100 * marks.exact)} % exactly right" if "exact" in marks else ""
        name = {"stronger": "stronger model"}.get(str(model), model)
        console.print(f"The {name}: ROUGE-1 {_mean_text(100 * marks.rouge1)}{exact}.", highlight=False)
    for selection in ("self", "stronger", "oracle"):
        console.print(verifier_sentence(found.rouge1, selection), highlight=False)


def verifier_sentence(rouge1: xr.DataArray, selection: str) -> str:
    """What a verifier adds to as many random summaries, seed by seed.

    Example:
        >>> axes = {"selection": ["random", "oracle"], "share": [0.25, 0.5, 1.0], "seed": [0, 1]}
        >>> values = np.array([[[0.5, 0.6]] * 3, [[0.7, 0.76], [0.6, 0.7], [0.5, 0.6]]])
        >>> print(verifier_sentence(xr.DataArray(values, axes), "oracle"))
        oracle against random, ROUGE-1 seed by seed: +18.0 ± 2.0 at 25%, +10.0 ± 0.0 at 50%.
    """
    gains = 100 * (rouge1.sel(selection=selection) - rouge1.sel(selection="random"))
    told = []
    for share in gains.share.values[:-1]:  # all summaries are the same ones for all verifiers
        words = _mean_text(gains.sel(share=share))
        told.append(f"{'' if words.startswith('-') else '+'}{words} at {100 * share:g}%")
    return f"{selection} against random, ROUGE-1 seed by seed: {', '.join(told)}."


def print_collapse(console: Console, result: "arithmetic_study.Collapse") -> None:
    """Accuracy and learned divisors at the end, by the share of the generator's answers, and what the rule says."""
    last, examples = result.mixtures.isel(examples=-1), int(result.mixtures.examples[-1])
    rows = [
        [
            f"{fraction:g}",
            _mean_text(100 * last.accuracy.sel(at)) + " %",
            _mean_text(last.skills.sel(at)),
            f"{float(result.predicted.skills.sel(at).mean()):.1f}",
            f"{100 * float(result.predicted.agreement.sel(at).mean()):.0f} %",
        ]
        for fraction in last.synthetic_fraction.values
        for at in [{"synthetic_fraction": fraction}]
    ]
    end = result.recovery.isel(examples=-1)
    rows.append(["1, then 0", _mean_text(100 * end.accuracy) + " %", _mean_text(end.skills), "", ""])
    _print_table(
        console,
        f"Greatest common divisors, after {examples:,} answers",
        (FRACTION, "right", "learned\ndivisors", "by the\nrule", "divisors on which\nboth agree"),
        rows,
    )
    known = result.generators
    same = float((known.answers == known.rule).mean())
    console.print(
        f"The generators are right in {100 * float(known.accuracy.mean()):.1f} % and know "
        f"{float((known.each >= 0.95).sum('divisor').mean()):.1f} divisors; the commonest answer is the largest learned one "
        f"for {100 * same:.0f} % of the divisors.",
        highlight=False,
    )


def print_verification(console: Console, result: "arithmetic_study.Verification") -> None:
    """Accuracy at the end by what was learned from, and by the verifier's noise."""
    for table, axis in ((result.selections, "selection"), (result.noises, "p_noise")):
        last = table.isel(examples=-1)
        rows = [
            [
                f"{value}",
                f"{100 * float(last.kept.sel(at).mean()):.1f} %",
                f"{100 * float(last.error.sel(at).mean()):.1f} %",
                _mean_text(100 * last.accuracy.sel(at)) + " %",
                *([_mean_text(last.skills.sel(at))] if "skills" in last else []),
            ]
            for value in last[axis].values
            for at in [{axis: value}]
        ]
        title = "Students of verified answers" if axis == "selection" else "Drawn answers, a noisy verifier"
        headings = [
            axis,
            "passed",
            "wrong among\nthese",
            "student\nright",
            *(["learned\ndivisors"] if "skills" in last else []),
        ]
        _print_table(console, f"{title}, after {int(last.examples):,} answers", headings, rows)
    console.print(
        f"The generators are right in {100 * float(result.generators.accuracy.mean()):.1f} %.", highlight=False
    )


def _mean_text(values: xr.DataArray) -> str:
    mean, error = mean_and_error(values.to_dataset(name="value"))
    return f"{float(mean.value):.1f} ± {float(error.value):.1f}"


def gain_sentence(total: xr.DataArray) -> str:
    """What the last step to more images is worth with true labels and with the most synthetic ones.

    Example:
        >>> total = xr.DataArray([[0.4, 0.6], [0.2, 0.54]], {"n": [100, 400], "synthetic_fraction": [0.0, 0.9]})
        >>> print(gain_sentence(total))
        From n = 100 to 400 the error falls by 50 % with real labels only, and by 10 % where a share of 0.9 is synthetic.
    """
    before, after = (total.sortby("n").isel(n=i) for i in (-2, -1))
    falls = 100 * (1 - after / before)
    real, synthetic = (float(falls.isel(synthetic_fraction=i)) for i in (0, -1))
    return (
        f"From n = {int(before.n):,} to {int(after.n):,} the error falls by {real:.0f} % with real labels only, and by "
        f"{synthetic:.0f} % where a share of {float(falls.synthetic_fraction[-1]):g} is synthetic."
    )


def wider_sentence(total: xr.DataArray) -> str:
    """Whether wider networks do better or worse when all labels are synthetic, with few and with many images.

    Example:
        >>> both = [[0.7, 0.6], [0.5, 0.53]], [[0.8, 0.7], [0.6, 0.65]]
        >>> total = xr.DataArray(list(both), dims=("seed", "n", "width"), coords={"n": [100, 400], "width": [10, 90]})
        >>> print(wider_sentence(total))
        All labels synthetic: width 90 instead of 10 changes the error by -0.100 ± 0.000 at n = 100,
        by +0.040 ± 0.010 at n = 400.
    """
    total = total.sortby(["n", "width"])
    # Networks of one seed share images and teacher, so their difference varies less than they do.
    mean, error = mean_and_error((total.isel(width=-1) - total.isel(width=0)).to_dataset(name="change"))
    words = [f"by {mean.change[i]:+.3f} ± {error.change[i]:.3f} at n = {int(total.n[i]):,}" for i in (0, -1)]
    narrow, wide = (int(total.width[i]) for i in (0, -1))
    return f"All labels synthetic: width {wide:,} instead of {narrow:,} changes the error {', '.join(words)}."


def saturation_sentences(rows: Sequence[study.Saturation], largest: float, unit: str) -> list[str]:
    """What matters, in words: from which n on more data stops helping, and at what error.

    Example:
        >>> row = study.Saturation(synthetic_fraction=0.1, floor=0.0025, stops_at=16768.0, real_alone=600.0)
        >>> print(*saturation_sentences([row], 1e9, "samples"))
        With 10 % synthetic data, more data stops helping from n = 17,000 on: the error stays within 10 % of 0.0025,
        which 600 real samples alone reach.
    """
    sentences = []
    for row in rows:
        percent = 100 * row.synthetic_fraction
        share = f"{percent:g} % synthetic data" if percent else "real data only"
        if row.stops_at > largest:
            sentences.append(f"With {share}, more data still helps at n = {count(largest)}.")
            continue
        alone = f", which {count(row.real_alone)} real {unit} alone reach" if percent else ", the bias of the ridge"
        sentences.append(
            f"With {share}, more data stops helping from n = {count(row.stops_at)} on: "
            f"the error stays within {100 * study.WITHIN:g} % of {row.floor:.2g}{alone}."
        )
    return sentences


def width_sentence(rows: Sequence[study.BestWidth]) -> str:
    """How the best width falls with the quality of the synthetic data.

    Example:
        >>> rows = [study.BestWidth(0.0, 1700.0, 0.11, 0.11, 0.0), study.BestWidth(1.0, 20.0, 0.8, 1.6, 1.5)]
        >>> print(width_sentence(rows))
        With perfect labels (c² = 0) the best width is 1,700; with c² = 1 it is 20, and the widest model's error is
        2.0 times as large.
    """
    first, last = rows[0], rows[-1]
    return (
        f"With perfect labels (c² = {first.quality:g}) the best width is {count(first.width)}; "
        f"with c² = {last.quality:g} it is {count(last.width)}, "
        f"and the widest model's error is {last.widest / last.error:.1f} times as large."
    )


def agreement_sentence(sides: str, gap: study.Agreement) -> str:
    """How far theory and experiment are apart.

    Example:
        >>> gap = study.Agreement(84, 3.3, 0.5, 4.1, 1.6, {"n": 192.0, "synthetic_fraction": 0.01})
        >>> print(agreement_sentence("Theory and simulation", gap))
        Theory and simulation: 84 points differ by 0.5 % typically and by 3.3 % at most (at n = 192, synthetic_fraction = 0.01);
        in standard errors 1.6 and 4.1.
    """
    where = ", ".join(f"{name} = {value:g}" for name, value in gap.where.items())
    return (
        f"{sides}: {gap.points} points differ by {gap.typical_percent:.1f} % typically and by {gap.worst_percent:.1f} % "
        f"at most (at {where}); in standard errors {gap.typical_errors:.1f} and {gap.worst_errors:.1f}."
    )


def count(value: float) -> str:
    """A number of samples to two digits, as people write it.

    Example:
        >>> count(16768.0), count(6.4e5), count(5.24e7), count(1e9), count(192)
        ('17,000', '640,000', '52 million', '1 billion', '190')
    """
    value = float(f"{value:.2g}")
    for size, name in ((1e9, "billion"), (1e6, "million")):
        if value >= size:
            return f"{value / size:g} {name}"
    return f"{value:,.0f}"


def _saturation_row(row: study.Saturation, comparison: study.Comparison) -> tuple[str, ...]:
    largest = float(comparison.theory.n.max())
    if row.stops_at > largest:
        return f"{row.synthetic_fraction:g}", "none reached", f"beyond {count(largest)}", "-"
    alone = "-" if row.synthetic_fraction == 0 else count(row.real_alone)
    return f"{row.synthetic_fraction:g}", f"{row.floor:.2g}", count(row.stops_at), alone


def _digits_rows(result: digits_study.Samples) -> Iterable[tuple[str, ...]]:
    comparison = result.comparison
    mean, error = mean_and_error(comparison.measured)
    for row in result.saturations:
        at = {"n": float(mean.n.max()), "synthetic_fraction": row.synthetic_fraction}
        here = mean.sel(at)
        fraction, floor, stops_at, _ = _saturation_row(row, comparison)
        measured = f"{float(here.total):.4f} ± {float(error.sel(at).total):.4f}"
        theory = f"{float(comparison.theory.total.sel(at)):.4f}"
        yield fraction, measured, theory, f"{100 * float(here.misread):.1f} %", floor, stops_at


def _print_table(console: Console, title: str, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    table = Table(header_style="bold")
    for heading in headings:
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(*row)
    # A title of the table would wrap at the table's own width.
    console.print(title, style="bold", highlight=False)
    console.print(table)
