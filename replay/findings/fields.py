"""Fields of `session.update` by service: the known ones, and those that the service accepts and ignores.

Names only, no types: services refuse values of a wrong type by themselves. Sources: docs/dialects.md.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from replay.cassette.json_values import object_at

Tree = Mapping[str, Any]
"""Field names; the value of each is the tree of its own fields, or None for any value."""

_FOREIGN = (
    "type id object modalities output_modalities tool_choice parallel_tool_calls max_output_tokens include prompt speed"
    " max_response_output_tokens temperature input_audio_format output_audio_format input_audio_transcription"
    " input_audio_noise_reduction tracing truncation"
)
_DETECTION = dict.fromkeys(
    "type threshold silence_duration_ms prefix_padding_ms idle_timeout_ms create_response interrupt_response".split()
)
_FORM = dict.fromkeys(("type", "rate"))
_XAI: Tree = {
    **dict.fromkeys(_FOREIGN.split()),
    **dict.fromkeys("instructions model voice tools replace".split()),
    "reasoning": dict.fromkeys(("effort",)),
    "resumption": dict.fromkeys(("enabled",)),
    "turn_detection": _DETECTION,
    "audio": {
        "input": {
            "format": _FORM,
            "transport": None,
            "transcription": dict.fromkeys("model language_hint keyterms language prompt delay".split()),
            "noise_reduction": None,
            "turn_detection": None,
        },
        "output": {"format": _FORM, "transport": None, "speed": None, "voice": None},
    },
}
_OPENAI: Tree = {
    **dict.fromkeys("type object id model output_modalities instructions tools tool_choice max_output_tokens".split()),
    **dict.fromkeys("tracing truncation prompt expires_at include parallel_tool_calls reasoning".split()),
    "audio": {
        "input": {
            "format": _FORM,
            "transcription": None,
            "noise_reduction": None,
            "turn_detection": {**_DETECTION, "eagerness": None},
        },
        "output": {"format": _FORM, "voice": None, "speed": None},
    },
}
KNOWN: Mapping[str, Tree] = {"xai": _XAI, "openai": _OPENAI}

_UNSPOKEN = "the service always answers with audio"
_UNAPPLIED = "the service accepts it without effect"
IGNORED: Mapping[str, tuple[tuple[str, tuple[object, ...], str], ...]] = {
    "xai": (
        ("modalities", (None, ["audio"], ["audio", "text"], ["text", "audio"]), _UNSPOKEN),
        ("output_modalities", (None, ["audio"], ["audio", "text"], ["text", "audio"]), _UNSPOKEN),
        ("turn_detection.create_response", (None, True), "the service answers every turn anyway"),
        ("audio.input.turn_detection", (None,), "turn_detection stands at the top of the session here"),
        ("audio.output.voice", (None,), "voice stands at the top of the session here"),
        ("tool_choice", (None, "auto"), _UNAPPLIED),
        ("max_output_tokens", (None, "inf"), _UNAPPLIED),
        ("max_response_output_tokens", (None, "inf"), _UNAPPLIED),
        ("temperature", (None,), _UNAPPLIED),
        ("speed", (None, 1, 1.0), "speed stands in audio.output here"),
        ("input_audio_format", (None,), "audio.input.format is what counts"),
        ("output_audio_format", (None,), "audio.output.format is what counts"),
        ("input_audio_transcription", (None,), "audio.input.transcription is what counts"),
    ),
}
"""Path, values that ask for nothing, and what happens. Sources: live checks by client libraries, and the vendor's
pages."""


def ignored_fields(service: str | None, session: Tree) -> Iterator[tuple[str, object, str]]:
    """The path of each setting that the service accepts without effect, its value, and what happens."""
    for top, path, names, harmless, why in _PLACES.get(service or "", ()):
        if top in session and names[-1] in (holder := object_at(session, *names[:-1])):
            if (value := holder[names[-1]]) not in harmless:
                yield path, value, why


_PLACES = {
    service: [(path.partition(".")[0], path, path.split("."), harmless, why) for path, harmless, why in fields]
    for service, fields in IGNORED.items()
}


MOST_UNKNOWN = 20
"""Unknown fields of one update that are told: each is compared with the known ones."""
_LONGEST = 64


def unknown_fields(service: str | None, session: Tree) -> Iterator[tuple[str, str]]:
    """The path of each unknown field, and the path of the known field with the nearest name, or an empty text. The
    first `MOST_UNKNOWN` of them.
    """
    if service is not None and service in KNOWN:
        yield from islice(_unknown(session, KNOWN[service], "session"), MOST_UNKNOWN)


def _unknown(given: Tree, known: Tree, path: str) -> Iterator[tuple[str, str]]:
    for name, value in given.items():
        below = known.get(name)
        if name not in known:
            near = difflib.get_close_matches(name[:_LONGEST], known, 1)
            yield f"{path}.{name}", f"{path}.{near[0]}" if near else ""
        elif isinstance(below, Mapping) and isinstance(value, Mapping):
            yield from _unknown(value, below, f"{path}.{name}")
