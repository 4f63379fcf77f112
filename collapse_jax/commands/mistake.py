"""What a user can correct."""


class UserError(Exception):
    """A mistake that the user can correct: shown in one line."""
