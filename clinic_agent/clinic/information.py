"""What the clinic tells callers about itself: sections of a Markdown document, and a search in them.

`information.md` is the document of Maple Street Clinic. The same file can be given to the service as a collection.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

DOCUMENT = Path(__file__).with_name("information.md")
MOST = 2
"""Largest number of sections that a search finds."""
_STOP_WORDS = frozenset(
    "a about am an and any are at be by can could do does for from get give have how i if in is it me my of on or our "
    "please should tell that the there they this to us was we what when which who will with would you your".split()
)
_COMMENT = re.compile(r"<!--(.*?)-->", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Section:
    """One heading of the document, its text, and further words by which it is found."""

    title: str
    text: str
    words: frozenset[str]

    def score(self, question: frozenset[str]) -> int:
        """The number of the question's words that are in this section; those of its heading count twice."""
        return len(question & self.words) + len(question & _words(self.title))


@dataclass(frozen=True, slots=True)
class Information:
    """The sections of a document, in order."""

    sections: tuple[Section, ...]

    @property
    def titles(self) -> list[str]:
        """The headings."""
        return [section.title for section in self.sections]

    def text(self, title: str) -> str:
        """The text under a heading. Raises KeyError if there is no such heading."""
        return {section.title: section.text for section in self.sections}[title]

    def search(self, question: str) -> list[Section]:
        """The sections that share the most words with the question, at most MOST, best first; [] if none does."""
        words = _words(question)
        found = [(section.score(words), section) for section in self.sections]
        best = sorted((each for each in found if each[0]), key=lambda each: -each[0])[:MOST]
        return [section for score, section in best if 2 * score > best[0][0]]


@cache
def information(path: Path = DOCUMENT) -> Information:
    """Read a document: each `## ` heading, with its text and its comments. Raises OSError and UnicodeDecodeError."""
    _, *parts = re.split(r"^## ", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return Information(tuple(_section(*part.split("\n", 1)) for part in parts))


def _section(title: str, body: str = "") -> Section:
    text = " ".join(_COMMENT.sub(" ", body).split())
    return Section(title.strip(), text, _words(" ".join((title, text, *_COMMENT.findall(body)))))


def _words(text: str) -> frozenset[str]:
    """The words of a text that tell what it is about, in lower case and without the endings of English."""
    words = re.findall(r"[a-z0-9]+", text.casefold().replace("check-up", "checkup").replace("check up", "checkup"))
    return frozenset(_stem(word) for word in words if word not in _STOP_WORDS)


def _stem(word: str) -> str:
    return re.sub(r"(?<=\w{3})(?:ations?|ing|ed|es|s|e)$", "", word)
