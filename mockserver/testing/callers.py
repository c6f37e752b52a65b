"""Callers who do not speak as written: they break off, hesitate, change their minds. Text in, text out, seeded.

What comes out is for a voice (`realtape say`, `Speech`) or to be typed; what it means is that of the last thing said.
"""

from __future__ import annotations

from random import Random

# Wording is chosen, not measured.
HESITATIONS = ("um", "uh", "er", "well", "let me see")
CORRECTIONS = ("Actually, no, {}", "Sorry, I mean {}", "Oh wait, {}", "No, sorry, {}")
RESUMPTIONS = ("sorry, ", "hold on, sorry, ", "one second. Yes, ")


def changes_mind(said: str, instead: str, *, seed: int = 0) -> str:
    """A caller who says one thing and then another: "July sixth, please. Sorry, I mean July seventh, please."

    Raises ValueError when one of the texts is empty.
    """
    _checked(said, instead)
    correction = Random(f"mind {seed}").choice(CORRECTIONS)
    return f"{_ended(said)} {_ended(correction.format(instead.strip()))}"


def breaks_off(text: str, *, seed: int = 0) -> str:
    """A caller who is interrupted after some words and begins again: "I would like to— sorry, I would like to book."

    A text of one word is left as it is. Raises ValueError when it is empty.
    """
    _checked(text)
    words, rng = text.split(), Random(f"break {seed}")
    if len(words) < 2:
        return text.strip()
    said = " ".join(words[: rng.randrange(1, len(words))]).rstrip(",.;:!?")
    return f"{said}— {rng.choice(RESUMPTIONS)}{' '.join(words)}"


def hesitates(text: str, *, seed: int = 0, times: int = 2) -> str:
    """A caller who looks for words: "I would, um, like a cleaning on, uh, July sixth."

    Raises ValueError when the text is empty or `times` is below 0.
    """
    _checked(text)
    if times < 0:
        raise ValueError(f"times is {times}; give 0 or more")
    words, rng = text.split(), Random(f"hesitate {seed}")
    gaps = [at for at in range(1, len(words)) if words[at - 1][-1].isalnum()]
    for at in sorted(rng.sample(gaps, min(times, len(gaps))), reverse=True):
        words[at - 1] += f", {rng.choice(HESITATIONS)},"
    return " ".join(words)


def _checked(*texts: str) -> None:
    if not all(text.strip() for text in texts):
        raise ValueError("the text is empty; give the words to speak")


def _ended(text: str) -> str:
    text = text.strip()
    return text if text[-1] in ".!?" else f"{text}."
