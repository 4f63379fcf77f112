"""``python -m collapse_jax text``: models of text that learn from each other."""

import argparse

from collapse_jax.commands.output import Output

SUMMARY = "models of text that learn from each other"


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments."""
    parser.add_argument(
        "--preset",
        choices=("laptop", "paper", "smoke"),
        default="laptop",
        help="laptop: twenty minutes on two cores; paper: GPT-2 with the passages of A Tale of Tails, for an accelerator; smoke: "
        "seconds, for tests (default: %(default)s)",
    )
    parser.add_argument(
        "--text",
        metavar="PATH",
        help="a .txt or .tokens file, .gz or not, or a folder of them, such as WikiText; stories of a small world by default",
    )


def run(arguments: argparse.Namespace, output: Output) -> None:
    """Models of text that learn from each other: each learns what the one before wrote after the prompts of a text.

    Beside what was written, a share of the true continuations; the loss is taken on true continuations that no model saw.

    A run that is killed goes on where it was when the same command is given again.
    """
    from collapse_jax import report, text_study

    output.make_directory()
    size = text_study.size(arguments.preset)
    output.announce("the text and its tokens")
    text = text_study.passages(size, arguments.seed, arguments.text)
    size = text_study.prepared(size, text.vocabulary.size)
    with output.parts(text=text.digest, size=size._asdict()) as parts:
        found = text_study.chains(text, size, arguments.seed, parts, output.announce)
        output.datasets("text", {"chains": found})
        output.picture("text", text_study.draw(found))
    report.print_text(output.console, found)
