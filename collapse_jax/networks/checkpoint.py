"""Where a training was when it was last looked at: saved so that a kill loses little, and refused where it is another's."""

import json
import logging
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import jax

Tree = TypeVar("Tree")
MADE_BY = "training.json"


class Checkpoint:
    """A folder with the last state of one training, and what that training is.

    Args:
        folder: made if need be.
        made_by: what the training is made of: names and numbers that a resumed training must share.

    Raises:
        ValueError: where the folder belongs to another training, with what differs.

    Example:
        >>> import tempfile
        >>> folder = tempfile.mkdtemp()
        >>> Checkpoint(folder, {"width": 5}).save(10, {"weights": jax.numpy.arange(3.0)})
        >>> step, state = Checkpoint(folder, {"width": 5}).load({"weights": jax.numpy.zeros(3)})
        >>> step, state["weights"].tolist()
        (10, [0.0, 1.0, 2.0])
        >>> Checkpoint(folder, {"width": 6})
        Traceback (most recent call last):
        ValueError: ... is of another training: width is 6 here and 5 there. Choose another folder, or delete it
    """

    def __init__(self, folder: str | os.PathLike[str], made_by: Mapping[str, Any]) -> None:
        import orbax.checkpoint as orbax

        logging.getLogger("absl").setLevel(logging.ERROR)  # orbax tells of each file
        self.folder = Path(folder).absolute()
        self.folder.mkdir(parents=True, exist_ok=True)
        _check(self.folder, json.loads(json.dumps(dict(made_by))))
        # A step's folder gets its name when it is complete, so a kill leaves the one before.
        options = orbax.CheckpointManagerOptions(max_to_keep=1, enable_async_checkpointing=False)
        self.manager = orbax.CheckpointManager(self.folder / "states", options=options)

    def save(self, step: int, state: Any) -> None:
        """Keep ``state``, a pytree of arrays, in place of the one before."""
        import orbax.checkpoint as orbax

        self.manager.save(step, args=orbax.args.PyTreeSave(state))

    def load(self, like: Tree) -> tuple[int, Tree] | None:
        """The last step and its state, in the shapes, dtypes and shardings of ``like``; None where nothing is saved yet.

        Raises:
            ValueError: for files that cannot be read.
        """
        import orbax.checkpoint as orbax

        step = self.manager.latest_step()
        if step is None:
            return None
        shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), like)
        restore = orbax.args.PyTreeRestore(shapes, restore_args=orbax.checkpoint_utils.construct_restore_args(shapes))
        try:
            found: Any = self.manager.restore(step, args=restore)
            return step, found
        except Exception as error:
            raise ValueError(
                f"the checkpoint {self.folder} is damaged ({type(error).__name__}: {str(error)[:200]}); delete it to start anew"
            ) from error

    def delete(self) -> None:
        """Remove the folder, when what it was for is finished."""
        self.manager.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def _check(folder: Path, made_by: Mapping[str, Any]) -> None:
    file = folder / MADE_BY
    if not file.exists():
        unfinished = file.with_suffix(".unfinished")
        unfinished.write_text(json.dumps(made_by, indent=1))
        os.replace(unfinished, file)
        return
    stored = json.loads(file.read_text())
    names = [name for name in dict.fromkeys([*made_by, *stored]) if made_by.get(name) != stored.get(name)]
    if names:
        words = "; ".join(f"{name} is {made_by.get(name)} here and {stored.get(name)} there" for name in names)
        raise ValueError(f"{folder} is of another training: {words}. Choose another folder, or delete it")
