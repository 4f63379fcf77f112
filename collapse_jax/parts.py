"""A long run in parts: each is kept on the disk when it is done, so that a killed run starts again where it was."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

Arrays = dict[str, np.ndarray]


class Parts:
    """Finished parts of one run, in a folder of its own.

    Args:
        folder: where runs keep their parts; None to keep nothing.
        made_by: what the run is made of. A run made of something else has other parts.

    Example:
        >>> import tempfile
        >>> folder = tempfile.mkdtemp()
        >>> Parts(folder, {"seed": 0}).get("first", lambda: {"x": np.arange(3)})["x"].tolist()
        [0, 1, 2]
        >>> Parts(folder, {"seed": 0}).get("first", lambda: {"x": np.zeros(3)})["x"].tolist()    # not computed again
        [0, 1, 2]
        >>> Parts(folder, {"seed": 1}).get("first", lambda: {"x": np.zeros(3)})["x"].tolist()
        [0.0, 0.0, 0.0]
    """

    def __init__(self, folder: str | os.PathLike[str] | None, made_by: Mapping[str, Any]) -> None:
        text = json.dumps(dict(made_by), sort_keys=True, default=str)
        self.folder = None if folder is None else Path(folder) / hashlib.sha256(text.encode()).hexdigest()[:12]
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / "made_by.json").write_text(text)

    def get(self, name: str, compute: Callable[[], Mapping[str, Any]]) -> Arrays:
        """The arrays of a part: from the disk if it is finished, else computed and kept."""
        if self.folder is None:
            return {key: np.asarray(value) for key, value in compute().items()}
        file = self.folder / f"{name}.npz"
        if file.exists():
            with np.load(file) as stored:
                return dict(stored)
        arrays = {key: np.asarray(value) for key, value in compute().items()}
        unfinished = self.folder / f".{name}.unfinished.npz"
        np.savez(unfinished, allow_pickle=False, **arrays)
        os.replace(unfinished, file)
        for checkpoint in self.folder.glob(f"{name}.checkpoint*"):
            shutil.rmtree(checkpoint, ignore_errors=True)
        return arrays

    def checkpoint(self, name: str, index: int = 0) -> Path | None:
        """A folder for what a part is in the middle of; removed when the part is finished."""
        return None if self.folder is None else self.folder / f"{name}.checkpoint{index}"

    def count(self) -> int:
        """How many are finished."""
        return 0 if self.folder is None else len([file for file in self.folder.glob("*.npz") if file.name[0] != "."])

    def delete(self) -> None:
        """Remove all parts: the run is finished."""
        if self.folder is None:
            return
        shutil.rmtree(self.folder, ignore_errors=True)
        if not any(self.folder.parent.iterdir()):
            self.folder.parent.rmdir()
