"""Two-layer networks trained together: each is the network trained alone, and no kill, device or neighbour changes it."""

import warnings
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from collapse_jax.networks import Lessons, Recipe, predictions, train
from collapse_jax.networks import training as module
from collapse_jax.networks.two_layer import TwoLayer

KEYS = jax.random.split(jax.random.key(3), 2)
RECIPE = Recipe(epochs=10, batch=16, learning_rate=0.1, evaluations=5)


def lessons(groups: int = 2, networks: int = 3, total: int = 120, dim: int = 6) -> Lessons:
    """Images with a linear label, of which each network of a group sees another multiple."""
    keys = jax.random.split(jax.random.key(0), groups + 1)
    images = jax.random.normal(keys[0], (total, dim))
    truth = images[:, :2] @ jnp.array([[1.0, 0.3], [-0.5, 1.0]])
    labels = truth[:, None, :] * (1 + jnp.arange(networks))[None, :, None]
    rows = jnp.stack([jax.random.permutation(key, total) for key in keys[1:]])
    train_rows, held_out = rows[:, 40:], rows[:, :40]
    return Lessons(images, train_rows, labels[train_rows], held_out, labels[held_out])


def numpy_training(weights: list[np.ndarray], data: Lessons, group: int, network: int, n: int, recipe: Recipe) -> Any:
    """SGD with the gradients written out, one network: final weights and the loss of each step."""
    hidden, hidden_bias, output, output_bias = weights
    images, rows, labels = (np.asarray(array) for array in (data.images, data.rows[group], data.outputs[group]))
    order = module._Order(np.asarray(jax.random.key_data(KEYS[group])), n, recipe.batch)
    losses = []
    for picks in order.steps(0, int(np.ceil(recipe.epochs * n / recipe.batch))):
        x, y = images[rows[picks]], labels[picks, network]
        before = x @ hidden.T + hidden_bias
        units = np.maximum(before, 0)
        errors = units @ output.T + output_bias - y
        losses.append((errors**2).mean())
        slope = 2 * errors / errors.size
        back = (slope @ output) * (before > 0)
        rate = recipe.learning_rate
        output, output_bias = output - rate * slope.T @ units, output_bias - rate * slope.sum(0)
        hidden, hidden_bias = hidden - rate * back.T @ x, hidden_bias - rate * back.sum(0)
    return (hidden, hidden_bias, output, output_bias), losses


@pytest.mark.parametrize("n", [80, 23, 7])
def test_each_network_is_the_one_that_numpy_trains_alone(n: int) -> None:
    data, recipe = lessons(), RECIPE._replace(evaluations=1)
    trained = train(KEYS, data, n, width=9, recipe=recipe)
    for group, network in ((0, 0), (1, 2)):
        model = TwoLayer(6, 9, 2, 1, rngs=nnx.Rngs(KEYS[group]), dtype=data.images.dtype)
        first = [np.asarray(leaf[0]) for leaf in (model.hidden, model.hidden_bias, model.output, model.output_bias)]
        final, losses = numpy_training(first, data, group, network, n, recipe)
        found = [
            trained.weights[name][...][group, network] for name in ("hidden", "hidden_bias", "output", "output_bias")
        ]
        for ours, theirs in zip(found, final, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)
        assert trained.losses[0, group, network] == pytest.approx(np.mean(losses), rel=1e-10)


def test_weights_are_those_of_the_best_evaluation() -> None:
    data = lessons()
    # The labels of half the training images are wrong: the error on the clean validation images falls, then rises.
    wrong = data._replace(outputs=data.outputs.at[:, ::2].set(jax.random.normal(jax.random.key(5), (2, 40, 3, 2))))
    trained = train(KEYS, wrong, width=200, recipe=Recipe(epochs=400, batch=16, learning_rate=0.2, evaluations=40))
    history = np.concatenate([np.full((1, 2, 3), np.inf), trained.errors])
    np.testing.assert_array_equal(trained.validation, trained.errors.min(0))
    np.testing.assert_array_equal(np.append(0, trained.steps)[history.argmin(0)], trained.step)
    assert (trained.step < trained.steps[-1]).all()
    assert (trained.validation < trained.errors[-1]).all()
    found = predictions(trained.weights, data.images, data.validation_rows)
    errors = ((found - data.validation_outputs) ** 2).sum(3).mean(1)
    np.testing.assert_allclose(errors, trained.validation, rtol=1e-12)


