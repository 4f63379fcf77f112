"""Training over several devices is training on one, up to rounding, however the networks are divided."""

import os
import subprocess
import sys

import jax
import numpy as np
import pytest

from collapse_jax.networks import Lessons, Recipe, train

DEVICES = 4


def lessons(groups: int, networks: int) -> Lessons:
    keys = jax.random.split(jax.random.key(0), 3)
    images = jax.random.normal(keys[0], (60, 5))
    labels = jax.random.normal(keys[1], (groups, 60, networks, 2))
    rows = jax.vmap(lambda key: jax.random.permutation(key, 60))(jax.random.split(keys[2], groups))
    return Lessons(images, rows[:, 20:], labels[:, 20:], rows[:, :20], labels[:, :20])


def compare(groups: int, networks: int) -> None:
    """Runs where there are several devices."""
    assert jax.device_count() == DEVICES
    mesh = jax.make_mesh((DEVICES,), ("networks",), axis_types=(jax.sharding.AxisType.Auto,))
    keys, data = jax.random.split(jax.random.key(1), groups), lessons(groups, networks)
    recipe = Recipe(epochs=20, batch=16, evaluations=4)
    one, several = (train(keys, data, width=7, recipe=recipe, mesh=mesh) for mesh in (None, mesh))
    spread = several.weights["hidden"][...].sharding
    assert len(spread.device_set) == DEVICES
    assert not spread.is_fully_replicated
    for ours, theirs in zip(jax.tree.leaves(several), jax.tree.leaves(one), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize(("groups", "networks"), [(4, 3), (3, 8)])
def test_networks_on_several_devices_are_those_on_one(groups: int, networks: int) -> None:
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={DEVICES}"
    code = f"import test_networks_devices as module; module.compare({groups}, {networks})"
    environment = os.environ | {"XLA_FLAGS": flags, "PYTHONPATH": os.path.dirname(__file__)}
    ran = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr[-3000:]


def test_a_mesh_that_does_not_divide_is_refused() -> None:
    two = jax.sharding.AbstractMesh((2,), ("x",))
    with pytest.raises(ValueError, match="mesh has 2 devices; that must divide the 3 groups or the 5 networks of each"):
        train(jax.random.split(jax.random.key(0), 3), lessons(3, 5), width=4, mesh=two)  # type: ignore[arg-type]
