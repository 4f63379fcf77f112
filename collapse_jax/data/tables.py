"""Tables of measurements that are not part of the package: read from your disk, checked to be the published ones."""

import csv
import hashlib
import os
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy

from collapse_jax import checks
from collapse_jax.data.places import VARIABLE, usual

AQSOLDB = Path("regression", "aqsoldb_data_curated.csv")  # in the folder of data
AQSOLDB_COMMIT = "8e02b548fd9a78778ff89a5aa9a460d1a289cc3a"
AQSOLDB_URL = f"https://raw.githubusercontent.com/mcsorkun/AqSolDB/{AQSOLDB_COMMIT}/results/data_curated.csv"
AQSOLDB_SHA256 = "363a42a4e4ea8e6039758146d34efdd95cde2da81c665316cacc1869e0a805ed"
DESCRIPTORS = 17  # the last columns of AqSolDB


class Table(NamedTuple):
    """A regression task.

    Attributes:
        inputs: (N, d) one row a sample.
        outputs: (N,) what is to be predicted.
        names: d names of the columns of ``inputs``.
    """

    inputs: jax.Array
    outputs: jax.Array
    names: tuple[str, ...]


def aqsoldb(path: str | os.PathLike[str] | None = None) -> Table:
    """AqSolDB: 17 numeric descriptors of 9,982 compounds, and the logarithm of their solubility in water (mol/l).

    The file of 3.8 MB, ``data_curated.csv`` of its authors, is not part of the package, which never downloads it.

    Args:
        path: the file. By default ``regression/aqsoldb_data_curated.csv`` in the folder that the environment variable
            ``COLLAPSE_JAX_DATA`` names, then in ``~/.cache/collapse_jax``.

    Returns:
        :class:`Table` in the default floating-point precision, rows in the published order.

    Raises:
        FileNotFoundError: where the file is missing, with what to do.
        ValueError: for a file that is not the published one, by its SHA-256.

    Source: Sorkun, Khetan and Er, *AqSolDB, a curated reference set of aqueous solubility and 2D descriptors for a diverse set
    of compounds*, Scientific Data 6, 143 (2019); licence CC0 1.0.

    Example:
        >>> aqsoldb("/nowhere/data_curated.csv")
        Traceback (most recent call last):
        FileNotFoundError: AqSolDB is not at /nowhere/data_curated.csv...
    """
    rows = list(csv.reader(_published(path).decode().splitlines()))
    header, cells = rows[0], rows[1:]
    outputs = [float(row[header.index("Solubility")]) for row in cells]
    inputs = np.array([[float(value) for value in row[-DESCRIPTORS:]] for row in cells])
    dtype = jnp.result_type(float)
    return Table(jnp.asarray(inputs, dtype), jnp.asarray(outputs, dtype), tuple(header[-DESCRIPTORS:]))


def normal_scores(columns: Any) -> jax.Array:
    """Each column (N, d) replaced by the standard normal quantiles of its ranks, with mean 0 and variance 1.

    Heavy tails go, the order stays. Equal values share their mean rank; a constant column becomes 0.

    Args:
        columns: (N, d) finite numbers, one row a sample.

    Raises:
        ValueError: for an array that is not (N, d) or not finite.

    Example:
        >>> normal_scores([[1.0], [10.0], [1000.0]]).round(3).ravel().tolist()
        [-1.225, 0.0, 1.225]
    """
    array = checks.real("columns", columns)
    if array.ndim != 2 or not array.size:
        raise ValueError(f"columns has shape {array.shape}; it must be (N, d): one column a feature")
    checks.finite("columns", array)
    scores = scipy.stats.norm.ppf((scipy.stats.rankdata(np.asarray(array), axis=0) - 0.5) / len(array))
    spread = scores.std(0)
    return jnp.asarray((scores - scores.mean(0)) / np.where(spread > 0, spread, 1), array.dtype)


def with_products(columns: Any) -> jax.Array:
    """Columns (N, d) followed by the products of every two of them, squares included: (N, d + d (d + 1) / 2).

    Raises:
        ValueError: for an array that is not (N, d).

    Example:
        >>> with_products([[2.0, 3.0]]).tolist()
        [[2.0, 3.0, 4.0, 6.0, 9.0]]
    """
    array = checks.real("columns", columns)
    if array.ndim != 2:
        raise ValueError(f"columns has shape {array.shape}; it must be (N, d): one column a feature")
    first, second = np.triu_indices(array.shape[1])
    return jnp.concatenate([array, array[:, first] * array[:, second]], 1)


def _published(path: str | os.PathLike[str] | None) -> bytes:
    """The file's content, once it is known to be the published one."""
    places = usual(AQSOLDB) if path is None else [Path(path)]
    found = [place for place in places if place.is_file()]
    if not found:
        raise FileNotFoundError(
            f"AqSolDB is not at {' or '.join(map(str, places))}. Get {AQSOLDB_URL} (3.8 MB, CC0 1.0) and name the file with "
            f"aqsoldb(path), or save it as {AQSOLDB} in the folder that the environment variable {VARIABLE} names"
        )
    content = found[0].read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != AQSOLDB_SHA256:
        raise ValueError(
            f"{found[0]} has SHA-256 {digest}; it must be {AQSOLDB_SHA256}, the published file. Get it from {AQSOLDB_URL}"
        )
    return content
