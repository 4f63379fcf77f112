"""What a command leaves: files that say what made them, a page that lists them, and what it says on the screen."""

import argparse
import json
import math
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import collapse_jax

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure
    from rich.console import Console

    from collapse_jax.parts import Parts

TITLE = "# Results of collapse_jax\n"


class Output:
    """Files, words and numbers of one run of a command.

    Args:
        arguments: of the command line: ``out``, ``seed``, ``json``, and ``typed``, the words of the command.

    Attributes:
        directory: where files go; made by :meth:`make_directory`.
        facts: what else ``--json`` tells.
    """

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.directory = Path(arguments.out)
        self.seed, self.json, self.command = arguments.seed, arguments.json, f"python -m collapse_jax {arguments.typed}"
        self.facts: dict[str, Any] = {}
        self.files: list[str] = []
        self._results: dict[str, Any] = {}
        self._started = time.monotonic()

    @cached_property
    def console(self) -> "Console":
        """The screen; standard error where standard output is for JSON."""
        from rich.console import Console

        return Console(stderr=self.json)

    def announce(self, what: str) -> None:
        """Tell of progress, with the seconds since the start."""
        print(f"{time.monotonic() - self._started:7.1f} s  {what}", file=sys.stderr)

    def stages(self, total: int) -> "Stages":
        """A progress bar over so many stages."""
        return Stages(total)

    def make_directory(self) -> Path:
        """The directory, made if need be; raises before hours are computed that could not be saved.

        Raises:
            OSError: where no file can be written, with the way out.
        """
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.directory):
                pass
        except OSError as error:
            raise OSError(
                f"cannot write to {self.directory}: {error.strerror}. Choose another directory with --out DIR"
            ) from error
        return self.directory

    @contextmanager
    def parts(self, **made_of: Any) -> Iterator["Parts"]:
        """Parts of a run that goes on where it was killed; removed at the end, when all of it is written."""
        from collapse_jax.parts import Parts

        made_by = {"version": collapse_jax.__version__, "seed": self.seed, **made_of}
        parts = Parts(self.directory / "unfinished", made_by)
        if count := parts.count():
            self.announce(f"{count} finished parts were found in {parts.folder}")
        yield parts
        parts.delete()

    def datasets(self, name: str, datasets: Mapping[str, "xr.Dataset"]) -> None:
        """Write each dataset to ``name_key.nc`` (NetCDF 3), with what made it among its attributes."""
        for key, dataset in datasets.items():
            path = self.directory / f"{name}_{key}.nc"
            with _finished(path) as unfinished:
                # Text, because NetCDF 3 has no large integers.
                made = {"command": self.command, "random_seed": str(self.seed)}
                dataset.assign_attrs(made).to_netcdf(unfinished, engine="scipy")
            if self.json:
                self._results[path.stem] = numbers(dataset)
            self.wrote(path.name)

    def picture(self, name: str, picture: "Figure") -> None:
        """Write ``name.png``, with what made it in its description."""
        path = self.directory / f"{name}.png"
        about = {"Description": self.command, "Software": f"collapse_jax {collapse_jax.__version__}"}
        with _finished(path) as unfinished:
            picture.savefig(unfinished, dpi=130, format="png", metadata=about)
        self.wrote(path.name)

    def wrote(self, *files: str) -> None:
        """These files are in the directory now: its page lists them."""
        self.files += files
        path = self.directory / "README.md"
        there = path.read_text() if path.exists() else TITLE
        if not there.startswith(TITLE):  # somebody's own
            return
        kept = sections(there)
        for names in kept.values():
            names -= set(self.files)
        mine = kept.setdefault(self._heading(), set())
        mine |= set(self.files)
        with _finished(path) as unfinished:
            unfinished.write_text(page(kept))

    def close(self) -> None:
        """Say what was written, in words or in JSON."""
        if self.json:
            told = {
                "command": self.command,
                "version": collapse_jax.__version__,
                "seed": self.seed,
                "seconds": round(time.monotonic() - self._started, 1),
                **self.facts,
            }
            if self.files:
                told |= {"directory": str(self.directory), "files": self.files, "results": self._results}
            print(json.dumps(plain(told), allow_nan=False))
        elif self.files:
            pictures = [name for name in self.files if name.endswith(".png")]
            words = f"In {self.directory}/: {', '.join(pictures)}; datasets (*.nc) and a README beside them"
            self.console.print(words, soft_wrap=True)

    def _heading(self) -> str:
        from collapse_jax.names import made_with

        return f"`{self.command}`, {', '.join(f'{name} {value}' for name, value in made_with().items())}"


