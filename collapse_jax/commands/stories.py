"""``python -m collapse_jax stories``: strong collapse in language models."""

import argparse

from collapse_jax.commands.mistake import UserError
from collapse_jax.commands.output import Output

SUMMARY = "strong model collapse in language models"


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments."""
    parser.add_argument(
        "--preset",
        choices=("laptop", "tinystories", "paper", "smoke"),
        default="laptop",
        help="laptop: stories of a small world whose truth is known, a quarter of an hour on two cores; tinystories: stories "
        "from your disk, for an accelerator or a night; paper: GPT-2 with the numbers of Strong Model Collapse; "
        "smoke: seconds, for tests (default: %(default)s)",
    )
    parser.add_argument(
        "--stories", metavar="PATH", help="a .txt or .jsonl file of stories, .gz or not, or a folder of them"
    )
    parser.add_argument(
        "--generations",
        type=int,
        metavar="G",
        help="instead of mixtures: G generations, each of which learns from what the one before wrote",
    )
    parser.add_argument(
        "--fresh",
        type=float,
        metavar="SHARE",
        help="with --generations: share of new reference stories in what a generation learns from (default: 0)",
    )


def run(arguments: argparse.Namespace, output: Output) -> None:
    """Strong model collapse in language models: transformers on stories that another transformer wrote.

    A generator learns from reference stories and writes ten times as many tokens; students learn from mixtures of both. The
    loss is taken on held-out reference stories. With --generations, each model learns from the one before.

    A run that is killed goes on where it was when the same command is given again.
    """
    from collapse_jax import report, stories_study
    from collapse_jax.data.tokens import write_tokens

    if arguments.fresh is not None and arguments.generations is None:
        raise UserError(f"--fresh {arguments.fresh:g} is for generations; give --generations G too")
    directory = output.make_directory()
    size = stories_study.size(arguments.preset)
    output.announce("stories and their tokens")
    corpus = stories_study.corpus(size, arguments.seed, arguments.stories)
    size = stories_study.prepared(size, corpus)
    made_of = {"stories": corpus.digest, "size": size._asdict()}
    if arguments.generations is not None:
        fresh = arguments.fresh or 0.0
        with output.parts(**made_of, fresh=fresh) as parts:
            found = stories_study.generations(
                corpus, size, arguments.generations, arguments.seed, parts, output.announce, fresh=fresh
            )
            output.datasets("stories", {"generations": found})
            output.picture("stories_generations", stories_study.draw_generations(found))
        report.print_generations(output.console, found)
        return
    with output.parts(**made_of) as parts:
        result, synthetic = stories_study.mixtures(corpus, size, arguments.seed, parts, output.announce)
        output.datasets("stories", result.datasets())
        output.picture("stories", stories_study.draw(result))
        # What the generator wrote, for whoever wants to read it or to train on it.
        write_tokens(directory / "stories_synthetic.tokens", synthetic.stories, corpus.vocabulary.end)
        corpus.vocabulary.save(directory / "stories_vocabulary.json")
        output.wrote("stories_synthetic.tokens", "stories_vocabulary.json")
    report.print_stories(output.console, result)
