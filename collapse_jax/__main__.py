"""The command line: ``python -m collapse_jax``. Its commands are in :mod:`collapse_jax.commands`."""

import argparse
import os
import shlex
import sys
from collections.abc import Sequence

from collapse_jax import __version__
from collapse_jax.commands import COMMANDS
from collapse_jax.commands.mistake import UserError
from collapse_jax.commands.output import Output

DONE, MISTAKE, FAILED, INTERRUPTED = 0, 2, 3, 130  # the last is what shells expect after Ctrl-C
OWN_OPTIONS = ("-h", "--help", "--version", "--print-completion")
EPILOG = """\
examples:
  python -m collapse_jax                           the study, about a minute on two cores
  python -m collapse_jax --out here --seed 7       elsewhere, with other random numbers
  python -m collapse_jax --preset smoke            small and coarse, in seconds
  python -m collapse_jax images                    trained networks on handwritten digits, a few minutes
  python -m collapse_jax stories                   language models on stories of a model, 15 minutes
  python -m collapse_jax text --text wikitext2     models of text that learn from each other
  python -m collapse_jax text --task summaries     summaries that verifiers chose, 8 minutes
  python -m collapse_jax arithmetic                skills lost and verified, on greatest common divisors
  python -m collapse_jax figures                   list the published figures
  python -m collapse_jax figures strong-3          reproduce one of them
  python -m collapse_jax --json > numbers.json     the numbers for a program to read
  python -m collapse_jax study --help              all options of a command

exit codes: 0 done; 2 a mistake in the arguments or files; 3 the computation failed: not a number, or not enough memory;
130 interrupted; 1 a fault of the program, with a traceback
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code, as the help says."""
    words = list(sys.argv[1:] if argv is None else argv)
    # The study is what the package is for, so it needs no name.
    if not words or (words[0].startswith("-") and words[0] not in OWN_OPTIONS):
        words = ["study", *words]
    try:
        arguments = make_parser().parse_args(words)
    except SystemExit as stop:  # argparse has printed help, version or mistake
        return stop.code if isinstance(stop.code, int) else MISTAKE
    if arguments.command is None:
        make_parser().print_help()
        return DONE
    arguments.typed = shlex.join(words)
    output = Output(arguments)
    try:
        _turn_on_float64()
        COMMANDS[arguments.command].run(arguments, output)
        output.close()
    except BrokenPipeError:  # whoever reads what is printed has read enough, as in "| head"
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        print(f"\nInterrupted. Finished files are in {arguments.out}", file=sys.stderr)
        return INTERRUPTED
    except (UserError, ValueError, OSError, ImportError, MemoryError, FloatingPointError) as mistake:
        if arguments.debug:
            raise
        print(f"error: {mistake}", file=sys.stderr)
        return FAILED if isinstance(mistake, MemoryError | FloatingPointError) else MISTAKE
    return DONE


def make_parser() -> argparse.ArgumentParser:
    """The parser of the command line, with a sub-command for each of the commands."""
    import shtab

    style = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="collapse-jax" if sys.argv[0].endswith("collapse-jax") else "python -m collapse_jax",
        description="What a mixture of real and synthetic data does to the test error, by exact theory and exact simulation.",
        epilog=EPILOG,
        formatter_class=style,
    )
    parser.add_argument("--version", action="version", version=f"collapse_jax {__version__}")
    shtab.add_argument_to(parser, ["--print-completion"], help="print what completes commands in a shell, and exit")
    commands = parser.add_subparsers(dest="command", metavar="command", title="commands")
    for name, command in COMMANDS.items():
        own = commands.add_parser(
            name,
            help=command.SUMMARY,
            description=(command.run.__doc__ or "").replace("\n    ", "\n"),
            formatter_class=style,
        )
        command.configure(own)
        out = own.add_argument("--out", metavar="DIR", default="results", help="where files go (default: %(default)s)")
        out.complete = shtab.DIRECTORY  # pyright: ignore[reportAttributeAccessIssue]
        own.add_argument("--seed", type=_seed, default=0, help="of the random numbers (default: %(default)s)")
        own.add_argument("--json", action="store_true", help="print one JSON object with all numbers, and no tables")
        own.add_argument("--debug", action="store_true", help="show where an error comes from")
    return parser


def _seed(text: str) -> int:
    if not text.isdecimal() or int(text) >= 2**63:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 to 2^63 - 1")
    return int(text)


def _turn_on_float64() -> None:
    import jax

    jax.config.update("jax_enable_x64", True)


if __name__ == "__main__":
    sys.exit(main())
