"""Fault files: YAML or JSON to faults and back, and the same as mappings in Python. The faults: kinds.py."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from mockserver.documents.reader import DocumentError, Keys, Where, dotted, read_document, read_text
from mockserver.documents.validation import advice, explain
from mockserver.faults.kinds import KINDS, Fault, FaultBase, own_fields

FaultSource = Mapping[str, Any] | Sequence[Fault | Mapping[str, Any]] | str | os.PathLike[str]
"""Faults as a program may give them: a file's path, its content as a mapping, or a list of faults."""
_SHARED = tuple(FaultBase.__dataclass_fields__)
_DO = ", ".join(KINDS)
_AT_TIME = re.compile(r"(\bat:\s+)(time:\s*[0-9.]+\s*[a-z]*)")
"""`at: time: 5s` is not YAML: a text with a colon in it needs quotes, which are added."""


class FaultError(ValueError):
    """A fault that cannot be used: one line with the place, what was expected and what was found."""


@dataclass(frozen=True, slots=True)
class FaultFile:
    """Faults in order, and the seed that decides about probabilities; None if the file has none."""

    faults: tuple[Fault, ...]
    seed: str | None = None


def load(path: str | os.PathLike[str]) -> FaultFile:
    """Read a file. Raises FaultError reading `faults.yaml:3: ...`."""
    try:
        return parse(read_text(Path(path)), str(path))
    except DocumentError as bad:
        raise FaultError(str(bad)) from None


def parse(text: str, source: str = "<text>") -> FaultFile:
    """Read YAML or JSON: `seed` and `faults`, a list of faults, or one fault. Raises FaultError."""
    try:
        document = read_document(_AT_TIME.sub(r'\1"\2"', text), source)
    except DocumentError as bad:
        raise FaultError(str(bad)) from None
    return _file(document.data, document.where)


def faults_from(faults: FaultSource) -> FaultFile:
    """The faults that a program gives. Raises FaultError."""
    if isinstance(faults, str | os.PathLike):
        return load(faults)
    if isinstance(faults, Fault):
        return FaultFile((faults,))
    return _file(faults, dotted)


def as_line(fault: Fault) -> str:
    """A fault in one line, as in a file."""
    return yaml.safe_dump(as_mapping(fault), default_flow_style=True, sort_keys=False, width=10_000).strip()


def as_text(faults: Iterable[Fault], seed: str | None = None) -> str:
    """Faults as the text of a file."""
    head = [] if seed is None else [f"seed: {seed}"]
    return "\n".join([*head, "faults:", *(f"  - {as_line(fault)}" for fault in faults)]) + "\n"


def as_mapping(fault: Fault) -> dict[str, Any]:
    """A fault as a file has it, without fields that have their default."""
    names, defaults = own_fields(type(fault)), fault.__dataclass_fields__
    own = {name: getattr(fault, name) for name in names}
    own = {name: _formatted(name, value) for name, value in own.items() if value != defaults[name].default}
    shared = {name: getattr(fault, name) for name in _SHARED if name != "at"}
    shared = {name: value for name, value in shared.items() if value != defaults[name].default}
    do: object = {fault.kind: own} if own else fault.kind
    main = getattr(fault, names[0]) if names else None
    if isinstance(main, int | float):
        own.pop(names[0], None)
        do = {fault.kind: _formatted(names[0], main), **own}
    return {"at": fault.at, **shared, "do": do}


def _formatted(name: str, value: Any) -> Any:
    if name != "seconds" or value is None:
        return value
    return f"{value:g}s" if value >= 1 or not value else f"{value * 1000:g}ms"


