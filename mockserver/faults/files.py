"""Fault files: YAML or JSON to faults and back, and the same as mappings in Python. The faults: kinds.py."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from mockserver.documents.durations import seconds_of
from mockserver.documents.problems import DocumentError, Keys, Problems, advice, described, quoted
from mockserver.documents.reader import read_document, read_text
from mockserver.documents.validation import explain, flow
from mockserver.faults.kinds import KINDS, Fault, FaultBase, own_fields

FaultSource = Mapping[str, Any] | Sequence[Fault | Mapping[str, Any]] | str | os.PathLike[str]
"""Faults as a program may give them: a file's path, its content as a mapping, or a list of faults."""
_SHARED = tuple(each.name for each in fields(FaultBase))
_DO = ", ".join(KINDS)
_MEANT = {
    **dict.fromkeys(("code", "http", "http_status", "statuscode", "status_code"), "status"),
    **dict.fromkeys(("disconnect", "kill", "abort", "rst"), "reset"),
    **dict.fromkeys(("sleep", "wait", "latency", "pause", "lag"), "delay"),
    **dict.fromkeys(("lose", "skip", "discard", "omit", "remove"), "drop"),
    **dict.fromkeys(("freeze", "block", "stop"), "stall"),
    **dict.fromkeys(("dup", "repeat", "double", "twice"), "duplicate"),
    **dict.fromkeys(("timeout", "no_answer"), "hang"),
    **dict.fromkeys(("swap", "shuffle"), "reorder"),
    **dict.fromkeys(("mangle", "garble", "invalid"), "corrupt"),
    **dict.fromkeys(("cut", "shorten"), "truncate"),
}
"""Words that people write for a kind of fault."""
_KEYS = {
    **dict.fromkeys(("on", "event", "when", "where", "point"), "at"),
    **dict.fromkeys(("count", "limit", "max"), "times"),
    **dict.fromkeys(("chance", "p", "rate", "odds"), "probability"),
    **dict.fromkeys(("action", "fault", "type", "kind", "then"), "do"),
    **dict.fromkeys(("n", "index", "occurrence"), "nth"),
}
"""Words that people write for a key of a fault."""
_NUMBER = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(s|%|)$")
_AT_TIME = re.compile(r"(\bat:[ \t]+)(time:[ \t]*[0-9.]+[ \t]*[a-z]*)")
"""`at: time: 5s` is not YAML: a text with a colon in it needs quotes, which are added."""


class FaultError(DocumentError):
    """Faults that cannot be used: their problems, each with its place, what was expected and what was found."""


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
        raise FaultError.of(bad.problems) from None


def parse(text: str, source: str = "<text>") -> FaultFile:
    """Read YAML or JSON: `seed` and `faults`, a list of faults, or one fault. Raises FaultError."""
    try:
        document = read_document(_AT_TIME.sub(r'\1"\2"', text), source)
    except DocumentError as bad:
        raise FaultError.of(bad.problems) from None
    problems = Problems()
    file = _file(document.data, problems)
    document.refuse(problems.found, FaultError)
    return file


def faults_from(faults: FaultSource) -> FaultFile:
    """The faults that a program gives. Raises FaultError."""
    if isinstance(faults, str | os.PathLike):
        return load(faults)
    if isinstance(faults, Fault):
        return FaultFile((faults,))
    problems = Problems()
    file = _file(faults, problems)
    problems.settle(FaultError)
    return file


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


def _file(data: object, problems: Problems) -> FaultFile:
    if isinstance(data, list | tuple):
        return FaultFile(_faults(data, (), problems))
    if not isinstance(data, Mapping):
        said = f"expected `faults`, a list of faults, got {described(data)}"
        problems.add((), said, "faults:", "  - {at: response.done, do: drop}")
        return FaultFile(())
    if "at" in data or "do" in data:
        return FaultFile(_faults([data], None, problems))
    for key in data:
        if key not in ("seed", "faults"):
            hint = advice(str(key), ["seed", "faults"])
            problems.add((key,), f"unknown key {quoted(str(key))}; {hint}", at_key=True)
    seed, faults = data.get("seed"), data.get("faults")
    if "seed" in data and (not isinstance(seed, int | str) or isinstance(seed, bool)):
        problems.add(("seed",), f"expected a whole number or a text, got {described(seed)}", "seed: 7")
    if not isinstance(faults, list | tuple):
        if "faults" in data or not problems.found:
            right = f"  - {flow(faults)}" if isinstance(faults, Mapping) else "  - {at: response.done, do: drop}"
            said = f"expected `faults`, a list of faults, got {described(faults)}"
            problems.add(("faults",), said, "faults:", right)
        faults = ()
    return FaultFile(_faults(faults, ("faults",), problems), None if seed is None else str(seed))


