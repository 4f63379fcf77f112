"""What ``import collapse_jax`` loads."""

import subprocess
import sys

LATER = {
    "flax",
    "matplotlib",
    "optax",
    "orbax",
    "rich",
    "sklearn",
    "tokenizers",
    "zarr",
    "scipy.optimize",
    "scipy.stats",
}


def test_import_loads_only_what_every_user_needs() -> None:
    code = "import sys, collapse_jax; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert {"collapse_jax.theory", "collapse_jax.simulate", "collapse_jax.planner"} <= loaded
    assert not LATER & loaded
