"""A sweep over two processes is the sweep of one, and no process outlives a failure or Ctrl-C."""

import contextlib
import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import xarray as xr
from numpy.testing import assert_allclose

EXAMPLE = Path(__file__).parent.parent / "examples" / "multihost.py"


def started(*words: object) -> subprocess.Popen:
    """The example with two processes, in a group of its own."""
    command = [sys.executable, EXAMPLE, "--processes", "2", *words]
    return subprocess.Popen(
        list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def ended(parent: subprocess.Popen) -> tuple[int, str, str]:
    """Exit code and output; raises if a process of the group outlives its parent."""
    with parent:
        try:
            out, err = parent.communicate(timeout=300)
            for _ in range(100):
                try:
                    os.killpg(parent.pid, 0)
                except ProcessLookupError:
                    return parent.returncode, out, err
                time.sleep(0.1)
            raise AssertionError(f"processes are left: {err}")
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(parent.pid, signal.SIGKILL)


def test_two_processes_make_the_dataset_of_one(tmp_path):
    store, out = tmp_path / "both.zarr", tmp_path / "out"
    code, printed, errors = ended(started("--store", store, "--out", out, "--seeds", 2))
    assert code == 0, errors
    assert "2 processes, 2 devices" in printed
    assert (out / "multihost.png").read_bytes()[1:4] == b"PNG"

    spec = importlib.util.spec_from_file_location("multihost", EXAMPLE)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    alone, _ = example.sweeps(2, None, progress=False)
    both = xr.open_zarr(store, consolidated=False)
    assert both.total.dims == ("n", "synthetic_fraction", "seed")
    for name in ("bias", "variance", "collapse", "total"):
        assert_allclose(both[name], alone[name], rtol=1e-12)


def test_a_process_that_fails_ends_the_others(tmp_path):
    parent = started("--store", tmp_path / "store", "--out", tmp_path)
    *_, last = parent.stdout.readline().split()
    os.kill(int(last), signal.SIGKILL)
    code, _, errors = ended(parent)
    assert code == 1
    assert "a process failed" in errors


def test_an_interrupt_ends_all(tmp_path):
    parent = started("--store", tmp_path / "store", "--out", tmp_path)
    assert "processes started" in parent.stdout.readline()
    parent.send_signal(signal.SIGINT)
    code, _, errors = ended(parent)
    assert code == 130
    assert "Traceback" not in errors
