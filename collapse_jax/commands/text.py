"""``python -m collapse_jax text``: models of text that learn from each other."""

import argparse

from collapse_jax.commands.output import Output

SUMMARY = "models of text that learn from each other, or summaries that verifiers chose"


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments."""
    parser.add_argument(
        "--task",
        choices=("continuations", "summaries"),
        default="continuations",
        help="continuations: generations of models that go on from the prompts of a text; summaries: students of a model's "
        "summaries that verifiers chose (default: %(default)s)",
    )
    parser.add_argument(
        "--preset",
        choices=("laptop", "paper", "smoke"),
        default="laptop",
        help="laptop: twenty minutes on two cores, eight for summaries; paper: GPT-2 with the passages of A Tale of Tails or "
        "the news of Beyond Model Collapse, for an accelerator; smoke: seconds, for tests (default: %(default)s)",
    )
    parser.add_argument(
        "--text",
        metavar="PATH",
        help="a .txt or .tokens file, or for summaries a .jsonl file with a text and a summary a line, such as XL-Sum; .gz or "
        "not, or a folder of them; stories of a small world by default",
    )


def run(arguments: argparse.Namespace, output: Output) -> None:
    """Models of text that learn from each other: each learns what the one before wrote after the prompts of a text.

    Beside what was written, a share of the true continuations; the loss is taken on true continuations that no model saw.

    With --task summaries, a generator learns from an eighth of the documents and summarises the others; students learn from
    the summaries that a verifier chose. Measured by ROUGE, and on stories also by what is exactly right.

    A run that is killed goes on where it was when the same command is given again.
    """
    output.make_directory()
    (_summaries if arguments.task == "summaries" else _continuations)(arguments, output)


def _continuations(arguments: argparse.Namespace, output: Output) -> None:
    from collapse_jax import report, text_study

    size = text_study.size(arguments.preset)
    output.announce("the text and its tokens")
    text = text_study.passages(size, arguments.seed, arguments.text)
    size = text_study.prepared(size, text.vocabulary.size)
    with output.parts(text=text.digest, size=size._asdict()) as parts:
        found = text_study.chains(text, size, arguments.seed, parts, output.announce)
        output.datasets("text", {"chains": found})
        output.picture("text", text_study.draw(found))
    report.print_text(output.console, found)


def _summaries(arguments: argparse.Namespace, output: Output) -> None:
    from collapse_jax import report, summaries_study

    size = summaries_study.size(arguments.preset)
    output.announce("the documents and their tokens")
    given = summaries_study.documents(size, arguments.seed, arguments.text)
    size = summaries_study.prepared(size, given.vocabulary.size)
    with output.parts(task="summaries", documents=given.digest, size=size._asdict()) as parts:
        found = summaries_study.verification(given, size, arguments.seed, parts, output.announce)
        output.datasets("summaries", found.datasets())
        output.picture("summaries", summaries_study.draw(found))
    report.print_summaries(output.console, found)
