"""A store keeps what its sweep has finished, however that ended, and takes nothing from another sweep."""

import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_array_equal

import collapse_jax as cj
from collapse_jax.sweep import store as stores

X = np.linspace(-1.0, 3.0, 160)
AXES = {"x": X, "row": np.arange(4.0).reshape(2, 2)}
CHUNKS = 160 * 2 * 3 // 16  # batches of one point give chunks of 16


def point(key, x, row):
    draw = jax.random.uniform(key)
    total = jnp.where(x < -0.8, jnp.sqrt(x), x * 0.1 + draw)  # the first points are NaN
    return {"total": total, "pair": row * draw, "whole": jnp.floor(x).astype(jnp.int32), "yes": draw > 0.5}


def random():
    """The settings of a sweep with seeds; not at import, which must not start JAX."""
    return {"key": jax.random.key(2), "seeds": 3, "batch_size": 1}


def sweep(point, **settings):
    """A sweep whose NaNs are no news."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".* not finite")
        return cj.sweep(point, **({"progress": False} | settings))


def bits(dataset):
    """Everything in a dataset, to the last bit."""
    return {
        name: (value.dims, str(value.dtype), value.shape, value.values.tobytes())
        for name, value in dataset.variables.items()
    }


def files(path):
    """The files of a store and their content; a killed process leaves drafts, which are nothing."""
    found = [file for file in Path(path).rglob("*") if file.is_file() and file.suffix != ".partial"]
    return {str(file.relative_to(path)): file.read_bytes() for file in found}


def start(call, *arguments, **settings):
    """A Python process that calls a function of this file."""
    code = (
        "import sys, json, jax; jax.config.update('jax_enable_x64', True); import test_sweep_store as here;"
        f"here.{call}(*json.loads(sys.argv[1]))"
    )
    command = [sys.executable, "-c", code, json.dumps([str(a) if isinstance(a, Path) else a for a in arguments])]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=Path(__file__).parent, **(pipes | settings))


def result(process):
    """What the process printed, once it ended well."""
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return out


@pytest.fixture(scope="module")
def memory():
    return sweep(point, **random(), **AXES)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A store made without interruption."""
    path = tmp_path_factory.mktemp("whole") / "store.zarr"
    sweep(point, **random(), **AXES, store=path)
    return path


@pytest.fixture
def copy(whole, tmp_path):
    return Path(shutil.copytree(whole, tmp_path / "copy.zarr"))


# What a store holds -----------------------------------------------------------------------------------------------------------


def test_a_store_holds_what_memory_does(memory, whole):
    assert bits(xr.open_zarr(whole)) == bits(memory)
    again = sweep(point, **random(), **AXES, store=whole)
    assert bits(again) == bits(memory)
    assert again.attrs["chunks"] == f"{CHUNKS} of {CHUNKS} finished"
    assert again.attrs["nonfinite_values"] == memory.attrs["nonfinite_values"] == np.isnan(memory.total).sum() > 0


def test_a_store_opens_plainly_and_says_how_it_was_made(memory, whole):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dataset = xr.open_zarr(whole)
    for name in ("collapse_jax", "jax", "dtype", "batch_size", "point", "axes", "key", "seeds"):
        assert dataset.attrs[name] == memory.attrs[name]
    assert list(dataset.sizes.items()) == list(memory.sizes.items())
    assert dataset.total.attrs == memory.total.attrs
    assert dataset.yes.dtype == bool


def test_a_finished_store_is_read_not_computed(whole):
    told = []
    dataset = sweep(point, **random(), **AXES, store=whole, progress=told.append)
    assert told == []
    assert dataset.attrs["compile_seconds"] == 0


def test_a_store_of_one_point_and_of_no_seeds(tmp_path):
    path = tmp_path / "deep" / "one.zarr"
    for _ in range(2):
        assert float(sweep(lambda: jnp.asarray(3.0), store=str(path))["value"]) == 3
    assert float(xr.open_zarr(path)["value"]) == 3


