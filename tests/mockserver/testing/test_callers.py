from __future__ import annotations

import pytest

from mockserver.testing.callers import CORRECTIONS, HESITATIONS, breaks_off, changes_mind, hesitates

TEXT = "I would like a dental cleaning on July sixth."


def test_who_changes_their_mind_says_the_last_thing_last() -> None:
    said = {changes_mind("July sixth, please", "July seventh, please.", seed=seed) for seed in range(40)}
    assert len(said) == len(CORRECTIONS)
    assert all(text.startswith("July sixth, please. ") and text.endswith("July seventh, please.") for text in said)


def test_who_breaks_off_begins_again_and_says_it_all() -> None:
    for seed in range(40):
        begun, _, again = breaks_off(TEXT, seed=seed).partition("— ")
        assert TEXT.startswith(begun) and 0 < len(begun) < len(TEXT)
        assert again.endswith(TEXT)
    assert breaks_off("Hello") == "Hello"


def test_who_hesitates_says_every_word_in_its_order() -> None:
    for seed in range(40):
        said = hesitates(TEXT, seed=seed)
        for sound in HESITATIONS:
            said = said.replace(f", {sound},", "")
        assert said == TEXT
        assert hesitates(TEXT, seed=seed) != TEXT
    assert hesitates(TEXT, times=0) == TEXT
    assert hesitates("Yes", times=5) == "Yes"


@pytest.mark.parametrize("say", [breaks_off, hesitates, lambda text, seed: changes_mind(text, text, seed=seed)])
def test_a_seed_says_the_same_again(say) -> None:
    assert [say(TEXT, seed=seed) for seed in range(9)] == [say(TEXT, seed=seed) for seed in range(9)]
    assert len({say(TEXT, seed=seed) for seed in range(20)}) > 1


@pytest.mark.parametrize("say", [breaks_off, hesitates, lambda text: changes_mind(text, "a")])
def test_nothing_to_say_is_refused(say) -> None:
    with pytest.raises(ValueError, match="the text is empty"):
        say(" ")


def test_less_than_no_hesitation_is_refused() -> None:
    with pytest.raises(ValueError, match="give 0 or more"):
        hesitates(TEXT, times=-1)
