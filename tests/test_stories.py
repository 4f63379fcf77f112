"""Stories come out of files as they went in, each once, and none is both learnt from and judged by."""

import gzip
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from collapse_jax.data.places import named
from collapse_jax.data.stories import divided, huggingface_stories, read_stories

STORIES = ["A cat sat.\nIt slept.", "Bé ran — far.", "The end came."]


def test_every_kind_of_file_gives_its_stories(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("\n\n".join(STORIES), encoding="utf-8")
    (tmp_path / "b.txt").write_text("<|endoftext|>".join(["x\n\ny", "z"]), encoding="utf-8")
    lines = "\n".join(json.dumps({"text": story, "id": i}) for i, story in enumerate([*STORIES, " ", STORIES[0]]))
    (tmp_path / "c.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    assert read_stories(tmp_path / "a.txt") == STORIES
    assert read_stories(tmp_path / "b.txt") == ["x\n\ny", "z"]
    assert read_stories(tmp_path / "c.jsonl.gz") == STORIES
    assert read_stories(tmp_path / "c.jsonl.gz", field="id") == ["0", "1", "2", "3", "4"]
    assert read_stories(tmp_path) == [*STORIES, "x\n\ny", "z"]
    assert read_stories(tmp_path, most=2) == STORIES[:2]


def test_no_story_is_in_both_parts() -> None:
    stories = [f"story {i}" for i in range(50)]
    parts = divided(stories, 10, seed=1)
    assert len(parts.held_out) == 10
    assert sorted(parts.train + parts.held_out) == sorted(stories)
    assert divided(stories, 10, seed=1) == parts
    assert divided(stories, 10, seed=2) != parts


def test_bad_input_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "x"}\n{"story": "y"}\n')
    with pytest.raises(
        ValueError, match=r"line 2 of .*a\.jsonl has no 'text' \(KeyError\); each line must be a JSON object"
    ):
        read_stories(tmp_path / "a.jsonl")
    (tmp_path / "b.txt").write_text(" \n\n ")
    with pytest.raises(ValueError, match="holds no story"):
        read_stories(tmp_path / "b.txt")
    with pytest.raises(FileNotFoundError, match="no stories are at"):
        read_stories(tmp_path / "c.csv")
    with pytest.raises(ValueError, match="held_out is 3; it must be from 1 to 2: there are 3 stories"):
        divided(STORIES, 3, 0)


@pytest.mark.skipif(
    named() is None or not (named() / "tinystories").is_dir(), reason="needs COLLAPSE_JAX_DATA/tinystories"
)  # type: ignore[operator]
def test_the_real_sample_is_read() -> None:
    stories = read_stories(named() / "tinystories" / "tinystories_pool.jsonl.gz")  # type: ignore[operator]
    assert len(stories) == 18_238
    assert sum(story.startswith("Once upon a time") for story in stories) > 1000


def test_stories_of_the_hub_are_read_as_they_arrive(monkeypatch: pytest.MonkeyPatch) -> None:
    def load_dataset(name: str, split: str, streaming: bool) -> Iterator[dict[str, str]]:
        assert (name, split, streaming) == ("someone/stories", "validation", True)
        yield from ({"text": text} for text in ("one ", "", "two", "one"))
        raise AssertionError("more was read than was asked for")

    hub = ModuleType("datasets")
    hub.load_dataset = load_dataset  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "datasets", hub)
    assert huggingface_stories("someone/stories", split="validation", most=2) == ["one", "two"]
    with pytest.raises(ValueError, match="field is 'story'; the rows of someone/stories have text"):
        huggingface_stories("someone/stories", split="validation", field="story")
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ImportError, match=r"pip install \"collapse_jax\[huggingface\]\""):
        huggingface_stories("someone/stories")
