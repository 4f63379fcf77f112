"""The command line as a user meets it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import xarray as xr
from PIL import Image

import collapse_jax
from collapse_jax import study
from collapse_jax.__main__ import main
from collapse_jax.figures import FIGURES


def test_module_runs_and_tells_its_version() -> None:
    command = [sys.executable, "-m", "collapse_jax", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"collapse_jax {collapse_jax.__version__}\n"


@pytest.mark.parametrize(
    ("words", "taught"),
    [
        (["--help"], "python -m collapse_jax figures strong-3"),
        (["study", "--help"], "--preset"),
        (["figures", "--help"], "NAME"),
        (["--help"], "exit codes: 0 done"),
        (["--print-completion", "bash"], "--preset"),
    ],
)
def test_help_teaches(words: list[str], taught: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 0
    assert taught in capsys.readouterr().out


def test_figures_without_a_name_lists_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["figures"]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed and figure.title in printed for name, figure in FIGURES.items())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["figures", "strong-77"], ["strong-77", *FIGURES]),
        (["figure"], ["invalid choice: 'figure'", "study"]),
        (["--seed", "-1"], ["--seed", "'-1'"]),
        (["--preset", "huge"], ["--preset", "laptop", "smoke"]),
        (["stories", "--fresh", "0.1"], ["--fresh 0.1", "--generations"]),
    ],
)
def test_mistakes_are_told_without_a_traceback(
    words: list[str], said: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    message = capsys.readouterr().err
    assert "Traceback" not in message
    assert all(word in message for word in said)


@pytest.mark.parametrize("words", [[], ["figures", "strong-3"]])
def test_unwritable_directory_is_refused_before_anything_is_computed(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study, "samples", lambda *_: pytest.fail("computed"))
    (tmp_path / "file").touch()
    out = str(tmp_path / "file" / "below")
    assert main([*words, "--out", out]) == 2
    message = capsys.readouterr().err
    assert out in message
    assert "--out" in message
    assert message.count("\n") == 1


def test_debug_shows_where_an_error_comes_from(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="cannot write"):
        main(["--debug", "--out", str(tmp_path / "file")])


def test_interrupted_study_keeps_what_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    curve = xr.Dataset({"total": ("n", [1.0, 0.5])}, {"n": [10, 100]})
    finished = study.Samples(study.Comparison(curve, curve.expand_dims(seed=2)), [])
    monkeypatch.setattr(study, "samples", lambda *_: finished)
    monkeypatch.setattr(study, "widths", interrupt)
    assert main(["--preset", "smoke", "--out", str(tmp_path)]) == 130
    files = ["study_samples_measured.nc", "study_samples_theory.nc"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["README.md", *files]
    assert all(f"- {name}" in (tmp_path / "README.md").read_text() for name in files)
    assert str(tmp_path) in capsys.readouterr().err


@pytest.mark.slow
def test_smoke_study_prints_what_matters_and_writes_files_that_open(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "results"
    assert main(["--preset", "smoke", "--out", str(out), "--seed", "5"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "With 50 % synthetic data, more data stops helping from n = " in printed
    assert "Theory and measurement, pixels: 15 points differ by" in printed
    pictures = {"study.png", "decomposition.png", "digits.png"}
    stems = [f"{study}_{axis}" for study in ("study", "digits") for axis in ("samples", "widths")]
    files = {f"{stem}_{side}.nc" for stem in stems for side in ("theory", "measured")}
    assert {path.name for path in out.iterdir()} == pictures | files | {"README.md"}
    for name in files:
        with xr.open_dataset(out / name) as dataset:
            assert dataset.total.notnull().all()
            assert dataset.attrs["random_seed"] == "5"
            assert f"--out {out}" in dataset.attrs["command"]
            assert {"setting", "ridge", "dtype"} <= set(dataset.attrs)


@pytest.mark.parametrize(
    ("wrong", "code"), [(FloatingPointError("nan"), 3), (MemoryError("full"), 3), (OSError("no"), 2)]
)
def test_exit_codes_tell_mistakes_from_failures(
    wrong: Exception, code: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise wrong

    monkeypatch.setattr(study, "samples", fail)
    assert main(["--out", str(tmp_path)]) == code
    assert capsys.readouterr().err.endswith(f"error: {wrong}\n")


def test_figure_is_written_with_its_datasets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["figures", "strong-3", "--preset", "smoke", "--out", str(tmp_path)]) == 0
    assert "strong-3.png" in capsys.readouterr().out
    with Image.open(tmp_path / "strong-3.png") as picture:
        assert "figures strong-3" in picture.info["Description"]
    with xr.open_dataset(tmp_path / "strong-3_theory.nc") as dataset:
        assert "figures strong-3" in dataset.attrs["command"]
    readme = (tmp_path / "README.md").read_text()
    assert all(f"- {path.name}\n" in readme for path in tmp_path.iterdir() if path.name != "README.md")


def test_json_has_the_numbers_of_the_datasets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["figures", "strong-3", "--preset", "smoke", "--json", "--out", str(tmp_path)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {"strong-3.png", "strong-3_theory.nc"} <= set(told["files"])
    for name, found in told["results"].items():
        with xr.open_dataset(tmp_path / f"{name}.nc") as dataset:
            expected = dataset.mean("seed") if "seed" in dataset.dims else dataset
            xr.testing.assert_allclose(xr.Dataset.from_dict(found["data"])[list(expected)], expected)
            assert ("standard_error" in found) == ("seed" in dataset.dims)


def test_a_page_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("my notes")
    assert main(["figures", "strong-3", "--preset", "smoke", "--out", str(tmp_path)]) == 0
    assert (tmp_path / "README.md").read_text() == "my notes"