def test_relative_errors_are_kept(tmp_path):
    def noisy(key, scale):
        return {"total": 1 + scale * jax.random.uniform(key)}

    settings = {"key": jax.random.key(1), "seeds": 20, "scale": np.linspace(0, 3, 40), "relative_error": 0.05}
    for _ in range(2):
        stored = sweep(noisy, **settings, batch_size=8, store=tmp_path / "store.zarr")
        assert bits(stored) == bits(sweep(noisy, **settings, batch_size=8))
    assert len(np.unique(stored.seeds_used)) > 1


def test_the_batch_size_is_the_stores_unless_it_is_given(tmp_path):
    path = tmp_path / "store.zarr"
    first = cj.sweep(lambda x: x, x=X, batch_size=3, store=path, part=(0, 2), progress=False)
    second = cj.sweep(lambda x: x, x=X, store=path, progress=False)
    assert second.attrs["batch_size"] == first.attrs["batch_size"] == 3
    assert_array_equal(second["value"], X)


# Killed, stopped, out of disk -------------------------------------------------------------------------------------------------


def telling(path, pipe):
    def tell(now):
        os.write(pipe, f"{now.done} {now.total}\n".encode())
        time.sleep(0.2)  # or a quick machine is through with all before it is killed

    sweep(point, **random(), **AXES, store=path, progress=tell)


