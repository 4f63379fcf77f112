"""The command line: ``python -m collapse_jax``.

A command is a row of :data:`COMMANDS`. Its ``configure`` adds arguments to a parser and its ``run`` computes; ``run`` imports
what it needs itself, so that ``--help`` answers at once.
"""

import argparse
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

INTERRUPTED = 130  # what shells expect after Ctrl-C


class Command(NamedTuple):
    """One sub-command: what it does in a line, its arguments, its work."""

    summary: str
    configure: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], None]


class UserError(Exception):
    """A mistake that the user can correct: shown in one line."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0 done, 2 for a mistake in the arguments or files, 130 after Ctrl-C."""
    words = list(sys.argv[1:] if argv is None else argv)
    # The study is what the package is for, so it needs no name.
    if not words or (words[0].startswith("-") and words[0] not in ("-h", "--help", "--version")):
        words = ["study", *words]
    try:
        arguments = _parser().parse_args(words)
    except SystemExit as stop:  # argparse has printed help, version or mistake
        return stop.code if isinstance(stop.code, int) else 2
    arguments.typed = shlex.join(words)
    try:
        _turn_on_float64()
        COMMANDS[arguments.command].run(arguments)
    except KeyboardInterrupt:
        print(f"\nInterrupted. Finished files are in {arguments.out}", file=sys.stderr)
        return INTERRUPTED
    except (UserError, ValueError, OSError, MemoryError) as mistake:
        if arguments.debug:
            raise
        print(f"error: {mistake}", file=sys.stderr)
        return 2
    return 0


def _turn_on_float64() -> None:
    import jax

    jax.config.update("jax_enable_x64", True)


# Arguments -------------------------------------------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    import collapse_jax

    style = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="python -m collapse_jax",
        description="What a mixture of real and synthetic data does to the test error, by exact theory and exact simulation.",
        epilog=(
            "examples:\n"
            "  python -m collapse_jax                           the study, about a minute on two cores\n"
            "  python -m collapse_jax --out here --seed 7       elsewhere, with other random numbers\n"
            "  python -m collapse_jax --preset smoke            small and coarse, in seconds\n"
            "  python -m collapse_jax images                    trained networks on handwritten digits, a few minutes\n"
            "  python -m collapse_jax stories                   language models on stories of a model, 15 minutes\n"
            "  python -m collapse_jax text --text wikitext2     models of text that learn from each other\n"
            "  python -m collapse_jax arithmetic                skills lost and verified, on greatest common divisors\n"
            "  python -m collapse_jax figures                   list the published figures\n"
            "  python -m collapse_jax figures strong-3          reproduce one of them\n"
            "  python -m collapse_jax study --help              all options of a command\n"
        ),
        formatter_class=style,
    )
    parser.add_argument("--version", action="version", version=f"collapse_jax {collapse_jax.__version__}")
    commands = parser.add_subparsers(dest="command", metavar="command", title="commands")
    for name, command in COMMANDS.items():
        own = commands.add_parser(
            name,
            help=command.summary,
            description=(command.run.__doc__ or "").replace("\n    ", "\n"),
            formatter_class=style,
        )
        command.configure(own)
        own.add_argument("--out", metavar="DIR", default="results", help="where files go (default: %(default)s)")
        own.add_argument("--seed", type=_seed, default=0, help="of the random numbers (default: %(default)s)")
        own.add_argument("--debug", action="store_true", help="show where an error comes from")
    return parser


def _seed(text: str) -> int:
    if not text.isdecimal() or int(text) >= 2**63:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 to 2^63 - 1")
    return int(text)


def _configure_study(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--preset",
        choices=("laptop", "smoke"),
        default="laptop",
        help="laptop: a minute or two on two cores; smoke: small and coarse, for tests (default: %(default)s)",
    )


def _configure_figures(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="*", metavar="NAME", help='figures to make, or "all"; none lists them')
    parser.add_argument(
        "--preset",
        choices=("full", "smoke"),
        default="full",
        help="full: the parameters of the paper; smoke: a tenth of the size, for tests (default: %(default)s)",
    )


def _configure_images(parser: argparse.ArgumentParser) -> None:
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


def _configure_stories(parser: argparse.ArgumentParser) -> None:
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
        default=0.0,
        metavar="SHARE",
        help="with --generations: share of new reference stories in what a generation learns from (default: %(default)s)",
    )


