"""Beam search finds what an exhaustive search finds; a prefix is read as in training."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from collapse_jax.networks.beam import beam
from collapse_jax.networks.gpt import GPT, Shape
from collapse_jax.networks.sampling import write

SHAPE = Shape(vocabulary=4, context=9, width=12, layers=2, heads=3, dtype=jnp.float64)
STOP = 3
PROMPTS = np.array([[0, 1, 2, 1], [2, 2, 0, 1], [1, 0, 0, 0]])


@pytest.fixture(scope="module")
def model() -> GPT:
    graph, weights = nnx.split(GPT(SHAPE, rngs=nnx.Rngs(0)))
    return nnx.merge(graph, jax.tree.map(lambda w: 8 * w if w.ndim == 2 else w, weights))  # decided about its tokens


def exhaustive(model: GPT, prompt: list[int], tokens: int, prefix: bool) -> dict[tuple[int, ...], float]:
    """Log probability of every continuation, read without a cache."""
    texts = [text for n in range(1, tokens + 1) for text in itertools.product(range(4), repeat=n)]
    texts = [text for text in texts if STOP not in text[:-1] and (len(text) == tokens or text[-1] == STOP)]
    whole = np.zeros((len(texts), len(prompt) + tokens), int)
    whole[:, : len(prompt)] = prompt
    for row, text in zip(whole, texts, strict=True):
        row[len(prompt) : len(prompt) + len(text)] = text
    seen = jnp.full(len(texts), len(prompt)) if prefix else None
    logs = np.asarray(jax.nn.log_softmax(model(jnp.asarray(whole[:, :-1]), prefix=seen), -1))
    first = len(prompt) - 1
    return {text: float(sum(logs[i, first + j, token] for j, token in enumerate(text))) for i, text in enumerate(texts)}


@pytest.mark.parametrize("prefix", [False, True])
def test_enough_beams_are_an_exhaustive_search(model: GPT, prefix: bool) -> None:
    lengths = [4, 3, 2]
    found = beam(model, PROMPTS, lengths, beams=64, tokens=3, stop=STOP, prefix=prefix)
    for row, length in enumerate(lengths):
        expected = exhaustive(model, PROMPTS[row, :length].tolist(), 3, prefix)
        order = sorted(expected, key=lambda text: -expected[text])
        assert len(order) == 40
        np.testing.assert_allclose(found.log_probability[row, :40], [expected[text] for text in order], rtol=1e-4)
        assert np.isneginf(found.log_probability[row, 40:]).all()
        for text, tokens, count in zip(order[:10], found.tokens[row], found.lengths[row], strict=False):
            assert tuple(tokens[length:count].tolist()) == text
            assert (tokens[count:] == STOP).all()


@pytest.mark.parametrize("prefix", [False, True])
def test_one_beam_is_greedy(model: GPT, prefix: bool) -> None:
    lengths = [4, 3, 2]
    one = beam(model, PROMPTS, lengths, beams=1, tokens=5, stop=STOP, prefix=prefix)
    greedy = write(model, jax.random.key(0), PROMPTS, lengths, tokens=5, temperature=0, stop=STOP, prefix=prefix)
    np.testing.assert_array_equal(one.tokens[:, 0], greedy.tokens)
    np.testing.assert_array_equal(one.lengths[:, 0], greedy.lengths)


def test_more_beams_find_likelier_texts(model: GPT) -> None:
    best = [beam(model, PROMPTS, beams=k, tokens=5).log_probability[:, 0] for k in (1, 4, 16, 256)]
    for few, more in itertools.pairwise(best):
        assert (more >= few - 1e-5).all()


def test_a_prefix_is_read_as_in_training_whatever_the_prompts_lengths(model: GPT) -> None:
    lengths = [4, 3, 2]
    found = write(model, jax.random.key(0), PROMPTS, lengths, tokens=4, temperature=0, prefix=True)
    for row, length in enumerate(lengths):
        text = PROMPTS[row, :length].tolist()
        for _ in range(4):
            padded = jnp.zeros((1, SHAPE.context), int).at[0, : len(text)].set(jnp.asarray(text))
            text.append(int(model(padded, prefix=jnp.asarray([length]))[0, len(text) - 1].argmax()))
        assert found.tokens[row, : length + 4].tolist() == text


def test_bad_input_is_named(model: GPT) -> None:
    for arguments, message in (
        ({"beams": 0, "tokens": 2}, "beams is 0; it must be a whole number of at least 1"),
        ({"beams": 2, "tokens": 6}, "at most the context, 9"),
        ({"beams": 2, "tokens": 2, "stop": 4}, "stop is 4; it must be a token, 0 to 3"),
        ({"beams": 2, "tokens": 2, "lengths": [5, 1, 1]}, "a number from 1 to 4 for each of 3 prompts"),
    ):
        with pytest.raises(ValueError, match=message):
            beam(model, PROMPTS, **arguments)
