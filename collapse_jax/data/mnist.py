"""MNIST and other images in IDX files: read from your disk, checked to be the published ones."""

import gzip
import hashlib
import os
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from collapse_jax.data.images import Images
from collapse_jax.data.places import VARIABLE, cache, usual

TRAIN_IMAGES, TRAIN_LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
TEST_IMAGES, TEST_LABELS = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"
MD5 = {  # of the uncompressed content
    TRAIN_IMAGES: "6bbc9ace898e44ae57da46a324031adb",
    TRAIN_LABELS: "a25bea736e30d166cdddb491f175f624",
    TEST_IMAGES: "2646ac647ad5339dbf082846283269ea",
    TEST_LABELS: "27ae3e4e09519cfbb04c329615203637",
}
NAMES = tuple(MD5)
PUBLISHED_TEST = range(60_000, 70_000)
UNSIGNED_BYTE = 8  # the type code in the head of an IDX file


def mnist(path: str | os.PathLike[str] | None = None, *, download: bool = False, dtype: Any = None) -> Images:
    """The 70,000 handwritten digits of 28 x 28 pixels, in their published order: 60,000 to train, then 10,000 to test.

    The images are not part of the package. They are read from the four IDX files ``train-images-idx3-ubyte``,
    ``train-labels-idx1-ubyte``, ``t10k-images-idx3-ubyte`` and ``t10k-labels-idx1-ubyte``, compressed (``.gz``) or not.

    Args:
        path: the folder that has them. By default ``mnist`` in the directory that the environment variable
            ``COLLAPSE_JAX_DATA`` names, then ``~/.cache/collapse_jax/mnist``.
        download: where no folder has them, fetch them from OpenML through scikit-learn and keep them in that cache.
        dtype: of the pixels; the default floating-point precision when None (220 MB in float32).

    Returns:
        :class:`Images` with 784 pixels, brightness 0 to 1, and 10 classes.

    Raises:
        FileNotFoundError: where files are missing, with what to do.
        ValueError: for a file whose content is not the published one, by the MD5 of its uncompressed bytes.

    Source: LeCun, Cortes and Burges, *The MNIST database of handwritten digits* (CC BY-SA 3.0).

    Example:
        >>> mnist("/nowhere")
        Traceback (most recent call last):
        FileNotFoundError: MNIST is not in /nowhere: train-images-idx3-ubyte is missing...
    """
    folders = [Path(path)] if path is not None else usual("mnist")
    complete = [folder for folder in folders if not _missing(folder)]
    if complete:
        return idx_images(complete[0], MD5, dtype)
    if download:
        return _from_openml(cache() / "mnist", dtype)
    missing = f"{_missing(folders[0])[0]} is missing"
    raise FileNotFoundError(
        f"MNIST is not in {' or '.join(map(str, folders))}: {missing}. Put its four IDX files (.gz or not) there, name their "
        f"folder with mnist(path), set {VARIABLE} to the directory whose folder 'mnist' has them, or call "
        "mnist(download=True) to fetch them from OpenML"
    )


def idx_images(folder: str | os.PathLike[str], md5: Mapping[str, str] | None = None, dtype: Any = None) -> Images:
    """Images in four IDX files named as those of MNIST (so are Fashion-MNIST's and KMNIST's), training images first.

    Args:
        folder: the folder that has them, compressed (``.gz``) or not.
        md5: what the MD5 of the uncompressed content of each file must be; None to trust the files.
        dtype: of the pixels; the default floating-point precision when None.

    Raises:
        FileNotFoundError: for a missing file.
        ValueError: for a file that is damaged or not the expected one.
    """
    folder, arrays = Path(folder), {}
    missing = _missing(folder)
    if missing:
        raise FileNotFoundError(
            f"{missing[0]} (or {missing[0]}.gz) is not in {folder}; it must have {', '.join(NAMES)}"
        )
    for name in NAMES:
        file = _find(folder, name)
        assert file is not None
        content = _content(file)
        _check_md5(str(file), content, None if md5 is None else md5[name])
        arrays[name] = _array(str(file), content)
    return _images(arrays, dtype)