def _configure_text(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--preset",
        choices=("laptop", "paper", "smoke"),
        default="laptop",
        help="laptop: minutes on two cores; paper: GPT-2 with the passages of A Tale of Tails, for an accelerator; smoke: "
        "seconds, for tests (default: %(default)s)",
    )
    parser.add_argument(
        "--text",
        metavar="PATH",
        help="a .txt or .tokens file, .gz or not, or a folder of them, such as WikiText; stories of a small world by default",
    )


def _configure_arithmetic(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--task",
        choices=("gcd", "eigenvalues"),
        default="gcd",
        help="gcd: greatest common divisors, skills lost and what verifiers restore; eigenvalues: of symmetric matrices, "
        "verifiers only (default: %(default)s)",
    )
    parser.add_argument(
        "--preset",
        choices=("laptop", "paper", "smoke"),
        default="laptop",
        help="laptop: minutes on two cores; paper: the sizes of A Tale of Tails and of Beyond Model Collapse, for an "
        "accelerator; smoke: seconds, for tests (default: %(default)s)",
    )


# Commands --------------------------------------------------------------------------------------------------------------------


def _run_study(arguments: argparse.Namespace) -> None:
    """Strong model collapse on Gaussian data and on handwritten digits, theory and experiment side by side.

    Prints from which n on more data stops helping at each synthetic fraction, and writes datasets
    (NetCDF; read them with xarray.open_dataset) and pictures (PNG).
    """
    from collapse_jax import digits_study, report, study

    directory = report.writable_directory(arguments.out)
    gaussian, images, seed = study.SIZES[arguments.preset], digits_study.SIZES[arguments.preset], arguments.seed
    made_by = _provenance(arguments)
    with _Stages(4) as stages:
        # Each stage's files are finished before the next one starts, so that an interruption loses only one.
        stages.next("Gaussian data: more samples")
        more_data = study.samples(gaussian, seed)
        report.save_datasets(directory, "study_samples", more_data.comparison._asdict(), made_by)
        stages.next("Gaussian data: wider models")
        wider = study.widths(gaussian, seed)
        report.save_datasets(directory, "study_widths", wider.comparison._asdict(), made_by)
        report.save_picture(directory, "study", study.draw(more_data, wider))
        report.save_picture(directory, "decomposition", study.draw_decomposition(wider))
        stages.next("digits: more images")
        task = digits_study.task(seed)
        digits = digits_study.samples(task, images, seed)
        report.save_datasets(directory, "digits_samples", digits.comparison._asdict(), made_by)
        stages.next("digits: wider models")
        projected = digits_study.widths(task, images, seed)
        report.save_datasets(directory, "digits_widths", projected._asdict(), made_by)
        report.save_picture(directory, "digits", digits_study.draw(digits, projected))
    console = _console()
    report.print_samples(console, more_data)
    report.print_widths(console, wider)
    report.print_digits(console, digits, projected)
    console.print(f"Pictures: study.png, decomposition.png and digits.png in {directory}/, datasets beside them (*.nc)")


def _run_figures(arguments: argparse.Namespace) -> None:
    """Reproduce published figures: theory as lines, simulation as points. Without a name, list them.

    Each figure becomes NAME.png and one NAME_*.nc a dataset.
    """
    from collapse_jax import report
    from collapse_jax.figures import FIGURES

    console = _console()
    if not arguments.names:
        for figure in FIGURES.values():
            console.print(f"{figure.name:<20} {figure.title}", highlight=False, soft_wrap=True)
        return
    names = list(FIGURES) if arguments.names == ["all"] else arguments.names
    unknown = [name for name in names if name not in FIGURES]
    if unknown:
        raise UserError(f"no figure is called {', '.join(unknown)}; there are {', '.join(FIGURES)} and all")
    directory = report.writable_directory(arguments.out)
    for name in names:
        # The sweeps inside a figure show their own progress.
        print(f"figure {name}", file=sys.stderr)
        datasets = FIGURES[name].compute(arguments.preset, arguments.seed)
        report.save_datasets(directory, name, datasets, _provenance(arguments))
        picture = report.save_picture(directory, name, FIGURES[name].draw(datasets))
        console.print(f"{picture}  {FIGURES[name].title}", highlight=False, soft_wrap=True)


