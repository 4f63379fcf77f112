"""Texts with a cache are texts without one; tokens are drawn with the stated probabilities and end where they should."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from collapse_jax.networks.gpt import GPT, Shape
from collapse_jax.networks.sampling import _drawn, _likely, _rooms, write

SHAPE = Shape(vocabulary=9, context=40, width=12, layers=2, heads=3, dtype=jnp.float64)
KEY = jax.random.key(3)


@pytest.fixture(scope="module")
def model() -> GPT:
    made = GPT(SHAPE, rngs=nnx.Rngs(0))
    graph, weights = nnx.split(made)
    return nnx.merge(graph, jax.tree.map(lambda w: 8 * w if w.ndim == 2 else w, weights))  # decided about its tokens


def greedy(model: GPT, prompt: list[int], tokens: int) -> list[int]:
    """The likeliest continuation, the whole text read again for each token; what follows is not seen, so padding may."""
    read, text = jax.jit(lambda padded: model(padded).argmax(-1)), list(prompt)
    for _ in range(tokens):
        padded = jnp.zeros((1, SHAPE.context), int).at[0, : len(text)].set(jnp.asarray(text))
        text.append(int(read(padded)[0, len(text) - 1]))
    return text


def test_greedy_texts_are_those_without_a_cache_whatever_the_prompts_lengths(model: GPT) -> None:
    prompts = jax.random.randint(KEY, (3, 22), 0, 9)
    lengths = [22, 18, 20]
    found = write(model, KEY, prompts, lengths, tokens=6, temperature=0)
    for row, length in enumerate(lengths):
        expected = greedy(model, prompts[row, :length].tolist(), 6)
        assert found.tokens[row, : length + 6].tolist() == expected
        assert (found.tokens[row, length + 6 :] == 0).all()
    assert found.lengths.tolist() == [28, 24, 26]
    short = write(model, KEY, prompts[:, :2], [1, 2, 2], tokens=3, temperature=0)
    assert short.tokens[0, :4].tolist() == greedy(model, prompts[0, :1].tolist(), 3)


def test_a_text_ends_at_its_stop_token(model: GPT) -> None:
    prompt = jax.random.randint(KEY, (1, 5), 0, 9)
    plain = greedy(model, prompt[0].tolist(), 12)
    stop = plain[9]
    first = plain.index(stop, 5)
    found = write(model, KEY, prompt, tokens=12, temperature=0, stop=stop)
    assert found.lengths.tolist() == [first + 1]
    assert found.tokens[0, : first + 1].tolist() == plain[: first + 1]
    assert (found.tokens[0, first + 1 :] == stop).all()


@pytest.mark.parametrize("rules", [{}, {"temperature": 0.5}, {"top_k": 3}, {"top_p": 0.6}])
def test_tokens_have_the_stated_probabilities(model: GPT, rules: dict[str, Any]) -> None:
    draws = 4000
    prompt = jnp.tile(jnp.asarray([[1, 4, 2]]), (draws, 1))
    found = np.bincount(write(model, KEY, prompt, tokens=1, **rules).tokens[:, 3], minlength=9) / draws
    shares = np.asarray(jax.nn.softmax(model(prompt[:1])[0, -1] / rules.get("temperature", 1.0)), float)
    order = shares.argsort()[::-1]
    if "top_k" in rules:
        shares[order[3:]] = 0
    if "top_p" in rules:
        last = int(np.searchsorted(shares[order].cumsum(), 0.6))
        shares[order[last + 1 :]] = 0
    shares /= shares.sum()
    assert (found[shares == 0] == 0).all()
    np.testing.assert_allclose(found, shares, atol=5 * 0.5 / draws**0.5)


def test_top_p_keeps_the_fewest_tokens_that_reach_it() -> None:
    logits = jnp.log(jnp.array([[0.5, 0.3, 0.15, 0.05]]))
    for mass, count in ((0.49, 1), (0.51, 2), (0.79, 2), (0.81, 3), (1.0, 4)):
        kept = jnp.isfinite(_likely(logits, None, True, jnp.asarray(mass)))
        assert int(kept.sum()) == count


def test_bad_input_is_named(model: GPT) -> None:
    prompt = jnp.zeros((2, 5), int)
    for changes, message in (
        ({"tokens": 36}, "tokens is 36; it must be at least 1, and with prompts of 5 at most the context, 40"),
        ({"lengths": [0, 5]}, "lengths is .* from 1 to 5 for each of 2 prompts"),
        ({"temperature": -1.0}, "temperature is -1"),
        ({"top_k": 10}, "top_k is 10; it must be from 1 to 9"),
        ({"top_p": 0.0}, r"top_p is 0.0; it must lie in \(0, 1\]"),
        ({"stop": 9}, "stop is 9; it must be a token, 0 to 8"),
    ):
        with pytest.raises(ValueError, match=message):
            write(model, KEY, prompt, **({"tokens": 3} | changes))


def test_impossible_tokens_are_never_drawn_and_rare_ones_as_often_as_they_should() -> None:
    logits = jnp.log(jnp.asarray([0.0, 0.5, 0.0, 0.499, 0.001, 0.0], jnp.float32))
    drawn = jax.vmap(lambda key: _drawn(key, jnp.tile(logits, (1000, 1))))(jax.random.split(KEY, 1000)).ravel()
    counts = np.bincount(drawn, minlength=6)
    assert counts[[0, 2, 5]].tolist() == [0, 0, 0]
    for count, share in zip(counts[[1, 3, 4]], (0.5, 0.499, 0.001), strict=True):
        assert abs(count - 1e6 * share) < 5 * np.sqrt(1e6 * share)


def test_a_cache_grows_by_doubling() -> None:
    assert _rooms(0, 20) == [20]
    assert _rooms(16, 200) == [32, 64, 128, 200]
