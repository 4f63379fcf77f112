"""One sweep over many processes, hosts or accelerators, into one store.

On this machine, with two processes that talk over loopback as two hosts would:

    python examples/multihost.py --processes 2

On a cluster each task runs the same line, and JAX finds the other tasks by itself (SLURM, Open MPI, Cloud TPU):

    srun python examples/multihost.py --store /shared/multihost.zarr --out /shared

Every process makes the same calls of ``cj.sweep``. The mesh says which devices share the work; the store is a folder that every
process sees, and holds each chunk as soon as it is there. Started again after a crash, the sweep does only what is missing.
"""

import argparse
import multiprocessing
import os
import signal
import socket
import sys
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

import jax
import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from jax.experimental import multihost_utils

import collapse_jax as cj
from collapse_jax import plotting


def sweeps(seeds: int, store: Path | None, **settings: Any) -> tuple[xr.Dataset, xr.Dataset]:
    """Simulation into the store, theory in memory. Nothing here may be made before the processes have joined."""
    axes = {"n": np.geomspace(100, 1e6, 13).round(), "synthetic_fraction": [0.0, 0.02, 0.1, 0.5]}
    spectrum = cj.spectra.power_law(64)
    mixture = cj.real_and_synthetic(spectrum, 1 / (64 * spectrum), 0.25 / (64 * spectrum), 0.3, 0.3)

    def simulation(key: jax.Array, n: jax.Array, synthetic_fraction: jax.Array) -> cj.Risk:
        return cj.simulate.risk(key, mixture, cj.split(n, synthetic_fraction), ridge=1e-3)

    def theory(n: jax.Array, synthetic_fraction: jax.Array) -> cj.Risk:
        return cj.theory.risk(mixture, cj.split(n, synthetic_fraction), ridge=1e-3)

    drawn = cj.sweep(simulation, key=jax.random.key(0), seeds=seeds, store=store, **settings, **axes)
    return drawn, cj.sweep(theory, **settings, **axes)


def work(joining: tuple[str, int, int] | None, devices: int, store: Path, out: Path, seeds: int) -> None:
    """What every process does: join the others, sweep with them, and report if it is the first."""
    jax.config.update("jax_enable_x64", True)
    if joining is None:
        jax.distributed.initialize()
    else:
        jax.config.update("jax_num_cpu_devices", devices)
        jax.distributed.initialize(*joining)
    multihost_utils.sync_global_devices(
        "joined"
    )  # connects the processes while all are here: that has to take less than 30 s
    first = jax.process_index() == 0
    settings = {"mesh": jax.make_mesh((jax.device_count(),), ("points",)), "progress": first}
    drawn, exact = sweeps(seeds, store, **settings)
    if not first:
        return
    mean, error = cj.mean_and_error(drawn)
    print(f"{jax.process_count()} processes, {jax.device_count()} devices, chunks: {drawn.attrs['chunks']}")
    print("fraction   test error at the largest n: theory, simulation")
    for p in exact.synthetic_fraction.values:
        one, two, spread = (float(table.total.sel(synthetic_fraction=p)[-1]) for table in (exact, mean, error))
        print(f"{p:8.2f}   {one:.3e}   {two:.3e} ± {spread:.1e}")
    out.mkdir(parents=True, exist_ok=True)
    figure, ax = plt.subplots()
    plotting.curves(exact, drawn, x="n", hue="synthetic_fraction", ax=ax)
    figure.savefig(out / "multihost.png", dpi=150)
    print(f"store: {store}\npicture: {out / 'multihost.png'}")


def spawn(processes: int, *arguments: object) -> int:
    """Start so many processes on this machine, and end all when one fails or on Ctrl-C; returns the exit code."""
    os.environ["JAX_PLATFORMS"] = "cpu"  # processes on one machine would compete for its accelerators
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    make = multiprocessing.get_context("spawn").Process
    children = [make(target=work, args=((address, processes, i), *arguments)) for i in range(processes)]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # children inherit this: Ctrl-C is for the parent
    try:
        for child in children:
            child.start()
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have it ignored in the background
        print("processes started:", *(child.pid for child in children), flush=True)
        while None in (codes := [child.exitcode for child in children]):
            # Before waiting: the others wait for one that failed, so they would not end.
            if any(codes):
                break
            wait([child.sentinel for child, code in zip(children, codes, strict=True) if code is None])
        if any(codes):
            print("a process failed, so all are ended; the store keeps its chunks", file=sys.stderr)
            return 1
        return 0
    except KeyboardInterrupt:
        print("interrupted: the same command does what is missing", file=sys.stderr)
        return 130
    finally:
        for child in children:
            if child.is_alive():
                child.kill()  # SIGTERM is for JAX a notice, after which it goes on


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, metavar="N", help="start N here; without, this is a task of a cluster")
    parser.add_argument("--devices", type=int, default=1, metavar="N", help="CPU devices of each started here (1)")
    parser.add_argument("--store", type=Path, default=Path("results/multihost.zarr"), help="folder of the results")
    parser.add_argument("--out", type=Path, default=Path("results"), help="folder of the picture (results)")
    parser.add_argument("--seeds", type=int, default=64, metavar="N", help="repetitions (64)")
    given = parser.parse_args()
    arguments = given.devices, given.store, given.out, given.seeds
    if given.processes is None:
        work(None, *arguments)
        return 0
    return spawn(given.processes, *arguments)


if __name__ == "__main__":
    sys.exit(main())
