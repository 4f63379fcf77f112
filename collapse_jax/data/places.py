"""Where data that are not part of the package lie on a disk."""

import os
from pathlib import Path

VARIABLE = "COLLAPSE_JAX_DATA"


def named() -> Path | None:
    """The folder that the environment variable ``COLLAPSE_JAX_DATA`` names, or None."""
    folder = os.environ.get(VARIABLE)
    return Path(folder) if folder else None


def has_named(folder: str) -> bool:
    """Whether the named folder has this one in it.

    Example:
        >>> has_named("no such folder")
        False
    """
    root = named()
    return root is not None and (root / folder).is_dir()


def cache() -> Path:
    """The library's folder among the user's caches."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "collapse_jax"


def usual(path: str | Path) -> list[Path]:
    """Where a file or folder is looked for when nobody says: in the named folder, then in the cache.

    Example:
        >>> usual("mnist")[-1].name
        'mnist'
    """
    return [folder / path for folder in (named(), cache()) if folder is not None]