def _run_images(arguments: argparse.Namespace) -> None:
    """Strong model collapse on real images: labels of a weaker network among true ones.

    Three experiments: more images at several synthetic fractions, wider models, and teachers of graded quality. Errors are
    squared errors on test images with clean labels. Random features come with the theory of the images, nothing fitted.

    A run that is killed goes on where it was when the same command is given again.
    """
    from collapse_jax import images_study, report
    from collapse_jax.parts import Parts

    directory = report.writable_directory(arguments.out)
    size = images_study.size(arguments.dataset, arguments.model, arguments.preset)
    name = f"images_{arguments.dataset}_{arguments.model}"
    task = images_study.task(arguments.dataset, size, arguments.seed)
    made_by = {"version": _version(), "dataset": arguments.dataset, "model": arguments.model, "seed": arguments.seed}
    parts = Parts(directory / "unfinished", made_by | {"size": size._asdict()})
    started = time.monotonic()

    def announce(what: str) -> None:
        print(f"{time.monotonic() - started:7.1f} s  {what}", file=sys.stderr)

    result = images_study.MODELS[arguments.model](task, size, parts, announce)
    if parts.found:
        announce(f"{parts.found} finished parts were found in {parts.folder}")
    report.save_datasets(directory, name, result.datasets(), _provenance(arguments))
    report.save_picture(directory, name, images_study.draw(result))
    parts.delete()
    console = _console()
    report.print_images(console, result)
    console.print(f"Picture: {name}.png in {directory}/, datasets beside it ({name}_*.nc)", soft_wrap=True)


def _run_stories(arguments: argparse.Namespace) -> None:
    """Strong model collapse in language models: transformers on stories that another transformer wrote.

    A generator learns from reference stories and writes ten times as many tokens; students learn from mixtures of both. The
    loss is taken on held-out reference stories. With --generations, each model learns from the one before.

    A run that is killed goes on where it was when the same command is given again.
    """
    from collapse_jax import report, stories_study
    from collapse_jax.data.tokens import write_tokens
    from collapse_jax.parts import Parts

    directory = report.writable_directory(arguments.out)
    started = time.monotonic()

    def announce(what: str) -> None:
        print(f"{time.monotonic() - started:7.1f} s  {what}", file=sys.stderr)

    size = stories_study.size(arguments.preset)
    announce("stories and their tokens")
    corpus = stories_study.corpus(size, arguments.seed, arguments.stories)
    size = stories_study.prepared(size, corpus)
    made_by = {"version": _version(), "stories": corpus.digest, "seed": arguments.seed, "size": size._asdict()}
    console = _console()
    if arguments.generations is not None:
        parts = Parts(directory / "unfinished", made_by | {"fresh": arguments.fresh})
        found = stories_study.generations(
            corpus, size, arguments.generations, arguments.seed, parts, announce, fresh=arguments.fresh
        )
        report.save_datasets(directory, "stories", {"generations": found}, _provenance(arguments))
        report.save_picture(directory, "stories_generations", stories_study.draw_generations(found))
        parts.delete()
        report.print_generations(console, found)
        console.print(f"Picture: stories_generations.png in {directory}/, dataset beside it", soft_wrap=True)
        return
    parts = Parts(directory / "unfinished", made_by)
    result, synthetic = stories_study.mixtures(corpus, size, arguments.seed, parts, announce)
    if parts.found:
        announce(f"{parts.found} finished parts were found in {parts.folder}")
    report.save_datasets(directory, "stories", result.datasets(), _provenance(arguments))
    report.save_picture(directory, "stories", stories_study.draw(result))
    write_tokens(directory / "stories_synthetic.tokens", synthetic.stories, corpus.vocabulary.end)
    corpus.vocabulary.save(directory / "stories_vocabulary.json")
    parts.delete()
    report.print_stories(console, result)
    console.print(
        f"Picture: stories.png in {directory}/, datasets beside it (stories_*.nc), and what the generator wrote "
        "(stories_synthetic.tokens, stories_vocabulary.json)",
        soft_wrap=True,
    )


