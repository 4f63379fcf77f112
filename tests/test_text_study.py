"""The study of text: who learns what, what is judged, what a kill loses, what the command leaves."""

import gzip
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
from collapse_jax import text_study as study
from collapse_jax.data.places import named
from collapse_jax.networks.gpt import GPT
from collapse_jax.parts import Parts
from collapse_jax.text_study import iteration, reading

SMOKE = study.size("smoke")


@pytest.fixture(scope="module")
def text() -> study.Passages:
    return study.passages(SMOKE, 0)


def test_no_judged_passage_is_learned(text: study.Passages) -> None:
    judged = {row.tobytes() for row in text.held_out}
    assert len(text.first) == len(text.others) == 400
    assert not judged & {row.tobytes() for row in (*text.first, *text.others)}
    # Windows of four tokens tell all passages of the end apart from those before it.
    assert not {row[:12].tobytes() for row in text.first} & {row[:12].tobytes() for row in text.held_out[1:]}


def test_only_continuations_count() -> None:
    lesson = reading.continuations(np.arange(12).reshape(2, 6), prompt=4)
    assert lesson.tokens.tolist() == [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]]
    assert lesson.counted.tolist() == [[False, False, False, True, True]] * 2  # of the tokens that follow: 4 and 5


def test_each_passage_is_seen_once_an_epoch() -> None:
    seen = np.concatenate([iteration._rows(10, 4, step) for step in range(5)])
    for epoch in (seen[:10], seen[10:]):
        assert sorted(epoch.tolist()) == list(range(10))
    assert seen[:10].tolist() != seen[10:].tolist()


def test_models_go_on_from_the_prompts(text: study.Passages) -> None:
    size = study.prepared(SMOKE, text.vocabulary.size)
    model = GPT(replace(size.shape, dropout=0.0), rngs=nnx.Rngs(0))
    found = iteration.written(jax.random.key(0), model, text.others[:150], size)
    assert found.shape == (150, size.length)
    np.testing.assert_array_equal(found[:, : size.prompt], text.others[:150, : size.prompt])
    assert (found[:, size.prompt :] != text.others[:150, size.prompt :]).mean() > 0.5


@pytest.mark.slow
def test_the_first_model_is_the_same_at_all_shares_and_all_true_is_all_true(text: study.Passages) -> None:
    """A chain that learns true continuations only is a chain of first models: its losses do not rise."""
    size = study.prepared(SMOKE, text.vocabulary.size)._replace(real_shares=(0.0, 1.0), seeds=1)
    found = study.chains(text, size, 0, Parts(None, {}), lambda _: None)
    last = found.total.isel(tokens=-1, seed=0)
    assert float(last.sel(generation=0, real_share=0.0)) == float(last.sel(generation=0, real_share=1.0))
    assert float(last.sel(generation=2, real_share=1.0)) < float(last[0, 0]) + 0.05
    assert float(last.sel(generation=2, real_share=0.0)) > float(last[0, 0]) + 0.3


@pytest.mark.slow
def test_a_command_that_is_killed_goes_on_and_ends_the_same(tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    arguments = ["text", "--preset", "smoke", "--seed", "3"]
    assert command_line.main([*arguments, "--out", str(tmp_path / "whole")]) == 0
    assert "Perplexity of held-out continuations" in capsys.readouterr().out
    again = [*arguments, "--out", str(tmp_path / "killed")]
    dies(again, monkeypatch, iteration, "school", 5)
    assert command_line.main(again) == 0
    assert "finished parts were found" in capsys.readouterr().err
    whole, resumed = (
        xr.open_dataset(tmp_path / folder / "text_chains.nc", engine="scipy") for folder in ("whole", "killed")
    )
    for variable in whole.data_vars:
        np.testing.assert_array_equal(whole[variable], resumed[variable])
    assert (tmp_path / "killed" / "text.png").stat().st_size > 20_000
    assert not (tmp_path / "killed" / "unfinished").exists()


def test_text_comes_from_files(tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_text("second")
    (tmp_path / "a.tokens.gz").write_bytes(gzip.compress(b"first"))
    (tmp_path / "c.md").write_text("not read")
    assert reading.read_text(tmp_path) == "first\nsecond"
    with pytest.raises(ValueError, match=r"the text has .* tokens, too few"):
        study.passages(SMOKE, 0, tmp_path)


def test_wikitext_where_it_is_there() -> None:
    folder = named()
    if folder is None or not (folder / "wikitext2").is_dir():
        pytest.skip("WikiText is not on this disk")
    found = study.passages(SMOKE, 0, folder / "wikitext2" / "wiki.valid.tokens.gz")
    assert found.first.shape == (400, 40)


def test_bad_input_is_named(tmp_path: Path, capsys: Any) -> None:
    assert command_line.main(["text", "--preset", "smoke", "--text", str(tmp_path), "--out", str(tmp_path / "o")]) == 2
    assert "no text is at" in capsys.readouterr().err
    with pytest.raises(ValueError, match="preset is 'huge'"):
        study.size("huge")
