"""The study of summaries: who learns what, what verifiers choose, what a kill loses, what the command leaves."""

import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import xarray as xr
from flax import nnx
from killing import dies

from collapse_jax import __main__ as command_line
from collapse_jax import summaries_study as study
from collapse_jax.networks.gpt import GPT
from collapse_jax.networks.lesson import surprises
from collapse_jax.parts import Parts
from collapse_jax.summaries_study import models, reading, selection
from collapse_jax.summaries_study import study as running

SMOKE = study.size("smoke")


@pytest.fixture(scope="module")
def given() -> study.Documents:
    return study.documents(SMOKE, 0)


@pytest.fixture(scope="module")
def size(given: study.Documents) -> study.Size:
    return study.prepared(SMOKE, given.vocabulary.size)


@pytest.fixture(scope="module")
def model(size: study.Size) -> GPT:
    return GPT(size.shape, rngs=nnx.Rngs(0))


def test_chains_divide_the_same_documents_each_in_its_way(given: study.Documents) -> None:
    one, two = (reading.divided(given.study, 0.125, 0, chain) for chain in (0, 1))
    assert len(one.first.summaries) == 50
    for parts in (one, two):
        both = reading.joined(*parts)
        assert sorted(both.summaries) == sorted(given.study.summaries)
        assert sorted(map(bytes, both.asked)) == sorted(map(bytes, given.study.asked))
    assert one.first.summaries != two.first.summaries


def test_the_loss_counts_the_summary_and_its_end_only(given: study.Documents) -> None:
    sheet, end = given.held_out, given.vocabulary.end
    rows = reading.lessons(sheet.asked, sheet.lengths, sheet.said, end)
    for i in range(len(sheet.summaries)):
        heard = rows.tokens[i, 1:][rows.counted[i]]
        assert given.vocabulary.decode(heard[:-1]) == sheet.summaries[i]
        assert heard[-1] == end
        before = rows.tokens[i, : rows.prefix[i]]
        assert before[-1] == end
        assert given.vocabulary.decode(before).startswith("Once ")


def test_summaries_do_not_depend_on_who_is_summarised_beside(
    given: study.Documents, size: study.Size, model: GPT
) -> None:
    end = given.vocabulary.end
    together = models.summarised(model, size, given.held_out, end)
    alone = models.summarised(model, size._replace(together=7), reading.some(given.held_out, np.arange(9)), end)
    np.testing.assert_array_equal(together[:9], alone)


def test_a_perplexity_is_the_mean_surprise_of_the_counted_tokens(
    given: study.Documents, size: study.Size, model: GPT
) -> None:
    sheet, end = given.held_out, given.vocabulary.end
    found = models.log_perplexity(model, size, sheet, sheet.said, end)
    rows = reading.lessons(sheet.asked[3:4], sheet.lengths[3:4], sheet.said[3:4], end)
    nats = np.asarray(surprises(model, jax.tree.map(np.asarray, rows)))
    assert found[3] == pytest.approx(nats[rows.counted].mean(), rel=1e-5)


def test_verifiers_take_what_they_find_best() -> None:
    rouge1 = np.array([0.2, 1.0, 0.5, 1.0])
    nats = {"self": np.array([3.0, 2.0, 0.1, 1.0]), "stronger": np.array([0.3, 4.0, 2.0, 1.0])}
    found = {
        name: set(selection.best(score, 0.5, 0).tolist())
        for name, score in selection.scores(rouge1, nats, 0, 0).items()
    }
    assert found["oracle"] == {1, 3}
    assert found["self"] == {2, 3}
    assert found["stronger"] == {0, 3}
    assert len(found["random"]) == 2


def test_the_oracle_has_the_best_proxy_and_luck_that_of_no_verifier() -> None:
    right = np.random.default_rng(0).random(20_000) < 0.4
    luck = selection.best(np.random.default_rng(1).random(len(right)), 0.25, 0)
    oracle = selection.best(right.astype(float), 0.25, 0)
    assert selection.breakdown(right.astype(float), oracle) == 1
    # Theorem 4.2: without selection the breakdown point is one half.
    assert selection.breakdown(right.astype(float), luck) == pytest.approx(0.5, abs=0.02)