def _faults(data: Sequence[object], keys: Keys | None, problems: Problems) -> tuple[Fault, ...]:
    """The usable ones of these faults. `keys` is the place of their list; None if one fault is the whole file."""
    found = (_fault(each, () if keys is None else (*keys, i), problems) for i, each in enumerate(data))
    return tuple(fault for fault in found if fault is not None)


def _fault(data: object, keys: Keys, problems: Problems) -> Fault | None:
    if isinstance(data, Fault):
        return data
    if not isinstance(data, Mapping):
        said = f"expected a fault, got {described(data)}"
        problems.add(keys, said, "- {at: response.done, do: drop}")
        return None
    shared = {}
    for key, value in data.items():
        if key not in (*_SHARED, "do"):
            meant = _meant_key(str(key), value)
            said = f"did you mean {quoted(meant)}?" if meant else advice(str(key), [*_SHARED, "do"])
            fix = _fix(str(key), meant, value)
            problems.add((*keys, key), f"unknown key {quoted(str(key))}; {said}", *fix, at_key=True)
        elif value is None:
            problems.add((*keys, key), "expected a value, got nothing; give it one or leave out the key", at_key=True)
        elif key != "do":
            shared[key] = value
    if "do" not in data:
        if not any(_meant_key(str(key), value) == "do" for key, value in data.items()):
            problems.add(keys, f"`do` is missing; one of {_DO}")
        return None
    found = None if data["do"] is None else _do(data["do"], (*keys, "do"), problems)
    if found is None:
        return None
    kind, own = found
    if "at" not in data and not isinstance(kind.__dataclass_fields__["at"].default, str):
        if not any(_meant_key(str(key), value) == "at" for key, value in data.items()):
            said = (
                "`at` is missing: handshake, client_secrets, webhook, webrtc, a route, an event's type,"
                " <a client event's, time: 5s"
            )
            problems.add(keys, said, "at: response.done")
        shared = {"at": "*"} | shared  # so that the rest is checked, too
    try:
        return kind(**shared, **own)
    except ValidationError as bad:
        for error in bad.errors(include_url=False):
            context = error.get("ctx", {})
            name = str(context.get("key") or (error["loc"] or ("",))[0])
            place = (*keys, name) if name in _SHARED else _own_place(data["do"], name, kind, (*keys, "do"))
            problems.add(place, explain(error), *context.get("fix", ()), *_code_fix(kind, name, error["input"]))
    return None


def _code_fix(kind: type[Fault], name: str, given: object) -> tuple[str, ...]:
    """The line that would be right for a close code where an HTTP status is, or the other way round."""
    if isinstance(given, str) and (number := _NUMBER.match(given)):
        share = float(number[1]) / 100 if number[2] == "%" else number[1]
        return (f"{name}: {share}",) if number[2] in ("", "s", "%") else ()
    if not isinstance(given, int) or isinstance(given, bool):
        return ()
    if kind is KINDS["close"] and name == "code" and 400 <= given <= 599:
        return (f"{{at: handshake, do: {{status: {given}}}}}",)
    if kind is KINDS["status"] and name == "status" and 1000 <= given <= 4999:
        return (f"{{at: response.done, do: {{close: {given}}}}}",)
    return ()


def _bare_fix(do: object) -> tuple[str, ...]:
    """The lines that would be right for a number or a list instead of a fault."""
    if isinstance(do, int) and not isinstance(do, bool):
        return (f"do: {{{'status' if do < 1000 else 'close'}: {do}}}",)
    if isinstance(do, list) and do:
        return tuple(f"- {{at: response.done, do: {each if isinstance(each, str) else flow(each)}}}" for each in do[:3])
    return ()


