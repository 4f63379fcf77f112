"""The study of stories: what is judged, what the generator keeps, what a kill loses, what the command leaves."""

import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import xarray as xr
from flax import nnx
from killing import dies

from collapse_jax import __main__ as command_line
from collapse_jax import stories_study as study
from collapse_jax.data.tokens import read_tokens, read_vocabulary
from collapse_jax.networks import language, updates
from collapse_jax.networks.gpt import GPT
from collapse_jax.networks.lesson import surprises
from collapse_jax.parts import Parts
from collapse_jax.stories_study import chains, results, students, writer
from collapse_jax.stories_study.corpus import joined, story_windows
from collapse_jax.stories_study.study import copied, first_stories

SMOKE = study.size("smoke")


@pytest.fixture(scope="module")
def corpus() -> study.Corpus:
    return study.corpus(SMOKE, 0)


def test_excess_is_the_surprise_beyond_the_truths(corpus: study.Corpus) -> None:
    world = corpus.world
    assert world is not None
    assert corpus.truth is not None
    known = [world.parse(text) for text in corpus.words]
    assert corpus.truth == pytest.approx(-np.mean([world.log_probability(story) for story in known if story]))
    assert abs(corpus.truth - world.entropy) < 4  # 50 stories
    # A model that is all but ignorant: every token costs log(vocabulary).
    size = study.prepared(SMOKE, corpus)
    model = GPT(size.shape, rngs=nnx.Rngs(0))
    graph, weights = nnx.split(model)
    still = nnx.merge(graph, jax.tree.map(lambda leaf: 0 * leaf, weights))
    total = surprises(still, jax.tree.map(jax.numpy.asarray, corpus.held_out)).sum()
    counted = corpus.held_out.counted.sum()
    expected = counted * math.log(size.shape.vocabulary) / 50 - corpus.truth
    assert float(corpus.excess(np.asarray(total / counted))) == pytest.approx(expected, rel=1e-5)


def test_no_story_is_learned_and_judged_and_tokens_are_the_texts(corpus: study.Corpus) -> None:
    texts = {corpus.vocabulary.decode(story) for story in corpus.stories}
    assert len(corpus.stories) == 850
    assert not texts & set(corpus.words)
    assert (corpus.real == corpus.vocabulary.end).sum() == 850
    own = first_stories(corpus, 1000)
    assert sum(len(story) + 1 for story in own[:-1]) < 1000 <= sum(len(story) + 1 for story in own)


def test_written_stories_begin_as_told_and_unfinished_and_repeated_ones_are_dropped(corpus: study.Corpus) -> None:
    size = study.prepared(SMOKE, corpus)
    end = corpus.vocabulary.end
    model = GPT(replace(size.shape, dropout=0.0), rngs=nnx.Rngs(0))
    found = writer.stories_of(jax.random.key(0), model, corpus.stories, end, size._replace(together=64), tokens=3000)
    assert found.written == len(found.stories) + found.unfinished + found.repeated
    beginnings = {story[: size.beginning].tobytes() for story in corpus.stories}
    assert all(story[: size.beginning].tobytes() in beginnings for story in found.stories)
    assert len({story.tobytes() for story in found.stories}) == len(found.stories)
    assert all(end not in story for story in found.stories)
    greedy = size._replace(together=64, temperature=0.0)
    with pytest.raises(ValueError, match="too few to go on"):
        writer.stories_of(jax.random.key(0), model, corpus.stories[:1], end, greedy, tokens=3000)
    assert copied(corpus.stories[:10], corpus.stories) == 1.0


def test_students_see_no_token_twice_where_there_are_enough(corpus: study.Corpus) -> None:
    size = study.prepared(SMOKE, corpus)
    synthetic = corpus.real[: size.length * 20 + 1]
    windows = size.student_steps * size.batch
    assert students._mixture(corpus.real, synthetic, 0.0, size, 0).windows == windows
    assert students._mixture(corpus.real, synthetic, 1.0, size, 0).windows == 20
    assert students._mixture(corpus.real, synthetic, 0.5, size, 0).windows == 40


