"""Tables from disk are the published ones or refused; descriptors become numbers that the theory can take."""

import hashlib
import os
import re

import jax.numpy as jnp
import numpy as np
import pytest

from collapse_jax.data import tables

HEADER = ["ID", "Name", "Solubility", "SD", *(f"descriptor {k}" for k in range(tables.DESCRIPTORS))]
ROWS = [["A-1", '"water, salt"', "-3.6", "0.1", *map(str, range(17))], ["B-2", "oil", "0.5", "0", *["2.5"] * 17]]


@pytest.fixture
def made_up(tmp_path, monkeypatch):
    """A small file of the same columns, which counts as the published one."""
    file = tmp_path / tables.AQSOLDB
    file.parent.mkdir()
    file.write_text("\n".join(",".join(row) for row in [HEADER, *ROWS]) + "\n")
    monkeypatch.setattr(tables, "AQSOLDB_SHA256", hashlib.sha256(file.read_bytes()).hexdigest())
    return file


def test_descriptors_and_solubility_are_read(made_up):
    table = tables.aqsoldb(made_up)
    np.testing.assert_array_equal(table.outputs, [-3.6, 0.5])
    np.testing.assert_array_equal(table.inputs, [range(17), [2.5] * 17])
    assert table.names == tuple(HEADER[4:])
    assert table.inputs.dtype == jnp.result_type(float)


def test_the_environment_variable_names_the_folder_of_data(made_up, monkeypatch):
    monkeypatch.setenv(tables.VARIABLE, str(made_up.parents[1]))
    assert tables.aqsoldb().outputs.shape == (2,)


def test_the_cache_is_looked_at_last(made_up, monkeypatch, tmp_path):
    monkeypatch.setenv(tables.VARIABLE, str(tmp_path / "empty"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "collapse_jax").symlink_to(made_up.parents[1])
    assert tables.aqsoldb().outputs.shape == (2,)


def test_another_file_is_refused(made_up):
    made_up.write_text(made_up.read_text().replace("-3.6", "-3.7"))
    with pytest.raises(
        ValueError, match=r"aqsoldb_data_curated.csv has SHA-256 [0-9a-f]{64}; it must be .*Get it from"
    ):
        tables.aqsoldb(made_up)


def test_a_missing_file_says_where_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setenv(tables.VARIABLE, str(tmp_path))
    with pytest.raises(FileNotFoundError) as raised:
        tables.aqsoldb()
    for part in (str(tmp_path / tables.AQSOLDB), tables.AQSOLDB_URL, "aqsoldb(path)", tables.VARIABLE):
        assert part in str(raised.value)


@pytest.mark.skipif(tables.VARIABLE not in os.environ, reason=f"{tables.VARIABLE} does not name a folder of data")
def test_the_published_table():
    table = tables.aqsoldb()
    assert table.inputs.shape == (9982, 17)
    assert float(table.outputs.mean()) == pytest.approx(-2.89, abs=0.01)
    assert table.names[:2] == ("MolWt", "MolLogP")


def test_scores_keep_the_order_and_lose_the_tails():
    columns = np.exp(3 * np.random.default_rng(0).standard_normal((500, 2)))
    scores = tables.normal_scores(columns)
    assert (np.argsort(scores, axis=0) == np.argsort(columns, axis=0)).all()
    np.testing.assert_allclose([scores.mean(0), (scores**2).mean(0)], [[0, 0], [1, 1]], atol=1e-9)
    assert float(abs(scores).max()) < 3.5
    np.testing.assert_array_equal(tables.normal_scores([[1.0], [1.0]]), [[0.0], [0.0]])


def test_bad_columns_are_named():
    for function in (tables.normal_scores, tables.with_products):
        with pytest.raises(ValueError, match=re.escape("columns has shape (3,); it must be (N, d)")):
            function([1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="columns is nan at index"):
        tables.normal_scores([[1.0], [float("nan")]])
