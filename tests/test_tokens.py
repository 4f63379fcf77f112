"""Vocabularies give texts back; token files hold what was written; mixtures have their share of synthetic windows."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from collapse_jax.data.places import named
from collapse_jax.data.story_world import StoryWorld
from collapse_jax.data.tokens import (
    END,
    Mixture,
    gpt2_vocabulary,
    read_tokens,
    read_vocabulary,
    train_vocabulary,
    write_tokens,
)

WORLD = StoryWorld()
TEXTS = [WORLD.text(story) for story in WORLD.stories(0, 400)]


def test_texts_come_back_from_their_tokens(tmp_path: Path) -> None:
    words = train_vocabulary(TEXTS, 512)
    assert words.size == 512
    for text in (*TEXTS[:50], "naïve café 山 \n\t x", ""):
        assert words.decode(words.encode(text)) == text
    assert words.decode([*words.encode("a b"), words.end]) == "a b"
    assert len(words.encode(TEXTS[0])) < len(TEXTS[0]) / 3
    words.save(tmp_path / "words.json")
    again = read_vocabulary(tmp_path / "words.json")
    for one, other in zip(words.encode_all(TEXTS[:20]), again.encode_all(TEXTS[:20]), strict=True):
        np.testing.assert_array_equal(one, other)
    assert again.end == words.end


def test_files_hold_what_was_written(tmp_path: Path) -> None:
    total = write_tokens(tmp_path / "a.tokens", [[1, 2, 3], [], [65535]], end=7)
    assert total == 7
    assert read_tokens(tmp_path / "a.tokens").tolist() == [1, 2, 3, 7, 7, 65535, 7]
    (tmp_path / "b.tokens").write_bytes(b"abc")
    with pytest.raises(ValueError, match="has 3 bytes; a token file has an even number above 0"):
        read_tokens(tmp_path / "b.tokens")
    with pytest.raises(FileNotFoundError, match="no tokens are at"):
        read_tokens(tmp_path / "c.tokens")


@pytest.mark.parametrize("fraction", [0.0, 0.25, 1.0])
def test_an_epoch_has_every_window_once_and_its_share_of_synthetic_ones(fraction: float) -> None:
    real, synthetic = np.arange(0, 1001, dtype=np.uint16), np.arange(20_000, 21_001, dtype=np.uint16)
    mixture = Mixture(real, synthetic, fraction, length=10, windows=80, seed=3)
    epochs = [np.concatenate(list(itertools.islice(mixture.batches(16, start), 5))) for start in (0, 5)]
    for epoch in epochs:
        assert epoch.shape == (80, 11)
        assert (np.diff(epoch, axis=1) == 1).all()
        assert len(np.unique(epoch[:, 0])) == 80
        assert (epoch[:, 0] >= 20_000).sum() == 80 * fraction
    assert sorted(epochs[0][:, 0]) == sorted(epochs[1][:, 0])
    assert (epochs[0] != epochs[1]).any()
    # A run that goes on at batch 3 sees what an unbroken one sees.
    np.testing.assert_array_equal(next(mixture.batches(16, 3)), epochs[0][48:64])


def test_bad_input_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="size is 256; it must be a whole number from 257 to 65,536"):
        train_vocabulary(TEXTS, 256)
    with pytest.raises(FileNotFoundError, match="no vocabulary is at"):
        read_vocabulary(tmp_path / "x.json")
    tokens = np.arange(101, dtype=np.uint16)
    with pytest.raises(ValueError, match=r"windows is 30, of which 15 are real; the real tokens have 10 of length 10"):
        next(Mixture(tokens, tokens, 0.5, 10, 30, 0).batches(4))
    with pytest.raises(ValueError, match="synthetic_fraction is 50; it must be between 0 and 1"):
        next(Mixture(tokens, tokens, 50, 10, 5, 0).batches(4))


@pytest.mark.skipif(named() is None or not (named() / "gpt2_bpe").is_dir(), reason="needs COLLAPSE_JAX_DATA/gpt2_bpe")  # type: ignore[operator]
def test_the_vocabulary_of_gpt2_is_the_published_one() -> None:
    words = gpt2_vocabulary(named() / "gpt2_bpe")  # type: ignore[operator]
    assert words.size == 50_257
    assert words.end == 50_256
    assert words.encode("Hello, world!").tolist() == [15496, 11, 995, 0]
    assert words.decode(words.encode("naïve café")) == "naïve café"
    assert END not in words.decode([words.end])
