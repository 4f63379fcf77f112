"""``python -m collapse_jax study``, the default: strong collapse by theory and experiment."""

import argparse

from collapse_jax.commands.output import Output

SUMMARY = "strong model collapse, on Gaussian data and on digits (the default)"


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments."""
    parser.add_argument(
        "--preset",
        choices=("laptop", "smoke"),
        default="laptop",
        help="laptop: a minute or two on two cores; smoke: small and coarse, for tests (default: %(default)s)",
    )


def run(arguments: argparse.Namespace, output: Output) -> None:
    """Strong model collapse on Gaussian data and on handwritten digits, theory and experiment side by side.

    Prints from which n on more data stops helping at each synthetic fraction, and writes datasets
    (NetCDF; read them with xarray.open_dataset) and pictures (PNG).
    """
    from collapse_jax import digits_study, report, study

    output.make_directory()
    gaussian, images, seed = study.SIZES[arguments.preset], digits_study.SIZES[arguments.preset], arguments.seed
    with output.stages(4) as stages:
        # Each stage's files are finished before the next one starts, so that an interruption loses only one.
        stages.next("Gaussian data: more samples")
        more_data = study.samples(gaussian, seed)
        output.datasets("study_samples", more_data.comparison._asdict())
        stages.next("Gaussian data: wider models")
        wider = study.widths(gaussian, seed)
        output.datasets("study_widths", wider.comparison._asdict())
        output.picture("study", study.draw(more_data, wider))
        output.picture("decomposition", study.draw_decomposition(wider))
        stages.next("digits: more images")
        task = digits_study.task(seed)
        digits = digits_study.samples(task, images, seed)
        output.datasets("digits_samples", digits.comparison._asdict())
        stages.next("digits: wider models")
        projected = digits_study.widths(task, images, seed)
        output.datasets("digits_widths", projected._asdict())
        output.picture("digits", digits_study.draw(digits, projected))
    report.print_samples(output.console, more_data)
    report.print_widths(output.console, wider)
    report.print_digits(output.console, digits, projected)
