"""Where data that are not part of the package lie on a disk."""

import gzip
import os
from collections.abc import Collection
from pathlib import Path
from typing import TextIO, cast

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


def text_files(path: str | os.PathLike[str], suffixes: Collection[str]) -> list[Path]:
    """The file, or the files of a folder in the order of their names, whose names end so, with ``.gz`` or without.

    Example:
        >>> text_files("/nowhere.txt", (".txt",))
        []
    """
    path = Path(path)
    there = sorted(path.iterdir()) if path.is_dir() else [path]
    return [file for file in there if file.is_file() and suffix(file) in suffixes]


def suffix(file: Path) -> str:
    """How a name ends but for ``.gz``.

    Example:
        >>> suffix(Path("stories.txt.gz"))
        '.txt'
    """
    return Path(file.name.removesuffix(".gz")).suffix


def open_text(file: Path) -> TextIO:
    """The text of a file, compressed or not."""
    return cast(TextIO, (gzip.open if file.suffix == ".gz" else open)(file, "rt", encoding="utf-8"))