def test_a_training_goes_on_where_it_was_killed_bit_for_bit(tmp_path: Path) -> None:
    data = lessons()
    whole = train(KEYS, data, width=9, recipe=RECIPE)

    def killed(done: int, _: int) -> None:
        if done >= 25:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(KEYS, data, width=9, recipe=RECIPE, checkpoint=tmp_path, save_seconds=0, report=killed)
    seen: list[int] = []
    resumed = train(
        KEYS,
        data,
        width=9,
        recipe=RECIPE,
        checkpoint=tmp_path,
        save_seconds=0,
        report=lambda done, total: seen.append(done),
    )
    assert seen == [40, 50]
    for ours, theirs in zip(jax.tree.leaves(resumed), jax.tree.leaves(whole), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    # Finished: found again without a step.
    again = train(KEYS, data, width=9, recipe=RECIPE, checkpoint=tmp_path, report=lambda *_: seen.append(-1))
    assert seen[-1] == 50
    np.testing.assert_array_equal(again.validation, whole.validation)
    with pytest.raises(
        ValueError, match=r"is of another training: learning_rate is 0.2 here and 0.1 there. Choose another"
    ):
        train(KEYS, data, width=9, recipe=RECIPE._replace(learning_rate=0.2), checkpoint=tmp_path)
    other = data._replace(outputs=data.outputs + 1)
    with pytest.raises(ValueError, match=r"data is .* here and .* there"):
        train(KEYS, other, width=9, recipe=RECIPE, checkpoint=tmp_path)


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    data = lessons()
    train(KEYS, data, width=9, recipe=RECIPE, checkpoint=tmp_path, save_seconds=0)
    files = [file for file in (tmp_path / "states").rglob("*") if file.is_file() and file.stat().st_size > 500]
    assert files
    for file in files:
        file.write_bytes(b"x" * 100)
    with pytest.raises(ValueError, match=r"is damaged .*delete it to start anew"):
        train(KEYS, data, width=9, recipe=RECIPE, checkpoint=tmp_path)


def test_divergence_names_the_step_and_leaves_the_others_alone() -> None:
    data = lessons()
    wild = data._replace(outputs=data.outputs.at[1, :, 2].multiply(1e200))
    wild = wild._replace(validation_outputs=wild.validation_outputs.at[1, :, 2].multiply(1e200))
    good = train(KEYS, data, width=9, recipe=RECIPE)
    with pytest.warns(
        RuntimeWarning, match=r"1 of 6 trainings diverged with learning_rate 0.1: network 2 of group 1 at step"
    ):
        found = train(KEYS, wild, width=9, recipe=RECIPE)
    assert 0 < found.diverged[1, 2] <= 50
    assert (found.diverged > 0).sum() == 1
    others = np.ones((2, 3), bool)
    others[1, 2] = False
    np.testing.assert_array_equal(found.validation[others], good.validation[others])
    assert all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(found.weights))
    with pytest.warns(RuntimeWarning, match="6 of 6 trainings diverged with learning_rate 1000"):
        found = train(KEYS, data, width=9, recipe=RECIPE._replace(learning_rate=1000.0))
    assert (found.step == 0).all()


def test_groups_in_a_batch_are_groups_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    data = lessons()
    turns = train(KEYS, data, width=9, recipe=RECIPE)
    monkeypatch.setattr(jax, "default_backend", lambda: "an accelerator")
    batch = train(KEYS, data, width=9, recipe=RECIPE)
    for ours, theirs in zip(jax.tree.leaves(batch), jax.tree.leaves(turns), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)


def test_large_groups_are_taken_apart_and_stay_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    data = lessons(networks=6)
    whole = train(KEYS, data, width=9, recipe=RECIPE)
    for units, each in ((40, 3), (20, 2), (5, 1)):
        monkeypatch.setattr(module, "UNITS", units)
        assert module._apart(data, KEYS, 9)[0].outputs.shape == (2 * 6 // each, 80, each, 2)
        parts = train(KEYS, data, width=9, recipe=RECIPE)
        for ours, theirs in zip(jax.tree.leaves(parts), jax.tree.leaves(whole), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)


def test_one_program_serves_all_n_and_rates() -> None:
    data = lessons()
    train(KEYS, data, 80, width=9, recipe=RECIPE)
    before = module._stretch._cache_size()
    for n, rate in ((80, 0.05), (31, 0.1), (5, 0.2)):
        train(KEYS, data, n, width=9, recipe=RECIPE._replace(learning_rate=rate, epochs=3.5))
    assert module._stretch._cache_size() == before


def test_every_epoch_shows_every_image_once_in_a_new_order() -> None:
    order = module._Order(np.array([1, 2]), 10, 4)
    stream = order.steps(0, 10).ravel()
    for epoch in range(4):
        assert sorted(stream[10 * epoch : 10 * (epoch + 1)]) == list(range(10))
    assert (stream[:10] != stream[10:20]).any()
    np.testing.assert_array_equal(order.steps(3, 5), stream.reshape(10, 4)[3:8])


def test_bad_input_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    data = lessons()
    with pytest.raises(ValueError, match="n is 81; it must be at most 80, the number of training images"):
        train(KEYS, data, 81, width=9)
    with pytest.raises(ValueError, match="width is 0; it must be a whole number of at least 1"):
        train(KEYS, data, width=0)
    with pytest.raises(ValueError, match="learning_rate is -1"):
        train(KEYS, data, width=9, recipe=RECIPE._replace(learning_rate=-1.0))
    with pytest.raises(ValueError, match="epochs is 0"):
        train(KEYS, data, width=9, recipe=RECIPE._replace(epochs=0))
    with pytest.raises(ValueError, match=r"keys has shape \(1,\); it must be \(2,\)"):
        train(KEYS[:1], data, width=9)
    with pytest.raises(ValueError, match=r"validation_outputs has shape"):
        train(KEYS, data._replace(validation_outputs=data.validation_outputs[:, :3]), width=9)
    monkeypatch.setattr(module, "free_memory", lambda: 2.0**25)
    with pytest.raises(
        MemoryError, match=r"6 networks of width 10,000 and their data need about .* Train at most 1 at a time"
    ):
        train(KEYS, data, width=10_000)
    monkeypatch.setattr(module, "free_memory", lambda: 2.0**10)
    with pytest.raises(MemoryError, match="smaller width, or a device with more memory"):
        train(KEYS, data, width=10_000)


def test_no_warning_where_all_is_well() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train(KEYS, lessons(), width=3, recipe=RECIPE._replace(epochs=1))