def test_students_of_a_chain_differ_in_what_they_learn_from_only(given: study.Documents, size: study.Size) -> None:
    """A generator that wrote the truth: all selections of all summaries, and the true ones, are one lesson."""
    found = study.verification(given, size._replace(seeds=1), 0, Parts(None, {}), lambda _: None)
    students = found.students.isel(seed=0)
    everything = students.sel(share=1.0)
    assert len(set(everything.rouge1.sel(selection=list(selection.SELECTIONS)).values.tolist())) == 1
    assert students.attrs["summaries_0.5"] == 175
    kept, true = students.kept_rouge1.sel(selection=list(selection.SELECTIONS)), "true summaries"
    assert (kept.sel(selection="oracle") == kept.max("selection")).all()
    assert (students.kept_rouge1.sel(selection=true) == 1).all()
    # Those who learn true summaries foretell true summaries better than those who learn a weak generator's.
    assert float(everything.total.sel(selection=true)) < float(everything.total.sel(selection="random"))


def test_a_command_that_is_killed_goes_on_and_ends_the_same(tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    arguments = ["text", "--task", "summaries", "--preset", "smoke", "--seed", "3"]
    assert command_line.main([*arguments, "--out", str(tmp_path / "whole")]) == 0
    printed = capsys.readouterr().out
    assert "ROUGE-1 of held-out summaries" in printed
    assert "The generator: ROUGE-1" in printed
    again = [*arguments, "--out", str(tmp_path / "killed")]
    dies(again, monkeypatch, running, "school", at=9)
    assert command_line.main(again) == 0
    assert "finished parts were found" in capsys.readouterr().err
    for name in ("students", "models"):
        whole, resumed = (
            xr.open_dataset(tmp_path / folder / f"summaries_{name}.nc", engine="scipy")
            for folder in ("whole", "killed")
        )
        for variable in whole.data_vars:
            np.testing.assert_array_equal(whole[variable], resumed[variable])
    assert (tmp_path / "killed" / "summaries.png").stat().st_size > 20_000
    assert not (tmp_path / "killed" / "unfinished").exists()


def test_news_come_from_a_file(tmp_path: Path, capsys: Any) -> None:
    """Documents of which nobody knows the events: ROUGE alone."""
    assert SMOKE.world is not None
    told = reading.world_documents(SMOKE.world, 7, 500)
    (tmp_path / "news.jsonl").write_text("".join(json.dumps(one._asdict()) + "\n" for one in told))
    out = tmp_path / "out"
    command = [
        "text",
        "--task",
        "summaries",
        "--preset",
        "smoke",
        "--text",
        str(tmp_path / "news.jsonl"),
        "--out",
        str(out),
    ]
    assert command_line.main(command) == 0
    assert "exactly right" not in capsys.readouterr().out
    found = xr.open_dataset(out / "summaries_students.nc", engine="scipy")
    assert "rougeL" in found
    assert "exact" not in found


def test_bad_input_is_named(tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLLAPSE_JAX_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    command = ["text", "--task", "summaries", "--preset", "smoke", "--out", str(tmp_path / "o"), "--text"]
    assert command_line.main([*command, str(tmp_path)]) == 2
    assert "no documents are at" in capsys.readouterr().err
    (tmp_path / "few.jsonl").write_text('{"text": "a", "summary": "b"}\n')
    assert command_line.main([*command, str(tmp_path / "few.jsonl")]) == 2
    assert "there are 1 documents" in capsys.readouterr().err
    assert command_line.main([*command[:4], "paper", *command[5:-1]]) == 2
    assert "Add --text PATH" in capsys.readouterr().err
    with pytest.raises(ValueError, match="preset is 'huge'"):
        study.size("huge")
    with pytest.raises(FileNotFoundError, match="vocabulary of GPT-2"):
        study.documents(SMOKE._replace(vocabulary=50257), 0)
