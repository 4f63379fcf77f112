"""A world of short stories whose every probability is known: a small grammar with Zipf-tailed names, things and events.

A story is a skeleton of choices: hero, place, how many events, for each event its kind (which depends on the one before) and
what or whom it is about, and an ending. Its text says every choice once, so text and skeleton are one: the probability of a
text is exact, and so is the entropy of the world, the least loss that any language model of it can have.

What a model writes can be parsed back. So one sees which stories are grammatical, and the tails of the distribution, the
rare names and things, are seen to disappear when models learn from models.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

BEGINNINGS = ("Ba", "Do", "Fi", "Ga", "Ha", "Ju", "Ka", "Lo", "Mi", "Na", "Pe", "Ro", "Sa", "Ti", "Vu", "We")
MIDDLES = ("", "la", "ri", "no", "ke", "mu")
ENDINGS = ("n", "ra", "lo", "s", "mi", "t", "da", "x")
PLACES = (
    "by the sea", "in a small town", "near the old forest", "on a hill", "at the edge of a lake", "in a tall tower",
    "behind the mill", "under the bridge", "on a farm", "in a quiet valley", "above the bakery", "on an island",
)  # fmt: skip
KINDS = (
    "red", "little", "old", "shiny", "soft", "round", "broken", "blue", "heavy", "strange", "golden", "warm", "wooden", "tiny",
    "green", "silver", "dusty", "striped", "crooked", "glass",
)  # fmt: skip
THINGS = (
    "ball", "book", "key", "hat", "cup", "stone", "boat", "bell", "lamp", "box", "kite", "spoon", "drum", "map", "coat", "coin",
    "clock", "basket", "candle", "shell", "mirror", "ladder", "feather", "button", "ribbon", "whistle", "bucket", "needle",
    "anchor", "compass",
)  # fmt: skip
ABOUT_THINGS = (
    "found a {}", "lost a {}", "wanted a {}", "made a {}", "sold a {}", "hid a {}", "painted a {}", "dreamed of a {}",
)  # fmt: skip
ABOUT_PEOPLE = (
    "met {}",
    "helped {}",
    "laughed with {}",
    "waited for {}",
    "sang to {}",
    "ran from {}",
    "wrote to {}",
    "forgave {}",
)
EVENTS = (*ABOUT_THINGS, *ABOUT_PEOPLE)
LAST_WORDS = (
    "and was happy", "and went home", "and slept well", "and told nobody", "and learned to share", "and never came back",
    "and asked for more", "and built a house",
)  # fmt: skip
FEWEST = 2  # events in a story


class Story(NamedTuple):
    """The choices of one story: indices of names, places, events, and of what each event is about."""

    hero: int
    place: int
    events: tuple[int, ...]
    about: tuple[int, ...]
    ending: int


@dataclass(frozen=True)
class StoryWorld:
    """How probable each choice is.

    Attributes:
        names: how many there are, at most 768; the i-th has probability proportional to ``i**-exponent``.
        things: how many, at most 600, of an adjective and a noun each, likewise.
        exponent: of Zipf's law, > 0.
        most: events in a story at most; their number is uniform from 2 on.
        seed: decides which words are common and which event follows which.

    Raises:
        ValueError: for numbers out of these ranges.

    Example:
        >>> world = StoryWorld()
        >>> story = world.stories(seed=0, count=1)[0]
        >>> print(world.text(story))
        Once Sanomi lived by the sea. Sanomi helped Julax. Sanomi wanted a dusty lamp. Sanomi waited for Lomut.
        Sanomi laughed with Pex. Sanomi met Lonot. In the end Sanomi went home.
        >>> world.parse(world.text(story)) == story
        True
        >>> bool(world.log_probability(story) < 0), round(world.entropy, 2)
        (True, 34.05)
    """

    names: int = 400
    things: int = 300
    exponent: float = 1.0
    most: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        limits = {
            "names": (self.names, 1, len(BEGINNINGS) * len(MIDDLES) * len(ENDINGS)),
            "things": (self.things, 1, len(KINDS) * len(THINGS)),
            "most": (self.most, FEWEST, 20),
        }
        for name, (value, least, most) in limits.items():
            if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
                raise ValueError(f"{name} is {value!r}; it must be a whole number from {least} to {most}")
        if not 0 < self.exponent < math.inf:
            raise ValueError(f"exponent is {self.exponent}; it must be finite and above 0")

    # Words and probabilities -------------------------------------------------------------------------------------------

    @cached_property
    def name_words(self) -> tuple[str, ...]:
        """Names, the most common first."""
        words = [a + b + c for a in BEGINNINGS for b in MIDDLES for c in ENDINGS]
        return tuple(words[i] for i in self._generator(1).permutation(len(words))[: self.names])

    @cached_property
    def thing_words(self) -> tuple[str, ...]:
        """Things, the most common first."""
        words = [f"{kind} {thing}" for kind in KINDS for thing in THINGS]
        return tuple(words[i] for i in self._generator(2).permutation(len(words))[: self.things])

    @cached_property
    def name_shares(self) -> np.ndarray:
        """(names,) probabilities."""
        return zipf(self.names, self.exponent)

    @cached_property
    def thing_shares(self) -> np.ndarray:
        """(things,) probabilities."""
        return zipf(self.things, self.exponent)

    @cached_property
    def event_shares(self) -> np.ndarray:
        """(events + 1, events) probabilities of an event after another; the last row is that of the first event."""
        shares = zipf(len(EVENTS), self.exponent)
        orders = [self._generator(3, row).permutation(len(EVENTS)) for row in range(len(EVENTS) + 1)]
        return np.stack([shares[np.argsort(order)] for order in orders])

    def _generator(self, *what: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, *what])

    # Stories -----------------------------------------------------------------------------------------------------------

    def stories(self, seed: int, count: int) -> list[Story]:
        """Independent stories; the first ones are the same for every count."""
        return [self._story(np.random.default_rng([self.seed, 4, seed, i])) for i in range(count)]

    def _story(self, generator: np.random.Generator) -> Story:
        def drawn(shares: np.ndarray) -> int:
            return min(int(np.searchsorted(shares.cumsum(), generator.random(), side="right")), len(shares) - 1)

        hero, place = drawn(self.name_shares), drawn(self._place_shares)
        events: list[int] = []
        about: list[int] = []
        for _ in range(int(generator.integers(FEWEST, self.most + 1))):
            events.append(drawn(self.event_shares[events[-1] if events else -1]))
            about.append(drawn(self._about_shares(events[-1])))
        return Story(hero, place, tuple(events), tuple(about), drawn(self._ending_shares))

    def text(self, story: Story) -> str:
        """The story in words."""
        hero = self.name_words[story.hero]
        sentences = [f"Once {hero} lived {PLACES[story.place]}."]
        for event, about in zip(story.events, story.about, strict=True):
            words = self.thing_words if event < len(ABOUT_THINGS) else self.name_words
            sentences.append(f"{hero} {EVENTS[event].format(words[about])}.")
        sentences.append(f"In the end {hero} {LAST_WORDS[story.ending].removeprefix('and ')}.")
        return " ".join(sentences)

    def summary(self, story: Story) -> str:
        """What happened, in a line: the hero and every event in its order; of place and ending it says nothing.

        Example:
            >>> world = StoryWorld()
            >>> print(world.summary(world.stories(seed=0, count=1)[0]))
            Sanomi helped Julax, wanted dusty lamp, waited for Lomut, laughed with Pex, met Lonot
        """
        told = []
        for event, about in zip(story.events, story.about, strict=True):
            words = self.thing_words if event < len(ABOUT_THINGS) else self.name_words
            told.append(EVENTS[event].replace(" a {}", " {}").format(words[about]))
        return f"{self.name_words[story.hero]} {', '.join(told)}"

    def parse(self, text: str) -> Story | None:
        """The story that a text tells; None where it tells none of this world."""
        sentences = text.strip().removesuffix(".").split(". ")
        first = sentences[0].split(" ", 3)
        if len(sentences) < FEWEST + 2 or len(first) < 4 or first[0] != "Once" or first[2] != "lived":
            return None
        name, place = first[1], first[3]
        told = [self._event(sentence, name) for sentence in sentences[1:-1]]
        ending = self._endings.get(sentences[-1].removeprefix(f"In the end {name} "))
        known = name in self._name_index and place in PLACES and ending is not None and len(told) <= self.most
        if not known or not all(told):
            return None
        events, about = zip(*[one for one in told if one], strict=True)
        assert ending is not None
        return Story(self._name_index[name], PLACES.index(place), tuple(events), tuple(about), ending)

    def _event(self, sentence: str, hero: str) -> tuple[int, int] | None:
        for event, template in enumerate(EVENTS):
            beginning = f"{hero} {template.removesuffix('{}')}"
            if sentence.startswith(beginning):
                index = self._thing_index if event < len(ABOUT_THINGS) else self._name_index
                about = index.get(sentence.removeprefix(beginning))
                return None if about is None else (event, about)
        return None

    # Probabilities -----------------------------------------------------------------------------------------------------

    def log_probability(self, story: Story) -> float:
        """Natural logarithm of the probability of a story, and of its text."""
        shares = [self.name_shares[story.hero], self._place_shares[story.place], self._ending_shares[story.ending]]
        before = -1
        for event, about in zip(story.events, story.about, strict=True):
            shares += [self.event_shares[before, event], self._about_shares(event)[about]]
            before = event
        return float(np.log(shares).sum()) - math.log(self.most + 1 - FEWEST)

    @cached_property
    def entropy(self) -> float:
        """Entropy of a story in nats: the mean of ``-log_probability``, exactly."""
        events = np.array([entropy(row) for row in self.event_shares])
        about = np.array([entropy(self._about_shares(event)) for event in range(len(EVENTS))])
        total = entropy(self.name_shares) + entropy(self._place_shares) + entropy(self._ending_shares)
        total += math.log(self.most + 1 - FEWEST)
        kind = self.event_shares[-1]  # of the event at this place
        told = events[-1] + kind @ about
        for place in range(1, self.most + 1):
            total += told * min(1.0, (self.most + 1 - place) / (self.most + 1 - FEWEST))
            told, kind = kind @ events[:-1], kind @ self.event_shares[:-1]
            told += kind @ about
        return float(total)

    @cached_property
    def _place_shares(self) -> np.ndarray:
        return zipf(len(PLACES), self.exponent)

    @cached_property
    def _ending_shares(self) -> np.ndarray:
        return zipf(len(LAST_WORDS), self.exponent)

    def _about_shares(self, event: int) -> np.ndarray:
        return self.thing_shares if event < len(ABOUT_THINGS) else self.name_shares

    @cached_property
    def _name_index(self) -> dict[str, int]:
        return {word: i for i, word in enumerate(self.name_words)}

    @cached_property
    def _thing_index(self) -> dict[str, int]:
        return {word: i for i, word in enumerate(self.thing_words)}

    @cached_property
    def _endings(self) -> dict[str, int]:
        return {words.removeprefix("and "): i for i, words in enumerate(LAST_WORDS)}


def zipf(count: int, exponent: float) -> np.ndarray:
    """(count,) probabilities proportional to ``i**-exponent``.

    Example:
        >>> zipf(2, 1.0).round(4).tolist()
        [0.6667, 0.3333]
    """
    weights = np.arange(1.0, count + 1) ** -exponent
    return weights / weights.sum()


def entropy(shares: Sequence[float] | np.ndarray) -> float:
    """Entropy of a distribution in nats.

    Example:
        >>> round(entropy([0.5, 0.5]), 6)
        0.693147
    """
    known = np.asarray(shares, float)
    known = known[known > 0]
    return float(-(known * np.log(known)).sum())
