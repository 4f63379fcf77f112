"""``python -m collapse_jax images``: strong collapse on real images."""

import argparse

from collapse_jax.commands.output import Output

SUMMARY = "strong model collapse on digits or MNIST, with networks"


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments."""
    parser.add_argument(
        "--dataset",
        choices=("digits", "mnist"),
        default="digits",
        help="digits: 1,797 images of 8 x 8, embedded; mnist: 70,000 of 28 x 28, read from your disk (default: %(default)s)",
    )
    parser.add_argument(
        "--model",
        choices=("features", "mlp"),
        default="mlp",
        help="features: ridge regression on random ReLU features, with its theory; mlp: two-layer networks trained by SGD "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--preset",
        choices=("laptop", "paper", "smoke"),
        default="laptop",
        help="laptop: minutes on two cores; paper: the sizes of Strong Model Collapse, MNIST only, for an accelerator; smoke: "
        "seconds, for tests (default: %(default)s)",
    )


def run(arguments: argparse.Namespace, output: Output) -> None:
    """Strong model collapse on real images: labels of a weaker network among true ones.

    Three experiments: more images at several synthetic fractions, wider models, and teachers of graded quality. Errors are
    squared errors on test images with clean labels. Random features come with the theory of the images, nothing fitted.

    A run that is killed goes on where it was when the same command is given again.
    """
    from collapse_jax import images_study, report

    output.make_directory()
    size = images_study.size(arguments.dataset, arguments.model, arguments.preset)
    name = f"images_{arguments.dataset}_{arguments.model}"
    task = images_study.task(arguments.dataset, size, arguments.seed)
    with output.parts(dataset=arguments.dataset, model=arguments.model, size=size._asdict()) as parts:
        result = images_study.MODELS[arguments.model](task, size, parts, output.announce)
        output.datasets(name, result.datasets())
        output.picture(name, images_study.draw(result))
    report.print_images(output.console, result)
