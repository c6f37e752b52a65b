"""Reading and writing the files that commands are given. A file that cannot be used raises Unusable."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Literal, TypeVar, cast

import click

from replay.cassette.file import MAGIC, BadCassette, Cassette
from replay.cli.progress import progress
from replay.cli.usage import Unusable

FILE = click.Path(dir_okay=False, path_type=Path)


Each = TypeVar("Each")
_TOP_KEYS = re.compile(r"""^\s*["']?(\w+)["']?\s*:""")
_KINDS = {
    **dict.fromkeys(("turns", "sequence", "hears", "captures", "rules"), "scenario"),
    **dict.fromkeys(("faults", "at", "do"), "fault"),
    **dict.fromkeys(("teams", "limits"), "accounts"),
}
DocumentKind = Literal["scenario", "fault", "accounts"]
_READ = 200_000
"""Bytes that are looked at."""


def document_kind(file: Path) -> DocumentKind | None:
    """Whether a file holds a scenario, faults or accounts, by its keys; None for all else, cassettes among it.

    The file may have mistakes. A YAML file whose keys tell nothing and that has a `name` counts as a scenario.
    """
    try:
        with file.open("rb") as binary:
            if MAGIC in (data := binary.read(16)):
                return None
            data += binary.read(_READ)
            text = data.decode("utf-8-sig", errors="ignore" if binary.read(1) else "strict")
    except (OSError, UnicodeDecodeError):
        return None
    lines = [line for line in text.split("\n") if line.strip() and not line.lstrip().startswith("#")]
    if not lines or "\0" in text:
        return None
    keys: list[str] = []
    if lines[0].lstrip().startswith("{"):
        keys = re.findall(r'["{\s,]"?(\w+)"?\s*:', text[:2000])[:3]
    elif lines[0].startswith(("-", "[")):
        if found := re.match(r"[-\[\s]*\{?\s*\"?(at|do)\"?\s*:", lines[0]):
            keys = [found[1]]
    else:
        keys = [found[1] for line in lines if not line[0].isspace() and (found := _TOP_KEYS.match(line))]
    for key in keys:
        if key in _KINDS:
            return cast(DocumentKind, _KINDS[key])
        if near := get_close_matches(key, ("turns", "sequence", "faults", "teams"), 1):
            return cast(DocumentKind, _KINDS[near[0]])
    return "scenario" if file.suffix in (".yaml", ".yml") and keys[:1] == ["name"] else None


def opened(file: Path, *, whole: bool = False) -> Cassette:
    """A cassette to read. `whole` refuses one without an end mark. Raises Unusable."""
    try:
        cassette = Cassette.open(file) if whole else Cassette.so_far(file)
    except BadCassette as problem:
        raise Unusable(no_recording(file) or str(problem)) from problem
    except OSError as problem:
        raise Unusable(f"{file}: {problem.strerror}; give the path of a cassette") from problem
    cassette.on_read = progress(file)
    return cassette


def each_record(cassette: Iterable[Each]) -> Iterator[Each]:
    """The records of a cassette, or what is made of each. Raises Unusable at one that cannot be read."""
    try:
        yield from cassette
    except BadCassette as problem:
        raise Unusable(str(problem)) from problem


def no_recording(file: Path) -> str | None:
    """What to say about a file that holds a scenario, faults or accounts; None for all else."""
    if (kind := document_kind(file)) is None:
        return None
    name = {"scenario": "a scenario", "fault": "a fault file", "accounts": "an accounts file"}[kind]
    return f"{file}: this is {name}, not a recording; check it with: realtape check {file}"


def write(path: Path, lines: Iterable[str]) -> None:
    """Write a text file and print its path. Raises OSError."""
    with path.open("w", encoding="utf-8", newline="\n") as out:
        for line in lines:
            out.write(f"{line}\n")
    click.echo(str(path))


def write_texts(path: Path, texts: Iterable[str]) -> None:
    """Write a page, text by text. Raises OSError."""
    with path.open("w", encoding="utf-8", newline="\n") as out:
        out.writelines(texts)
