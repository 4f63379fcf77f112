"""Text as tokens: a vocabulary, token files that are read without loading them, and mixtures of two of them."""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from collapse_jax import checks
from collapse_jax.data.images import synthetic_rows
from collapse_jax.data.places import VARIABLE, usual

END = "<|endoftext|>"
LARGEST = 2**16  # tokens are stored as uint16
GPT2_FOLDER = "gpt2_bpe"  # where the vocabulary of GPT-2 is looked for when nobody says
GPT2_SIZE = 50257


class Vocabulary:
    """A byte-level vocabulary: any text has tokens, and they give the text back.

    Make one with :func:`train_vocabulary` or :func:`gpt2_vocabulary`.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self.size: int = tokenizer.get_vocab_size()
        if self.size > LARGEST:
            raise ValueError(f"the vocabulary has {self.size:,} tokens; it must have at most {LARGEST:,}")
        self.end: int = tokenizer.token_to_id(END)

    def encode(self, text: str) -> np.ndarray:
        """uint16 tokens of a text."""
        return np.asarray(self._tokenizer.encode(text).ids, np.uint16)

    def encode_all(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Tokens of many texts, on all cores."""
        return [np.asarray(one.ids, np.uint16) for one in self._tokenizer.encode_batch(list(texts))]

    def decode(self, tokens: Any) -> str:
        """The text; the end token is left out."""
        return self._tokenizer.decode(np.asarray(tokens).tolist())

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it to one JSON file."""
        self._tokenizer.save(str(path))


def train_vocabulary(texts: Iterable[str], size: int) -> Vocabulary:
    """A vocabulary of at most ``size`` tokens by byte-pair encoding of these texts.

    Args:
        texts: what it is trained on.
        size: tokens, 257 (all bytes and the end) to 65,536.

    Raises:
        ValueError: for a size out of range.

    Example:
        >>> words = train_vocabulary(["the cat and the hat"] * 20, size=270)
        >>> words.decode(words.encode("the bat")), len(words.encode("the cat"))
        ('the bat', 2)
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    if isinstance(size, bool) or not isinstance(size, int) or not 257 <= size <= LARGEST:
        raise ValueError(f"size is {size!r}; it must be a whole number from 257 to {LARGEST:,}")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=[END], initial_alphabet=sorted(alphabet), show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    return Vocabulary(tokenizer)


def read_vocabulary(path: str | os.PathLike[str]) -> Vocabulary:
    """The vocabulary that :meth:`Vocabulary.save` wrote.

    Raises:
        FileNotFoundError: where there is no such file.
    """
    from tokenizers import Tokenizer

    if not Path(path).is_file():
        raise FileNotFoundError(f"no vocabulary is at {path}; it must be a file that Vocabulary.save wrote")
    return Vocabulary(Tokenizer.from_file(str(path)))


def gpt2_vocabulary(folder: str | os.PathLike[str]) -> Vocabulary:
    """The vocabulary of GPT-2 from ``encoder.json`` and ``vocab.bpe``, or from ``vocab.json`` and ``merges.txt``.

    Raises:
        FileNotFoundError: where they are not in the folder.

    Example:
        >>> gpt2_vocabulary("/nowhere")
        Traceback (most recent call last):
        FileNotFoundError: /nowhere has no vocabulary of GPT-2; it must have encoder.json and vocab.bpe, or vocab.json and
        merges.txt
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    for words, merges in (("encoder.json", "vocab.bpe"), ("vocab.json", "merges.txt")):
        paths = Path(folder) / words, Path(folder) / merges
        if all(path.is_file() for path in paths):
            tokenizer = Tokenizer(models.BPE.from_file(*map(str, paths)))
            tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
            tokenizer.decoder = decoders.ByteLevel()
            tokenizer.add_special_tokens([END])
            return Vocabulary(tokenizer)
    raise FileNotFoundError(
        f"{folder} has no vocabulary of GPT-2; it must have encoder.json and vocab.bpe, or vocab.json and merges.txt"
    )


def usual_vocabulary(texts: Iterable[str], size: int) -> Vocabulary:
    """A vocabulary trained on these texts; that of GPT-2, from the folder ``gpt2_bpe``, where the size is 50,257.

    Raises:
        FileNotFoundError: where GPT-2's is not on this disk.
        ValueError: for a size out of range.

    Example:
        >>> usual_vocabulary(["the cat and the hat"] * 20, size=270).size
        268
    """
    if size != GPT2_SIZE:
        return train_vocabulary(texts, size)
    for folder in usual(GPT2_FOLDER):
        if folder.is_dir():
            return gpt2_vocabulary(folder)
    raise FileNotFoundError(
        f"the vocabulary of GPT-2 is not on this disk; put encoder.json and vocab.bpe into a folder {GPT2_FOLDER} "
        f"in the one that {VARIABLE} names"
    )


def write_tokens(path: str | os.PathLike[str], texts: Iterable[Any], end: int) -> int:
    """Write texts, each a sequence of tokens, one after the other with the end token after each; returns how many tokens.

    The file is plain uint16 and appears when it is complete.
    """
    path, total = Path(path), 0
    unfinished = path.with_name(f".{path.name}.unfinished")
    with unfinished.open("wb") as file:
        for text in texts:
            tokens = np.append(np.asarray(text, np.uint16), np.uint16(end))
            tokens.tofile(file)
            total += len(tokens)
    os.replace(unfinished, path)
    return total


def read_tokens(path: str | os.PathLike[str]) -> np.ndarray:
    """All tokens of a file, as memory that is read when it is used.

    Raises:
        FileNotFoundError: where there is none.
        ValueError: for an empty file, or one of an odd number of bytes.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no tokens are at {path}; write_tokens makes such a file")
    if path.stat().st_size == 0 or path.stat().st_size % 2:
        raise ValueError(
            f"{path} has {path.stat().st_size} bytes; a token file has an even number above 0. Make it again"
        )
    return np.memmap(path, np.uint16, "r")