def _run_text(arguments: argparse.Namespace) -> None:
    """Models of text that learn from each other: each learns what the one before wrote after the prompts of a text.

    Beside what was written, a share of the true continuations; the loss is taken on true continuations that no model saw.

    A run that is killed goes on where it was when the same command is given again.
    """
    from collapse_jax import report, text_study
    from collapse_jax.parts import Parts

    directory = report.writable_directory(arguments.out)
    started = time.monotonic()

    def announce(what: str) -> None:
        print(f"{time.monotonic() - started:7.1f} s  {what}", file=sys.stderr)

    size = text_study.size(arguments.preset)
    announce("the text and its tokens")
    text = text_study.passages(size, arguments.seed, arguments.text)
    size = text_study.prepared(size, text.vocabulary.size)
    made_by = {"version": _version(), "text": text.digest, "seed": arguments.seed, "size": size._asdict()}
    parts = Parts(directory / "unfinished", made_by)
    found = text_study.chains(text, size, arguments.seed, parts, announce)
    if parts.found:
        announce(f"{parts.found} finished parts were found in {parts.folder}")
    report.save_datasets(directory, "text", {"chains": found}, _provenance(arguments))
    report.save_picture(directory, "text", text_study.draw(found))
    parts.delete()
    console = _console()
    report.print_text(console, found)
    console.print(f"Picture: text.png in {directory}/, dataset beside it (text_chains.nc)", soft_wrap=True)


def _run_arithmetic(arguments: argparse.Namespace) -> None:
    """Collapse and verification where answers are exact: transformers that learn from a transformer's answers.

    Generators learn for a limited time and answer new questions. Students learn from their answers, from exact ones, from
    mixtures, and from answers that verifiers chose: exact, noisy, weak, or the generator itself.

    A run that is killed goes on where it was when the same command is given again.
    """
    from collapse_jax import arithmetic_study, report
    from collapse_jax.parts import Parts

    directory = report.writable_directory(arguments.out)
    size = arithmetic_study.size(arguments.task, arguments.preset)
    made_by = {"version": _version(), "task": arguments.task, "seed": arguments.seed, "size": size._asdict()}
    parts = Parts(directory / "unfinished", made_by)
    started, console = time.monotonic(), _console()

    def announce(what: str) -> None:
        print(f"{time.monotonic() - started:7.1f} s  {what}", file=sys.stderr)

    if arguments.task == "gcd":
        lost = arithmetic_study.collapse(size, arguments.seed, parts, announce)
        report.save_datasets(directory, "arithmetic_gcd_collapse", lost.datasets(), _provenance(arguments))
        picture = arithmetic_study.draw_collapse(lost)
        report.save_picture(directory, "arithmetic_gcd_collapse", picture)
        report.print_collapse(console, lost)
    name = f"arithmetic_{arguments.task}_verification"
    verified = arithmetic_study.verification(size, arguments.seed, parts, announce)
    if parts.found:
        announce(f"{parts.found} finished parts were found in {parts.folder}")
    report.save_datasets(directory, name, verified.datasets(), _provenance(arguments))
    report.save_picture(directory, name, arithmetic_study.draw_verification(verified))
    parts.delete()
    report.print_verification(console, verified)
    console.print(f"Pictures: arithmetic_{arguments.task}_*.png in {directory}/, datasets beside them", soft_wrap=True)


def _version() -> str:
    import collapse_jax

    return collapse_jax.__version__


def _provenance(arguments: argparse.Namespace) -> dict[str, str]:
    """What anyone needs to make a file again; text, because NetCDF 3 has no large integers."""
    return {"command": f"python -m collapse_jax {arguments.typed}", "random_seed": str(arguments.seed)}


def _console() -> Any:
    from rich.console import Console

    return Console()


class _Stages:
    """A progress bar over the stages of a command, on standard error; plain lines where that is not a terminal."""

    def __init__(self, total: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        self.console = Console(stderr=True)
        columns = (
            SpinnerColumn(),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}"),
        )
        self.bar = Progress(*columns, console=self.console, disable=not self.console.is_terminal, transient=True)
        self.task = self.bar.add_task("starting", total=total)
        self.started = 0

    def __enter__(self) -> "_Stages":
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def next(self, description: str) -> None:
        """The stage before, if any, is done; this one starts."""
        self.bar.update(self.task, description=description, completed=self.started)
        self.started += 1
        if self.bar.disable:
            self.console.print(description, highlight=False)


COMMANDS = {
    "study": Command(
        "strong model collapse, on Gaussian data and on digits (the default)", _configure_study, _run_study
    ),
    "images": Command("strong model collapse on digits or MNIST, with networks", _configure_images, _run_images),
    "stories": Command("strong model collapse in language models", _configure_stories, _run_stories),
    "text": Command("models of text that learn from each other", _configure_text, _run_text),
    "arithmetic": Command("skills lost, and answers verified, on exact tasks", _configure_arithmetic, _run_arithmetic),
    "figures": Command("published figures: list them, or make them", _configure_figures, _run_figures),
}

if __name__ == "__main__":
    sys.exit(main())
