"""The transformer is GPT-2: its logits are those of NumPy, no position sees a later one, a cache changes nothing."""

import json
import math
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from collapse_jax.networks.gpt import GPT, SHAPES, Shape, _dropped, empty_cache, parameters, shape
from collapse_jax.networks.gpt2_weights import CONFIG, WEIGHTS, _names, gpt2

SMALL = Shape(vocabulary=13, context=10, width=12, layers=2, heads=3, dtype=jnp.float64)
TOKENS = jax.random.randint(jax.random.key(1), (2, 7), 0, 13)


def made(given: Shape = SMALL) -> GPT:
    """A model whose biases and norms are not what they begin as."""
    model = GPT(given, rngs=nnx.Rngs(0))
    graph, weights = nnx.split(model)
    leaves, tree = jax.tree.flatten(weights)
    keys = jax.random.split(jax.random.key(2), len(leaves))
    leaves = [
        leaf + 0.2 * jax.random.normal(key, leaf.shape, leaf.dtype) for leaf, key in zip(leaves, keys, strict=True)
    ]
    return nnx.merge(graph, jax.tree.unflatten(tree, leaves))


def published(model: GPT) -> dict[str, np.ndarray]:
    """The weights by the names of the published files."""
    flat = {".".join(map(str, path)): leaf for path, leaf in nnx.to_flat_state(nnx.state(model, nnx.Param))}
    return {name: np.asarray(flat[own][...]) for name, own in _names(model.shape.layers).items()}


def numpy_logits(weights: dict[str, np.ndarray], tokens: np.ndarray, heads: int, layers: int) -> np.ndarray:
    """GPT-2 as its authors describe it, one sequence."""

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        scaled = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
        return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    def linear(x: np.ndarray, name: str) -> np.ndarray:
        return x @ weights[f"{name}.weight"] + weights[f"{name}.bias"]

    count = len(tokens)
    x = weights["wte.weight"][tokens] + weights["wpe.weight"][:count]
    for i in range(layers):
        split = linear(norm(x, f"h.{i}.ln_1"), f"h.{i}.attn.c_attn")
        q, k, v = (part.reshape(count, heads, -1) for part in np.split(split, 3, -1))
        out = np.zeros_like(q)
        for head in range(heads):
            scores = q[:, head] @ k[:, head].T / math.sqrt(q.shape[-1])
            scores[np.triu_indices(count, 1)] = -np.inf
            shares = np.exp(scores - scores.max(-1, keepdims=True))
            out[:, head] = shares / shares.sum(-1, keepdims=True) @ v[:, head]
        x = x + linear(out.reshape(count, -1), f"h.{i}.attn.c_proj")
        u = linear(norm(x, f"h.{i}.ln_2"), f"h.{i}.mlp.c_fc")
        gelu = 0.5 * u * (1 + np.tanh(math.sqrt(2 / math.pi) * (u + 0.044715 * u**3)))
        x = x + linear(gelu, f"h.{i}.mlp.c_proj")
    return norm(x, "ln_f") @ weights["wte.weight"].T


@pytest.mark.parametrize("remat", [False, True])
def test_logits_are_those_of_numpy(remat: bool) -> None:
    model = made(Shape(**{**SMALL.__dict__, "remat": remat}))
    found = jax.jit(lambda tokens: model(tokens))(TOKENS)
    for row in range(2):
        expected = numpy_logits(published(model), np.asarray(TOKENS[row]), 3, 2)
        np.testing.assert_allclose(found[row], expected, rtol=2e-5, atol=2e-5)


def test_no_position_sees_a_later_one_and_prefixes_see_themselves() -> None:
    model = made()

    def reach(prefix: Any) -> np.ndarray:
        """(T, T) whether the hidden state at a position depends on the embedding at another."""

        def hidden(change: jax.Array) -> jax.Array:
            graph, weights = nnx.split(model)
            weights = jax.tree.map(jnp.asarray, weights)
            weights["positions"] = weights["positions"].replace(weights["positions"][...].at[:7].add(change))
            return nnx.merge(graph, weights).hidden(TOKENS[:1], prefix=prefix)[0][0].sum(-1)

        change = 1e-3 * jax.random.normal(jax.random.key(3), (7, 12))  # a sum of a norm's outputs is flat at its bias
        return np.abs(jax.jacobian(hidden)(change)).sum(-1) > 1e-12

    np.testing.assert_array_equal(reach(None), np.tril(np.ones((7, 7), bool)))
    both = np.tril(np.ones((7, 7), bool))
    both[:4, :4] = True
    np.testing.assert_array_equal(reach(jnp.array([4])), both)


def test_a_cache_changes_nothing() -> None:
    model = made()
    whole = model(TOKENS)
    cache, pieces = empty_cache(SMALL, 2), []
    for start, stop in ((0, 3), (3, 4), (4, 5), (5, 7)):
        hidden, cache = model.hidden(TOKENS[:, start:stop], cache=cache)
        assert cache is not None
        pieces.append(model.logits(hidden))
    np.testing.assert_allclose(jnp.concatenate(pieces, 1), whole, rtol=1e-6, atol=1e-6)
    assert int(cache.length) == 7


def test_published_sizes() -> None:
    assert parameters(SHAPES["gpt2-small"]) == 124_439_808
    assert parameters(SHAPES["gpt2-18"]) == 124_439_808 + 6 * 7_087_872
    assert parameters(SHAPES["tiny"]) < 1_000_000


def test_published_weights_are_read_and_checked(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    single = Shape(**{**SMALL.__dict__, "dtype": jnp.float32})
    model = made(single)
    weights = {f"transformer.{name}": array.astype(np.float32) for name, array in published(model).items()}
    sizes = {"vocab_size": 13, "n_positions": 10, "n_embd": 12, "n_layer": 2, "n_head": 3}
    (tmp_path / CONFIG).write_text(json.dumps(sizes))
    save_file(weights, tmp_path / WEIGHTS)
    np.testing.assert_allclose(gpt2(tmp_path)(TOKENS), model(TOKENS), rtol=1e-5, atol=1e-5)
    (tmp_path / CONFIG).write_text(json.dumps(sizes | {"n_layer": 3}))
    with pytest.raises(ValueError, match=r"has no h\.2\.ln_1\.weight; it must be a GPT-2 with the layers"):
        gpt2(tmp_path)
    (tmp_path / CONFIG).write_text(json.dumps(sizes | {"n_embd": 15}))
    with pytest.raises(ValueError, match=r"has shape \(12,\); config.json says \(15,\)"):
        gpt2(tmp_path)


def test_dropout_needs_a_key_and_keeps_the_mean() -> None:
    model = made(Shape(**{**SMALL.__dict__, "dropout": 0.3}))
    np.testing.assert_array_equal(model(TOKENS), made()(TOKENS))
    first, second = (model(TOKENS, key=jax.random.key(seed)) for seed in (0, 1))
    assert float(jnp.abs(first - second).max()) > 0.01
    dropped = _dropped(jnp.ones(100_000), 0.3, jax.random.key(0))
    assert float(dropped.mean()) == pytest.approx(1, abs=0.01)
    assert float((dropped == 0).mean()) == pytest.approx(0.3, abs=0.01)


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match="layers is 0; it must be a whole number of at least 1"):
        Shape(layers=0)
    with pytest.raises(ValueError, match=r"shape is 'huge'; it must be one of tiny, small, gpt2-small"):
        shape("huge")
    with pytest.raises(ValueError, match="tokens has 11 in a row; this model sees 10 at most"):
        made()(jnp.zeros((1, 11), int))
