"""``python -m collapse_jax arithmetic``: skills lost and verified."""

import argparse

from collapse_jax.commands.output import Output

SUMMARY = "skills lost, and answers verified, on exact tasks"


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments."""
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


def run(arguments: argparse.Namespace, output: Output) -> None:
    """Collapse and verification where answers are exact: transformers that learn from a transformer's answers.

    Generators learn for a limited time and answer new questions. Students learn from their answers, from exact ones, from
    mixtures, and from answers that verifiers chose: exact, noisy, weak, or the generator itself.

    A run that is killed goes on where it was when the same command is given again.
    """
    from collapse_jax import arithmetic_study, report

    output.make_directory()
    size = arithmetic_study.size(arguments.task, arguments.preset)
    with output.parts(task=arguments.task, size=size._asdict()) as parts:
        if arguments.task == "gcd":
            lost = arithmetic_study.collapse(size, arguments.seed, parts, output.announce)
            output.datasets("arithmetic_gcd_collapse", lost.datasets())
            output.picture("arithmetic_gcd_collapse", arithmetic_study.draw_collapse(lost))
            report.print_collapse(output.console, lost)
        name = f"arithmetic_{arguments.task}_verification"
        verified = arithmetic_study.verification(size, arguments.seed, parts, output.announce)
        output.datasets(name, verified.datasets())
        output.picture(name, arithmetic_study.draw_verification(verified))
    report.print_verification(output.console, verified)