# The page of a directory ------------------------------------------------------------------------------------------------------


def page(files: Mapping[str, set[str]]) -> str:
    """The text of a directory's README: which run made which files.

    Example:
        >>> print(page({"`python -m collapse_jax`": {"study.png", "study.nc"}, "nothing left": set()}))
        # Results of collapse_jax
        <BLANKLINE>
        Datasets (*.nc): `xarray.open_dataset(name, engine="scipy")`; attributes say what made them. So do those of pictures
        (the PNG's description). The same command with the same seed makes them again.
        <BLANKLINE>
        ## `python -m collapse_jax`
        <BLANKLINE>
        - study.nc
        - study.png
        <BLANKLINE>
    """
    text = [
        f'{TITLE}\nDatasets (*.nc): `xarray.open_dataset(name, engine="scipy")`; attributes say what made them. So do those of '
        "pictures\n(the PNG's description). The same command with the same seed makes them again.\n"
    ]
    for heading, names in files.items():
        if names:
            text.append(f"\n## {heading}\n\n" + "".join(f"- {name}\n" for name in sorted(names)))
    return "".join(text)


def sections(text: str) -> dict[str, set[str]]:
    """The files of each run, read from :func:`page`.

    Example:
        >>> sections(page({"`python -m collapse_jax`": {"study.png"}}))
        {'`python -m collapse_jax`': {'study.png'}}
    """
    found: dict[str, set[str]] = {}
    for section in text.split("\n## ")[1:]:
        heading, *lines = section.splitlines()
        found[heading] = {line.removeprefix("- ") for line in lines if line.startswith("- ")}
    return found


# JSON -------------------------------------------------------------------------------------------------------------------------


def numbers(dataset: "xr.Dataset") -> dict[str, Any]:
    """A dataset as xarray's dictionaries: means over seeds and their standard errors, or just the data.

    ``xarray.Dataset.from_dict`` makes datasets of them again.
    """
    from collapse_jax.sweep import mean_and_error

    if "seed" not in dataset.dims:
        return {"data": dataset.to_dict()}
    mean, error = mean_and_error(dataset)
    return {"data": mean.to_dict(), "standard_error": error.to_dict()}


def plain(value: Any) -> Any:
    """What JSON can hold: numbers that are none become null.

    Example:
        >>> plain({"a": (1.5, float("nan")), 2: {"b": Path("x")}})
        {'a': [1.5, None], '2': {'b': 'x'}}
    """
    if isinstance(value, Mapping):
        return {str(key): plain(own) for key, own in value.items()}
    if isinstance(value, list | tuple | set):
        return [plain(own) for own in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)


# Files and the screen ---------------------------------------------------------------------------------------------------------


class _finished:  # noqa: N801 - reads as a word after "with"
    """A file appears under its name only when it is complete, so that an interrupted run leaves no halves."""

    def __init__(self, path: Path) -> None:
        self.path, self.unfinished = path, path.with_name(f".{path.name}.unfinished")

    def __enter__(self) -> Path:
        return self.unfinished

    def __exit__(self, failure: object, *_: object) -> None:
        if failure is None:
            os.replace(self.unfinished, self.path)
        else:
            self.unfinished.unlink(missing_ok=True)


class Stages:
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

    def __enter__(self) -> "Stages":
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
