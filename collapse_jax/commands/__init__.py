"""What the command line can do: a module for each command.

A module has ``SUMMARY``, what the command does in a line; ``configure``, which adds its arguments to a parser; and ``run``,
whose docstring is its help. ``run`` imports what it needs itself, so that ``--help`` answers at once.
"""

from collapse_jax.commands import arithmetic, figures, images, stories, study, text

COMMANDS = {
    "study": study,
    "images": images,
    "stories": stories,
    "text": text,
    "arithmetic": arithmetic,
    "figures": figures,
}