@pytest.mark.slow
def test_a_command_that_is_killed_goes_on_and_ends_the_same(tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    small = SMOKE._replace(fractions=(0.0, 1.0), depths=(1,))
    monkeypatch.setattr("collapse_jax.stories_study.sizes.SIZES", {"smoke": small})
    arguments = ["stories", "--preset", "smoke", "--seed", "3"]
    assert command_line.main([*arguments, "--out", str(tmp_path / "whole")]) == 0
    out = capsys.readouterr().out
    assert "Stories that the generator wrote" in out
    assert "Loss above the truth (nats a story)" in out
    again = [*arguments, "--out", str(tmp_path / "killed")]

    dies(again, monkeypatch, writer, "school", 1)
    dies(again, monkeypatch, writer, "write", 2)
    dies(again, monkeypatch, students, "school", 3)
    monkeypatch.setattr(writer, "school", None)  # it is not needed any more
    assert command_line.main(again) == 0
    assert "finished parts were found" in capsys.readouterr().err
    for name in ("fractions", "depths", "floors"):
        whole, resumed = (
            xr.open_dataset(tmp_path / folder / f"stories_{name}.nc", engine="scipy") for folder in ("whole", "killed")
        )
        for variable in whole.data_vars:
            np.testing.assert_array_equal(whole[variable], resumed[variable])
        assert whole.attrs["command"].startswith("python -m collapse_jax stories --preset smoke --seed 3")
    assert (tmp_path / "killed" / "stories.png").stat().st_size > 20_000
    assert not (tmp_path / "killed" / "unfinished").exists()
    tokens = read_tokens(tmp_path / "killed" / "stories_synthetic.tokens")
    words = read_vocabulary(tmp_path / "killed" / "stories_vocabulary.json")
    assert len(tokens) >= SMOKE.synthetic * SMOKE.generator_tokens
    assert (tokens == words.end).sum() > 10


def test_seeds_that_train_together_are_those_that_train_alone(corpus: study.Corpus, monkeypatch: Any) -> None:
    size = study.prepared(SMOKE, corpus)._replace(fractions=(0.5,), depths=())
    run = lambda: students.train_students(  # noqa: E731
        jax.random.key(0), corpus, corpus.real, size, Parts(None, {}), lambda _: None
    )
    alone = run()
    monkeypatch.setattr(students.jax, "default_backend", lambda: "gpu")
    together = run()
    for kind, found in alone.items():
        np.testing.assert_array_equal(found["tokens"], together[kind]["tokens"])
        np.testing.assert_allclose(found["held_out"], together[kind]["held_out"], rtol=1e-3)


@pytest.mark.slow
def test_generations(corpus: study.Corpus, tmp_path: Path, capsys: Any) -> None:
    arguments = ["stories", "--preset", "smoke", "--generations", "2", "--fresh", "0.25", "--out", str(tmp_path)]
    assert command_line.main(arguments) == 0
    assert "Generations, each of which learns from the one before" in capsys.readouterr().out
    found = xr.open_dataset(tmp_path / "stories_generations.nc", engine="scipy")
    assert dict(found.sizes) == {"generation": 2, "seed": 2}
    for name in chains.MEASURES:
        assert np.isfinite(found[name]).all()
    assert found.attrs["reference_grammatical"] == 1.0
    assert 0.05 < found.attrs["reference_tail"] <= 0.1
    assert (tmp_path / "stories_generations.png").exists()


def test_entropy_of_what_a_model_writes_is_its_own_surprise(corpus: study.Corpus) -> None:
    """A model that knows nothing writes uniform tokens until the end comes: its entropy is known."""
    size = study.prepared(SMOKE, corpus)
    graph, weights = nnx.split(GPT(size.shape, rngs=nnx.Rngs(0)))
    weights = jax.tree.map(lambda leaf: 0 * leaf, weights)
    stories = [np.full(7, 5, np.uint16), np.full(3, 9, np.uint16)]
    windows = jax.tree.map(jax.numpy.asarray, story_windows(stories, corpus.vocabulary.end, size.length))
    found = updates.window_losses(graph, weights, windows)
    np.testing.assert_allclose(found, np.array([8, 4]) * math.log(size.shape.vocabulary), rtol=1e-5)


def test_floors_are_those_of_the_curves() -> None:
    tokens = np.geomspace(1e5, 1e7, 12)
    noise = 1 + 1e-3 * np.random.default_rng(0).standard_normal((12, 2, 3))
    curves = np.stack([30 * tokens**-0.4, 0.5 + 30 * tokens**-0.4], 1)[:, :, None] * noise
    axes = {"tokens": tokens, "synthetic_fraction": [0.0, 1.0], "seed": [0, 1, 2]}
    found = results.floors(xr.Dataset({"total": (tuple(axes), curves)}, axes))
    assert float(found.floor[1]) == pytest.approx(0.5, abs=4 * float(found.floor_error[1]))
    assert float(found.floor[0]) < 0.01
    assert float(found.floor_weight[1]) > 0.99


def test_stories_from_files_have_no_truth(tmp_path: Path, corpus: study.Corpus) -> None:
    (tmp_path / "stories.txt").write_text("\n\n".join(corpus.vocabulary.decode(story) for story in corpus.stories))
    own = study.corpus(SMOKE._replace(source="files"), 0, tmp_path)
    assert own.world is None
    assert own.excess(np.asarray(2.0)) == 2.0
    assert len(own.stories) + len(own.words) == len({story.tobytes() for story in corpus.stories})


def test_bad_input_is_named(tmp_path: Path, capsys: Any, monkeypatch: Any, corpus: study.Corpus) -> None:
    monkeypatch.setenv("COLLAPSE_JAX_DATA", str(tmp_path / "none"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    where = ["--out", str(tmp_path)]
    for words, message in (
        (["--preset", "tinystories"], "no stories were given, and no folder tinystories"),
        (["--preset", "smoke", "--stories", str(tmp_path / "none.txt")], "no stories are at"),
        (["--preset", "smoke", "--generations", "0"], "generations is 0; it must be a whole number of at least 1"),
        (["--preset", "smoke", "--generations", "9", "--fresh", "0.9"], "need .* new stories"),
        (["--preset", "huge"], "invalid choice: 'huge'"),
    ):
        assert command_line.main(["stories", *words, *where]) == 2
        assert re.search(message, capsys.readouterr().err)
    few = tmp_path / "few.txt"
    few.write_text("\n\n".join(f"story {i}" for i in range(60)))
    assert command_line.main(["stories", "--preset", "smoke", "--stories", str(few), *where]) == 2
    assert "Give more stories" in capsys.readouterr().err
    few.write_text("\n\n".join(f"story {i} " + "long " * (300 if i % 4 == 0 else 2) for i in range(60)))
    files = SMOKE._replace(source="files", shape=replace(SMOKE.shape, context=40))
    with pytest.warns(RuntimeWarning, match="of the held-out stories are longer than the context, 40 tokens"):
        study.corpus(files, 0, few)
    few.write_text("\n\n".join(f"story {i} " + "long " * 300 for i in range(60)))
    with pytest.raises(ValueError, match="context is 40; 100% of the held-out stories are longer"):
        study.corpus(files, 0, few)
    with pytest.raises(ValueError, match="context is 20; a story has"):
        study.corpus(SMOKE._replace(shape=replace(SMOKE.shape, context=20)), 0)
    monkeypatch.setattr(language, "free_memory", lambda: 1e4)
    assert command_line.main(["stories", "--preset", "smoke", *where]) == 3
    assert "Use fewer layers" in capsys.readouterr().err
    assert len(joined(corpus.stories[:3], 0)) == sum(len(story) + 1 for story in corpus.stories[:3])