def kill_often(path, kills):
    """Start the sweep time and again and kill it at a random moment; print what each start was told of its progress."""
    rng = np.random.default_rng(kills)
    for _ in range(kills):
        chunks = int(rng.integers(0, CHUNKS // kills + 1))
        read, write = os.pipe()
        child = os.fork()  # before JAX starts: what the child does begins at the beginning
        if not child:
            telling(path, write)
            os._exit(3)  # it should have been killed
        os.close(write)
        with os.fdopen(read) as told:
            lines = [told.readline() for _ in range(chunks)]
            time.sleep(rng.uniform(0, 0.02) if chunks else rng.uniform(0, 1.5))
            os.kill(child, signal.SIGKILL)
            lines += told.readlines()
        assert os.waitpid(child, 0)[1] == signal.SIGKILL
        print((lines[-1] if lines else "0 0").strip())


def check_kills(path, kills, whole, memory):
    told = [tuple(map(int, line.split())) for line in result(start("kill_often", path, kills)).splitlines()]
    assert len(told) == kills
    told = [(done, total) for done, total in told if total]
    assert sum(done for done, _ in told) > 0
    left = X.size * 2 * 3
    for done, total in told:
        assert left - 2 * 16 <= total <= left  # nothing that was done is done again
        left = total - done
    rest = []
    dataset = sweep(point, **random(), **AXES, store=path, progress=rest.append)
    assert 0 < rest[-1].total <= left
    assert bits(dataset) == bits(xr.open_zarr(path)) == bits(memory)
    assert files(path) == files(whole)


def test_killed_at_five_random_moments_the_result_is_the_same(tmp_path, whole, memory):
    check_kills(tmp_path / "store.zarr", 5, whole, memory)


@pytest.mark.slow
def test_killed_at_twenty_five_random_moments_the_result_is_the_same(tmp_path, whole, memory):
    check_kills(tmp_path / "store.zarr", 25, whole, memory)


def test_an_interrupt_keeps_what_is_finished(tmp_path, whole):
    def stop(now):
        if now.done >= 100:
            raise KeyboardInterrupt

    path, told = tmp_path / "store.zarr", []
    with pytest.raises(KeyboardInterrupt):
        sweep(point, **random(), **AXES, store=path, progress=stop)
    sweep(point, **random(), **AXES, store=path, progress=told.append)
    assert told[-1].total == X.size * 2 * 3 - 112
    assert files(path) == files(whole)


def test_a_result_that_must_be_finite_stops_the_sweep_and_the_others_are_kept(tmp_path):
    settings = {"x": np.arange(64.0)[::-1], "batch_size": 1, "store": tmp_path / "store.zarr", "progress": False}
    with pytest.raises(FloatingPointError, match="x=0"):
        cj.sweep(lambda x: 1 / x, **settings, on_nonfinite="raise")
    told = []
    with pytest.warns(RuntimeWarning, match="x=0"):
        cj.sweep(lambda x: 1 / x, **(settings | {"progress": told.append}))
    assert told[-1].total == 16


def noise(key, x):
    """Chunks that do not compress, but for the first."""
    return jnp.where(x < 16, 0, jax.random.uniform(jax.random.fold_in(key, x.astype(int)), (500,)))


NOISE = {"x": np.arange(64.0), "batch_size": 1}


def fill_the_disk(path):
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
    try:
        sweep(noise, key=jax.random.key(0), seeds=1, **NOISE, store=path)
    except OSError as error:
        print(error)


def test_a_full_disk_is_told_and_what_is_finished_kept(tmp_path):
    """A limit on the size of files stands for the disk: the first chunk fits, the second does not."""
    path = tmp_path / "store.zarr"
    message = result(start("fill_the_disk", path))
    assert f"store {path} could not be written (File too large). 1 of 4 chunks are finished and kept" in message
    assert "call again" in message
    told = []
    dataset = sweep(noise, key=jax.random.key(0), seeds=1, **NOISE, store=path, progress=told.append)
    assert told[-1].total == 48
    assert bits(dataset) == bits(sweep(noise, key=jax.random.key(0), seeds=1, **NOISE))


@pytest.fixture(params=["folder", "imitation"])
def refusing(request, tmp_path, monkeypatch):
    """A folder where nothing may be written; where the superuser may, that is imitated."""
    if request.param == "imitation":

        def refuse(*_, **__):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(tempfile, "mkdtemp", refuse)
        yield tmp_path
        return
    if os.geteuid() == 0:
        pytest.skip("the superuser writes everywhere")
    tmp_path.chmod(0o500)
    yield tmp_path
    tmp_path.chmod(0o700)


def test_a_read_only_folder_is_told(refusing):
    with pytest.raises(OSError, match=r"store .*/new.zarr could not be created \(Permission denied\)\. 0 of 1 chunks"):
        sweep(lambda x: x, x=[1.0], store=refusing / "new.zarr")
    assert list(refusing.iterdir()) == []


def test_a_store_that_became_read_only_is_told(tmp_path, monkeypatch):
    import zarr

    path = tmp_path / "store.zarr"
    settings = {"x": np.arange(64.0), "batch_size": 1, "store": path}
    sweep(lambda x: x, **settings, part=(0, 2))

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patched:
        patched.setattr(zarr.storage.LocalStore, "set", refuse)
        with pytest.raises(
            OSError, match=r"could not be written \(Permission denied\)\. 2 of 4 chunks are finished and kept"
        ):
            sweep(lambda x: x, **settings)
    assert_array_equal(sweep(lambda x: x, **settings)["value"], settings["x"])


# Damage -----------------------------------------------------------------------------------------------------------------------


def truncated(file):
    file.write_bytes(file.read_bytes()[:-3])


def flipped(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    file.write_bytes(bytes(content))


def emptied(file):
    file.write_bytes(b"")


@pytest.mark.parametrize("name", ["total/c/{}/0/0", "pair/c/{}/0/0/0", "progress/checksum/c/{}"])
def test_damaged_chunks_are_named_and_computed_again(copy, whole, name):
    damages = {1: truncated, 4: flipped, 7: emptied} | ({} if "checksum" in name else {9: Path.unlink})
    for chunk, damage in damages.items():
        damage(copy / name.format(chunk))
    told = []
    with pytest.warns(RuntimeWarning, match="is damaged") as warned:
        sweep(point, **random(), **AXES, store=copy, progress=told.append)
    for chunk, warning in zip(damages, warned, strict=True):
        message = rf"chunk {chunk} of store {copy} is damaged \(.+\): it is computed again, the others are kept"
        assert re.fullmatch(message, str(warning.message), re.DOTALL)
        assert warning.filename == __file__  # at the user's call
    assert [now.total for now in told] == [16 * len(damages)] * len(damages)
    assert files(copy) == files(whole)


def test_a_chunk_without_its_checksum_is_not_finished(copy, whole):
    (copy / "progress/checksum/c/7").unlink()
    told = []
    sweep(point, **random(), **AXES, store=copy, progress=told.append)
    assert [now.total for now in told] == [16]
    assert files(copy) == files(whole)


def test_chunks_of_nothing_but_nan_are_whole(tmp_path):
    """Also those with the sign bit of a NaN that the processor makes."""
    settings = {"x": np.arange(1.0, 65.0), "batch_size": 1, "store": tmp_path / "store.zarr"}
    first = sweep(lambda x: {"root": jnp.sqrt(-x), "zero": (x - x) / (x - x), "whole": jnp.int32(0)}, **settings)
    told = []
    again = sweep(
        lambda x: {"root": jnp.sqrt(-x), "zero": (x - x) / (x - x), "whole": jnp.int32(0)},
        **settings,
        progress=told.append,
    )
    assert np.isnan(again.root).all()
    assert told == []
    assert bits(first) == bits(again)


@pytest.mark.parametrize("name", ["zarr.json", "total/zarr.json", "x/zarr.json", "progress/checksum/zarr.json"])
@pytest.mark.parametrize("damage", [truncated, emptied])
def test_a_store_whose_description_is_damaged_is_refused(copy, name, damage):
    damage(copy / name)
    with pytest.raises(ValueError, match=r"store .*copy\.zarr is not a sweep's store, or is damaged"):
        sweep(point, **random(), **AXES, store=copy)


@pytest.mark.parametrize("kind", ["folder", "file", "zarr"])
def test_a_path_that_holds_something_else_is_left_alone(tmp_path, kind):
    path = tmp_path / "other"
    if kind == "folder":
        path.mkdir()
        (path / "notes.txt").write_text("mine")
    elif kind == "file":
        path.write_text("mine")
    else:
        xr.Dataset({"value": ("x", [1.0])}).to_zarr(path, zarr_format=3, consolidated=False)
    before = files(tmp_path)
    with pytest.raises(ValueError, match=f"(?s){path}.* another path"):
        sweep(lambda x: x, x=[1.0], store=path)
    assert files(tmp_path) == before


def test_an_empty_folder_becomes_a_store(tmp_path):
    sweep(lambda x: x, x=[1.0], store=tmp_path)
    assert xr.open_zarr(tmp_path)["value"].values.tolist() == [1.0]


# Another sweep ----------------------------------------------------------------------------------------------------------------


def scaled(factor):
    return lambda key, x: {"total": x * factor + jax.random.uniform(key)}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    path = tmp_path_factory.mktemp("made") / "store.zarr"
    sweep(scaled(0.1), **random(), x=[1.0, 2.0, 3.0], store=path)
    return path


@pytest.mark.parametrize(
    ("other", "changes", "words"),
    [
        (scaled(0.1), {"x": [1.0, 2.0, 3.0000000001]}, ["axis x has other values"]),
        (scaled(0.1), {"x": [1.0, 2.0]}, [r"axes is x \(2\) here and x \(3\) in the store"]),
        (lambda key, y: scaled(0.1)(key, y), {"x": None, "y": [1.0, 2.0, 3.0]}, [r"axes is y \(3\) here and x \(3\)"]),
        (scaled(0.1), {"x": cj.zipped(x=[1.0, 2.0, 3.0])}, []),
        (scaled(0.1000000001), {}, ["point computes something else"]),
        (scaled(np.full((), 0.1) + 1e-15), {}, ["point computes something else"]),
        (lambda key, x: {"total": x / 0.1 + jax.random.uniform(key)}, {}, ["point computes something else"]),
        (lambda key, x: {"total": scaled(0.1)(key, x)["total"] * np.ones(3)}, {}, ["point computes something else"]),
        (lambda key, x: {"error": scaled(0.1)(key, x)["total"]}, {}, ["results is error here and total in the store"]),
        (scaled(0.1), {"key": 3}, ["key is 0 3 here and 0 2 in the store"]),
        (scaled(0.1), {"seeds": 4}, ["seeds is 4 here and 3 in the store"]),
        (scaled(0.1), {"batch_size": 2}, ["batch_size is 2 here and 1 in the store"]),
        (scaled(0.1), {"relative_error": 0.1}, ["relative_error is total 0.1 here and not given in the store"]),
        (scaled(0.1), {"seeds": 4, "key": 3}, ["key is 0 3 here", "seeds is 4 here"]),
    ],
)
def test_another_sweep_is_refused_and_told_why(made, other, changes, words):
    before = files(made)
    settings = random() | {"x": [1.0, 2.0, 3.0]} | changes
    if "key" in changes:
        settings["key"] = jax.random.key(changes["key"])
    settings = {name: value for name, value in settings.items() if value is not None}
    if not words:  # the same sweep in other words
        sweep(other, **settings, store=made)
        return
    with pytest.raises(ValueError, match=r"store .*store\.zarr was made by another sweep") as refusal:
        sweep(other, **settings, store=made)
    for line, word in zip(str(refusal.value).splitlines()[1:-1], words, strict=True):
        assert word.replace("\\", "") in line
    assert "another path" in str(refusal.value)
    assert files(made) == before


def test_another_precision_is_refused(made):
    with (
        jax.enable_x64(False),
        pytest.raises(ValueError, match="dtype is float32 here and float64 in the store") as refusal,
    ):
        sweep(scaled(0.1), **random(), x=[1.0, 2.0, 3.0], store=made)
    assert len(str(refusal.value).splitlines()) == 3


def test_a_large_table_that_a_point_closes_over_counts(tmp_path):
    """Printed, it would be abbreviated."""

    def weighted(table):
        return lambda x: (x * table).sum() + jax.jit(lambda y: (y**2 * table).sum())(x)

    table, path = np.linspace(0, 1, 5000), tmp_path / "store.zarr"
    for kind in (np.asarray, jnp.asarray):
        sweep(weighted(kind(table)), x=[1.0], store=path)
    table[2500] += 1e-9
    with pytest.raises(ValueError, match="point computes something else"):
        sweep(weighted(table), x=[1.0], store=path)


def test_another_target_is_refused_to_its_last_digit(tmp_path):
    settings = random() | {"x": [0.0], "batch_size": 8, "store": tmp_path / "store.zarr"}
    sweep(scaled(0.1), **settings, relative_error=0.1)
    with pytest.raises(ValueError, match=r"relative_error is total 0\.1000000001 here and total 0\.1 in"):
        sweep(scaled(0.1), **settings, relative_error=0.1000000001)


@pytest.mark.parametrize("name", ["progress", "a/b"])
def test_a_name_that_a_store_cannot_hold_is_told(tmp_path, name):
    with pytest.raises(ValueError, match=f"{name} cannot be the name of an array in a store"):
        sweep(lambda x: {name: x}, x=[1.0], store=tmp_path / "store.zarr")


# The same sweep in another process --------------------------------------------------------------------------------------------


def both_wings(key, n, width):
    dim = 6
    mixture = cj.real_and_synthetic(cj.spectra.power_law(dim, 1.0), 1 / dim, 0.5 / dim, 0.3, 0.7)
    counts = cj.split(n, 0.5)
    return {
        "sim": cj.simulate.risk(key, mixture, counts, 0.1, width),
        "theory": cj.theory.risk(mixture, counts, 0.1, width),
    }


def name_only(path):
    """Make the store, and nothing in it: its one chunk is another share's."""
    sweep(both_wings, **random(), n=[5.0, 10.0], width=[3.0], store=path, part=(1, 2))


def test_a_point_is_the_same_in_every_process(tmp_path):
    """Whatever the order of its sets, and on a terminal, where programs are printed in colour."""
    name_only(tmp_path / "here.zarr")
    terminal, its_output = pty.openpty()
    environment = os.environ | {"PYTHONHASHSEED": "17", "TERM": "xterm"}
    result(start("name_only", tmp_path / "there.zarr", env=environment, stdout=its_output))
    os.close(terminal)
    os.close(its_output)
    here, there = (xr.open_zarr(tmp_path / f"{name}.zarr").attrs for name in ("here", "there"))
    assert here["point_digest"]
    assert here == there


# Shares -----------------------------------------------------------------------------------------------------------------------


def test_shares_one_after_another_fill_a_store(tmp_path, whole, memory):
    path = tmp_path / "store.zarr"
    missing = []
    for i in (2, 0, 1):
        told = []
        dataset = sweep(point, **random(), **AXES, store=path, part=(i, 3), progress=told.append)
        assert told[-1].done == told[-1].total == X.size * 2 * 3 // 3
        missing.append(int(np.isnan(dataset.pair).all("pair_0").sum()))
    assert missing == [X.size * 4, X.size * 2, 0]
    assert dataset.attrs["chunks"] == f"{CHUNKS} of {CHUNKS} finished"
    assert bits(dataset) == bits(memory)
    assert files(path) == files(whole)


def test_what_another_share_does_is_nan_and_the_rest_is_right(tmp_path, memory):
    dataset = sweep(point, **random(), **AXES, store=tmp_path / "store.zarr", part=(0, 2))
    assert dataset.attrs["chunks"] == f"{CHUNKS // 2} of {CHUNKS} finished"
    done = ~np.isnan(dataset.pair).all("pair_0").values
    assert done.sum() == X.size * 3
    assert_array_equal(dataset.total.values[done], memory.total.values[done])
    assert np.isnan(dataset.total.values[~done]).all()
    assert (dataset.whole.values[~done] == 0).all()


def test_stores_of_shares_copied_together_are_the_whole(tmp_path, whole, memory):
    for i in range(2):
        sweep(point, **random(), **AXES, store=tmp_path / f"{i}.zarr", part=(i, 2))
    shutil.copytree(tmp_path / "1.zarr", tmp_path / "0.zarr", dirs_exist_ok=True)
    told = []
    dataset = sweep(point, **random(), **AXES, store=tmp_path / "0.zarr", progress=told.append)
    assert told == []
    assert bits(dataset) == bits(memory)
    assert files(tmp_path / "0.zarr") == files(whole)


def race(path, shares):
    """One process a share, all at once."""
    children = []
    for i in range(shares):
        children.append(os.fork())  # before JAX starts
        if not children[-1]:
            sweep(point, **random(), **AXES, store=path, part=(i, shares))
            os._exit(0)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * shares


def test_processes_that_make_one_store_at_once_share_it(tmp_path, whole):
    path = tmp_path / "store.zarr"
    result(start("race", path, 2))
    assert files(path) == files(whole)
    assert [file.name for file in tmp_path.iterdir() if file.is_dir()] == ["store.zarr"]


@pytest.mark.parametrize(("where", "name"), [(tempfile, "mkdtemp"), (stores, "_create")])
def test_a_store_that_another_process_makes_first_serves(tmp_path, monkeypatch, where, name):
    """Before it is made aside, or before it is moved into place."""
    path, original = tmp_path / "store.zarr", getattr(where, name)

    def late(*arguments, **settings):
        monkeypatch.undo()
        sweep(lambda x: x, x=[1.0, 2.0], store=path)
        return original(*arguments, **settings)

    monkeypatch.setattr(where, name, late)
    assert sweep(lambda x: x, x=[1.0, 2.0], store=path)["value"].values.tolist() == [1.0, 2.0]
    assert [file.name for file in tmp_path.iterdir()] == ["store.zarr"]
