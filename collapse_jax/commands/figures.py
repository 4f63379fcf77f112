"""``python -m collapse_jax figures``: published figures."""

import argparse
import sys

from collapse_jax.commands.mistake import UserError
from collapse_jax.commands.output import Output

SUMMARY = "published figures: list them, or make them"


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments."""
    parser.add_argument("names", nargs="*", metavar="NAME", help='figures to make, or "all"; none lists them')
    parser.add_argument(
        "--preset",
        choices=("full", "smoke"),
        default="full",
        help="full: the parameters of the paper; smoke: a tenth of the size, for tests (default: %(default)s)",
    )


def run(arguments: argparse.Namespace, output: Output) -> None:
    """Reproduce published figures: theory as lines, simulation as points. Without a name, list them.

    Each figure becomes NAME.png and one NAME_*.nc a dataset.
    """
    from collapse_jax.figures import FIGURES

    if not arguments.names:
        output.facts["figures"] = {figure.name: figure.title for figure in FIGURES.values()}
        for figure in () if arguments.json else FIGURES.values():
            output.console.print(f"{figure.name:<20} {figure.title}", highlight=False, soft_wrap=True)
        return
    names = list(FIGURES) if arguments.names == ["all"] else arguments.names
    unknown = [name for name in names if name not in FIGURES]
    if unknown:
        raise UserError(f"no figure is called {', '.join(unknown)}; there are {', '.join(FIGURES)} and all")
    output.make_directory()
    for name in names:
        # The sweeps inside a figure show their own progress.
        print(f"figure {name}", file=sys.stderr)
        datasets = FIGURES[name].compute(arguments.preset, arguments.seed)
        output.datasets(name, datasets)
        output.picture(name, FIGURES[name].draw(datasets))
