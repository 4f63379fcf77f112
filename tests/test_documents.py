"""Documents and their summaries: what files give, what a summary of the story world tells, what ROUGE is."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from collapse_jax.data.documents import Document, events_right, outline, read_documents, world_documents
from collapse_jax.data.story_world import EVENTS, StoryWorld
from collapse_jax.summaries_study.marks import marks, rouge

WORLD = StoryWorld()
XLSUM = {
    "id": "uk-1",
    "url": "https://example.org/uk-1",
    "title": "A cat",
    "summary": "Cat sits.",
    "text": "The cat\n sat.",
}


def line(**changes: Any) -> str:
    return json.dumps(XLSUM | changes) + "\n"


def test_a_summary_tells_every_event_and_nothing_else() -> None:
    for story in WORLD.stories(seed=5, count=300):
        hero, events = outline(WORLD.summary(story))
        assert hero == WORLD.name_words[story.hero]
        assert len(events) == len(story.events)
        for words, event in zip(events, story.events, strict=True):
            assert words.startswith(EVENTS[event].replace(" a {}", "").replace(" {}", ""))
    skeletons = {(one.hero, one.events, one.about): WORLD.summary(one) for one in WORLD.stories(seed=6, count=2000)}
    assert len(set(skeletons.values())) == len(skeletons)  # other skeletons have other summaries


def test_a_text_gives_its_summary() -> None:
    for document in world_documents(WORLD, seed=2, count=50):
        story = WORLD.parse(document.text)
        assert story is not None
        assert WORLD.summary(story) == document.summary


def test_events_are_right_at_their_place_only() -> None:
    truth = "Bo met Al, lost red ball, ran from Ed"
    assert events_right(truth, truth) == 1
    assert events_right("Bo lost red ball, met Al, ran from Ed", truth) == pytest.approx(1 / 3)
    assert events_right("Bo met Al", truth) == pytest.approx(1 / 3)
    assert events_right("", truth) == 0


def test_rouge_is_what_its_definition_says() -> None:
    told, truth = "police killed the gunman", "the gunman killed police"
    found = {name: float(values[0]) for name, values in rouge([told], [truth]).items()}
    # All words in common; of three pairs each one ("the gunman"); the longest common subsequence is two words long.
    assert found == pytest.approx({"rouge1": 1.0, "rouge2": 1 / 3, "rougeL": 0.5})
    assert float(rouge([""], [truth])["rouge1"][0]) == 0
    with pytest.raises(ValueError, match="told has 2 summaries and truth 1"):
        rouge(["a", "b"], ["a"])


def test_rouge_is_blind_where_the_exact_measure_is_not() -> None:
    found = marks(["Al met Bo, lost red ball"], ["Bo met Al, lost red ball"], exact=True)
    assert float(found["rouge1"][0]) == 1
    assert float(found["exact"][0]) == 0
    assert float(found["events"][0]) == 0.5


def test_documents_come_from_files_in_the_layout_of_xlsum(tmp_path: Path) -> None:
    (tmp_path / "b.jsonl").write_text(line(text="Second.") + "\n" + line(summary=" ") + line(text="Second."))
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(line().encode()))
    (tmp_path / "notes.txt").write_text("not read")
    assert read_documents(tmp_path) == [Document("The cat sat.", "Cat sits."), Document("Second.", "Cat sits.")]
    assert read_documents(tmp_path, most=1) == [Document("The cat sat.", "Cat sits.")]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            line() + json.dumps({"text": "A", "title": "B"}),
            r"'summary' of line 2 of .* is missing \(its keys: text, title\)",
        ),
        (line(text=3), r"'text' of line 1 of .* is 3"),
        ("no json", r"line 1 of .* is no JSON"),
        ("[1]", r"line 1 of .* is a list"),
        ("\n", "holds no document with a text and a summary"),
    ],
)
def test_bad_lines_are_named(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "news.jsonl").write_text(text)
    with pytest.raises(ValueError, match=words):
        read_documents(tmp_path / "news.jsonl")


def test_no_documents_are_named_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "news.csv").write_text("a,b")
    for path in (tmp_path / "news.csv", tmp_path, tmp_path / "none.jsonl"):
        with pytest.raises(FileNotFoundError, match=r"it must be a \.jsonl file"):
            read_documents(path)


def test_a_missing_package_is_named_with_the_way_out(monkeypatch: Any) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "rouge_score.rouge_scorer", None)
    with pytest.raises(ImportError, match=r"pip install \"collapse-jax\[rouge\]\""):
        rouge(["a"], ["a"])
