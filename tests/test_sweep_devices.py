"""A sweep over several devices, or several processes, is the sweep over one."""

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_array_equal

import collapse_jax as cj

DIM = 5
AXES = {"n": [4.0, 9.0, 30.0], "row": np.arange(14.0).reshape(7, 2)}


def point(key, n, row):
    draw = jax.random.uniform(key, (2,))
    return {"total": jnp.where(n + row[0] > 41, jnp.nan, (row + draw).sum() / n), "own": draw * n}


def noisy(key, scale):
    return {"total": 1 + scale * jax.random.uniform(key)}


def sourced(mixture, draw, n):
    return mixture.noise[0] * n + mixture.label_moments.sum() + jax.random.uniform(draw)


def sweep(point, **settings):
    return cj.sweep(point, **({"progress": False} | settings))


def sweeps(mesh, store=None, few=False):
    """What is compared, with a mesh or without."""
    key = jax.random.key(4)
    mixtures = [cj.real_and_synthetic(cj.spectra.power_law(DIM, 1.0), 1 / DIM, 0.1, noise) for noise in (0.1, 0.2, 0.5)]
    some = {"mesh": mesh, "key": key, "seeds": 3, "batch_size": 1}
    yield "seeds", sweep(point, **some, **AXES)
    if not few:
        yield "one point", sweep(noisy, **some, scale=[2.0])
        yield "no seeds", sweep(lambda x: x**2, x=np.arange(101.0), mesh=mesh)
    yield "target", sweep(noisy, **some | {"seeds": 90}, scale=np.linspace(0, 2, 11), relative_error=0.05)
    yield "pytrees", sweep(sourced, mixture=mixtures, draw=jax.random.split(key, 2), n=[1.0, 2.0], mesh=mesh)
    if store is not None:
        yield "stored", sweep(point, **some, **AXES, store=store).load()


def save(folder, *arguments):
    """Everything as files."""
    for name, dataset in sweeps(*arguments):
        dataset.drop_attrs().assign_attrs(nonfinite=dataset.attrs.get("nonfinite", "")).to_zarr(
            f"{folder}/{name}.zarr", consolidated=False
        )


def on_two_devices(folder):
    devices = jax.device_count()
    kinds = jax.sharding.AxisType
    save(f"{folder}/Auto", jax.make_mesh((devices,), ("points",), (kinds.Auto,)), f"{folder}/store.zarr")
    save(f"{folder}/Explicit", jax.make_mesh((1, devices), ("a", "b"), (kinds.Explicit,) * 2), None, True)


def on_two_processes(folder, port, process):
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(f"localhost:{port}", num_processes=2, process_id=process)
    assert (jax.process_count(), jax.device_count(), jax.local_device_count()) == (2, 2, 1)
    mesh = jax.make_mesh((2,), ("points",))
    save(f"{folder}/{process}", mesh, f"{folder}/both.zarr", True)
    try:
        sweep(point, mesh=mesh, key=jax.random.key(5), seeds=3, batch_size=1, **AXES, store=f"{folder}/both.zarr")
    except ValueError as refusal:
        Path(f"{folder}/{process}/refusal.txt").write_text(str(refusal))


def start(call, *arguments, devices=1):
    """A Python process that calls a function of this file."""
    code = (
        "import sys, json, jax; jax.config.update('jax_enable_x64', True);"
        f"jax.config.update('jax_num_cpu_devices', {devices}); import warnings; import test_sweep_devices as here;"
        "warnings.filterwarnings('ignore', message='.* not finite');"
        f"here.{call}(*json.loads(sys.argv[1]))"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code, json.dumps(arguments)],
        cwd=Path(__file__).parent,
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(*processes):
    try:
        told = [process.communicate(timeout=300)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0] * len(processes), "\n".join(told)


def free_port():
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def alone():
    """The sweeps of one device."""
    with pytest.warns(RuntimeWarning, match="not finite"):
        return dict(sweeps(None))


@pytest.fixture(scope="module")
def devices(tmp_path_factory):
    folder = tmp_path_factory.mktemp("devices")
    finish(start("on_two_devices", str(folder), devices=2))
    return folder


@pytest.fixture(scope="module")
def processes(tmp_path_factory):
    folder, port = tmp_path_factory.mktemp("processes"), free_port()
    finish(*(start("on_two_processes", str(folder), port, process) for process in range(2)))
    return folder


FEW = ["seeds", "target", "pytrees"]
MORE = ["one point", "no seeds"]


def check_same(actual, expected):
    assert list(actual.sizes.items()) == list(expected.sizes.items())
    assert set(actual.data_vars) == set(expected.data_vars)
    for name, value in expected.variables.items():
        assert actual[name].dims == value.dims
        assert_array_equal(actual[name], value)


@pytest.mark.parametrize(
    ("kind", "name"), [("Auto", name) for name in FEW + MORE] + [("Explicit", name) for name in FEW]
)
def test_two_devices_are_one(alone, devices, kind, name):
    """A mesh of one axis, and one of two whose axes are explicit."""
    check_same(xr.open_zarr(devices / kind / f"{name}.zarr", consolidated=False), alone[name])


@pytest.mark.parametrize("process", ["0", "1"])
@pytest.mark.parametrize("name", FEW)
def test_each_of_two_processes_has_the_whole(alone, processes, process, name):
    check_same(xr.open_zarr(processes / process / f"{name}.zarr", consolidated=False), alone[name])


def test_targets_differ_from_point_to_point(alone):
    assert len(np.unique(alone["target"].seeds_used)) > 3


def test_two_devices_fill_a_store(alone, devices):
    check_same(xr.open_zarr(devices / "store.zarr"), alone["seeds"])
    check_same(xr.open_zarr(devices / "Auto" / "stored.zarr", consolidated=False), alone["seeds"])


def test_two_processes_fill_one_store_and_each_reads_the_whole(alone, processes):
    check_same(xr.open_zarr(processes / "both.zarr"), alone["seeds"])
    for process in ("0", "1"):
        check_same(xr.open_zarr(processes / process / "stored.zarr", consolidated=False), alone["seeds"])


def test_each_process_is_told_of_all_points_that_are_not_finite(alone, processes):
    for process in ("0", "1"):
        for name in ("seeds", "stored"):
            attrs = xr.open_zarr(processes / process / f"{name}.zarr", consolidated=False).attrs
            assert attrs["nonfinite"] == alone["seeds"].attrs["nonfinite"] != ""


def test_each_process_is_told_why_a_store_is_refused(processes):
    for process in ("0", "1"):
        assert "key is 0 5 here and 0 4 in the store" in (processes / process / "refusal.txt").read_text()


def test_one_device_goes_on_where_two_stopped(alone, devices, tmp_path):
    """The chunks stay as they are in the store, whatever devices go on with it."""
    path = shutil.copytree(devices / "store.zarr", tmp_path / "copy.zarr")
    for checksum in list((path / "progress" / "checksum" / "c").iterdir())[::2]:
        checksum.unlink()
    told = []
    some = {"key": jax.random.key(4), "seeds": 3, "batch_size": 1}
    with pytest.warns(RuntimeWarning, match="not finite"):
        dataset = sweep(point, **some, **AXES, store=path, progress=told.append)
    assert 0 < told[-1].total < alone["seeds"].total.size
    check_same(dataset, alone["seeds"])
