"""IDX files: read, checked, refused; images: normalised, split, labelled."""

import gzip
import hashlib
import os
import struct
import sys
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from collapse_jax.data import digits
from collapse_jax.data import images as labelled
from collapse_jax.data.mnist import MD5, NAMES, PUBLISHED_TEST, idx_images, mnist

TRAIN, TEST = 7, 3
MODULE = sys.modules[mnist.__module__]  # the package has a function of the same name


def idx(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def contents() -> dict[str, bytes]:
    generator = np.random.default_rng(0)
    images = [generator.integers(0, 256, (count, 2, 3), np.uint8) for count in (TRAIN, TEST)]
    labels = [np.arange(count, dtype=np.uint8) % 4 for count in (TRAIN, TEST)]
    return {name: idx(array) for name, array in zip(NAMES, (images[0], labels[0], images[1], labels[1]), strict=True)}


def write(folder: Path, files: dict[str, bytes], compressed: bool = False) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / (name + ".gz" * compressed)).write_bytes(gzip.compress(content) if compressed else content)
    return folder


@pytest.mark.parametrize("compressed", [False, True])
def test_files_give_their_pixels_and_labels_training_first(tmp_path: Path, compressed: bool) -> None:
    files = contents()
    images = idx_images(write(tmp_path, files, compressed))
    pixels = np.frombuffer(files[NAMES[0]][16:] + files[NAMES[2]][16:], np.uint8).reshape(-1, 6)
    np.testing.assert_allclose(images.inputs, pixels / 255, rtol=1e-15)
    assert images.labels.tolist() == [0, 1, 2, 3, 0, 1, 2, 0, 1, 2]
    np.testing.assert_array_equal(images.one_hot.argmax(1), images.labels)


def test_dotted_names_and_float32(tmp_path: Path) -> None:
    files = {name.replace("-idx", ".idx"): content for name, content in contents().items()}
    images = idx_images(write(tmp_path, files), dtype=jnp.float32)
    assert images.inputs.dtype == images.one_hot.dtype == jnp.float32


def test_the_sum_is_of_the_uncompressed_content(tmp_path: Path) -> None:
    files = contents()
    sums = {name: hashlib.md5(content).hexdigest() for name, content in files.items()}
    # The head of a gzip file holds a time, so two compressed copies differ while their content is one.
    assert len(idx_images(write(tmp_path, files, compressed=True), sums).labels) == TRAIN + TEST
    files[NAMES[0]] = files[NAMES[0]][:-1] + b"\x00"
    with pytest.raises(ValueError, match=rf"{NAMES[0]}.* has uncompressed MD5 \w+; it must be {sums[NAMES[0]]}"):
        idx_images(write(tmp_path / "changed", files), sums)


def test_files_of_another_origin_are_not_mnist(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the published file"):
        mnist(write(tmp_path, contents()))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: content[:-2], "its head says"),
        (lambda content: b"\x1f\x8b" + content, "must be an IDX file"),
        (lambda content: content[:6], "must be an IDX file"),
        (lambda content: b"", "must be an IDX file"),
    ],
)
def test_damaged_files_are_refused(tmp_path: Path, damage: Any, message: str) -> None:
    files = contents()
    files[NAMES[2]] = damage(files[NAMES[2]])
    with pytest.raises(ValueError, match=message):
        idx_images(write(tmp_path, files))


def test_half_a_gzip_file_is_refused(tmp_path: Path) -> None:
    folder = write(tmp_path, contents(), compressed=True)
    half = folder / f"{NAMES[0]}.gz"
    half.write_bytes(half.read_bytes()[:-12])
    with pytest.raises(ValueError, match="is damaged"):
        idx_images(folder)


def test_images_without_labels_are_refused(tmp_path: Path) -> None:
    files = contents()
    files[NAMES[1]] = files[NAMES[3]]
    with pytest.raises(ValueError, match=r"has 7 images and .* 3 labels"):
        idx_images(write(tmp_path, files))


