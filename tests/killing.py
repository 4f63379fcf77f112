"""Commands that are killed in the middle, and given again."""

from typing import Any

import pytest

from collapse_jax.__main__ import main


def dies(arguments: list[str], monkeypatch: pytest.MonkeyPatch, module: Any, name: str, at: int) -> None:
    """The command is interrupted at the so many-th call of a function."""
    calls, function = [], getattr(module, name)

    def killed(*inputs: Any, **options: Any) -> Any:
        calls.append(1)
        if len(calls) == at:
            raise KeyboardInterrupt
        return function(*inputs, **options)

    with monkeypatch.context() as patch:
        patch.setattr(module, name, killed)
        assert main(arguments) == 130
