"""The story world's probabilities are those of its stories, its entropy is exact, and a text is its skeleton."""

import math

import numpy as np
import pytest

from collapse_jax.data.story_world import EVENTS, LAST_WORDS, PLACES, Story, StoryWorld

WORLD = StoryWorld()
STORIES = WORLD.stories(seed=1, count=3000)


def test_a_text_is_its_skeleton() -> None:
    for story in STORIES[:500]:
        assert WORLD.parse(WORLD.text(story)) == story


def test_stories_begin_the_same_for_every_count_and_differ_by_seed() -> None:
    assert WORLD.stories(1, 10) == STORIES[:10]
    assert WORLD.stories(2, 10) != STORIES[:10]


def test_entropy_is_the_mean_surprise() -> None:
    surprise = -np.array([WORLD.log_probability(story) for story in STORIES])
    error = surprise.std() / math.sqrt(len(surprise))
    assert abs(surprise.mean() - WORLD.entropy) < 4 * error


@pytest.mark.parametrize("most", [2, 3])
def test_probabilities_of_all_stories_of_a_small_world_add_up_to_one(most: int) -> None:
    world = StoryWorld(names=2, things=1, most=most)
    total, surprise = 0.0, 0.0
    kinds = range(len(EVENTS))
    ends = [(hero, place, ending) for hero in range(2) for place in (0,) for ending in (0,)]
    skeletons = [(one, two) for one in kinds for two in kinds]
    skeletons = [(*pair, three) for pair in skeletons for three in kinds] if most == 3 else []
    skeletons += [(one, two) for one in kinds for two in kinds]
    shares = world._place_shares, world._ending_shares
    for events in skeletons:
        choices = [range(1 if event < 8 else 2) for event in events]
        for about in np.ndindex(*[len(choice) for choice in choices]):
            for hero, place, ending in ends:
                probability = math.exp(world.log_probability(Story(hero, place, events, about, ending)))
                # Place and ending are independent of the rest: sum over them in closed form.
                rest = probability / (shares[0][place] * shares[1][ending])
                total += rest
                surprise -= rest * math.log(rest)
    assert total == pytest.approx(1, rel=1e-9)
    others = sum(-(share * np.log(share)).sum() for share in shares)
    assert world.entropy == pytest.approx(surprise + others, rel=1e-9)


def test_names_have_zipfs_tail() -> None:
    counts = np.bincount([story.hero for story in STORIES], minlength=400)
    expected = len(STORIES) * WORLD.name_shares
    chi = ((counts - expected) ** 2 / expected)[:50].sum()
    assert chi < 50 + 4 * math.sqrt(100)
    assert (counts[200:] == 0).any()


@pytest.mark.parametrize(
    "wrong",
    [
        lambda text: text.replace("Once", "Then"),
        lambda text: text.replace("In the end", "At last"),
        lambda text: text.split(". ")[0] + ". " + text.split(". ")[-1],
        lambda text: text.replace(". ", ". Zorro met Zorro. ", 1),
        lambda text: "",
    ],
)
def test_what_is_no_story_is_none(wrong) -> None:
    assert WORLD.parse(wrong(WORLD.text(STORIES[0]))) is None


def test_words_are_distinct() -> None:
    for words in (WORLD.name_words, WORLD.thing_words, PLACES, EVENTS, LAST_WORDS):
        assert len(set(words)) == len(words)
    # No event's words begin another's, so that a sentence has one reading.
    beginnings = [event.removesuffix("{}") for event in EVENTS]
    assert not any(a != b and a.startswith(b) for a in beginnings for b in beginnings)


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match="names is 769; it must be a whole number from 1 to 768"):
        StoryWorld(names=769)
    with pytest.raises(ValueError, match="most is 1; it must be a whole number from 2 to 20"):
        StoryWorld(most=1)
    with pytest.raises(ValueError, match="exponent is 0"):
        StoryWorld(exponent=0)