def test_a_missing_file_is_named_and_ways_out_are_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = contents()
    del files[NAMES[3]]
    with pytest.raises(FileNotFoundError, match=NAMES[3]):
        idx_images(write(tmp_path, files))
    monkeypatch.setenv("COLLAPSE_JAX_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(FileNotFoundError, match=r"mnist\(path\).*COLLAPSE_JAX_DATA.*download=True") as caught:
        mnist()
    assert str(tmp_path / "data" / "mnist") in str(caught.value)
    assert str(tmp_path / "cache" / "collapse_jax" / "mnist") in str(caught.value)


def test_the_named_directory_comes_before_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLLAPSE_JAX_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    write(tmp_path / "cache" / "collapse_jax" / "mnist", contents())
    with pytest.raises(ValueError, match="cache"):  # found there, and not the published files
        mnist()
    write(tmp_path / "data" / "mnist", contents())
    with pytest.raises(ValueError, match=str(tmp_path / "data")):
        mnist()


class Table(NamedTuple):
    """What scikit-learn hands over."""

    data: np.ndarray
    target: np.ndarray


def test_openml_is_asked_only_on_request_checked_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLLAPSE_JAX_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(MODULE, "PUBLISHED_TEST", range(TRAIN, TRAIN + TEST))
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (TRAIN + TEST, 784))
    labels = np.arange(TRAIN + TEST) % 10
    asked = []

    def fetch(name: str, **_: Any) -> Table:
        asked.append(name)
        return Table(pixels.astype(float), labels.astype(str))

    monkeypatch.setattr("sklearn.datasets.fetch_openml", fetch)
    with pytest.raises(FileNotFoundError):
        mnist()
    assert not asked
    with pytest.raises(ValueError, match="from OpenML has uncompressed MD5"):
        mnist(download=True)
    assert not list(tmp_path.rglob("*idx*")), "what is not the published data is not kept"
    square = pixels.astype(np.uint8).reshape(-1, 28, 28)
    parts = (square[:TRAIN], labels[:TRAIN].astype(np.uint8), square[TRAIN:], labels[TRAIN:].astype(np.uint8))
    sums = {name: hashlib.md5(idx(part)).hexdigest() for name, part in zip(NAMES, parts, strict=True)}
    monkeypatch.setattr(MODULE, "MD5", sums)
    fetched = mnist(download=True)
    kept = mnist()
    assert asked == ["mnist_784", "mnist_784"]
    for one, other in zip(fetched, kept, strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(jnp.round(255 * kept.inputs), pixels)


@pytest.mark.skipif("COLLAPSE_JAX_DATA" not in os.environ, reason="COLLAPSE_JAX_DATA does not name a directory")
def test_the_published_images() -> None:
    images = mnist(dtype=jnp.float32)
    assert images.inputs.shape == (70_000, 784)
    assert images.labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert images.labels[60_000:60_005].tolist() == [7, 2, 1, 0, 4]
    # The mean and standard deviation that everyone quotes for the training images.
    assert float(images.inputs[:60_000].mean()) == pytest.approx(0.1307, abs=1e-4)
    assert float(images.inputs[:60_000].std()) == pytest.approx(0.3081, abs=1e-4)
    assert (len(PUBLISHED_TEST), set(MD5)) == (10_000, set(NAMES))


def test_splits_are_disjoint_complete_and_decided_by_the_seed() -> None:
    images = digits()
    rows = labelled.Images(jnp.arange(1797.0)[:, None], images.labels, images.one_hot)
    parts = labelled.splits(rows, seed=3, validation=150, test=400)
    found = np.concatenate([part.inputs[:, 0] for part in parts])
    assert [len(part.labels) for part in parts] == [1247, 150, 400]
    np.testing.assert_array_equal(np.sort(found), np.arange(1797))
    for part in parts:
        np.testing.assert_array_equal(part.labels, images.labels[part.inputs[:, 0].astype(int)])
    again = labelled.splits(rows, seed=3, validation=150, test=400)
    np.testing.assert_array_equal(parts.train.inputs, again.train.inputs)
    assert (labelled.splits(rows, seed=4, validation=150, test=400).train.inputs != parts.train.inputs).any()


def test_a_published_test_set_is_kept_in_its_order() -> None:
    images = digits()
    parts = labelled.splits(images, seed=0, validation=97, test=range(1500, 1797))
    np.testing.assert_array_equal(parts.test.inputs, images.inputs[1500:])
    assert len(parts.train.labels) == 1403
    for test in ([0, 0], [-1], [1797]):
        with pytest.raises(ValueError, match="they must differ, from 0 to 1796"):
            labelled.splits(images, seed=0, validation=0, test=test)
    for validation, test in ((-1, 3), (0, 1797), (1000, 797)):
        with pytest.raises(ValueError, match="leave an image to train on"):
            labelled.splits(images, seed=0, validation=validation, test=test)


def test_test_images_are_normalised_by_the_training_images() -> None:
    parts = labelled.splits(digits(), seed=0, validation=0, test=600)
    train = labelled.normalised(parts.train)
    test = labelled.normalised(parts.test, like=train)
    np.testing.assert_allclose(train.inputs.mean(0), 0, atol=1e-13)
    assert float((train.inputs**2).mean()) == pytest.approx(1, rel=1e-12)
    np.testing.assert_allclose(test.inputs * train.scale + train.mean[None, :], parts.test.inputs, atol=1e-13)
    np.testing.assert_allclose(test.outputs + train.prior[None, :], parts.test.one_hot, atol=1e-13)
    grey = labelled.Images(jnp.full((3, 2), 0.5), parts.test.labels[:3], parts.test.one_hot[:3])
    with pytest.raises(ValueError, match="all equal"):
        labelled.normalised(grey)


@pytest.mark.parametrize("fraction", [0.0, 0.001, 0.05, 1 / 3, 0.5, 0.9, 1.0])
def test_the_first_n_rows_hold_the_rounded_share_for_every_n(fraction: float) -> None:
    mask = labelled.synthetic_rows(5000, fraction)
    share = np.arange(1, 5001) * fraction
    assert np.abs(np.cumsum(mask) - share).max() <= 0.5 + 1e-9


def test_fractions_that_round_to_nothing_are_refused() -> None:
    for n, fraction in ((100, 0.001), (100, 0.999), (1, 0.5)):
        with pytest.raises(ValueError, match=r"which leaves no \w+ image among n"):
            labelled.check_fraction(n, fraction)
    for n, fraction in ((1000, 0.001), (100, 0.0), (100, 1.0), (100, 0.99), (2, 0.5)):
        labelled.check_fraction(n, fraction)
    with pytest.raises(ValueError, match="between 0 and 1"):
        labelled.synthetic_rows(10, 1.5)


def test_normalisation_does_not_depend_on_units() -> None:
    images = digits()
    bright = images._replace(inputs=images.inputs * 255)
    one, other = labelled.normalised(images), labelled.normalised(bright)
    np.testing.assert_allclose(one.inputs, other.inputs, rtol=1e-12, atol=1e-13)
    assert jax.tree.leaves(one)[0].dtype == images.inputs.dtype
