"""The gallery and the tutorials of the documentation are complete, and the pictures that pages link to exist."""

import re
from pathlib import Path

import pytest

from collapse_jax.figures import FIGURES

DOCS = Path(__file__).parent.parent / "docs"
GALLERY = (DOCS / "gallery.md").read_text()
COMMANDS = set(re.findall(r"python -m collapse_jax figures ([\w-]+)", GALLERY))
SHOWN = set(re.findall(r"\]\(thumbnails/([\w-]+)\.png\)", GALLERY))


def test_every_figure_has_its_command_in_the_gallery_and_no_other_is_named():
    assert set(FIGURES) == COMMANDS


def test_every_picture_is_shown_and_every_shown_picture_exists():
    assert {picture.stem for picture in (DOCS / "pictures").glob("*.png")} == SHOWN


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=lambda page: page.relative_to(DOCS).as_posix())
def test_every_picture_of_a_page_exists(page):
    linked = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", page.read_text())
    made = [
        (DOCS / "pictures" / Path(link).name if link.startswith("thumbnails/") else page.parent / link)
        for link in linked
    ]
    assert not [str(picture) for picture in made if not picture.exists()]


def test_every_notebook_is_among_the_tutorials():
    notebooks = {path.stem for path in (DOCS.parent / "examples").glob("*.py") if "# jupyter:" in path.read_text()}
    assert set(re.findall(r"^tutorials/(\w+)$", (DOCS / "tutorials.md").read_text(), re.M)) == notebooks
