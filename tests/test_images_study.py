"""The study of images: who sees which image, which labels are synthetic, what a kill loses, what the command leaves."""

import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from killing import dies

from collapse_jax import __main__ as command_line
from collapse_jax import images_study as study
from collapse_jax.images_study import networks, sizes
from collapse_jax.images_study.task import NOISE, mixed_labels
from collapse_jax.networks.teachers import Taught
from collapse_jax.parts import Parts

SMOKE = study.size("digits", "mlp", "smoke")


def test_no_image_has_two_uses() -> None:
    task = study.task("digits", SMOKE, 0)
    for seed in range(2):
        parts = [np.asarray(rows[seed]) for rows in (task.teaching, task.train, task.validation, task.test)]
        together = np.concatenate(parts)
        assert len(np.unique(together)) == len(together) == 480
    assert set(np.asarray(task.teaching[0]).tolist()) == set(np.asarray(task.teaching[1]).tolist())
    assert (task.train[0] != task.train[1]).any()
    np.testing.assert_array_equal(np.unique(task.pool), task.pool)


def test_labels_are_the_teachers_where_they_are_synthetic_and_true_elsewhere() -> None:
    task = study.task("digits", SMOKE, 0)
    teachers = [Taught(jnp.full((2, *task.outputs.shape), value), jnp.zeros(2)) for value in (5.0, 7.0)]
    labels = mixed_labels(task, task.train, teachers, (0.0, 0.25, 1.0))
    assert labels.shape == (2, 260, 6, 10)
    true = task.outputs[task.train]
    np.testing.assert_array_equal(labels[:, :, 0], true)
    for column, value, share in ((1, 5.0, 0.25), (2, 5.0, 1.0), (4, 7.0, 0.25), (5, 7.0, 1.0)):
        synthetic = jnp.abs(labels[:, :, column] - value).max(2) < 1
        for n in (40, 100, 260):
            assert (synthetic[:, :n].sum(1) == n * share).all()
        np.testing.assert_array_equal(labels[:, :, column][~synthetic], true[~synthetic])
        if share == 1:
            assert float((labels[:, :, column] - value).std()) == pytest.approx(NOISE, rel=0.05)
    # An image's noise does not depend on the fraction or on the teacher.
    np.testing.assert_allclose(labels[:, :, 5] - labels[:, :, 2], 2, atol=1e-5)


