from __future__ import annotations

import re
import time

import pytest

from replay.cassette.scrub import Scrubber
from replay.secrets.named import LONGEST_FOUND, BadSecret, matches, named

EMAIL = r"[\w.+-]+@[\w.-]+\w"
"""Its first repetition matches its own text again, from each character on."""


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        (r"(\w+\s?)+:", "very many ways"),
        (r".*key.*=.*value.*;", "match one another's text"),
        (r"(.*)\1x", "match one another's text"),
        (r"\d*", "matches nothing at all"),
        (r"(", "not a regular expression"),
    ],
)
def test_a_pattern_that_cannot_be_used_is_refused(pattern: str, why: str):
    with pytest.raises(BadSecret, match=why):
        named(patterns=[pattern])


@pytest.mark.parametrize(
    "pattern",
    [
        EMAIL,
        r"MRN-\d{6}",
        r"(?i)ssn\s*[:=]\s*(\d{3}-\d{2}-\d{4})",
        r"patient: (\w+(?: \w+)*)",
        r"\b\d{4}[ -]?\d{4}[ -]?\d{4}[ -]?\d{4}\b",
        r"user .* password (\S+)",
        r"(?<=Reference )\d+",
        r"token: .*",
    ],
)
def test_an_ordinary_pattern_is_taken(pattern: str):
    assert named(patterns=[pattern]).patterns == (re.compile(pattern),)


@pytest.mark.parametrize(
    ("pattern", "secret"),
    [
        (r"MRN-\d{6}", "MRN-471112"),
        (EMAIL, "maria.lopez@clinic.example"),
        (r"user .* code \w+", "user known code gartenzwerg"),
    ],
)
@pytest.mark.parametrize("before", [0, 1, 993, 998, 1000, 2499, 65_530, 69_630])
def test_a_match_is_found_wherever_windows_meet(pattern: str, secret: str, before: int):
    text = "," * before + secret + "," * 3_000
    assert [found[0] for found in matches(re.compile(pattern), text)] == [secret]
    assert secret not in Scrubber(named(patterns=[pattern])).text(text)


def test_a_long_match_is_found_to_the_length_that_is_stated():
    secret = "m" * (LONGEST_FOUND - 20) + "@clinic.example"
    assert [found[0] for found in matches(re.compile(EMAIL), "," * 995 + secret)] == [secret]


@pytest.mark.slow
@pytest.mark.parametrize("pattern", [EMAIL, r"user .* password (\S+)", r"\b(\w+) \1\b"])
def test_the_time_of_a_pattern_is_in_proportion_to_the_text(pattern: str):
    form = named(patterns=[pattern]).patterns[0]

    def taken(size: int) -> float:
        times = []
        for text in ("a" * size, ("user " * size)[:size], ("a " * size)[:size]):
            began = time.process_time()
            assert sum(1 for _ in matches(form, text)) >= 0
            times.append(time.process_time() - began)
        return max(times)

    short = min(taken(10_000) for _ in range(3))
    assert min(taken(20_000) for _ in range(3)) < 3 * short + 0.05