def _meant_key(key: str, value: object) -> str:
    if key in KINDS or key in _MEANT:
        return "do"
    return _KEYS.get(key, "")


def _fix(key: str, meant: str, value: object) -> tuple[str, ...]:
    """The line that would be right, for a key that is one of a fault, or the kind of one."""
    kind = key if key in KINDS else _MEANT.get(key, "")
    return _kind_fix(kind, value) if kind else (f"{meant}: {flow(value)}",) if meant in _SHARED else ()


def _own_place(do: object, name: str, kind: type[Fault], keys: Keys) -> Keys:
    if not isinstance(do, Mapping):
        return keys
    inner = do.get(kind.kind)
    if name in do:
        return (*keys, name)
    return (*keys, kind.kind, name) if isinstance(inner, Mapping) and name in inner else (*keys, kind.kind)


def _do(do: object, keys: Keys, problems: Problems) -> tuple[type[Fault], dict[str, Any]] | None:
    """The kind of a fault and its own fields. The value beside the kind is its main field, or a mapping of fields."""
    if isinstance(do, str):
        name, colon, rest = do.partition(":")
        do = {name.strip(): read_document(rest, "do").data} if colon else {do.strip(): True}
    if not isinstance(do, Mapping):
        problems.add(keys, f"expected one fault, such as drop or {{close: 1011}}, got {described(do)}", *_bare_fix(do))
        return None
    names = [key for key in do if key in KINDS]
    if not names:
        found = next(iter(do), "nothing")
        kind_name, _, text = str(found).partition(" ")
        meant = kind_name if kind_name in KINDS else _MEANT.get(str(found), "")
        value = text or do.get(found)
        hint = f"did you mean {quoted(meant)}?" if meant else advice(str(found), list(KINDS))
        fix = _kind_fix(meant or hint.split("'")[1] if hint.startswith("did") else "", value)
        problems.add(keys, f"unknown fault {quoted(str(found))}; {hint}", *fix)
        return None
    kind, value = KINDS[names[0]], do[names[0]]
    own = {key: each for key, each in do.items() if key != names[0]}
    known = own_fields(kind)
    if isinstance(value, Mapping):
        own |= dict(value)
    elif value is None or value is True:
        pass
    elif not known:
        said = f"{quoted(names[0])} takes no value; write `do: {names[0]}`"
        problems.add((*keys, names[0]), said, f"do: {names[0]}")
        return kind, {}
    else:
        own[kind.main or known[0]] = value
        if (kind.main or known[0]) == "seconds" and not isinstance(value, str):
            own["seconds"] = _timed(value, names[0], (*keys, names[0]), problems)
    for unit, scale in (("ms", 0.001), ("s", 1.0)):
        number = own.get(unit)
        if "seconds" in known and isinstance(number, int | float) and not isinstance(number, bool):
            own["seconds"] = own.pop(unit) * scale
    for key in [key for key in own if key not in known]:
        hint = (
            advice(str(key), [*known, *(("ms", "s") if "seconds" in known else ())])
            if known
            else "it takes nothing more"
        )
        place = (*keys, names[0], key) if isinstance(value, Mapping) and key in value else (*keys, key)
        problems.add(place, f"{quoted(names[0])} has no {quoted(str(key))}; {hint}", at_key=True)
        del own[key]
    return kind, own


def _timed(value: object, name: str, keys: Keys, problems: Problems) -> float:
    """A number without a unit is a problem: 500 of what?"""
    try:
        return seconds_of(value, f"do: {{{name}")
    except PydanticCustomError as bad:
        context = bad.context or {}
        problems.add(keys, bad.message(), *(f"{line}}}" for line in context.get("fix", ())))
        return 0.0


def _kind_fix(kind: str, value: object) -> tuple[str, ...]:
    """The line that would be right, for a kind of fault with this value."""
    if not kind:
        return ()
    if KINDS[kind].__dataclass_fields__.get("seconds") and isinstance(value, int | float) and value is not True:
        return (f"do: {{{kind}: {value}ms}}", f"do: {{{kind}: {value}s}}")
    bare = value is None or value is True or not own_fields(KINDS[kind])
    return (f"do: {kind}",) if bare else (f"do: {{{kind}: {flow(value)}}}",)