def _file(data: object, where: Where) -> FaultFile:
    if isinstance(data, list | tuple):
        return FaultFile(tuple(_fault(each, (i,), where) for i, each in enumerate(data)))
    if not isinstance(data, Mapping):
        raise _wrong(where, (), "expected `faults`, a list of faults")
    if "at" in data or "do" in data:
        return FaultFile((_fault(data, (), where),))
    for key in data:
        if key not in ("seed", "faults"):
            raise _wrong(where, (key,), f"unknown key {key!r}; {advice(key, ['seed', 'faults'])}")
    seed, faults = data.get("seed"), data.get("faults")
    if not isinstance(faults, list | tuple):
        raise _wrong(where, ("faults",), "expected `faults`, a list of faults")
    if "seed" in data and (not isinstance(seed, int | str) or isinstance(seed, bool)):
        raise _wrong(where, ("seed",), "expected a whole number or a text")
    found = tuple(_fault(each, ("faults", i), where) for i, each in enumerate(faults))
    return FaultFile(found, None if seed is None else str(seed))


def _fault(data: object, keys: Keys, where: Where) -> Fault:
    if isinstance(data, Fault):
        return data
    if not isinstance(data, Mapping):
        raise _wrong(where, keys, "expected a fault, such as {at: response.done, do: drop}")
    for key, value in data.items():
        if key not in (*_SHARED, "do"):
            raise _wrong(where, (*keys, key), f"unknown key {key!r}; {advice(str(key), [*_SHARED, 'do'])}")
        if value is None:
            raise _wrong(where, (*keys, key), "expected a value, got nothing; give it one or leave out the key")
    if "do" not in data:
        raise _wrong(where, keys, f"`do` is missing; one of {_DO}")
    kind, own = _do(data["do"], (*keys, "do"), where)
    if "at" not in data and not kind.__dataclass_fields__["at"].default == "handshake":
        raise _wrong(where, keys, "`at` is missing: handshake, an event's type, <a client event's, or time: 5s")
    try:
        return kind(**{key: value for key, value in data.items() if key != "do"}, **own)
    except ValidationError as bad:
        error = bad.errors(include_url=False)[0]
        name = str(error.get("ctx", {}).get("key") or (error["loc"] or ("",))[0])
        at = (*keys, name) if name in _SHARED else _own_place(data["do"], name, kind, (*keys, "do"))
        raise _wrong(where, at, explain(error)) from None


def _own_place(do: object, name: str, kind: type[Fault], keys: Keys) -> Keys:
    if not isinstance(do, Mapping):
        return keys
    inner = do.get(kind.kind)
    if name in do:
        return (*keys, name)
    return (*keys, kind.kind, name) if isinstance(inner, Mapping) and name in inner else (*keys, kind.kind)


def _do(do: object, keys: Keys, where: Where) -> tuple[type[Fault], dict[str, Any]]:
    """The kind of a fault and its own fields. The value beside the kind is its main field, or a mapping of fields."""
    if isinstance(do, str):
        name, colon, value = do.partition(":")
        do = {name.strip(): read_document(value, "do").data} if colon else {do.strip(): True}
    names = [key for key in do if key in KINDS] if isinstance(do, Mapping) else []
    if not isinstance(do, Mapping) or not do or not names:
        found = next(iter(do), "nothing") if isinstance(do, Mapping) else do
        raise _wrong(where, keys, f"unknown fault {found!r}; {advice(str(found), list(KINDS))}")
    kind, value = KINDS[names[0]], do[names[0]]
    own = {key: each for key, each in do.items() if key != names[0]}
    known = own_fields(kind)
    if isinstance(value, Mapping):
        own |= dict(value)
    elif value is None or value is True:
        pass
    elif not known:
        raise _wrong(where, (*keys, names[0]), f"{names[0]!r} takes no value; write `do: {names[0]}`")
    else:
        own[kind.main or known[0]] = value
    for key in own:
        if key not in known:
            hint = advice(str(key), known) if known else "it takes nothing more"
            place = (*keys, names[0], key) if isinstance(value, Mapping) and key in value else (*keys, key)
            raise _wrong(where, place, f"{names[0]!r} has no {key!r}; {hint}")
    return kind, own


def _wrong(where: Where, keys: Iterable[str | int], message: str) -> FaultError:
    place = where(tuple(keys))
    return FaultError(f"{place}: {message}" if place else message)