def test_a_command_that_is_killed_goes_on_and_ends_the_same(tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    arguments = ["images", "--preset", "smoke", "--seed", "3"]
    assert command_line.main([*arguments, "--out", str(tmp_path / "whole")]) == 0
    out = capsys.readouterr().out
    assert "Width 40, teacher with c²" in out
    assert "All labels synthetic: width 40 instead of 10" in out
    again = [*arguments, "--out", str(tmp_path / "killed")]
    dies(again, monkeypatch, networks, "train", 4)
    assert command_line.main(again) == 0
    assert "3 finished parts were found" in capsys.readouterr().err
    for name in ("samples", "widths", "teachers"):
        whole, resumed = (
            xr.open_dataset(tmp_path / folder / f"images_digits_mlp_{name}.nc", engine="scipy")
            for folder in ("whole", "killed")
        )
        for variable in whole.data_vars:
            np.testing.assert_array_equal(whole[variable], resumed[variable])
        assert whole.attrs["command"].startswith("python -m collapse_jax images --preset smoke --seed 3")
    assert (tmp_path / "killed" / "images_digits_mlp.png").stat().st_size > 20_000
    assert not (tmp_path / "killed" / "unfinished").exists()


@pytest.mark.slow
def test_random_features_meet_their_theory_on_digits() -> None:
    size = SMOKE._replace(seeds=6, pool=1200, test=400, counts=(100, 400), widths=(100,), width=1000)
    result = study.features(study.task("digits", size, 0), size, Parts(None, {}), lambda _: None)
    for name in ("samples", "widths", "teachers"):
        found = getattr(result, name).total.mean("seed")
        theory = result.theory[name].total.sel({dim: found[dim] for dim in found.dims}, method="nearest")
        np.testing.assert_allclose(theory, found, rtol=0.06)


def test_a_diverged_network_is_no_number_and_the_others_are_kept() -> None:
    size = SMOKE._replace(recipe=SMOKE.recipe._replace(learning_rate=60.0), counts=(200,))
    task = study.task("digits", size, 0)
    teachers = [Taught(1e18 * jnp.ones((2, *task.outputs.shape)), jnp.zeros(2))]
    with pytest.warns(RuntimeWarning, match="diverged with learning_rate 60"):
        found = networks.samples(task, size, teachers[0], Parts(None, {}), lambda _: None)
    assert np.isnan(found.total.sel(synthetic_fraction=0.5)).all()


def test_seeds_take_turns_where_memory_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    task = study.task("digits", SMOKE, 0)
    teacher = Taught(0.5 * jnp.broadcast_to(task.outputs, (2, *task.outputs.shape)), jnp.zeros(2))
    together = networks.samples(task, SMOKE, teacher, Parts(None, {}), lambda _: None)
    lessons = networks._lessons(
        task._replace(keys=task.keys[:1], train=task.train[:1], validation=task.validation[:1]),
        [Taught(teacher.outputs[:1], teacher.quality[:1])],
        SMOKE.fractions,
    )
    each = networks.memory_needed(lessons, SMOKE.width, SMOKE.recipe) - task.images.nbytes
    monkeypatch.setattr(networks, "free_memory", lambda: (task.images.nbytes + 1.5 * each) / 0.9)
    with pytest.warns(RuntimeWarning, match="memory for 1 of 2 seeds at width 40; they take turns"):
        turns = networks.samples(task, SMOKE, teacher, Parts(None, {}), lambda _: None)
    np.testing.assert_allclose(turns.total, together.total, rtol=1e-5)


def test_presets_fit_their_images() -> None:
    for (dataset, _, _), size in sizes.SIZES.items():
        total = 1797 if dataset == "digits" else 70_000
        published = 10_000 if size.test is None else 0
        pool = min(size.pool or total, total - published - size.teaching)
        left = pool - (size.test or 0) - size.validation
        assert max(*size.counts, size.graded_n) <= left
        assert max(teacher.images for teacher in (size.teacher, *size.teachers)) <= size.teaching


def test_bad_input_is_named(tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert command_line.main(["images", "--preset", "paper", "--out", str(tmp_path)]) == 2
    assert "the paper's sizes are those of MNIST. Add --dataset mnist" in capsys.readouterr().err
    monkeypatch.setenv("COLLAPSE_JAX_DATA", str(tmp_path / "none"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert command_line.main(["images", "--dataset", "mnist", "--out", str(tmp_path)]) == 2
    assert "MNIST is not in" in capsys.readouterr().err
    with pytest.raises(ValueError, match="n is 2000; it must be at most 260, the digits that are left to train on"):
        study.task("digits", SMOKE._replace(counts=(2000,)), 0)
    with pytest.raises(ValueError, match=r"synthetic_fraction is 0.001, which leaves no synthetic image among n = 200"):
        study.task("digits", SMOKE._replace(fractions=(0.001,)), 0)


def test_parts_of_another_run_are_not_used(tmp_path: Path) -> None:
    first = Parts(tmp_path, {"seed": 0})
    first.get("a", lambda: {"x": np.arange(2)})
    checkpoint = first.checkpoint("b")
    assert checkpoint is not None
    checkpoint.mkdir()
    second = Parts(tmp_path, {"seed": 1})
    assert second.get("a", lambda: {"x": np.arange(3)})["x"].tolist() == [0, 1, 2]
    assert json.loads((second.folder / "made_by.json").read_text()) == {"seed": 1}  # type: ignore[operator]
    first.get("b", lambda: {"x": jax.numpy.ones(())})
    assert not checkpoint.exists()
    first.delete()
    assert second.folder is not None
    assert second.folder.exists()
    second.delete()
    assert not tmp_path.exists() or not any(tmp_path.iterdir())