def _images(arrays: Mapping[str, np.ndarray], dtype: Any) -> Images:
    for images, labels in ((TRAIN_IMAGES, TRAIN_LABELS), (TEST_IMAGES, TEST_LABELS)):
        if len(arrays[images]) != len(arrays[labels]):
            raise ValueError(f"{images} has {len(arrays[images])} images and {labels} {len(arrays[labels])} labels")
    pixels = np.concatenate([arrays[name].reshape(len(arrays[name]), -1) for name in (TRAIN_IMAGES, TEST_IMAGES)])
    labels = jnp.asarray(np.concatenate([arrays[TRAIN_LABELS], arrays[TEST_LABELS]]), jnp.int32)
    dtype = jnp.result_type(float) if dtype is None else dtype
    inputs = jnp.asarray(pixels).astype(dtype) / 255
    return Images(inputs, labels, jax.nn.one_hot(labels, int(labels.max()) + 1, dtype=dtype))


def _content(file: Path) -> bytes:
    content = file.read_bytes()
    if file.suffix != ".gz":
        return content
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{file} is damaged ({error}); it must be a whole gzip file. Get it again") from error


def _check_md5(file: str, content: bytes, expected: str | None) -> None:
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if expected is not None and found != expected:
        raise ValueError(
            f"{file} has uncompressed MD5 {found}; it must be {expected}, the published file. Delete it and get it again, "
            "or call mnist(download=True) without it"
        )


def _array(file: str, content: bytes) -> np.ndarray:
    """The unsigned bytes of an IDX file: two zeros, type, number of dimensions, sizes (big-endian), then the entries."""
    dims = content[3] if len(content) > 3 else 0
    if content[:3] != bytes([0, 0, UNSIGNED_BYTE]) or len(content) < 4 + 4 * dims:
        raise ValueError(f"{file} begins with {content[:4].hex()}; it must be an IDX file of unsigned bytes")
    shape = struct.unpack(f">{dims}I", content[4 : 4 + 4 * dims])
    entries = np.frombuffer(content, np.uint8, offset=4 + 4 * dims)
    if entries.size != np.prod(shape, dtype=int):
        raise ValueError(f"{file} has {entries.size} entries; its head says {shape}. Get it again")
    return entries.reshape(shape)


def _idx(array: np.ndarray) -> bytes:
    head = bytes([0, 0, UNSIGNED_BYTE, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + np.ascontiguousarray(array, np.uint8).tobytes()


def _from_openml(folder: Path, dtype: Any) -> Images:
    """The same four files, made from OpenML's table, checked, and kept in ``folder``."""
    from sklearn.datasets import fetch_openml

    table: Any = fetch_openml("mnist_784", version=1, as_frame=False, parser="liac-arff")
    pixels = np.asarray(table.data).astype(np.uint8).reshape(-1, 28, 28)
    labels = np.asarray(table.target).astype(np.uint8)
    train = PUBLISHED_TEST.start
    arrays = dict(zip(NAMES, (pixels[:train], labels[:train], pixels[train:], labels[train:]), strict=True))
    contents = {name: _idx(array) for name, array in arrays.items()}
    for name, content in contents.items():
        _check_md5(f"{name} from OpenML", content, MD5[name])
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        unfinished = folder / f".{name}.unfinished"
        unfinished.write_bytes(gzip.compress(content, 6))
        os.replace(unfinished, folder / f"{name}.gz")
    return _images(arrays, dtype)


def _missing(folder: Path) -> list[str]:
    return [name for name in NAMES if _find(folder, name) is None]


def _find(folder: Path, name: str) -> Path | None:
    """A file by its published name, or by that with a dot in it, as some programs unpack it; compressed or not."""
    names = (name, name.replace("-idx", ".idx"))
    candidates = [folder / f"{name}{suffix}" for name in names for suffix in ("", ".gz")]
    return next((file for file in candidates if file.is_file()), None)
