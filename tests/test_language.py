"""Training a transformer: resumed bit for bit, the same in pieces and on several devices, and it learns what there is."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from collapse_jax.networks import language, updates
from collapse_jax.networks.gpt import Shape, graph_of
from collapse_jax.networks.language import Progress, Schooling, memory_needed, school, school_together
from collapse_jax.networks.lesson import Lesson, loss_of

SHAPE = Shape(vocabulary=8, context=12, width=16, layers=2, heads=2, dropout=0.1)
CHAIN = np.random.default_rng(0).dirichlet(np.full(8, 0.3), size=8)  # the next token depends on this one
KEY = jax.random.key(4)


def texts(seed: int, count: int, length: int = 13) -> np.ndarray:
    """(count, length) tokens of the chain."""
    generator = np.random.default_rng([1, seed])
    found = np.zeros((count, length), np.int32)
    found[:, 0] = generator.integers(0, 8, count)
    for i in range(1, length):
        uniform = generator.random((count, 1))
        found[:, i] = np.minimum((CHAIN[found[:, i - 1]].cumsum(1) < uniform).sum(1), 7)
    return found


def batches(start: int) -> Iterator[np.ndarray]:
    step = start
    while True:
        yield texts(step, 16)
        step += 1


HELD_OUT = texts(10**6, 100)
SCHOOLING = Schooling(steps=40, learning_rate=0.01, evaluations=4)


def same(one: Any, other: Any, **tolerance: float) -> None:
    for ours, theirs in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(ours, theirs, **({"rtol": 0, "atol": 0} | tolerance))


def weights(found: Any) -> Any:
    from flax import nnx

    return nnx.state(found.model)


def test_a_transformer_learns_the_chain_down_to_its_entropy() -> None:
    found = school(KEY, SHAPE, batches, HELD_OUT, SCHOOLING._replace(steps=400))
    before = HELD_OUT[:, :-1].ravel()
    entropy = float(-np.log(CHAIN[before, HELD_OUT[:, 1:].ravel()]).mean())
    assert entropy < found.held_out[-1] < entropy + 0.1
    assert found.held_out[-1] < found.held_out[0] < np.log(8)
    assert found.tokens[-1] == 400 * 16 * 12


def test_a_killed_training_goes_on_bit_for_bit(tmp_path: Path) -> None:
    whole = school(KEY, SHAPE, batches, HELD_OUT, SCHOOLING)

    def kill(progress: Progress) -> None:
        if progress.step == 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        school(KEY, SHAPE, batches, HELD_OUT, SCHOOLING, checkpoint=tmp_path, save_seconds=0, report=kill)
    seen: list[int] = []
    resumed = school(
        KEY,
        SHAPE,
        batches,
        HELD_OUT,
        SCHOOLING,
        checkpoint=tmp_path,
        report=lambda progress: seen.append(progress.step),
    )
    assert seen == [30, 40]
    same(weights(resumed), weights(whole))
    np.testing.assert_array_equal(resumed.held_out, whole.held_out)
    with pytest.raises(ValueError, match="is of another training: layers is 1 here and 2 there"):
        school(KEY, Shape(**{**vars(SHAPE), "layers": 1}), batches, HELD_OUT, SCHOOLING, checkpoint=tmp_path)
    with pytest.raises(ValueError, match="corpus is b here and None there"):
        school(KEY, SHAPE, batches, HELD_OUT, SCHOOLING, checkpoint=tmp_path, made_by={"corpus": "b"})


def test_gradients_in_pieces_are_gradients_at_once() -> None:
    plain = Shape(**{**vars(SHAPE), "dropout": 0.0})
    once, pieces = (school(KEY, plain, batches, HELD_OUT, SCHOOLING._replace(steps=5, accumulate=a)) for a in (1, 4))
    same(weights(once), weights(pieces), atol=2e-5)


def test_the_rate_rises_along_a_line_and_falls_along_a_cosine() -> None:
    numbers = updates.Numbers(*SCHOOLING._replace(steps=100, learning_rate=2.0, warmup=0.2, weight_decay=0.0)[:7])
    weights = jnp.zeros(3)
    optimiser = updates.optimiser(numbers)
    state, found = optimiser.init(weights), []
    for _ in range(101):
        change, state = optimiser.update(
            jnp.ones(3) / 2, state, weights
        )  # AdamW changes by its rate at equal gradients
        found.append(-float(change[0]))
    np.testing.assert_allclose(found[:20], 0.1 * np.arange(20), atol=1e-6)
    np.testing.assert_allclose([found[20], found[60], found[100]], [2.0, 1.1, 0.2], rtol=1e-5)


def test_loss_is_the_mean_surprise_of_the_next_token() -> None:
    found = school(KEY, SHAPE, batches, HELD_OUT, SCHOOLING._replace(steps=2, evaluations=1))
    logits = np.asarray(found.model(jnp.asarray(HELD_OUT[:, :-1])), float)
    surprise = np.log(np.exp(logits).sum(-1)) - np.take_along_axis(logits, HELD_OUT[:, 1:, None], 2)[..., 0]
    np.testing.assert_allclose(loss_of(found.model, jnp.asarray(HELD_OUT)), surprise.mean(1), rtol=1e-5)
    assert found.held_out[-1] == pytest.approx(surprise.mean(), rel=1e-5)


def both(start: int) -> Iterator[np.ndarray]:
    """The windows of each of two networks."""
    step = start
    while True:
        yield np.stack([texts(step, 16), texts(step + 1000, 16)])
        step += 1


def test_networks_trained_together_are_those_trained_alone() -> None:
    keys = jax.random.split(KEY, 2)
    together = school_together(keys, SHAPE, both, HELD_OUT, SCHOOLING)
    for i, found in enumerate(together):
        alone = school(keys[i], SHAPE, lambda start, i=i: (pair[i] for pair in both(start)), HELD_OUT, SCHOOLING)
        same(weights(found), weights(alone), atol=2e-4)
        np.testing.assert_allclose(found.held_out, alone.held_out, rtol=1e-4)
    with pytest.raises(
        ValueError, match=r"batches gives shape \(16, 13\) a step; it must be \(networks, batch, length"
    ):
        school_together(keys, SHAPE, batches, HELD_OUT, SCHOOLING)
    with pytest.raises(ValueError, match="keys has shape"):
        school_together(KEY, SHAPE, both, HELD_OUT, SCHOOLING)


def answers(start: int) -> Iterator[Lesson]:
    """Four tokens, then the same four backwards: the question is random, only the answer can be learned."""
    step, counted = start, np.broadcast_to(np.arange(7) >= 3, (16, 7))
    while True:
        question = np.random.default_rng([2, step]).integers(0, 8, (16, 4))
        yield Lesson(np.concatenate([question, question[:, ::-1]], 1), np.full(16, 4), counted)
        step += 1


def test_only_what_counts_is_learned() -> None:
    plain = Shape(**{**vars(SHAPE), "dropout": 0.0, "width": 32})
    held_out = next(answers(10**6))
    found = school(KEY, plain, answers, held_out, SCHOOLING._replace(steps=600))
    assert found.held_out[-1] < 0.1
    questions = loss_of(found.model, held_out._replace(counted=~held_out.counted)).mean()
    assert questions > np.log(8) / 2
    with pytest.raises(ValueError, match="held_out has a window of which no token counts"):
        school(KEY, plain, answers, held_out._replace(counted=np.zeros((16, 7), bool)), SCHOOLING)


@pytest.mark.parametrize("sizes", [(500, 256, 128, 8), (5000, 512, 256, 4), (300, 64, 512, 8)])
def test_predicted_memory_is_near_what_the_compiler_asks_for(sizes: tuple[int, int, int, int]) -> None:
    vocabulary, length, width, layers = sizes
    shape = Shape(vocabulary, length, width, layers, heads=4)
    weights = jax.eval_shape(lambda: updates.start(KEY, shape, updates.Numbers(*SCHOOLING[:7]), 1))
    given = Lesson(jax.ShapeDtypeStruct((1, 8, length + 1), jnp.int32))
    total = jax.ShapeDtypeStruct((), jnp.float32)
    args = (
        graph_of(shape),
        1,
        updates.Numbers(*SCHOOLING[:7]),
        weights.weights,
        weights.moments,
        total,
        given,
        KEY,
        0,
    )
    found = updates.steps.lower(*args).compile().memory_analysis()
    asked = found.temp_size_in_bytes + found.argument_size_in_bytes
    assert 0.75 < memory_needed(shape, 8, length) / asked < 1.33


def test_a_training_that_does_not_fit_is_refused_with_what_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    needed = memory_needed(SHAPE, 16, 12)
    monkeypatch.setattr(language, "free_memory", lambda: 0.7 * needed)
    with pytest.raises(MemoryError, match=r"needs about .* windows at a time fit: use accumulate=2 or more"):
        school(KEY, SHAPE, batches, HELD_OUT, SCHOOLING)
    monkeypatch.setattr(language, "free_memory", lambda: 1000.0)
    with pytest.raises(MemoryError, match="Use fewer layers"):
        school(KEY, SHAPE, batches, HELD_OUT, SCHOOLING)


def compare() -> None:
    """Runs where there are four devices."""
    plain = Shape(**{**vars(SHAPE), "dropout": 0.0})
    mesh = jax.make_mesh((2, 2), ("data", "model"), axis_types=(jax.sharding.AxisType.Auto,) * 2)
    one, four = (school(KEY, plain, batches, HELD_OUT, SCHOOLING._replace(steps=6), mesh=mesh) for mesh in (None, mesh))
    kernel = four.model.blocks[0].inner.kernel[...]
    assert len(kernel.sharding.device_set) == 4
    assert not kernel.sharding.is_fully_replicated
    same(weights(one), weights(four), atol=1e-4)
    keys = jax.random.split(KEY, 2)
    near, far = (
        school_together(keys, plain, both, HELD_OUT, SCHOOLING._replace(steps=6), mesh=m) for m in (None, mesh)
    )
    same([weights(found) for found in near], [weights(found) for found in far], atol=1e-4)


def test_four_devices_are_one() -> None:
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=4"
    environment = os.environ | {"XLA_FLAGS": flags, "PYTHONPATH": os.path.dirname(__file__)}
    code = "import test_language as module; module.compare()"
    ran = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr[-3000:]


def test_bad_input_is_named() -> None:
    with pytest.raises(
        FloatingPointError, match=r"the loss is nan between steps 0 and 10 .*no checkpoint was asked for"
    ):
        school(KEY, SHAPE, batches, HELD_OUT, SCHOOLING._replace(learning_rate=1e30, clip=1e30, warmup=0.0))
    for changes, message in (
        ({"steps": 0}, "steps is 0; it must be a whole number of at least 1"),
        ({"learning_rate": 0.0}, "learning_rate is 0"),
        ({"warmup": 1.0}, r"warmup is 1.0; it must lie in \[0, 1\)"),
        ({"accumulate": 3}, "accumulate is 3; it must divide the batch, 16"),
    ):
        with pytest.raises(ValueError, match=message):
            school(KEY, SHAPE, batches, HELD_OUT, SCHOOLING._replace(**changes))
    with pytest.raises(ValueError, match="with a length of 1 to 12, the context"):
        school(KEY, SHAPE, batches, texts(0, 4, 20), SCHOOLING)
    with pytest.raises(ValueError, match=r"batches has shape .* with a length of 1 to 12"):
        school(KEY, SHAPE, lambda start: iter([texts(0, 4, 20)] * 99), HELD_OUT, SCHOOLING)
    with pytest.raises(ValueError, match="batches has the token 8; the vocabulary has 8 tokens"):
        school(KEY, SHAPE, lambda start: iter([texts(0, 4) + 1] * 99), HELD_OUT, SCHOOLING)
