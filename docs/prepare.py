"""What pages of the site need of the rest of the repository: notebooks of the examples, small pictures for the gallery.

Both are written where git ignores them, and anew only where their source is newer.
"""

from pathlib import Path

import jupytext
from PIL import Image

# Tutorials that are run when the site is built. Others train networks for minutes: .ci/run executes them at their smallest
# size, the site shows them without outputs.
QUICK = ("strong_collapse", "model_size", "phase_diagram", "generations", "planning", "tails_and_verification")
WIDE = 480  # pixels of a thumbnail: a column of the gallery on a fine screen


def tutorials(examples: Path, to: Path) -> list[str]:
    """Write every example that is a notebook as ``to/NAME.ipynb``; return those that are not to be run."""
    to.mkdir(exist_ok=True)
    scripts = [script for script in sorted(examples.glob("*.py")) if script.read_text().startswith("# ---\n# jupyter:")]
    for script in scripts:
        notebook = to / f"{script.stem}.ipynb"
        if _older(notebook, script):
            jupytext.write(jupytext.read(script), notebook)
    for gone in {notebook.stem for notebook in to.glob("*.ipynb")} - {script.stem for script in scripts}:
        (to / f"{gone}.ipynb").unlink()
    return [f"{to.name}/{script.stem}.ipynb" for script in scripts if script.stem not in QUICK]


def thumbnails(pictures: Path, to: Path) -> None:
    """Write every picture as ``to/NAME.png``, at most ``WIDE`` pixels wide."""
    to.mkdir(exist_ok=True)
    for picture in sorted(pictures.glob("*.png")):
        small = to / picture.name
        if _older(small, picture):
            with Image.open(picture) as image:
                image.thumbnail((WIDE, 2 * WIDE))
                image.convert("RGB").save(small, optimize=True)


def _older(made: Path, source: Path) -> bool:
    return not made.exists() or made.stat().st_mtime < source.stat().st_mtime