class Mixture(NamedTuple):
    """Windows of tokens from two files, a share of them synthetic.

    Attributes:
        real: tokens of the reference texts, and ``synthetic`` those that a model wrote.
        synthetic_fraction: share of the windows that are synthetic, in [0, 1].
        length: tokens of a window; the one after it is the last target.
        windows: of both kinds together that one epoch has.
        seed: of the order.
    """

    real: np.ndarray
    synthetic: np.ndarray
    synthetic_fraction: float
    length: int
    windows: int
    seed: int

    def batches(self, size: int, start: int = 0) -> Iterator[np.ndarray]:
        """(size, length + 1) int32 windows from batch ``start`` on, without end; no window twice in an epoch.

        Raises:
            ValueError: where a file has too few windows, or a fraction leaves no window of one kind.
        """
        order, step = _Order(self), start
        while True:
            yield np.stack([order.window(step * size + i) for i in range(size)])
            step += 1


class _Order:
    """The windows of a mixture, one after the other."""

    def __init__(self, mixture: Mixture) -> None:
        checks.fraction("synthetic_fraction", mixture.synthetic_fraction)
        self.mixture, self.epoch = mixture, -1
        self.taught = synthetic_rows(mixture.windows, mixture.synthetic_fraction)
        for name, tokens, needed in (
            ("real", mixture.real, int((~self.taught).sum())),
            ("synthetic", mixture.synthetic, int(self.taught.sum())),
        ):
            there = max(len(tokens) - 1, 0) // mixture.length
            if needed > there:
                raise ValueError(
                    f"windows is {mixture.windows:,}, of which {needed:,} are {name}; the {name} tokens have {there:,} "
                    f"of length {mixture.length}. Use fewer windows, or another synthetic_fraction"
                )

    def window(self, index: int) -> np.ndarray:
        epoch, place = divmod(index, self.mixture.windows)
        if epoch != self.epoch:
            self._begin(epoch)
        tokens = self.mixture.synthetic if self.kinds[place] else self.mixture.real
        start = int(self.starts[place]) * self.mixture.length
        return tokens[start : start + self.mixture.length + 1].astype(np.int32)

    def _begin(self, epoch: int) -> None:
        """The order of an epoch, known from the seed and the epoch alone. Every epoch has the same windows."""
        self.epoch = epoch
        starts = np.empty(self.mixture.windows, np.int64)
        for kind, tokens in ((False, self.mixture.real), (True, self.mixture.synthetic)):
            own = self.taught == kind
            there = (len(tokens) - 1) // self.mixture.length
            chosen = np.random.default_rng([self.mixture.seed, int(kind)]).permutation(max(there, 0))
            starts[own] = chosen[: own.sum()]
        order = np.random.default_rng([self.mixture.seed, 2, epoch]).permutation(self.mixture.windows)
        self.kinds, self.starts = self.taught[order], starts[order]
